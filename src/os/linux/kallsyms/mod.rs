//! The kernel's own symbol table (`kernel/kallsyms.c`, written by `scripts/kallsyms.c`).
//!
//! Names are sequences of tokens; a table has the text of each of the 256 tokens. Addresses are 32-bit offsets in one of three
//! forms. The form is not recorded: it is the one in which symbols have the addresses that VMCOREINFO gives.

mod before;
mod exports;
mod keys;
#[cfg(test)]
pub(super) mod made;
mod proof;
mod scan;
#[cfg(test)]
mod searched;
mod table;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::OnceLock;

pub use proof::Proof;

use super::kernel::Kernel;
use crate::error::{ErrorKind, Result};
use crate::offset::Sure;
use crate::text::Name;
use exports::Export;

/// Bytes of what a symbol is the name of.
const MAX_SIZE: u64 = 64 << 20;

/// How a table was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// VMCOREINFO has its place.
    Keys,
    /// A search of the kernel's image, as it is mapped.
    Search,
}

/// How the offsets become addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Relative to a base, but per-CPU symbols as they are (x86 up to 6.14): a negative number counts down from the base.
    AbsolutePerCpu,
    /// Relative to a base.
    Relative,
    /// Relative to the place of the offset (7.0 and later).
    PlaceRelative,
}

/// A symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Symbol<'a> {
    /// Its address; a small number for a per-CPU symbol of x86.
    pub address: u64,
    /// Its type, as `nm` prints it: `T` for code, `D` for data.
    pub kind: char,
    /// Whether the table does not have it: it is exported to modules, or VMCOREINFO has it.
    pub exported: bool,
    name: &'a str,
}

impl<'a> Symbol<'a> {
    /// Returns the name; it is text of the guest.
    #[must_use]
    pub fn name(&self) -> Name {
        self.name.into()
    }

    /// Returns the exact name, to compare it.
    #[must_use]
    pub fn exact(&self) -> &'a str {
        self.name
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    /// Where the name is in the text, with the type before it.
    at: u32,
    len: u32,
    /// Whether it is not in the table, but known from elsewhere.
    exported: bool,
}

/// The symbols of a kernel.
#[derive(Debug)]
pub struct Symbols {
    text: String,
    /// By address.
    entries: Vec<Entry>,
    form: Form,
    proof: Proof,
    how: How,
    added: Option<Added>,
    by_name: OnceLock<ByName>,
}

/// How many symbols come from elsewhere, for a table without variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Added {
    /// From the table of symbols that are exported to modules.
    pub exported: usize,
    /// From VMCOREINFO.
    pub told: usize,
}

/// Numbers of entries by their names: the first of each chain, and the next after each entry. The hash has a secret, for
/// names come from the guest.
#[derive(Debug)]
struct ByName {
    hash: RandomState,
    first: Vec<u32>,
    next: Vec<u32>,
}

/// The end of a chain.
const NONE: u32 = u32::MAX;

impl Symbols {
    /// Reads the table of a kernel: where VMCOREINFO says it is (6.0 and later), or where a search of the image finds it. `image`
    /// is [`Kernel::image`]: only what is mapped is searched.
    ///
    /// # Errors
    /// `Missing` if there is none; `Corrupt` for a table that contradicts itself or what is in memory; `Io`.
    pub fn read(kernel: &Kernel<'_>, image: &[Range<u64>]) -> Result<Self> {
        let prover = proof::Prover::new(kernel, image);
        let by_keys = keys::parts(kernel).and_then(|parts| prover.read(&parts, How::Keys));
        let mut symbols = match by_keys {
            Ok(symbols) => symbols,
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(by_keys) => match scan::find(kernel, image, &prover) {
                Ok(symbols) => symbols,
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                // what VMCOREINFO says is wrong: that is the better reason
                Err(_) if by_keys.kind() == ErrorKind::Corrupt => return Err(by_keys.within("kallsyms")),
                Err(e) => return Err(e.within("kallsyms")),
            },
        };
        prover.add_variables(&mut symbols)?;
        Ok(symbols)
    }

