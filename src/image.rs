//! The paved path: a saved state, opened, walked, and its devices decoded.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::budget::Charge;
use crate::container::{self, Container, Settings};
use crate::diag::{Diagnostics, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::handler;
use crate::interp::{self, Decoded};
use crate::limits::{MAX_SECTION_BYTES, MAX_VMDESC_BYTES, PASS_OVER};
use crate::machine::{Facts, VirtioMem};
use crate::names::{Command, RecordType};
use crate::offset::{FileOffset, StreamOffset, StreamRange};
use crate::ram::{PageSink, RamBlock, RamContext, RamReader, guess_page_size};
use crate::schema::{DeviceSchema, Document, Schema};
use crate::stream::{self, Context, Depth, Fact, LiveSection, Payloads, Section, SectionHeader, Walk, WalkOptions};
use crate::text::Name;
use crate::value::{Blob, FieldPath, FieldType, Node, Value};
use crate::wire::Cursor;

/// A saved state that has been walked.
pub struct SaveImage {
    container: Container,
    walk: Walk,
    external_schema: Option<Arc<Schema>>,
    live: HashMap<u32, Vec<Fact>>,
    ram: Option<RamReader>,
}

/// How a state is opened.
#[derive(Default)]
pub struct OpenOptions<'a> {
    /// Walk every record; otherwise the device sections are found from the end and guest memory is not read.
    pub full: bool,
    /// How many bytes of guest memory are read rather than passed over, where a question is about devices:
    /// [`PASS_OVER`] if nothing is given.
    pub pass_over: Option<u64>,
    /// A description from elsewhere, for a stream without one.
    pub external_schema: Option<Arc<Schema>>,
    /// How the wrappers are opened.
    pub settings: Settings,
    /// Takes the pages; implies that the walk is full.
    pub pages: Option<&'a mut dyn PageSink>,
}

/// A device section and what it says.
pub struct Device<'a> {
    /// The section.
    pub section: &'a Section,
    /// Its bytes.
    pub payload: Blob,
    /// Its tree, with errors and quirk; without a description one opaque node.
    pub decoded: Decoded,
    _charge: Charge,
}

impl SaveImage {
    /// Opens a file, or standard input for the path `-`.
    ///
    /// # Errors
    /// What makes the whole input unusable: it cannot be read, or it is something else. All other faults are in
    /// [`SaveImage::walk`].
    pub fn open(path: &Path, options: OpenOptions<'_>) -> Result<Self> {
        let container = container::open(path, &options.settings)?;
        Self::walk_container(container, options)
    }

