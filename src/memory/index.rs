//! Where the last content of each page is: 8 bytes a page, an eighth of a byte for a page of zeros.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::entry::{Entry, Known, Link};
use super::spool::{Kept, Spool};
use crate::budget::{Budget, Charge};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::{RamOffset, StreamOffset, Sure};
use crate::ram::{BlockList, Form, MappedBitmap, MappedRun, Page, PageAt, PageSink, RamBlock};
use crate::wire::Source;

/// Pages of a chunk, as a shift.
const CHUNK_SHIFT: u32 = 9;
const CHUNK: usize = 1 << CHUNK_SHIFT;
/// What a chunk needs in the tree, whose nodes are two thirds full.
const NODE_BYTES: u64 = 48;
const ZEROS_BYTES: u64 = (CHUNK as u64) / 8;
const PLACES_BYTES: u64 = (CHUNK as u64) * 8;
const LINK_BYTES: u64 = 16;
/// Pages whose fault is kept in words.
const MAX_BAD: usize = 1000;
/// Bytes that are charged at a time.
const PORTION: u64 = 64 << 10;

/// 512 pages.
#[derive(Debug)]
enum Chunk {
    /// Each page is zero or unsent: a bit for each.
    Zeros([u64; CHUNK / 64]),
    /// An entry for each.
    Places(Box<[Entry; CHUNK]>),
}

impl Chunk {
    fn get(&self, i: usize) -> Entry {
        match self {
            Self::Zeros(bits) => match bits.get(i >> 6) {
                Some(word) if word >> (i & 63) & 1 != 0 => Entry::ZERO,
                _ => Entry::UNSENT,
            },
            Self::Places(places) => places.get(i).copied().unwrap_or_default(),
        }
    }

    /// Changes a page, unless it needs a form of the chunk that this one does not have.
    fn set(&mut self, i: usize, entry: Entry) -> bool {
        match self {
            Self::Zeros(bits) => {
                if !matches!(entry, Entry::UNSENT | Entry::ZERO) {
                    return false;
                }
                if let Some(word) = bits.get_mut(i >> 6) {
                    let bit = 1 << (i & 63);
                    *word = if entry == Entry::ZERO { *word | bit } else { *word & !bit };
                }
            }
            Self::Places(places) => {
                if let Some(place) = places.get_mut(i) {
                    *place = entry;
                }
            }
        }
        true
    }

    fn with_places(&self) -> Self {
        let mut places = Box::new([Entry::UNSENT; CHUNK]);
        places.iter_mut().enumerate().for_each(|(i, p)| *p = self.get(i));
        Self::Places(places)
    }
}

/// The pages of one block.
#[derive(Debug, Default)]
struct BlockIndex {
    chunks: BTreeMap<u64, Chunk>,
    /// In a mapped-ram file: what was not sent is zero.
    mapped: bool,
}

/// Notes where each page is, in one walk over a stream.
///
/// Of a stream that can be read again only the places are kept. Of a pipe the pages themselves go to a temporary file.
#[derive(Debug)]
pub struct PageIndex {
    blocks: Vec<BlockIndex>,
    links: Vec<Link>,
    target_page: u64,
    charge: Charge,
    /// Bytes that the index uses; the charge is rounded up.
    used: u64,
    spool: Option<Spool>,
    /// Pages of a pipe that cannot be decoded: the first few, with the record that is at fault.
    bad: HashMap<(usize, u64), (StreamOffset, String)>,
}

fn split(page: u64) -> (u64, usize) {
    (page >> CHUNK_SHIFT, usize::try_from(page).unwrap_or(0) & (CHUNK - 1))
}

impl PageIndex {
    /// Creates an index of a stream that can be read again.
    #[must_use]
    pub fn new(budget: &Budget) -> Self {
        let charge = budget.charge("the index of guest memory");
        Self {
            blocks: Vec::new(),
            links: Vec::new(),
            target_page: 4096,
            charge,
            used: 0,
            spool: None,
            bad: HashMap::new(),
        }
    }

    /// Creates an index that keeps the pages of a pipe.
    #[must_use]
    pub fn spooling(budget: &Budget, spool: Spool) -> Self {
        Self { spool: Some(spool), ..Self::new(budget) }
    }

