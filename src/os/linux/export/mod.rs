//! Symbols and types of a guest in files for other tools.

mod elf;
mod isf;
mod json;
mod system_map;

pub use elf::write as write_elf;
pub use isf::write as write_isf;
pub use system_map::write as write_system_map;

use super::guest::Guest;
use super::info::Machine;
use super::kallsyms::{Symbol, Symbols};
use super::kernel::Kernel;

/// The address for which x86-64 kernels are linked, unless their configuration has another one (`CONFIG_PHYSICAL_START`).
const X86_TEXT: u64 = 0xffff_ffff_8100_0000;

/// How addresses are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Addresses {
    /// As in the running kernel.
    #[default]
    Running,
    /// As the kernel was linked, before KASLR moved it.
    Linked,
}

/// How far KASLR moved the kernel's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shift {
    /// The distance.
    pub bytes: u64,
    /// The first address of the image; lower ones, such as those of per-CPU variables, are not moved.
    pub from: u64,
}

impl Shift {
    /// Returns how far the kernel of a guest was moved.
    #[must_use]
    pub fn of(kernel: &Kernel<'_>, symbols: &Symbols) -> Self {
        let info = kernel.info();
        let named = |name: &str| symbols.named(name).next().map(|s| s.address);
        let start = named("_text").or_else(|| named("_stext")).or_else(|| info?.symbol("_stext"));
        let bytes = info.and_then(|i| i.hex("KERNELOFFSET")).or_else(|| match kernel.machine() {
            Machine::X86_64 => start?.checked_sub(X86_TEXT),
            _ => None,
        });
        // the image of a kernel without `_text` among its symbols begins a little before `_stext`
        Self { bytes: bytes.unwrap_or(0), from: start.unwrap_or(0) & !0xffff }
    }

    /// Returns an address as it was before KASLR.
    #[must_use]
    pub fn linked(&self, address: u64) -> u64 {
        if address >= self.from { address.wrapping_sub(self.bytes) } else { address }
    }

    /// Returns an address in one of the forms.
    #[must_use]
    pub fn address(&self, address: u64, how: Addresses) -> u64 {
        match how {
            Addresses::Running => address,
            Addresses::Linked => self.linked(address),
        }
    }
}

/// Where the kernel has code: the letters of its symbols are not enough, since kernels such as 7.2 list `init_task` as `T`.
struct Code {
    /// Data begins there.
    end: u64,
    /// Code that runs at boot is in the middle of data.
    boot: std::ops::Range<u64>,
}

impl Code {
    fn of(guest: &Guest<'_>) -> Self {
        let named = |name: &str| guest.symbols().named(name).next().map(|s| s.address);
        let boot = named("_sinittext").zip(named("_einittext"));
        let (start, end) = boot.unwrap_or((0, 0));
        // without these symbols the letters are all that there is
        Self { end: boot.and(named("_etext")).unwrap_or(u64::MAX), boot: start..end }
    }

    fn has(&self, s: &Symbol<'_>) -> bool {
        let is_place = s.address < self.end || self.boot.contains(&s.address);
        is_place && matches!(s.kind, 't' | 'T' | 'w' | 'W' | 'i')
    }
}
