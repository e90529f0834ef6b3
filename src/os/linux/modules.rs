//! Loaded modules (`include/linux/module.h`).

use super::guest::Guest;
use super::guest::Object;
use crate::error::{Error, ErrorKind, Result};
use crate::text::Name;

/// Modules of a guest, and users of a module.
const MAX_MODULES: usize = 1 << 16;
/// Kinds of memory that a module may have (`enum mod_mem_type`).
const MAX_PARTS: u64 = 16;

/// A loaded module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Module {
    /// The address of its `struct module`.
    pub address: u64,
    /// The name.
    pub name: Name,
    /// Bytes of memory.
    pub bytes: u64,
    /// Where its code is.
    pub base: u64,
    /// How often it is used; `None` if it cannot be unloaded.
    pub references: Option<u64>,
    /// The modules that use it.
    pub users: Vec<Name>,
    /// `live`, `loading`, `unloading` or `unformed`.
    pub state: &'static str,
    /// What it taints the kernel with, as bits.
    pub taints: u64,
    /// Where its code and data are.
    pub parts: Vec<std::ops::Range<u64>>,
}

/// The modules of a guest.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Modules {
    /// The modules, the one that was loaded last comes first.
    pub list: Vec<Module>,
    /// What could not be read.
    pub problems: Vec<Error>,
}

/// Lists the modules.
///
/// # Errors
/// `Missing` and `Unsupported` if the list cannot be found; `Io`. A module that cannot be read is a problem of the result.
pub fn modules(guest: &Guest<'_>) -> Result<Modules> {
    let mut out = Modules::default();
    for m in head(guest)?.list("module", "list", MAX_MODULES) {
        let read = m.and_then(|m| read(&m).map_err(|e| e.within(format!("module at {:#x}", m.address()))));
        match read {
            Ok(m) => out.list.push(m),
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(e) => out.problems.push(e.within("list of modules")),
        }
    }
    Ok(out)
}

/// Returns the head of the list.
fn head<'g>(guest: &'g Guest<'_>) -> Result<Object<'g>> {
    match guest.variable("modules") {
        Err(e) if e.kind() == ErrorKind::Missing => super::search::modules(guest, &parts_hold),
        found => found,
    }
}

fn read(m: &Object<'_>) -> Result<Module> {
    let mut users = Vec::new();
    if let Ok(list) = m.member("source_list") {
        for u in list.list("module_use", "source_list", MAX_MODULES) {
            users.push(u?.path("source.name")?.text()?);
        }
    }
    let parts = parts(m)?;
    let size = |r: &std::ops::Range<u64>| r.end.checked_sub(r.start);
    let bytes = parts.iter().try_fold(0_u64, |n, r| n.checked_add(size(r)?));
    let bytes = bytes
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "expected the size of a module, found one that is too large"))?;
    Ok(Module {
        address: m.address(),
        name: m.member("name")?.text()?,
        bytes,
        base: parts.first().map_or(0, |p| p.start),
        // the kernel holds one reference itself; a module without an exit function has no count that means anything
        references: m.member("refcnt").and_then(|r| r.number()).ok().map(|n| n.saturating_sub(1)),
        users,
        state: match m.member("state")?.number()? {
            0 => "live",
            1 => "loading",
            2 => "unloading",
            _ => "unformed",
        },
        taints: m.member("taints").and_then(|t| t.number()).unwrap_or(0),
        parts,
    })
}

/// Returns the memory of a module, its code first.
fn parts(m: &Object<'_>) -> Result<Vec<std::ops::Range<u64>>> {
    let part = |o: &Object<'_>| -> Result<std::ops::Range<u64>> {
        let (base, size) = (o.member("base")?.number()?, o.member("size")?.number()?);
        let end = base.checked_add(size);
        end.map(|end| base..end).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "expected memory of a module, found an end beyond all addresses")
        })
    };
    // since 6.4 there are some kinds of memory, before there were two
    let mut out = Vec::new();
    if let Ok(all) = m.member("mem") {
        let count = all.size().zip(all.element(0)?.size()).and_then(|(a, one)| a.checked_div(one)).unwrap_or(0);
        for n in 0..count.min(MAX_PARTS) {
            out.push(part(&all.element(n)?)?);
        }
    } else {
        out.push(part(&m.member("core_layout")?)?);
        out.push(part(&m.member("init_layout")?)?);
    }
    out.retain(|r| !r.is_empty());
    Ok(out)
}

/// Returns whether the structure of a module is in the memory of the same module.
fn parts_hold(m: &Object<'_>) -> bool {
    parts(m).is_ok_and(|parts| parts.iter().any(|p| p.contains(&m.address())))
}
