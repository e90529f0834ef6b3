//! Guest memory, read on demand.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::entry::{Known, PageContent};
use super::index::{PageIndex, bitmaps};
use crate::error::{Error, ErrorKind, Result};
use crate::machine::MemoryMap;
use crate::offset::{Gpa, RamOffset, Sure};
use crate::ram::{MappedBitmap, RamBlock, RamContext, Replay};
use crate::wire::Source;

/// Pages that are kept for the next read.
const CACHED: usize = 64;

/// The memory of a guest: by RAM block, or by guest-physical address.
pub struct GuestMemory {
    source: Arc<dyn Source>,
    ctx: RamContext,
    blocks: Vec<RamBlock>,
    index: PageIndex,
    bitmaps: Vec<Option<MappedBitmap>>,
    map: Result<MemoryMap, String>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    pages: Vec<Option<(usize, u64, Vec<u8>)>>,
    replay: Replay,
}

impl GuestMemory {
    /// Puts an index, which a walk over the stream has filled, and the map of memory together.
    ///
    /// # Errors
    /// When the bitmaps of a mapped-ram file cannot be read.
    pub fn new(
        source: Arc<dyn Source>,
        ctx: RamContext,
        blocks: &[RamBlock],
        index: PageIndex,
        map: Result<MemoryMap>,
    ) -> Result<Self> {
        let bitmaps = match index.spool() {
            Some(_) => Vec::new(),
            None => bitmaps(source.as_ref(), ctx.stream_start, blocks)?,
        };
        let map = map.map_err(|e| e.message().to_owned());
        Ok(Self { source, ctx, blocks: blocks.to_vec(), index, bitmaps, map, cache: Mutex::default() })
    }

    /// Returns the RAM blocks, in the order of the stream.
    #[must_use]
    pub fn blocks(&self) -> &[RamBlock] {
        &self.blocks
    }

    /// Returns the target page size in bytes.
    #[must_use]
    pub fn target_page(&self) -> u64 {
        self.index.target_page()
    }

    /// Returns the map of guest-physical memory.
    ///
    /// # Errors
    /// `Unsupported` when the machine's map is not known.
    pub fn map(&self) -> Result<&MemoryMap> {
        self.map.as_ref().map_err(|why| Error::new(ErrorKind::Unsupported, why.clone()))
    }

    /// Returns which bytes of a range of a block are in the stream, in ascending order, to whole pages.
    #[must_use]
    pub fn sent(&self, block: usize, range: Range<u64>) -> Vec<Range<u64>> {
        let page = self.target_page().max(1);
        let pages = range.start.checked_div(page).unwrap_or(0)..range.end.div_ceil(page);
        let mut out = Vec::new();
        self.index.known(block, pages, &mut |run| {
            let from = run.start.times(page).max(range.start);
            // the last page may be longer than the range
            let to = run.end.saturating_mul(page).min(range.end);
            out.push(from..to);
        });
        out
    }