    /// Returns `true` if the pages of a pipe were more than may be kept; then none is known.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.spool.as_ref().is_some_and(Spool::is_full)
    }

    pub(super) fn target_page(&self) -> u64 {
        self.target_page
    }

    pub(super) fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    pub(super) fn link(&self, number: usize) -> Option<Link> {
        self.links.get(number).copied()
    }

    /// Returns what is known of a page.
    pub(super) fn get(&self, block: usize, page: u64) -> Known {
        let Some(b) = self.blocks.get(block) else { return Known::Unsent };
        let (chunk, i) = split(page);
        match b.chunks.get(&chunk).map_or(Known::Unsent, |c| c.get(i).known()) {
            Known::Unsent if b.mapped => Known::Zero,
            known => known,
        }
    }

    /// Calls `f` with the runs of pages that are known, of those in a range, in ascending order. What was never sent costs nothing.
    pub(super) fn known(&self, block: usize, pages: Range<u64>, f: &mut dyn FnMut(Range<u64>)) {
        let Some(b) = self.blocks.get(block).filter(|_| !pages.is_empty()) else { return };
        if b.mapped {
            return f(pages);
        }
        let mut open: Option<Range<u64>> = None;
        for (number, chunk) in b.chunks.range(split(pages.start).0..=split(pages.end).0) {
            for (page, i) in (number << CHUNK_SHIFT..).zip(0..CHUNK) {
                if !pages.contains(&page) || chunk.get(i).known() == Known::Unsent {
                    continue;
                }
                match open.as_mut().filter(|r| r.end == page) {
                    Some(run) => run.end = page.plus(1),
                    None => {
                        if let Some(done) = open.replace(page..page.plus(1)) {
                            f(done);
                        }
                    }
                }
            }
        }
        if let Some(done) = open {
            f(done);
        }
    }

    fn entry(&self, block: usize, page: u64) -> Entry {
        let (chunk, i) = split(page);
        self.blocks.get(block).and_then(|b| b.chunks.get(&chunk)).map_or(Entry::UNSENT, |c| c.get(i))
    }

    fn set(&mut self, block: usize, page: u64, entry: Entry) -> Result<()> {
        let Some(b) = self.blocks.get_mut(block) else { return Ok(()) };
        let (number, i) = split(page);
        let mut added = 0;
        let chunk = b.chunks.entry(number).or_insert_with(|| {
            added = NODE_BYTES + ZEROS_BYTES;
            Chunk::Zeros([0; CHUNK / 64])
        });
        if !chunk.set(i, entry) {
            added = added.plus(PLACES_BYTES);
            *chunk = chunk.with_places();
            chunk.set(i, entry);
        }
        if added > 0 { self.grow(added) } else { Ok(()) }
    }

    fn grow(&mut self, bytes: u64) -> Result<()> {
        self.used = self.used.plus(bytes);
        if self.used > self.charge.bytes() {
            self.charge.set(self.used.plus(PORTION))?;
        }
        Ok(())
    }

    /// Returns the bytes of memory that the index uses.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.used
    }

    fn number(&self, offset: RamOffset) -> u64 {
        offset.0.checked_div(self.target_page).unwrap_or_default()
    }

    /// Keeps the content of a page of a pipe.
    fn keep(&mut self, block: usize, page: u64, record: Page<'_>, at: StreamOffset) -> Result<()> {
        let before = self.entry(block, page).known();
        let Some(spool) = &mut self.spool else { return Ok(()) };
        let entry = match spool.keep(before, record)? {
            Kept::In(slot) => Entry::at(slot),
            Kept::Full => Entry::UNSENT,
            // a difference to a page that is bad already
            Kept::Bad(None) => Entry::BAD,
            Kept::Bad(Some(why)) => {
                if self.bad.len() < MAX_BAD {
                    self.bad.insert((block, page), (at, why));
                }
                Entry::BAD
            }
        };
        self.set(block, page, entry)
    }

    /// Returns why a page of a pipe cannot be decoded.
    pub(super) fn fault(&self, block: usize, page: u64) -> Error {
        match self.bad.get(&(block, page)) {
            Some((at, why)) => Error::corrupt(*at, why.clone()),
            None => Error::new(ErrorKind::Corrupt, "the page cannot be decoded"),
        }
    }
}

impl PageSink for PageIndex {
    fn blocks(&mut self, list: &BlockList<'_>) -> Result<()> {
        self.target_page = list.target_page.max(1);
        let mapped = |b: &RamBlock| b.mapped.is_some_and(|m| !m.is_absent());
        self.blocks = list.blocks.iter().map(|b| BlockIndex { mapped: mapped(b), ..BlockIndex::default() }).collect();
        self.links = Vec::new();
        self.bad = HashMap::new();
        if let Some(spool) = &mut self.spool {
            spool.begin(self.target_page);
        }
        Ok(())
    }

    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        let number = self.number(at.offset);
        match page {
            Page::Fill(0) => self.set(at.block, number, Entry::ZERO),
            _ if self.spool.is_some() => self.keep(at.block, number, page, at.stream),
            Page::Xbzrle(_) => {
                let link = Link { before: self.entry(at.block, number), record: at.stream };
                self.grow(LINK_BYTES)?;
                self.links.push(link);
                self.set(at.block, number, Entry::link(self.links.len().minus(1)))
            }
            Page::Fill(_) | Page::Normal(_) | Page::Compressed(_) => self.set(at.block, number, Entry::at(at.stream.0)),
        }
    }

    fn mapped(&mut self, run: MappedRun, source: &dyn Source) -> Result<()> {
        if self.spool.is_none() {
            return Ok(());
        }
        let size = usize::try_from(self.target_page).unwrap_or(4096);
        let mut content = vec![0; size];
        let mut done = 0;
        while done < run.bytes && !self.is_truncated() {
            super::read_page(source, run.at.plus(done), &mut content)?;
            let number = self.number(run.offset.plus(done));
            self.keep(run.block, number, Page::Normal(&content), run.at)?;
            done = done.plus(self.target_page);
        }
        Ok(())
    }

    fn discard(&mut self, block: usize, start: RamOffset, bytes: u64) -> Result<()> {
        let (first, end) = (self.number(start), self.number(start.plus(bytes)));
        let Some(b) = self.blocks.get_mut(block) else { return Ok(()) };
        for (number, chunk) in b.chunks.range_mut(split(first).0..=split(end).0) {
            let base = number << CHUNK_SHIFT;
            for i in 0..CHUNK {
                if (first..end).contains(&base.plus(i as u64)) {
                    chunk.set(i, Entry::UNSENT);
                }
            }
        }
        Ok(())
    }

    fn wants_pages(&self) -> bool {
        self.spool.is_some()
    }

    fn wants(&self, _at: PageAt, _form: Form) -> bool {
        self.spool.as_ref().is_some_and(|s| !s.is_full())
    }
}

