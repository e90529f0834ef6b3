//! Walks over tables made by hand. `tests/live/paging.rs` compares them with QEMU.

use super::model::{Meaning, mask};
use super::{AddressSpace, Mapping, RiscvMode, X86Mode, arm64};
use crate::error::ErrorKind;
use crate::memory::FewPages;
use crate::offset::Gpa;

fn le(m: &mut FewPages, at: u64, value: u64) {
    m.write(at, &value.to_le_bytes());
}

fn be(m: &mut FewPages, at: u64, value: u64) {
    m.write(at, &value.to_be_bytes());
}

/// Returns the physical address and the size of the page.
fn at(s: &AddressSpace, m: &FewPages, address: u64) -> Option<(u64, u64)> {
    s.translate(m, address).ok().map(|t| (t.address.0, t.page.unwrap_or(0)))
}

fn mappings(s: &AddressSpace, m: &FewPages) -> Vec<(u64, u64, u64)> {
    let mut out = Vec::new();
    let each = &mut |x: Mapping| {
        out.push((x.virt, x.phys.0, x.bytes));
        Ok(())
    };
    let done = s.mapped(m, 0..=u64::MAX, 1 << 16, each).unwrap();
    assert!(!done.stopped);
    out
}

#[test]
fn x86_modes_by_the_control_registers() {
    const PG: u64 = 1 << 31;
    for (cr0, cr4, efer, mode) in [
        (1, 0x20, 0x500, None),
        (PG, 0, 0, Some(X86Mode::Bits32 { pse: false })),
        (PG, 0x10, 0, Some(X86Mode::Bits32 { pse: true })),
        (PG, 0x30, 0, Some(X86Mode::Pae)),
        (PG, 0x20, 0x500, Some(X86Mode::Level4)),
        (PG, 0x1020, 0x500, Some(X86Mode::Level5)),
        // LME without LMA: long mode is not active
        (PG, 0x1020, 0x100, Some(X86Mode::Pae)),
    ] {
        assert_eq!(X86Mode::of(cr0, cr4, efer), mode, "{cr0:#x} {cr4:#x} {efer:#x}");
    }
}

#[test]
fn x86_32_bit() {
    let mut m = FewPages::default();
    let entry = |m: &mut FewPages, at: u64, v: u32| m.write(at, &v.to_le_bytes());
    entry(&mut m, 0x1000, 0x2003);
    entry(&mut m, 0x1000 + 4 * 0x300, 0x0040_0083 | 0x5a << 13);
    entry(&mut m, 0x2000 + 4 * 5, 0xabcd_e067);
    let s = AddressSpace::x86(Some(X86Mode::Bits32 { pse: true }), 0x1fff, 0);
    assert_eq!(at(&s, &m, 0x5123), Some((0xabcd_e123, 4096)));
    // the address of a large page has 40 bits
    assert_eq!(at(&s, &m, 0xc012_3456), Some((0x5a_0052_3456, 4 << 20)));
    assert_eq!((at(&s, &m, 0x6000), at(&s, &m, 0x40_0000), at(&s, &m, 1 << 32)), (None, None, None));
    // without CR4.PSE that bit says nothing, and the entry is a table
    let s = AddressSpace::x86(Some(X86Mode::Bits32 { pse: false }), 0x1000, 0);
    assert_eq!(at(&s, &m, 0xc012_3456), None);
}

#[test]
fn x86_pae() {
    let mut m = FewPages::default();
    // the root is aligned to 32 bytes only
    le(&mut m, 0x1020 + 24, 0x2001);
    le(&mut m, 0x2000, 1 << 63 | 0x12_3460_0083);
    le(&mut m, 0x2008, 0x3001);
    le(&mut m, 0x3008, 1 << 63 | 0x9_8765_4001);
    let s = AddressSpace::x86(Some(X86Mode::Pae), 0x1020, 0);
    assert_eq!(at(&s, &m, 0xc000_1234), Some((0x12_3460_1234, 2 << 20)));
    assert_eq!(at(&s, &m, 0xc020_1fff), Some((0x9_8765_4fff, 4096)));
    assert_eq!(at(&s, &m, 0x8000_0000), None);
}

