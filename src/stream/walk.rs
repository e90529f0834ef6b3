//! Walks the records of a stream.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::configuration::{self, Configuration};
use super::frame::{self, SectionHeader};
use super::resync::{self, Known};
use super::tail::{self, Description};
use crate::diag::{Diagnostics, Severity};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_LISTED, MAX_PIPE_BYTES, MAX_SECTION_BYTES, MAX_VMDESC_BYTES};
use crate::names::{Command, RecordType};
use crate::offset::{StreamOffset, StreamRange};
use crate::schema::{self, DeviceSchema, Schema};
use crate::value::Blob;
use crate::wire::{Cursor, Source};

/// How much of a stream a walk looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Only what questions about devices need: from the first PART on, the walk goes to the device sections at the end.
    Devices,
    /// Every record.
    Full,
}

/// What is known when a section begins.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The configuration section.
    pub configuration: Option<Configuration>,
    /// The page size of the description.
    pub described_page_size: Option<u64>,
    /// The two numbers of a POSTCOPY_ADVISE command: the OR of the blocks' page sizes, and the target page size.
    pub advise: Option<(u64, u64)>,
}

/// Reads payloads that no description covers.
pub trait Payloads {
    /// Tells whether there is a reader for the section, and makes it ready.
    fn open(&mut self, c: &mut Cursor<'_>, header: &SectionHeader, context: &Context, found: &mut Diagnostics) -> bool;

    /// Reads one payload and leaves the cursor on the first byte after it.
    ///
    /// # Errors
    /// Those of the reader.
    fn read(&mut self, c: &mut Cursor<'_>, id: u32, kind: RecordType, found: &mut Diagnostics) -> Result<()>;

    /// Takes notice of a command.
    ///
    /// # Errors
    /// Those of the reader; the walk notes them and goes on.
    fn command(&mut self, _command: Command, _payload: &[u8], _at: StreamOffset) -> Result<()> {
        Ok(())
    }
}

/// How the end of a section's payload was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndFound {
    /// By the sizes in the description; footer or next header confirm it.
    Description,
    /// By a reader that knows the payload.
    Reader,
    /// By searching the footer.
    Footer,
    /// By searching the next plausible header: a guess.
    NextHeader,
    /// Not at all: the stream is cut or damaged here.
    Nowhere,
}

/// A section, or all sections of a live handler.
#[derive(Clone, Debug)]
pub struct Section {
    /// The first header.
    pub header: SectionHeader,
    /// The payload of the first section.
    pub payload: StreamRange,
    /// Whether footers follow the payloads.
    pub footer: bool,
    /// How the end of the payload was found.
    pub end: EndFound,
    /// The index of the device in the description.
    pub device: Option<usize>,
    /// Number of START, PART, END or FULL sections.
    pub parts: u64,
    /// Bytes of all of them, headers and footers included.
    pub bytes: u64,
    /// Whether the handler's END came; true for FULL sections.
    pub ended: bool,
    /// The payload of a FULL section, where the source cannot be read again.
    pub kept: Option<Blob>,
}

/// A command.
#[derive(Clone, Debug)]
pub struct CommandRecord {
    /// Which command.
    pub command: Command,
    /// The record's bytes.
    pub range: StreamRange,
    /// Its payload, or the first bytes of it.
    pub payload: Vec<u8>,
    /// For PACKAGED, the bytes of the package, which are walked like the rest.
    pub package: Option<StreamRange>,
}

/// Bytes that are not part of any record that was understood.
#[derive(Clone, Debug)]
pub struct Gap {
    /// The bytes.
    pub range: StreamRange,
    /// Why.
    pub why: String,
    /// Whether the walk passed them over on purpose, because the question does not need them.
    pub intended: bool,
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Walk {
    /// The file header.
    pub header: Option<StreamRange>,
    /// The configuration section.
    pub configuration: Option<Configuration>,
    /// The commands in stream order.
    pub commands: Vec<CommandRecord>,
    /// The sections in the order of their first header.
    pub sections: Vec<Section>,
    /// Whether sections have footers; nothing before the first section.
    pub footers: Option<bool>,
    /// The byte that ends the records.
    pub eof: Option<StreamOffset>,
    /// The description.
    pub description: Option<Arc<Description>>,
    /// What lies behind the stream.
    pub trailing: Option<StreamRange>,
    /// Bytes without a meaning.
    pub gaps: Vec<Gap>,
    /// Why the walk did not reach the end, when it did not.
    pub stopped: Option<Error>,
    /// What was found on the way.
    pub found: Diagnostics,
    /// Bytes accounted for by records.
    pub accounted: u64,
}

/// Bytes of a command's payload that are kept.
const COMMAND_BYTES: u16 = 512;

struct Walker<'a> {
    c: Cursor<'a>,
    depth: Depth,
    payloads: &'a mut dyn Payloads,
    context: Context,
    schema: Option<Arc<Description>>,
    lent: Option<&'a Schema>,
    /// Devices of the description that a section was matched with.
    matched: HashSet<usize>,
    /// Where in `sections` the START section with this id is.
    live: HashMap<u32, usize>,
    live_ids: HashSet<u32>,
    ids: HashSet<u32>,
    jumped: bool,
    kept_bytes: u64,
    out: Walk,
}

/// Walks a stream from its first byte. `lent` is a description from elsewhere, for a stream without one.
///
/// Never fails: what stops it is in [`Walk::stopped`], and what came before stands.
pub fn walk(source: &dyn Source, depth: Depth, lent: Option<&Schema>, payloads: &mut dyn Payloads) -> Walk {
    let mut w = Walker {
        c: Cursor::new(source, StreamOffset(0)),
        depth,
        payloads,
        context: Context::default(),
        schema: None,
        lent,
        matched: HashSet::new(),
        live: HashMap::new(),
        live_ids: HashSet::new(),
        ids: HashSet::new(),
        jumped: false,
        kept_bytes: 0,
        out: Walk::default(),
    };
    if let Err(e) = w.run() {
        w.out.stopped = Some(e);
    }
    w.finish()
}

impl Walker<'_> {
    fn run(&mut self) -> Result<()> {
        let header = frame::read_header(&mut self.c)?;
        self.out.header = Some(header);
        self.account(header);
        if let Some(size) = self.c.source().size() {
            self.look_at_the_end(size)?;
        }
        loop {
            match self.record() {
                Ok(true) => {}
                Ok(false) => return self.behind_the_records(),
                Err(e) => {
                    let at = self.accounted_to();
                    if !self.jump(at, Some(&e))? {
                        return Err(e);
                    }
                    self.out.found.survived("lost-framing", &e);
                }
            }
        }
    }

