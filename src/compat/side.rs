//! A side of the comparison: what a stream, a dump, or both contain about one QEMU.

use std::collections::HashMap;

use super::dump::Dump;
use super::layout::Layout;
use super::values::Values;
use crate::decode::{self, pci, virtio};
use crate::error::Result;
use crate::image::SaveImage;
use crate::limits::MAX_DIAGNOSTICS;
use crate::names::Command;
use crate::offset::StreamRange;
use crate::ram::RamBlock;
use crate::schema::DeviceSchema;
use crate::stream::{Configuration, Section};
use crate::text::Name;

/// What is known of one side; at least one of the two is there.
#[derive(Debug, Default)]
pub struct Side {
    /// What it wrote.
    pub stream: Option<StreamFacts>,
    /// What its binary reads and writes.
    pub dump: Option<Dump>,
    /// The machine type, when the user names it.
    pub machine: Option<Name>,
}

/// The facts of a stream.
#[derive(Debug, Default)]
pub struct StreamFacts {
    /// The configuration section.
    pub configuration: Option<Configuration>,
    /// The commands, in the order of the stream.
    pub commands: Vec<(Command, StreamRange)>,
    /// Whether sections have footers, when there is a section.
    pub footers: Option<bool>,
    /// The target page size in bytes.
    pub page_size: Option<u64>,
    /// Whether there is a `ram` section with a list of blocks.
    pub has_ram: bool,
    /// The RAM blocks.
    pub blocks: Vec<RamBlock>,
    /// The sections, in the order of the stream.
    pub sections: Vec<SectionFacts>,
    /// The run state that the target is to take over (`globalstate`), where the stream has it.
    pub run_state: Option<(Name, StreamRange)>,
    /// The PCI devices.
    pub pci: Vec<pci::PciDevice>,
    /// The virtio devices.
    pub virtio: Vec<virtio::VirtioDevice>,
    /// What could not be decoded.
    pub faults: Vec<String>,
    places: HashMap<(Name, u32), Vec<usize>>,
}

/// A section.
#[derive(Debug)]
#[non_exhaustive]
pub struct SectionFacts {
    /// Its name.
    pub idstr: Name,
    /// Its instance.
    pub instance: u32,
    /// The version in its header.
    pub version: u32,
    /// Its payload.
    pub range: StreamRange,
    /// Whether it is one of a live handler, which no description covers.
    pub live: bool,
    /// Whether a description mentions it.
    pub described: bool,
    /// Its layout, where it is described by a vmsd.
    pub layout: Option<Layout>,
    /// What its values say; trees are not kept, since all of them together may be large.
    pub values: Values,
}

impl StreamFacts {
    /// Gathers them.
    ///
    /// # Errors
    /// `Io`.
    pub fn of(image: &SaveImage) -> Result<Self> {
        let walk = image.walk();
        let mut out = Self {
            configuration: walk.configuration.clone(),
            commands: walk.commands.iter().map(|c| (c.command, c.range)).collect(),
            footers: walk.footers,
            page_size: image.schema().and_then(|s| s.page_size),
            has_ram: image.ram().is_some(),
            blocks: image.ram_blocks().to_vec(),
            ..Self::default()
        };
        out.faults.extend(walk.stopped.iter().map(ToString::to_string));
        let (mut pci, mut virtio) = (pci::PciDevices::default(), virtio::VirtioDevices::new(image.machine()));
        for section in &walk.sections {
            let facts = out.section(image, section, &mut pci, &mut virtio)?;
            out.places.entry((facts.idstr.clone(), facts.instance)).or_default().push(out.sections.len());
            out.sections.push(facts);
        }
        out.pci = pci.finish();
        out.virtio = virtio.finish(&out.pci);
        Ok(out)
    }

    fn section(
        &mut self,
        image: &SaveImage,
        section: &Section,
        pci: &mut pci::PciDevices,
        virtio: &mut virtio::VirtioDevices,
    ) -> Result<SectionFacts> {
        let h = &section.header;
        let live = h.kind != crate::names::RecordType::FULL;
        let described = |d: &&DeviceSchema| !d.vmsd.name.is_empty();
        let layout = image.device_schema(section).filter(described).map(|d| Layout::of_stream(&d.vmsd));
        let mut values = Values::default();
        if !live {
            let device = image.decode(section)?;
            let room = MAX_DIAGNOSTICS.saturating_sub(self.faults.len());
            self.faults.extend(device.decoded.errors.iter().take(room).map(ToString::to_string));
            let root = device.root();
            let vmsd = layout.as_ref().map_or(Name::empty(), |l| &l.name);
            let given = decode::Section { idstr: &h.idstr, instance: h.instance_id, vmsd, root };
            pci.add(&given);
            virtio.add(&given);
            values = Values::of(root);
            if h.idstr == "globalstate"
                && let Some(node) = root.child("runstate")
                && let Some(text) = node.as_bytes().and_then(|b| b.split(|c| *c == 0).next())
            {
                self.run_state = Some((Name::from_bytes(text), node.range));
            }
        }
        Ok(SectionFacts {
            idstr: h.idstr.clone(),
            instance: h.instance_id,
            version: h.version_id,
            range: section.payload,
            live,
            described: image.device_schema(section).is_some(),
            layout,
            values,
        })
    }

    /// Returns the machine type.
    #[must_use]
    pub fn machine(&self) -> Option<&Name> {
        self.configuration.as_ref().map(|c| &c.machine)
    }

    /// Returns `true` if the machine has not run yet: it was started with `-S`.
    #[must_use]
    pub fn never_ran(&self) -> bool {
        self.run_state.as_ref().is_some_and(|(state, _)| *state == "prelaunch")
    }

    /// Returns `true` for a state without memory and configuration, as `xen-save-devices-state` writes it.
    #[must_use]
    pub fn is_devices_only(&self) -> bool {
        !self.has_ram && self.configuration.is_none() && self.sections.iter().any(|s| !s.live)
    }

    /// Returns the section of a name and an instance, of several the n-th or the last: QEMU itself loads each into the first
    /// that it finds (`find_se` in `migration/savevm.c`).
    #[must_use]
    pub fn find(&self, idstr: &Name, instance: u32, n: usize) -> Option<&SectionFacts> {
        let all = self.places.get(&(idstr.clone(), instance))?;
        self.sections.get(*all.get(n).or(all.last())?)
    }
}

impl Side {
    /// Returns the machine type.
    #[must_use]
    pub fn machine(&self) -> Option<&Name> {
        if self.machine.is_some() {
            return self.machine.as_ref();
        }
        // a dump holds the whole binary, whatever machine it was made with
        self.stream.as_ref().and_then(|s| s.configuration.as_ref()).map(|c| &c.machine)
    }
}
