//! What shows that a table is the running kernel's, and in which form its addresses are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use super::super::kernel::Kernel;
use super::exports::{Exports, told};
use super::table::{Names, Parts, Places, Tokens, check_count, offsets};
use super::{Added, Form, How, Symbols};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

/// The start of the text at `linux_banner`.
const BANNER: &[u8] = b"Linux version ";
/// Symbols of VMCOREINFO that are compared; real ones have 10 to 40.
const MAX_TOLD: usize = 256;
/// Symbols that must have the addresses that VMCOREINFO gives, if nothing else is to show that a table that was searched for is read
/// rightly: the start of the code has several names, so that one alone may be another's.
const MIN_EQUAL: usize = 4;
/// Bytes before and after the code of a kernel in which its exports are looked for.
const AROUND: u64 = 8 << 20;
/// Symbols that have such a name; static variables of several files may share one.
const MAX_KNOWN: usize = 1 << 12;

/// What showed that the addresses of symbols are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// Symbols have the addresses that VMCOREINFO gives.
    Vmcoreinfo {
        /// How many do.
        equal: usize,
        /// How many are in both.
        of: usize,
    },
    /// The kernel's banner is at `linux_banner`, in the mapped image.
    Banner,
    /// So many exported functions have the same addresses in the table of exported symbols.
    Exports(usize),
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vmcoreinfo { equal, of } => {
                write!(f, "{equal} of {of} symbols that VMCOREINFO gives too have the same address there")
            }
            Self::Banner => f.write_str("the kernel's banner is where its symbol says"),
            Self::Exports(n) => write!(f, "{n} exported functions have the same addresses in the table of exports"),
        }
    }
}

/// Proves tables of one kernel.
pub(super) struct Prover<'k> {
    kernel: &'k Kernel<'k>,
    image: &'k [Range<u64>],
    told: HashMap<&'k str, u64>,
    /// What a part of the image exports, once it was searched for.
    exports: RefCell<(Range<u64>, Rc<Exports>)>,
}

impl<'k> Prover<'k> {
    pub(super) fn new(kernel: &'k Kernel<'k>, image: &'k [Range<u64>]) -> Self {
        let told = kernel.info().into_iter().flat_map(|i| i.symbols()).take(MAX_TOLD).collect();
        Self { kernel, image, told, exports: RefCell::default() }
    }

    /// Makes symbols of names and offsets in the form that is proved. Without VMCOREINFO, that is the one in which the kernel's
    /// banner or its exported functions are where their symbols say.
    ///
    /// # Errors
    /// `Corrupt` if no form is proved; `Missing` when the offsets are not in memory; `Io`.
    pub(super) fn symbols(&self, names: Names, at: Places, how: How) -> Result<Symbols> {
        let offsets = offsets(self.kernel, at.offsets, names.places.len() as u64)?;
        let lengths: Vec<usize> = self.told.keys().copied().chain([BANNER_SYMBOL]).map(str::len).collect();
        let mut banners = Vec::new();
        // the numbers of symbols that VMCOREINFO has too, with the addresses that it gives
        let mut known: Vec<(&str, usize, u64)> = Vec::new();
        names.of_lengths(&lengths, &mut |n, name| {
            if let Some(address) = self.told.get(name)
                && known.len() < MAX_KNOWN
            {
                known.push((name, n, *address));
            }
            if name == BANNER_SYMBOL && banners.len() < MAX_TOLD {
                banners.push(n);
            }
        });
        let address = |form: Form, n: usize| at.address(form, n, offsets.get(n).copied().unwrap_or(0));
        let mut forms = at.forms();
        let mut by_info = None;
        if !known.is_empty() {
            let (form, equal, of) = by_vmcoreinfo(&known, forms, &address)?;
            let proof = Proof::Vmcoreinfo { equal, of };
            if how == How::Keys || equal >= MIN_EQUAL {
                let entries = names.entries(at, form, &offsets);
                return Ok(Symbols::new(names.text, entries, (form, proof, how)));
            }
            let one = at.forms().iter().position(|f| *f == form).unwrap_or(0);
            forms = at.forms().get(one..=one).unwrap_or_default();
            by_info = Some(proof);
        }
        for form in forms {
            for n in &banners {
                if self.shows_banner(address(*form, *n))? {
                    let entries = names.entries(at, *form, &offsets);
                    let proof = by_info.unwrap_or(Proof::Banner);
                    return Ok(Symbols::new(names.text, entries, (*form, proof, how)));
                }
            }
        }
        if !banners.is_empty() {
            return Err(Error::new(ErrorKind::Corrupt, "the kernel's banner is not where its symbol says"));
        }
        // a table without variables
        let mut text = names.text.clone();
        for form in forms {
            let entries = names.entries(at, *form, &offsets);
            let symbols = Symbols::new(text, entries, (*form, Proof::Exports(0), how));
            if let Some((agree, _)) = self.exports(&symbols)?.agreeing(&symbols) {
                return Ok(Symbols { proof: by_info.unwrap_or(Proof::Exports(agree)), ..symbols });
            }
            text = symbols.text;
        }
        let what = "no exported function has the address in the table of symbols that it is exported with";
        Err(Error::new(ErrorKind::Corrupt, what))
    }