#[test]
fn x86_long_mode() {
    let mut m = FewPages::default();
    for root in [0x1000, 0x8000] {
        // 5 levels at 0x8000, of which 4 are at 0x1000
        if root == 0x8000 {
            le(&mut m, root, 0x1001);
            le(&mut m, root + 8 * 511, 0x1001);
        }
    }
    le(&mut m, 0x1000 + 8 * 511, 1 << 63 | 0x2001);
    le(&mut m, 0x2000 + 8 * 510, 0x3001);
    le(&mut m, 0x2000 + 8 * 511, 0x1_c000_1083);
    le(&mut m, 0x3000 + 8 * 8, 0x0be0_1083);
    le(&mut m, 0x3000 + 8 * 9, 0x4001);
    le(&mut m, 0x4000, 0xffff_0000_dead_b001);
    let four = AddressSpace::x86(Some(X86Mode::Level4), 0x1018, 0);
    let five = AddressSpace::x86(Some(X86Mode::Level5), 0x8000, 0);
    for s in [&four, &five] {
        assert_eq!(at(s, &m, 0xffff_ffff_8100_1234), Some((0x0be0_1234, 2 << 20)));
        assert_eq!(at(s, &m, 0xffff_ffff_c123_4567), Some((0x1_c123_4567, 1 << 30)));
        // protection keys and the like are above bit 51
        assert_eq!(at(s, &m, 0xffff_ffff_8120_0abc), Some((0x000f_0000_dead_babc, 4096)));
        assert_eq!(at(s, &m, 0xffff_ffff_8120_1000), None);
    }
    // the lower half has the same root; the hole has none
    assert_eq!(at(&five, &m, 0x0000_ffff_8100_1234), Some((0x0be0_1234, 2 << 20)));
    for hole in [0x0000_ffff_8100_1234, 0x8000_0000_0000, 0xffff_7fff_ffff_ffff] {
        let e = four.translate(&m, hole).unwrap_err();
        assert!(e.message().contains("is not valid: x86, 4-level paging translates 0x0 to 0x7fffffffffff and"), "{e}");
    }
    let w = four.walk(&m, 0xffff_ffff_8100_1234);
    let steps: Vec<_> = w.steps.iter().map(|s| (s.level, s.at.0, s.meaning)).collect();
    assert_eq!(
        steps,
        [
            ("PML4", 0x1ff8, Meaning::Table(Gpa(0x2000))),
            ("PDPT", 0x2ff0, Meaning::Table(Gpa(0x3000))),
            ("PD", 0x3040, Meaning::Page(Gpa(0x0be0_0000), 2 << 20)),
        ]
    );
    // 2 MiB less 0x1234 bytes, then the page of 4 KiB, are all that there is up to the page of 1 GiB
    assert_eq!(
        mappings(&four, &m),
        [
            (0xffff_ffff_8100_0000, 0x0be0_0000, 2 << 20),
            (0xffff_ffff_8120_0000, 0x000f_0000_dead_b000, 4096),
            (0xffff_ffff_c000_0000, 0x1_c000_0000, 1 << 30),
        ]
    );
    // encrypted memory: the bit is not part of the address
    le(&mut m, 0x4008, 1 << 47 | 0x6001);
    let s = AddressSpace::x86(Some(X86Mode::Level4), 1 << 47 | 0x1000, 1 << 47);
    assert_eq!(at(&s, &m, 0xffff_ffff_8120_1010), Some((0x6010, 4096)));
}

#[test]
fn memory_is_read_over_the_ends_of_pages() {
    let mut m = FewPages::default();
    le(&mut m, 0x1000, 0x2001);
    le(&mut m, 0x2000, 0x3001);
    le(&mut m, 0x3000, 0x4001);
    // two pages in reverse order, then none
    le(&mut m, 0x4000, 0x6001);
    le(&mut m, 0x4008, 0x5001);
    m.write(0x6ffc, b"pagi");
    m.write(0x5000, b"ng tables");
    let s = AddressSpace::x86(Some(X86Mode::Level4), 0x1000, 0);
    let mut buf = [0; 13];
    s.read(&m, 0xffc, &mut buf).unwrap();
    assert_eq!(&buf, b"paging tables");
    assert_eq!(s.read(&m, 0x1ffc, &mut buf).unwrap_err().kind(), ErrorKind::Missing);
    // paging is off
    AddressSpace::x86(None, 0, 0).read(&m, 0x6ffc, &mut buf[..4]).unwrap();
    assert_eq!(&buf[..4], b"pagi");
}

