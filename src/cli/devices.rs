//! `pci` and `virtio`: devices by what they are.

use std::io::Write;
use std::path::Path;

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome, say};
use super::many::{Answer, InputsArgs, each};
use super::shared::QuietArgs;
use super::{open, style};
use crate::decode::virtio::rings;
use crate::decode::{pci, virtio};
use crate::error::Error;
use crate::image::SaveImage;
use crate::inspect::Devices;
use crate::memory::GuestMemory;
use crate::render;
use crate::render::pci::{Level, Numbers, PciOptions};
use crate::render::state_json::FindingJson;
use crate::render::tree::Role;
use crate::render::virtio::Shown;
use crate::text::list;

/// Arguments of `pci`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze pci vm.mig
  savevm-analyze pci vm.mig -v --device 00:02.0
  savevm-analyze pci vm.mig -nn -s 00:1f
  savevm-analyze pci vm.mig -d 1af4: -x
  savevm-analyze pci vm.mig -t
  savevm-analyze pci vm.mig --json | jq '.devices[].bars'")]
pub struct PciArgs {
    #[command(flatten)]
    pub input: InputsArgs,
    #[command(flatten)]
    pub warnings: QuietArgs,
    /// Print registers and capabilities; if given twice, MSI-X tables and extended capabilities too.
    #[arg(short, long, action = clap::ArgAction::Count, conflicts_with = "json")]
    pub verbose: u8,
    /// Print the tree of buses.
    #[arg(short, long, conflicts_with_all = ["json", "verbose", "device", "numbers", "hex", "slot"])]
    pub tree: bool,
    /// Only devices that match by address, section, vmsd, or [VENDOR]:[DEVICE]. Can be repeated.
    #[arg(short, long, value_name = "GLOB")]
    pub device: Vec<String>,
    /// Only devices in these slots: [[[[DOMAIN]:]BUS]:][SLOT][.[FUNCTION]], as for lspci. Can be repeated.
    #[arg(short, long, value_name = "SLOT", value_parser = slot)]
    pub slot: Vec<Slot>,
    /// Print numbers in place of names; if given twice, both.
    #[arg(short, action = clap::ArgAction::Count, conflicts_with = "json")]
    pub numbers: u8,
    /// Dump 64 bytes of configuration space; if given three times 256 bytes, four times 4096.
    #[arg(short = 'x', action = clap::ArgAction::Count, conflicts_with = "json")]
    pub hex: u8,
    /// Print JSON (savevm-analyze schema pci).
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `virtio`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze virtio vm.mig
  savevm-analyze virtio vm.mig --device virtio-blk --rings
  savevm-analyze virtio vm.mig --json | jq '.devices[].guest_features'")]
pub struct VirtioArgs {
    #[command(flatten)]
    pub input: InputsArgs,
    #[command(flatten)]
    pub warnings: QuietArgs,
    /// Print all of the configuration, addresses of the queues, and queues that are not set up.
    #[arg(short, long, conflicts_with = "json")]
    pub verbose: bool,
    /// Read the rings in guest memory: pending requests, and inconsistent indices.
    #[arg(long)]
    pub rings: bool,
    /// Only devices whose kind, address, section or vmsd matches. Can be repeated.
    #[arg(short, long, value_name = "GLOB")]
    pub device: Vec<String>,
    /// Print JSON (savevm-analyze schema virtio).
    #[arg(long)]
    pub json: bool,
}

/// Returns the findings of the walk and of the decoding, and whether the answer is complete.
fn findings(image: &SaveImage, errors: &[Error]) -> (Vec<FindingJson>, bool) {
    let walk = image.walk();
    let complete = errors.is_empty() && walk.stopped.is_none() && !walk.found.has_errors();
    let mut all: Vec<FindingJson> = walk.found.list().iter().map(FindingJson::from).collect();
    all.extend(errors.iter().chain(&walk.stopped).map(FindingJson::from));
    (all, complete)
}

fn problems(errors: &[Error]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn none_matches(names: Vec<String>) -> Failure {
    if names.is_empty() {
        return Failure::Usage("no device matches: the state has no such devices".to_owned());
    }
    Failure::Usage(format!("no device matches; the devices are: {}", names.join(", ")))
}

/// Fills the empty sides of lspci's `VENDOR:` and `:DEVICE`.
fn with_ids(glob: &str) -> String {
    let hex = |s: &str| s.is_empty() || (s.len() <= 4 && s.bytes().all(|b| b.is_ascii_hexdigit()));
    match glob.split_once(':') {
        Some((vendor, device)) if hex(vendor) && hex(device) && (vendor.is_empty() || device.is_empty()) => {
            let side = |s: &str| if s.is_empty() { "????".to_owned() } else { format!("{s:0>4}") };
            format!("{}:{}", side(vendor), side(device))
        }
        _ => glob.to_owned(),
    }
}

/// A slot as lspci's -s takes it: what is absent or `*` matches all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    domain: Option<u16>,
    bus: Option<u8>,
    device: Option<u8>,
    function: Option<u8>,
}

impl Slot {
    fn matches(self, d: &pci::PciDevice) -> bool {
        let Some(address) = &d.address else { return false };
        let slot = address.slot();
        let domain = match address.root {
            pci::Root::Numbered { domain, .. } => Some(domain),
            pci::Root::Named(_) => None,
        };
        self.domain.is_none_or(|n| domain == Some(n))
            && self.bus.is_none_or(|n| address.bus == Some(n))
            && self.device.is_none_or(|n| slot.device == n)
            && self.function.is_none_or(|n| slot.function == n)
    }
}

/// Reads `[[[[DOMAIN]:]BUS]:][SLOT][.[FUNCTION]]`.
fn slot(text: &str) -> Result<Slot, String> {
    let fault = || format!("expected [[[[DOMAIN]:]BUS]:][SLOT][.[FUNCTION]] in hexadecimal, found {text:?}");
    let number = |part: &str, most: u32| match part {
        "" | "*" => Ok(None),
        n => u32::from_str_radix(n, 16).ok().filter(|n| *n <= most).map(Some).ok_or_else(fault),
    };
    let (place, function) = text.split_once('.').map_or((text, ""), |(p, f)| (p, f));
    let mut parts = place.rsplit(':');
    let (device, bus, domain) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    if parts.next().is_some() {
        return Err(fault());
    }
    let byte = |n: Option<u32>| n.and_then(|n| u8::try_from(n).ok());
    Ok(Slot {
        domain: number(domain, 0xffff)?.and_then(|n| u16::try_from(n).ok()),
        bus: byte(number(bus, 0xff)?),
        device: byte(number(device, 0x1f)?),
        function: byte(number(function, 7)?),
    })
}

/// Runs `pci`.
pub fn pci(a: &PciArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    each(&a.input.files, !a.json, out, &mut |file, answer| pci_of(a, file, answer))
}

fn pci_of(a: &PciArgs, file: &Path, answer: &mut Answer<'_>) -> Result<Outcome, Failure> {
    let image = open::devices(file, &a.input.source)?;
    let Devices { pci: all, errors, undecoded, .. } = Devices::find(&image, &mut |_| Ok(()))?;
    let globs: Vec<String> = a.device.iter().map(|g| with_ids(g)).collect();
    let devices: Vec<&pci::PciDevice> = all
        .iter()
        .filter(|d| globs.is_empty() || globs.iter().any(|g| d.matches(g)))
        .filter(|d| a.slot.is_empty() || a.slot.iter().any(|s| s.matches(d)))
        .collect();
    if !undecoded.is_empty() {
        let (n, names) = (undecoded.len(), list(&undecoded));
        say(Role::Name, "warning", &format!("{n} PCI devices cannot be decoded for want of a description: {names}"));
    }
    if all.is_empty() && undecoded.is_empty() {
        say(Role::Name, "note", "no PCI devices in this state");
    } else if devices.is_empty() && !all.is_empty() {
        return Err(none_matches(all.iter().map(pci::PciDevice::name).collect()));
    }
    if a.json {
        let (findings, complete) = findings(&image, &errors);
        let document = render::pci_json::document(image.machine(), &devices, findings, complete);
        answer.document(&document)?;
    } else if a.tree {
        render::pci::buses(answer.out, &all, &style::paint)?;
    } else {
        let level = match a.verbose {
            0 => Level::Short,
            1 => Level::Verbose,
            _ => Level::All,
        };
        let numbers = match a.numbers {
            0 => Numbers::No,
            1 => Numbers::Only,
            _ => Numbers::Too,
        };
        let dump = match a.hex {
            0 => 0,
            1 | 2 => 64,
            3 => 256,
            _ => 4096,
        };
        let o = PciOptions { level, numbers, dump, paint: &style::paint };
        render::pci::list(answer.out, &devices, &o)?;
    }
    Ok(open::verdict(&image, &problems(&errors)))
}

/// Runs `virtio`.
pub fn virtio(a: &VirtioArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    each(&a.input.files, !a.json, out, &mut |file, answer| virtio_of(a, file, answer))
}

fn virtio_of(a: &VirtioArgs, file: &Path, answer: &mut Answer<'_>) -> Result<Outcome, Failure> {
    // the pages of a pipe go to a temporary file
    let options = open::options(&a.input.source)?;
    let options = if a.rings { options.keep_memory(u64::MAX) } else { options };
    let image = open::image(file, options)?;
    let Devices { virtio: all, errors, .. } = Devices::find(&image, &mut |_| Ok(()))?;
    let chosen: Vec<&virtio::VirtioDevice> =
        all.iter().filter(|d| a.device.is_empty() || a.device.iter().any(|g| d.matches(g))).collect();
    if all.is_empty() {
        say(Role::Name, "note", "no virtio devices in this state");
    }
    if chosen.is_empty() && !all.is_empty() {
        return Err(none_matches(all.iter().map(|d| format!("{} {}", d.place(), d.kind.name)).collect()));
    }
    let memory = if a.rings { Some(image.memory()?) } else { None };
    let shown = |device: &virtio::VirtioDevice, memory: &GuestMemory| {
        device.queues.iter().map(|q| rings::inspect(device, q, memory)).collect()
    };
    let devices: Vec<Shown<'_>> = chosen
        .into_iter()
        .map(|device| Shown { device, rings: memory.map(|m| shown(device, m)).unwrap_or_default() })
        .collect();
    if a.json {
        let (findings, complete) = findings(&image, &errors);
        let document = render::virtio_json::document(image.machine(), &devices, findings, complete);
        answer.document(&document)?;
    } else {
        render::virtio::list(answer.out, &devices, a.verbose, &style::paint)?;
    }
    Ok(open::verdict(&image, &problems(&errors)))
}
