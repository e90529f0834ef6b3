//! Guest-physical memory, whatever it is read from.

use std::ops::Range;

use crate::error::Result;
use crate::offset::Gpa;

/// Memory that is read at guest-physical addresses.
///
/// Page-table walks, searches and dumps ask for no more than this, so that tests can give them memory of a few pages.
pub trait PhysicalMemory: Send + Sync {
    /// Fills `buf` with the bytes from `address` on.
    ///
    /// # Errors
    /// `Missing` for an address without memory and for a page that is not in the stream; `Corrupt`; `Io`.
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()>;

    /// Returns the ranges that have memory, in ascending order; they do not overlap.
    fn ranges(&self) -> Vec<Range<u64>>;
}

/// Pages in a table, for tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub struct FewPages {
    /// The pages of 4096 bytes by their address.
    pub pages: std::collections::BTreeMap<u64, Vec<u8>>,
}

#[cfg(test)]
impl FewPages {
    /// Writes bytes, and adds the pages that they need.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        for (at, b) in (address..).zip(bytes) {
            self.pages.entry(at & !0xfff).or_insert_with(|| vec![0; 4096])[(at & 0xfff) as usize] = *b;
        }
    }
}

#[cfg(test)]
impl PhysicalMemory for FewPages {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        use crate::error::{Error, ErrorKind};
        for (i, b) in buf.iter_mut().enumerate() {
            let at = address.0.wrapping_add(i as u64);
            let page = self.pages.get(&(at & !0xfff));
            *b = page.ok_or_else(|| Error::new(ErrorKind::Missing, format!("no memory is known at {at:#x}")))?
                [(at & 0xfff) as usize];
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        let mut out: Vec<Range<u64>> = Vec::new();
        for page in self.pages.keys() {
            match out.last_mut().filter(|r| r.end == *page) {
                Some(r) => r.end = page + 4096,
                None => out.push(*page..page + 4096),
            }
        }
        out
    }
}
