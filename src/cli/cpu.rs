//! `cpu`: the processors, with interrupt controllers and clocks.

use std::io::Write;
use std::path::Path;

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome, say};
use super::many::{Answer, InputsArgs, each};
use super::shared::QuietArgs;
use super::{open, style};
use crate::decode::cpu::{Cpu, Group};
use crate::image::Device;
use crate::inspect::Cpus;
use crate::render;
use crate::render::cpu::CpuOptions;
use crate::render::cpu_json::{CpuDocument, CpuJson, GroupJson};
use crate::render::state_json::FindingJson;
use crate::render::tree::{self, Role, TreeOptions};

/// Arguments of `cpu`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze cpu vm.mig
  savevm-analyze cpu --brief vm.mig
  savevm-analyze cpu vm.mig --cpu 0 --all
  savevm-analyze cpu vm.mig --json | jq '.cpus[].groups[].registers[] | select(.name == \"RIP\")'")]
pub struct CpuArgs {
    #[command(flatten)]
    pub input: InputsArgs,
    #[command(flatten)]
    pub warnings: QuietArgs,
    /// Only this processor, and nothing about the machine. Can be repeated.
    #[arg(long, value_name = "N")]
    pub cpu: Vec<u32>,
    /// Print one line per processor: where it is, and its flags.
    #[arg(short, long, conflicts_with_all = ["all", "json"])]
    pub brief: bool,
    /// Print floating point, vector and debug registers and all system registers too.
    #[arg(short, long, visible_short_alias = 'v', visible_alias = "verbose")]
    pub all: bool,
    /// Print JSON (savevm-analyze schema cpu).
    #[arg(long)]
    pub json: bool,
}

/// Runs `cpu`.
pub fn run(a: &CpuArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    each(&a.input.files, !a.json, out, &mut |file, answer| one(a, file, answer))
}

fn one(a: &CpuArgs, file: &Path, answer: &mut Answer<'_>) -> Result<Outcome, Failure> {
    let image = open::devices(file, &a.input.source)?;
    let found = Cpus::find(&image)?;
    let chosen = chosen(&found, &a.cpu)?;
    let cpus: Vec<Option<Cpu>> = chosen.iter().map(|d| found.decode(d)).collect();
    let parts: Vec<Group> = if a.cpu.is_empty() && !a.brief { found.parts() } else { Vec::new() };
    let problems: Vec<String> = found.errors().map(ToString::to_string).collect();
    if chosen.is_empty() {
        say(Role::Name, "note", "no processors in this state");
    }
    if a.json {
        let mut doc = CpuDocument::new(image.machine());
        doc.cpus = chosen
            .iter()
            .zip(&cpus)
            .map(|(d, c)| match c {
                Some(c) => CpuJson::known(c, a.all),
                None => CpuJson::unknown(d.instance_id(), d.root()),
            })
            .collect();
        doc.devices = parts.iter().map(GroupJson).collect();
        let walk = image.walk();
        doc.complete = problems.is_empty() && walk.stopped.is_none();
        doc.diagnostics = walk.found.list().iter().map(FindingJson::from).collect();
        doc.diagnostics.extend(found.errors().chain(&walk.stopped).map(FindingJson::from));
        answer.document(&doc)?;
    } else {
        let out = &mut *answer.out;
        let o = CpuOptions { all: a.all, paint: &style::paint };
        for (i, (device, cpu)) in chosen.iter().zip(&cpus).enumerate() {
            if i != 0 && !a.brief {
                writeln!(out)?;
            }
            match cpu {
                Some(c) if a.brief => render::cpu::brief(out, c, &o)?,
                Some(c) => render::cpu::print(out, c, &o)?,
                None if a.brief => {
                    writeln!(out, "CPU {}  of an architecture that is not decoded", device.instance_id())?
                }
                None => {
                    let label = format!("{} ({})", device.name(), device.instance_id());
                    let t = TreeOptions { offsets: false, all: a.all, paint: &style::paint };
                    tree::print(out, device.root(), &label, 0, &t)?;
                }
            }
        }
        parts.iter().try_for_each(|g| render::cpu::group(out, g, &o))?;
    }
    Ok(open::verdict(&image, &problems))
}

fn chosen<'f, 'a>(found: &'f Cpus<'a>, wanted: &[u32]) -> Result<Vec<&'f Device<'a>>, Failure> {
    let cpus: Vec<&Device<'a>> = found.sections().collect();
    if let Some(n) = wanted.iter().find(|n| cpus.iter().all(|d| d.instance_id() != **n)) {
        let there: Vec<String> = cpus.iter().map(|d| d.instance_id().to_string()).collect();
        let there = if there.is_empty() { "there are none".to_owned() } else { there.join(", ") };
        return Err(Failure::Usage(format!("no CPU {n}; the CPUs are: {there}")));
    }
    Ok(cpus.into_iter().filter(|d| wanted.is_empty() || wanted.contains(&d.instance_id())).collect())
}
