//! Puts the map together.

use super::model::{FIRMWARE, MapFacts, MemoryMap, Region, Span};
use super::{boards, pc};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::offset::{Gpa, RamOffset, Sure};
use crate::ram::RamBlock;
use crate::text::{Name, list};

/// Finds the map of a machine.
///
/// # Errors
/// `Unsupported` when the machine type is not known, or its main memory cannot be distinguished from the other blocks.
pub fn layout(machine: Option<&Name>, blocks: &[RamBlock], facts: &MapFacts) -> Result<MemoryMap> {
    let machine = machine.map_or("", Name::exact);
    let mut out = MemoryMap::default();
    let given: Vec<(usize, u64)> = facts
        .given
        .iter()
        .filter_map(|(name, gpa)| blocks.iter().position(|b| b.name == *name).map(|i| (i, *gpa)))
        .collect();
    let is_given = |i: usize| given.iter().any(|(g, _)| *g == i);
    let mut main = match main_memory(machine, blocks, &is_given) {
        Err(_) if !given.is_empty() => Vec::new(),
        found => found?,
    };
    if main.len() > 1 {
        let said = facts.cmos.as_deref().and_then(pc::total_of_cmos);
        nodes_only(&mut main, blocks, said);
        let names = list(main.iter().filter_map(|i| blocks.get(*i)).map(|b| &b.name));
        out.remarks.push(format!(
            "main memory is assumed to be {}, in the order of the numbers in their names; the stream does not record this",
            names
        ));
    }
    if !main.is_empty() {
        let total = main.iter().filter_map(|i| blocks.get(*i)).map(|b| b.len).sum();
        let spans = match pc::family(machine, blocks) {
            Some(family) => pc::spans(family, machine, total, facts, &mut out.remarks)?,
            None => boards::spans(machine, total, blocks)?,
        };
        place_main(&mut out, &main, blocks, &spans);
    }
    for (i, b) in blocks.iter().enumerate() {
        if main.contains(&i) {
            continue;
        }
        if let Some((_, gpa)) = given.iter().find(|(g, _)| *g == i) {
            let gpa = Gpa(*gpa);
            out.regions.push(Region { gpa, bytes: b.len, block: i, block_offset: RamOffset(0), why: "given" });
            continue;
        }
        if let Some(v) =
            facts.virtio_mem.iter().find(|v| b.name.exact().strip_prefix(&*v.path).is_some_and(|r| r.starts_with('/')))
        {
            let bytes = b.len.min(v.bytes);
            let region =
                Region { gpa: Gpa(v.address), bytes, block: i, block_offset: RamOffset(0), why: "virtio-mem device" };
            out.regions.push(region);
            continue;
        }
        match rom(machine, b, blocks) {
            Some(gpa) => out.regions.push(Region {
                gpa: Gpa(gpa),
                bytes: b.len,
                block: i,
                block_offset: RamOffset(0),
                why: FIRMWARE,
            }),
            None => out.unplaced.push((i, unplaced_because(b.name.exact()))),
        }
    }
    if pc::family(machine, blocks).is_some() {
        place_dimm(&mut out, blocks);
    }
    out.regions.sort_by_key(|r| r.gpa);
    drop_overlaps(&mut out, blocks);
    Ok(out)
}

/// A PC with one block that has no other use has one DIMM plugged in, and the first DIMM is placed at the start of
/// the device memory region: the next whole GiB after all memory and 4 GiB (`pc_memory_init` in `hw/i386/pc.c`). With
/// more than one, their order is unknown.
fn place_dimm(out: &mut MemoryMap, blocks: &[RamBlock]) {
    let free: Vec<usize> = (0..out.unplaced.len())
        .filter(|n| out.unplaced.get(*n).is_some_and(|(_, why)| *why == NOT_IN_THE_STREAM))
        .collect();
    let [only] = free.as_slice() else { return };
    let Some(block) = out.unplaced.get(*only).map(|(i, _)| *i) else { return };
    let end = out.regions.iter().map(|r| r.end().0).fold(1 << 32, u64::max);
    let (Some(b), Some(gpa)) = (blocks.get(block), end.checked_next_multiple_of(1 << 30)) else { return };
    out.unplaced.remove(*only);
    out.remarks.push(format!(
        "{} is assumed to be a DIMM and placed at {gpa:#x}, the address of the first one; the stream does not record it",
        b.name
    ));
    out.regions.push(Region { gpa: Gpa(gpa), bytes: b.len, block, block_offset: RamOffset(0), why: "guess" });
}

