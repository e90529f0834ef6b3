//! Places of memory that a search has to look at, noted while pages go by.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::error::Result;
use crate::offset::{RamOffset, Sure};
use crate::ram::{BlockList, MappedRun, Page, PageAt, PageSink};
use crate::wire::Source;

/// What a search looks at: the start of each piece of this size.
pub const PIECE: u64 = 4096;
/// Places that are noted; with more, everything has to be looked at.
const MAX_PLACES: usize = 1 << 16;

/// Notes where memory may begin with what is searched for. A search of the output would otherwise read all of it once more, holes
/// included.
#[derive(Debug)]
pub struct MarkedPages {
    wanted: fn(&[u8]) -> bool,
    /// Block and offset.
    places: BTreeSet<(usize, u64)>,
    runs: Vec<(usize, Range<u64>)>,
    target_page: u64,
    full: bool,
}

impl MarkedPages {
    /// Creates a sink; `wanted` is asked about each piece of a page.
    #[must_use]
    pub fn new(wanted: fn(&[u8]) -> bool) -> Self {
        Self { wanted, places: BTreeSet::new(), runs: Vec::new(), target_page: PIECE, full: false }
    }

    /// Returns ranges of blocks that cover all places, in no order; `None` if there are too many.
    #[must_use]
    pub fn ranges(&self) -> Option<Vec<(usize, Range<u64>)>> {
        let one = |(block, at): &(usize, u64)| (*block, *at..at.saturating_add(PIECE));
        (!self.full).then(|| self.places.iter().map(one).chain(self.runs.iter().cloned()).collect())
    }

    fn forget(&mut self, block: usize, from: u64, bytes: u64) {
        // the stream may discard more than there is
        let end = from.saturating_add(bytes);
        let gone: Vec<_> = self.places.range((block, from)..(block, end)).copied().collect();
        for place in gone {
            self.places.remove(&place);
        }
    }

    fn add(&mut self, block: usize, at: u64) {
        if self.places.len() < MAX_PLACES {
            self.places.insert((block, at));
        } else {
            self.full = true;
        }
    }
}

impl PageSink for MarkedPages {
    fn blocks(&mut self, list: &BlockList<'_>) -> Result<()> {
        self.target_page = list.target_page;
        Ok(())
    }

    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        self.forget(at.block, at.offset.0, self.target_page);
        match page {
            Page::Fill(_) => {}
            Page::Normal(data) => {
                let pieces = usize::try_from(PIECE).unwrap_or(4096);
                for (n, piece) in (0_u64..).zip(data.chunks(pieces)) {
                    if (self.wanted)(piece) {
                        self.add(at.block, at.offset.0.plus(n.times(PIECE)));
                    }
                }
            }
            // the content is not known here
            Page::Xbzrle(_) | Page::Compressed(_) => {
                for n in 0..self.target_page.div_ceil(PIECE) {
                    self.add(at.block, at.offset.0.plus(n.times(PIECE)));
                }
            }
        }
        Ok(())
    }

    fn mapped(&mut self, run: MappedRun, _: &dyn Source) -> Result<()> {
        match self.runs.len() < MAX_PLACES {
            true => self.runs.push((run.block, run.offset.0..run.offset.0.plus(run.bytes))),
            false => self.full = true,
        }
        Ok(())
    }

    fn discard(&mut self, block: usize, start: RamOffset, bytes: u64) -> Result<()> {
        self.forget(block, start.0, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::StreamOffset;

    #[test]
    fn the_last_content_of_a_page_counts() {
        let mut m = MarkedPages::new(|b| b.starts_with(b"x"));
        let at = |page: u64| PageAt { block: 1, offset: RamOffset(page * 4096), stream: StreamOffset(0) };
        let (hit, miss) = (vec![b'x'; 4096], vec![0; 4096]);
        for (page, what) in [
            (1, Page::Normal(&hit)),
            (2, Page::Normal(&hit)),
            (2, Page::Normal(&miss)),
            (3, Page::Normal(&hit)),
            (3, Page::Fill(0)),
            (4, Page::Xbzrle(&[])),
            (5, Page::Compressed(&[])),
            (6, Page::Normal(&hit)),
        ] {
            m.page(at(page), what).unwrap();
        }
        m.discard(1, RamOffset(5 * 4096), 2 * 4096).unwrap();
        let places: Vec<_> = m.ranges().unwrap().into_iter().map(|(b, r)| (b, r.start / 4096)).collect();
        assert_eq!(places, [(1, 1), (1, 4)]);
        for page in 0..1 << 17 {
            m.page(at(page), Page::Normal(&hit)).unwrap();
        }
        assert_eq!(m.ranges(), None);
    }
}
