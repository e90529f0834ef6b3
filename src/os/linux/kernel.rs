//! A kernel in memory, read at its own addresses.

use std::ops::{Range, RangeInclusive};

use super::address::{Rule, image_address};
use super::info::{Info, Machine};
use super::vmcoreinfo::Found;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};
use crate::paging::{AddressSpace, RiscvMode, X86Mode};

/// Where x86-64 maps the image: 1 GiB.
const X86_IMAGE: RangeInclusive<u64> = 0xffff_ffff_8000_0000..=0xffff_ffff_bfff_ffff;
/// Bytes after the start of an image that are looked at, on other architectures.
const MAX_IMAGE: u64 = 128 << 20;
/// What of an image is looked at: bytes, ranges and page tables.
const MAX_MAPPED: u64 = 1 << 30;
const MAX_RANGES: usize = 1 << 12;
const MAX_TABLES: u64 = 1 << 12;

/// Returns whether an address is between the first and the last byte of an image: the code that only the boot needed is not mapped any
/// more, and still is the kernel's.
#[must_use]
pub fn spans(image: &[Range<u64>], address: u64) -> bool {
    image.first().zip(image.last()).is_some_and(|(first, last)| (first.start..last.end).contains(&address))
}

/// A kernel in memory, whose structures are read at its own addresses.
pub struct Kernel<'a> {
    mem: &'a dyn PhysicalMemory,
    info: Option<Info>,
    big_endian: bool,
    machine: Machine,
    rule: Option<Rule>,
    /// The kernel's page tables, for what is outside of its image.
    space: Option<AddressSpace>,
    /// An address in the kernel's image.
    around: Option<u64>,
}

impl<'a> Kernel<'a> {
    /// Creates a reader of the kernel's memory.
    #[must_use]
    pub fn new(mem: &'a dyn PhysicalMemory, found: &Found) -> Self {
        let info = &found.info;
        let (machine, rule) = (info.machine(), Rule::of(info));
        let space = if machine == Machine::S390x { s390x_space(mem, info) } else { space(info) };
        Self {
            mem,
            info: Some(info.clone()),
            big_endian: found.big_endian,
            machine,
            rule,
            space,
            around: info.symbol("_stext"),
        }
    }

    /// Creates a reader of a kernel that a processor runs, by the processor's page tables; `pc` is an address in its code.
    #[must_use]
    pub fn of_processor(mem: &'a dyn PhysicalMemory, machine: Machine, space: AddressSpace, pc: u64) -> Self {
        let big_endian = machine == Machine::S390x;
        Self { mem, info: None, big_endian, machine, rule: None, space: Some(space), around: Some(pc) }
    }

    /// Returns the VMCOREINFO of the kernel, if it was found by it.
    #[must_use]
    pub fn info(&self) -> Option<&Info> {
        self.info.as_ref()
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
        self.info.as_ref()?.number(name)
    }

    /// Returns the bytes of a pointer.
    #[must_use]
    pub fn word(&self) -> u64 {
        if self.machine == Machine::I386 { 4 } else { 8 }
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

    /// Returns where the kernel's image is, as it is mapped. A copy of it elsewhere in memory is not among these ranges.
    ///
    /// # Errors
    /// `Io`.
    pub fn image(&self) -> Result<Vec<Range<u64>>> {
        let window = match (self.machine, self.around) {
            (Machine::X86_64, _) => X86_IMAGE,
            // the image is contiguous, and begins a little before its code
            (_, Some(at)) if self.info.is_some() => (at & !0x1f_ffff)..=at.saturating_add(MAX_IMAGE),
            (_, Some(at)) => at.saturating_sub(MAX_IMAGE)..=at.saturating_add(MAX_IMAGE),
            _ => return Ok(Vec::new()),
        };
        let Some(space) = self.space.as_ref().filter(|s| !s.is_identity()) else {
            let whole = *window.start()..window.end().saturating_add(1);
            return Ok(std::iter::once(whole).collect());
        };
        let mut out: Vec<Range<u64>> = Vec::new();
        let mut bytes = 0_u64;
        space.mapped(self.mem, window, MAX_TABLES, &mut |m| {
            let end = m.virt.saturating_add(m.bytes);
            bytes.tally(m.bytes.min(MAX_MAPPED));
            let room = bytes <= MAX_MAPPED && out.len() < MAX_RANGES;
            match out.last_mut().filter(|r| r.end == m.virt) {
                Some(last) => last.end = end,
                None if room => out.push(m.virt..end),
                None => {}
            }
            Ok(())
        })?;
        Ok(out)
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

    /// Reads memory, and returns whether it is there.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn has(&self, address: u64, buf: &mut [u8]) -> Result<bool> {
        match self.read(address, buf) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::Io => Err(e),
            Err(_) => Ok(false),
        }
    }

    /// Reads as much as there is from an address on, up to `most` bytes, and says why it is not all.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn read_some(&self, address: u64, most: usize) -> Result<(Vec<u8>, Result<()>)> {
        let mut out = vec![0; most];
        if self.has(address, &mut out)? {
            return Ok((out, Ok(())));
        }
        let mut done = 0_usize;
        while let Some(rest) = out.get_mut(done..).filter(|r| !r.is_empty()) {
            let here = address.wrapping_add(done as u64);
            let page = usize::try_from(4096_u64.minus(here & 4095)).unwrap_or(1).min(rest.len());
            match self.read(here, rest.get_mut(..page).unwrap_or_default()) {
                Ok(()) => done = done.plus(page),
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(e) => {
                    out.truncate(done);
                    return Ok((out, Err(e)));
                }
            }
        }
        Ok((out, Ok(())))
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

    /// Returns a pointer in memory; `None` if it is not there.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn pointer(&self, address: u64) -> Result<Option<u64>> {
        let mut bytes = vec![0; usize::try_from(self.word()).unwrap_or(8)];
        Ok(self.has(address, &mut bytes)?.then(|| self.number_in(&bytes, 0, bytes.len())))
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

/// Returns the kernel's page tables on IBM Z. VMCOREINFO has their root, but not of which level it is: it is the one by which symbols
/// of the image are where they are.
fn s390x_space(mem: &dyn PhysicalMemory, info: &Info) -> Option<AddressSpace> {
    let root = info.symbol("swapper_pg_dir").and_then(|a| image_address(info, a))?.0 & !0xfff;
    // a region-second table, a region-third table, a region-first table; each of the full length
    [8, 4, 12].into_iter().map(|level| AddressSpace::s390x_asce(root | level | 3, true)).find(|space| {
        ["_stext", "swapper_pg_dir", "init_uts_ns"].iter().all(|name| {
            let Some(address) = info.symbol(name) else { return false };
            let by_tables = space.translate(mem, address).ok().map(|t| t.address);
            by_tables.is_some() && by_tables == image_address(info, address)
        })
    })
}

impl std::fmt::Debug for Kernel<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernel({:?})", self.machine)
    }
}
