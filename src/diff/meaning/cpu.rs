//! Registers of processors by their names.

use super::{Change, Meaning, bits, named};
use crate::decode::cpu;
use crate::offset::Sure;

/// The register that a field of a section `cpu` is.
pub fn register(m: &Meaning<'_>, c: &Change<'_>) -> Option<Vec<String>> {
    if m.idstr.rsplit('/').next() != Some("cpu") {
        return None;
    }
    let (before, after) = c.numbers()?;
    let r = cpu::register_of(m.roots?.1, c.path)?;
    let width = usize::try_from(c.after.range.len().times(2)).unwrap_or(16).min(16);
    let changed = if r.bits.is_empty() {
        format!("0x{before:0width$x} -> 0x{after:0width$x}")
    } else {
        bits(before, after, &named(r.bits))
    };
    Some(vec![format!("{}: {changed}", r.name)])
}
