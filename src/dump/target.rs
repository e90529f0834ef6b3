//! What a dump says of the machine: architecture, byte order, class, page size.
//!
//! QEMU decides this in `cpu_get_dump_info` of each target (`target/*/arch_dump.c`), by the first processor.

use super::bytes::Order;
use super::processor::Processor;
use crate::decode::cpu::arm_system_register;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// The architectures of dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// x86 in long mode.
    X86_64,
    /// x86 in any other mode.
    I386,
    /// A processor that has AArch64, in whatever state it is.
    Aarch64,
    /// A 32-bit ARM processor.
    Arm,
    /// 64-bit PowerPC.
    Ppc64,
    /// 32-bit PowerPC.
    Ppc,
    /// s390x.
    S390x,
    /// 64-bit RISC-V.
    Riscv64,
    /// 32-bit RISC-V.
    Riscv32,
    /// 64-bit LoongArch.
    Loongarch64,
}

impl Kind {
    /// Returns `e_machine` of ELF.
    pub(super) const fn elf_machine(self) -> u16 {
        match self {
            Self::I386 => 3,
            Self::Ppc => 20,
            Self::Ppc64 => 21,
            Self::S390x => 22,
            Self::Arm => 40,
            Self::X86_64 => 62,
            Self::Aarch64 => 183,
            Self::Riscv64 | Self::Riscv32 => 243,
            Self::Loongarch64 => 258,
        }
    }

    /// Returns the machine's name as `uname -m` prints it, which readers of kdump files go by.
    #[must_use]
    pub const fn uname(self, order: Order) -> &'static str {
        match (self, order) {
            (Self::X86_64, _) => "x86_64",
            (Self::I386, _) => "i686",
            (Self::Aarch64, _) => "aarch64",
            (Self::Arm, _) => "armv7l",
            (Self::Ppc64, Order::Little) => "ppc64le",
            (Self::Ppc64, Order::Big) => "ppc64",
            (Self::Ppc, _) => "ppc",
            (Self::S390x, _) => "s390x",
            (Self::Riscv64, _) => "riscv64",
            (Self::Riscv32, _) => "riscv32",
            (Self::Loongarch64, _) => "loongarch64",
        }
    }
}

/// What a dump says of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// The architecture.
    pub kind: Kind,
    /// The byte order.
    pub order: Order,
    /// Whether the structures of the file have 64 bits.
    pub wide: bool,
    /// The size of a block of a kdump file in bytes, as QEMU chooses it.
    pub block_size: u64,
}

/// QEMU's own flag for long mode (`HF_LMA_MASK` in `target/i386/cpu.h`).
const HF_LMA: u64 = 1 << 14;
/// `LPCR.ILE`: interrupts are little-endian.
const ILE: u64 = 1 << 25;
/// `SCTLR.EE`: exceptions are big-endian.
const EE: u64 = 1 << 25;
/// `mstatus.UBE`: user mode is big-endian.
const UBE: u64 = 1 << 6;

impl Target {
    /// Decides by the first processor; `end` is the address after the last byte of memory, `target_page` the target page size in
    /// bytes.
    ///
    /// # Errors
    /// `Unsupported` when there is no processor, or none of an architecture that dumps are made of.
    pub fn of(cpus: &[Processor<'_>], machine: &str, target_page: u64, end: u64) -> Result<Self> {
        let none = || Error::new(ErrorKind::Unsupported, "the state has no processor that could be decoded");
        let first = &cpus.first().ok_or_else(|| none().hint(Remedy::SupplySchema))?.fields;
        let order = |big: bool| if big { Order::Big } else { Order::Little };
        let has = |name: &str| first.node(name).is_some();
        let spr = |n: usize| first.at("env.spr", n).map_or(0, |v| v.low());
        let width = |name: &str| first.number(name).map_or(64, |n| n.bits);
        let new = |kind, order, wide, block_size| Ok(Self { kind, order, wide, block_size });
        if has("env.eip") {
            // an emulator without long mode has the flag all the same if the guest sets EFER.LME
            let long = width("env.eip") == 64 && first.u64("env.hflags") & HF_LMA != 0;
            let kind = if long { Kind::X86_64 } else { Kind::I386 };
            return new(kind, Order::Little, long || end > u64::from(u32::MAX), 4096);
        }
        if has("env.xregs") {
            let control = |name: &str| arm_system_register(first, name).unwrap_or(0) & EE != 0;
            // 32-bit processors list some registers of AArch64 too, but not those that describe it
            if arm_system_register(first, "ID_AA64DFR0_EL1").is_some() {
                return new(Kind::Aarch64, order(control("SCTLR_EL1")), true, 65536);
            }
            return new(Kind::Arm, order(control("SCTLR")), false, 4096);
        }
        if has("env.nip") {
            let big = spr(318) & ILE == 0;
            let wide = width("env.nip") == 64;
            let block = if machine.starts_with("pseries-") || machine == "pseries" { 65536 } else { target_page };
            return new(if wide { Kind::Ppc64 } else { Kind::Ppc }, order(big), wide, block);
        }
        if has("env.psw.mask") {
            return new(Kind::S390x, Order::Big, true, 4096);
        }
        if has("env.misa_ext") || has("env.misa") {
            let narrow = match first.u64("env.misa_mxl") {
                1 => true,
                2 => false,
                _ => width("env.pc") == 32,
            };
            let kind = if narrow { Kind::Riscv32 } else { Kind::Riscv64 };
            return new(kind, order(first.u64("env.mstatus") & UBE != 0), !narrow, 4096);
        }
        if has("env.CSR_ERA") || has("env.sys_states[0].CSR_ERA") {
            return new(Kind::Loongarch64, Order::Little, true, target_page);
        }
        Err(Error::new(ErrorKind::Unsupported, "core dumps are not known for this architecture"))
    }
}
