//! Maps pages to their place in the outputs.

use crate::machine::Region;
use crate::offset::{RamOffset, Sure};
use crate::ram::RamBlock;

/// A piece of a block and its place in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Where the piece begins in the block.
    pub block_start: u64,
    /// Its length.
    pub bytes: u64,
    /// The index of the output.
    pub output: usize,
    /// Where it begins there.
    pub output_start: u64,
}

/// The outputs with their lengths, and the pieces of every block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The length of each output.
    pub outputs: Vec<u64>,
    /// The pieces of each block, in the order of the list of blocks.
    pub blocks: Vec<Vec<Segment>>,
}

impl Plan {
    /// One output per chosen block; `chosen` gives the indices.
    #[must_use]
    pub fn raw(blocks: &[RamBlock], chosen: &[usize]) -> Self {
        let mut plan = Self { outputs: Vec::new(), blocks: vec![Vec::new(); blocks.len()] };
        for (output, i) in chosen.iter().enumerate() {
            let (Some(b), Some(pieces)) = (blocks.get(*i), plan.blocks.get_mut(*i)) else { continue };
            pieces.push(Segment { block_start: 0, bytes: b.len, output, output_start: 0 });
            plan.outputs.push(b.len);
        }
        plan
    }

    /// One output with all blocks, one after the other.
    #[must_use]
    pub fn joined(blocks: &[RamBlock]) -> Self {
        let mut at = 0_u64;
        let mut piece = |b: &RamBlock| {
            let output_start = at;
            at = at.plus(b.len);
            vec![Segment { block_start: 0, bytes: b.len, output: 0, output_start }]
        };
        let blocks = blocks.iter().map(&mut piece).collect();
        Self { outputs: vec![at], blocks }
    }

    /// One output whose byte x is the guest-physical address `begin` + x, up to `length` bytes.
    #[must_use]
    pub fn physical(blocks: &[RamBlock], regions: &[Region], begin: u64, length: Option<u64>) -> Self {
        let end = length.map_or(u64::MAX, |n| begin.saturating_add(n));
        let mut plan = Self { outputs: vec![0], blocks: vec![Vec::new(); blocks.len()] };
        for r in regions {
            let from = r.gpa.0.max(begin);
            let to = r.end().0.min(end);
            let Some(pieces) = plan.blocks.get_mut(r.block) else { continue };
            if from >= to {
                continue;
            }
            let output_start = from.minus(begin);
            let bytes = to.minus(from);
            let block_start = r.block_offset.0.plus(from.minus(r.gpa.0));
            pieces.push(Segment { block_start, bytes, output: 0, output_start });
            if let Some(len) = plan.outputs.first_mut() {
                *len = (*len).max(output_start.plus(bytes));
            }
        }
        plan
    }

    /// One output of `len` bytes with pieces of blocks at given offsets.
    #[must_use]
    pub fn placed(blocks: &[RamBlock], pieces: impl IntoIterator<Item = (Region, u64)>, len: u64) -> Self {
        let mut plan = Self { outputs: vec![len], blocks: vec![Vec::new(); blocks.len()] };
        for (r, output_start) in pieces {
            if let Some(of_block) = plan.blocks.get_mut(r.block) {
                of_block.push(Segment { block_start: r.block_offset.0, bytes: r.bytes, output: 0, output_start });
            }
        }
        plan
    }

    /// Calls `f` with output, offset there and length for each piece of a run of a block.
    pub(super) fn pieces(&self, block: usize, start: RamOffset, bytes: u64, f: &mut dyn FnMut(usize, u64, u64, u64)) {
        let end = start.0.saturating_add(bytes);
        for s in self.blocks.get(block).map(Vec::as_slice).unwrap_or_default() {
            let from = s.block_start.max(start.0);
            let to = s.block_start.plus(s.bytes).min(end);
            if from < to {
                let at = s.output_start.plus(from.minus(s.block_start));
                f(s.output, at, from.minus(start.0), to.minus(from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::{Gpa, StreamRange};

    fn block(len: u64) -> RamBlock {
        let entry = StreamRange::default();
        RamBlock { name: "b".into(), len, page_size: None, region_address: None, mapped: None, entry }
    }

    #[test]
    fn a_window_cuts_regions_on_both_sides() {
        let regions = [
            Region { gpa: Gpa(0), bytes: 0x3000, block: 0, block_offset: RamOffset(0), why: "table" },
            Region { gpa: Gpa(0x10000), bytes: 0x2000, block: 0, block_offset: RamOffset(0x3000), why: "table" },
        ];
        let all = Plan::physical(&[block(0x5000)], &regions, 0, None);
        assert_eq!(all.outputs, [0x12000]);
        let cut = Plan::physical(&[block(0x5000)], &regions, 0x1000, Some(0x10000));
        assert_eq!(cut.outputs, [0x10000]);
        let mut got = Vec::new();
        cut.pieces(0, RamOffset(0x2000), 0x2000, &mut |o, at, from, n| got.push((o, at, from, n)));
        assert_eq!(got, [(0, 0x1000, 0, 0x1000), (0, 0xf000, 0x1000, 0x1000)]);
    }
}
