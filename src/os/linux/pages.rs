//! Pages of a kernel's memory that are read again and again.

use std::collections::HashMap;

use super::kernel::Kernel;
use crate::error::Result;
use crate::offset::Sure;

const PAGE: u64 = 4096;
/// Pages that are kept.
const MAX_PAGES: usize = 1 << 12;

/// A kernel's memory with the pages that were read from it.
pub(super) struct Pages<'k> {
    kernel: &'k Kernel<'k>,
    pages: HashMap<u64, Option<Vec<u8>>>,
}

impl<'k> Pages<'k> {
    pub(super) fn new(kernel: &'k Kernel<'k>) -> Self {
        Self { kernel, pages: HashMap::new() }
    }

    /// Returns the rest of a page from an address on; `None` if it is not in memory.
    pub(super) fn rest(&mut self, address: u64) -> Result<Option<&[u8]>> {
        let page = address & !(PAGE - 1);
        if !self.pages.contains_key(&page) {
            if self.pages.len() >= MAX_PAGES {
                self.pages.clear();
            }
            let mut bytes = vec![0; usize::try_from(PAGE).unwrap_or(0)];
            let there = self.kernel.has(page, &mut bytes)?;
            self.pages.insert(page, there.then_some(bytes));
        }
        let within = usize::try_from(address.minus(page)).unwrap_or(0);
        Ok(self.pages.get(&page).and_then(Option::as_ref).and_then(|b| b.get(within..)))
    }

    /// Returns a number of 4 or 8 bytes at a multiple of its size; `None` if it is not in memory.
    pub(super) fn number(&mut self, address: u64, bytes: u64) -> Result<Option<u64>> {
        let kernel = self.kernel;
        let len = usize::try_from(bytes).unwrap_or(0);
        Ok(self.rest(address)?.filter(|r| r.len() >= len).map(|r| kernel.number_in(r, 0, len)))
    }

    /// Returns the bytes up to the first NUL; `None` if there is none within `most`.
    pub(super) fn text(&mut self, address: u64, most: usize) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        while out.len() < most {
            let Some(rest) = self.rest(address.wrapping_add(out.len() as u64))? else { return Ok(None) };
            let end = memchr::memchr(0, rest);
            out.extend_from_slice(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
            if end.is_some() {
                return Ok(Some(out).filter(|o| o.len() < most));
            }
        }
        Ok(None)
    }
}
