//! What a dump is made of.

use super::notes;
use super::processor::Processor;
use super::target::{Kind, Target};
use crate::machine::Region;

/// The content of a dump besides memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Guest {
    /// The architecture.
    pub target: Target,
    /// The memory of the dump, in ascending order of addresses; see [`crate::machine::dumped`].
    pub memory: Vec<Region>,
    /// The notes of the processors.
    pub notes: Vec<u8>,
    /// How many processors there are.
    pub processors: u32,
    /// The kernel's own ELF note `VMCOREINFO`, as a whole.
    pub vmcoreinfo: Option<Vec<u8>>,
    /// Where the kernel was loaded, which readers of kdump files translate its addresses with; 0 if that is unknown.
    pub phys_base: u64,
    /// The page size of the kernel in bytes, if it is known.
    pub page_size: Option<u64>,
    /// The fields of `uname`: system, node, release, version, machine, domain.
    pub uname: [Vec<u8>; 6],
}

impl Guest {
    /// Lays the notes of processors out.
    #[must_use]
    pub fn new(target: Target, cpus: &[Processor<'_>], memory: Vec<Region>) -> Self {
        let mut uname = [const { Vec::new() }; 6];
        if let Some(machine) = uname.get_mut(4) {
            *machine = target.kind.uname(target.order).into();
        }
        let notes = notes::of_processors(&target, cpus);
        let processors = u32::try_from(cpus.len()).unwrap_or(u32::MAX);
        // ARM's memory begins where the kernel's linear mapping does
        let phys_base = match target.kind {
            Kind::Aarch64 | Kind::Arm => memory.first().map_or(0, |r| r.gpa.0),
            _ => 0,
        };
        Self { target, memory, notes, processors, vmcoreinfo: None, phys_base, page_size: None, uname }
    }

    /// Returns the size of a block of a kdump file: the kernel's own page size if it is known, and otherwise QEMU's choice.
    #[must_use]
    pub fn block_size(&self) -> u64 {
        self.page_size.filter(|n| n.is_power_of_two() && (1024..=1 << 20).contains(n)).unwrap_or(self.target.block_size)
    }

    /// Returns the address after the last byte of memory.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.memory.iter().map(|r| r.end().0).max().unwrap_or(0)
    }
}
