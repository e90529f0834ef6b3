//! A side of the comparison: what a stream, a dump, or both tell of one QEMU.

use std::collections::HashMap;
use std::sync::Arc;

use super::dump::Dump;
use super::layout::Layout;
use crate::error::Result;
use crate::image::SaveImage;
use crate::names::Command;
use crate::offset::StreamRange;
use crate::ram::RamBlock;
use crate::schema::DeviceSchema;
use crate::stream::{Configuration, Section};
use crate::value::Node;

/// What is known of one side; at least one of the two is there.
#[derive(Debug, Default)]
pub struct Side {
    /// What it wrote.
    pub stream: Option<StreamFacts>,
    /// What its binary reads and writes.
    pub dump: Option<Dump>,
    /// The machine type, when the user names it.
    pub machine: Option<String>,
}

/// What a stream tells.
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
    /// What could not be decoded.
    pub faults: Vec<String>,
    places: HashMap<(Arc<str>, u32), Vec<usize>>,
}

/// A section.
#[derive(Debug)]
pub struct SectionFacts {
    /// Its name.
    pub idstr: Arc<str>,
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
    /// Its values; nothing for live sections.
    pub root: Option<Node>,
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
        for section in &walk.sections {
            let facts = out.section(image, section)?;
            out.places.entry((facts.idstr.clone(), facts.instance)).or_default().push(out.sections.len());
            out.sections.push(facts);
        }
        Ok(out)
    }

    fn section(&mut self, image: &SaveImage, section: &Section) -> Result<SectionFacts> {
        let h = &section.header;
        let live = h.kind != crate::names::RecordType::FULL;
        let described = |d: &&DeviceSchema| !d.vmsd.name.is_empty();
        let layout = image.device_schema(section).filter(described).map(|d| Layout::of_stream(&d.vmsd));
        let root = if live {
            None
        } else {
            let device = image.device(section)?;
            self.faults.extend(device.decoded.errors.iter().map(ToString::to_string));
            Some(device.decoded.root)
        };
        Ok(SectionFacts {
            idstr: h.idstr.clone(),
            instance: h.instance_id,
            version: h.version_id,
            range: section.payload,
            live,
            described: image.device_schema(section).is_some(),
            layout,
            root,
        })
    }

    /// Returns the machine type.
    #[must_use]
    pub fn machine(&self) -> Option<&str> {
        self.configuration.as_ref().map(|c| c.machine.as_str())
    }

    /// Returns the section of a name and an instance, of several the n-th or the last: QEMU itself loads each into the first
    /// that it finds (`find_se` in `migration/savevm.c`).
    #[must_use]
    pub fn find(&self, idstr: &Arc<str>, instance: u32, n: usize) -> Option<&SectionFacts> {
        let all = self.places.get(&(idstr.clone(), instance))?;
        self.sections.get(*all.get(n).or(all.last())?)
    }

    /// Tells whether the machine has not run yet: it was started with `-S`.
    #[must_use]
    pub fn never_ran(&self) -> bool {
        let state = self.sections.iter().find(|s| &*s.idstr == "globalstate");
        let text = state.and_then(|s| s.root.as_ref()).and_then(|r| r.child("runstate"));
        text.and_then(Node::as_bytes).is_some_and(|b| b.starts_with(b"prelaunch\0"))
    }
}

impl SectionFacts {
    /// Returns the name of the vmsd; empty where there is none.
    #[must_use]
    pub fn vmsd(&self) -> &str {
        self.layout.as_ref().map_or("", |l| &l.name)
    }
}

impl Side {
    /// Returns the machine type.
    #[must_use]
    pub fn machine(&self) -> Option<&str> {
        if self.machine.is_some() {
            return self.machine.as_deref();
        }
        let configuration = self.stream.as_ref().and_then(|s| s.configuration.as_ref());
        configuration.map(|c| c.machine.as_str()).or(self.dump.as_ref().and_then(|d| d.machine.as_deref()))
    }
}