/// Tables that contain themselves end a walk at the last level, and going through all of them at the limit.
#[test]
fn tables_that_contain_themselves() {
    let mut m = FewPages::default();
    for i in 0..512 {
        le(&mut m, 0x1000 + 8 * i, 0x1001);
    }
    let s = AddressSpace::x86(Some(X86Mode::Level5), 0x1000, 0);
    assert_eq!(at(&s, &m, 0x1234), Some((0x1234, 4096)));
    let mut n = 0_u64;
    let done = s.mapped(&m, 0..=u64::MAX, 1000, &mut |_| {
        n += 1;
        Ok(())
    });
    let done = done.unwrap();
    assert!(done.stopped && done.tables == 1000 && n < 1 << 20, "{done:?} {n}");
    // a part of them, which begins and ends within pages
    let mut part = Vec::new();
    let done = s.mapped(&m, 0x1800..=0x2fff, 1000, &mut |x| {
        part.push((x.virt, x.phys.0, x.bytes));
        Ok(())
    });
    assert!(!done.unwrap().stopped);
    assert_eq!(part, [(0x1800, 0x1800, 0x800), (0x2000, 0x1000, 0x1000)]);
    // a range without an address, inside one page
    let none = std::ops::RangeInclusive::new(0x1900, 0x1800);
    let done = s.mapped(&m, none, 1000, &mut |x| panic!("{x:x?}"));
    assert!(!done.unwrap().stopped);
    // a root without memory
    let s = AddressSpace::x86(Some(X86Mode::Level4), 0x7_0000, 0);
    let e = s.translate(&m, 0).unwrap_err();
    assert_eq!(e.to_string(), "no memory is known at 0x70000 (in virtual address 0x0 > PML4 entry at 0x70000)");
    let done = s.mapped(&m, 0..=u64::MAX, 9, &mut |_| Ok(())).unwrap();
    assert_eq!((done.tables, done.unreadable), (2, 2));
}

fn arm(tcr: u64, lower: u64, upper: u64) -> AddressSpace {
    let r =
        arm64::Regime { names: ["TTBR0_EL1", "TTBR1_EL1"], ttbr: [lower, upper], tcr, two: true, big_endian: false };
    AddressSpace::of_regime(r).unwrap()
}

#[test]
fn arm64_4k() {
    let mut m = FewPages::default();
    // 39 bits above, 48 below: T0SZ 16, T1SZ 25, both 4K, IPS 5
    let tcr = 16 | 25 << 16 | 2 << 30 | 5 << 32 | 1 << 37;
    le(&mut m, 0x1000, 0x2003);
    le(&mut m, 0x2000, 0x60_4000_0000 | 0x701);
    le(&mut m, 0x2008, 0x3003);
    le(&mut m, 0x3008, 0x4020_0f0d);
    le(&mut m, 0x3010, 0x4003);
    le(&mut m, 0x4000, 0x00e8_0000_8765_4f03);
    le(&mut m, 0x4008, 0x9000 | 1);
    // ASID and CnP belong to no address
    let s = arm(tcr, 0x0042_0000_0000_1001, 0x0007_0000_0000_2000);
    assert_eq!(at(&s, &m, 0x1234_5678), Some((0x60_5234_5678, 1 << 30)));
    assert_eq!(at(&s, &m, 0x4020_0123), Some((0x4020_0123, 2 << 20)));
    assert_eq!(at(&s, &m, 0x4040_0123), Some((0x8765_4123, 4096)));
    assert_eq!(at(&s, &m, 0xffff_ff80_4040_0123), Some((0x8765_4123, 4096)));
    // a block may not be at the last level; the top byte is ignored below, and not above
    assert_eq!(at(&s, &m, 0x4040_1000), None);
    assert_eq!(at(&s, &m, 0xab00_0000_4040_0123), Some((0x8765_4123, 4096)));
    assert_eq!(at(&s, &m, 0xabff_ff80_4040_0123), None);
    assert_eq!((at(&s, &m, 1 << 48), at(&s, &m, 0xffff_0000_0000_0000)), (None, None));
    // EPD1: the upper range is off
    let s = arm(tcr | 1 << 23, 0x1000, 0x2000);
    assert_eq!(at(&s, &m, 0xffff_ff80_4040_0123), None);
    let mut big = FewPages::default();
    be(&mut big, 0x2000, 0x60_4000_0701);
    let r = arm64::Regime { names: ["", ""], ttbr: [0, 0x2000], tcr, two: true, big_endian: true };
    assert_eq!(at(&AddressSpace::of_regime(r).unwrap(), &big, 0xffff_ff80_0000_0001), Some((0x60_4000_0001, 1 << 30)));
}