    /// Creates symbols; each name has its type before it.
    fn new(text: String, mut entries: Vec<Entry>, (form, proof, how): (Form, Proof, How)) -> Self {
        entries.sort_by_key(|e| e.address);
        Self { text, entries, form, proof, how, added: None, by_name: OnceLock::new() }
    }

    /// Adds symbols that the table does not have.
    fn add(&mut self, exports: &[Export]) {
        let new: Vec<&Export> = exports.iter().filter(|e| self.named(&e.name).next().is_none()).collect();
        for e in new {
            let fit = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let at = fit(self.text.len());
            self.text.push(e.kind);
            self.text.push_str(&e.name);
            let len = fit(e.name.len().plus(1));
            self.entries.push(Entry { address: e.address, at, len, exported: true });
        }
        self.entries.sort_by_key(|e| e.address);
        self.by_name = OnceLock::new();
    }

    /// Returns how the table was found.
    #[must_use]
    pub fn how(&self) -> How {
        self.how
    }

    /// Returns how many symbols come from elsewhere; `None` if the table has variables itself.
    #[must_use]
    pub fn added(&self) -> Option<Added> {
        self.added
    }

    /// Returns the number of symbols.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the form of addresses.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Returns what showed that the addresses are right.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Returns all symbols by address.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.entries.iter().filter_map(|e| self.symbol(e))
    }

    /// Returns the symbols of a name, by address: static functions of several files may share one.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Symbol<'a>> {
        let names = self.by_name.get_or_init(|| ByName::new(self));
        let first = names.bucket(name).and_then(|b| names.first.get(b)).copied();
        let mut chain = first.unwrap_or(NONE);
        std::iter::from_fn(move || {
            let here = (chain != NONE).then_some(chain)?;
            chain = usize::try_from(here).ok().and_then(|n| names.next.get(n)).copied().unwrap_or(NONE);
            Some(here)
        })
        .filter_map(|n| self.at(n))
        .filter(move |s| s.name == name)
    }

    fn at(&self, n: u32) -> Option<Symbol<'_>> {
        self.symbol(self.entries.get(usize::try_from(n).ok()?)?)
    }

    /// Returns the last symbol at or before an address, unless the address is too far away to be one of the kernel's, or per-CPU, which an
    /// address of a user's process may look like.
    #[must_use]
    pub fn before(&self, address: u64) -> Option<Symbol<'_>> {
        let next = self.entries.partition_point(|e| e.address <= address);
        let entry = self.entries.get(next.checked_sub(1)?)?;
        // of several names for one address, the table has the best one first
        let first = self.entries.partition_point(|e| e.address < entry.address);
        let entry = self.entries.get(first)?;
        let per_cpu = self.form == Form::AbsolutePerCpu && u32::try_from(entry.address).is_ok();
        self.symbol(entry).filter(|s| !per_cpu && address.minus(s.address) < MAX_SIZE)
    }

    fn symbol(&self, e: &Entry) -> Option<Symbol<'_>> {
        let at = usize::try_from(e.at).ok()?;
        let whole = self.text.get(at..at.checked_add(usize::try_from(e.len).ok()?)?)?;
        let kind = whole.chars().next()?;
        Some(Symbol { address: e.address, kind, exported: e.exported, name: whole.get(kind.len_utf8()..)? })
    }
}

impl ByName {
    fn new(symbols: &Symbols) -> Self {
        let count = symbols.entries.len();
        let buckets = count.checked_next_power_of_two().unwrap_or(1);
        let mut names = Self { hash: RandomState::new(), first: vec![NONE; buckets], next: vec![NONE; count] };
        // the last is put in first, so that chains are in the order of addresses
        for (n, entry) in symbols.entries.iter().enumerate().rev() {
            let Ok(n) = u32::try_from(n) else { continue };
            let bucket = symbols.symbol(entry).and_then(|s| names.bucket(s.name));
            let Some(first) = bucket.and_then(|b| names.first.get_mut(b)) else { continue };
            let after = std::mem::replace(first, n);
            if let Some(next) = usize::try_from(n).ok().and_then(|n| names.next.get_mut(n)) {
                *next = after;
            }
        }
        names
    }

    fn bucket(&self, name: &str) -> Option<usize> {
        let mask = self.first.len().checked_sub(1)? as u64;
        usize::try_from(self.hash.hash_one(name) & mask).ok()
    }
}
