//! A hash for each page of a RAM block, in memory or, beyond the budget, in a temporary file.
//!
//! A page of zeros takes about one byte, any other 17 bytes; in a file the 16 bytes of the hash lie at 16 times the page's
//! number.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_128;

use crate::budget::Charge;
use crate::error::{Error, Result};
use crate::offset::Sure;
use crate::ram::is_zero;
use crate::text::Name;
use crate::wire::{read_sparse_at, write_all_at};

/// What a page holds; two pages with the same number hold the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageHash(u128);

impl PageHash {
    /// Nothing was sent of it.
    pub const UNSENT: Self = Self(0);
    /// Zeros.
    pub const ZERO: Self = Self(1);
    /// Something was sent that cannot be decoded.
    pub const BAD: Self = Self(2);

    /// Hashes the content of a page.
    pub(super) fn of(page: &[u8]) -> Self {
        if is_zero(page) { Self::ZERO } else { Self(xxh3_128(page).max(3)) }
    }

    /// Returns the two bits that distinguish the constants from each other and from hashes.
    fn kind(self) -> u128 {
        self.0.min(HASHED)
    }
}

const HASHED: u128 = 3;

/// Pages of a group, as a shift.
const GROUP_SHIFT: u32 = 6;
const GROUP: usize = 1 << GROUP_SHIFT;
const HASH: usize = 16;

/// What a group needs in the tree, whose nodes are two thirds full.
const GROUP_BYTES: u64 = 88;

/// 64 pages: two bits for each, and the hashes of those that have one, in order.
#[derive(Debug, Default)]
struct Group {
    /// Bytes and no number, which would be aligned to 16.
    kinds: [u8; 16],
    hashes: Vec<u128>,
}

/// The hashes of the pages of a block.
#[derive(Debug)]
pub struct BlockHashes {
    /// The name.
    pub name: Name,
    /// The length in bytes.
    pub len: u64,
    /// Whether what was not sent is zero: in a mapped-ram file.
    pub mapped: bool,
    /// Whether the stream left it out on purpose (`x-ignore-shared`).
    pub absent: bool,
    groups: BTreeMap<u64, Group>,
    charge: Charge,
    tmpdir: Option<PathBuf>,
    spilt: Option<Spilt>,
}

/// Hashes in a file, and the group that was used last.
#[derive(Debug)]
struct Spilt {
    file: File,
    recent: RefCell<Recent>,
}

#[derive(Debug)]
struct Recent {
    number: u64,
    bytes: Box<[u8; GROUP * HASH]>,
    dirty: bool,
}

/// Returns the bits of the page in the kinds of its group, as a shift.
fn shift(page: u64) -> u32 {
    u32::try_from(page & 63).unwrap_or_default().times(2)
}

fn slot(page: u64) -> usize {
    usize::try_from(page & 63).unwrap_or_default()
}

impl Group {
    fn kind(&self, page: u64) -> u128 {
        u128::from_le_bytes(self.kinds) >> shift(page) & 3
    }

    fn set_kind(&mut self, page: u64, kind: u128) {
        let others = u128::from_le_bytes(self.kinds) & !(3 << shift(page));
        self.kinds = (others | kind << shift(page)).to_le_bytes();
    }

    /// Returns how many pages before this one have a hash.
    fn rank(&self, page: u64) -> usize {
        let low = u128::from_le_bytes(self.kinds) & (1_u128 << shift(page)).wrapping_sub(1);
        // both bits of a pair are set
        let both = low & low >> 1 & 0x5555_5555_5555_5555_5555_5555_5555_5555;
        usize::try_from(both.count_ones()).unwrap_or_default()
    }

    fn bytes(&self) -> u64 {
        GROUP_BYTES.plus((self.hashes.capacity() as u64).times(HASH as u64))
    }
}

impl BlockHashes {
    /// Pages of a chunk.
    pub const CHUNK: u64 = GROUP as u64;