#[test]
fn arm64_16k_64k_and_52_bits() {
    let mut m = FewPages::default();
    // 16K, 47 bits: three levels, blocks of 32 MiB
    let s = arm(17 | 2 << 14 | 1 << 23 | 5 << 32, 0x1_0000, 0);
    le(&mut m, 0x1_0008, 0x1_4003);
    le(&mut m, 0x1_4010, 0x4600_0001);
    le(&mut m, 0x1_4018, 0x1_8003);
    le(&mut m, 0x1_8008, 0x8765_4003);
    let base = 1 << 36;
    assert_eq!(at(&s, &m, base | 2 << 25 | 0x1234), Some((0x4600_1234, 32 << 20)));
    assert_eq!(at(&s, &m, base | 3 << 25 | 1 << 14 | 0x3fff), Some((0x8765_7fff, 16 << 10)));
    // 64K, 52 bits: bits 48 to 51 of an address are in bits 12 to 15; blocks of 512 MiB and 4 TiB
    let s = arm(12 | 1 << 14 | 1 << 23 | 6 << 32, 0x2_0000 | 0xa << 2, 0);
    let high = 0x000a_0000_0000_0000;
    le(&mut m, high | 0x2_0008, 0x3_0003);
    le(&mut m, 0x3_0010, 0x4000_b001);
    le(&mut m, 0x3_0018, 0x4_0003 | 0xc000);
    le(&mut m, 0x000c_0000_0004_0008, 0x8765_d003);
    le(&mut m, high | 0x2_0010, 0x0800_0000_e001 | 0x0400_0000_0000);
    let base = 1 << 42;
    assert_eq!(at(&s, &m, base | 2 << 29 | 0x1234), Some((0x000b_0000_4000_1234, 512 << 20)));
    assert_eq!(at(&s, &m, base | 3 << 29 | 1 << 16 | 0xffff), Some((0x000d_0000_8765_ffff, 64 << 10)));
    assert_eq!(at(&s, &m, 2 << 42 | 5), Some((0x000e_0c00_0000_0005, 4 << 40)));
    // 4K with DS, 52 bits: level -1; bits 50 and 51 of an address are in bits 8 and 9
    let s = arm(12 | 1 << 23 | 6 << 32 | 1 << 59, 0x5_0000 | 0x8 << 2, 0);
    le(&mut m, 0x0008_0000_0005_0008, 0x6_0003);
    le(&mut m, 0x6_0010, 0x0001_0080_0000_0201 | 1 << 48);
    assert_eq!(at(&s, &m, 1 << 48 | 2 << 39 | 0x77), Some((0x0009_0080_0000_0077, 512 << 30)));
    // nothing of that without DS
    let s = arm(16 | 1 << 23 | 6 << 32, 0x6_0000, 0);
    assert_eq!(at(&s, &m, 2 << 39), None);
}

#[test]
fn arm64_kernels_own_half() {
    let mut m = FewPages::default();
    le(&mut m, 0x1000 + 8 * 256, 0x2003);
    le(&mut m, 0x2000, 0x4000_0701);
    let s = AddressSpace::arm64_upper(0x1000, 48, 4096).unwrap();
    assert_eq!(at(&s, &m, 0xffff_8000_0000_1234), Some((0x4000_1234, 1 << 30)));
    assert!(AddressSpace::arm64_upper(0x1000, 48, 8192).is_err());
    for bits in [0, 1, 64, 99, u64::MAX] {
        assert!(AddressSpace::arm64_upper(0x1000, bits, 4096).is_err(), "{bits}");
    }
}

#[test]
fn arm64_reserved_registers() {
    let r = |tcr| arm64::Regime { names: ["", ""], ttbr: [0; 2], tcr, two: true, big_endian: false };
    for tcr in [0, 3 << 14 | 16 | 16 << 16, 16 | 63 << 16 | 2 << 30, 11 | 1 << 14 | 1 << 23] {
        assert_eq!(AddressSpace::of_regime(r(tcr)).unwrap_err().kind(), ErrorKind::Corrupt, "{tcr:#x}");
    }
    assert_eq!(AddressSpace::of_regime(r(1 << 7 | 1 << 23)).unwrap_err().kind(), ErrorKind::Missing);
}

