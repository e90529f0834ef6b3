//! The records of a `ram` section.

use std::collections::HashMap;

use super::blocks::{self, RamBlock};
use super::context::RamContext;
use super::mapped::MappedBitmap;
use super::{BlockList, Form, Page, PageAt, PageCounts, PageSink};
use crate::error::{Error, ErrorKind, Result};
use crate::names::ram_flag as flag;
use crate::offset::{RamOffset, StreamOffset, Sure};
use crate::text::Name;
use crate::wire::{Cursor, Reader};

/// Reads the payloads of the `ram` section one after the other.
#[derive(Clone, Debug)]
pub struct RamReader {
    ctx: RamContext,
    blocks: Vec<RamBlock>,
    by_name: HashMap<Name, usize>,
    /// The block of the last page record; CONTINUE refers to it, across sections too.
    current: Option<usize>,
    counts: PageCounts,
    /// Lists of blocks so far.
    lists: u64,
    machine: Option<Name>,
}

impl RamReader {
    /// Creates a reader for one stream.
    #[must_use]
    pub fn new(ctx: RamContext, machine: Option<Name>) -> Self {
        Self {
            ctx,
            blocks: Vec::new(),
            by_name: HashMap::new(),
            current: None,
            counts: PageCounts::default(),
            lists: 0,
            machine,
        }
    }

    /// Returns the blocks in the order of the list.
    #[must_use]
    pub fn blocks(&self) -> &[RamBlock] {
        &self.blocks
    }

    /// Returns the number of block lists received: one, or several with COLO.
    #[must_use]
    pub fn lists(&self) -> u64 {
        self.lists
    }

    /// Counts the lists of an earlier `ram` section of the same stream.
    pub fn count_lists(&mut self, earlier: u64) {
        self.lists = self.lists.plus(earlier);
    }

    /// Returns the context.
    #[must_use]
    pub fn context(&self) -> &RamContext {
        &self.ctx
    }

    /// Sets a target page size found after the section, unless a page was already read with a guessed size.
    pub fn take_page_size(&mut self, page: u64) -> bool {
        let free = self.counts == PageCounts::default() && page.is_power_of_two();
        if free {
            self.ctx.target_page = page;
        }
        free
    }

    /// Returns the number of records of each kind.
    #[must_use]
    pub fn counts(&self) -> &PageCounts {
        &self.counts
    }

    /// Reads one payload, up to and with its EOS record.
    ///
    /// # Errors
    /// `Truncated` and `Corrupt` at the faulty record, and errors of the sink.
    pub fn read(&mut self, c: &mut Cursor<'_>, sink: &mut dyn PageSink) -> Result<()> {
        while self.record(c, sink)? {
            c.release_behind();
        }
        Ok(())
    }

