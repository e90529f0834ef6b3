//! Walks the records of a stream.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::configuration;
use super::frame::{self, SectionHeader};
use super::matching::Unmatched;
use super::model::{CommandRecord, Context, Depth, EndFound, Payloads, Section, Walk, WalkOptions};
use super::own::Searched;
use super::resync::{self, Known};
use super::tail::{AtTheEnd, Description};
use crate::budget::Charge;
use crate::diag::{Diagnostic, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_LISTED, MAX_SECTION_BYTES};
use crate::names::{Command, RecordType};
use crate::offset::{StreamOffset, StreamRange, Sure};
use crate::schema::{DeviceSchema, Schema};
use crate::value::Blob;
use crate::wire::{Cursor, Source};

/// Bytes of a command's payload that are kept.
const COMMAND_BYTES: u16 = 512;

pub(super) struct Walker<'a> {
    pub(super) c: Cursor<'a>,
    pub(super) depth: Depth,
    pub(super) payloads: &'a mut dyn Payloads,
    pub(super) context: Context,
    pub(super) schema: Option<Arc<Description>>,
    pub(super) external_schema: Option<&'a Schema>,
    /// Devices of the description that no section was matched with, in the order of the stream.
    pub(super) unmatched: Unmatched,
    /// Where in `sections` the START section with this id is.
    pub(super) live: HashMap<u32, usize>,
    pub(super) live_ids: HashSet<u32>,
    /// Number of live sections whose END has not been received.
    pub(super) live_open: usize,
    pub(super) ids: HashSet<u32>,
    /// Whether the walk has tried to go to the device sections.
    pub(super) jumped: bool,
    /// The device sections found by searching from the end, once that was done.
    pub(super) chain: Option<Vec<StreamOffset>>,
    /// A description at the end of the source that has not yet been proved to belong to this stream.
    pub(super) at_the_end: Option<Arc<AtTheEnd>>,
    /// Whether the description is this stream's for sure.
    pub(super) proven: bool,
    /// When the description was searched.
    pub(super) searched: Searched,
    pub(super) kept: Charge,
    pub(super) out: Walk,
}

