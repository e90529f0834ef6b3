//! `pci` and `virtio`: devices by what they are.

use std::io::Write;
use std::path::Path;

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome};
use super::many::{Answer, InputsArgs, each};
use super::{open, style};
use crate::decode::virtio::rings;
use crate::decode::{pci, virtio};
use crate::error::Error;
use crate::image::SaveImage;
use crate::inspect::Devices;
use crate::memory::GuestMemory;
use crate::render::pci::Level;
use crate::render::state_json::FindingJson;
use crate::render::virtio::Shown;
use crate::render::{self};

/// Arguments of `pci`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze pci vm.mig
  savevm-analyze pci vm.mig -v --device 00:02.0
  savevm-analyze pci vm.mig -t
  savevm-analyze pci vm.mig --json | jq '.devices[].bars'")]
pub struct PciArgs {
    #[command(flatten)]
    pub input: InputsArgs,
    /// Print registers and capabilities; twice, MSI-X tables and extended capabilities too.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print the tree of buses.
    #[arg(short, long, conflicts_with_all = ["json", "verbose", "device"])]
    pub tree: bool,
    /// Only devices whose address, section, vmsd, or vendor:device matches. May be given several times.
    #[arg(short, long, value_name = "GLOB")]
    pub device: Vec<String>,
    /// Print JSON (schemas/output/pci.schema.json).
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
    /// Print all of the configuration, addresses of the queues, and queues that are not set up.
    #[arg(short, long)]
    pub verbose: bool,
    /// Read the rings in guest memory: pending requests, and indices that make no sense.
    #[arg(long)]
    pub rings: bool,
    /// Only devices whose kind, address, section or vmsd matches. May be given several times.
    #[arg(short, long, value_name = "GLOB")]
    pub device: Vec<String>,
    /// Print JSON (schemas/output/virtio.schema.json).
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
        return Failure::Usage("nothing matches; the state has no such device".to_owned());
    }
    Failure::Usage(format!("nothing matches; the devices are: {}", names.join(", ")))
}

/// Runs `pci`.
pub fn pci(a: &PciArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    each(&a.input.files, !a.json, out, &mut |file, answer| pci_of(a, file, answer))
}

fn pci_of(a: &PciArgs, file: &Path, answer: &mut Answer<'_>) -> Result<Outcome, Failure> {
    let image = open::devices(file, &a.input.source)?;
    let Devices { pci: all, errors, .. } = Devices::find(&image, &mut |_| Ok(()))?;
    let devices: Vec<&pci::Device> =
        all.iter().filter(|d| a.device.is_empty() || a.device.iter().any(|g| d.matches(g))).collect();
    if devices.is_empty() && !all.is_empty() {
        return Err(none_matches(all.iter().map(pci::Device::name).collect()));
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
        render::pci::list(answer.out, &devices, level, &style::paint)?;
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
    let chosen: Vec<&virtio::Device> =
        all.iter().filter(|d| a.device.is_empty() || a.device.iter().any(|g| d.matches(g))).collect();
    if chosen.is_empty() && !all.is_empty() {
        return Err(none_matches(all.iter().map(|d| format!("{} {}", d.place(), d.kind.name)).collect()));
    }
    let memory = if a.rings { Some(image.memory()?) } else { None };
    let shown = |device: &virtio::Device, memory: &GuestMemory| {
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
