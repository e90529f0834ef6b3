//! AArch64 stage 1 (Arm ARM, D8).

use std::sync::Arc;

use super::model::{Entry, Level, Tree, bit, field, mask};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

/// The registers of a translation regime with two ranges of addresses (EL1, and EL2 with `HCR_EL2.E2H`) or one (EL2, EL3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Regime {
    pub names: [&'static str; 2],
    pub ttbr: [u64; 2],
    pub tcr: u64,
    /// Whether there are two ranges.
    pub two: bool,
    pub big_endian: bool,
}

/// The entries of a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries {
    /// The bits of an address within a page: 12, 14 or 16.
    granule: u32,
    /// TCR.DS: 52 bits with pages of 4 or 16 KiB.
    ds: bool,
    /// 52 bits with pages of 64 KiB.
    wide: bool,
}

impl Entries {
    fn address(self, value: u64) -> u64 {
        let low = !mask(self.granule);
        if self.ds {
            return (value & mask(50) & low) | field(value, 8, 2) << 50;
        }
        let high = if self.wide { field(value, 12, 4) << 48 } else { 0 };
        (value & mask(48) & low) | high
    }
}

impl super::model::Entries for Entries {
    fn read(&self, level: &Level, value: u64) -> Entry {
        if !bit(value, 0) {
            return Entry::Absent("invalid");
        }
        let at = self.address(value);
        if bit(value, 1) {
            return match level.shift == self.granule {
                true => Entry::Page { at, shift: level.shift },
                false => Entry::table(at),
            };
        }
        let largest = match (self.granule, self.ds || self.wide) {
            (12, false) => 30,
            (12, true) => 39,
            (14, false) => 25,
            (14, true) => 36,
            (_, false) => 29,
            (_, true) => 42,
        };
        if level.shift == self.granule || level.shift > largest {
            return Entry::Absent("invalid: no block may be at this level");
        }
        Entry::Page { at: at & !mask(level.shift), shift: level.shift }
    }
}

/// The names of levels -1 to 3.
static NAMES: [&str; 5] = ["level -1", "level 0", "level 1", "level 2", "level 3"];

/// Returns the trees of a regime. A range that is switched off has none.
pub(super) fn trees(r: &Regime) -> Result<Vec<Tree>> {
    let mut out = Vec::new();
    for upper in [false, true] {
        if upper && !r.two {
            continue;
        }
        let from = if upper { 16 } else { 0 };
        if r.two && bit(r.tcr, if upper { 23 } else { 7 }) {
            continue;
        }
        let granule = match (upper, field(r.tcr, if upper { 30 } else { 14 }, 2)) {
            (false, 0) | (true, 2) => 12,
            (false, 2) | (true, 1) => 14,
            (false, 1) | (true, 3) => 16,
            _ => return Err(Error::new(ErrorKind::Corrupt, format!("TCR {:#x}: reserved granule", r.tcr))),
        };
        let size = u32::try_from(field(r.tcr, from, 6)).unwrap_or(0);
        let widest = field(r.tcr, if r.two { 32 } else { 16 }, 3) >= 6;
        let ds = bit(r.tcr, if r.two { 59 } else { 32 }) && granule != 16;
        let least = if ds || granule == 16 { 12 } else { 16 };
        if size < least || size > 48 {
            let what = format!("TCR {:#x}: expected a size from {least} to 48, found {size}", r.tcr);
            return Err(Error::new(ErrorKind::Corrupt, what));
        }
        let wide = granule == 16 && widest;
        let input = 64_u32.minus(size);
        let levels = levels(granule, input);
        let Some(top) = levels.first() else { continue };
        let ttbr = r.ttbr.get(usize::from(upper)).copied().unwrap_or(0);
        let table = mask(top.bits.plus(3).max(6));
        let high = if wide || (ds && widest) { field(ttbr, 2, 4) << 48 } else { 0 };
        out.push(Tree {
            register: r.names.get(usize::from(upper)).copied().unwrap_or_default(),
            low: if upper { !mask(input) } else { 0 },
            high: if upper { u64::MAX } else { mask(input) },
            root: (ttbr & mask(48) & !table) | high,
            first: 0,
            last: u64::MAX,
            levels,
            entry_bytes: 8,
            big_endian: r.big_endian,
            entries: Arc::new(Entries { granule, ds, wide }),
        });
    }
    Ok(out)
}

/// Returns the levels for addresses of `input` bits: the first one has as many bits as are left.
fn levels(granule: u32, input: u32) -> Vec<Level> {
    let stride = granule.minus(3);
    let mut out = Vec::new();
    let mut left = input;
    let mut shift = granule;
    for name in NAMES.iter().rev() {
        let bits = left.saturating_sub(shift).min(stride);
        if bits == 0 {
            break;
        }
        out.push(Level { name, shift, bits });
        left = left.max(shift);
        shift = shift.plus(stride);
    }
    out.reverse();
    out
}

/// Returns the address without its tag, for a regime that ignores the top byte.
pub(super) fn without_tag(r: &Regime, address: u64) -> u64 {
    let upper = r.two && bit(address, 55);
    let ignored = if r.two { bit(r.tcr, if upper { 38 } else { 37 }) } else { bit(r.tcr, 20) };
    match (ignored, upper) {
        (false, _) => address,
        (true, false) => address & mask(56),
        (true, true) => address | !mask(56),
    }
}
