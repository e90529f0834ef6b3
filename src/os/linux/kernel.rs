//! A kernel in memory, read at its own addresses.

use super::address::{Rule, image_address};
use super::info::{Info, Machine};
use super::vmcoreinfo::Found;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::Gpa;
use crate::paging::{AddressSpace, RiscvMode, X86Mode};

/// A kernel in memory, whose structures are read at its own addresses.
pub struct Kernel<'a> {
    mem: &'a dyn PhysicalMemory,
    info: &'a Info,
    big_endian: bool,
    machine: Machine,
    rule: Option<Rule>,
    /// The kernel's page tables, for what is outside of its image.
    space: Option<AddressSpace>,
}

impl<'a> Kernel<'a> {
    /// Creates a reader of the kernel's memory.
    #[must_use]
    pub fn new(mem: &'a dyn PhysicalMemory, found: &'a Found) -> Self {
        let info = &found.info;
        let (machine, rule, space) = (info.machine(), Rule::of(info), space(info));
        Self { mem, info, big_endian: found.big_endian, machine, rule, space }
    }

    /// Returns the VMCOREINFO of the kernel.
    #[must_use]
    pub fn info(&self) -> &'a Info {
        self.info
    }

    /// Returns the memory in which the kernel is.
    #[must_use]
    pub fn memory(&self) -> &'a dyn PhysicalMemory {
        self.mem
    }

    /// Returns the architecture.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Reads the kernel's memory by page tables of IBM Z, whose address-space-control element is given.
    pub(super) fn use_asce(&mut self, asce: u64) {
        self.space = Some(AddressSpace::s390x_asce(asce, true));
    }

    /// Returns a number that VMCOREINFO gives.
    #[must_use]
    pub fn number_of(&self, name: &str) -> Option<u64> {
        self.info.number(name)
    }

    /// Returns whether the kernel has the upper half of all addresses.
    #[must_use]
    pub fn has_high_addresses(&self) -> bool {
        !matches!(self.machine, Machine::S390x | Machine::I386)
    }

    /// Returns where an address of the kernel is in guest-physical memory.
    ///
    /// # Errors
    /// `Missing` when the address is not mapped; `Unsupported` if the addresses of this kernel cannot be translated; `Io`.
    pub fn physical(&self, address: u64) -> Result<Gpa> {
        let image = self.rule.and_then(|r| r.address(address));
        match (&self.space, image) {
            (Some(space), at) if at.is_none() || self.machine != Machine::X86_64 => {
                Ok(space.translate(self.mem, address)?.address)
            }
            (_, Some(at)) => Ok(at),
            _ => {
                let what = format!("the kernel address {address:#x} cannot be translated on this architecture");
                Err(Error::new(ErrorKind::Unsupported, what))
            }
        }
    }

    /// Returns the address space of a process by the kernel's address of its root table.
    ///
    /// # Errors
    /// Those of [`Kernel::physical`]; `Unsupported` for an architecture whose processes cannot be read.
    pub fn user_space(&self, root: u64) -> Result<AddressSpace> {
        let root = self.physical(root)?;
        match (self.machine, &self.space) {
            (Machine::X86_64 | Machine::Arm64 | Machine::Riscv64, Some(space)) => space.of_process(root),
            _ => Err(Error::new(ErrorKind::Unsupported, "the memory of processes of this architecture cannot be read")),
        }
    }

    /// Returns whether the kernel is big-endian.
    #[must_use]
    pub fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Reads the kernel's memory.
    ///
    /// # Errors
    /// `Missing` when the address is not mapped, or the page is not in the stream; `Unsupported` if the addresses of this kernel cannot be
    /// translated; `Io`.
    pub fn read(&self, address: u64, buf: &mut [u8]) -> Result<()> {
        let image = self.rule.and_then(|r| r.address(address));
        // on x86-64 the rule is for the image alone; elsewhere it takes any address, so that page tables are better
        match (&self.space, image) {
            (Some(space), at) if at.is_none() || self.machine != Machine::X86_64 => space.read(self.mem, address, buf),
            (_, Some(at)) => self.mem.read(at, buf).map_err(|e| e.within(format!("kernel address {address:#x}"))),
            _ => {
                let what = format!("the kernel address {address:#x} cannot be translated on this architecture");
                Err(Error::new(ErrorKind::Unsupported, what))
            }
        }
    }

    /// Reads a number of 1, 2, 4 or 8 bytes.
    ///
    /// # Errors
    /// Same as [`Kernel::read`].
    pub fn number(&self, address: u64, bytes: usize) -> Result<u64> {
        let mut buf = vec![0; bytes.min(8)];
        self.read(address, &mut buf)?;
        Ok(self.number_in(&buf, 0, bytes))
    }

    /// Returns a number of bytes that were read; 0 beyond their end.
    #[must_use]
    pub fn number_in(&self, bytes: &[u8], at: usize, len: usize) -> u64 {
        let field = at.checked_add(len.min(8)).and_then(|end| bytes.get(at..end)).unwrap_or_default();
        let add = |n: u64, b: &u8| n << 8 | u64::from(*b);
        if self.big_endian { field.iter().fold(0, add) } else { field.iter().rev().fold(0, add) }
    }
}

/// Returns the kernel's own page tables, of which the root is in its image.
fn space(info: &Info) -> Option<AddressSpace> {
    let root = info.symbol("swapper_pg_dir").and_then(|a| image_address(info, a))?;
    match info.machine() {
        Machine::X86_64 => {
            let five = info.number("pgtable_l5_enabled").is_some_and(|n| n != 0);
            let mode = if five { X86Mode::Level5 } else { X86Mode::Level4 };
            Some(AddressSpace::x86(Some(mode), root.0, info.number("sme_mask").unwrap_or(0)))
        }
        Machine::Arm64 => {
            let size = info.number("TCR_EL1_T1SZ").filter(|n| *n != 0).and_then(|n| 64_u64.checked_sub(n));
            let bits = size.or_else(|| info.number("VA_BITS"))?;
            AddressSpace::arm64_upper(root.0, bits, info.get("PAGESIZE")?.parse().ok()?).ok()
        }
        Machine::Riscv64 => {
            let mode = match info.number("VA_BITS")? {
                39 => RiscvMode::Sv39,
                48 => RiscvMode::Sv48,
                57 => RiscvMode::Sv57,
                _ => return None,
            };
            Some(AddressSpace::riscv(Some(mode), root.0 >> 12))
        }
        _ => None,
    }
}
