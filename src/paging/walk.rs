//! The walk, the same for all architectures.

use super::model::{Entry, Meaning, Step, Translation, Tree, Walk, mask};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};

/// Reads an entry.
fn entry(mem: &dyn PhysicalMemory, tree: &Tree, at: Gpa) -> Result<u64> {
    let mut bytes = [0; 8];
    let piece = bytes.get_mut(..if tree.entry_bytes == 4 { 4 } else { 8 }).unwrap_or_default();
    mem.read(at, piece)?;
    let raw = u64::from_le_bytes(bytes);
    Ok(match (tree.big_endian, tree.entry_bytes) {
        (false, _) => raw,
        (true, 4) => raw.swap_bytes() >> 32,
        (true, _) => raw.swap_bytes(),
    })
}

/// Walks from the root to a page, one step per level at most.
pub(super) fn walk(mem: &dyn PhysicalMemory, tree: &Tree, address: u64) -> Walk {
    let mut steps = Vec::with_capacity(tree.levels.len());
    let unmapped =
        |what: String| Error::new(ErrorKind::Missing, format!("virtual address {address:#x} is not mapped: {what}"));
    let (mut table, mut first, mut last) = (tree.root, tree.first, tree.last);
    for level in &tree.levels {
        let index = level.index(address);
        let at = Gpa(table.wrapping_add(index.wrapping_mul(tree.entry_bytes)));
        let same = mask(level.shift).minus(address & mask(level.shift)).plus(1);
        if index < first || index > last {
            let what = format!("the {} has no entry {index:#x}", level.name);
            return Walk { steps, same, outcome: Err(unmapped(what)) };
        }
        let value = match entry(mem, tree, at) {
            Ok(value) => value,
            Err(e) => {
                let e = e.within(format!("{} entry at {at}", level.name));
                return Walk { steps, same, outcome: Err(e.within(format!("virtual address {address:#x}"))) };
            }
        };
        let mut step = |meaning| steps.push(Step { level: level.name, at, value, meaning });
        match tree.entries.read(level, value) {
            Entry::Absent(why) => {
                step(Meaning::Absent(why));
                let what = format!("the {} entry at {at} is {why}", level.name);
                return Walk { steps, same, outcome: Err(unmapped(what)) };
            }
            Entry::Table { at: next, first: f, last: l } => {
                step(Meaning::Table(Gpa(next)));
                (table, first, last) = (next, f, l);
            }
            Entry::Page { at: page, shift } => {
                let bytes = mask(shift).plus(1);
                step(Meaning::Page(Gpa(page), bytes));
                let within = address & mask(shift);
                let left = bytes.minus(within);
                let t = Translation { address: Gpa(page | within), page: Some(bytes), left };
                return Walk { steps, same: left, outcome: Ok(t) };
            }
        }
    }
    Walk { steps, same: 1, outcome: Err(unmapped("the entry of the last level is not a page".to_owned())) }
}
