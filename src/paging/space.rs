//! Address spaces: from the registers of a processor, or from explicit roots.

use super::model::{Translation, Tree, Walk, bit, field, mask};
use super::{RiscvMode, X86Mode};
use super::{arm64, riscv, s390x, walk, x86};
use crate::decode::cpu::{Cpu, Number};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};

/// How virtual addresses become guest-physical ones.
#[derive(Clone, Debug)]
pub struct AddressSpace {
    name: String,
    /// None if virtual addresses are physical.
    pub(super) trees: Vec<Tree>,
    /// The widest address.
    bits: u32,
    after: After,
}

/// What is done to an address before or after the walk.
#[derive(Clone, Copy, Debug)]
enum After {
    Nothing,
    /// The top byte is ignored.
    Tags(arm64::Regime),
    /// The prefix of IBM Z.
    Prefix(u64),
}

impl AddressSpace {
    /// Creates the space in which a processor runs.
    ///
    /// A RISC-V hart that is in machine mode, where nothing is translated, is taken for one in the mode that it interrupted.
    ///
    /// # Errors
    /// `Unsupported` for an architecture whose page tables cannot be read, and for a nested guest; `Missing` when a register is absent; `Corrupt`
    /// for a reserved mode.
    pub fn of_cpu(cpu: &Cpu) -> Result<Self> {
        match cpu.architecture {
            "x86_64" | "i386" => {
                let (cr0, cr4) = (register(cpu, "CR0")?, register(cpu, "CR4")?);
                let efer = find(cpu, "EFER").map_or(0, Number::low);
                Ok(Self::x86(X86Mode::of(cr0, cr4, efer), register(cpu, "CR3")?, 0))
            }
            "aarch64" => Self::arm64(cpu),
            "riscv64" | "riscv32" => {
                if find(cpu, "V").is_some_and(|v| v.low() != 0) {
                    return Err(nested());
                }
                let bits = if cpu.architecture == "riscv32" { 32 } else { 64 };
                let satp = register(cpu, "satp")?;
                let mode = RiscvMode::of(satp, bits)
                    .map_err(|n| Error::new(ErrorKind::Corrupt, format!("satp {satp:#x}: mode {n} is reserved")))?;
                Ok(Self::riscv(mode, satp))
            }
            "s390x" => Self::s390x(cpu),
            other => Err(Error::new(ErrorKind::Unsupported, format!("the page tables of {other} cannot be read"))),
        }
    }

    /// Creates a space of x86; without a mode, paging is off. Bits in `encrypted` mark encrypted pages, and belong to no address.
    #[must_use]
    pub fn x86(mode: Option<X86Mode>, cr3: u64, encrypted: u64) -> Self {
        let Some(mode) = mode else { return Self::none("x86, paging off") };
        let bits = if matches!(mode, X86Mode::Bits32 { .. } | X86Mode::Pae) { 32 } else { 64 };
        let trees = x86::trees(mode, cr3, encrypted);
        Self { name: format!("x86, {}", mode.name()), trees, bits, after: After::Nothing }
    }

    /// Creates a space of RISC-V; without a mode, nothing is translated.
    #[must_use]
    pub fn riscv(mode: Option<RiscvMode>, satp: u64) -> Self {
        let Some(mode) = mode else { return Self::none("RISC-V, satp is bare") };
        let bits = if mode == RiscvMode::Sv32 { 32 } else { 64 };
        Self { name: format!("RISC-V, {}", mode.name()), trees: riscv::trees(mode, satp), bits, after: After::Nothing }
    }

    /// Creates the kernel's half of EL1 on AArch64: the upper one, for addresses of `bits` bits.
    ///
    /// # Errors
    /// `Corrupt` for a size of pages that is not 4, 16 or 64 KiB.
    pub fn arm64_upper(root: u64, bits: u64, page: u64) -> Result<Self> {
        let granule = match page {
            0x1000 => 2,
            0x4000 => 1,
            0x1_0000 => 3,
            n => {
                return Err(Error::new(ErrorKind::Corrupt, format!("expected pages of 4, 16 or 64 KiB, found {n:#x}")));
            }
        };
        let too_wide =
            || Error::new(ErrorKind::Corrupt, format!("expected addresses of at most 64 bits, found {bits}"));
        let size = 64_u64.checked_sub(bits).ok_or_else(too_wide)? & 0x3f;
        // of the root itself, bits 48 to 51 are in bits 2 to 5
        let ttbr = (root & mask(48)) | field(root, 48, 4) << 2;
        let (ips, ds) = if bits > 48 { (6, 1) } else { (5, 0) };
        let tcr = granule << 30 | size << 16 | 1 << 7 | ips << 32 | ds << 59;
        let regime =
            arm64::Regime { names: ["", "swapper_pg_dir"], ttbr: [0, ttbr], tcr, two: true, big_endian: false };
        Self::of_regime(regime)
    }

