//! Some pages of guest memory, kept in memory: for those who want to look at a few places.

use std::collections::HashMap;

use super::page_images::unreadable;
use crate::budget::{Budget, Charge};
use crate::error::{Error, ErrorKind, Result};
use crate::machine::{Facts, Region, layout};
use crate::offset::RamOffset;
use crate::ram::{BlockList, Form, MappedRun, Page, PageAt, PageSink, RamBlock, apply_xbzrle, inflate};
use crate::text::Name;
use crate::wire::Source;

/// Pages that are kept at most: 1 GiB of 4 KiB pages would be four times that.
pub const MAX_PAGES: usize = 65_536;

/// The overhead of a page.
const PAGE_ENTRY: u64 = 100;

/// What is known of a page.
enum Kept {
    /// Nothing was sent of it.
    Unsent,
    /// Zeros.
    Zero,
    /// Its content.
    Content(Vec<u8>),
    /// Something was sent that cannot be decoded.
    Bad(String),
}

/// Collects the pages around ranges of guest-physical addresses in one walk.
pub struct GuestPages {
    ranges: Vec<(u64, u64)>,
    facts: Facts,
    regions: Vec<Region>,
    /// Why no address has a place.
    no_map: Option<String>,
    target_page: u64,
    pages: HashMap<(usize, u64), Kept>,
    zlib: flate2::Decompress,
    charge: Charge,
    truncated: bool,
    /// Whether every page is kept, since the ranges are not known yet.
    every: bool,
    /// Blocks of a mapped-ram file, in which what was not sent is zero.
    mapped: Vec<bool>,
}

impl GuestPages {
    /// Begins, with ranges as address and length; `facts` are those for the map of memory.
    #[must_use]
    pub fn new(ranges: Vec<(u64, u64)>, facts: Facts, budget: &Budget) -> Self {
        Self {
            ranges,
            facts,
            regions: Vec::new(),
            no_map: Some("the stream has no list of RAM blocks".to_owned()),
            target_page: 4096,
            pages: HashMap::new(),
            zlib: flate2::Decompress::new(true),
            charge: budget.charge("pages of guest memory"),
            truncated: false,
            every: false,
            mapped: Vec::new(),
        }
    }

    /// Creates a sink that keeps every page, as long as the budget allows it, and 65,536 at most: for an input that cannot be read
    /// twice. [`GuestPages::place_by`] makes it readable.
    #[must_use]
    pub fn every(budget: &Budget) -> Self {
        Self { every: true, ..Self::new(Vec::new(), Facts::default(), budget) }
    }

    /// Returns whether pages are missing because there were too many.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Places the blocks, once the devices are known.
    pub fn place_by(&mut self, machine: Option<&Name>, blocks: &[RamBlock], facts: &Facts) {
        match layout(machine, blocks, facts) {
            Ok(l) => {
                self.regions = l.regions;
                self.no_map = None;
            }
            Err(e) => self.no_map = Some(e.message().to_owned()),
        }
    }

    /// Makes room for a page that is kept; `false` when there is none.
    fn room(&mut self, key: (usize, u64)) -> bool {
        if !self.every || self.pages.contains_key(&key) {
            return self.pages.contains_key(&key);
        }
        let used = self.charge.bytes().saturating_add(self.target_page).saturating_add(PAGE_ENTRY);
        if self.truncated || self.pages.len() >= MAX_PAGES || self.charge.set(used).is_err() {
            self.truncated = true;
            self.pages.clear();
            return false;
        }
        self.pages.insert(key, Kept::Unsent);
        true
    }

    /// Reads guest-physical memory.
    ///
    /// # Errors
    /// Why it is not there, in words.
    pub fn read(&self, address: u64, len: usize) -> std::result::Result<Vec<u8>, String> {
        if let Some(why) = &self.no_map {
            return Err(why.clone());
        }
        let mut out = Vec::new();
        let zeros = vec![0; usize::try_from(self.target_page).unwrap_or(0)];
        let mut at = address;
        while out.len() < len {
            let (block, offset) = self.place(at).ok_or_else(|| format!("no RAM block is known at {at:#x}"))?;
            let within = offset.checked_rem(self.target_page).unwrap_or(0);
            let key = (block, offset.saturating_sub(within));
            let page = match self.pages.get(&key) {
                Some(Kept::Content(p)) => p,
                Some(Kept::Zero) => &zeros,
                None if self.every && self.mapped.get(block) == Some(&true) && !self.truncated => &zeros,
                None if self.every && !self.truncated => {
                    return Err(format!("the page at {at:#x} is not in the stream"));
                }
                Some(Kept::Bad(why)) => return Err(format!("the page at {at:#x} cannot be decoded: {why}")),
                Some(Kept::Unsent) => return Err(format!("the page at {at:#x} is not in the stream")),
                None if self.truncated => return Err(format!("more than {MAX_PAGES} pages were requested")),
                None => return Err(format!("the page at {at:#x} was not collected")),
            };
            let from = usize::try_from(within).unwrap_or(usize::MAX);
            let piece = page.get(from..).unwrap_or_default();
            let piece = piece.get(..len.saturating_sub(out.len())).unwrap_or(piece);
            if piece.is_empty() {
                return Err(format!("the page at {at:#x} is truncated"));
            }
            out.extend_from_slice(piece);
            at = at.checked_add(piece.len() as u64).ok_or("an address beyond 64 bits")?;
        }
        Ok(out)
    }

