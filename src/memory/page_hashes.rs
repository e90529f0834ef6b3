//! What pages hold in the end, as a hash of 128 bits each: for those who ask whether pages are the same.
//!
//! XBZRLE is a difference to content that is not kept: such pages are listed, and a second walk that keeps these alone
//! ([`PageHashes::again`]) finishes the work.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::block_hashes::{BlockHashes, PageHash};
use crate::budget::{Budget, Charge};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::{RamOffset, StreamOffset, Sure, pieces};
use crate::ram::{BlockList, MappedRun, Page, PageAt, PageSink, Replay, unreadable};
use crate::wire::Source;

/// Bytes of a mapped-ram file that are read at a time.
const RUN: usize = 256 << 10;

/// What a page in the list of differences needs.
const DIFFERENCE_BYTES: u64 = 80;

/// Hashes the pages of a stream.
pub struct PageHashes {
    budget: Budget,
    tmpdir: Option<PathBuf>,
    blocks: Vec<BlockHashes>,
    target_page: u64,
    /// Pages received as XBZRLE deltas, and where their content is kept in the second walk.
    differences: HashMap<(usize, u64), Option<u64>>,
    charge: Charge,
    keep: Option<File>,
    slots: u64,
    replay: Replay,
    bad: u64,
    why: String,
    /// Why the pages are not all here.
    ended: Option<String>,
}

impl PageHashes {
    /// Creates an empty sink; data that does not fit in the budget goes to a file in `tmpdir`.
    #[must_use]
    pub fn new(budget: &Budget, tmpdir: Option<PathBuf>) -> Self {
        Self {
            budget: budget.clone(),
            tmpdir,
            blocks: Vec::new(),
            target_page: 0,
            differences: HashMap::new(),
            charge: budget.charge("the list of pages that were sent as deltas"),
            keep: None,
            slots: 0,
            replay: Replay::default(),
            bad: 0,
            why: String::new(),
            ended: None,
        }
    }

    /// Returns the sink for a second walk over the same stream, when the first could not know all pages.
    #[must_use]
    pub fn again(self, keep: File) -> Self {
        let differences = self.differences;
        Self { keep: Some(keep), differences, charge: self.charge, ..Self::new(&self.budget, self.tmpdir) }
    }

    /// Returns whether a second walk is needed.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.keep.is_none() && !self.differences.is_empty()
    }

    /// Returns the blocks in the order of the stream.
    #[must_use]
    pub fn blocks(&self) -> &[BlockHashes] {
        &self.blocks
    }

    /// Returns the target page size.
    #[must_use]
    pub fn target_page(&self) -> u64 {
        self.target_page.max(1)
    }

    /// Returns how many records could not be decoded, and why not the first.
    #[must_use]
    pub fn bad(&self) -> Option<(u64, &str)> {
        (self.bad > 0).then_some((self.bad, self.why.as_str()))
    }

    /// Returns why hashing ended before the pages did, if it did.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Remembers the error that ends the walk.
    fn guard<T>(&mut self, r: Result<T>) -> Result<T> {
        r.inspect_err(|e| self.ended = Some(e.message().to_owned()))
    }

    fn number(&self, offset: u64) -> u64 {
        offset.checked_div(self.target_page).unwrap_or_default()
    }

    fn page_bytes(&self) -> usize {
        usize::try_from(self.target_page).unwrap_or(4096)
    }

    fn broken(&mut self, why: String) -> PageHash {
        self.bad.tally(1);
        if self.why.is_empty() {
            self.why = why;
        }
        PageHash::BAD
    }

    fn set(&mut self, block: usize, page: u64, hash: PageHash) -> Result<()> {
        self.blocks.get_mut(block).map_or(Ok(()), |b| b.set(page, hash))
    }

    /// Keeps the content of a page that a later delta applies to.
    fn keep(&mut self, key: (usize, u64), content: &[u8]) -> Result<()> {
        let failed = |e| Error::io("cannot write a temporary file", e);
        let Some(file) = &mut self.keep else { return Ok(()) };
        let Some(slot) = self.differences.get_mut(&key) else { return Ok(()) };
        let at = *slot.get_or_insert_with(|| {
            let n = self.slots;
            self.slots.tally(1);
            n
        });
        file.seek(SeekFrom::Start(at.times(content.len() as u64))).map_err(failed)?;
        file.write_all(content).map_err(failed)
    }

    /// Returns the last content of a page; zeros if the page was not sent.
    fn kept(&mut self, key: (usize, u64)) -> Result<Vec<u8>> {
        let mut content = vec![0; self.page_bytes()];
        let (Some(file), Some(Some(at))) = (&mut self.keep, self.differences.get(&key)) else { return Ok(content) };
        let failed = |e| Error::io("cannot read a temporary file", e);
        file.seek(SeekFrom::Start(at.times(content.len() as u64))).map_err(failed)?;
        file.read_exact(&mut content).map_err(failed)?;
        Ok(content)
    }

    fn content(&mut self, key: (usize, u64), content: &[u8]) -> Result<PageHash> {
        if !self.differences.is_empty() && self.keep.is_some() {
            self.keep(key, content)?;
        }
        Ok(PageHash::of(content))
    }
}