    fn look_at_the_end(&mut self, size: u64) -> Result<()> {
        if let Some(d) = tail::find_description(self.c.source(), size)? {
            self.context.described_page_size = d.schema.page_size;
            self.schema = Some(Arc::new(d));
        }
        Ok(())
    }

    fn schema(&self) -> Option<&Schema> {
        self.schema.as_deref().map(|d| &d.schema).or(self.lent)
    }

    fn account(&mut self, range: StreamRange) {
        self.out.accounted = self.out.accounted.saturating_add(range.len());
    }

    /// The end of the last record that was read whole.
    fn accounted_to(&self) -> StreamOffset {
        let gaps = self.out.gaps.iter().fold(0_u64, |n, g| n.saturating_add(g.range.len()));
        StreamOffset(self.out.accounted.saturating_add(gaps))
    }

    /// Reads one record; `false` at the end of the records.
    fn record(&mut self) -> Result<bool> {
        self.c.release_behind();
        let start = self.c.offset();
        let kind = RecordType(self.c.u8()?);
        match kind {
            RecordType::EOF => {
                if self.out.footers == Some(false)
                    && let Some(d) = self.schema.as_ref().filter(|d| d.record.start > start.plus(1))
                {
                    let what = format!(
                        "expected a record, found the end of the records, while the description is at {}",
                        d.record.start
                    );
                    return Err(Error::corrupt(start, what));
                }
                self.out.eof = Some(start);
                self.account(StreamRange::with_len(start.0, 1));
                return Ok(false);
            }
            RecordType::CONFIGURATION => self.configuration(start)?,
            RecordType::COMMAND => self.command(start)?,
            RecordType::START | RecordType::FULL => {
                let header = frame::read_section_header(&mut self.c, kind, start)?;
                let name = format!("{} ({})", header.idstr, header.instance_id);
                self.section(header).map_err(|e| e.within(name))?;
            }
            RecordType::PART | RecordType::END => {
                if self.depth == Depth::Devices && !self.jumped && self.jump(start, None)? {
                    return Ok(true);
                }
                self.further_section(kind, start)?;
            }
            _ => {
                return Err(Error::corrupt(
                    start,
                    format!("expected a record type (0 to 4, 7 or 8), found {:#04x}", kind.0),
                ));
            }
        }
        Ok(true)
    }