#[test]
fn riscv() {
    let mut m = FewPages::default();
    let pte = |at: u64, flags: u64| (at >> 12) << 10 | flags;
    // Sv57 > Sv48 > Sv39: the same entries at each level
    le(&mut m, 0x1000 + 8 * 511, pte(0x2000, 1));
    le(&mut m, 0x2000 + 8 * 511, pte(0x3000, 1));
    le(&mut m, 0x3000 + 8 * 510, pte(0x4000, 1));
    le(&mut m, 0x3000 + 8 * 511, pte(0x1_4000_0000, 0xf));
    le(&mut m, 0x4000, pte(0x8020_0000, 0xb) | 3 << 61);
    le(&mut m, 0x4008, pte(0x8020_1000, 0xf));
    le(&mut m, 0x4010, pte(0x5000, 1));
    le(&mut m, 0x4018, pte(0x5000, 5));
    le(&mut m, 0x5000, pte(0x8765_4000, 0xcf));
    // 64 KiB: the number ends with 8
    for i in 16..32 {
        le(&mut m, 0x5000 + 8 * i, pte(0x8769_8000, 0xcf) | 1 << 63);
    }
    le(&mut m, 0x5000 + 8 * 32, pte(0x8769_4000, 0xcf) | 1 << 63);
    for (mode, satp, root) in
        [(RiscvMode::Sv39, 8, 0x3000_u64), (RiscvMode::Sv48, 9, 0x2000), (RiscvMode::Sv57, 10, 0x1000)]
    {
        let satp = satp << 60 | 0xabcd << 44 | root >> 12;
        assert_eq!(RiscvMode::of(satp, 64), Ok(Some(mode)));
        let s = AddressSpace::riscv(Some(mode), satp);
        assert_eq!(at(&s, &m, 0xffff_ffff_8000_1234), Some((0x8020_1234, 2 << 20)), "{mode:?}");
        assert_eq!(at(&s, &m, 0xffff_ffff_c123_4567), Some((0x1_4123_4567, 1 << 30)));
        assert_eq!(at(&s, &m, 0xffff_ffff_8040_0fff), Some((0x8765_4fff, 4096)));
        assert_eq!(at(&s, &m, 0xffff_ffff_8041_5678), Some((0x8769_5678, 64 << 10)));
        // not aligned, writable only, a size that there is not, not sign-extended
        for none in [0xffff_ffff_8020_0000, 0xffff_ffff_8060_0000, 0xffff_ffff_8042_0000, 1 << 60] {
            assert_eq!(at(&s, &m, none), None, "{none:#x}");
        }
        // pages of 64 KiB are 16 entries
        assert!(mappings(&s, &m).contains(&(0xffff_ffff_8041_0000, 0x8769_0000, 64 << 10)));
    }
    assert_eq!((RiscvMode::of(0, 64), RiscvMode::of(5 << 60, 64)), (Ok(None), Err(5)));
    let mut m = FewPages::default();
    m.write(0x1000 + 4 * 0x300, &(0x0c00_0000_u32 >> 2 | 0xf).to_le_bytes());
    m.write(0x1000 + 4 * 0x301, &(0x2000_u32 >> 2 | 1).to_le_bytes());
    m.write(0x2004, &(0x8765_4000_u32 >> 2 | 0xf).to_le_bytes());
    let satp = 1 << 31 | 0x7f << 22 | 1;
    let s = AddressSpace::riscv(RiscvMode::of(satp, 32).unwrap(), satp);
    assert_eq!(at(&s, &m, 0xc012_3456), Some((0x0c12_3456, 4 << 20)));
    assert_eq!(at(&s, &m, 0xc040_1234), Some((0x8765_4234, 4096)));
}

