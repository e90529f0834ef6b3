//! The paved path: a saved state, opened, walked, and its devices decoded.

mod device;
mod options;
mod readers;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub use device::Device;
pub use options::OpenOptions;

use crate::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_VMDESC_BYTES;
use crate::machine::{self, MapFacts, VirtioMem};
use crate::memory::{GuestMemory, PageIndex};
use crate::names::RecordType;
use crate::ram::{BlockList, PageSink, RamBlock, RamReader};
use crate::schema::{DeviceSchema, Document, Schema};
use crate::sink::{FileRules, ImageFiles, ImageReport, PageImages, Plan, Whole};
use crate::stream::{self, Depth, Fact, Section, Walk, WalkOptions};
use crate::text::{Name, list, quoted};
use crate::value::{FieldPath, Node};
use crate::wire::Cursor;
use readers::Readers;

/// A saved state that has been walked.
pub struct SaveImage {
    container: Container,
    walk: Walk,
    external_schema: Option<Arc<Schema>>,
    live: HashMap<u32, Vec<Fact>>,
    ram: Option<RamReader>,
    memory: OnceLock<GuestMemory>,
}

impl SaveImage {
    /// Opens a file: a migration stream, a libvirt save image, a qcow2 image with one snapshot, or any of them compressed.
    ///
    /// # Errors
    /// `Io`; `NotASaveImage` and `Unsupported`, with the name of what the file is instead. All other faults are in
    /// [`SaveImage::fault`] and [`SaveImage::walk`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().open(path)
    }

    /// Opens a reader that cannot seek.
    ///
    /// # Errors
    /// Same as [`SaveImage::open`].
    pub fn from_reader(reader: impl Read + Send + 'static) -> Result<Self> {
        OpenOptions::new().from_reader(reader)
    }

    /// Opens bytes in memory.
    ///
    /// # Errors
    /// Same as [`SaveImage::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        OpenOptions::new().from_bytes(bytes)
    }

    /// Returns the options, to change them and open a state.
    pub fn options<'a>() -> OpenOptions<'a> {
        OpenOptions::new()
    }

    /// Returns the error at which the stream could not be read further, if there was one; what lies before it is in the image.
    #[must_use]
    pub fn fault(&self) -> Option<&Error> {
        self.walk.stopped.as_ref()
    }

    /// Returns what the file is.
    #[must_use]
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Returns what the walk found.
    #[must_use]
    pub fn walk(&self) -> &Walk {
        &self.walk
    }

    /// Returns the size of the stream in bytes, trailing bytes included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.container.source.size().unwrap_or(self.walk.accounted)
    }

    /// Returns the description: the stream's own, or the external one.
    #[must_use]
    pub fn schema(&self) -> Option<&Schema> {
        self.walk.description.as_deref().map(|d| &d.schema).or(self.external_schema.as_deref())
    }

    /// Reads the JSON of the stream's own description once more, to print it; only the compiled form is in memory.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` when the file was changed since it was opened.
    pub fn description(&self) -> Result<Option<Document>> {
        let Some(range) = self.walk.description.as_ref().map(|d| d.text) else { return Ok(None) };
        let mut c = Cursor::new(self.container.source.as_ref(), range.start);
        let text = c.take_vec(range.len(), MAX_VMDESC_BYTES * 2, "description")?;
        Document::new(text).map(Some).map_err(|e| e.at(range.start))
    }

    /// Returns the description of a section.
    #[must_use]
    pub fn device_schema(&self, section: &Section) -> Option<&DeviceSchema> {
        self.schema()?.devices.get(section.device?)
    }

    /// Returns the RAM blocks, in the order of the stream.
    #[must_use]
    pub fn ram_blocks(&self) -> &[RamBlock] {
        self.ram.as_ref().map(RamReader::blocks).unwrap_or_default()
    }

    /// Returns the reader of the RAM section with its counts, when there is such a section.
    #[must_use]
    pub fn ram(&self) -> Option<&RamReader> {
        self.ram.as_ref()
    }

    /// Returns what is known of a live section.
    #[must_use]
    pub fn facts(&self, section: &Section) -> &[Fact] {
        self.live.get(&section.header.section_id).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the device sections, in stream order.
    pub fn device_sections(&self) -> impl Iterator<Item = &Section> {
        self.walk.sections.iter().filter(|s| s.header.kind == RecordType::FULL)
    }

    /// Returns the machine type, where the stream says it.
    #[must_use]
    pub fn machine(&self) -> Option<&Name> {
        self.walk.configuration.as_ref().map(|c| &c.machine)
    }

    /// Returns what the device sections say of the map of memory.
    #[must_use]
    pub fn map_facts(&self) -> MapFacts {
        let mut facts = MapFacts::default();
        for section in self.device_sections() {
            let Some(schema) = self.device_schema(section) else { continue };
            match schema.vmsd.name.exact() {
                "mc146818rtc" => {
                    let Ok(d) = self.decode(section) else { continue };
                    facts.cmos = d.root().child("cmos_data").and_then(Node::as_bytes).map(<[u8]>::to_vec);
                }
                "virtio-mem-device-early" => {
                    let Ok(d) = self.decode(section) else { continue };
                    let number = |name: &str| {
                        let hit = FieldPath::new(&format!("*{name}")).select(d.root());
                        hit.first().and_then(|(_, n)| n.as_u64())
                    };
                    let path = section.header.idstr.exact().rsplit_once('/').map_or("", |(p, _)| p).to_owned();
                    if let (Some(address), Some(bytes)) = (number(".addr"), number(".region_size")) {
                        facts.virtio_mem.push(VirtioMem { path, address, bytes });
                    }
                }
                _ => {}
            }
        }
        facts
    }

    /// Returns guest memory, to be read at any address. The first call walks over the records of a file once more, without
    /// their pages; of a pipe, memory is there if it was opened with [`OpenOptions::keep_memory`].
    ///
    /// # Errors
    /// `Missing` when the state has no memory, or came from a pipe whose pages were not kept or were too many; `Io`, and those of
    /// the walk.
    pub fn memory(&self) -> Result<&GuestMemory> {
        if let Some(m) = self.memory.get() {
            return Ok(m);
        }
        if self.ram.is_none() {
            return Err(Error::new(ErrorKind::Missing, "the stream has no ram section"));
        }
        if self.container.source.is_transient() {
            let what = "the pages of a pipe were not kept, or were too many to be kept";
            return Err(Error::new(ErrorKind::Missing, what));
        }
        let mut index = PageIndex::new(&self.container.budget);
        match self.walk_pages(&mut index).stopped {
            Some(e) if matches!(e.kind(), ErrorKind::Io | ErrorKind::LimitExceeded) => Err(e),
            _ => self.place_memory(index),
        }
    }

    /// Walks over all records once more.
    fn walk_pages(&self, sink: &mut dyn PageSink) -> Walk {
        let mut readers = Readers::new(&self.container, sink);
        let external_schema = self.external_schema.as_deref();
        let how = WalkOptions { depth: Depth::Full, external_schema, budget: self.container.budget.clone() };
        stream::walk(self.container.source.as_ref(), &how, &mut readers)
    }

    /// Writes the memory of one RAM block to a new file, sparse, which only its owner may read.
    ///
    /// The file has its final name only if all of the block could be written. Otherwise the error says why, and what could be
    /// written is in a file whose name ends with `.partial`.
    ///
    /// # Errors
    /// `Missing` when there is no such block, and for a pipe, which cannot be read again; `Io`, also when the file exists;
    /// `Truncated` and `Corrupt` when not all of the block could be read.
    pub fn extract(&self, block: &str, path: impl AsRef<Path>) -> Result<ImageReport> {
        let missing = |what: String| Error::new(ErrorKind::Missing, what);
        if self.container.source.is_transient() {
            return Err(missing("the pages of a pipe cannot be read again".to_owned()));
        }
        let blocks = self.ram_blocks();
        let Some(number) = blocks.iter().position(|b| b.name == *block) else {
            let hint = format!("its blocks are: {}", list(blocks.iter().map(|b| &b.name)));
            return Err(missing(format!("the stream has no RAM block {}", quoted(block))).hint(hint));
        };
        let mut files = ImageFiles::new(FileRules { private: true, ..FileRules::default() });
        let len = blocks.get(number).map_or(0, |b| b.len);
        let mut parts = Some((Plan::raw(blocks, &[number]), vec![files.create_image(path.as_ref(), len)?]));
        let second = || Error::new(ErrorKind::Unsupported, "a second list of RAM blocks");
        let planner = Box::new(move |_: &BlockList<'_>| parts.take().ok_or_else(second));
        let mut sink = PageImages::new(planner, &self.container.budget);
        let stopped = self.walk_pages(&mut sink).stopped;
        let report = sink.finish()?;
        drop(sink);
        let bad = report.bad_pages.first().map(|(_, at, why)| {
            Error::new(ErrorKind::Corrupt, format!("{}: the page at {at:#x} is not sound: {why}", quoted(block)))
        });
        let fault = stopped.or(bad);
        files.finish(if fault.is_some() { Whole::No } else { Whole::Yes })?;
        fault.map_or(Ok(report), Err)
    }

    /// Puts an index of pages and the map of memory together.
    fn place_memory(&self, index: PageIndex) -> Result<&GuestMemory> {
        let Some(ram) = &self.ram else { return Err(Error::new(ErrorKind::Missing, "the stream has no ram section")) };
        let map = machine::layout(self.machine(), ram.blocks(), &self.map_facts());
        let source = Arc::clone(&self.container.source);
        let memory = GuestMemory::new(source, *ram.context(), ram.blocks(), index, map)?;
        Ok(self.memory.get_or_init(|| memory))
    }
}

fn with_file_offset(e: Error, c: &Container) -> Error {
    match e.stream_offset() {
        Some(o) if c.in_place => e.at_file(c.stream_start.plus(o.0)),
        _ => e,
    }
}
