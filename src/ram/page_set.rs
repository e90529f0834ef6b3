//! Sets of page numbers.

use std::collections::BTreeMap;

use crate::budget::{Budget, Charge};
use crate::error::Result;
use crate::offset::Sure;

/// A set of page numbers whose memory is charged to a budget.
///
/// A set of dense pages takes an eighth of a byte a page; a page far from all others takes some 50 bytes.
#[derive(Clone, Debug)]
pub struct PageSet {
    chunks: BTreeMap<u64, Chunk>,
    /// Chunks that are a bitmap.
    dense: u64,
    len: u64,
    charge: Charge,
    /// Bytes that are charged and not used yet.
    spare: u64,
}

/// Some of the 4096 pages whose numbers differ in the last twelve bits only.
#[derive(Clone, Debug)]
enum Chunk {
    /// The first `len` of these, in no order.
    Few { pages: [u16; FEW], len: u8 },
    /// A bit for each.
    Bits(Box<[u64; WORDS]>),
}

const FEW: usize = 6;
const WORDS: usize = 64;
const CHUNK_SHIFT: u32 = 12;

/// An entry of the tree, with what the tree itself needs: its nodes are two thirds full.
const ENTRY: u64 = 48;
const BITMAP: u64 = (WORDS as u64) * 8 + 16;

/// Bytes that are charged at a time.
const PORTION: u64 = 64 << 10;

fn low(page: u64) -> u16 {
    u16::try_from(page & 0xfff).unwrap_or_default()
}

fn place(low: u16) -> (usize, u64) {
    (usize::from(low >> 6), 1 << (low & 63))
}

impl Chunk {
    fn contains(&self, low: u16) -> bool {
        match self {
            Self::Few { pages, len } => pages.iter().take(usize::from(*len)).any(|p| *p == low),
            Self::Bits(b) => {
                let (word, bit) = place(low);
                b.get(word).is_some_and(|w| w & bit != 0)
            }
        }
    }

    /// Adds a page that is not there; `false` when a bitmap is needed for it.
    fn add(&mut self, low: u16) -> bool {
        match self {
            Self::Few { pages, len } => match pages.get_mut(usize::from(*len)) {
                Some(p) => {
                    *p = low;
                    len.tally(1);
                    true
                }
                None => false,
            },
            Self::Bits(b) => {
                let (word, bit) = place(low);
                if let Some(w) = b.get_mut(word) {
                    *w |= bit;
                }
                true
            }
        }
    }

    fn as_bits(&self) -> Box<[u64; WORDS]> {
        let mut bits = Box::new([0; WORDS]);
        if let Self::Few { pages, len } = self {
            for low in pages.iter().take(usize::from(*len)) {
                let (word, bit) = place(*low);
                if let Some(w) = bits.get_mut(word) {
                    *w |= bit;
                }
            }
        }
        bits
    }

    fn remove(&mut self, low: u16) -> bool {
        match self {
            Self::Few { pages, len } => {
                let Some(i) = pages.iter().take(usize::from(*len)).position(|p| *p == low) else { return false };
                *len = len.minus(1);
                pages.swap(i, usize::from(*len).min(FEW - 1));
                true
            }
            Self::Bits(b) => {
                let (word, bit) = place(low);
                let Some(w) = b.get_mut(word) else { return false };
                let there = *w & bit != 0;
                *w &= !bit;
                there
            }
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Few { len, .. } => u64::from(*len),
            Self::Bits(b) => b.iter().map(|w| u64::from(w.count_ones())).sum(),
        }
    }
}

impl PageSet {
    /// Creates an empty set.
    #[must_use]
    pub fn new(budget: &Budget) -> Self {
        Self { chunks: BTreeMap::new(), dense: 0, len: 0, charge: budget.charge("sets of page numbers"), spare: 0 }
    }

    fn pay(&mut self, bytes: u64) -> Result<()> {
        if self.spare < bytes {
            let more = bytes.max(PORTION.min(self.charge.bytes() / 8));
            self.charge.set(self.charge.bytes().plus(more))?;
            self.spare = self.spare.plus(more);
        }
        self.spare = self.spare.minus(bytes);
        Ok(())
    }

