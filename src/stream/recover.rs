//! Going to the device sections without reading every record: because the question is about devices only, or because a
//! record cannot be read.

use super::footer::FOOTER_LEN;
use super::frame::{MAGIC, VERSION};
use super::model::{Depth, EndFound, Gap};
use super::own::holds_other_stream;
use super::tail::{self, Description};
use super::walk::Walker;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_LAST_LOOK;
use crate::names::RecordType;
use crate::offset::{StreamOffset, StreamRange, Sure};
use crate::schema::DeviceSchema;
use crate::wire::{Cursor, Source};

const WINDOW: usize = 1 << 20;

impl Walker<'_> {
    /// Jumps to the device sections at the end of a file, skipping guest memory. Returns `false` if they may not
    /// belong to this stream, or if so little lies between that reading it is as fast.
    ///
    /// No proof is possible without reading what lies between, so everything else that differs between streams is compared: the
    /// file ends with the description; its sections lie side by side up to its EOF byte; the first follows the footer of
    /// one of this stream's live sections; their ids are not those of other sections; the device sections that were saved
    /// before the memory are described; the configuration section has the described length; and no other stream begins or
    /// ends shortly before.
    pub(super) fn jump(&mut self, from: StreamOffset) -> Result<bool> {
        let Depth::Devices { pass_over } = self.depth else { return Ok(false) };
        self.jumped = true;
        let Some(e) = self.at_the_end.clone().filter(|e| e.exact) else { return Ok(false) };
        let d = &e.description;
        if d.record.start.checked_since(from).is_none_or(|n| n < pass_over) || !self.configuration_agrees(d) {
            return Ok(false);
        }
        let chain = self.sections_of(d, from, false)?;
        let Some(first) = chain.starts.last().copied().filter(|s| chain.whole && *s > from) else { return Ok(false) };
        if !self.follows_live_section(first)? || !self.ids_are_new(&chain.starts)? {
            return Ok(false);
        }
        let look = first.back(MAX_LAST_LOOK, from);
        if holds_other_stream(self.c.source(), look, first)? {
            return Ok(false);
        }
        self.adopt(d.clone(), false);
        let why = "not read: only device state was requested".to_owned();
        self.out.gaps.push(Gap { range: StreamRange::new(from.0, first.0), why, intended: true });
        self.c.seek(first);
        Ok(true)
    }

    /// Returns whether the configuration section is as long as described (QEMU 8.2 and later describe it).
    fn configuration_agrees(&self, d: &Description) -> bool {
        match (&d.schema.configuration, &self.out.configuration) {
            // the type is not described
            (Some(v), Some(c)) => v.total().checked_add(1) == Some(c.node.range.len()),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    fn ids_are_new(&self, starts: &[StreamOffset]) -> Result<bool> {
        let mut ids = self.ids.clone();
        for s in starts {
            let mut c = Cursor::new(self.c.source(), s.plus(1));
            if !ids.insert(c.be32()?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes on after a record that cannot be read, at the next device section.
    ///
    /// # Errors
    /// The one that was given, when there is none.
    pub(super) fn recover(&mut self, e: Error) -> Result<()> {
        if e.kind() == ErrorKind::Io {
            return Err(e);
        }
        let from = self.accounted_to();
        if self.schema.is_none() {
            // the rest of a pipe may have the description; if it is too much to be kept, the first error counts
            let kept = StreamOffset(self.c.source().first_kept());
            let lost = e.stream_offset().map_or(from, |o| o.max(from)).max(kept);
            let Ok(size) = self.c.source().exhaust() else { return Err(e) };
            if let Some(d) = self.description_after(lost, size)? {
                self.adopt(d, false);
            }
        }
        if self.chain.is_none() {
            self.chain = Some(self.find_chain(from)?);
        }
        // what begins at `from` is what could not be read
        let next = self.chain.iter().flatten().copied().find(|s| *s > from);
        let Some(next) = next else { return Err(e) };
        let why = format!("section boundaries lost: {}", e.message());
        self.out.gaps.push(Gap { range: StreamRange::new(from.0, next.0), why, intended: false });
        let code = if e.kind() == ErrorKind::LimitExceeded { e.kind().name() } else { "lost-framing" };
        self.out.found.survived(code, &e);
        self.cut_last_section(from, next)?;
        self.c.seek(next);
        Ok(())
    }

    /// Finds the description that ends the stream whose framing was lost at `lost`: at the end of the source, or where
    /// another stream begins. A stream that begins after `lost` may also lie in guest memory; then there is none.
    fn description_after(&mut self, lost: StreamOffset, size: u64) -> Result<Option<Description>> {
        if self.c.source().is_transient() {
            self.look_at_the_end(size)?;
        }
        // before the place where framing was lost lie pages of guest memory
        let Some(e) = self.at_the_end.clone().filter(|e| e.description.record.start >= lost) else { return Ok(None) };
        let Some(head) = next_stream(self.c.source(), lost, e.description.record.start)? else {
            return Ok(Some(e.description.clone()));
        };
        let d = tail::find_description(self.c.source(), head.0, lost.0)?.map(|d| d.description);
        let Some(d) = d else { return Ok(None) };
        let found = !self.sections_of(&d, lost, true)?.starts.is_empty();
        Ok(found.then_some(d))
    }

    /// Ends the section that was begun and not finished, if there is one, where the next one begins.
    fn cut_last_section(&mut self, from: StreamOffset, next: StreamOffset) -> Result<()> {
        let Some(last) = self.out.sections.last_mut().filter(|s| s.header.range.start >= from) else { return Ok(()) };
        let start = last.payload.start;
        let mut end = next;
        if let Some(at) = next.0.checked_sub(FOOTER_LEN).filter(|at| *at >= start.0) {
            self.c.seek(StreamOffset(at));
            if self.c.peek_u8()? == RecordType::FOOTER.0 {
                end = StreamOffset(at);
            }
        }
        last.payload = StreamRange::new(start.0, end.0);
        last.bytes = next.since(last.header.range.start);
        last.end = EndFound::NextHeader;
        if last.kept.take().is_some() {
            let (range, label) = (last.payload, last.header.label());
            // what was kept may be less
            match self.keep(range) {
                Ok(bytes) => {
                    if let Some(s) = self.out.sections.last_mut() {
                        s.kept = Some(bytes);
                    }
                }
                Err(e) => self.out.found.survived("section-bytes", &e.within(label)),
            }
        }
        Ok(())
    }

    /// Finds where the device sections after `from` begin, the first one first.
    fn find_chain(&mut self, from: StreamOffset) -> Result<Vec<StreamOffset>> {
        let Some(d) = self.schema.clone() else { return Ok(Vec::new()) };
        let eof = StreamOffset(d.record.start.0.minus(1));
        let left: Vec<&DeviceSchema> = self.unmatched.left().filter_map(|i| d.schema.devices.get(i)).collect();
        let from = from.max(StreamOffset(self.c.source().first_kept()));
        let mut starts = tail::chain(self.c.source(), eof, &left, from, true)?.starts;
        starts.reverse();
        Ok(starts)
    }

    /// Returns whether `at` follows the footer of a live section; a device section without a description does not
    /// count.
    fn follows_live_section(&mut self, at: StreamOffset) -> Result<bool> {
        if self.out.footers != Some(true) {
            return Ok(true);
        }
        let back = self.c.offset();
        self.c.seek(at.back(FOOTER_LEN, StreamOffset(0)));
        let (mark, id) = (self.c.u8()?, self.c.be32()?);
        self.c.seek(back);
        Ok(mark == RecordType::FOOTER.0 && self.live_ids.contains(&id))
    }
}

/// Returns whether the bytes are the magic and the version of a stream.
pub(super) fn head_of_a_stream(bytes: &[u8]) -> bool {
    bytes.strip_prefix(&MAGIC).is_some_and(|b| b.starts_with(&VERSION.to_be_bytes()))
}

/// Returns where the first stream begins after `from`, and before `to`.
fn next_stream(source: &dyn Source, from: StreamOffset, to: StreamOffset) -> Result<Option<StreamOffset>> {
    let head = [MAGIC, VERSION.to_be_bytes()].concat();
    let mut buf = vec![0; WINDOW];
    let mut at = from.0;
    while at < to.0 {
        let n =
            source.read_full(at, &mut buf).map_err(|e| Error::io("cannot read the stream", e).at(StreamOffset(at)))?;
        let bytes = buf.get(..n).unwrap_or_default();
        if let Some(i) = memchr::memmem::find(bytes, &head) {
            let found = at.plus(i as u64);
            return Ok((found < to.0).then_some(StreamOffset(found)));
        }
        if n < WINDOW {
            break;
        }
        at = at.plus(WINDOW as u64).minus(7);
    }
    Ok(None)
}