    fn place(&self, address: u64) -> Option<(usize, u64)> {
        let r = self.regions.iter().find(|r| address.checked_sub(r.gpa.0).is_some_and(|d| d < r.bytes))?;
        Some((r.block, r.block_offset.0.saturating_add(address.saturating_sub(r.gpa.0))))
    }

    fn want(&mut self) {
        let page = self.target_page;
        for (start, len) in self.ranges.clone() {
            let mut at = start.saturating_sub(start.checked_rem(page).unwrap_or(0));
            let end = start.saturating_add(len);
            while at < end {
                let used = self.charge.bytes().saturating_add(page);
                if self.pages.len() >= MAX_PAGES || self.charge.set(used).is_err() {
                    self.truncated = true;
                    return;
                }
                if let Some((block, offset)) = self.place(at) {
                    let offset = offset.saturating_sub(offset.checked_rem(page).unwrap_or(0));
                    self.pages.insert((block, offset), Kept::Unsent);
                }
                at = at.saturating_add(page);
                if at == u64::MAX {
                    break;
                }
            }
        }
    }
}

impl PageSink for GuestPages {
    fn blocks(&mut self, list: &BlockList<'_>) -> Result<()> {
        self.target_page = list.target_page.max(1);
        self.pages.clear();
        self.mapped = list.blocks.iter().map(|b| b.mapped.is_some_and(|m| !m.is_absent())).collect();
        let facts = std::mem::take(&mut self.facts);
        self.place_by(list.machine, list.blocks, &facts);
        self.facts = facts;
        if self.no_map.is_none() {
            self.want();
            // of a mapped-ram block, what is in no run is zero
            for ((block, _), kept) in &mut self.pages {
                if self.mapped.get(*block) == Some(&true) {
                    *kept = Kept::Zero;
                }
            }
        }
        Ok(())
    }

    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        let key = (at.block, at.offset.0);
        if !self.room(key) {
            return Ok(());
        }
        let Some(kept) = self.pages.get_mut(&key) else { return Ok(()) };
        let size = usize::try_from(self.target_page).unwrap_or(0);
        *kept = match page {
            Page::Fill(0) => Kept::Zero,
            Page::Fill(b) => Kept::Content(vec![b; size]),
            Page::Normal(p) => Kept::Content(p.to_vec()),
            Page::Xbzrle(difference) => {
                let mut content = match kept {
                    Kept::Content(p) => std::mem::take(p),
                    _ => vec![0; size],
                };
                match apply_xbzrle(difference, &mut content) {
                    Ok(()) => Kept::Content(content),
                    Err(why) => Kept::Bad(why),
                }
            }
            Page::Compressed(z) => match inflate(&mut self.zlib, z, size) {
                Ok(p) => Kept::Content(p),
                Err(why) => Kept::Bad(why),
            },
        };
        Ok(())
    }

    fn mapped(&mut self, run: MappedRun, source: &dyn Source) -> Result<()> {
        let end = run.offset.0.saturating_add(run.bytes);
        let size = usize::try_from(self.target_page).unwrap_or(0);
        if self.every {
            // a run longer than what is kept is not even begun
            let step = self.target_page.max(1);
            let pages = run.bytes.checked_div(step).unwrap_or(0);
            self.truncated |= pages > MAX_PAGES as u64;
            let mut offset = run.offset.0;
            while offset < end && self.room((run.block, offset)) {
                offset = offset.saturating_add(step);
            }
        }
        for ((block, offset), kept) in &mut self.pages {
            if *block != run.block || *offset < run.offset.0 || *offset >= end {
                continue;
            }
            let at = run.at.0.saturating_add(offset.saturating_sub(run.offset.0));
            let mut content = vec![0; size];
            let n = source.read_full(at, &mut content).map_err(|e| unreadable(e, at))?;
            if n < size {
                return Err(Error::new(ErrorKind::Truncated, "a mapped-ram page is truncated").at(run.at));
            }
            *kept = Kept::Content(content);
        }
        Ok(())
    }

    fn wants(&self, at: PageAt, _form: Form) -> bool {
        (self.every && !self.truncated) || self.pages.contains_key(&(at.block, at.offset.0))
    }

    fn discard(&mut self, block: usize, start: RamOffset, bytes: u64) -> Result<()> {
        let end = start.0.saturating_add(bytes);
        for ((b, offset), kept) in &mut self.pages {
            if *b == block && (start.0..end).contains(offset) {
                *kept = Kept::Unsent;
            }
        }
        Ok(())
    }
}

impl crate::decode::virtio::rings::Memory for GuestPages {
    fn read(&self, address: u64, len: usize) -> std::result::Result<Vec<u8>, String> {
        Self::read(self, address, len)
    }
}
