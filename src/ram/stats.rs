//! Counting pages.

use std::collections::HashMap;

use super::{MappedRun, Page, PageAt, PageSink, RamBlock};
use crate::error::Result;
use crate::wire::Source;

/// Records by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// Pages of zeros.
    pub zero: u64,
    /// Pages filled with another byte (QEMU before 1.6).
    pub filled: u64,
    /// Pages as they are.
    pub normal: u64,
    /// Differences.
    pub xbzrle: u64,
    /// Pages compressed by zlib.
    pub compressed: u64,
    /// Pages of a mapped-ram file that are in it.
    pub mapped: u64,
    /// Barriers of multifd channels.
    pub multifd_flushes: u64,
}

impl PageCounts {
    /// Returns the number of page records.
    #[must_use]
    pub fn pages(&self) -> u64 {
        [self.zero, self.filled, self.normal, self.xbzrle, self.compressed]
            .iter()
            .fold(0, |n, k| n.saturating_add(*k))
    }
}

/// A set of page numbers that grows with what is in it, whatever the numbers are.
#[derive(Clone, Debug, Default)]
pub struct PageSet {
    chunks: HashMap<u64, Box<[u64; WORDS]>>,
    len: u64,
}

const WORDS: usize = 64;

impl PageSet {
    /// Adds a page; `false` when it was there.
    pub fn insert(&mut self, page: u64) -> bool {
        let word = usize::try_from((page >> 6) & 63).unwrap_or_default();
        let bit = 1_u64 << (page & 63);
        let chunk = self.chunks.entry(page >> 12).or_insert_with(|| Box::new([0; WORDS]));
        let Some(w) = chunk.get_mut(word) else { return false };
        let new = *w & bit == 0;
        *w |= bit;
        self.len = self.len.saturating_add(u64::from(new));
        new
    }

    /// Tells whether a page is in the set.
    #[must_use]
    pub fn contains(&self, page: u64) -> bool {
        let word = usize::try_from((page >> 6) & 63).unwrap_or_default();
        let w = self.chunks.get(&(page >> 12)).and_then(|c| c.get(word)).copied().unwrap_or_default();
        w & (1_u64 << (page & 63)) != 0
    }

    /// Returns the number of pages.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Tells whether there is no page in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A sink that counts, and reads no page.
#[derive(Clone, Debug, Default)]
pub struct PageStats {
    blocks: Vec<BlockStats>,
    target_page: u64,
}

#[derive(Clone, Debug, Default)]
struct BlockStats {
    name: String,
    counts: PageCounts,
    seen: PageSet,
    again: u64,
}

impl PageStats {
    /// Returns the counts of a block.
    #[must_use]
    pub fn counts(&self, block: usize) -> PageCounts {
        self.blocks.get(block).map(|b| b.counts.clone()).unwrap_or_default()
    }

    /// Returns how many different pages of a block were sent.
    #[must_use]
    pub fn distinct(&self, block: usize) -> u64 {
        self.blocks.get(block).map_or(0, |b| b.seen.len())
    }

    /// Returns how many records of a block were about a page that had been sent before.
    #[must_use]
    pub fn sent_again(&self, block: usize) -> u64 {
        self.blocks.get(block).map_or(0, |b| b.again)
    }
}

impl PageSink for PageStats {
    fn blocks(&mut self, blocks: &[RamBlock], target_page: u64) -> Result<()> {
        self.target_page = target_page.max(1);
        // a second list (COLO) changes lengths, not what was counted
        for (i, b) in blocks.iter().enumerate() {
            match self.blocks.get_mut(i) {
                Some(s) if s.name == b.name => {}
                Some(s) => *s = BlockStats { name: b.name.clone(), ..BlockStats::default() },
                None => self.blocks.push(BlockStats { name: b.name.clone(), ..BlockStats::default() }),
            }
        }
        Ok(())
    }

    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        let Some(b) = self.blocks.get_mut(at.block) else { return Ok(()) };
        let n = match page {
            Page::Fill(0) => &mut b.counts.zero,
            Page::Fill(_) => &mut b.counts.filled,
            Page::Normal(_) => &mut b.counts.normal,
            Page::Xbzrle(_) => &mut b.counts.xbzrle,
            Page::Compressed(_) => &mut b.counts.compressed,
        };
        *n = n.saturating_add(1);
        if !b.seen.insert(at.offset.0.checked_div(self.target_page).unwrap_or_default()) {
            b.again = b.again.saturating_add(1);
        }
        Ok(())
    }

    fn mapped(&mut self, run: MappedRun, _: &dyn Source) -> Result<()> {
        let Some(b) = self.blocks.get_mut(run.block) else { return Ok(()) };
        let pages = run.bytes.checked_div(self.target_page).unwrap_or_default();
        b.counts.mapped = b.counts.mapped.saturating_add(pages);
        Ok(())
    }

    fn wants_data(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_set_costs_by_what_is_in_it() {
        let mut s = PageSet::default();
        assert!(s.insert(u64::MAX));
        assert!(s.insert(0));
        assert!(!s.insert(0));
        assert!(s.contains(u64::MAX) && !s.contains(1));
        assert_eq!(s.len(), 2);
        assert_eq!(s.chunks.len(), 2);
    }
}