    /// Reads one record; `false` after EOS.
    #[inline]
    pub(super) fn record(&mut self, c: &mut Cursor<'_>, sink: &mut dyn PageSink) -> Result<bool> {
        let at = c.offset();
        let head = c.be64()?;
        let mask = self.ctx.target_page.minus(1);
        let (flags, addr) = (head & mask, head & !mask);
        match flags & !flag::CONTINUE {
            flag::PAGE => {
                let place = self.place(c, at, flags, addr)?;
                let n = self.ctx.target_page;
                if sink.wants(place, Form::Normal) {
                    let page = c.take(usize::try_from(n).unwrap_or(usize::MAX))?;
                    sink.page(place, Page::Normal(page))?;
                } else {
                    c.skip(n)?;
                    sink.page(place, Page::Normal(&[]))?;
                }
                self.counts.normal.tally(1);
            }
            flag::ZERO => {
                let place = self.place(c, at, flags, addr)?;
                let fill = c.u8()?;
                sink.page(place, Page::Fill(fill))?;
                let n = if fill == 0 { &mut self.counts.zero } else { &mut self.counts.filled };
                n.tally(1);
            }
            flag::XBZRLE => self.xbzrle(c, sink, at, (flags, addr))?,
            flag::COMPRESS_PAGE => self.compressed(c, sink, at, (flags, addr))?,
            flag::MEM_SIZE if flags == flag::MEM_SIZE => self.block_list(c, sink, addr)?,
            flag::EOS if flags == flag::EOS => return Ok(false),
            flag::MULTIFD_FLUSH if flags == flag::MULTIFD_FLUSH => {
                self.counts.multifd_flushes.tally(1);
            }
            flag::FULL => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "RAM record with the flag FULL: all of memory in one zlib blob, which only QEMU 0.10 wrote",
                )
                .at(at));
            }
            flag::HOOK => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "RAM record with the flag HOOK: an RDMA migration, whose pages are not in the stream",
                )
                .at(at));
            }
            _ => {
                return Err(Error::corrupt(
                    at,
                    format!("RAM record: expected one known flag, found {flags:#x} (first 8 bytes {head:#018x})"),
                ));
            }
        }
        Ok(true)
    }

    fn block_list(&mut self, c: &mut Cursor<'_>, sink: &mut dyn PageSink, total: u64) -> Result<()> {
        self.blocks.clear();
        if self.ctx.version == 3 {
            self.blocks.push(blocks::whole_memory(total, c.offset()));
        } else {
            blocks::read(c, total, &self.ctx, &mut self.blocks)?;
        }
        // of two blocks with one name QEMU takes the first
        self.by_name = self.blocks.iter().enumerate().rev().map(|(i, b)| (b.name.clone(), i)).collect();
        self.lists.tally(1);
        self.current = None;
        let machine = self.machine.as_ref();
        sink.blocks(&BlockList { blocks: &self.blocks, target_page: self.ctx.target_page, machine })?;
        if !sink.wants_pages() {
            return Ok(());
        }
        for (i, b) in self.blocks.iter().enumerate() {
            let Some(m) = b.mapped.filter(|m| !m.is_absent()) else { continue };
            let source = c.source();
            let map = MappedBitmap::open(source, self.ctx.stream_start, b, m)?;
            map.runs(source, i, &b.name, &mut |run| sink.mapped(run, source))?;
        }
        Ok(())
    }

    /// Takes the payload of a POSTCOPY_RAM_DISCARD command: u8 0, a counted block name, u8 0, pairs of be64 start and
    /// length (`loadvm_postcopy_ram_handle_discard` in `migration/savevm.c`).
    ///
    /// # Errors
    /// `Corrupt` for another layout, and errors of the sink.
    pub fn discard(&mut self, payload: &[u8], at: StreamOffset, sink: &mut dyn PageSink) -> Result<()> {
        let bad =
            || Error::corrupt(at, "command POSTCOPY_RAM_DISCARD: expected a block name and pairs of start and length");
        let mut r = Reader::new(payload, at);
        if r.u8()? != 0 {
            return Err(bad());
        }
        let n = usize::from(r.u8()?);
        let name = Name::from_bytes(r.take(n)?);
        let block = self.by_name.get(&name).copied().ok_or_else(bad)?;
        r.u8()?;
        while r.remaining() >= 16 {
            let (start, bytes) = (r.be64()?, r.be64()?);
            sink.discard(block, RamOffset(start), bytes)?;
        }
        Ok(())
    }

    fn xbzrle(
        &mut self,
        c: &mut Cursor<'_>,
        sink: &mut dyn PageSink,
        at: StreamOffset,
        (flags, addr): (u64, u64),
    ) -> Result<()> {
        let place = self.place(c, at, flags, addr)?;
        let here = c.offset();
        let encoding = c.u8()?;
        let n = u64::from(c.be16()?);
        if encoding != 1 || n > self.ctx.target_page {
            return Err(Error::corrupt(
                here,
                format!("XBZRLE page: expected encoding 1 and at most a page, found encoding {encoding} and {n} bytes"),
            ));
        }
        let data = if sink.wants(place, Form::Xbzrle) {
            c.take(usize::try_from(n).unwrap_or(usize::MAX))?
        } else {
            skipped(c, n)?
        };
        sink.page(place, Page::Xbzrle(data))?;
        self.counts.xbzrle.tally(1);
        Ok(())
    }

    fn compressed(
        &mut self,
        c: &mut Cursor<'_>,
        sink: &mut dyn PageSink,
        at: StreamOffset,
        (flags, addr): (u64, u64),
    ) -> Result<()> {
        let place = self.place(c, at, flags, addr)?;
        let here = c.offset();
        let n = u64::from(c.be32()?);
        // zlib never makes a page larger than this (compressBound)
        let bound = self.ctx.target_page.plus(self.ctx.target_page >> 9).plus(64);
        if n > bound {
            return Err(Error::corrupt(
                here,
                format!("compressed page: expected at most {bound} bytes, found a length of {n}"),
            ));
        }
        let data = if sink.wants(place, Form::Compressed) {
            c.take(usize::try_from(n).unwrap_or(usize::MAX))?
        } else {
            skipped(c, n)?
        };
        sink.page(place, Page::Compressed(data))?;
        self.counts.compressed.tally(1);
        Ok(())
    }

    /// Finds the block of a page record and checks the address.
    #[inline]
    fn place(&mut self, c: &mut Cursor<'_>, at: StreamOffset, flags: u64, addr: u64) -> Result<PageAt> {
        let block = if self.ctx.version == 3 {
            0
        } else if flags & flag::CONTINUE != 0 {
            self.current
                .ok_or_else(|| Error::corrupt(at, "RAM record with the flag CONTINUE, found no block before it"))?
        } else {
            let here = c.offset();
            let n = usize::from(c.u8()?);
            let name = c.take(n)?;
            let found = std::str::from_utf8(name).ok().and_then(|n| self.by_name.get(n)).copied();
            match found {
                Some(i) => i,
                None => {
                    let name = Name::from_bytes(name);
                    return Err(Error::corrupt(
                        here,
                        format!("RAM record: expected a listed block, found the name {name:?}"),
                    ));
                }
            }
        };
        self.current = Some(block);
        let len = self.blocks.get(block).map_or(0, |b| b.len);
        if addr.checked_add(self.ctx.target_page).is_none_or(|end| end > len) {
            let name = self.blocks.get(block).map_or(Name::empty(), |b| &b.name);
            return Err(Error::corrupt(
                at,
                format!("RAM record: expected a page inside {name} of {len:#x} bytes, found address {addr:#x}"),
            ));
        }
        Ok(PageAt { block, offset: RamOffset(addr), stream: at })
    }
}

