//! The PCI and virtio devices of a state.

use std::collections::HashSet;

use crate::decode::{Section, pci, virtio};
use crate::error::{Error, Result};
use crate::image::{Device, SaveImage};
use crate::text::Name;

/// The PCI and virtio devices of a state, and what could not be decoded on the way.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Devices {
    /// The PCI devices.
    pub pci: Vec<pci::PciDevice>,
    /// The virtio devices.
    pub virtio: Vec<virtio::VirtioDevice>,
    /// What could not be decoded, in stream order.
    pub errors: Vec<Error>,
    /// Sections whose names place them on a PCI bus, and of which no PCI device could be decoded.
    pub undecoded: Vec<Name>,
}

impl Devices {
    /// Decodes the devices of a state; `each` sees every device section on the way.
    ///
    /// # Errors
    /// `Io`, and those of `each`.
    pub fn find(image: &SaveImage, each: &mut dyn FnMut(&Device<'_>) -> Result<()>) -> Result<Self> {
        let mut all = pci::PciDevices::default();
        let mut channels = virtio::VirtioDevices::new(image.machine());
        let mut errors = Vec::new();
        for section in image.device_sections() {
            let device = image.decode(section)?;
            let vmsd = image.device_schema(section).map_or(Name::empty(), |d| &d.vmsd.name);
            let (idstr, instance) = (&section.header.idstr, section.header.instance_id);
            let given = Section { idstr, instance, vmsd, root: device.root() };
            all.add(&given);
            channels.add(&given);
            each(&device)?;
            errors.extend(device.decoded.errors);
        }
        let pci = all.finish();
        let path = |n: &Name| n.exact().split('/').next().unwrap_or_default().to_owned();
        let known: HashSet<String> = pci.iter().map(|d| path(&d.section)).collect();
        let on_a_bus = |n: &&Name| pci::Address::of_section(n.exact()).is_some() && !known.contains(&path(n));
        let mut undecoded: Vec<Name> = Vec::new();
        let mut paths: HashSet<String> = HashSet::new();
        for name in image.device_sections().map(|s| &s.header.idstr).filter(on_a_bus) {
            if paths.insert(path(name)) {
                undecoded.push(name.clone());
            }
        }
        let virtio = channels.finish(&pci);
        Ok(Self { pci, virtio, errors, undecoded })
    }
}
