//! Memory that has been written to a file, read back.

use std::fs::File;
use std::ops::Range;

use super::elf::Placed;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::Gpa;
use crate::wire::read_sparse_at;

/// The memory of a dump that is being written: what is found in it (the kernel's note) goes into the same file.
#[derive(Debug)]
pub struct WrittenMemory {
    file: File,
    pieces: Vec<Placed>,
}

impl WrittenMemory {
    /// Reads the pieces of a file, which are in ascending order of addresses.
    #[must_use]
    pub fn new(file: File, pieces: Vec<Placed>) -> Self {
        Self { file, pieces }
    }
}

impl PhysicalMemory for WrittenMemory {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        let mut done = 0_usize;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            let at = address.plus(done as u64);
            let next = self.pieces.partition_point(|p| p.region.gpa <= at);
            let missing = || Error::new(ErrorKind::Missing, format!("no memory is known at {at}"));
            let p = next.checked_sub(1).and_then(|i| self.pieces.get(i)).ok_or_else(missing)?;
            let within = at.0.saturating_sub(p.region.gpa.0);
            let left = p.region.bytes.checked_sub(within).filter(|n| *n > 0).ok_or_else(missing)?;
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let piece = rest.get_mut(..n).unwrap_or_default();
            read_sparse_at(&self.file, piece, p.at.saturating_add(within))
                .map_err(|e| Error::io("cannot read the dump back", e))?;
            done = done.saturating_add(n);
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.pieces.iter().map(|p| p.region.gpa.0..p.region.gpa.0.saturating_add(p.region.bytes)).collect()
    }
}
