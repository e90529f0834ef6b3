//! Counting pages.

use std::collections::HashMap;

use super::{BlockList, MappedRun, Page, PageAt, PageSink};
use crate::error::Result;
use crate::text::Name;
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
        [self.zero, self.filled, self.normal, self.xbzrle, self.compressed].iter().fold(0, |n, k| n.saturating_add(*k))
    }
}

/// A set of page numbers that grows with what is in it, whatever the numbers are.
#[derive(Clone, Debug, Default)]
pub struct PageSet {
    index: HashMap<u64, usize>,
    chunks: Vec<[u64; WORDS]>,
    /// The chunk that was asked for last; pages come mostly in order.
    last: Option<(u64, usize)>,
    len: u64,
}

const WORDS: usize = 64;
/// Pages of a chunk, as a shift.
const CHUNK_SHIFT: u32 = 12;

impl PageSet {
    #[inline]
    fn chunk(&mut self, number: u64) -> Option<usize> {
        match self.last {
            Some((n, i)) if n == number => Some(i),
            _ => {
                let i = *self.index.get(&number)?;
                self.last = Some((number, i));
                Some(i)
            }
        }
    }

    fn place(page: u64) -> (u64, usize, u64) {
        (page >> CHUNK_SHIFT, usize::try_from((page >> 6) & 63).unwrap_or_default(), 1 << (page & 63))
    }

    /// Adds a page; `false` when it was there.
    #[inline]
    pub fn insert(&mut self, page: u64) -> bool {
        let (number, word, bit) = Self::place(page);
        let i = match self.chunk(number) {
            Some(i) => i,
            None => {
                let i = self.chunks.len();
                self.chunks.push([0; WORDS]);
                self.index.insert(number, i);
                self.last = Some((number, i));
                i
            }
        };
        let Some(w) = self.chunks.get_mut(i).and_then(|c| c.get_mut(word)) else { return false };
        let new = *w & bit == 0;
        *w |= bit;
        self.len = self.len.saturating_add(u64::from(new));
        new
    }

    /// Takes a page out; `false` when it was not there.
    #[inline]
    pub fn remove(&mut self, page: u64) -> bool {
        let (number, word, bit) = Self::place(page);
        let Some(i) = self.chunk(number) else { return false };
        let Some(w) = self.chunks.get_mut(i).and_then(|c| c.get_mut(word)) else { return false };
        let there = *w & bit != 0;
        *w &= !bit;
        self.len = self.len.saturating_sub(u64::from(there));
        there
    }

    /// Takes the pages from `first` up to `end` out, in a time that depends on what is in the set.
    pub fn remove_range(&mut self, first: u64, end: u64) {
        let numbers: Vec<u64> =
            self.index.keys().copied().filter(|n| (first >> CHUNK_SHIFT..=end >> CHUNK_SHIFT).contains(n)).collect();
        for n in numbers {
            let from = first.max(n << CHUNK_SHIFT);
            let to = end.min(n.saturating_add(1) << CHUNK_SHIFT);
            for page in from..to {
                self.remove(page);
            }
        }
    }

    /// Tells whether a page is in the set.
    #[must_use]
    pub fn contains(&self, page: u64) -> bool {
        let (number, word, bit) = Self::place(page);
        let w = self.index.get(&number).and_then(|i| self.chunks.get(*i)).and_then(|c| c.get(word));
        w.is_some_and(|w| w & bit != 0)
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
    name: Name,
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
    fn blocks(&mut self, list: &BlockList<'_>) -> Result<()> {
        self.target_page = list.target_page.max(1);
        // a second list (COLO) changes lengths, not what was counted
        for (i, b) in list.blocks.iter().enumerate() {
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
        assert!(s.remove(0) && !s.remove(0) && !s.remove(5000));
        assert_eq!(s.len(), 1);
    }

    #[test]
    fn a_range_is_taken_out() {
        let mut s = PageSet::default();
        (4000..4200).for_each(|p| {
            s.insert(p);
        });
        s.remove_range(4090, 4100);
        assert_eq!(s.len(), 190);
        assert!(s.contains(4089) && !s.contains(4090) && !s.contains(4099) && s.contains(4100));
        s.remove_range(0, u64::MAX);
        assert!(s.is_empty());
    }
}
