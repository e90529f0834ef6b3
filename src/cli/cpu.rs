//! `cpu`: the processors, with interrupt controllers and clocks.

use std::io::Write;

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome};
use super::shared::InputArgs;
use super::{open, style};
use crate::decode::cpu::{self, Cpu, Group, Sections};
use crate::image::{Device, SaveImage};
use crate::render;
use crate::render::cpu::CpuOptions;
use crate::render::cpu_json::{CpuDocument, CpuJson, GroupJson};
use crate::render::state_json::FindingJson;
use crate::render::tree::{self, TreeOptions};
use crate::text::Name;

/// Arguments of `cpu`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze cpu vm.mig
  savevm-analyze cpu vm.mig --cpu 0 --all
  savevm-analyze cpu vm.mig --json | jq '.cpus[].groups[].registers[] | select(.name == \"RIP\")'")]
pub struct CpuArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Only this processor, and nothing about the machine. May be given several times.
    #[arg(long, value_name = "N")]
    pub cpu: Vec<u32>,
    /// Print floating point, vector and debug registers and all system registers too.
    #[arg(short, long)]
    pub all: bool,
    /// Print JSON (schemas/output/cpu.schema.json).
    #[arg(long)]
    pub json: bool,
}

/// Runs `cpu`.
pub fn run(a: &CpuArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let image = open::devices(&a.input.file, &a.input.source)?;
    let found = Found::read(&image)?;
    let chosen = found.chosen(&a.cpu)?;
    let cpus: Vec<Option<Cpu>> = chosen.iter().map(|d| found.decode(d)).collect();
    let parts: Vec<Group> = if a.cpu.is_empty() { found.parts() } else { Vec::new() };
    let problems: Vec<String> =
        found.devices.iter().flat_map(|(_, d)| d.decoded.errors.iter().map(ToString::to_string)).collect();
    if a.json {
        let mut doc = CpuDocument::new(image.machine());
        doc.cpus = chosen
            .iter()
            .zip(&cpus)
            .map(|(d, c)| match c {
                Some(c) => CpuJson::known(c, a.all),
                None => CpuJson::unknown(d.section.header.instance_id, d.root()),
            })
            .collect();
        doc.devices = parts.iter().map(GroupJson).collect();
        let walk = image.walk();
        doc.complete = problems.is_empty() && walk.stopped.is_none();
        let errors = found.devices.iter().flat_map(|(_, d)| &d.decoded.errors);
        doc.diagnostics = walk.found.list().iter().map(FindingJson::from).collect();
        doc.diagnostics.extend(errors.chain(&walk.stopped).map(FindingJson::from));
        render::pretty(out, &doc)?;
    } else {
        let o = CpuOptions { all: a.all, paint: &style::paint };
        for (i, (device, cpu)) in chosen.iter().zip(&cpus).enumerate() {
            if i != 0 {
                writeln!(out)?;
            }
            match cpu {
                Some(c) => render::cpu::print(out, c, &o)?,
                None => {
                    let h = &device.section.header;
                    let label = format!("{} ({})", h.idstr, h.instance_id);
                    let t = TreeOptions { offsets: false, all: a.all, paint: &style::paint };
                    tree::print(out, device.root(), &label, 0, &t)?;
                }
            }
        }
        parts.iter().try_for_each(|g| render::cpu::group(out, g, &o))?;
    }
    Ok(open::verdict(&image, &problems))
}

/// The sections that are of interest, with the name of their structure.
struct Found<'a> {
    devices: Vec<(Name, Device<'a>)>,
}

impl<'a> Found<'a> {
    fn read(image: &'a SaveImage) -> Result<Self, Failure> {
        let mut devices = Vec::new();
        for section in image.device_sections() {
            // without a description only the processors are shown, as bytes
            let described = image.device_schema(section).map(|d| &d.vmsd.name);
            let vmsd = described.unwrap_or(&section.header.idstr);
            if matches!(vmsd.exact(), "cpu" | "cpu_common") || described.is_some_and(|d| cpu::is_part(d.exact())) {
                devices.push((vmsd.clone(), image.decode(section)?));
            }
        }
        Ok(Self { devices })
    }

    fn of(&self, vmsd: &str, instance: u32) -> Option<&Device<'a>> {
        let mut with_name = self.devices.iter().filter(|(n, _)| *n == vmsd).map(|(_, d)| d);
        with_name.find(|d| d.section.header.instance_id == instance)
    }

    fn chosen(&self, wanted: &[u32]) -> Result<Vec<&Device<'a>>, Failure> {
        let cpus: Vec<&Device<'a>> = self.devices.iter().filter(|(n, _)| n == "cpu").map(|(_, d)| d).collect();
        let index = |d: &Device<'_>| d.section.header.instance_id;
        if let Some(n) = wanted.iter().find(|n| cpus.iter().all(|d| index(d) != **n)) {
            let there: Vec<String> = cpus.iter().map(|d| index(d).to_string()).collect();
            let there = if there.is_empty() { "there are none".to_owned() } else { there.join(", ") };
            return Err(Failure::Usage(format!("no CPU {n}; the CPUs are: {there}")));
        }
        Ok(cpus.into_iter().filter(|d| wanted.is_empty() || wanted.contains(&index(d))).collect())
    }

    fn decode(&self, d: &Device<'_>) -> Option<Cpu> {
        let index = d.section.header.instance_id;
        let common = self.of("cpu_common", index).map(Device::root);
        let apic = self.of("apic", index).map(Device::root);
        cpu::decode(index, Sections { cpu: d.root(), common, apic })
    }

    /// Returns what the interrupt controllers say, then the clocks, in the order of the stream.
    fn parts(&self) -> Vec<Group> {
        let groups = self.devices.iter().filter_map(|(vmsd, d)| {
            let group = cpu::decode_part(vmsd.exact(), d.section.header.instance_id, d.root())?;
            (!group.registers.is_empty()).then_some(group)
        });
        groups.collect()
    }
}
