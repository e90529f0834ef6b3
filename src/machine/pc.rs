//! PCs: main memory in two pieces around the PCI hole.

use super::model::{MapFacts, Span};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::offset::Sure;
use crate::ram::RamBlock;

/// The boards that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `hw/i386/pc_piix.c`, `pc_init1`; with pieces on whole GiB since 2.0.
    I440fx { whole_gib: bool },
    /// `hw/i386/pc_q35.c`, `pc_q35_init`.
    Q35,
    /// `hw/i386/microvm.c`, `microvm_memory_init`.
    Microvm,
}

const FOUR_GIB: u64 = 1 << 32;
const MIB: u64 = 1 << 20;

/// Tells by the machine type, or without one by the blocks, which PC it is.
pub(super) fn family(machine: &str, blocks: &[RamBlock]) -> Option<Family> {
    let old = |v: &str| v.split('.').nth(1).and_then(|n| n.parse::<u32>().ok()).is_some_and(|minor| minor < 8);
    if machine.starts_with("pc-q35") || machine == "q35" {
        return Some(Family::Q35);
    }
    if let Some(version) = machine.strip_prefix("pc-i440fx-") {
        return Some(Family::I440fx { whole_gib: !(version.starts_with("1.") && old(version)) });
    }
    if machine.starts_with("pc-") || machine == "pc" || machine.starts_with("isapc") || machine.starts_with("xenfv") {
        // pc-0.10 to pc-1.3, and boards without versions
        return Some(Family::I440fx { whole_gib: machine == "pc" });
    }
    if machine.starts_with("microvm") {
        return Some(Family::Microvm);
    }
    (machine.is_empty() && blocks.iter().any(|b| b.name == "pc.ram")).then_some(Family::I440fx { whole_gib: true })
}

/// Returns the pieces of `total` bytes of main memory.
pub(super) fn spans(
    family: Family,
    machine: &str,
    total: u64,
    facts: &MapFacts,
    remarks: &mut Vec<String>,
) -> Result<Vec<Span>> {
    let low = table(family, total);
    let (low, why) = match facts.cmos.as_deref().and_then(|c| from_cmos(c, total)) {
        Some(said) => {
            if said != low.min(total) {
                remarks.push(format!(
                    "according to the RTC, memory below 4 GiB ends at {said:#x}; this is used instead of the machine's default {low:#x} (max-ram-below-4g)"
                ));
            }
            (said, "RTC")
        }
        None => {
            if total > low {
                let known =
                    if facts.cmos.is_some() { "the RTC's memory sizes do not add up" } else { "there is no RTC" };
                remarks.push(format!("{known}: memory is split at {low:#x}, the default of {machine}"));
            }
            (low, "table")
        }
    };
    let high = total.saturating_sub(low);
    let mut out = vec![Span { gpa: 0, offset: 0, bytes: total.min(low), why }];
    if high > 0 {
        // from 7.1 on, AMD guests that reach the HyperTransport hole at 1012 GiB have it above 1 TiB (pc_memory_init); the
        // vendor is not in the stream
        if FOUR_GIB.saturating_add(high) > 0xfd_0000_0000 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{machine} with {total:#x} bytes: memory above 4 GiB may begin at 4 GiB or at 1 TiB, and the stream does not record which"),
            )
            .hint(Remedy::ExtractBlocks));
        }
        out.push(Span { gpa: FOUR_GIB, offset: low, bytes: high, why });
    }
    Ok(out)
}

/// The end of memory below 4 GiB, unless `max-ram-below-4g` changes it.
fn table(family: Family, total: u64) -> u64 {
    match family {
        Family::I440fx { whole_gib: true } if total >= 0xe000_0000 => 0xc000_0000,
        Family::I440fx { .. } => 0xe000_0000,
        Family::Q35 if total >= 0xb000_0000 => 0x8000_0000,
        Family::Q35 => 0xb000_0000,
        Family::Microvm => 0xc000_0000,
    }
}