    /// Creates the hashes of a block of which no page was received; `charge` limits their memory, and the rest goes
    /// to `tmpdir`.
    #[must_use]
    pub fn new(name: &Name, len: u64, charge: Charge, tmpdir: Option<PathBuf>) -> Self {
        Self {
            name: name.clone(),
            len,
            mapped: false,
            absent: false,
            groups: BTreeMap::new(),
            charge,
            tmpdir,
            spilt: None,
        }
    }

    /// Returns the numbers of the chunks in which something was sent, in order; page = chunk × [`BlockHashes::CHUNK`] + i.
    #[must_use]
    pub fn chunks(&self) -> Vec<u64> {
        self.groups.keys().copied().collect()
    }

    /// Returns what a page holds.
    ///
    /// # Errors
    /// `Io`, where the hashes are in a temporary file.
    pub fn page(&self, page: u64) -> Result<PageHash> {
        let group = self.groups.get(&(page >> GROUP_SHIFT));
        Ok(match group.map_or(0, |g| g.kind(page)) {
            0 if self.mapped => PageHash::ZERO,
            HASHED => match (&self.spilt, group) {
                (Some(s), _) => PageHash(s.get(page)?),
                (None, Some(g)) => PageHash(g.hashes.get(g.rank(page)).copied().unwrap_or_default()),
                (None, None) => PageHash::UNSENT,
            },
            kind => PageHash(kind),
        })
    }

    /// Sets what a page holds.
    ///
    /// # Errors
    /// `Io` for a temporary file; `LimitExceeded` when not even that helps.
    pub(super) fn set(&mut self, page: u64, hash: PageHash) -> Result<()> {
        let number = page >> GROUP_SHIFT;
        if !self.groups.contains_key(&number) {
            self.pay(GROUP_BYTES)?;
        }
        if self.spilt.is_none() && hash.kind() == HASHED {
            let full = self.groups.get(&number).is_none_or(|g| g.hashes.len() == g.hashes.capacity());
            if full {
                self.pay((GROUP / 4 * HASH) as u64)?;
            }
        }
        let g = self.groups.entry(number).or_default();
        let (old, rank) = (g.kind(page), g.rank(page));
        if let Some(s) = &self.spilt {
            if hash.kind() == HASHED {
                s.set(page, hash.0)?;
            }
        } else {
            match (old == HASHED, hash.kind() == HASHED) {
                (true, true) => {
                    if let Some(h) = g.hashes.get_mut(rank) {
                        *h = hash.0;
                    }
                }
                (false, true) => {
                    if g.hashes.len() == g.hashes.capacity() {
                        g.hashes.reserve_exact(GROUP / 4);
                    }
                    g.hashes.insert(rank.min(g.hashes.len()), hash.0);
                }
                (true, false) if rank < g.hashes.len() => {
                    g.hashes.remove(rank);
                }
                _ => {}
            }
        }
        g.set_kind(page, hash.kind());
        Ok(())
    }

    /// Forgets what was sent of the pages from `first` up to `end`.
    pub(super) fn forget(&mut self, first: u64, end: u64) {
        if first >= end {
            return;
        }
        let numbers: Vec<u64> =
            self.groups.range(first >> GROUP_SHIFT..=end.minus(1) >> GROUP_SHIFT).map(|(n, _)| *n).collect();
        for n in numbers {
            let start = n << GROUP_SHIFT;
            let stop = start.plus(Self::CHUNK);
            if first <= start && stop <= end {
                let gone = self.groups.remove(&n).map_or(0, |g| g.bytes());
                let _ = self.charge.set(self.charge.bytes().minus(gone));
                continue;
            }
            for page in first.max(start)..end.min(stop) {
                // a removed page costs nothing
                let _ = self.set(page, PageHash::UNSENT);
            }
        }
    }