/// Main memory is placed first; a ROM that would cover some of it is left out, with a remark.
fn drop_overlaps(out: &mut MemoryMap, blocks: &[RamBlock]) {
    let mut kept: Vec<Region> = Vec::new();
    for r in std::mem::take(&mut out.regions) {
        let end = kept.last().map_or(Gpa(0), Region::end);
        if r.gpa < end {
            let name = blocks.get(r.block).map_or("", |b| b.name.exact());
            out.remarks.push(format!("{name} would overlap other memory at {} and is left out", r.gpa));
            out.unplaced.push((r.block, "overlaps other memory"));
        } else {
            kept.push(r);
        }
    }
    out.regions = kept;
}

fn place_main(out: &mut MemoryMap, main: &[usize], blocks: &[RamBlock], spans: &[Span]) {
    let mut base = 0_u64;
    for i in main {
        let len = blocks.get(*i).map_or(0, |b| b.len);
        let end = base.plus(len);
        for s in spans {
            let from = s.offset.max(base);
            let to = s.offset.saturating_add(s.bytes).min(end);
            if from < to {
                out.regions.push(Region {
                    gpa: Gpa(s.gpa.saturating_add(from.minus(s.offset))),
                    bytes: to.minus(from),
                    block: *i,
                    block_offset: RamOffset(from.minus(base)),
                    why: s.why,
                });
            }
        }
        base = end;
    }
}

/// Finds main memory: the machine's own block, the backends of NUMA nodes in their order, or the one block that belongs to
/// no device.
fn main_memory(machine: &str, blocks: &[RamBlock], given: &dyn Fn(usize) -> bool) -> Result<Vec<usize>> {
    let default = blocks.iter().position(|b| boards::DEFAULT_IDS.contains(&b.name.exact()));
    if let Some(i) = default.filter(|i| !given(*i)) {
        return Ok(vec![i]);
    }
    let free = |i: usize, b: &RamBlock| !belongs_to_a_device(b.name.exact()) && !given(i);
    let candidates: Vec<usize> = blocks.iter().enumerate().filter(|(i, b)| free(*i, b)).map(|(i, _)| i).collect();
    // NUMA: ids that differ in a number at the end only
    if candidates.len() > 1 {
        let mut numbered: Vec<(u64, usize)> = Vec::new();
        let mut stem: Option<&str> = None;
        for i in &candidates {
            let Some((s, n)) = blocks.get(*i).and_then(|b| numbered_name(b.name.exact())) else { continue };
            if *stem.get_or_insert(s) == s {
                numbered.push((n, *i));
            }
        }
        numbered.sort_unstable();
        if numbered.len() == candidates.len() {
            return Ok(numbered.into_iter().map(|(_, i)| i).collect());
        }
    }
    match candidates.as_slice() {
        [one] => Ok(vec![*one]),
        [] => Err(Error::new(ErrorKind::Unsupported, "no RAM block of this stream is main memory")),
        many => {
            let names = list(many.iter().filter_map(|i| blocks.get(*i)).map(|b| &b.name));
            Err(Error::new(
                ErrorKind::Unsupported,
                format!("{machine}: cannot tell which of the blocks {} is main memory", names),
            )
            .hint(Remedy::PlaceBlocks))
        }
    }
}

/// Of blocks numbered alike, some may be plugged-in memory: NUMA nodes are the first ones, up to the total in the
/// RTC.
fn nodes_only(main: &mut Vec<usize>, blocks: &[RamBlock], said: Option<u64>) {
    let mut sum = 0_u64;
    for (n, i) in main.iter().enumerate() {
        sum = sum.plus(blocks.get(*i).map_or(0, |b| b.len));
        if Some(sum) == said {
            main.truncate(n.plus(1));
            return;
        }
    }
}

fn numbered_name(name: &str) -> Option<(&str, u64)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((stem, name.get(stem.len()..)?.parse().ok()?))
}