    fn configuration(&mut self, start: StreamOffset) -> Result<()> {
        let read = configuration::read(&mut self.c, start).map_err(|e| e.within("configuration"))?;
        self.account(read.node.range);
        self.context.configuration = Some(read.clone());
        self.out.configuration = Some(read);
        Ok(())
    }

    fn command(&mut self, start: StreamOffset) -> Result<()> {
        let command = Command(self.c.be16()?);
        let len = self.c.be16()?;
        let mut payload = self.c.peek(usize::from(len)).map(<[u8]>::to_vec)?;
        self.c.skip(len.into())?;
        if command == Command::POSTCOPY_ADVISE && payload.len() == 16 {
            let word =
                |r: std::ops::Range<usize>| payload.get(r).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
            self.context.advise = word(0..8).zip(word(8..16));
        }
        let range = StreamRange::new(start.0, self.c.offset().0);
        let mut package = None;
        if command == Command::PACKAGED {
            let n = payload.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).ok_or_else(|| {
                Error::corrupt(start, format!("command PACKAGED: expected a length of 4 bytes, found {len} bytes"))
            })?;
            package = Some(StreamRange::with_len(range.end.0, n.into()));
        }
        if command.name().is_none() {
            let what = format!("command {:#x} with {len} bytes is not known; it was passed over", command.0);
            self.out.found.add(Severity::Warning, "unknown-command", Some(range), None, what);
        }
        if let Err(e) = self.payloads.command(command, &payload, start) {
            self.out.found.survived("command", &e);
        }
        payload.truncate(COMMAND_BYTES.into());
        if self.out.commands.len() < MAX_LISTED {
            self.out.commands.push(CommandRecord { command, range, payload, package });
        }
        self.account(range);
        Ok(())
    }

    /// Reads a START or FULL section from its payload on.
    fn section(&mut self, header: SectionHeader) -> Result<()> {
        let start = header.range.start;
        let from = self.c.offset();
        if self.out.sections.len() >= MAX_LISTED {
            return Err(Error::new(ErrorKind::LimitExceeded, format!("more than {MAX_LISTED} sections")).at(start));
        }
        let full = header.kind == RecordType::FULL;
        let device = if full { self.match_device(&header) } else { None };
        self.ids.insert(header.section_id);
        if !full {
            self.live_ids.insert(header.section_id);
        }
        let index = self.out.sections.len();
        let mut section = Section {
            payload: StreamRange::with_len(from.0, 0),
            footer: false,
            end: EndFound::Nowhere,
            device,
            parts: 1,
            bytes: 0,
            ended: full,
            kept: None,
            header,
        };
        let result = self.payload(&mut section, from);
        section.payload = StreamRange::new(from.0, section.payload.end.0.max(from.0));
        section.bytes = self.c.offset().0.saturating_sub(start.0);
        if full && self.c.source().is_transient() {
            section.kept = Some(self.keep(section.payload)?);
        }
        if !full {
            self.live.insert(section.header.section_id, index);
        }
        if result.is_ok() {
            self.account(StreamRange::new(start.0, self.c.offset().0));
        }
        self.out.sections.push(section);
        result
    }

    /// Reads the payload of a section from a source that will not give it again.
    fn keep(&mut self, range: StreamRange) -> Result<Blob> {
        self.kept_bytes = self.kept_bytes.saturating_add(range.len());
        if self.kept_bytes > MAX_PIPE_BYTES {
            let what = format!("the device sections have more than {MAX_PIPE_BYTES} bytes; save the stream to a file");
            return Err(Error::new(ErrorKind::LimitExceeded, what).at(range.start));
        }
        let mut c = Cursor::new(self.c.source(), range.start);
        Ok(Blob::new(c.take_vec(range.len(), MAX_SECTION_BYTES, "section")?))
    }

    fn payload(&mut self, s: &mut Section, from: StreamOffset) -> Result<()> {
        let id = s.header.section_id;
        let described = s.device.and_then(|i| self.schema()?.devices.get(i).map(DeviceSchema::total));
        if let Some(total) = described {
            let end = from.plus(total);
            if self.ends_here(end, id)? {
                s.end = EndFound::Description;
                return self.close(s, end);
            }
            let what = format!("the description says {total} bytes, which is not where the section ends");
            self.out.found.add(
                Severity::Warning,
                "vmdesc-size",
                Some(StreamRange::with_len(from.0, total)),
                Some(&s.header.idstr),
                what,
            );
        } else if self.payloads.open(&mut self.c, &s.header, &self.context, &mut self.out.found) {
            self.c.seek(from);
            match self.payloads.read(&mut self.c, id, s.header.kind, &mut self.out.found) {
                Ok(()) => {
                    s.end = EndFound::Reader;
                    let end = self.c.offset();
                    return self.close(s, end);
                }
                Err(e) => self.survive_payload(e, from, &s.header.idstr)?,
            }
        }
        // a pipe is read up to its end only when no live section can follow: guest memory would come with it
        let all_live_ended = self.out.sections.iter().all(|s| s.ended);
        if self.schema.is_none()
            && self.c.source().size().is_none()
            && all_live_ended
            && s.header.kind == RecordType::FULL
        {
            let size = self.c.source().exhaust().map_err(|e| Error::io("cannot read the stream", e).at(from))?;
            self.look_at_the_end(size)?;
            if self.schema.is_some() {
                s.device = self.match_device(&s.header);
                if s.device.is_some() {
                    return self.payload(s, from);
                }
            }
        }
        self.search_end(s, from)
    }

    /// Notes the error of a live reader; without footers there is no way on.
    fn survive_payload(&mut self, e: Error, from: StreamOffset, idstr: &str) -> Result<()> {
        self.c.seek(from);
        // guest memory is not searched for footers: it may hold any bytes, and the device sections are found from the end
        if self.out.footers != Some(true) || e.kind() == ErrorKind::Io || idstr == "ram" {
            return Err(e);
        }
        self.out.found.survived("payload", &e);
        Ok(())
    }

    /// Searches the end of a payload that nothing describes.
    fn search_end(&mut self, s: &mut Section, from: StreamOffset) -> Result<()> {
        let footers = self.out.footers;
        let known = Known { live: &self.live_ids, ids: &self.ids, schema: self.schema() };
        let source = self.c.source();
        let by_footer = match footers {
            Some(false) => None,
            _ => resync::payload_end(source, from, Some(s.header.section_id), &known)?,
        };
        let (end, how) = match by_footer {
            Some(end) => (Some(end), EndFound::Footer),
            None if footers != Some(true) => (resync::payload_end(source, from, None, &known)?, EndFound::NextHeader),
            None => (None, EndFound::Nowhere),
        };
        s.end = how;
        if let Some(end) = end {
            return self.close(s, end);
        }
        let size = self.c.source().exhaust().map_err(|e| Error::io("cannot read the stream", e).at(from))?;
        s.payload.end = StreamOffset(size);
        s.end = EndFound::Nowhere;
        self.c.seek(StreamOffset(size));
        Err(Error::truncated(
            from,
            "expected the section to end, found no footer and no next section behind its payload",
        ))
    }

    /// Tells whether a payload can end at `end`.
    fn ends_here(&mut self, end: StreamOffset, id: u32) -> Result<bool> {
        let back = self.c.offset();
        if self.c.source().size().is_some_and(|s| end.0 > s) {
            return Ok(false);
        }
        self.c.seek(end);
        let mark = self.c.peek(1).map(|b| b.first().copied().unwrap_or_default());
        let fits = match (mark, self.out.footers) {
            (Ok(m), Some(true) | None) if m == RecordType::FOOTER.0 => {
                self.c.peek(5).is_ok_and(|b| b.get(1..) == Some(&id.to_be_bytes()))
            }
            // without a footer there is only what comes next to tell
            (Ok(_), Some(false) | None) => {
                let known = Known { live: &self.live_ids, ids: &self.ids, schema: self.schema() };
                resync::record_begins(self.c.source(), end, &known)?
            }
            (Err(e), _) if e.kind() == ErrorKind::Io => return Err(e),
            _ => false,
        };
        self.c.seek(back);
        Ok(fits)
    }

    /// Ends a section at `end`: reads the footer, or finds out that there are none.
    fn close(&mut self, s: &mut Section, end: StreamOffset) -> Result<()> {
        self.c.seek(end);
        s.payload.end = end;
        s.footer = self.footer(s.header.section_id, &s.header.idstr)?;
        Ok(())
    }

    fn footer(&mut self, id: u32, idstr: &str) -> Result<bool> {
        let at = self.c.offset();
        if self.out.footers == Some(false) {
            return Ok(false);
        }
        let mark = self.c.peek_u8()?;
        if mark != RecordType::FOOTER.0 {
            // 7e is no record type, so one look decides for the whole stream
            if self.out.footers.is_none() && matches!(mark, 0..=4 | 8) {
                self.out.footers = Some(false);
                return Ok(false);
            }
            return Err(Error::corrupt(at, format!("section footer: expected 0x7e behind {idstr}, found {mark:#04x}")));
        }
        self.c.skip(1)?;
        let found = self.c.be32()?;
        if found != id {
            return Err(Error::corrupt(at, format!("section footer of {idstr}: expected id {id}, found {found}")));
        }
        self.out.footers = Some(true);
        Ok(true)
    }

    fn further_section(&mut self, kind: RecordType, start: StreamOffset) -> Result<()> {
        let id = self.c.be32()?;
        let Some(index) = self.live.get(&id).copied() else {
            return Err(Error::corrupt(
                start,
                format!("{kind} section: expected the id of a START section, found {id}"),
            ));
        };
        let idstr = self.out.sections.get(index).map(|s| Arc::clone(&s.header.idstr)).unwrap_or_default();
        let from = self.c.offset();
        let readable = self.out.sections.get(index).is_some_and(|s| s.end == EndFound::Reader);
        let read = if readable {
            self.payloads
                .read(&mut self.c, id, kind, &mut self.out.found)
                .map_err(|e| e.within(format!("{idstr} ({kind})")))
        } else {
            Err(Error::new(ErrorKind::Unsupported, "no reader for this section").at(from))
        };
        let mut end = self.c.offset();
        if let Err(e) = read {
            if readable {
                self.survive_payload(e, from, &idstr)?;
            }
            let known = Known { live: &self.live_ids, ids: &self.ids, schema: self.schema() };
            let footer = (self.out.footers != Some(false)).then_some(id);
            let Some(found) = resync::payload_end(self.c.source(), from, footer, &known)? else {
                return Err(Error::truncated(from, format!("expected {idstr} ({kind}) to end, found no footer")));
            };
            end = found;
        }
        self.c.seek(end);
        self.footer(id, &idstr)?;
        let whole = StreamRange::new(start.0, self.c.offset().0);
        self.account(whole);
        if let Some(s) = self.out.sections.get_mut(index) {
            s.parts = s.parts.saturating_add(1);
            s.bytes = s.bytes.saturating_add(whole.len());
            s.ended |= kind == RecordType::END;
        }
        Ok(())
    }

    /// Finds the device of the description that a FULL section is.
    fn match_device(&mut self, h: &SectionHeader) -> Option<usize> {
        let found = {
            let schema = self.schema()?;
            let fits = |d: &DeviceSchema| d.idstr == h.idstr && d.instance_id == h.instance_id;
            schema.devices.iter().enumerate().find(|(i, d)| !self.matched.contains(i) && fits(d)).map(|(i, _)| i)
        };
        self.matched.extend(found);
        found
    }

    /// Goes on at the device sections before the end of the records, passing over what lies between; `false` when they
    /// cannot be found there, or not further on than here.
    fn jump(&mut self, from: StreamOffset, because: Option<&Error>) -> Result<bool> {
        if self.jumped {
            return Ok(false);
        }
        self.jumped = true;
        let Some(d) = self.schema.clone() else { return Ok(false) };
        let eof = StreamOffset(d.record.start.0.saturating_sub(1));
        // a section that was begun and not finished is found again
        if because.is_some()
            && let Some(last) = self.out.sections.last()
            && last.header.range.start >= from
        {
            let last = self.out.sections.pop();
            if let Some(i) = last.and_then(|s| s.device) {
                self.matched.remove(&i);
            }
        }
        let left: Vec<&DeviceSchema> =
            d.schema.devices.iter().enumerate().filter(|(i, _)| !self.matched.contains(i)).map(|(_, d)| d).collect();
        if left.is_empty() {
            return Ok(false);
        }
        let Some(start) = tail::chain_start(self.c.source(), eof, &left)?.filter(|s| *s >= from) else {
            return Ok(false);
        };
        let range = StreamRange::new(from.0, start.0);
        if !range.is_empty() {
            let (why, intended) = match because {
                None => ("not read: the question is about devices".to_owned(), true),
                Some(e) => (format!("framing lost: {}", e.message()), false),
            };
            self.out.gaps.push(Gap { range, why, intended });
        }
        self.c.seek(start);
        Ok(true)
    }

    /// Reads what follows the EOF byte: the description, and whatever lies behind the stream.
    fn behind_the_records(&mut self) -> Result<()> {
        let at = self.c.offset();
        if !self.c.at_end()? && self.c.peek_u8()? == RecordType::VMDESCRIPTION.0 {
            self.description(at)?;
        } else if self.schema.take().is_some() {
            let what = "a description was found that does not belong to this stream; it is not used";
            self.out.found.add(Severity::Warning, "foreign-vmdesc", None, None, what);
            for s in &mut self.out.sections {
                s.device = None;
            }
        }
        let end = self.c.offset();
        let size = self.c.source().drain(end.0).map_err(|e| Error::io("cannot read the stream", e).at(end))?;
        if size > end.0 {
            self.out.trailing = Some(StreamRange::new(end.0, size));
        }
        Ok(())
    }

    fn description(&mut self, at: StreamOffset) -> Result<()> {
        if let Some(d) = &self.schema
            && d.record.start == at
        {
            let range = d.record;
            self.account(range);
            self.c.seek(range.end);
            return Ok(());
        }
        self.c.skip(1)?;
        let len = u64::from(self.c.be32()?);
        let from = self.c.offset();
        let size = self.c.source().exhaust().map_err(|e| Error::io("cannot read the stream", e).at(from))?;
        let there = len.min(size.saturating_sub(from.0));
        let text = self.c.take_vec(there, MAX_VMDESC_BYTES, "description")?;
        let whole = StreamRange::new(at.0, self.c.offset().0);
        match schema::read(&text) {
            Ok((json, schema)) if there == len => {
                self.account(whole);
                self.adopt(Description { record: whole, json, schema });
                Ok(())
            }
            read => {
                let e = match read {
                    Err(e) if there == len => e.at(from),
                    _ => Error::truncated(from, format!("description of {len} bytes, found {there} before the end")),
                };
                // a wrong length is mended with what there is, up to the end
                let mut rest = text;
                if there == len && size > self.c.offset().0 {
                    let more = size.saturating_sub(self.c.offset().0);
                    rest.extend(self.c.take_vec(more, MAX_VMDESC_BYTES, "description")?);
                }
                if let Some((json, schema)) = schema::read(&rest).ok().or_else(|| schema::read_damaged(&rest)) {
                    self.adopt(Description { record: whole, json, schema });
                }
                self.c.seek(whole.end);
                Err(e.within("description"))
            }
        }
    }

    /// Takes a description that was not known while the sections were walked.
    fn adopt(&mut self, d: Description) {
        self.schema = Some(Arc::new(d));
        self.matched.clear();
        for i in 0..self.out.sections.len() {
            let Some(h) = self.out.sections.get(i).map(|s| s.header.clone()) else { continue };
            let device = if h.kind == RecordType::FULL { self.match_device(&h) } else { None };
            if let Some(s) = self.out.sections.get_mut(i) {
                s.device = device;
            }
        }
    }

    fn finish(mut self) -> Walk {
        if let Some(size) = self.c.source().size() {
            let at = self.accounted_to().0;
            let trailing = self.out.trailing.map_or(0, |t| t.len());
            if at.saturating_add(trailing) < size {
                let range = StreamRange::new(at, size.saturating_sub(trailing));
                let why = self
                    .out
                    .stopped
                    .as_ref()
                    .map_or_else(|| "not part of any record".to_owned(), |e| e.message().to_owned());
                self.out.gaps.push(Gap { range, why, intended: false });
            }
        }
        if let Some(d) = &self.schema {
            for r in &d.schema.remarks {
                self.out.found.add(Severity::Warning, "vmdesc", Some(d.record), None, r.clone());
            }
            for (i, dev) in d.schema.devices.iter().enumerate() {
                if !self.matched.contains(&i) {
                    let what = format!("{} ({}) is described but has no section", dev.idstr, dev.instance_id);
                    self.out.found.add(Severity::Warning, "missing-section", None, Some(&dev.idstr), what);
                }
            }
        }
        self.out.description = self.schema;
        self.out
    }
}
