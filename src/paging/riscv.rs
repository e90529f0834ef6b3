//! RISC-V: Sv32, Sv39, Sv48 and Sv57 (privileged architecture, chapter 12).

use std::sync::Arc;

use super::model::{Entry, Level, Tree, bit, field, mask};

/// How a RISC-V hart translates addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RiscvMode {
    /// Two levels of 4-byte entries.
    Sv32,
    /// Three levels.
    Sv39,
    /// Four levels.
    Sv48,
    /// Five levels.
    Sv57,
}

impl RiscvMode {
    /// Returns the mode in `satp`: `Ok(None)` if there is no translation, and an error with the number of a reserved mode.
    ///
    /// # Errors
    /// The number of a mode that is not known.
    pub fn of(satp: u64, bits: u32) -> Result<Option<Self>, u64> {
        if bits == 32 {
            return Ok(bit(satp, 31).then_some(Self::Sv32));
        }
        match satp >> 60 {
            0 => Ok(None),
            8 => Ok(Some(Self::Sv39)),
            9 => Ok(Some(Self::Sv48)),
            10 => Ok(Some(Self::Sv57)),
            n => Err(n),
        }
    }

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sv32 => "Sv32",
            Self::Sv39 => "Sv39",
            Self::Sv48 => "Sv48",
            Self::Sv57 => "Sv57",
        }
    }
}

static LEVELS: &[Level] = &[
    Level { name: "level 4", shift: 48, bits: 9 },
    Level { name: "level 3", shift: 39, bits: 9 },
    Level { name: "level 2", shift: 30, bits: 9 },
    Level { name: "level 1", shift: 21, bits: 9 },
    Level { name: "level 0", shift: 12, bits: 9 },
];

static LEVELS_32: &[Level] =
    &[Level { name: "level 1", shift: 22, bits: 10 }, Level { name: "level 0", shift: 12, bits: 10 }];

/// The entries of one mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries {
    short: bool,
}

impl super::model::Entries for Entries {
    /// Bits 54 to 60 are reserved, 61 and 62 are the memory type (Svpbmt), 63 is the mark of a larger page (Svnapot).
    fn read(&self, level: &Level, value: u64) -> Entry {
        if !bit(value, 0) {
            return Entry::Absent("not valid");
        }
        let number = field(value, 10, if self.short { 22 } else { 44 });
        let at = number << 12;
        match (bit(value, 1), bit(value, 2), bit(value, 3)) {
            (false, true, _) => return Entry::Absent("reserved: writable and not readable"),
            (false, false, false) => return Entry::table(at),
            _ => {}
        }
        if at & mask(level.shift) & !mask(12) != 0 {
            return Entry::Absent("not valid: the page is not aligned");
        }
        if bit(value, 63) && !self.short {
            // the only size so far is 64 KiB, which the number has in its lowest bits
            return match level.shift == 12 && number & 0xf == 8 {
                true => Entry::Page { at: at & !mask(16), shift: 16 },
                false => Entry::Absent("reserved: a larger page of unknown size"),
            };
        }
        Entry::Page { at, shift: level.shift }
    }
}

/// Returns the trees of a mode.
pub(super) fn trees(mode: RiscvMode, satp: u64) -> Vec<Tree> {
    let (levels, width) = match mode {
        RiscvMode::Sv32 => (LEVELS_32, 32),
        RiscvMode::Sv39 => (LEVELS.get(2..).unwrap_or_default(), 38),
        RiscvMode::Sv48 => (LEVELS.get(1..).unwrap_or_default(), 47),
        RiscvMode::Sv57 => (LEVELS, 56),
    };
    let short = mode == RiscvMode::Sv32;
    let tree = |low, high| Tree {
        register: "satp",
        low,
        high,
        root: field(satp, 0, if short { 22 } else { 44 }) << 12,
        first: 0,
        last: u64::MAX,
        levels: levels.to_vec(),
        entry_bytes: if short { 4 } else { 8 },
        big_endian: false,
        entries: Arc::new(Entries { short }),
    };
    let lower = tree(0, mask(width));
    if short { vec![lower] } else { vec![lower, tree(!mask(width), u64::MAX)] }
}
