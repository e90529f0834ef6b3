//! The pages of a dump in ascending order.

use std::ops::Range;

use crate::error::Result;
use crate::machine::Region;
use crate::offset::Sure;

/// Bytes of the bitmap that are written at a time.
const PIECE: u64 = 64 << 10;

/// A run of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// The number of the first page.
    first: u64,
    pages: u64,
    /// How many pages the runs before it have.
    before: u64,
}

/// All pages that have memory, by their place in the list.
#[derive(Debug)]
pub(super) struct PageList<'a> {
    pub(super) block: u64,
    pub(super) regions: &'a [Region],
    runs: Vec<Run>,
}

impl<'a> PageList<'a> {
    /// Lists all pages of regions, which are in ascending order of addresses.
    pub(super) fn new(regions: &'a [Region], block: u64) -> Self {
        Self::of_ranges(regions, block, regions.iter().map(|r| r.gpa.0..r.end().0))
    }

    /// Lists the pages of regions that have something of ranges of guest-physical memory, which are in ascending order.
    pub(super) fn of_ranges(regions: &'a [Region], block: u64, ranges: impl Iterator<Item = Range<u64>>) -> Self {
        let block = block.max(1);
        let mut runs: Vec<Run> = Vec::new();
        for range in ranges.filter(|r| !r.is_empty()) {
            let mut first = range.start.checked_div(block).unwrap_or(0);
            let end = range.end.div_ceil(block);
            let mut before = 0;
            if let Some(last) = runs.last_mut() {
                let last_end = last.first.plus(last.pages);
                before = last.before.plus(last.pages);
                // two ranges may share a page; those of a hostile machine overlap, and may end before it
                first = first.max(last_end);
                if first == last_end {
                    last.pages.tally(end.saturating_sub(first));
                    continue;
                }
            }
            if first < end {
                runs.push(Run { first, pages: end.minus(first), before });
            }
        }
        Self { block, regions, runs }
    }

    /// Returns the number of pages.
    pub(super) fn len(&self) -> u64 {
        self.runs.last().map_or(0, |r| r.before.plus(r.pages))
    }

    /// Returns one more than the number of the last page.
    pub(super) fn end(&self) -> u64 {
        self.runs.last().map_or(0, |r| r.first.plus(r.pages))
    }

    /// Returns the address of a page, by its place in the list.
    pub(super) fn address(&self, n: u64) -> Option<u64> {
        let next = self.runs.partition_point(|r| r.before <= n);
        let run = self.runs.get(next.checked_sub(1)?)?;
        let within = n.checked_sub(run.before).filter(|w| *w < run.pages)?;
        run.first.checked_add(within)?.checked_mul(self.block)
    }

    /// Calls `f` with the pieces of the bitmap in which bits are set; bit n of it is page n.
    pub(super) fn bitmap(&self, f: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let mut piece: Vec<u8> = Vec::new();
        let mut number = 0;
        for r in &self.runs {
            let mut page = r.first;
            let end = r.first.plus(r.pages);
            while page < end {
                let wanted = page.checked_div(PIECE << 3).unwrap_or(0);
                if wanted != number || piece.is_empty() {
                    if !piece.is_empty() {
                        f(number.times(PIECE), &piece)?;
                    }
                    piece.clear();
                    piece.resize(usize::try_from(PIECE).unwrap_or(0), 0);
                    number = wanted;
                }
                let stop = end.min(number.plus(1).times(PIECE << 3));
                set(&mut piece, page.minus(number.times(PIECE << 3)), stop.minus(page));
                page = stop;
            }
        }
        // the last piece ends with the bitmap
        let last = self.end().div_ceil(8).minus(number.times(PIECE));
        piece.truncate(usize::try_from(last).unwrap_or(usize::MAX));
        if piece.is_empty() { Ok(()) } else { f(number.times(PIECE), &piece) }
    }
}

/// Sets `n` bits from bit `from` on.
fn set(bits: &mut [u8], from: u64, n: u64) {
    let end = from.plus(n);
    let mut bit = from;
    while bit < end {
        let Some(byte) = usize::try_from(bit >> 3).ok().and_then(|i| bits.get_mut(i)) else { return };
        let low = bit & 7;
        let count = end.minus(bit).min(8_u64.minus(low));
        let mask = 0xff_u32.checked_shr(8_u32.minus(u32::try_from(count).unwrap_or(8))).unwrap_or(0) << low;
        *byte |= u8::try_from(mask & 0xff).unwrap_or(0);
        bit = bit.plus(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::{Gpa, RamOffset};

    fn region(gpa: u64, bytes: u64) -> Region {
        Region { gpa: Gpa(gpa), bytes, block: 0, block_offset: RamOffset(0), why: "table" }
    }

    #[test]
    fn pages_are_counted_once() {
        let regions =
            [region(0, 0xa0000), region(0xc0000, 0x40000), region(0x100000, 0x1000), region(1 << 32, 0x20000)];
        let list = PageList::new(&regions, 4096);
        assert_eq!((list.len(), list.end()), (0xa0 + 0x41 + 0x20, 0x10_0020));
        assert_eq!(list.address(0x9f), Some(0x9f000));
        assert_eq!(list.address(0xa0), Some(0xc0000));
        assert_eq!(list.address(0xe0), Some(0x10_0000));
        assert_eq!(list.address(0xe1), Some(1 << 32));
        assert_eq!(list.address(list.len()), None);
        // with blocks of 64 KiB, two regions share the one at 1 MiB
        let regions = [region(0xf8000, 0x8000), region(0x100000, 0x1000), region(0x104000, 0x1000)];
        let list = PageList::new(&regions, 65536);
        assert_eq!((list.len(), list.address(0), list.address(1)), (2, Some(0xf_0000), Some(0x10_0000)));
    }

    #[test]
    fn regions_that_overlap_count_once() {
        // a small region inside a large one, and one that begins inside and ends after it
        let regions = [region(0x1000, 0x8000), region(0x2000, 0x1000), region(0x8000, 0x4000), region(u64::MAX, 9)];
        let list = PageList::new(&regions, 4096);
        assert_eq!((list.len(), list.end(), list.address(10)), (11, 12, Some(0xb000)));
    }

    #[test]
    fn the_bitmap_is_what_a_bit_for_each_page_gives() {
        let regions = [region(0x3000, 0x5000), region(0x10000, 0x1000), region(0x8_0000_0000, 0x1_2345_6000)];
        let list = PageList::new(&regions, 4096);
        let mut got = vec![0_u8; usize::try_from(list.end().div_ceil(8)).unwrap()];
        list.bitmap(&mut |at, bytes| {
            got[at as usize..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        })
        .unwrap();
        let mut want = vec![0_u8; got.len()];
        for n in 0..list.len() {
            let page = list.address(n).unwrap() / 4096;
            want[(page / 8) as usize] |= 1 << (page % 8);
        }
        assert!(got == want);
    }
}
