//! What a walk works on, and what it returns.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::offset::Gpa;

/// One level of a tree of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Its name in the architecture's manual.
    pub name: &'static str,
    /// The lowest bit of the address that its index takes.
    pub shift: u32,
    /// How many bits the index has.
    pub bits: u32,
}

impl Level {
    /// Returns the index of an address.
    pub fn index(&self, address: u64) -> u64 {
        address.checked_shr(self.shift).unwrap_or(0) & mask(self.bits)
    }
}

/// What the bits of entries mean in one mode of an architecture.
pub(super) trait Entries: fmt::Debug + Send + Sync {
    /// Reads an entry of a table of this level.
    fn read(&self, level: &Level, value: u64) -> Entry;
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing is mapped, for this reason.
    Absent(&'static str),
    /// A table of the next level, which has entries for these indices.
    Table { at: u64, first: u64, last: u64 },
    /// A page or a block of `1 << shift` bytes.
    Page { at: u64, shift: u32 },
}

impl Entry {
    /// A table with entries for all indices.
    pub const fn table(at: u64) -> Self {
        Self::Table { at, first: 0, last: u64::MAX }
    }
}

/// A tree of tables, and the addresses that it translates.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The register that has its root.
    pub register: &'static str,
    /// The lowest and the highest address.
    pub low: u64,
    pub high: u64,
    /// The root, and the indices for which it has entries.
    pub root: u64,
    pub first: u64,
    pub last: u64,
    /// The levels, the root's first.
    pub levels: Vec<Level>,
    pub entry_bytes: u64,
    pub big_endian: bool,
    pub entries: Arc<dyn Entries>,
}

/// One step of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The name of the table's level.
    pub level: &'static str,
    /// The guest-physical address of the entry.
    pub at: Gpa,
    /// The entry.
    pub value: u64,
    /// What it means.
    pub meaning: Meaning,
}

/// What an entry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// The table of the next level is here.
    Table(Gpa),
    /// A page or block of this size is here.
    Page(Gpa, u64),
    /// Nothing is mapped, for this reason.
    Absent(&'static str),
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(at) => write!(f, "table at {at}"),
            Self::Page(at, bytes) => write!(f, "{} page at {at}", size(*bytes)),
            Self::Absent(why) => f.write_str(why),
        }
    }
}

/// Returns the size of a page with its unit.
fn size(bytes: u64) -> String {
    match bytes {
        n if n >= 1 << 40 && n.is_multiple_of(1 << 40) => format!("{} TiB", n >> 40),
        n if n >= 1 << 30 && n.is_multiple_of(1 << 30) => format!("{} GiB", n >> 30),
        n if n >= 1 << 20 && n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        n => format!("{} KiB", n >> 10),
    }
}

/// Where a virtual address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Translation {
    /// The guest-physical address.
    pub address: Gpa,
    /// The size of the page that it is in; `None` if the processor does not use page tables.
    pub page: Option<u64>,
    /// How many bytes from the address on are next to each other in both memories.
    pub left: u64,
}

/// A walk, whether it found a page or not.
#[derive(Debug)]
#[non_exhaustive]
pub struct Walk {
    /// The steps, from the root on.
    pub steps: Vec<Step>,
    /// For how many bytes from the address on the outcome is the same; never 0.
    pub same: u64,
    /// The result.
    pub outcome: Result<Translation>,
}

/// Returns a number with the lowest `bits` bits set.
pub(super) fn mask(bits: u32) -> u64 {
    1_u64.checked_shl(bits).map_or(u64::MAX, |b| b.wrapping_sub(1))
}

/// Returns a field of a number: `bits` bits from bit `from` on.
pub(super) fn field(value: u64, from: u32, bits: u32) -> u64 {
    value.checked_shr(from).unwrap_or(0) & mask(bits)
}

/// Returns whether a bit is set.
pub(super) fn bit(value: u64, n: u32) -> bool {
    field(value, n, 1) == 1
}