    /// Charges bytes; moves the hashes to a temporary file when they are too many.
    fn pay(&mut self, bytes: u64) -> Result<()> {
        let Err(e) = self.charge.set(self.charge.bytes().plus(bytes)) else { return Ok(()) };
        if self.spilt.is_some() {
            return Err(e);
        }
        let file = match &self.tmpdir {
            Some(d) => tempfile::tempfile_in(d),
            None => tempfile::tempfile(),
        }
        .map_err(|e| Error::io("cannot make a temporary file", e))?;
        let recent = Recent { number: u64::MAX, bytes: Box::new([0; GROUP * HASH]), dirty: false };
        let spilt = Spilt { file, recent: RefCell::new(recent) };
        for (n, g) in &mut self.groups {
            let mut hashes = std::mem::take(&mut g.hashes).into_iter();
            for page in (*n << GROUP_SHIFT..).take(GROUP) {
                if g.kind(page) == HASHED {
                    spilt.set(page, hashes.next().unwrap_or_default())?;
                }
            }
        }
        self.spilt = Some(spilt);
        let groups = self.groups.len() as u64;
        self.charge.set(groups.times(GROUP_BYTES).plus(bytes))
    }
}

impl Spilt {
    fn recent(&self, page: u64) -> Result<std::cell::RefMut<'_, Recent>> {
        let failed = |e| Error::io("cannot use a temporary file", e);
        let number = page >> GROUP_SHIFT;
        let mut r = self.recent.borrow_mut();
        if r.number != number {
            let place = |n: u64| n.times((GROUP * HASH) as u64);
            if r.dirty {
                write_all_at(&self.file, &*r.bytes, place(r.number)).map_err(failed)?;
                r.dirty = false;
            }
            read_sparse_at(&self.file, &mut *r.bytes, place(number)).map_err(failed)?;
            r.number = number;
        }
        Ok(r)
    }

    fn get(&self, page: u64) -> Result<u128> {
        let r = self.recent(page)?;
        let at = slot(page).times(HASH);
        let bytes = r.bytes.get(at..).and_then(|b| b.get(..HASH)).and_then(|b| b.try_into().ok());
        Ok(bytes.map_or(0, u128::from_le_bytes))
    }

    fn set(&self, page: u64, hash: u128) -> Result<()> {
        let mut r = self.recent(page)?;
        let at = slot(page).times(HASH);
        if let Some(b) = r.bytes.get_mut(at..).and_then(|b| b.get_mut(..HASH)) {
            b.copy_from_slice(&hash.to_le_bytes());
        }
        r.dirty = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use std::collections::HashMap;

    #[test]
    fn it_keeps_what_it_is_given_in_memory_and_in_a_file() {
        for budget in [1 << 20, 4_000] {
            let budget = Budget::of(budget);
            let mut ours = BlockHashes::new(&"b".into(), 1 << 30, budget.charge("hashes"), None);
            let mut theirs: HashMap<u64, PageHash> = HashMap::new();
            let mut random = 7_u64;
            for _ in 0..4_000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let page = random >> 40 & 0x3ff;
                let hash = PageHash(u128::from(random >> 33 & 7) * 0x1_0000_0001);
                let hash = if hash.0 == 0 { PageHash((random >> 50 & 3).into()) } else { hash };
                if random >> 60 == 0 {
                    ours.forget(page, page + 90);
                    theirs.retain(|p, _| !(page..page + 90).contains(p));
                } else {
                    ours.set(page, hash).unwrap();
                    theirs.insert(page, hash);
                }
            }
            assert_eq!(ours.spilt.is_some(), budget.limit() == 4_000);
            for page in 0..0x400 {
                assert_eq!(ours.page(page).unwrap(), theirs.get(&page).copied().unwrap_or_default(), "{page}");
            }
        }
    }

    #[test]
    fn zeros_cost_less_than_four_bytes_a_page() {
        let budget = Budget::of(1 << 30);
        let mut b = BlockHashes::new(&"b".into(), 1 << 40, budget.charge("hashes"), None);
        (0..100_000).for_each(|p| b.set(p, PageHash::ZERO).unwrap());
        assert!(b.charge.bytes() < 200_000, "{}", b.charge.bytes());
        (0..100_000).for_each(|p| b.set(p, PageHash(1 << 100)).unwrap());
        assert!(b.charge.bytes() < 1_800_000, "{}", b.charge.bytes());
        let entry = size_of::<(u64, Group)>() as u64;
        assert!(entry * 3 / 2 <= GROUP_BYTES, "{entry}");
    }
}