    /// Reads guest-physical memory.
    ///
    /// # Errors
    /// `Missing` for an address without memory and for a page that is not in the stream; `Unsupported` when the machine's map
    /// is not known; `Corrupt` for a page that cannot be decoded; `Io`.
    pub fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        let map = self.map()?;
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            let at = address.0.checked_add(done as u64);
            let missing = || Error::new(ErrorKind::Missing, format!("no memory is known at {:#x}", at.unwrap_or(0)));
            let at = at.ok_or_else(missing)?;
            let (block, offset, left) = map.find(Gpa(at)).ok_or_else(missing)?;
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let piece = rest.get_mut(..n).unwrap_or_default();
            self.read_block(block, offset, piece).map_err(|e| e.within(format!("physical address {at:#x}")))?;
            done = done.plus(n);
        }
        Ok(())
    }

    /// Reads from a RAM block, given by its index in [`GuestMemory::blocks`].
    ///
    /// # Errors
    /// Same as [`GuestMemory::read`]; `Missing` also for an offset outside of the block.
    pub fn read_block(&self, block: usize, offset: RamOffset, buf: &mut [u8]) -> Result<()> {
        let page = self.target_page();
        let len = self.blocks.get(block).map_or(0, |b| b.len);
        if offset.0.checked_add(buf.len() as u64).is_none_or(|end| end > len) {
            let name = self.blocks.get(block).map(|b| b.name.to_string()).unwrap_or_default();
            let what = format!("expected a range inside {name} of {len:#x} bytes, found {} at {offset}", buf.len());
            return Err(Error::new(ErrorKind::Missing, what));
        }
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            let at = offset.0.plus(done as u64);
            let (number, within) = (at.checked_div(page).unwrap_or(0), at.checked_rem(page).unwrap_or(0));
            let n = usize::try_from(page.minus(within)).unwrap_or(usize::MAX).min(rest.len());
            let piece = rest.get_mut(..n).unwrap_or_default();
            self.within_page(block, number, usize::try_from(within).unwrap_or(0), piece)?;
            done = done.plus(n);
        }
        Ok(())
    }

    /// Reads a part of a page.
    fn within_page(&self, block: usize, number: u64, within: usize, piece: &mut [u8]) -> Result<()> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = &mut *cache;
        if cache.pages.is_empty() {
            cache.pages.resize_with(CACHED, || None);
        }
        let slot = usize::try_from(number).unwrap_or(0) & (CACHED - 1);
        let Some(slot) = cache.pages.get_mut(slot) else { return Ok(()) };
        let mut content = match slot.take() {
            Some((b, n, content)) if (b, n) == (block, number) => {
                copy(&content, within, piece);
                *slot = Some((b, n, content));
                return Ok(());
            }
            Some((_, _, used)) => used,
            None => Vec::new(),
        };
        content.clear();
        content.resize(usize::try_from(self.target_page()).unwrap_or(4096), 0);
        self.page(block, number, &mut content, &mut cache.replay)?;
        copy(&content, within, piece);
        *slot = Some((block, number, content));
        Ok(())
    }

    /// Reads a page; `content` is zero before.
    fn page(&self, block: usize, number: u64, content: &mut [u8], replay: &mut Replay) -> Result<()> {
        match self.content(block, number, content, replay)? {
            PageContent::Unsent => {
                let place = self.blocks.get(block).map(|b| b.name.to_string()).unwrap_or_default();
                let offset = number.times(self.target_page());
                let what = format!("the page at {offset:#x} of {place} is not in the stream");
                Err(Error::new(ErrorKind::Missing, what))
            }
            PageContent::Zero | PageContent::Data => Ok(()),
        }
    }

    /// Reads a page, whose content is zero before, and returns what is known without looking at it.
    pub(super) fn content(
        &self,
        block: usize,
        number: u64,
        content: &mut [u8],
        replay: &mut Replay,
    ) -> Result<PageContent> {
        if let Some(Some(bitmap)) = self.bitmaps.get(block) {
            return match bitmap.page(self.source.as_ref(), number)? {
                Some(at) => super::read_page(self.source.as_ref(), at, content).map(|()| PageContent::Data),
                None => Ok(PageContent::Zero),
            };
        }
        let mut known = self.index.get(block, number);
        let mut changes = Vec::new();
        while let Known::Changed(link) = known {
            let Some(link) = self.index.link(link) else { break };
            changes.push(link.record);
            known = link.before.known();
        }
        match known {
            Known::Unsent if changes.is_empty() => return Ok(PageContent::Unsent),
            Known::Zero if changes.is_empty() => return Ok(PageContent::Zero),
            Known::Bad => return Err(self.index.fault(block, number)),
            Known::Unsent | Known::Zero | Known::Changed(_) => {}
            Known::At(place) => match self.index.spool() {
                Some(spool) => spool.read(place, content)?,
                None => replay.again(self.source.as_ref(), &self.ctx, crate::offset::StreamOffset(place), content)?,
            },
        }
        for record in changes.into_iter().rev() {
            replay.again(self.source.as_ref(), &self.ctx, record, content)?;
        }
        Ok(PageContent::Data)
    }
}

fn copy(content: &[u8], within: usize, piece: &mut [u8]) {
    if let Some(from) = content.get(within..).and_then(|c| c.get(..piece.len())) {
        piece.copy_from_slice(from);
    }
}

impl std::fmt::Debug for GuestMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestMemory").field("blocks", &self.blocks.len()).field("index", &self.index.memory()).finish()
    }
}

impl super::PhysicalMemory for GuestMemory {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        Self::read(self, address, buf)
    }

    /// Adjacent regions are one range. There are none if the machine's map is not known.
    fn ranges(&self) -> Vec<Range<u64>> {
        let mut out: Vec<Range<u64>> = Vec::new();
        for r in self.map.iter().flat_map(|m| &m.regions) {
            let end = r.end().0;
            match out.last_mut().filter(|last| last.end == r.gpa.0) {
                Some(last) => last.end = end,
                None => out.push(r.gpa.0..end),
            }
        }
        out
    }
}

impl crate::decode::virtio::rings::Memory for GuestMemory {
    fn read(&self, address: u64, len: usize) -> std::result::Result<Vec<u8>, String> {
        let mut out = vec![0; len];
        match Self::read(self, Gpa(address), &mut out) {
            Ok(()) => Ok(out),
            Err(e) => Err(e.to_string()),
        }
    }
}
