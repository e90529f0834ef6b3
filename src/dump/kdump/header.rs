//! The headers, and where everything is.

use super::super::bytes::Record;
use super::super::guest::Guest;
use super::codec::Codec;
use super::pages::PageList;
use crate::offset::Sure;

/// The sizes of the two headers, of 64 and of 32 bits.
const MAIN: (usize, usize) = (464, 452);
const SUB: (u64, u64) = (104, 80);
/// The bytes of a field of `uname`, whose last one is a NUL.
const UNAME: usize = 65;
/// The size of a page descriptor.
pub(super) const DESCRIPTOR: u64 = 24;

/// Where the parts of a file are, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) block: u64,
    pub(super) sub_blocks: u64,
    /// The length of one of the two bitmaps.
    pub(super) bitmap: u64,
    pub(super) bitmap_at: u64,
    pub(super) descriptors_at: u64,
    pub(super) data_at: u64,
    /// One more than the number of the last page.
    pub(super) max_mapnr: u64,
}

impl Sizes {
    pub(super) fn of(guest: &Guest, block: u64, all: &PageList<'_>, pages: u64) -> Self {
        let sub = if guest.target.wide { SUB.0 } else { SUB.1 };
        let sub_blocks = sub.plus(notes(guest)).div_ceil(block.max(1));
        let max_mapnr = all.end();
        let bitmap = max_mapnr.div_ceil(8).checked_next_multiple_of(block).unwrap_or(u64::MAX);
        let bitmap_at = sub_blocks.plus(1).times(block);
        let descriptors_at = bitmap_at.plus(bitmap.times(2));
        let data_at = descriptors_at.plus(pages.times(DESCRIPTOR));
        Self { block, sub_blocks, bitmap, bitmap_at, descriptors_at, data_at, max_mapnr }
    }
}

/// The bytes of all notes.
fn notes(guest: &Guest) -> u64 {
    let own = guest.vmcoreinfo.as_ref().map_or(0, Vec::len) as u64;
    own.plus(guest.notes.len() as u64)
}

/// Returns the main header.
pub(super) fn main(guest: &Guest, codec: Codec, s: &Sizes) -> Vec<u8> {
    let wide = guest.target.wide;
    let mut r = Record::new(guest.target.order, if wide { MAIN.0 } else { MAIN.1 });
    r.raw(0, b"KDUMP   ");
    r.u32(8, 6);
    for (at, text) in (12..).step_by(UNAME).zip(&guest.uname) {
        r.raw(at, text.get(..text.len().min(UNAME.minus(1))).unwrap_or_default());
    }
    // a time of two words is before the rest
    let base: usize = if wide { 424 } else { 412 };
    let numbers = [
        codec.flag().into(),
        s.block,
        s.sub_blocks,
        s.bitmap.times(2).checked_div(s.block).unwrap_or(0),
        s.max_mapnr.min(u32::MAX.into()),
        0,
        0,
        0,
        0,
        guest.processors.into(),
    ];
    r.row32(base, numbers);
    r.bytes
}

/// Returns the sub header with the notes after it.
pub(super) fn sub(guest: &Guest, s: &Sizes) -> Vec<u8> {
    let wide = guest.target.wide;
    let size = if wide { SUB.0 } else { SUB.1 };
    let notes_at = s.block.plus(size);
    let own = guest.vmcoreinfo.as_deref().unwrap_or_default();
    // the content of the note, after its head and name
    let note = super::super::notes::content(guest.target.order, own);
    let content_at = |skip: u64| notes_at.plus(guest.notes.len() as u64).plus(skip);
    let (vmcoreinfo_at, vmcoreinfo) = note.map_or((0, 0), |(skip, len)| (content_at(skip), len));
    let mut r = Record::new(guest.target.order, usize::try_from(size).unwrap_or(0));
    if wide {
        r.u64(0, guest.phys_base);
        // level 1: zero pages share one
        r.u32(8, 1);
        r.row64(32, [vmcoreinfo_at, vmcoreinfo, notes_at, notes(guest)]);
        r.u64(96, s.max_mapnr);
    } else {
        r.u32(0, guest.phys_base);
        r.u32(4, 1);
        r.u64(20, vmcoreinfo_at);
        r.u32(28, vmcoreinfo);
        r.u64(32, notes_at);
        r.u32(40, notes(guest));
        r.u64(72, s.max_mapnr);
    }
    let mut out = r.bytes;
    out.extend_from_slice(&guest.notes);
    out.extend_from_slice(own);
    out
}