    /// Adds a page; `false` when it was there.
    ///
    /// # Errors
    /// `LimitExceeded` when the budget is used up.
    #[inline]
    pub fn insert(&mut self, page: u64) -> Result<bool> {
        let (number, low) = (page >> CHUNK_SHIFT, low(page));
        match self.chunks.get_mut(&number) {
            Some(c) => {
                if c.contains(low) {
                    return Ok(false);
                }
                if !c.add(low) {
                    let mut bits = Chunk::Bits(c.as_bits());
                    bits.add(low);
                    self.pay(BITMAP)?;
                    self.dense.tally(1);
                    self.chunks.insert(number, bits);
                }
            }
            None => {
                self.pay(ENTRY)?;
                let mut pages = [0; FEW];
                if let Some(p) = pages.first_mut() {
                    *p = low;
                }
                self.chunks.insert(number, Chunk::Few { pages, len: 1 });
            }
        }
        self.len.tally(1);
        Ok(true)
    }

    /// Takes a page out; `false` when it was not there.
    #[inline]
    pub fn remove(&mut self, page: u64) -> bool {
        let there = self.chunks.get_mut(&(page >> CHUNK_SHIFT)).is_some_and(|c| c.remove(low(page)));
        self.len = self.len.minus(u64::from(there));
        there
    }

    /// Takes the pages from `first` up to `end` out and returns how many there were, in a time that depends on what is in
    /// the range.
    pub fn remove_range(&mut self, first: u64, end: u64) -> u64 {
        if first >= end {
            return 0;
        }
        let before = self.len;
        let numbers: Vec<u64> =
            self.chunks.range(first >> CHUNK_SHIFT..=end.minus(1) >> CHUNK_SHIFT).map(|(n, _)| *n).collect();
        for n in numbers {
            let start = n << CHUNK_SHIFT;
            let stop = start.plus(1 << CHUNK_SHIFT);
            if first <= start && stop <= end {
                let gone = self.chunks.remove(&n);
                self.len = self.len.minus(gone.as_ref().map_or(0, Chunk::len));
                let freed = ENTRY.plus(if matches!(gone, Some(Chunk::Bits(_))) { BITMAP } else { 0 });
                self.spare = self.spare.plus(freed);
                continue;
            }
            for page in first.max(start)..end.min(stop) {
                self.remove(page);
            }
        }
        before.minus(self.len)
    }

    /// Returns whether a page is in the set.
    #[must_use]
    pub fn contains(&self, page: u64) -> bool {
        self.chunks.get(&(page >> CHUNK_SHIFT)).is_some_and(|c| c.contains(low(page)))
    }

    /// Returns the number of pages.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether there is no page in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn set() -> PageSet {
        PageSet::new(&Budget::of(1 << 20))
    }

    #[test]
    fn a_page_far_from_all_others_costs_little() {
        let mut s = set();
        assert!(s.insert(u64::MAX).unwrap());
        assert!(s.insert(0).unwrap());
        assert!(!s.insert(0).unwrap());
        assert!(s.contains(u64::MAX) && !s.contains(1));
        assert_eq!((s.len(), s.chunks.len(), s.dense), (2, 2, 0));
        assert!(s.remove(0) && !s.remove(0) && !s.remove(5000));
        assert_eq!(s.len(), 1);
        assert!(size_of::<(u64, Chunk)>() as u64 <= ENTRY / 4 * 3);
    }

    #[test]
    fn more_than_the_budget_is_refused() {
        let mut s = PageSet::new(&Budget::of(10_000));
        let refused = (0..1000).map(|i| s.insert(i << 20)).position(|r| r.is_err());
        assert!(refused.is_some_and(|n| (100..210).contains(&n)), "{refused:?}");
    }

    #[test]
    fn it_is_a_set() {
        let mut random = 1_u64;
        let mut next = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % n
        };
        for spread in [50, 5_000, 100_000] {
            let (mut ours, mut theirs) = (set(), BTreeSet::new());
            for _ in 0..5_000 {
                let page = next(spread);
                match next(20) {
                    0 => {
                        let end = page + next(spread / 4);
                        let gone: Vec<u64> = theirs.range(page..end).copied().collect();
                        assert_eq!(ours.remove_range(page, end), gone.len() as u64);
                        theirs.retain(|p| !gone.contains(p));
                    }
                    1..=4 => assert_eq!(ours.remove(page), theirs.remove(&page)),
                    _ => assert_eq!(ours.insert(page).unwrap(), theirs.insert(page)),
                }
                assert_eq!(ours.len(), theirs.len() as u64);
            }
            assert!((0..spread).all(|p| ours.contains(p) == theirs.contains(&p)));
            ours.remove_range(0, u64::MAX);
            assert!(ours.is_empty());
        }
    }
}