#[test]
fn ibm_z() {
    let mut m = FewPages::default();
    // from a region-first table down; lengths of 4 (3), one at an offset of 1
    be(&mut m, 0x1_0000 + 8 * 3, 0x2_0000 | 0xc | 3);
    be(&mut m, 0x2_0000 + 8 * 0x201, 0x3_0000 | 8 | 1 << 6 | 3);
    be(&mut m, 0x3_0000 + 8 * 0x300, 0x4_0000 | 4 | 3);
    be(&mut m, 0x3_0000 + 8 * 0x301, 0x1_8000_0000 | 4 | 0x400);
    be(&mut m, 0x3_0000 + 8 * 0x100, 0x4_0000 | 4 | 3);
    be(&mut m, 0x4_0000 + 8 * 5, 0x5_0800);
    be(&mut m, 0x4_0000 + 8 * 6, 0x0120_0000 | 0x400);
    be(&mut m, 0x4_0000 + 8 * 7, 0x5_0820);
    be(&mut m, 0x5_0800 + 8 * 9, 0x8765_4000 | 0x200);
    be(&mut m, 0x5_0800 + 8 * 10, 0x8765_4000 | 0x400);
    be(&mut m, 0x5_0800 + 8 * 11, 0x8765_4000 | 0x800);
    let s = AddressSpace::s390x_asce(0x1_0000 | 0xc | 3, true);
    let region = 3 << 53 | 0x201 << 42;
    let third = region | 0x300 << 31;
    assert_eq!(at(&s, &m, third | 5 << 20 | 9 << 12 | 0x123), Some((0x8765_4123, 4096)));
    assert_eq!(at(&s, &m, third | 6 << 20 | 0x4_5678), Some((0x0124_5678, 1 << 20)));
    assert_eq!(at(&s, &m, region | 0x301 << 31 | 0x1234_5678), Some((0x1_9234_5678, 2 << 30)));
    // invalid entries, and an index before the table's offset
    for none in [third | 5 << 20 | 10 << 12, third | 5 << 20 | 11 << 12, third | 7 << 20, region | 0x100 << 31, 0] {
        assert_eq!(at(&s, &m, none), None, "{none:#x}");
    }
    // without EDAT the bits say nothing
    let s = AddressSpace::s390x_asce(0x1_0000 | 0xc | 3, false);
    assert_eq!(at(&s, &m, region | 0x301 << 31), None);
    // shorter trees begin further down, and have no addresses above them; the length limits the root
    let s = AddressSpace::s390x_asce(0x4_0000, true);
    assert_eq!(at(&s, &m, 5 << 20 | 9 << 12), Some((0x8765_4000, 4096)));
    assert_eq!((at(&s, &m, 0x200 << 20), at(&s, &m, 1 << 31)), (None, None));
    let s = AddressSpace::s390x_asce(0x3_0000 | 4 | 3, true);
    assert_eq!(at(&s, &m, 0x300 << 31 | 5 << 20 | 9 << 12), Some((0x8765_4000, 4096)));
    // an entry of another level, a real space
    let s = AddressSpace::s390x_asce(0x2_0000 | 4 | 3, true);
    assert_eq!(at(&s, &m, 0x201 << 31), None);
    assert_eq!(at(&AddressSpace::s390x_asce(0x20, true), &m, 0x1234), Some((0x1234, 0)));
}

#[test]
fn the_prefix_of_ibm_z() {
    for (real, absolute) in
        [(0, 0x8000), (0x1fff, 0x9fff), (0x2000, 0x2000), (0x8000, 0), (0x9fff, 0x1fff), (0xa000, 0xa000)]
    {
        assert_eq!(super::s390x::absolute(0x8000, real), absolute);
    }
}

#[test]
fn no_registers_make_a_walk_fail_otherwise_than_with_an_error() {
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 11) ^ random << 7
    };
    let mut m = FewPages::default();
    for page in 0..16 {
        for i in 0..512 {
            // half of the entries lead to pages that are there
            let v = next();
            let v = if v & 0x100 == 0 { v & 0xffff | v & mask(3) << 61 } else { v };
            le(&mut m, page << 12 | i << 3, v);
        }
    }
    for _ in 0..20_000 {
        let (a, b) = (next(), next());
        let spaces = [
            AddressSpace::x86(X86Mode::of(1 << 31 | a, b, a >> 3), a & 0xffff, a & b),
            AddressSpace::riscv(RiscvMode::of(a, 64).unwrap_or(Some(RiscvMode::Sv48)), a & !0xfff_ffff_fff0),
            AddressSpace::s390x_asce(a & 0xffff, b & 1 == 1),
            AddressSpace::s390x_asce(a, b & 1 == 1),
        ];
        let tcr = if a & 1 == 0 { a & !0x3f_003f | 16 | 16 << 16 } else { a };
        let r = arm64::Regime { names: ["", ""], ttbr: [a & 0xffff, b], tcr, two: b & 2 == 0, big_endian: b & 4 == 0 };
        for s in spaces.iter().cloned().chain(AddressSpace::of_regime(r).ok()) {
            for va in [a, b, a & 0xffff_ffff, b | 0xffff_f000_0000_0000] {
                let w = s.walk(&m, va);
                assert!(w.steps.len() <= 5 && w.same > 0);
            }
            if b & 0x1ff == 0 {
                let mut end = 0;
                let done = s.mapped(&m, 0..=u64::MAX, 50, &mut |x| {
                    assert!(x.bytes > 0 && (end == 0 || x.virt >= end), "{x:x?} after {end:#x}");
                    end = x.virt.saturating_add(x.bytes);
                    Ok(())
                });
                assert!(done.unwrap().tables <= 50);
            }
        }
    }
}
