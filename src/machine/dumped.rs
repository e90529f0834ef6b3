//! Which memory belongs to a core dump.
//!
//! QEMU dumps what the processors see as RAM, ROMs and the memory of devices included (`guest_phys_blocks_region_add` in
//! `system/memory_mapping.c`): a video card hides main memory at 640 KiB, the host bridge chooses between RAM and ROM below
//! 1 MiB, and a card's own memory is where its BAR says.

use super::model::{BAR, FIRMWARE, MemoryMap, Region};
use super::pc;
use crate::offset::{Gpa, RamOffset, Sure};
use crate::ram::RamBlock;
use crate::text::Name;

/// What a PC's devices say of memory.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Windows {
    /// Whether there is a VGA card, whose window hides 128 KiB of main memory from 640 KiB on.
    pub vga: bool,
    /// The registers of the host bridge that choose between RAM and ROM from 768 KiB on (PAM0 to PAM6).
    pub pam: Option<[u8; 7]>,
    /// Memory of devices: the index of the block, and its address.
    pub bars: Vec<(usize, u64)>,
}

const VGA: u64 = 0xa_0000;
const ROMS: u64 = 0xc_0000;
const BIOS: u64 = 0xe_0000;
const MIB: u64 = 0x10_0000;
/// A PAM register has two fields, each for this many bytes; the last 64 KiB have one field.
const PAM_STEP: u64 = 0x4000;
/// The field allows reads from RAM.
const PAM_READ: u8 = 1;

/// Returns the memory that belongs to a dump, by address. Pieces that follow each other in their block are one.
#[must_use]
pub fn dumped(machine: Option<&Name>, blocks: &[RamBlock], map: &MemoryMap, windows: &Windows) -> Vec<Region> {
    let pc = pc::family(machine.map_or("", Name::exact), blocks).is_some();
    let name = |i: usize| blocks.get(i).map_or("", |b| b.name.exact());
    let mut out: Vec<Region> = Vec::new();
    for r in &map.regions {
        // flash is a device, not memory
        if r.why == FIRMWARE && name(r.block).contains("flash") {
            continue;
        }
        if pc && r.gpa == Gpa(0) {
            low(&mut out, r, blocks, windows);
        } else {
            out.push(*r);
        }
    }
    for (block, address) in &windows.bars {
        let Some(bytes) = blocks.get(*block).map(|b| b.len) else { continue };
        let card = Region { gpa: Gpa(*address), bytes, block: *block, block_offset: RamOffset(0), why: BAR };
        let free = out.iter().all(|r| card.end() <= r.gpa || r.end() <= card.gpa);
        if free && *address != 0 {
            out.push(card);
        }
    }
    out.sort_by_key(|r| r.gpa);
    join(out)
}

/// Adds the main memory of a PC from address 0 on, as far as nothing hides it.
fn low(out: &mut Vec<Region>, main: &Region, blocks: &[RamBlock], windows: &Windows) {
    let end = main.bytes;
    let mut add = |from: u64, to: u64| {
        let to = to.min(end);
        if from < to {
            let block_offset = main.block_offset.plus(from);
            out.push(Region { gpa: Gpa(from), bytes: to.minus(from), block_offset, ..*main });
        }
    };
    add(0, VGA);
    if !windows.vga {
        add(VGA, ROMS);
    }
    let mut roms = Vec::new();
    for from in (ROMS..MIB).step_by(usize::try_from(PAM_STEP).unwrap_or(1)) {
        let to = from.plus(PAM_STEP);
        // without a host bridge ROMs are always there
        let shown = if windows.pam.is_some_and(|pam| reads_ram(&pam, from)) { None } else { rom(blocks, from, to) };
        match shown {
            Some(r) => roms.push(r),
            // where there is no ROM, main memory shows
            None => add(from, to),
        }
    }
    add(MIB, end);
    out.extend(roms);
}

