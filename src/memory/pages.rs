//! Pages in their order, for those who read all of memory.

use super::entry::PageContent;
use super::guest::GuestMemory;
use crate::error::Result;
use crate::offset::RamOffset;
use crate::ram::Replay;

/// Reads pages without a cache, so that threads with a reader each do not wait for each other.
pub struct PageReader<'m> {
    memory: &'m GuestMemory,
    replay: Replay,
}

impl<'m> PageReader<'m> {
    /// Creates a reader.
    #[must_use]
    pub fn new(memory: &'m GuestMemory) -> Self {
        Self { memory, replay: Replay::default() }
    }

    /// Reads a target page of a RAM block, given by its index; `offset` is a multiple of the target page size, as which `content` is
    /// long. Content is zero where the page is.
    ///
    /// # Errors
    /// `Corrupt` for a page that cannot be decoded; `Io`, `Truncated`.
    pub fn read(&mut self, block: usize, offset: RamOffset, content: &mut [u8]) -> Result<PageContent> {
        content.fill(0);
        let number = offset.0.checked_div(self.memory.target_page()).unwrap_or(0);
        let found = self.memory.content(block, number, content, &mut self.replay);
        if found.is_err() {
            content.fill(0);
        }
        found
    }
}

impl std::fmt::Debug for PageReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageReader")
    }
}