    /// Returns a space like this one with another root: that of a process, for the kernel's space. On AArch64 it is the lower half.
    ///
    /// # Errors
    /// `Unsupported` for a space without page tables; `Corrupt` for a reserved form of addresses.
    pub fn of_process(&self, root: Gpa) -> Result<Self> {
        if let After::Tags(r) = self.after {
            // the lower half has another code for the size of pages
            let granule = match field(r.tcr, 30, 2) {
                2 => 0,
                1 => 2,
                _ => 1,
            };
            let ttbr = (root.0 & mask(48)) | field(root.0, 48, 4) << 2;
            let wide = r.tcr & (7 << 32 | 1 << 59);
            let tcr = granule << 14 | field(r.tcr, 16, 6) | 1 << 23 | wide;
            return Self::of_regime(arm64::Regime { names: ["pgd", ""], ttbr: [ttbr, 0], tcr, ..r });
        }
        if self.trees.is_empty() {
            return Err(Error::new(ErrorKind::Unsupported, "this space has no page tables"));
        }
        let mut space = self.clone();
        for t in &mut space.trees {
            (t.root, t.register) = (root.0, "pgd");
        }
        Ok(space)
    }

    /// Creates the space of an address-space-control element of IBM Z; `edat` says whether control register 0 enables large frames.
    #[must_use]
    pub fn s390x_asce(asce: u64, edat: bool) -> Self {
        Self::of_asce("given space", "ASCE", asce, s390x::Entries { edat, old: false }, 0)
    }

    /// Creates the space of a process of Linux on IBM Z: pages that the kernel has marked as invalid only to learn of their next use
    /// are mapped.
    #[must_use]
    pub fn s390x_process(asce: u64) -> Self {
        Self::of_asce("process", "ASCE", asce, s390x::Entries { edat: true, old: true }, 0)
    }

    fn none(name: &str) -> Self {
        Self { name: name.to_owned(), trees: Vec::new(), bits: 64, after: After::Nothing }
    }

    pub(super) fn of_regime(r: arm64::Regime) -> Result<Self> {
        let trees = arm64::trees(&r)?;
        let name = format!("AArch64, {}", trees.iter().map(|t| t.register).collect::<Vec<_>>().join(" and "));
        if trees.is_empty() {
            return Err(Error::new(ErrorKind::Missing, "both ranges of addresses are switched off in TCR"));
        }
        Ok(Self { name, trees, bits: 64, after: After::Tags(r) })
    }

    fn arm64(cpu: &Cpu) -> Result<Self> {
        let hcr = find(cpu, "HCR_EL2").map_or(0, Number::low);
        let state = register(cpu, "PSTATE")?;
        let host = bit(hcr, 34);
        let level = match field(state, 2, 2) {
            0 if host && bit(hcr, 27) => 2,
            0 => 1,
            n => n,
        };
        if level == 1 && bit(hcr, 0) {
            return Err(nested());
        }
        let (sctlr, tcr, names) = match level {
            1 => ("SCTLR_EL1", "TCR_EL1", ["TTBR0_EL1", "TTBR1_EL1"]),
            2 => ("SCTLR_EL2", "TCR_EL2", ["TTBR0_EL2", "TTBR1_EL2"]),
            _ => ("SCTLR_EL3", "TCR_EL3", ["TTBR0_EL3", ""]),
        };
        let sctlr = register(cpu, sctlr)?;
        if !bit(sctlr, 0) {
            return Ok(Self::none("AArch64, MMU off"));
        }
        let two = level == 1 || (level == 2 && host);
        let [lower, upper] = names;
        let ttbr = [register(cpu, lower)?, if two { register(cpu, upper)? } else { 0 }];
        let big_endian = bit(sctlr, 25);
        Self::of_regime(arm64::Regime { names, ttbr, tcr: register(cpu, tcr)?, two, big_endian })
    }

    fn s390x(cpu: &Cpu) -> Result<Self> {
        let psw = register(cpu, "PSWM")?;
        let prefix = register(cpu, "prefix")? & !mask(13);
        // bit 5 of the mask, counted from the most significant one
        if !bit(psw, 58) {
            return Ok(Self { after: After::Prefix(prefix), ..Self::none("IBM Z, DAT off") });
        }
        let (control, name) = match field(psw, 46, 2) {
            2 => ("C07", "secondary space"),
            3 => ("C13", "home space"),
            _ => ("C01", "primary space"),
        };
        let edat = bit(register(cpu, "C00")?, 23);
        let asce = register(cpu, control)?;
        let space = Self::of_asce(name, control, asce, s390x::Entries { edat, old: false }, prefix);
        Ok(Self { bits: if bit(psw, 31) { 64 } else { 31 }, ..space })
    }