    /// Walks a container.
    ///
    /// # Errors
    /// When not even the stream's header can be read.
    pub fn walk_container(container: Container, options: OpenOptions<'_>) -> Result<Self> {
        let OpenOptions { full, external_schema, pages, pass_over, settings: _ } = options;
        let pass_over = pass_over.unwrap_or(PASS_OVER);
        let depth = if full || pages.is_some() { Depth::Full } else { Depth::Devices { pass_over } };
        let how = WalkOptions { depth, external_schema: external_schema.as_deref(), budget: container.budget.clone() };
        let mut nothing = CountNothing;
        let mut readers = Readers {
            live: HashMap::new(),
            ram: None,
            guessed_page_size: None,
            pages: pages.unwrap_or(&mut nothing),
            stream_start: container.stream_start,
        };
        let mut walk = stream::walk(container.source.as_ref(), &how, &mut readers);
        let guessed = readers.guessed_page_size.take();
        let (live, ram) = readers.finish();
        let mut ram = ram;
        if let Some((page_size, header)) = guessed {
            judge_guess(&mut walk, ram.as_mut(), page_size, header);
        }
        if walk.header.is_none() {
            let e = walk.stopped.take();
            return Err(e.unwrap_or_else(|| Error::new(ErrorKind::NotASaveImage, "no stream header")));
        }
        if let Some(why) = container.source.trouble()
            && walk.stopped.as_ref().is_none_or(|e| e.kind() != ErrorKind::Io)
        {
            // a reader may have taken a failed read for the end, or done without what it wanted
            walk.stopped = Some(Error::new(ErrorKind::Io, why));
        }
        walk.stopped = walk.stopped.map(|e| with_file_offset(e, &container));
        Ok(Self { container, walk, external_schema, live, ram })
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
        let text = c.take_vec(range.len(), MAX_VMDESC_BYTES.saturating_mul(2), "description")?;
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

    /// Reads and decodes a device section.
    ///
    /// # Errors
    /// `Io`. A section that cannot be decoded, or is too long to be held in memory, is no error: its tree says so.
    pub fn device<'a>(&'a self, section: &'a Section) -> Result<Device<'a>> {
        self.device_beside(section, None)
    }

    /// As [`SaveImage::device`], beside the bytes of a section of another state: if it holds the same, they are in memory
    /// once.
    ///
    /// # Errors
    /// As [`SaveImage::device`].
    pub fn device_beside<'a>(&'a self, section: &'a Section, other: Option<&Blob>) -> Result<Device<'a>> {
        let mut charge = self.container.budget.charge("device sections");
        let payload = match (&section.kept, other) {
            (Some(kept), _) => Ok(kept.clone()),
            (None, Some(o)) if self.holds(section.payload, o) => Ok(o.clone()),
            (None, _) => charge.set(section.payload.len()).and_then(|()| self.payload(section.payload)),
        };
        let payload = match payload {
            Err(e) if e.kind() == ErrorKind::Io && !self.container.source.is_transient() => return Err(e),
            Err(e) => return Ok(unread(section, with_file_offset(e, &self.container), charge)),
            Ok(bytes) => bytes,
        };
        let idstr = &section.header.idstr;
        let base = section.payload.start;
        let decoded = match self.device_schema(section) {
            Some(d) => {
                let room = usize::try_from(self.container.budget.room()).unwrap_or(usize::MAX);
                interp::decode_device_within(d, &payload, base, room)
            }
            None => {
                let why = if self.schema().is_none() {
                    "the stream has no description"
                } else {
                    "the description does not mention this section"
                };
                Decoded {
                    root: interp::undescribed(idstr.exact(), &payload, base, why),
                    errors: Vec::new(),
                    quirk: None,
                }
            }
        };
        let errors = decoded.errors.into_iter().map(|e| with_file_offset(e, &self.container)).collect();
        Ok(Device { section, payload, decoded: Decoded { errors, ..decoded }, _charge: charge })
    }

    /// Returns the machine type, where the stream says it.
    #[must_use]
    pub fn machine(&self) -> Option<&Name> {
        self.walk.configuration.as_ref().map(|c| &c.machine)
    }

    /// Returns what the device sections say of the map of memory.
    #[must_use]
    pub fn map_facts(&self) -> Facts {
        let mut facts = Facts::default();
        for section in self.device_sections() {
            let Some(schema) = self.device_schema(section) else { continue };
            match schema.vmsd.name.exact() {
                "mc146818rtc" => {
                    let Ok(d) = self.device(section) else { continue };
                    facts.cmos = d.root().child("cmos_data").and_then(Node::as_bytes).map(<[u8]>::to_vec);
                }
                "virtio-mem-device-early" => {
                    let Ok(d) = self.device(section) else { continue };
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

    /// Tells whether these bytes are in the stream at this place; what cannot be read is not.
    fn holds(&self, range: StreamRange, bytes: &Blob) -> bool {
        let mut c = Cursor::new(self.container.source.as_ref(), range.start);
        range.len() == bytes.len() as u64
            && bytes.as_slice().chunks(64 << 10).all(|piece| c.take(piece.len()).is_ok_and(|found| found == piece))
    }

    fn payload(&self, range: StreamRange) -> Result<Blob> {
        let mut c = Cursor::new(self.container.source.as_ref(), range.start);
        Ok(Blob::new(c.take_vec(range.len(), MAX_SECTION_BYTES, "section")?))
    }
}

impl Device<'_> {
    /// Returns the root of the tree.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.decoded.root
    }

    /// Returns the raw bytes of a node of this device.
    #[must_use]
    pub fn bytes_of(&self, node: &Node) -> &[u8] {
        let base = self.section.payload.start.0;
        let start = usize::try_from(node.range.start.0.saturating_sub(base)).unwrap_or(usize::MAX);
        let end = usize::try_from(node.range.end.0.saturating_sub(base)).unwrap_or(usize::MAX);
        self.payload.as_slice().get(start..end).unwrap_or_default()
    }
}

/// Makes the tree of a section whose bytes are not at hand.
fn unread(section: &Section, e: Error, charge: Charge) -> Device<'_> {
    let record = Node::new(
        section.header.idstr.clone(),
        FieldType::new("struct"),
        section.payload,
        Value::Opaque(Blob::new(Vec::new())),
    );
    let root = record.with_problem(e.message());
    let errors = vec![e.at(section.payload.start).within(section.header.label())];
    Device { section, payload: Blob::new(Vec::new()), decoded: Decoded { root, errors, quirk: None }, _charge: charge }
}

fn with_file_offset(e: Error, c: &Container) -> Error {
    match e.stream_offset() {
        Some(o) if c.in_place => e.at_file(c.stream_start.plus(o.0)),
        _ => e,
    }
}

/// Compares the target page size that was guessed with the one that the description states.
fn judge_guess(walk: &mut Walk, ram: Option<&mut RamReader>, guessed: u64, header: StreamRange) {
    let stated = walk.description.as_ref().and_then(|d| d.schema.page_size);
    if let (Some(p), Some(ram)) = (stated, ram)
        && ram.take_page_size(p)
    {
        return;
    }
    let (severity, code, what) = match stated {
        Some(p) if p == guessed => return,
        Some(p) => (
            Level::Warning,
            "page-size",
            format!("the description states a target page size of {p}, the first records fit {guessed}"),
        ),
        None => (
            Level::Note,
            "page-size-guessed",
            format!("target page size not recorded; guessed {guessed} from the first RAM records"),
        ),
    };
    walk.found.add(severity, code, Some(header), Some("ram"), what);
}

/// The readers of payloads that no description covers.
struct Readers<'s> {
    live: HashMap<u32, Box<dyn LiveSection>>,
    ram: Option<(u32, RamReader)>,
    /// The target page size, if it was guessed, and the header of the `ram` section.
    guessed_page_size: Option<(u64, StreamRange)>,
    pages: &'s mut dyn PageSink,
    stream_start: FileOffset,
}

impl Readers<'_> {
    fn finish(self) -> (HashMap<u32, Vec<Fact>>, Option<RamReader>) {
        (self.live.into_iter().map(|(id, l)| (id, l.facts())).collect(), self.ram.map(|(_, r)| r))
    }