fn skipped<'a>(c: &mut Cursor<'_>, n: u64) -> Result<&'a [u8]> {
    c.skip(n)?;
    Ok(&[])
}

#[cfg(test)]
mod tests {
    use super::super::{MappedRun, PageStats};
    use super::*;
    use crate::offset::FileOffset;
    use crate::wire::{MemorySource, Source};

    #[derive(Default)]
    struct Log(Vec<(usize, u64, u8)>);

    impl PageSink for Log {
        fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
            let first = match page {
                Page::Fill(b) => b,
                Page::Normal(d) | Page::Xbzrle(d) | Page::Compressed(d) => d[0],
            };
            self.0.push((at.block, at.offset.0, first));
            Ok(())
        }

        fn mapped(&mut self, _: MappedRun, _: &dyn Source) -> Result<()> {
            Ok(())
        }
    }

    fn context(version: u32, target_page: u64) -> RamContext {
        RamContext {
            version,
            target_page,
            ignore_shared: false,
            mapped_ram: false,
            page_size_mask: None,
            stream_start: FileOffset(0),
        }
    }

    fn read(ctx: RamContext, bytes: &[u8]) -> (Result<()>, Log, RamReader) {
        let s = MemorySource::new(bytes.to_vec());
        let mut c = Cursor::new(&s, StreamOffset(0));
        let mut r = RamReader::new(ctx, None);
        let mut log = Log::default();
        let result = r.read(&mut c, &mut log);
        (result, log, r)
    }

    fn list() -> Vec<u8> {
        // two blocks of 512 bytes with pages of 256 bytes
        let mut b = (1024_u64 | 4).to_be_bytes().to_vec();
        for name in ["a", "bb"] {
            b.push(name.len() as u8);
            b.extend(name.as_bytes());
            b.extend(512_u64.to_be_bytes());
        }
        b
    }

    #[test]
    fn records_of_every_kind() {
        let mut b = list();
        b.extend(8_u64.to_be_bytes());
        b.extend(b"\x02bb");
        b.extend([7; 256]);
        b.extend((256_u64 | 2 | 0x20).to_be_bytes());
        b.push(9);
        b.extend(0x40_u64.to_be_bytes());
        b.extend(b"\x01a\x01\0\x03\0\x01\x05");
        b.extend(0x10_u64.to_be_bytes());
        let (result, log, r) = read(context(4, 256), &b);
        result.unwrap();
        assert_eq!(log.0, [(1, 0, 7), (1, 256, 9), (0, 0, 0)]);
        let c = r.counts();
        assert_eq!((c.normal, c.filled, c.xbzrle, c.pages()), (1, 1, 1, 3));
        // every cut gives the records before it and an error that names a place inside
        for cut in 0..b.len() {
            let (result, log, _) = read(context(4, 256), &b[..cut]);
            let e = result.unwrap_err();
            assert!(e.stream_offset().is_some_and(|o| o.0 <= cut as u64), "{cut}: {e}");
            assert!(log.0.len() <= 3);
        }
    }

    #[test]
    fn version_3_has_one_memory_without_a_name() {
        let mut b = (0x4000_u64 | 4).to_be_bytes().to_vec();
        b.extend((0x1000_u64 | 8).to_be_bytes());
        b.extend([7; 4096]);
        b.extend((0x2000_u64 | 2).to_be_bytes());
        b.push(0xff);
        b.extend(0x10_u64.to_be_bytes());
        let (result, log, r) = read(context(3, 4096), &b);
        result.unwrap();
        assert_eq!(log.0, [(0, 0x1000, 7), (0, 0x2000, 0xff)]);
        assert_eq!((r.blocks()[0].name.exact(), r.blocks()[0].len), ("ram", 0x4000));
        let (result, ..) = read(context(3, 4096), &1_u64.to_be_bytes());
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn nonsense_is_reported_at_its_offset() {
        let bad: [(Vec<u8>, &str); 6] = [
            (0x28_u64.to_be_bytes().to_vec(), "found no block before it"),
            (0x18_u64.to_be_bytes().to_vec(), "expected one known flag"),
            (0x80_u64.to_be_bytes().to_vec(), "RDMA"),
            ([list(), (512_u64 | 2).to_be_bytes().to_vec(), b"\x01a\0".to_vec()].concat(), "inside a of 0x200 bytes"),
            ([list(), 2_u64.to_be_bytes().to_vec(), b"\x01c\0".to_vec()].concat(), "found the name"),
            (
                [(256_u64 | 4).to_be_bytes().to_vec(), b"\x01a".to_vec(), 512_u64.to_be_bytes().to_vec()].concat(),
                "at most",
            ),
        ];
        for (bytes, words) in bad {
            let (result, ..) = read(context(4, 256), &bytes);
            let e = result.unwrap_err();
            assert!(e.message().contains(words), "{e}");
        }
        let mut stats = PageStats::new(&crate::budget::Budget::default());
        let at = PageAt { block: 0, offset: RamOffset(0), stream: StreamOffset(0) };
        assert!(!stats.wants(at, Form::Normal) && stats.wants(at, Form::Xbzrle));
        stats.blocks(&BlockList { blocks: &[], target_page: 0, machine: None }).unwrap();
    }
}