    fn of_asce(name: &str, register: &'static str, asce: u64, entries: s390x::Entries, prefix: u64) -> Self {
        let trees: Vec<Tree> = s390x::tree(register, asce, entries).into_iter().collect();
        Self { name: format!("IBM Z, {name}"), trees, bits: 64, after: After::Prefix(prefix) }
    }

    /// Returns the architecture and the mode in words.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether virtual addresses are physical ones.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.trees.is_empty()
    }

    /// Returns the root tables, each with its register.
    pub fn roots(&self) -> impl Iterator<Item = (&'static str, Gpa)> {
        let mut trees: Vec<&Tree> = self.trees.iter().collect();
        trees.dedup_by_key(|t| t.root);
        trees.into_iter().map(|t| (t.register, Gpa(t.root)))
    }

    /// Walks the tables for an address, and returns the steps even if it is not mapped.
    pub fn walk(&self, mem: &dyn PhysicalMemory, address: u64) -> Walk {
        let address = match &self.after {
            After::Tags(r) => arm64::without_tag(r, address),
            _ if self.bits == 31 => address & mask(31),
            _ => address,
        };
        if self.trees.is_empty() {
            let left = u64::MAX.minus(address);
            let t = Translation { address: Gpa(address), page: None, left };
            let t = self.prefixed(t);
            return Walk { steps: Vec::new(), same: t.left.max(1), outcome: Ok(t) };
        }
        let Some(tree) = self.trees.iter().find(|t| (t.low..=t.high).contains(&address)) else {
            let ranges: Vec<String> = self.trees.iter().map(|t| format!("{:#x} to {:#x}", t.low, t.high)).collect();
            let what =
                format!("virtual address {address:#x} is not valid: {} translates {}", self.name, ranges.join(" and "));
            let next = self.trees.iter().map(|t| t.low).find(|low| *low > address);
            let same = next.unwrap_or(u64::MAX).minus(address).max(1);
            return Walk { steps: Vec::new(), same, outcome: Err(Error::new(ErrorKind::Missing, what)) };
        };
        let mut w = walk::walk(mem, tree, address);
        w.outcome = w.outcome.map(|t| self.prefixed(t));
        if let Ok(t) = &w.outcome {
            w.same = t.left.max(1);
        }
        w
    }

    /// Applies the prefix of IBM Z to the result.
    fn prefixed(&self, t: Translation) -> Translation {
        let After::Prefix(prefix) = self.after else { return t };
        let area = mask(13).wrapping_add(1);
        let left = t.left.min(area.minus(t.address.0 & mask(13)));
        Translation { address: Gpa(s390x::absolute(prefix, t.address.0)), left, ..t }
    }

    /// Returns where an address is in guest-physical memory.
    ///
    /// # Errors
    /// `Missing` when the address is not mapped, or a table is not in the stream; `Io`.
    pub fn translate(&self, mem: &dyn PhysicalMemory, address: u64) -> Result<Translation> {
        self.walk(mem, address).outcome
    }

    /// Reads virtual memory.
    ///
    /// # Errors
    /// As [`AddressSpace::translate`], and those of the memory. `buf` is filled up to the first page that fails.
    pub fn read(&self, mem: &dyn PhysicalMemory, address: u64, buf: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            let at = address.wrapping_add(done as u64);
            let t = self.translate(mem, at)?;
            let n = usize::try_from(t.left.max(1)).unwrap_or(usize::MAX).min(rest.len());
            let piece = rest.get_mut(..n).unwrap_or_default();
            mem.read(t.address, piece).map_err(|e| e.within(format!("virtual address {at:#x}")))?;
            done = done.plus(n);
        }
        Ok(())
    }
}

fn nested() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the processor runs a nested guest, whose second stage of translation is not followed",
    )
}

fn find<'a>(cpu: &'a Cpu, name: &str) -> Option<&'a Number> {
    let mut registers = cpu.groups.iter().flat_map(|g| &g.registers);
    registers.find(|r| r.name == name).and_then(|r| r.value.as_ref())
}

fn register(cpu: &Cpu, name: &str) -> Result<u64> {
    let missing = || Error::new(ErrorKind::Missing, format!("CPU {} has no register {name} in the stream", cpu.index));
    find(cpu, name).map(Number::low).ok_or_else(missing)
}
