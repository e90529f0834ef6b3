//! Guest memory that is anything at all: walks over its page tables, the search for VMCOREINFO, and the kernel log.
//!
//! The first bytes are registers, the rest is memory from 0 on; what is beyond its end is missing.

use std::ops::Range;

use savevm_analyze::memory::PhysicalMemory;
use savevm_analyze::os::linux::{kallsyms, kernel::Kernel, printk, vmcoreinfo};
use savevm_analyze::paging::{AddressSpace, RiscvMode, X86Mode};
use savevm_analyze::{Error, ErrorKind, Gpa, Result};

struct Bytes<'a>(&'a [u8]);

impl PhysicalMemory for Bytes<'_> {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        let from = usize::try_from(address.0).ok().and_then(|at| self.0.get(at..)).and_then(|b| b.get(..buf.len()));
        buf.copy_from_slice(from.ok_or_else(|| Error::new(ErrorKind::Missing, "no memory"))?);
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        std::iter::once(0..self.0.len() as u64).collect()
    }
}

pub fn run(data: &[u8]) {
    let Some((registers, memory)) = data.split_first_chunk::<32>() else { return };
    let register = |n: usize| u64::from_le_bytes(registers[8 * n..][..8].try_into().unwrap());
    let mem = Bytes(memory);
    let (a, b, c) = (register(0), register(1), register(2));
    let spaces = [
        Some(AddressSpace::x86(X86Mode::of(a, b, b >> 32), c, register(3))),
        Some(AddressSpace::riscv(RiscvMode::of(c, if a & 2 == 0 { 32 } else { 64 }).ok().flatten(), c)),
        Some(AddressSpace::s390x_asce(c, a & 1 == 1)),
        AddressSpace::arm64_upper(c, b & 0x3f, 4096 << (2 * (a & 3))).ok(),
    ];
    for space in spaces.iter().flatten() {
        for address in [register(3), a, u64::MAX, 0] {
            let walk = space.walk(&mem, address);
            assert!(walk.steps.len() <= 5 && walk.same > 0);
            let _ = space.read(&mem, address, &mut [0; 5000]);
        }
        let mut end = 0_u64;
        let done = space.mapped(&mem, 0..=u64::MAX, 30, &mut |m| {
            assert!(m.bytes > 0 && m.virt >= end, "{m:x?} after {end:#x}");
            end = m.virt.saturating_add(m.bytes);
            Ok(())
        });
        assert!(done.unwrap().tables <= 30);
    }
    let note = (a & 1 == 1).then_some((Gpa(b), 4096));
    if let Some(found) = vmcoreinfo::find(&mem, note).unwrap() {
        assert!(found.note.len() % 4 == 0 && found.info.text().starts_with("OSRELEASE="));
        let _ = printk::read(&Kernel::new(&mem, &found), &found.info);
        let kernel = Kernel::new(&mem, &found);
        let _ = kernel.image().and_then(|image| kallsyms::Symbols::read(&kernel, &image));
    }
}
