//! ELF notes: the registers of the processors, as debuggers expect them.
//!
//! The layouts are those of Linux's `elf_prstatus` and its companions for each architecture; which of them QEMU writes, and in what
//! order, is in `target/*/arch_dump.c`.

mod aarch64;
mod arm;
mod loongarch;
mod ppc;
mod riscv;
mod s390x;
mod x86;

use super::bytes::{Bytes, Order};
use super::processor::Processor;
use super::target::{Kind, Target};
use crate::offset::Sure;

/// The types of notes that several architectures have (`include/elf.h`).
const NT_PRSTATUS: u32 = 1;
const NT_PRFPREG: u32 = 2;

/// Notes one after the other.
#[derive(Debug)]
struct Notes {
    out: Bytes,
    order: Order,
}

impl Notes {
    fn new(order: Order) -> Self {
        Self { out: Bytes::new(order), order }
    }

    /// Adds a note; the name gets its NUL, and name and content are filled up to a multiple of 4 bytes.
    fn add(&mut self, name: &str, kind: u32, content: &[u8]) {
        let len = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.out.u32(len(name.len().plus(1)));
        self.out.u32(len(content.len()));
        self.out.u32(kind);
        self.out.raw(name.as_bytes());
        self.out.raw(&[0]);
        self.out.pad(4);
        self.out.raw(content);
        self.out.pad(4);
    }
}

/// Returns the notes of all processors: first those of the architecture, then those of QEMU.
pub(super) fn of_processors(target: &Target, cpus: &[Processor<'_>]) -> Vec<u8> {
    let mut notes = Notes::new(target.order);
    for cpu in cpus {
        match target.kind {
            Kind::X86_64 => x86::long(&mut notes, cpu),
            Kind::I386 => x86::short(&mut notes, cpu),
            Kind::Aarch64 => aarch64::add(&mut notes, cpu),
            Kind::Arm => arm::add(&mut notes, cpu),
            Kind::Ppc64 => ppc::add(&mut notes, cpu, true),
            Kind::Ppc => ppc::add(&mut notes, cpu, false),
            Kind::S390x => s390x::add(&mut notes, cpu),
            Kind::Riscv64 => riscv::long(&mut notes, cpu),
            Kind::Riscv32 => riscv::short(&mut notes, cpu),
            Kind::Loongarch64 => loongarch::add(&mut notes, cpu),
        }
    }
    if matches!(target.kind, Kind::X86_64 | Kind::I386) {
        for cpu in cpus {
            x86::qemu(&mut notes, cpu);
        }
    }
    notes.out.out
}

/// Returns where the content of the first note begins, and its length; `None` for bytes that are no note.
pub(super) fn content(order: Order, note: &[u8]) -> Option<(u64, u64)> {
    let word = |at: usize| {
        let b: [u8; 4] = note.get(at..)?.get(..4)?.try_into().ok()?;
        Some(u64::from(if order == Order::Little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) }))
    };
    let (name, len) = (word(0)?, word(4)?);
    let at = name.checked_next_multiple_of(4)?.checked_add(12)?;
    (at.checked_add(len)? <= note.len() as u64).then_some((at, len))
}
