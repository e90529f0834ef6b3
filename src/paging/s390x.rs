//! IBM Z: dynamic address translation (Principles of Operation, chapter 3).

use std::sync::Arc;

use super::model::{Entry, Level, Tree, bit, field, mask};
use crate::offset::Sure;

static LEVELS: &[Level] = &[
    Level { name: "region-first table", shift: 53, bits: 11 },
    Level { name: "region-second table", shift: 42, bits: 11 },
    Level { name: "region-third table", shift: 31, bits: 11 },
    Level { name: "segment table", shift: 20, bits: 11 },
    Level { name: "page table", shift: 12, bits: 8 },
];

/// The entries of a space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries {
    /// Whether control register 0 enables large frames (EDAT).
    pub edat: bool,
    /// Whether pages count that Linux has marked as invalid to learn of the next use: it sets its own bit in those that are there
    /// (`_PAGE_PRESENT` in `arch/s390/include/asm/pgtable.h`).
    pub old: bool,
}

impl super::model::Entries for Entries {
    fn read(&self, level: &Level, value: u64) -> Entry {
        if level.shift == 12 {
            return match value & 0xc00 {
                0 => Entry::Page { at: value & !mask(12), shift: 12 },
                0x400 if self.old && bit(value, 0) => Entry::Page { at: value & !mask(12), shift: 12 },
                0x400 => Entry::Absent("invalid"),
                _ => Entry::Absent("not valid: bit 52 is set"),
            };
        }
        if bit(value, 5) {
            return Entry::Absent("invalid");
        }
        let kind = level.shift.minus(20).checked_div(11).unwrap_or(0);
        if field(value, 2, 2) != u64::from(kind) {
            return Entry::Absent("not valid: an entry of another table");
        }
        let frame = self.edat && bit(value, 10);
        match level.shift {
            20 if frame => Entry::Page { at: value & !mask(20), shift: 20 },
            31 if frame => Entry::Page { at: value & !mask(31), shift: 31 },
            20 => Entry::table(value & !mask(11)),
            _ => Entry::Table {
                at: value & !mask(12),
                first: field(value, 6, 2) << 9,
                last: (field(value, 0, 2) << 9) | mask(9),
            },
        }
    }
}

/// Returns the tree of an address-space-control element; `None` for a real space, which is not translated.
pub(super) fn tree(register: &'static str, asce: u64, entries: Entries) -> Option<Tree> {
    if bit(asce, 5) {
        return None;
    }
    let kind = usize::try_from(field(asce, 2, 2)).unwrap_or(0);
    let levels = LEVELS.get(3_usize.minus(kind)..).unwrap_or_default();
    let top = levels.first()?;
    Some(Tree {
        register,
        low: 0,
        high: mask(top.shift.plus(top.bits)),
        root: asce & !mask(12),
        first: 0,
        last: (field(asce, 0, 2) << 9) | mask(9),
        levels: levels.to_vec(),
        entry_bytes: 8,
        big_endian: true,
        entries: Arc::new(entries),
    })
}

/// Real address 0 is the processor's own prefix area, and the reverse: the first 8 KiB and those at the prefix change places.
pub(super) fn absolute(prefix: u64, address: u64) -> u64 {
    let area = address & !mask(13);
    if area == 0 {
        address | prefix
    } else if area == prefix {
        address & mask(13)
    } else {
        address
    }
}
