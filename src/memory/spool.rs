//! The pages of a pipe, which cannot be read again: in memory while they are few, else in a temporary file without a name.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tempfile::SpooledTempFile;

use super::entry::Known;
use crate::error::{Error, Result};
use crate::offset::Sure;
use crate::ram::{Page, Replay};

/// Bytes that stay in memory.
const IN_MEMORY: usize = 16 << 20;

/// Outcome of keeping a page.
pub(super) enum Kept {
    /// It is in this slot.
    In(u64),
    /// It cannot be decoded: why, unless it is a difference to a page that cannot be decoded either.
    Bad(Option<String>),
    /// There is no room.
    Full,
}

/// Pages by the number of their slot.
#[derive(Debug)]
pub struct Spool {
    file: Mutex<SpooledTempFile>,
    limit: u64,
    page: usize,
    slots: u64,
    full: bool,
    replay: Replay,
}

impl Spool {
    /// Creates an empty spool for at most `limit` bytes of pages; its file goes to `dir`, or to the system's directory.
    #[must_use]
    pub fn new(dir: Option<&Path>, limit: u64) -> Self {
        let file = match dir {
            Some(d) => tempfile::spooled_tempfile_in(IN_MEMORY, d),
            None => tempfile::spooled_tempfile(IN_MEMORY),
        };
        Self { file: Mutex::new(file), limit, page: 4096, slots: 0, full: false, replay: Replay::default() }
    }

    /// Returns `true` if there were more pages than the limit allows.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Begins anew, with another page size.
    pub(super) fn begin(&mut self, target_page: u64) {
        self.page = usize::try_from(target_page).unwrap_or(4096);
        self.slots = 0;
    }

    /// Writes the content of a page after a record, given what was known before.
    pub(super) fn keep(&mut self, before: Known, record: Page<'_>) -> Result<Kept> {
        let slot = match before {
            Known::At(slot) => slot,
            _ => self.slots,
        };
        let end = slot.plus(1).times(self.page as u64);
        if self.full || end > self.limit {
            self.full = true;
            return Ok(Kept::Full);
        }
        let mut content = vec![0; self.page];
        match (record, before) {
            (Page::Xbzrle(_), Known::At(slot)) => self.read(slot, &mut content)?,
            (Page::Xbzrle(_), Known::Bad) => return Ok(Kept::Bad(None)),
            _ => {}
        }
        if let Err(why) = self.replay.apply(record, &mut content) {
            return Ok(Kept::Bad(Some(why)));
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.seek(SeekFrom::Start(slot.times(self.page as u64))).and_then(|_| file.write_all(&content));
        written.map_err(|e| Error::io("cannot write a temporary file", e))?;
        self.slots = self.slots.max(slot.plus(1));
        Ok(Kept::In(slot))
    }

    /// Reads a page.
    pub(super) fn read(&self, slot: u64, content: &mut [u8]) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(slot.times(self.page as u64))).and_then(|_| file.read_exact(content));
        read.map_err(|e| Error::io("cannot read a temporary file", e))
    }
}