    fn open_ram(&mut self, c: &mut Cursor<'_>, h: &SectionHeader, ctx: &Context, found: &mut Diagnostics) -> bool {
        if !matches!(h.version_id, 3 | 4) {
            let what = format!(
                "the ram section has version {}; versions 3 (QEMU 0.10) and 4 (0.14 and later) are read",
                h.version_id
            );
            found.add(Level::Error, "ram-version", Some(h.range), Some("ram"), what);
            return false;
        }
        let config = ctx.configuration.as_ref();
        let has = |cap: &str| config.is_some_and(|c| c.has_capability(cap));
        let mut ram = RamContext {
            version: h.version_id,
            target_page: 4096,
            ignore_shared: has("x-ignore-shared"),
            mapped_ram: has("mapped-ram"),
            page_size_mask: ctx.advise.map(|(mask, _)| mask),
            stream_start: self.stream_start,
        };
        let bits = config.and_then(|c| c.target_page_bits).and_then(|b| 1_u64.checked_shl(b));
        let sound = |p: &u64| p.is_power_of_two() && (256..=1 << 20).contains(p);
        // the description comes after the memory, and one at the end of the file may be another stream's
        ram.target_page = match bits.or(ctx.advise.map(|(_, p)| p)).filter(sound) {
            Some(p) => p,
            None => {
                let p = guess_page_size(c.source(), h.range.end, h.section_id, &ram).unwrap_or(4096);
                self.guessed_page_size = Some((p, h.range));
                p
            }
        };
        let mut reader = RamReader::new(ram, config.map(|c| c.machine.clone()));
        // a second ram section brings a second list, as COLO does
        reader.count_lists(self.ram.as_ref().map_or(0, |(_, r)| r.lists()));
        self.ram = Some((h.section_id, reader));
        true
    }
}

impl Payloads for Readers<'_> {
    fn open(&mut self, c: &mut Cursor<'_>, h: &SectionHeader, ctx: &Context, found: &mut Diagnostics) -> bool {
        if h.idstr == "ram" && h.kind == RecordType::START {
            return self.open_ram(c, h, ctx, found);
        }
        let Some(kind) = handler::find(h.idstr.exact()) else { return false };
        if h.kind == RecordType::FULL && self.live.contains_key(&h.section_id) {
            return true;
        }
        if !kind.versions.contains(&h.version_id) {
            let what = format!("version {} of {} is not known; its payload is passed over", h.version_id, kind.what);
            found.add(Level::Warning, "live-version", Some(h.range), Some(&h.idstr.to_string()), what);
            return false;
        }
        self.live.insert(h.section_id, (kind.make)());
        true
    }

    fn read(&mut self, c: &mut Cursor<'_>, id: u32, kind: RecordType, found: &mut Diagnostics) -> Result<()> {
        if let Some((ram_id, ram)) = &mut self.ram
            && *ram_id == id
        {
            return ram.read(c, self.pages);
        }
        match self.live.get_mut(&id) {
            Some(l) => l.read(c, kind, found),
            None => Err(Error::new(ErrorKind::Unsupported, "no reader for this section").at(c.offset())),
        }
    }

    fn command(&mut self, command: Command, payload: &[u8], at: StreamOffset) -> Result<()> {
        match (command, &mut self.ram) {
            (Command::POSTCOPY_RAM_DISCARD, Some((_, ram))) => ram.discard(payload, at, self.pages),
            _ => Ok(()),
        }
    }
}

/// A sink for walks that are not about pages.
struct CountNothing;

impl PageSink for CountNothing {
    fn page(&mut self, _: crate::ram::PageAt, _: crate::ram::Page<'_>) -> Result<()> {
        Ok(())
    }

    fn mapped(&mut self, _: crate::ram::MappedRun, _: &dyn crate::wire::Source) -> Result<()> {
        Ok(())
    }

    fn wants_pages(&self) -> bool {
        false
    }

    fn wants(&self, _: crate::ram::PageAt, _: crate::ram::Form) -> bool {
        false
    }
}
