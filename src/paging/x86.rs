//! x86: 32-bit, PAE, 4-level and 5-level paging (Intel SDM volume 3, chapter 5).

use std::sync::Arc;

use super::model::{Entry, Level, Tree, bit, field, mask};

/// How an x86 processor translates addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum X86Mode {
    /// 32-bit paging: two levels of 4-byte entries; whether large pages are enabled.
    Bits32 {
        /// CR4.PSE: pages of 4 MiB.
        pse: bool,
    },
    /// PAE paging: three levels.
    Pae,
    /// 4-level paging of long mode.
    Level4,
    /// 5-level paging of long mode.
    Level5,
}

impl X86Mode {
    /// Returns the mode that the control registers select; `None` if paging is off.
    #[must_use]
    pub fn of(cr0: u64, cr4: u64, efer: u64) -> Option<Self> {
        if !bit(cr0, 31) {
            return None;
        }
        let long = bit(efer, 10);
        Some(match (bit(cr4, 5), long) {
            (false, _) => Self::Bits32 { pse: bit(cr4, 4) },
            (true, false) => Self::Pae,
            (true, true) if bit(cr4, 12) => Self::Level5,
            (true, true) => Self::Level4,
        })
    }

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bits32 { .. } => "32-bit paging",
            Self::Pae => "PAE paging",
            Self::Level4 => "4-level paging",
            Self::Level5 => "5-level paging",
        }
    }
}

/// Bits 12 to 51: what is above belongs to protection keys and the system.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

static LEVELS: &[Level] = &[
    Level { name: "PML5", shift: 48, bits: 9 },
    Level { name: "PML4", shift: 39, bits: 9 },
    Level { name: "PDPT", shift: 30, bits: 9 },
    Level { name: "PD", shift: 21, bits: 9 },
    Level { name: "PT", shift: 12, bits: 9 },
];

static LEVELS_PAE: &[Level] = &[
    Level { name: "PDPT", shift: 30, bits: 2 },
    Level { name: "PD", shift: 21, bits: 9 },
    Level { name: "PT", shift: 12, bits: 9 },
];

static LEVELS_32: &[Level] = &[Level { name: "PD", shift: 22, bits: 10 }, Level { name: "PT", shift: 12, bits: 10 }];

/// The entries of one mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries {
    mode: X86Mode,
    /// Bits of an address that say that the page is encrypted.
    encrypted: u64,
}

impl super::model::Entries for Entries {
    fn read(&self, level: &Level, value: u64) -> Entry {
        if !bit(value, 0) {
            return Entry::Absent("not present");
        }
        let large = bit(value, 7);
        if let X86Mode::Bits32 { pse } = self.mode {
            return match level.shift {
                // bits 32 to 39 of the address of a large page are in bits 13 to 20
                22 if large && pse => Entry::Page { at: (value & 0xffc0_0000) | field(value, 13, 8) << 32, shift: 22 },
                22 => Entry::table(value & 0xffff_f000),
                _ => Entry::Page { at: value & 0xffff_f000, shift: 12 },
            };
        }
        let at = value & ADDRESS & !self.encrypted;
        let may_be_large = level.shift == 21 || (level.shift == 30 && self.mode != X86Mode::Pae);
        match level.shift {
            12 => Entry::Page { at, shift: 12 },
            shift if large && may_be_large => Entry::Page { at: at & !mask(shift), shift },
            _ if large && self.mode != X86Mode::Pae => Entry::Absent("not valid: a page of this level is too large"),
            _ => Entry::table(at),
        }
    }
}

/// Returns the trees of a mode: one tree for the addresses below the hole of long mode, and the same for those above it.
pub(super) fn trees(mode: X86Mode, cr3: u64, encrypted: u64) -> Vec<Tree> {
    let (levels, root, entry_bytes, width) = match mode {
        X86Mode::Bits32 { .. } => (LEVELS_32, cr3 & 0xffff_f000, 4, 32),
        X86Mode::Pae => (LEVELS_PAE, cr3 & 0xffff_ffe0, 8, 32),
        X86Mode::Level4 => (LEVELS.get(1..).unwrap_or_default(), cr3 & ADDRESS & !encrypted, 8, 47),
        X86Mode::Level5 => (LEVELS, cr3 & ADDRESS & !encrypted, 8, 56),
    };
    let tree = |low, high| Tree {
        register: "CR3",
        low,
        high,
        root,
        first: 0,
        last: u64::MAX,
        levels: levels.to_vec(),
        entry_bytes,
        big_endian: false,
        entries: Arc::new(Entries { mode, encrypted }),
    };
    let lower = tree(0, mask(width));
    if width == 32 { vec![lower] } else { vec![lower, tree(!mask(width), u64::MAX)] }
}