    /// Returns what the part of the image exports that has the code of a table: the exports are between the parts of the code, or near.
    fn exports(&self, symbols: &Symbols) -> Result<Rc<Exports>> {
        let within = |e: &&super::Entry| self.image.iter().any(|r| r.contains(&e.address));
        let first = symbols.entries.iter().find(within).map_or(0, |e| e.address);
        let last = symbols.entries.iter().rev().find(within).map_or(0, |e| e.address);
        let part = first.saturating_sub(AROUND)..last.saturating_add(AROUND);
        if self.exports.borrow().0 != part {
            let ranges = self.image.iter().map(|r| r.start.max(part.start)..r.end.min(part.end));
            let ranges: Vec<Range<u64>> = ranges.filter(|r| first > 0 && !r.is_empty()).collect();
            let found = Exports::search(self.kernel, &ranges)?;
            self.exports.replace((part, Rc::new(found)));
        }
        Ok(Rc::clone(&self.exports.borrow().1))
    }

    /// Adds variables to a table that has none (kernels without `CONFIG_KALLSYMS_ALL`).
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn add_variables(&self, symbols: &mut Symbols) -> Result<()> {
        if symbols.named("init_task").next().is_some() {
            return Ok(());
        }
        let exports = self.exports(symbols)?.agreeing(symbols).map(|(_, e)| e).unwrap_or_default();
        let table = symbols.len();
        symbols.add(&exports);
        let exported = symbols.len().minus(table);
        symbols.add(&told(self.kernel, self.image));
        let told = symbols.len().minus(table).minus(exported);
        symbols.added = Some(Added { exported, told });
        Ok(())
    }

    /// Reads the names of a table, and makes symbols of them.
    pub(super) fn read(&self, parts: &Parts, how: How) -> Result<Symbols> {
        check_count(parts.count)?;
        let tokens = Tokens::read(self.kernel, parts.token_table, parts.token_index)?;
        let names = Names::read(self.kernel, parts.names, parts.count, &tokens)?;
        self.symbols(names, parts.places, how)
    }

    fn shows_banner(&self, at: u64) -> Result<bool> {
        if !self.image.iter().any(|r| r.contains(&at)) {
            return Ok(false);
        }
        let mut text = [0; BANNER.len()];
        Ok(self.kernel.has(at, &mut text)? && text == *BANNER)
    }
}

const BANNER_SYMBOL: &str = "linux_banner";

/// Returns the form in which most symbols have the addresses that VMCOREINFO gives, how many do, and how many are in both. Several
/// symbols may share a name: one of them is enough.
fn by_vmcoreinfo(
    known: &[(&str, usize, u64)],
    forms: &[Form],
    address: &dyn Fn(Form, usize) -> u64,
) -> Result<(Form, usize, usize)> {
    let distinct = |names: &mut Vec<&str>| {
        names.sort_unstable();
        names.dedup();
        names.len()
    };
    let of = distinct(&mut known.iter().map(|k| k.0).collect());
    let equal = |form: Form| distinct(&mut known.iter().filter(|k| address(form, k.1) == k.2).map(|k| k.0).collect());
    let best = forms.iter().map(|f| (*f, equal(*f))).max_by_key(|(_, n)| *n);
    let (form, equal) = best.filter(|(_, n)| n.saturating_mul(2) > of).ok_or_else(|| {
        let equal = best.map_or(0, |b| b.1);
        let what = format!("only {equal} of {of} symbols have the addresses that VMCOREINFO gives");
        Error::new(ErrorKind::Corrupt, what.replacen("only 0 of", "none of", 1))
    })?;
    Ok((form, equal, of))
}
