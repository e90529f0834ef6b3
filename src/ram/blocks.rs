//! The list of RAMBlocks.

use super::context::RamContext;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_RAM_BLOCKS;
use crate::offset::{FileOffset, StreamOffset, StreamRange};
use crate::text::Name;
use crate::wire::Cursor;

/// One block of guest memory (`RAMBlock` in `include/exec/ramblock.h`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RamBlock {
    /// The name, such as `pc.ram`; any characters, never a path.
    pub name: Name,
    /// Its length in bytes.
    pub len: u64,
    /// The host page size of the block, which the stream gives only with postcopy.
    pub page_size: Option<u64>,
    /// The address of its region inside the parent region, with `x-ignore-shared`.
    pub region_address: Option<u64>,
    /// Where its pages lie in a mapped-ram file.
    pub mapped: Option<MappedRam>,
    /// Its entry in the list.
    pub entry: StreamRange,
}

impl RamBlock {
    /// Returns how many bytes are left without so many pages; 0 without all pages, of which the last may be a part.
    #[must_use]
    pub fn without(&self, pages: u64, page_size: u64) -> u64 {
        self.len.saturating_sub(pages.saturating_mul(page_size))
    }
}

/// Where the pages of a block lie in a mapped-ram file (`MappedRamHeader` in `migration/ram.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappedRam {
    /// The target page size.
    pub page_size: u64,
    /// The bitmap of pages that are there: host words of the machine that wrote it; 0 with `pages_offset` 0 for a block
    /// that `x-ignore-shared` left out.
    pub bitmap_offset: FileOffset,
    /// Page i is at this offset plus i pages.
    pub pages_offset: FileOffset,
}

impl MappedRam {
    /// Returns whether `x-ignore-shared` left the block out.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.bitmap_offset.0 == 0 && self.pages_offset.0 == 0
    }
}

/// Reads the list of a MEM_SIZE record whose lengths add up to `total`; the cursor is just after the record's first 8
/// bytes.
///
/// What was read before an error is in `out`.
pub(super) fn read(c: &mut Cursor<'_>, total: u64, ctx: &RamContext, out: &mut Vec<RamBlock>) -> Result<()> {
    let mut left = total;
    while left > 0 {
        let start = c.offset();
        if out.len() >= MAX_RAM_BLOCKS {
            return Err(
                Error::new(ErrorKind::LimitExceeded, format!("more than {MAX_RAM_BLOCKS} RAM blocks")).at(start)
            );
        }
        let name = c.counted_str()?;
        if name.is_empty() {
            return Err(Error::corrupt(start, "RAM block list: expected a name, found an empty one"));
        }
        let at = c.offset();
        let len = c.be64()?;
        left = left.checked_sub(len).ok_or_else(|| {
            Error::corrupt(
                at,
                format!("RAM block {name}: expected a length of at most {left:#x}, since the list adds up to {total:#x}, found {len:#x}"),
            )
        })?;
        let page_size = host_page_size(c, ctx)?;
        let region_address = if ctx.ignore_shared { Some(c.be64()?) } else { None };
        let mapped = if ctx.mapped_ram { Some(mapped_ram(c, len, ctx)?) } else { None };
        let entry = StreamRange::new(start.0, c.offset().0);
        if let Some(m) = mapped.filter(|m| !m.is_absent()) {
            skip_pages(c, &name, len, m, ctx)?;
        }
        out.push(RamBlock { name, len, page_size, region_address, mapped, entry });
    }
    Ok(())
}

/// The memory of a section of version 3, which knows no blocks: one flat space.
pub(super) fn whole_memory(total: u64, at: StreamOffset) -> RamBlock {
    RamBlock {
        name: "ram".into(),
        len: total,
        page_size: None,
        region_address: None,
        mapped: None,
        entry: StreamRange::with_len(at.0, 0),
    }
}

/// With postcopy enabled, blocks on huge pages include their page size, but no flag marks these blocks. The mask of
/// page sizes in the ADVISE command does not hold the base size alone then, and a value that is in the mask cannot be
/// the beginning of a next entry, whose first byte is a name length, nor of a record, whose flags are not 0.
fn host_page_size(c: &mut Cursor<'_>, ctx: &RamContext) -> Result<Option<u64>> {
    let Some(mask) = ctx.page_size_mask else { return Ok(None) };
    let mut word = [0; 8];
    word.copy_from_slice(c.peek(8)?);
    let v = u64::from_be_bytes(word);
    let base = 1_u64.checked_shl(mask.trailing_zeros()).unwrap_or_default();
    if !v.is_power_of_two() || v & mask == 0 || (v == base && mask == base) || v == ctx.target_page {
        return Ok(None);
    }
    c.skip(8)?;
    Ok(Some(v))
}

fn mapped_ram(c: &mut Cursor<'_>, len: u64, ctx: &RamContext) -> Result<MappedRam> {
    let at = c.offset();
    let version = c.be32()?;
    if version != 1 {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("mapped-ram header: expected version 1, found {version}"),
        )
        .at(at));
    }
    let at = c.offset();
    let page_size = c.be64()?;
    if page_size != ctx.target_page {
        return Err(Error::corrupt(
            at,
            format!("mapped-ram header: expected a page size of {}, found {page_size}", ctx.target_page),
        ));
    }
    let at = c.offset();
    let m = MappedRam { page_size, bitmap_offset: FileOffset(c.be64()?), pages_offset: FileOffset(c.be64()?) };
    let sound = m.is_absent() || (m.bitmap_offset < m.pages_offset && m.pages_offset.0.checked_add(len).is_some());
    if !sound {
        return Err(Error::corrupt(
            at,
            format!(
                "mapped-ram header: expected the pages after the bitmap, found bitmap at {} and pages at {}",
                m.bitmap_offset, m.pages_offset
            ),
        ));
    }
    Ok(m)
}

/// The stream continues after the pages, whose offset in the file is in the header.
fn skip_pages(c: &mut Cursor<'_>, name: &Name, len: u64, m: MappedRam, ctx: &RamContext) -> Result<()> {
    let here = c.offset().0;
    let end = m.pages_offset.checked_plus(len).and_then(|to| to.checked_since(ctx.stream_start));
    match end.and_then(|end| end.checked_sub(here)) {
        Some(n) => c.skip(n).map_err(|e| e.within(name.to_string())),
        None => Err(Error::corrupt(
            c.offset(),
            format!(
                "mapped-ram header of {name}: expected pages at a later offset in the file, found {}",
                m.pages_offset
            ),
        )),
    }
}