/// Reads the memory sizes that `pc_cmos_init` (`hw/i386/pc.c`) puts into the RTC: below 4 GiB in 0x34 and 0x35, as units
/// of 64 KiB above 16 MiB, or in 0x17 and 0x18 as KiB above 1 MiB; above 4 GiB in 0x5b to 0x5d, as units of 64 KiB.
///
/// A guest may overwrite them, so they count only when they add up to the length of main memory.
fn from_cmos(c: &[u8], total: u64) -> Option<u64> {
    let (below, above) = sizes(c)?;
    // the number of 24 bits counts modulo 1 TiB
    let high = total.checked_sub(below)?;
    (above == high & ((1 << 40) - 1)).then_some(below)
}

/// Returns the total size of main memory according to the RTC's CMOS memory.
pub(super) fn total_of_cmos(c: &[u8]) -> Option<u64> {
    let (below, above) = sizes(c)?;
    below.checked_add(above)
}

/// The sizes of memory below and above 4 GiB.
fn sizes(c: &[u8]) -> Option<(u64, u64)> {
    let byte = |i: usize| c.get(i).copied().map(u64::from);
    let word = |lo: usize, hi: usize| Some(byte(lo)? | byte(hi)? << 8);
    let above16 = word(0x34, 0x35)?;
    let below = if above16 > 0 { 16_u64.times(MIB).plus(above16 << 16) } else { MIB.plus(word(0x17, 0x18)? << 10) };
    Some((below, (word(0x5b, 0x5c)? | byte(0x5d)? << 16) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn low(machine: &str, total: u64) -> u64 {
        let f = family(machine, &[]).unwrap();
        spans(f, machine, total, &MapFacts::default(), &mut Vec::new()).unwrap()[0].bytes
    }

    #[test]
    fn memory_is_split_as_the_boards_split_it() {
        assert_eq!(low("pc-i440fx-11.1", 5 * GIB), 3 * GIB);
        assert_eq!(low("pc-i440fx-11.1", 0xdf00_0000), 0xdf00_0000);
        assert_eq!(low("pc-i440fx-1.7", 5 * GIB), 0xe000_0000);
        assert_eq!(low("pc-q35-10.0", 5 * GIB), 2 * GIB);
        assert_eq!(low("pc-q35-10.0", 0xa000_0000), 0xa000_0000);
        assert_eq!(low("microvm", 4 * GIB), 3 * GIB);
        assert_eq!(family("virt", &[]), None);
    }

    #[test]
    fn the_rtc_counts_when_it_adds_up() {
        let mut c = vec![0; 128];
        let below = 2 * GIB;
        c[0x34..0x36].copy_from_slice(&(((below - 16 * MIB) >> 16) as u16).to_le_bytes());
        c[0x5b..0x5d].copy_from_slice(&(((3 * GIB) >> 16) as u16).to_le_bytes());
        assert_eq!(from_cmos(&c, 5 * GIB), Some(2 * GIB));
        assert_eq!(from_cmos(&c, 6 * GIB), None);
        let mut small = vec![0; 128];
        small[0x17..0x19].copy_from_slice(&(((7 * MIB) >> 10) as u16).to_le_bytes());
        assert_eq!(from_cmos(&small, 8 * MIB), Some(8 * MIB));
    }

    #[test]
    fn the_rtc_of_a_small_machine_is_no_surprise() {
        let mut c = vec![0; 128];
        c[0x17..0x19].copy_from_slice(&(((7 * MIB) >> 10) as u16).to_le_bytes());
        let mut remarks = Vec::new();
        let facts = MapFacts { cmos: Some(c), ..MapFacts::default() };
        let s = spans(Family::Q35, "pc-q35-10.0", 8 * MIB, &facts, &mut remarks).unwrap();
        assert_eq!((s[0].bytes, remarks.len()), (8 * MIB, 0));
    }

    #[test]
    fn a_terabyte_is_refused_and_not_guessed() {
        let f = Family::Q35;
        assert!(spans(f, "pc-q35-10.0", 1 << 40, &MapFacts::default(), &mut Vec::new()).is_err());
    }
}
