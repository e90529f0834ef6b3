//! Counting pages.

use super::{BlockList, Form, MappedRun, Page, PageAt, PageSet, PageSink, apply_xbzrle, inflate};
use crate::budget::Budget;
use crate::error::Result;
use crate::offset::{RamOffset, Sure};
use crate::text::Name;
use crate::wire::Source;

/// Records by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
        [self.zero, self.filled, self.normal, self.xbzrle, self.compressed].iter().sum()
    }
}

/// A page record that no QEMU can load.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadPage {
    /// The index of the block in the list of blocks.
    pub block: usize,
    /// The page's offset in the block.
    pub offset: RamOffset,
    /// What is wrong.
    pub why: String,
}

/// Bad pages that are told apart.
const MAX_BAD: usize = 100;

/// A sink that counts pages, and verifies those whose encoding can be wrong. It reads no page that is sent as it is.
#[derive(Clone, Debug)]
pub struct PageStats {
    budget: Budget,
    blocks: Vec<BlockStats>,
    target_page: u64,
    verify: bool,
    bad: Vec<BadPage>,
    bad_count: u64,
}

#[derive(Clone, Debug)]
struct BlockStats {
    name: Name,
    counts: PageCounts,
    seen: PageSet,
    again: u64,
}

impl BlockStats {
    fn new(name: &Name, budget: &Budget) -> Self {
        Self { name: name.clone(), counts: PageCounts::default(), seen: PageSet::new(budget), again: 0 }
    }
}

impl PageStats {
    /// Creates a sink that has counted nothing.
    #[must_use]
    pub fn new(budget: &Budget) -> Self {
        let (blocks, bad) = (Vec::new(), Vec::new());
        Self { budget: budget.clone(), blocks, target_page: 1, verify: true, bad, bad_count: 0 }
    }

    /// Creates a sink that reads no page at all.
    #[must_use]
    pub fn counting(budget: &Budget) -> Self {
        Self { verify: false, ..Self::new(budget) }
    }

    /// Returns the first page records that no QEMU can load.
    #[must_use]
    pub fn bad_pages(&self) -> &[BadPage] {
        &self.bad
    }

    /// Returns how many there are in all.
    #[must_use]
    pub fn bad_count(&self) -> u64 {
        self.bad_count
    }

    /// Decodes a page as QEMU does, and keeps what is wrong with it.
    fn check(&mut self, at: PageAt, page: Page<'_>, new: bool) {
        let size = usize::try_from(self.target_page).unwrap_or(4096);
        let result = match page {
            Page::Xbzrle(_) if new => Err("XBZRLE: delta for a page that was not sent before".to_owned()),
            Page::Xbzrle(d) if self.verify => apply_xbzrle(d, &mut vec![0; size]),
            Page::Compressed(z) if self.verify => inflate(&mut flate2::Decompress::new(true), z, size).map(drop),
            _ => return,
        };
        let Err(why) = result else { return };
        self.bad_count.tally(1);
        if self.bad.len() < MAX_BAD {
            self.bad.push(BadPage { block: at.block, offset: at.offset, why });
        }
    }

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
                Some(s) => *s = BlockStats::new(&b.name, &self.budget),
                None => self.blocks.push(BlockStats::new(&b.name, &self.budget)),
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
        n.tally(1);
        let new = b.seen.insert(at.offset.0.checked_div(self.target_page).unwrap_or_default())?;
        b.again = b.again.plus(u64::from(!new));
        self.check(at, page, new);
        Ok(())
    }

    fn mapped(&mut self, run: MappedRun, _: &dyn Source) -> Result<()> {
        let Some(b) = self.blocks.get_mut(run.block) else { return Ok(()) };
        let pages = run.bytes.checked_div(self.target_page).unwrap_or_default();
        b.counts.mapped = b.counts.mapped.plus(pages);
        Ok(())
    }

    fn wants(&self, _at: PageAt, form: Form) -> bool {
        self.verify && form != Form::Normal
    }
}