/// Opens the bitmaps of the blocks of a mapped-ram file, which say where its pages are.
pub(super) fn bitmaps(
    source: &dyn Source,
    start: crate::offset::FileOffset,
    blocks: &[RamBlock],
) -> Result<Vec<Option<MappedBitmap>>> {
    let open = |b: &RamBlock| match b.mapped.filter(|m| !m.is_absent()) {
        Some(m) => MappedBitmap::open(source, start, b, m).map(Some),
        None => Ok(None),
    };
    blocks.iter().map(open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(len: u64) -> RamBlock {
        RamBlock {
            name: "b".into(),
            len,
            page_size: None,
            region_address: None,
            mapped: None,
            entry: crate::offset::StreamRange::default(),
        }
    }

    fn at(page: u64, record: u64) -> PageAt {
        PageAt { block: 0, offset: RamOffset(page * 4096), stream: StreamOffset(record) }
    }

    fn index(budget: &Budget) -> PageIndex {
        let mut i = PageIndex::new(budget);
        let blocks = [list(1 << 40)];
        i.blocks(&BlockList { blocks: &blocks, target_page: 4096, machine: None }).unwrap();
        i
    }

    #[test]
    fn the_last_record_counts() {
        let mut i = index(&Budget::default());
        i.page(at(3, 100), Page::Normal(&[])).unwrap();
        i.page(at(4, 200), Page::Fill(0)).unwrap();
        i.page(at(5, 300), Page::Fill(7)).unwrap();
        i.page(at(3, 400), Page::Xbzrle(&[])).unwrap();
        i.page(at(1 << 20, 500), Page::Compressed(&[])).unwrap();
        assert_eq!(i.get(0, 4), Known::Zero);
        assert_eq!(i.get(0, 5), Known::At(300));
        assert_eq!(i.get(0, 1 << 20), Known::At(500));
        assert_eq!(i.get(0, 3), Known::Changed(0));
        let link = i.link(0).unwrap();
        assert_eq!((link.before.known(), link.record), (Known::At(100), StreamOffset(400)));
        assert_eq!((i.get(0, 6), i.get(1, 0)), (Known::Unsent, Known::Unsent));
        i.discard(0, RamOffset(4 * 4096), 2 * 4096).unwrap();
        assert_eq!((i.get(0, 3), i.get(0, 4), i.get(0, 5)), (Known::Changed(0), Known::Unsent, Known::Unsent));
        let known = |i: &PageIndex, range| {
            let mut out = Vec::new();
            i.known(0, range, &mut |r| out.push((r.start, r.end)));
            out
        };
        assert_eq!(known(&i, 0..u64::MAX), [(3, 4), (1 << 20, (1 << 20) + 1)]);
        i.page(at(2, 600), Page::Fill(0)).unwrap();
        assert_eq!((known(&i, 0..3), known(&i, 3..1000), known(&i, 2..5)), (vec![(2, 3)], vec![(3, 4)], vec![(2, 4)]));
        i.discard(0, RamOffset(0), u64::MAX).unwrap();
        assert_eq!(known(&i, 0..u64::MAX), []);
        assert_eq!((i.get(0, 3), i.get(0, 1 << 20)), (Known::Unsent, Known::Unsent));
    }

    #[test]
    fn pages_of_zeros_take_an_eighth_of_a_byte() {
        let mut i = index(&Budget::of(1 << 20));
        for page in 0..1 << 20 {
            i.page(at(page, page), Page::Fill(0)).unwrap();
        }
        assert!(i.memory() < (1 << 20) / 4, "{}", i.memory());
        // each page far from the others has a chunk of its own
        let refused = (0..1 << 20).find_map(|n| i.page(at(n << 12, n), Page::Normal(&[])).err());
        assert_eq!(refused.unwrap().kind(), crate::error::ErrorKind::LimitExceeded);
    }
}
