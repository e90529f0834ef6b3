//! Going on where the walk cannot read record by record: at the device sections, found from the end of the stream.

use super::footer::FOOTER_LEN;
use super::model::{EndFound, Gap};
use super::tail;
use super::walk::Walker;
use crate::error::{Error, ErrorKind, Result};
use crate::names::RecordType;
use crate::offset::{StreamOffset, StreamRange};
use crate::schema::DeviceSchema;

impl Walker<'_> {
    /// Goes to the device sections, passing over what lies between; `false` when not all of them are found.
    pub(super) fn jump(&mut self, from: StreamOffset) -> Result<bool> {
        self.jumped = true;
        let starts = self.find_chain(from, false)?;
        let Some(start) = starts.first().copied() else { return Ok(false) };
        if start > from {
            let why = "not read: the question is about devices".to_owned();
            self.out.gaps.push(Gap { range: StreamRange::new(from.0, start.0), why, intended: true });
        }
        self.c.seek(start);
        Ok(true)
    }

    /// Goes on behind a record that cannot be read, at the next device section.
    ///
    /// # Errors
    /// The one that was given, when there is none.
    pub(super) fn recover(&mut self, e: Error) -> Result<()> {
        if e.kind() == ErrorKind::Io {
            return Err(e);
        }
        let from = self.accounted_to();
        if self.schema.is_none() && self.c.source().size().is_none() {
            // the rest of a pipe may have the description; if it is too much to be kept, the first error counts
            match self.c.source().exhaust() {
                Ok(size) => self.look_at_the_end(size)?,
                Err(_) => return Err(e),
            }
        }
        if self.chain.is_none() {
            self.chain = Some(self.find_chain(from, true)?);
        }
        // what begins at `from` is what could not be read
        let next = self.chain.iter().flatten().copied().find(|s| *s > from);
        let Some(next) = next else { return Err(e) };
        let why = format!("framing lost: {}", e.message());
        self.out.gaps.push(Gap { range: StreamRange::new(from.0, next.0), why, intended: false });
        self.out.found.survived("lost-framing", &e);
        self.cut_last_section(from, next)?;
        self.c.seek(next);
        Ok(())
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
        let len = usize::try_from(last.payload.len()).unwrap_or(usize::MAX);
        last.kept = last.kept.take().map(|k| k.slice(0, len));
        last.bytes = next.0.saturating_sub(last.header.range.start.0);
        last.end = EndFound::NextHeader;
        Ok(())
    }

    /// Finds where the device sections behind `from` begin, the first one first.
    fn find_chain(&mut self, from: StreamOffset, patient: bool) -> Result<Vec<StreamOffset>> {
        let Some(d) = self.schema.clone() else { return Ok(Vec::new()) };
        let eof = StreamOffset(d.record.start.0.saturating_sub(1));
        let left: Vec<&DeviceSchema> = self.unmatched.left().filter_map(|i| d.schema.devices.get(i)).collect();
        let chain = tail::chain(self.c.source(), eof, &left, from, patient)?;
        let mut starts = chain.starts;
        starts.reverse();
        // the description at the end may be that of a stream inside guest memory, where this one was cut
        let first = starts.first().copied().unwrap_or(eof);
        let floor = StreamOffset(from.0.max(first.0.saturating_sub(64 << 10)));
        if first > from && tail::begins_another_stream(self.c.source(), floor, first)? {
            self.doubtful = true;
            return Ok(Vec::new());
        }
        let complete = patient || (chain.whole && self.follows_live_section(first)?);
        if !complete {
            return Ok(Vec::new());
        }
        Ok(starts)
    }

    /// Tells whether the footer of a live section stands before `at`; a device section that is not described does not.
    fn follows_live_section(&mut self, at: StreamOffset) -> Result<bool> {
        if self.out.footers != Some(true) {
            return Ok(true);
        }
        let back = self.c.offset();
        self.c.seek(StreamOffset(at.0.saturating_sub(FOOTER_LEN)));
        let (mark, id) = (self.c.u8()?, self.c.be32()?);
        self.c.seek(back);
        Ok(mark == RecordType::FOOTER.0 && self.live_ids.contains(&id))
    }
}
