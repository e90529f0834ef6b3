//! PCI configuration space, register by register, and the MSI-X table.

use super::{Change, Meaning, bits, named};
use crate::decode::pci::register;
use crate::offset::Sure;

/// Registers of one range that are named; the range of a device that was plugged in has all of them.
const MAX_REGISTERS: usize = 12;

/// The registers that a range of configuration space touches.
pub fn config(_: &Meaning<'_>, c: &Change<'_>) -> Option<Vec<String>> {
    if c.before.ty.exact() != "pci config" {
        return None;
    }
    let (from, to) = c.bytes?;
    let (a, b) = (c.before.as_bytes()?, c.after.as_bytes()?);
    let mut out = Vec::new();
    let mut at = from;
    while at < to && out.len() < MAX_REGISTERS {
        let r = register(b, at);
        let end = r.offset.plus(r.bytes);
        let (x, y) = (little(a, r.offset, r.bytes), little(b, r.offset, r.bytes));
        if x != y {
            let width = r.bytes.times(2);
            let names = if r.bits.is_empty() { String::new() } else { format!(" ({})", bits(x, y, &named(r.bits))) };
            out.push(format!("{}: 0x{x:0width$x} -> 0x{y:0width$x}{names}", r.name));
        }
        at = end.max(at.plus(1));
    }
    Some(out)
}

fn little(bytes: &[u8], at: usize, n: usize) -> u64 {
    let piece = bytes.get(at..).and_then(|b| b.get(..n.min(8))).unwrap_or_default();
    piece.iter().rev().fold(0, |v, b| v.wrapping_shl(8) | u64::from(*b))
}

/// Entries of the MSI-X table: sixteen bytes each.
pub fn msix(_: &Meaning<'_>, c: &Change<'_>) -> Option<Vec<String>> {
    let pending = c.path.ends_with("msix_pba");
    if !pending && !c.path.ends_with("msix_table") {
        return None;
    }
    let (from, to) = c.bytes?;
    let (a, b) = (c.before.as_bytes()?, c.after.as_bytes()?);
    if pending {
        return Some(vec![format!("pending bits of the vectors from {} on", from.times(8))]);
    }
    let mut out = Vec::new();
    for n in (from / 16)..=(to.minus(1) / 16) {
        let at = n.times(16);
        for (name, offset, len) in [("address", 0, 8), ("data", 8, 4), ("control", 12, 4)] {
            let at = at.plus(offset);
            let (x, y) = (little(a, at, len), little(b, at, len));
            if x == y || out.len() >= MAX_REGISTERS {
                continue;
            }
            let words = match (name, x & 1, y & 1) {
                ("control", 0, 1) => " (masked)",
                ("control", 1, 0) => " (not masked)",
                _ => "",
            };
            out.push(format!("MSI-X vector {n}, {name}: {x:#x} -> {y:#x}{words}"));
        }
    }
    Some(out)
}