/// Returns the ROM at an address below 1 MiB: the option ROMs from 768 KiB on, and the end of the BIOS from 896 KiB on.
fn rom(blocks: &[RamBlock], from: u64, to: u64) -> Option<Region> {
    let bios = blocks.iter().position(|b| matches!(b.name.exact(), "isa-bios" | "pc.bios"));
    let option_roms = blocks.iter().position(|b| b.name == "pc.rom");
    let block = if from < BIOS { option_roms } else { bios }?;
    let len = blocks.get(block)?.len;
    let at = if from < BIOS { from.checked_sub(ROMS) } else { from.checked_add(len)?.checked_sub(MIB) }?;
    let bytes = to.checked_sub(from)?;
    (at.checked_add(bytes)? <= len).then_some(Region {
        gpa: Gpa(from),
        bytes,
        block,
        block_offset: RamOffset(at),
        why: FIRMWARE,
    })
}

/// Returns whether reads of an address go to RAM: PAM0 has the last 64 KiB in its upper half, PAM1 to PAM6 have 16 KiB in each
/// half (`pam_update` in `hw/pci-host/pam.c`).
fn reads_ram(pam: &[u8; 7], address: u64) -> bool {
    let field = match address.checked_sub(0xf_0000) {
        Some(_) => pam[0] >> 4,
        None => {
            let n = address.minus(ROMS) >> 14;
            let register = usize::try_from(n >> 1).ok().and_then(|i| pam.get(i.plus(1)));
            let register = register.copied().unwrap_or(0);
            if n & 1 == 0 { register } else { register >> 4 }
        }
    };
    field & PAM_READ != 0
}

/// Joins pieces that follow each other in memory and in their block.
fn join(regions: Vec<Region>) -> Vec<Region> {
    let mut out: Vec<Region> = Vec::new();
    for r in regions {
        match out.last_mut().filter(|last| {
            last.block == r.block && last.end() == r.gpa && last.block_offset.plus(last.bytes) == r.block_offset
        }) {
            Some(last) => last.bytes = last.bytes.plus(r.bytes),
            None => out.push(r),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::StreamRange;

    fn block(name: &str, len: u64) -> RamBlock {
        let entry = StreamRange::default();
        RamBlock { name: name.into(), len, page_size: None, region_address: None, mapped: None, entry }
    }

    fn pc(windows: &Windows) -> Vec<(u64, u64, usize, u64)> {
        let blocks = [
            block("pc.ram", 1 << 28),
            block("pc.bios", 0x4_0000),
            block("pc.rom", 0x2_0000),
            block("vga.vram", 1 << 24),
        ];
        let region = |gpa, bytes, block, why| Region { gpa: Gpa(gpa), bytes, block, block_offset: RamOffset(0), why };
        let regions = vec![region(0, 1 << 28, 0, "table"), region(0xfffc_0000, 0x4_0000, 1, FIRMWARE)];
        let map = MemoryMap { regions, ..MemoryMap::default() };
        let out = dumped(Some(&"pc-i440fx-10.0".into()), &blocks, &map, windows);
        out.iter().map(|r| (r.gpa.0, r.bytes, r.block, r.block_offset.0)).collect()
    }

    #[test]
    fn a_pc_after_its_bios_is_one_piece_around_the_video_memory() {
        let pam = Some([0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33]);
        let bios = (0xfffc_0000, 0x4_0000, 1, 0);
        assert_eq!(pc(&Windows { pam, ..Windows::default() }), [(0, 1 << 28, 0, 0), bios]);
        let with_card = Windows { vga: true, pam, bars: vec![(3, 0xfd00_0000)] };
        let parts =
            [(0, 0xa_0000, 0, 0), (0xc_0000, (1 << 28) - 0xc_0000, 0, 0xc_0000), (0xfd00_0000, 1 << 24, 3, 0), bios];
        assert_eq!(pc(&with_card), parts);
    }

    #[test]
    fn a_pc_at_reset_has_roms_below_1_mib() {
        let parts = [
            (0, 0xc_0000, 0, 0),
            (0xc_0000, 0x2_0000, 2, 0),
            (0xe_0000, 0x2_0000, 1, 0x2_0000),
            (0x10_0000, (1 << 28) - 0x10_0000, 0, 0x10_0000),
            (0xfffc_0000, 0x4_0000, 1, 0),
        ];
        assert_eq!(pc(&Windows { pam: Some([0; 7]), ..Windows::default() }), parts);
    }
}
