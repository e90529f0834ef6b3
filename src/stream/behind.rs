//! Behind the records: the description, what trails it, and the sums.

use super::frame::MAGIC;
use super::matching::Unmatched;
use super::model::{Gap, Walk};
use super::tail::{self, Description};
use super::walk::Walker;
use crate::diag::{Diagnostic, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_VMDESC_BYTES;
use crate::names::RecordType;
use crate::offset::{StreamOffset, StreamRange, Sure};
use crate::schema;

/// Type and length of the description's record.
const RECORD_HEAD: u64 = 5;

impl Walker<'_> {
    /// Rejects an EOF byte that cannot be the end of the records: described devices are still missing, and the
    /// description, which follows the real EOF, is elsewhere.
    pub(super) fn must_be_the_end(&mut self, at: StreamOffset) -> Result<()> {
        // no stream ends before its device sections; then the description at the end of the source is likely its own
        let none_yet = self.out.sections.iter().all(|s| s.header.kind != RecordType::FULL);
        if none_yet && self.schema.is_none() && self.c.source().is_transient() {
            let size = self.c.source().exhaust().map_err(|e| Error::io("cannot read the stream", e).at(at))?;
            self.look_at_the_end(size)?;
        }
        let last = self.at_the_end.as_ref().filter(|_| none_yet).map(|e| &e.description);
        let Some(description) = self.schema.as_deref().or(last).map(|d| d.record.start) else { return Ok(()) };
        let next = at.plus(1);
        let all_found = !none_yet && self.unmatched.left().next().is_none();
        if description <= next || all_found || self.c.peek(4).is_ok_and(|b| b == MAGIC) {
            return Ok(());
        }
        let mut work = 0;
        if !self.proven && tail::read_at(self.c.source(), next, &mut work)?.is_some() {
            return Ok(());
        }
        let what = format!("expected a record, found the end of the records; the description begins at {description}");
        Err(Error::corrupt(at, what))
    }

    /// Reads what follows the EOF byte: the description, and any bytes after the stream.
    pub(super) fn behind_the_records(&mut self) -> Result<()> {
        let at = self.c.offset();
        if self.schema.as_ref().is_none_or(|d| d.record.start != at) {
            self.disown();
        }
        let mark = if self.c.at_end()? { None } else { Some(self.c.peek_u8()?) };
        let described = match mark {
            Some(m) if m == RecordType::VMDESCRIPTION.0 => self.description(at),
            Some(m) if self.is_description_but_for_its_mark()? => {
                let what = format!("description: expected the record type 6, found {m}");
                self.out.found.survived("vmdesc-mark", &Error::corrupt(at, what));
                self.description(at)
            }
            _ => Ok(()),
        };
        let end = self.c.offset();
        let size = self.c.source().drain(end.0).map_err(|e| Error::io("cannot read the stream", e).at(end))?;
        if size > end.0 && described.is_ok() {
            self.out.trailing = Some(StreamRange::new(end.0, size));
        }
        described
    }

    /// Returns whether all is as it should be for a description that ends the source, but for the record type.
    fn is_description_but_for_its_mark(&mut self) -> Result<bool> {
        let at = self.c.offset();
        let Ok(head) = self.c.peek(6).map(<[u8]>::to_vec) else { return Ok(false) };
        let len = head.get(1..5).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).unwrap_or_default();
        if head.get(5) != Some(&b'{') || u64::from(len) > MAX_VMDESC_BYTES {
            return Ok(false);
        }
        let last = at.0.plus(RECORD_HEAD).plus(len.into()).minus(1);
        let mut two = [0; 2];
        let n = self.c.source().read_full(last, &mut two).map_err(|e| Error::io("cannot read the stream", e).at(at))?;
        Ok(n == 1)
    }

    /// Gives up a description that is not this stream's.
    fn disown(&mut self) {
        if self.schema.take().is_none() {
            return;
        }
        let what = "a description that does not belong to this stream was found and ignored";
        self.out.found.push(Diagnostic::new(Level::Warning, "foreign-vmdesc", what));
        self.unmatched = Unmatched::new(self.external_schema);
        for s in &mut self.out.sections {
            s.device = self.unmatched.take(&s.header);
        }
    }

    fn description(&mut self, at: StreamOffset) -> Result<()> {
        if let Some(d) = &self.schema
            && d.record.start == at
        {
            let range = d.record;
            self.proven = true;
            self.account(range);
            self.c.seek(range.end);
            return Ok(());
        }
        self.c.skip(1)?;
        let len = u64::from(self.c.be32()?);
        let from = self.c.offset();
        let text = self.c.take_up_to(len.min(MAX_VMDESC_BYTES))?;
        if len > MAX_VMDESC_BYTES && text.len() as u64 == MAX_VMDESC_BYTES {
            let what = format!("description: found {len} bytes, expected at most {MAX_VMDESC_BYTES}");
            return Err(Error::new(ErrorKind::LimitExceeded, what).at(from).within("description"));
        }
        let there = text.len() as u64;
        let whole = StreamRange::new(at.0, self.c.offset().0);
        match schema::read(&text) {
            Ok(schema) if there == len => {
                self.account(whole);
                self.adopt(Description { record: whole, text: StreamRange::with_len(from.0, len), schema }, true);
                Ok(())
            }
            read => {
                let e = match read {
                    Err(e) if there == len => e.at(from),
                    _ => Error::truncated(
                        from,
                        format!("description: expected {len} bytes, found {there} before the end"),
                    ),
                };
                // a wrong length is replaced by what there is, up to the end
                let mut rest = text;
                if there == len {
                    rest.extend(self.c.take_up_to(MAX_VMDESC_BYTES)?);
                }
                let text = StreamRange::with_len(from.0, rest.len() as u64);
                if let Some(mut schema) = schema::read(&rest).ok().or_else(|| schema::read_damaged(&rest)) {
                    if let Some(external) = self.external_schema {
                        schema.complete_with(external);
                    }
                    self.adopt(Description { record: whole, text, schema }, true);
                }
                self.c.seek(whole.end);
                Err(e.within("description"))
            }
        }
    }

    /// A package lies inside the stream.
    fn check_packages(&mut self) {
        let Some(size) = self.c.source().size() else { return };
        for c in &self.out.commands {
            if let Some(p) = c.package.filter(|p| p.end.0 > size) {
                let what = format!("command PACKAGED: expected {} bytes, found {}", p.len(), size.minus(p.start.0));
                self.out.found.push(Diagnostic::new(Level::Error, "package-size", what).at(c.range));
            }
        }
    }

    /// Adds the sums and what is missing.
    pub(super) fn finish(mut self) -> Walk {
        let stopped_at = self.accounted_to();
        self.check_packages();
        let inside = self.schema.as_ref().is_some_and(|d| d.record.start < stopped_at);
        if !self.proven && inside {
            // it lies inside what was read as something else
            self.disown();
        }
        // the rest of a pipe is a gap too, as long as it is
        let failed = self.out.stopped.as_ref().is_some_and(|e| e.kind() != ErrorKind::Io);
        if failed && self.c.source().size().is_none() {
            let _ = self.c.source().drain(stopped_at.0);
        }
        if let Some(size) = self.c.source().size() {
            let at = self.accounted_to().0;
            let trailing = self.out.trailing.map_or(0, |t| t.len());
            if at.plus(trailing) < size {
                let range = StreamRange::new(at, size.minus(trailing));
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
                self.out.found.push(Diagnostic::new(Level::Warning, "vmdesc", r.clone()).at(d.record));
            }
            for i in self.unmatched.left() {
                if let Some(dev) = d.schema.devices.get(i) {
                    let what = format!("{} ({}) is in the description but has no section", dev.idstr, dev.instance_id);
                    let severity = if self.proven { Level::Error } else { Level::Warning };
                    self.out
                        .found
                        .push(Diagnostic::new(severity, "missing-section", what).within(dev.idstr.to_string()));
                }
            }
        }
        self.out.description = self.schema;
        self.out
    }
}