/// Walks a stream from its first byte.
///
/// Never fails: the error that stops it is in [`Walk::stopped`], and everything before that is kept.
pub fn walk(source: &dyn Source, how: &WalkOptions<'_>, payloads: &mut dyn Payloads) -> Walk {
    let mut w = Walker {
        c: Cursor::new(source, StreamOffset(0)),
        depth: how.depth,
        payloads,
        context: Context::default(),
        schema: None,
        external_schema: how.external_schema,
        unmatched: Unmatched::new(how.external_schema),
        live: HashMap::new(),
        live_ids: HashSet::new(),
        live_open: 0,
        ids: HashSet::new(),
        jumped: false,
        chain: None,
        at_the_end: None,
        proven: false,
        searched: Searched::Never,
        kept: how.budget.charge("the device sections of a stream that cannot be read twice"),
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
        if let Some(size) = self.c.source().size()
            && !self.c.source().is_transient()
        {
            self.look_at_the_end(size)?;
        }
        loop {
            match self.record() {
                Ok(true) => {}
                Ok(false) => return self.behind_the_records(),
                Err(e) => self.recover(e)?,
            }
        }
    }

    pub(super) fn schema(&self) -> Option<&Schema> {
        self.schema.as_deref().map(|d| &d.schema).or(self.external_schema)
    }

    pub(super) fn account(&mut self, range: StreamRange) {
        self.out.accounted = self.out.accounted.plus(range.len());
    }

    /// The end of the last record that was read whole.
    pub(super) fn accounted_to(&self) -> StreamOffset {
        let gaps: u64 = self.out.gaps.iter().map(|g| g.range.len()).sum();
        StreamOffset(self.out.accounted.plus(gaps))
    }

    /// Reads one record; `false` at the end of the records.
    fn record(&mut self) -> Result<bool> {
        self.c.release_behind();
        let start = self.c.offset();
        let kind = RecordType(self.c.u8()?);
        match kind {
            RecordType::EOF => {
                self.must_be_the_end(start)?;
                self.out.eof = Some(start);
                self.account(StreamRange::with_len(start.0, 1));
                return Ok(false);
            }
            RecordType::CONFIGURATION => self.configuration(start)?,
            RecordType::COMMAND => self.command(start)?,
            RecordType::START | RecordType::FULL => {
                let header = frame::read_section_header(&mut self.c, kind, start)?;
                let name = header.label();
                self.section(header).map_err(|e| e.within(name))?;
            }
            RecordType::PART | RecordType::END => {
                if !self.jumped && self.jump(start)? {
                    return Ok(true);
                }
                let id = self.c.be32()?;
                self.further_section(kind, start, id).map_err(|e| self.within_part(e, kind, id))?;
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
        let at = self.c.offset();
        let len = self.c.be16()?;
        if let Some(expected) = command.payload_len().filter(|n| *n != len) {
            let name = command.name().unwrap_or_default();
            return Err(Error::corrupt(at, format!("command {name}: expected a length of {expected}, found {len}")));
        }
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
            let n = payload
                .get(..4)
                .and_then(|b| b.try_into().ok())
                .map(u32::from_be_bytes)
                .ok_or_else(|| Error::corrupt(start, format!("command PACKAGED: expected 4 bytes, found {len}")))?;
            package = Some(StreamRange::with_len(range.end.0, n.into()));
        }
        if command.name().is_none() {
            let what = format!("command {:#x} with {len} bytes is unknown; it was skipped", command.0);
            self.out.found.push(Diagnostic::new(Level::Warning, "unknown-command", what).at(range));
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
        if full {
            self.find_own_description(start)?;
        }
        let device = if full { self.unmatched.take(&header) } else { None };
        if !self.ids.insert(header.section_id) {
            let what = format!("section id {} was already used by an earlier section", header.section_id);
            self.out.found.push(
                Diagnostic::new(Level::Warning, "section-id-twice", what).at(header.range).within(header.label()),
            );
        }
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
        section.bytes = self.c.offset().since(start);
        if full && self.c.source().is_transient() {
            match self.keep(section.payload) {
                Ok(bytes) => section.kept = Some(bytes),
                Err(e) => self.out.found.survived("section-bytes", &e.within(section.header.label())),
            }
        }
        if !full {
            self.live.insert(section.header.section_id, index);
            self.live_open.tally(1);
        }
        if result.is_ok() {
            self.account(StreamRange::new(start.0, self.c.offset().0));
        }
        self.out.sections.push(section);
        result
    }

    /// Reads the payload of a section from a source that will not give it again.
    pub(super) fn keep(&mut self, range: StreamRange) -> Result<Blob> {
        self.kept.set(self.kept.bytes().plus(range.len())).map_err(|e| e.at(range.start))?;
        let mut c = Cursor::new(self.c.source(), range.start);
        Ok(Blob::new(c.take_vec(range.len(), MAX_SECTION_BYTES, "section")?))
    }

    fn payload(&mut self, s: &mut Section, from: StreamOffset) -> Result<()> {
        let id = s.header.section_id;
        let described = s.device.and_then(|i| self.schema()?.devices.get(i).map(DeviceSchema::total));
        if let Some(total) = described {
            let end = from.plus(total);
            self.compare_versions(s);
            if self.ends_here(end, id)? {
                s.end = EndFound::Description;
                return self.close(s, end);
            }
            let what = format!("the section does not end after the {total} bytes that the description gives");
            let found = Diagnostic::new(Level::Warning, "vmdesc-size", what);
            let found = found.at(StreamRange::with_len(from.0, total)).within(s.header.idstr.to_string());
            self.out.found.push(found);
        } else if self.payloads.open(&mut self.c, &s.header, &self.context, &mut self.out.found) {
            self.c.seek(from);
            match self.payloads.read(&mut self.c, id, s.header.kind, &mut self.out.found) {
                Ok(()) => {
                    s.end = EndFound::Reader;
                    let end = self.c.offset();
                    return self.close(s, end);
                }
                Err(e) => self.survive_payload(e, from, s.header.idstr.exact())?,
            }
        }
        self.search_end(s, from)
    }

    /// A header and the description of its section give the same version, where the description gives one.
    fn compare_versions(&mut self, s: &Section) {
        let described = s.device.and_then(|i| self.schema()?.devices.get(i)?.vmsd.version);
        let found = s.header.version_id;
        if let Some(v) = described.filter(|v| *v != found) {
            let what = format!("version in the section's header is {found}, in the description {v}");
            let found = Diagnostic::new(Level::Warning, "section-version", what);
            self.out.found.push(found.at(s.header.range).within(s.header.idstr.to_string()));
        }
    }

    pub(super) fn known(&self) -> Known<'_> {
        let described = self.schema().is_some().then_some(&self.unmatched);
        Known { live: &self.live_ids, ids: &self.ids, footers: self.out.footers == Some(true), described }
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

    /// Searches for the end of a payload that nothing describes.
    fn search_end(&mut self, s: &mut Section, from: StreamOffset) -> Result<()> {
        let footers = self.out.footers;
        let known = self.known();
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
        Err(Error::truncated(from, "section has no footer and no following section header; cannot find its end"))
    }

    /// Adds the live section that a PART or END belongs to.
    fn within_part(&self, e: Error, kind: RecordType, id: u32) -> Error {
        let index = self.live.get(&id).copied();
        match index.and_then(|i| self.out.sections.get(i)) {
            Some(s) => e.within(format!("{} ({kind})", s.header.idstr)),
            None => e,
        }
    }

    fn further_section(&mut self, kind: RecordType, start: StreamOffset, id: u32) -> Result<()> {
        let Some(index) = self.live.get(&id).copied() else {
            return Err(Error::corrupt(
                start,
                format!("{kind} section: expected the id of a START section, found {id}"),
            ));
        };
        let idstr = self.out.sections.get(index).map(|s| s.header.idstr.clone()).unwrap_or_default();
        let from = self.c.offset();
        let readable = self.out.sections.get(index).is_some_and(|s| s.end == EndFound::Reader);
        let read = if readable {
            self.payloads.read(&mut self.c, id, kind, &mut self.out.found)
        } else {
            Err(Error::new(ErrorKind::Unsupported, "no reader for this section").at(from))
        };
        let mut end = self.c.offset();
        if let Err(e) = read {
            if readable {
                self.survive_payload(e, from, idstr.exact())?;
            }
            let known = self.known();
            let footer = (self.out.footers != Some(false)).then_some(id);
            let Some(found) = resync::payload_end(self.c.source(), from, footer, &known)? else {
                return Err(Error::truncated(from, format!("expected {kind} of {idstr} to end, found no footer")));
            };
            end = found;
        }
        self.c.seek(end);
        self.footer(id, idstr.exact())?;
        let whole = StreamRange::new(start.0, self.c.offset().0);
        self.account(whole);
        if let Some(s) = self.out.sections.get_mut(index) {
            s.parts.tally(1);
            s.bytes = s.bytes.plus(whole.len());
            if kind == RecordType::END && !s.ended {
                s.ended = true;
                self.live_open = self.live_open.minus(1);
            }
        }
        Ok(())
    }
}
