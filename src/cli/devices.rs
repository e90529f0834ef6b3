//! `pci` and `virtio`: devices by what they are.

use std::io::Write;

use super::args::{PciArgs, VirtioArgs};
use super::exit::{Failure, Outcome};
use super::{open, style};
use crate::decode::virtio::rings;
use crate::decode::{Section, pci, virtio};
use crate::image::{OpenOptions, SaveImage};
use crate::render::pci::Level;
use crate::render::state_json::FindingJson;
use crate::render::virtio::Shown;
use crate::render::{self};
use crate::sink::GuestPages;
use crate::text::Name;

/// The PCI and virtio devices of a state, and what could not be decoded on the way.
pub struct Found {
    pub pci: Vec<pci::Device>,
    pub virtio: Vec<virtio::Device>,
    findings: Vec<FindingJson>,
    problems: Vec<String>,
}

/// Decodes the devices of a state.
pub fn find(image: &SaveImage) -> Result<Found, Failure> {
    let mut all = pci::Devices::default();
    let mut channels = virtio::Devices::new(image.machine());
    let (mut findings, mut problems) = (Vec::new(), Vec::new());
    for section in image.device_sections() {
        let device = image.device(section)?;
        let vmsd = image.device_schema(section).map_or(Name::empty(), |d| &d.vmsd.name);
        let given =
            Section { idstr: &section.header.idstr, instance: section.header.instance_id, vmsd, root: device.root() };
        all.add(&given);
        channels.add(&given);
        findings.extend(device.decoded.errors.iter().map(FindingJson::from));
        problems.extend(device.decoded.errors.iter().map(ToString::to_string));
    }
    let pci = all.finish();
    let virtio = channels.finish(&pci);
    Ok(Found { pci, virtio, findings, problems })
}

/// Returns the findings of the walk and of the decoding, and whether the answer is complete.
fn findings(image: &SaveImage, found: Found) -> (Vec<FindingJson>, bool) {
    let walk = image.walk();
    let complete = found.problems.is_empty() && walk.stopped.is_none() && !walk.found.has_errors();
    let mut all: Vec<FindingJson> = walk.found.list().iter().map(FindingJson::from).collect();
    all.extend(found.findings);
    all.extend(walk.stopped.iter().map(FindingJson::from));
    (all, complete)
}

fn none_matches(names: Vec<String>) -> Failure {
    if names.is_empty() {
        return Failure::Usage("nothing matches; the state has no such device".to_owned());
    }
    Failure::Usage(format!("nothing matches; the devices are: {}", names.join(", ")))
}

/// Runs `pci`.
pub fn pci(a: &PciArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let image = open::devices(&a.input.file, &a.input.how)?;
    let mut found = find(&image)?;
    let problems = std::mem::take(&mut found.problems);
    let all = std::mem::take(&mut found.pci);
    let devices: Vec<&pci::Device> =
        all.iter().filter(|d| a.device.is_empty() || a.device.iter().any(|g| d.matches(g))).collect();
    if devices.is_empty() && !all.is_empty() {
        return Err(none_matches(all.iter().map(pci::Device::name).collect()));
    }
    if a.json {
        let (findings, complete) = findings(&image, found);
        let document = render::pci_json::document(image.machine(), &devices, findings, complete && problems.is_empty());
        render::pretty(&mut *out, &document)?;
    } else if a.tree {
        render::pci::buses(out, &all, &style::paint)?;
    } else {
        let level = match a.verbose {
            0 => Level::Short,
            1 => Level::Verbose,
            _ => Level::All,
        };
        render::pci::list(out, &devices, level, &style::paint)?;
    }
    Ok(open::verdict(&image, &problems))
}

/// Runs `virtio`.
pub fn virtio(a: &VirtioArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    if a.rings && a.input.file.as_os_str() == "-" {
        let why = "--rings reads the state twice and needs a file, not standard input";
        return Err(Failure::Usage(why.to_owned()));
    }
    let image = open::devices(&a.input.file, &a.input.how)?;
    let mut found = find(&image)?;
    let problems = std::mem::take(&mut found.problems);
    let all = std::mem::take(&mut found.virtio);
    let chosen: Vec<&virtio::Device> =
        all.iter().filter(|d| a.device.is_empty() || a.device.iter().any(|g| d.matches(g))).collect();
    if chosen.is_empty() && !all.is_empty() {
        return Err(none_matches(all.iter().map(|d| format!("{} {}", d.place(), d.kind.name)).collect()));
    }
    let memory = if a.rings { Some(memory(a, &image, &chosen)?) } else { None };
    let shown = |device: &virtio::Device, memory: &GuestPages| {
        device.queues.iter().map(|q| rings::inspect(device, q, memory)).collect()
    };
    let devices: Vec<Shown<'_>> = chosen
        .into_iter()
        .map(|device| Shown { device, rings: memory.as_ref().map(|m| shown(device, m)).unwrap_or_default() })
        .collect();
    if a.json {
        let (findings, complete) = findings(&image, found);
        let document =
            render::virtio_json::document(image.machine(), &devices, findings, complete && problems.is_empty());
        render::pretty(&mut *out, &document)?;
    } else {
        render::virtio::list(out, &devices, a.verbose, &style::paint)?;
    }
    Ok(open::verdict(&image, &problems))
}

/// Walks the state again for the pages that the rings are in.
fn memory(a: &VirtioArgs, image: &SaveImage, devices: &[&virtio::Device]) -> Result<GuestPages, Failure> {
    let ranges = devices.iter().flat_map(|d| &d.queues).flat_map(rings::wanted).collect();
    let mut pages = GuestPages::new(ranges, image.map_facts());
    let options = OpenOptions { full: true, pages: Some(&mut pages), ..open::options(&a.input.how)? };
    SaveImage::open(&a.input.file, options)?;
    Ok(pages)
}
