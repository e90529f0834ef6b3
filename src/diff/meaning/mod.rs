//! What a change means, where a decoder knows.
//!
//! A table of readers; the first that knows the field explains the change. A reader gets both nodes and the path with
//! exact indices, and returns lines such as `command: bus-master off -> on`.

mod cpu;
mod device;
mod pci;

use crate::value::{Node, Value};

/// A change at one place.
#[non_exhaustive]
pub struct Change<'a> {
    /// The path from the section, with exact indices.
    pub path: &'a str,
    /// The value before.
    pub before: &'a Node,
    /// The value after.
    pub after: &'a Node,
    /// Which bytes of a buffer.
    pub bytes: Option<(usize, usize)>,
}

impl Change<'_> {
    /// Returns both numbers, where both sides are one.
    fn numbers(&self) -> Option<(u64, u64)> {
        let number = |n: &Node| match n.value {
            Value::Int(v) => Some(v.cast_unsigned()),
            _ => n.as_u64(),
        };
        Some((number(self.before)?, number(self.after)?))
    }

    /// Returns the path's last part: the name of the field, with the index.
    fn name(&self) -> &str {
        // names of processors' fields have dots themselves
        self.path.rsplit_once('>').map_or(self.path, |(_, n)| n)
    }
}

/// A section whose changes are asked for.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Meaning<'a> {
    /// The section's name.
    pub idstr: &'a str,
    /// The name of its vmsd.
    pub vmsd: &'a str,
    /// Its tree on either side.
    pub roots: Option<(&'a Node, &'a Node)>,
}

type Reader = fn(&Meaning<'_>, &Change<'_>) -> Option<Vec<String>>;

static READERS: &[Reader] = &[pci::config, pci::msix, device::virtio, cpu::register, device::clock, device::timer];

impl Meaning<'_> {
    /// Returns the meaning of a change; empty if no decoder knows the field.
    pub fn lines(&self, change: &Change<'_>) -> Vec<String> {
        READERS.iter().find_map(|r| r(self, change)).unwrap_or_default()
    }
}

/// Returns the names of the bits set and cleared; bits without a name are given by number.
fn bits(before: u64, after: u64, name: &dyn Fn(u32) -> Option<&'static str>) -> String {
    let changed = before ^ after;
    let one = |bit: u32| {
        let sign = if after.wrapping_shr(bit) & 1 != 0 { '+' } else { '-' };
        match name(bit) {
            Some(n) => format!("{sign}{n}"),
            None => format!("{sign}bit {bit}"),
        }
    };
    let all: Vec<String> = (0..64).filter(|b| changed.wrapping_shr(*b) & 1 != 0).map(one).collect();
    all.join(" ")
}

/// Returns a lookup in a table of bits.
fn named(table: &'static [(u32, &'static str)]) -> impl Fn(u32) -> Option<&'static str> {
    move |bit| table.iter().find(|(b, _)| *b == bit).map(|(_, n)| *n)
}

/// Returns a time in seconds.
fn seconds(ns: u128) -> String {
    format!("{}.{:06} s", ns / 1_000_000_000, ns / 1000 % 1_000_000)
}
