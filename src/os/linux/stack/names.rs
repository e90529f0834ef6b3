//! Names of the places in code, those of modules too.

use crate::error::{ErrorKind, Result};
use crate::offset::Sure;
use crate::os::linux::guest::Guest;
use crate::os::linux::kernel::spans;
use crate::os::linux::modules::{self, Module};
use crate::text::Name;

/// Symbols of one module, and bytes of a symbol (`Elf64_Sym`).
const MAX_SYMBOLS: u64 = 1 << 18;
const SYMBOL: usize = 24;

/// A place in the kernel's code or data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The symbol.
    pub symbol: Name,
    /// Bytes after its start.
    pub offset: u64,
    /// The module, if it is in one.
    pub module: Option<Name>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.symbol)?;
        if self.offset > 0 {
            write!(f, "+{:#x}", self.offset)?;
        }
        match &self.module {
            Some(m) => write!(f, " [{m}]"),
            None => Ok(()),
        }
    }
}

/// Names of addresses.
#[derive(Debug)]
pub struct Names<'g> {
    guest: &'g Guest<'g>,
    modules: Vec<Module>,
}

impl<'g> Names<'g> {
    /// Reads the list of modules; without it the kernel's own names remain.
    ///
    /// # Errors
    /// `Io`.
    pub fn new<'a: 'g>(guest: &'g Guest<'a>) -> Result<Self> {
        let modules = match modules::modules(guest) {
            Ok(m) => m.list,
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(_) => Vec::new(),
        };
        Ok(Self { guest, modules })
    }

    pub(super) fn guest(&self) -> &'g Guest<'g> {
        self.guest
    }

    /// Returns the module that has an address.
    #[must_use]
    pub fn module(&self, address: u64) -> Option<&Module> {
        self.modules.iter().find(|m| m.parts.iter().any(|p| p.contains(&address)))
    }

    /// Returns the place of an address.
    ///
    /// # Errors
    /// `Io`.
    pub fn of(&self, address: u64) -> Result<Option<Place>> {
        let Some(m) = self.module(address) else {
            let inside = spans(self.guest.image(), address);
            let found = self.guest.symbols().before(address).filter(|_| inside);
            return Ok(found.map(|s| Place { symbol: s.name(), offset: address.minus(s.address), module: None }));
        };
        match symbol(self.guest, m, address) {
            Ok(Some((symbol, offset))) => Ok(Some(Place { symbol, offset, module: Some(m.name.clone()) })),
            Err(e) if e.kind() == ErrorKind::Io => Err(e),
            // without its symbols, a module is better than nothing
            _ => Ok(Some(Place {
                symbol: m.name.clone(),
                offset: address.wrapping_sub(m.base),
                module: Some(m.name.clone()),
            })),
        }
    }
}

/// Finds the last symbol of a module before an address.
fn symbol(guest: &Guest<'_>, m: &Module, address: u64) -> Result<Option<(Name, u64)>> {
    let table = guest.object("struct module", m.address)?.member("kallsyms")?.target()?;
    let number = |name: &str| table.member(name)?.number();
    let (at, names, count) = (number("symtab")?, number("strtab")?, number("num_symtab")?.min(MAX_SYMBOLS));
    let mut bytes = vec![0; usize::try_from(count).unwrap_or(0).times(SYMBOL)];
    let kernel = guest.kernel();
    kernel.read(at, &mut bytes)?;
    let mut best: Option<(u64, u64)> = None;
    for s in bytes.chunks_exact(SYMBOL) {
        let field = |at: usize, len: usize| kernel.number_in(s, at, len);
        let (name, place, value) = (field(0, 4), field(6, 2), field(8, 8));
        // 0 is an undefined symbol; mapping symbols have no meaning for people
        if place == 0 || name == 0 || value > address || best.is_some_and(|(v, _)| v >= value) {
            continue;
        }
        best = Some((value, name));
    }
    let Some((value, name)) = best else { return Ok(None) };
    let text = guest.text_at(names.wrapping_add(name), 512)?;
    Ok(Some((text, address.minus(value))))
}
