//! Guest memory that can be read at any address, and what pages hold as hashes.
//!
//! One walk over a stream notes where the last content of each page is ([`PageIndex`]); [`GuestMemory`] then reads pages on
//! demand. A mapped-ram file needs no walk: its bitmaps are the index.

mod block_hashes;
mod entry;
mod guest;
mod index;
mod marked;
mod page_hashes;
mod pages;
mod physical;
mod spool;

pub use block_hashes::{BlockHashes, PageHash};
pub use entry::PageContent;
pub use guest::GuestMemory;
pub use index::PageIndex;
pub use marked::MarkedPages;
pub use page_hashes::PageHashes;
pub use pages::PageReader;
#[cfg(test)]
pub use physical::FewPages;
pub use physical::PhysicalMemory;
pub use spool::Spool;

use crate::error::{Error, Result};
use crate::offset::StreamOffset;
use crate::ram::unreadable;
use crate::wire::Source;

/// Reads a page as it is in the stream.
fn read_page(source: &dyn Source, at: StreamOffset, content: &mut [u8]) -> Result<()> {
    let n = source.read_full(at.0, content).map_err(|e| unreadable(e, at.0))?;
    if n < content.len() {
        let what = "expected the pages of a mapped-ram file, found its end";
        return Err(Error::truncated(at.plus(n as u64), what));
    }
    Ok(())
}
