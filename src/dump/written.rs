//! Memory that has been written to a file, read back.

use std::fs::File;
use std::ops::Range;

use super::elf::Placed;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};
use crate::wire::read_sparse_at;

/// The memory of a dump that is being written: what is found in it (the kernel's note) goes into the same file.
#[derive(Debug)]
pub struct WrittenMemory {
    file: File,
    pieces: Vec<Placed>,
    /// What a search looks at.
    ranges: Vec<Range<u64>>,
}

impl WrittenMemory {
    /// Reads the pieces of a file, which are in ascending order of addresses. A search of it looks only at `places`, ranges of blocks, if
    /// they are given.
    #[must_use]
    pub fn new(file: File, pieces: Vec<Placed>, places: Option<Vec<(usize, Range<u64>)>>) -> Self {
        let ranges = match places {
            Some(places) => addresses(&pieces, places),
            None => pieces.iter().map(|p| p.region.gpa.0..p.region.end().0).collect(),
        };
        Self { file, pieces, ranges }
    }
}

/// Returns where ranges of blocks are in guest-physical memory, in ascending order.
fn addresses(pieces: &[Placed], places: Vec<(usize, Range<u64>)>) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for (block, range) in places {
        for r in pieces.iter().map(|p| &p.region).filter(|r| r.block == block) {
            let from = range.start.max(r.block_offset.0);
            let to = range.end.min(r.block_offset.0.plus(r.bytes));
            if from < to {
                let gpa = r.gpa.plus(from.minus(r.block_offset.0));
                out.push(gpa.0..gpa.plus(to.minus(from)).0);
            }
        }
    }
    out.sort_unstable_by_key(|r| r.start);
    out
}

impl PhysicalMemory for WrittenMemory {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        let mut done = 0_usize;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            let at = address.plus(done as u64);
            let next = self.pieces.partition_point(|p| p.region.gpa <= at);
            let missing = || Error::new(ErrorKind::Missing, format!("no memory is known at {at}"));
            let p = next.checked_sub(1).and_then(|i| self.pieces.get(i)).ok_or_else(missing)?;
            let within = at.0.minus(p.region.gpa.0);
            let left = p.region.bytes.checked_sub(within).filter(|n| *n > 0).ok_or_else(missing)?;
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let piece = rest.get_mut(..n).unwrap_or_default();
            read_sparse_at(&self.file, piece, p.at.plus(within))
                .map_err(|e| Error::io("cannot read the dump back", e))?;
            done = done.plus(n);
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.ranges.clone()
    }
}
