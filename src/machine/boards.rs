//! Boards whose main memory begins at one fixed address, or lies in few fixed pieces.

use super::model::Span;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::ram::RamBlock;

/// The names of main memory where no backend is given (`default_ram_id` of the machine classes).
pub(super) const DEFAULT_IDS: &[&str] = &[
    "pc.ram",
    "microvm.ram",
    "mach-virt.ram",
    "ppc_spapr.ram",
    "s390.ram",
    "riscv_virt_board.ram",
    "mips_malta.ram",
    "loongarch.ram",
    "sbsa-ref.ram",
];

const WHY: &str = "table";

/// Returns the pieces of `total` bytes of main memory.
pub(super) fn spans(machine: &str, total: u64, blocks: &[RamBlock]) -> Result<Vec<Span>> {
    let at = |gpa| Ok(vec![Span { gpa, offset: 0, bytes: total, why: WHY }]);
    let is = |prefixes: &[&str]| prefixes.iter().any(|p| machine == *p || machine.starts_with(&format!("{p}-")));
    // hw/s390x/s390-virtio-ccw.c, hw/ppc/spapr.c, hw/ppc/pnv.c, hw/ppc/mac_{old,new}world.c, hw/ppc/e500.c
    if is(&[
        "s390-ccw-virtio",
        "pseries",
        "powernv",
        "powernv8",
        "powernv9",
        "powernv10",
        "g3beige",
        "mac99",
        "ppce500",
    ]) {
        return at(0);
    }
    if machine == "malta" {
        return Ok(malta(total));
    }
    if is(&["sbsa-ref"]) {
        return at(0x100_0000_0000);
    }
    if is(&["virt"]) {
        // three targets have a board of this name; each makes blocks that the others do not
        let has = |prefix: &str| blocks.iter().any(|b| b.name.starts_with(prefix));
        if has("riscv_virt_board.") {
            return at(0x8000_0000);
        }
        if has("loongarch.") {
            // hw/loongarch/virt.c: 256 MiB at 0, the rest after the devices
            let low = total.min(0x1000_0000);
            let high = Span { gpa: 0x8000_0000, offset: low, bytes: total.saturating_sub(low), why: WHY };
            return Ok(vec![Span { gpa: 0, offset: 0, bytes: low, why: WHY }, high]);
        }
        if has("virt.flash") || has("mach-virt.ram") {
            return at(0x4000_0000);
        }
        return Err(ambiguous(machine));
    }
    Err(Error::new(ErrorKind::Unsupported, format!("unknown memory map of machine type {machine:?}"))
        .hint(Remedy::PlaceBlocks))
}

/// `mips_malta_init` in `hw/mips/malta.c`: all memory at 2 GiB; the CPU also sees its first 256 MiB at 0, and the
/// part after 512 MiB at 512 MiB, with the devices between.
fn malta(total: u64) -> Vec<Span> {
    const LOW: u64 = 256 << 20;
    const BEHIND_DEVICES: u64 = 512 << 20;
    const WHOLE: u64 = 0x8000_0000;
    let mut out = vec![Span { gpa: 0, offset: 0, bytes: total.min(LOW), why: "the same memory again" }];
    let high = total.saturating_sub(BEHIND_DEVICES);
    if high > 0 {
        let bytes = high.min(WHOLE.saturating_sub(BEHIND_DEVICES));
        out.push(Span { gpa: BEHIND_DEVICES, offset: BEHIND_DEVICES, bytes, why: "the same memory again" });
    }
    out.push(Span { gpa: WHOLE, offset: 0, bytes: total, why: WHY });
    out
}

fn ambiguous(machine: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{machine}: cannot determine which target's virt board this is"))
        .hint(Remedy::PlaceBlocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malta_sees_its_memory_twice() {
        let places = |total| malta(total).iter().map(|s| (s.gpa, s.offset, s.bytes)).collect::<Vec<_>>();
        const M: u64 = 1 << 20;
        assert_eq!(places(32 * M), [(0, 0, 32 * M), (0x8000_0000, 0, 32 * M)]);
        assert_eq!(places(1024 * M), [(0, 0, 256 * M), (512 * M, 512 * M, 512 * M), (0x8000_0000, 0, 1024 * M)]);
    }
}