impl PageHashes {
    fn hash(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        let number = self.number(at.offset.0);
        let key = (at.block, number);
        let size = self.page_bytes();
        let hash = match page {
            Page::Fill(0) if self.keep.is_none() || !self.differences.contains_key(&key) => PageHash::ZERO,
            Page::Fill(byte) => self.content(key, &vec![byte; size])?,
            Page::Normal(data) => self.content(key, data)?,
            Page::Compressed(_) => {
                let mut content = vec![0; size];
                match self.replay.apply(page, &mut content) {
                    Ok(()) => self.content(key, &content)?,
                    Err(why) => self.broken(why),
                }
            }
            Page::Xbzrle(_) if self.keep.is_none() => {
                if !self.differences.contains_key(&key) {
                    self.charge.set(self.charge.bytes().plus(DIFFERENCE_BYTES))?;
                    self.differences.insert(key, None);
                }
                PageHash::BAD
            }
            Page::Xbzrle(_) => {
                let mut content = self.kept(key)?;
                match self.replay.apply(page, &mut content) {
                    Ok(()) => self.content(key, &content)?,
                    Err(why) => self.broken(why),
                }
            }
        };
        self.set(at.block, number, hash)
    }

    fn hash_run(&mut self, run: MappedRun, source: &dyn Source) -> Result<()> {
        let size = self.page_bytes().max(1);
        let mut buf = vec![0; RUN.max(size)];
        let whole = buf.len().minus(buf.len().checked_rem(size).unwrap_or(0));
        for (start, n) in pieces(run.bytes, whole) {
            let piece = buf.get_mut(..n).unwrap_or_default();
            let at = run.at.0.plus(start);
            let got = source.read_full(at, piece).map_err(|e| unreadable(e, at))?;
            if got < n {
                let here = StreamOffset(at.plus(got as u64));
                return Err(Error::truncated(
                    here,
                    "expected the pages of a mapped-ram file, found the end of the file",
                ));
            }
            let first = self.number(run.offset.0.plus(start));
            for (i, page) in piece.chunks(size).enumerate() {
                let number = first.plus(i as u64);
                self.set(run.block, number, PageHash::of(page))?;
            }
        }
        Ok(())
    }
}

impl PageSink for PageHashes {
    fn blocks(&mut self, list: &BlockList<'_>) -> Result<()> {
        if !self.blocks.is_empty() {
            return Err(Error::new(ErrorKind::Unsupported, "a second list of RAM blocks (COLO) is not compared"));
        }
        self.target_page = list.target_page.max(1);
        let block = |b: &crate::ram::RamBlock| {
            let charge = self.budget.charge("hashes of pages");
            let mut hashes = BlockHashes::new(&b.name, b.len, charge, self.tmpdir.clone());
            hashes.mapped = b.mapped.is_some_and(|m| !m.is_absent());
            hashes.absent = b.mapped.is_some_and(|m| m.is_absent());
            hashes
        };
        self.blocks = list.blocks.iter().map(block).collect();
        Ok(())
    }

    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        let r = self.hash(at, page);
        self.guard(r)
    }

    fn mapped(&mut self, run: MappedRun, source: &dyn Source) -> Result<()> {
        let r = self.hash_run(run, source);
        self.guard(r)
    }

    fn discard(&mut self, block: usize, start: RamOffset, bytes: u64) -> Result<()> {
        let (first, end) = (self.number(start.0), self.number(start.0.saturating_add(bytes)));
        if let Some(b) = self.blocks.get_mut(block) {
            b.forget(first, end);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(page: u64) -> PageAt {
        PageAt { block: 0, offset: RamOffset(page * 4096), stream: StreamOffset(0) }
    }

    fn sink(keep: Option<PageHashes>) -> PageHashes {
        let budget = Budget::of(1 << 20);
        let mut s = keep.map_or_else(|| PageHashes::new(&budget, None), |k| k.again(tempfile::tempfile().unwrap()));
        s.target_page = 4096;
        s.blocks = vec![BlockHashes::new(&"b".into(), 1 << 40, budget.charge("hashes"), None)];
        s
    }

    #[test]
    fn the_last_content_counts() {
        let mut s = sink(None);
        let page = vec![7; 4096];
        s.page(at(5), Page::Normal(&page)).unwrap();
        s.page(at(6), Page::Fill(7)).unwrap();
        s.page(at(1 << 28), Page::Fill(0)).unwrap();
        let b = &s.blocks[0];
        assert_eq!(b.page(5).unwrap(), b.page(6).unwrap());
        assert_eq!((b.page(1 << 28).unwrap(), b.page(7).unwrap()), (PageHash::ZERO, PageHash::UNSENT));
        assert_eq!(b.chunks().len(), 2);
        s.page(at(5), Page::Normal(&[0; 4096])).unwrap();
        assert_eq!(s.blocks[0].page(5).unwrap(), PageHash::ZERO);
        s.discard(0, RamOffset(5 * 4096), 4096).unwrap();
        assert_eq!(
            (s.blocks[0].page(5).unwrap(), s.blocks[0].page(6).unwrap() == PageHash::UNSENT),
            (PageHash::UNSENT, false)
        );
        s.discard(0, RamOffset(0), u64::MAX).unwrap();
        assert_eq!(s.blocks[0].page(6).unwrap(), PageHash::UNSENT);
    }

    #[test]
    fn a_second_walk_knows_differences() {
        let walk = |s: &mut PageHashes| {
            s.page(at(1), Page::Normal(&[7; 4096])).unwrap();
            s.page(at(1), Page::Xbzrle(&[2, 1, 9])).unwrap();
            s.page(at(1), Page::Xbzrle(&[3, 1, 8])).unwrap();
        };
        let mut first = sink(None);
        walk(&mut first);
        assert!(first.is_incomplete());
        let mut second = sink(Some(first));
        walk(&mut second);
        assert!(!second.is_incomplete() && second.bad().is_none());
        let mut page = [7; 4096];
        (page[2], page[3]) = (9, 8);
        assert_eq!(second.blocks[0].page(1).unwrap(), PageHash::of(&page));
    }
}
