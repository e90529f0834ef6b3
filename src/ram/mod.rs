//! The `ram` section: the list of RAMBlocks and the records of pages.
//!
//! ```text
//! be64 H; the bits of H below the target page size are flags, the rest is an address inside a block
//! MEM_SIZE       { u8 n, name, be64 length, [be64 page size], [be64 region address], [mapped-ram header] }  until the
//!                lengths add up to the address
//! ZERO           [name] u8 fill
//! PAGE           [name] page
//! XBZRLE         [name] u8 1, be16 length, difference
//! COMPRESS_PAGE  [name] be32 length, zlib stream
//! EOS            nothing: the end of this section's payload
//! MULTIFD_FLUSH  nothing
//! ```
//! The name is absent with CONTINUE: then it is the block of the record before, also across sections.
//! Version 3 (QEMU 0.10 to 0.13) has neither list nor names: one flat memory. Written by
//! `ram_save_setup`, `ram_save_iterate` and `ram_save_complete`, read by `ram_load_precopy` in `migration/ram.c`.

mod blocks;
mod both;
mod context;
mod mapped;
mod page_set;
mod page_size;
mod records;
mod replay;
mod stats;
mod xbzrle;
mod zlib;

pub use blocks::{MappedRam, RamBlock};
pub use both::Both;
pub use context::RamContext;
pub use mapped::{MappedBitmap, MappedRun};
pub use page_set::PageSet;
pub use page_size::guess_page_size;
pub use records::RamReader;
pub use replay::{Replay, is_zero, unreadable};
pub use stats::{BadPage, PageCounts, PageStats};
pub use xbzrle::apply as apply_xbzrle;
pub use zlib::inflate;

use crate::error::Result;
use crate::offset::{RamOffset, StreamOffset};
use crate::text::Name;
use crate::wire::Source;

/// The position of a page record, and the page it contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageAt {
    /// The index of the block in the list of blocks.
    pub block: usize,
    /// The page's offset in the block; a multiple of the target page size.
    pub offset: RamOffset,
    /// Where the record begins in the stream.
    pub stream: StreamOffset,
}

/// The content of a page record. The slice is empty if the sink does not request the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page<'a> {
    /// Every byte of the page is `0`, or the fill byte that old versions wrote.
    Fill(u8),
    /// The page itself.
    Normal(&'a [u8]),
    /// A difference to the page's last content.
    Xbzrle(&'a [u8]),
    /// A zlib stream of the page.
    Compressed(&'a [u8]),
}

/// The form in which a page record holds a page, where it is more than a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// The page itself.
    Normal,
    /// A difference.
    Xbzrle,
    /// A zlib stream.
    Compressed,
}

/// The list of blocks, and what a sink may need to make use of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BlockList<'a> {
    /// The blocks, in the order of the stream.
    pub blocks: &'a [RamBlock],
    /// The target page size in bytes.
    pub target_page: u64,
    /// The machine type, if the stream gives it.
    pub machine: Option<&'a Name>,
}

/// Receives pages in the order of the stream. A page may occur many times and in any order; the last occurrence
/// counts.
pub trait PageSink {
    /// Takes one page record.
    ///
    /// # Errors
    /// Any error ends the walk.
    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()>;

    /// Takes the list of blocks, before any page of theirs; a later list replaces it.
    ///
    /// # Errors
    /// Any error ends the walk.
    fn blocks(&mut self, _list: &BlockList<'_>) -> Result<()> {
        Ok(())
    }

    /// Takes a run of pages of a mapped-ram file. Every page that is in no run is zero.
    ///
    /// # Errors
    /// Any error ends the walk.
    fn mapped(&mut self, run: MappedRun, source: &dyn Source) -> Result<()>;

    /// Forgets what was sent of a range of a block: postcopy sends it again (POSTCOPY_RAM_DISCARD).
    ///
    /// # Errors
    /// Any error ends the walk.
    fn discard(&mut self, _block: usize, _start: RamOffset, _bytes: u64) -> Result<()> {
        Ok(())
    }

    /// Returns whether pages are wanted at all; otherwise the bitmap of a mapped-ram file is not read.
    fn wants_pages(&self) -> bool {
        true
    }

    /// Returns whether the content of a page record is wanted; it is not even read otherwise.
    fn wants(&self, _at: PageAt, _form: Form) -> bool {
        true
    }
}
