//! What is before a place in memory, read backwards as far as it is asked for.

use super::super::kernel::Kernel;
use crate::error::Result;
use crate::offset::Sure;

/// The bytes before a place.
pub(super) struct Before<'k> {
    kernel: &'k Kernel<'k>,
    end: u64,
    bytes: Vec<u8>,
    /// Whether what is before these bytes is not in memory.
    ended: bool,
}

impl<'k> Before<'k> {
    pub(super) fn new(kernel: &'k Kernel<'k>, end: u64) -> Self {
        Self { kernel, end, bytes: Vec::new(), ended: false }
    }

    /// Reads so many bytes before the place, if there are that many.
    pub(super) fn reach(&mut self, wanted: usize) -> Result<()> {
        if self.ended || wanted <= self.bytes.len() {
            return Ok(());
        }
        // a little more than asked for: the next question goes further back
        let wanted = wanted.max(self.bytes.len().saturating_mul(2)).max(64 << 10);
        let wanted = wanted.min(usize::try_from(self.end).unwrap_or(usize::MAX));
        let from = self.end.minus(wanted as u64);
        let missing = wanted.saturating_sub(self.bytes.len());
        let mut front = vec![0; missing];
        if !self.kernel.has(from, &mut front)? {
            let first = self.readable(from, &mut front)?;
            front.drain(..first);
        }
        self.ended = front.len() < missing || wanted as u64 == self.end;
        front.append(&mut self.bytes);
        self.bytes = front;
        Ok(())
    }

    /// Fills the end of a buffer, page by page backwards; returns where what is there begins.
    fn readable(&self, start: u64, bytes: &mut [u8]) -> Result<usize> {
        let mut from = bytes.len();
        while from > 0 {
            let last = start.wrapping_add(from as u64).wrapping_sub(1);
            let first = usize::try_from((last & !4095).saturating_sub(start)).unwrap_or(0);
            let Some(piece) = bytes.get_mut(first..from) else { break };
            if !self.kernel.has(start.wrapping_add(first as u64), piece)? {
                break;
            }
            from = first;
        }
        Ok(from)
    }

    /// Returns how many bytes were read.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the bytes from `back` before the place on; `None` if they were not read.
    pub(super) fn from(&self, back: usize) -> Option<&[u8]> {
        self.bytes.get(self.bytes.len().checked_sub(back)?..)
    }

    /// Returns the word that is `back` bytes before the place; `None` if it was not read.
    pub(super) fn word(&self, back: usize) -> Option<u32> {
        let word = self.from(back)?.first_chunk::<4>()?;
        Some(if self.kernel.is_big_endian() { u32::from_be_bytes(*word) } else { u32::from_le_bytes(*word) })
    }

    /// Returns the address that is `back` bytes before the place.
    pub(super) fn address(&self, back: usize) -> u64 {
        self.end.wrapping_sub(back as u64)
    }
}
