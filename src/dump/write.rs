//! Memory on its way into a dump, read page by page.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::machine::Region;
use crate::memory::{GuestMemory, PageContent, PageReader};
use crate::offset::{RamOffset, Sure};
use crate::ram::is_zero;

/// Bytes of memory that are read before they are written.
pub(super) const PIECE: u64 = 256 << 10;
/// Pages that cannot be decoded and are listed one by one.
const MAX_BAD: usize = 100;

/// Where a dump is written. What is not written is zero.
pub trait Output {
    /// Writes bytes at an offset. Offsets only grow where a format can be written in order.
    ///
    /// # Errors
    /// `Io`.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<()>;
}

/// Memory that could not be put into a dump as it should be.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Lost {
    /// Bytes that the stream never sent; they are zero in the dump.
    pub unsent: u64,
    /// Pages that cannot be decoded, with the reason; they are zero in the dump.
    pub bad: Vec<String>,
    /// Their number.
    pub bad_count: u64,
    /// The pages could not be read further.
    pub unreadable: Option<Error>,
}

impl Lost {
    /// Creates a report of pages that were written in another way.
    #[must_use]
    pub fn new(unsent: u64, bad: Vec<String>, bad_count: u64) -> Self {
        Self { unsent, bad, bad_count, unreadable: None }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.unsent.tally(other.unsent);
        self.bad_count.tally(other.bad_count);
        let room = MAX_BAD.minus(self.bad.len());
        self.bad.extend(other.bad.into_iter().take(room));
        if self.unreadable.is_none() {
            self.unreadable = other.unreadable;
        }
    }

    /// Returns whether every page that the stream has is in the dump.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.bad_count == 0 && self.unreadable.is_none()
    }

    fn fault(&mut self, at: u64, e: Error) {
        match e.kind() {
            // a file that changed or cannot be read is not asked for each of its pages
            ErrorKind::Io | ErrorKind::Truncated => {
                self.unreadable.get_or_insert(e);
            }
            _ => {
                self.bad_count.tally(1);
                if self.bad.len() < MAX_BAD {
                    self.bad.push(format!("the page at physical address {at:#x} is not sound: {}", e.message()));
                }
            }
        }
    }
}

/// Reads ranges of guest-physical memory with a page reader of its own.
pub(super) struct RangeReader<'m> {
    pages: PageReader<'m>,
    page: u64,
    one: Vec<u8>,
    pub(super) lost: Lost,
}

impl<'m> RangeReader<'m> {
    pub(super) fn new(memory: &'m GuestMemory) -> Self {
        let page = memory.target_page().max(1);
        let one = vec![0; usize::try_from(page).unwrap_or(4096)];
        Self { pages: PageReader::new(memory), page, one, lost: Lost::default() }
    }

    /// Fills `out` with the bytes of a region from `skip` on. Returns `false` if all are known to be zero; then `out` is not touched
    /// further than to be zero.
    pub(super) fn read(&mut self, region: &Region, skip: u64, out: &mut [u8]) -> bool {
        let mut any = false;
        let mut done = 0_usize;
        while let Some(rest) = out.get_mut(done..).filter(|r| !r.is_empty()) {
            let ahead = skip.plus(done as u64);
            let offset = region.block_offset.0.plus(ahead);
            let within = offset.checked_rem(self.page).unwrap_or(0);
            let left = usize::try_from(self.page.minus(within)).unwrap_or(usize::MAX);
            let n = left.min(rest.len());
            let piece = rest.get_mut(..n).unwrap_or_default();
            let start = RamOffset(offset.minus(within));
            let found = if self.lost.unreadable.is_some() {
                piece.fill(0);
                Ok(PageContent::Zero)
            } else if within == 0 && n as u64 == self.page {
                self.pages.read(region.block, start, piece)
            } else {
                let found = self.pages.read(region.block, start, &mut self.one);
                let from = usize::try_from(within).unwrap_or(usize::MAX);
                if let Some(bytes) = self.one.get(from..).and_then(|b| b.get(..n)) {
                    piece.copy_from_slice(bytes);
                }
                found
            };
            match found {
                Ok(PageContent::Data) => any = true,
                Ok(PageContent::Zero) => {}
                Ok(PageContent::Unsent) => self.lost.unsent.tally(n as u64),
                Err(e) => self.lost.fault(region.gpa.plus(ahead).0, e),
            }
            done = done.plus(n);
        }
        any && !is_zero(out)
    }
}

/// Returns which bytes of a region are in the stream, counted from its start.
pub(super) fn sent(memory: &GuestMemory, region: &Region) -> Vec<Range<u64>> {
    let start = region.block_offset.0;
    let ranges = memory.sent(region.block, start..start.plus(region.bytes));
    ranges.into_iter().map(|r| r.start.minus(start)..r.end.minus(start)).collect()
}

/// Writes a planned ELF file; `progress` is called with the bytes of memory that are done.
///
/// # Errors
/// Those of the output. Memory that cannot be read is in the result.
pub fn elf(
    plan: &super::elf::ElfPlan,
    memory: &GuestMemory,
    out: &mut dyn Output,
    progress: &mut dyn FnMut(u64),
) -> Result<Lost> {
    out.write_at(0, &plan.head)?;
    let mut reader = RangeReader::new(memory);
    let mut buf = Vec::new();
    let mut total = 0_u64;
    for p in &plan.memory {
        let mut missing = p.region.bytes;
        for sent in sent(memory, &p.region) {
            missing = missing.minus(sent.end.minus(sent.start));
            let mut done = sent.start;
            while done < sent.end {
                let n = PIECE.min(sent.end.minus(done));
                buf.resize(usize::try_from(n).unwrap_or(0), 0);
                if reader.read(&p.region, done, &mut buf) {
                    out.write_at(p.at.plus(done), &buf)?;
                }
                done = done.plus(n);
                progress(total.plus(done));
            }
        }
        reader.lost.unsent.tally(missing);
        total = total.plus(p.region.bytes);
        progress(total);
    }
    if !plan.tail.is_empty() {
        out.write_at(plan.len.minus(plan.tail.len() as u64), &plan.tail)?;
    }
    Ok(reader.lost)
}