/// Blocks that devices and boards create besides main memory: ROMs, flash, video memory, fw_cfg files, and whatever
/// has a device's path in its name.
fn belongs_to_a_device(name: &str) -> bool {
    let path = name.strip_prefix("/objects/").is_none() && name.contains('/');
    path || [
        "pc.bios",
        "pc.rom",
        "vga.vram",
        "vmsvga.fifo",
        "system.flash0",
        "system.flash1",
        "virt.flash0",
        "virt.flash1",
    ]
    .contains(&name)
        || [".rom", ".vram", ".mrom", ".bios", ".flash", ".flash0", ".flash1", ".sram", ".bootrom"]
            .iter()
            .any(|e| name.ends_with(e))
}

/// Where the ROMs of PCs and virt boards lie.
fn rom(machine: &str, b: &RamBlock, blocks: &[RamBlock]) -> Option<u64> {
    const FOUR_GIB: u64 = 1 << 32;
    let len_of = |name: &str| blocks.iter().find(|b| b.name == name).map_or(0, |b| b.len);
    match b.name.exact() {
        // hw/i386/x86-common.c, x86_bios_rom_init: ends at 4 GiB
        "pc.bios" => FOUR_GIB.checked_sub(b.len),
        // hw/i386/pc_sysfw.c, pc_system_flash_map: flash 0 ends at 4 GiB, flash 1 below it
        "system.flash0" => FOUR_GIB.checked_sub(b.len),
        "system.flash1" => FOUR_GIB.checked_sub(len_of("system.flash0"))?.checked_sub(b.len),
        // hw/arm/virt.c and hw/riscv/virt.c, the memory maps
        "virt.flash0" | "virt.flash1" if machine.starts_with("virt") => {
            let riscv = blocks.iter().any(|b| b.name == "riscv_virt_board.mrom");
            let second = b.name.ends_with("1");
            Some(match (riscv, second) {
                (false, false) => 0,
                (false, true) => 0x0400_0000,
                (true, false) => 0x2000_0000,
                (true, true) => 0x2200_0000,
            })
        }
        "riscv_virt_board.mrom" => Some(0x1000),
        // hw/ppc/mac_oldworld.c and mac_newworld.c, PROM_BASE
        "ppc_heathrow.bios" => Some(0xffc0_0000),
        "ppc_core99.bios" => Some(0xfff0_0000),
        _ => None,
    }
}

const NOT_IN_THE_STREAM: &str = "its address is not in the stream";

fn unplaced_because(name: &str) -> &'static str {
    if name.starts_with("/rom@") {
        "a file of fw_cfg, which the guest reads through a port"
    } else if name == "pc.rom" {
        "shadowed by main memory below 1 MiB"
    } else if name.ends_with(".vram") || name.ends_with(".rom") || name == "vmsvga.fifo" {
        "behind a BAR of its device"
    } else {
        NOT_IN_THE_STREAM
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::StreamRange;

    const MIB: u64 = 1 << 20;

    fn block(name: &str, len: u64) -> RamBlock {
        RamBlock {
            name: name.into(),
            len,
            page_size: None,
            region_address: None,
            mapped: None,
            entry: StreamRange::default(),
        }
    }

    #[test]
    fn of_two_dimms_none_is_placed() {
        let blocks = [block("pc.ram", 64 * MIB), block("d1", 128 * MIB), block("d2", 128 * MIB)];
        let l = layout(Some(&"pc-q35-10.0".into()), &blocks, &MapFacts::default()).unwrap();
        assert_eq!((l.regions.len(), l.unplaced.len()), (1, 2));
    }

    #[test]
    fn a_dimm_numbered_like_the_nodes_is_no_node() {
        // QEMU lists long blocks first
        let blocks = [block("mem2", 128 * MIB), block("mem0", 32 * MIB), block("mem1", 32 * MIB)];
        let mut cmos = vec![0; 128];
        cmos[0x34..0x36].copy_from_slice(&(((64 - 16) * 16_u16).to_le_bytes()));
        let facts = MapFacts { cmos: Some(cmos), ..MapFacts::default() };
        let l = layout(Some(&"pc-q35-10.0".into()), &blocks, &facts).unwrap();
        let places: Vec<_> = l.regions.iter().map(|r| (r.gpa.0, r.bytes, r.block)).collect();
        assert_eq!(places, [(0, 32 * MIB, 1), (32 * MIB, 32 * MIB, 2), (1 << 32, 128 * MIB, 0)]);
        assert_eq!(l.regions[2].why, "guess");
        assert_eq!(l.unplaced.len(), 0);
        assert!(l.remarks.iter().any(|r| r.contains("mem0, mem1")), "{:?}", l.remarks);
    }
}
