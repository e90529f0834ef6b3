//! ELF core dumps: all offsets first, then the bytes around memory.

use super::bytes::Bytes;
use super::guest::Guest;
use crate::error::{Error, ErrorKind, Result};
use crate::machine::Region;
use crate::offset::{Gpa, Sure};

/// How the file is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElfLayout {
    /// Program headers after the ELF header, which every reader finds.
    #[default]
    Standard,
    /// As QEMU 7.2 and later: section headers first, and a size of the ELF header that is wrong. `makedumpfile` refuses this.
    Qemu,
    /// As QEMU 5.2: no section headers.
    Qemu52,
}

/// A range of virtual memory and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping {
    /// The virtual address.
    pub virtual_address: u64,
    /// The guest-physical address.
    pub physical_address: Gpa,
    /// The number of bytes.
    pub bytes: u64,
}

/// A piece of memory and its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placed {
    /// The piece.
    pub region: Region,
    /// Where it begins in the file.
    pub at: u64,
}

/// A file that is ready to be written.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ElfPlan {
    /// What comes before memory, from offset 0.
    pub head: Vec<u8>,
    /// Where memory begins; between the head and memory there may be room for a note that is found later.
    pub memory_at: u64,
    /// The pieces of memory, which follow each other.
    pub memory: Vec<Placed>,
    /// What comes after memory.
    pub tail: Vec<u8>,
    /// The length of the file.
    pub len: u64,
}

/// What a file is planned with.
#[derive(Clone, Copy, Debug, Default)]
pub struct ElfOptions<'a> {
    /// The layout.
    pub layout: ElfLayout,
    /// Program headers of virtual memory instead of those of physical memory.
    pub mappings: Option<&'a [Mapping]>,
    /// Bytes that are kept free for a `VMCOREINFO` note which is not known yet.
    pub room: u64,
}

/// A program header.
struct Load {
    offset: u64,
    vaddr: u64,
    paddr: u64,
    file_bytes: u64,
    bytes: u64,
}

/// The number of program headers that needs a section header to say it.
const PN_XNUM: usize = 0xffff;
/// What memory is aligned to in the file.
const PAGE: u64 = 4096;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const SHT_STRTAB: u32 = 3;
/// The string table that QEMU writes after memory.
const STRINGS: &[u8; 11] = b"\0.shstrtab\0";

/// Cuts memory to a range of guest-physical addresses.
///
/// # Errors
/// `Missing` when there is no memory in the range.
pub fn cut(memory: &[Region], begin: u64, length: u64) -> Result<Vec<Region>> {
    // a range to beyond the last address is all that there is from `begin` on
    let end = begin.saturating_add(length);
    let mut out = Vec::new();
    for r in memory {
        let from = r.gpa.0.max(begin);
        let to = r.end().0.min(end);
        if let Some(bytes) = to.checked_sub(from).filter(|n| *n > 0) {
            let skipped = from.minus(r.gpa.0);
            out.push(Region { gpa: Gpa(from), bytes, block_offset: r.block_offset.plus(skipped), ..*r });
        }
    }
    if out.is_empty() {
        let what = format!("no guest memory from {begin:#x} to {end:#x}");
        return Err(Error::new(ErrorKind::Missing, what));
    }
    Ok(out)
}

/// Plans a file. Without mappings, each piece of memory has a program header whose virtual address is the physical one.
///
/// # Errors
/// `Unsupported` when the addresses do not fit into a file of 32 bits.
pub fn plan(guest: &Guest, how: &ElfOptions<'_>) -> Result<ElfPlan> {
    let ElfOptions { layout, mappings, room } = *how;
    let wide = guest.target.wide;
    let end = guest.end();
    if !wide && end > 1 << 32 {
        let what = format!("memory ends at {end:#x}, which an ELF file of 32 bits cannot say");
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    let loads = 1_usize.plus(mappings.map_or(guest.memory.len(), <[Mapping]>::len));
    let sizes = Sizes::of(layout, wide, loads);
    let notes = guest.notes.len() as u64;
    let notes = notes.plus(guest.vmcoreinfo.as_ref().map_or(0, |v| v.len() as u64));
    let notes_end = sizes.notes_at.plus(notes.max(room.plus(guest.notes.len() as u64)));
    // pages that are written to pages of the file cost the system less
    let memory_at = match layout {
        ElfLayout::Standard => notes_end.checked_next_multiple_of(PAGE).unwrap_or(notes_end),
        _ => notes_end,
    };
    let mut at = memory_at;
    let mut memory = Vec::with_capacity(guest.memory.len());
    for region in &guest.memory {
        memory.push(Placed { region: *region, at });
        at = at.plus(region.bytes);
    }
    let mut head = Bytes::new(guest.target.order);
    let mut headers = vec![Load { offset: sizes.notes_at, vaddr: 0, paddr: 0, file_bytes: notes, bytes: notes }];
    match mappings {
        None => headers.extend(memory.iter().map(identity)),
        Some(m) => headers.extend(m.iter().map(|m| mapped(m, &memory))),
    }
    file_header(&mut head, guest, &sizes);
    if layout == ElfLayout::Qemu {
        section_headers(&mut head, guest, &sizes, at);
    }
    for (n, load) in headers.iter().enumerate() {
        program_header(&mut head, load, if n == 0 { PT_NOTE } else { PT_LOAD }, wide);
    }
    if layout != ElfLayout::Qemu && sizes.sections > 0 {
        null_section(&mut head, wide, loads);
    }
    debug_assert_eq!(head.len(), sizes.notes_at, "the plan and the bytes disagree");
    head.raw(&guest.notes);
    head.raw(guest.vmcoreinfo.as_deref().unwrap_or_default());
    let tail = if layout == ElfLayout::Qemu { STRINGS.to_vec() } else { Vec::new() };
    let len = at.plus(tail.len() as u64);
    Ok(ElfPlan { head: head.out, memory_at, memory, tail, len })
}

/// The sizes of headers, and where they are.
struct Sizes {
    layout: ElfLayout,
    file_header: u64,
    program_header: u64,
    section_header: u64,
    loads: usize,
    sections: u64,
    program_headers_at: u64,
    sections_at: u64,
    notes_at: u64,
}

impl Sizes {
    fn of(layout: ElfLayout, wide: bool, loads: usize) -> Self {
        let (file_header, program_header, section_header) = if wide { (64, 56, 64) } else { (52, 32, 40_u64) };
        let programs = (loads as u64).times(program_header);
        let many = u64::from(loads >= PN_XNUM);
        let (sections, program_headers_at, sections_at) = match layout {
            ElfLayout::Qemu => (2, section_header.times(2).plus(file_header), file_header),
            _ => (many, file_header, programs.plus(file_header)),
        };
        let notes_at = match layout {
            ElfLayout::Qemu => program_headers_at.plus(programs),
            _ => sections_at.plus(sections.times(section_header)),
        };
        Self {
            layout,
            file_header,
            program_header,
            section_header,
            loads,
            sections,
            program_headers_at,
            sections_at,
            notes_at,
        }
    }
}

fn short(v: u64) -> u16 {
    u16::try_from(v).unwrap_or(u16::MAX)
}

fn file_header(out: &mut Bytes, guest: &Guest, s: &Sizes) {
    let t = &guest.target;
    out.raw(b"\x7fELF");
    let data = if t.order == super::Order::Little { 1 } else { 2 };
    out.raw(&[if t.wide { 2 } else { 1 }, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // a core dump of version 1
    out.u16(4);
    out.u16(t.kind.elf_machine());
    out.u32(1);
    out.word(0, t.wide);
    out.word(s.program_headers_at, t.wide);
    out.word(if s.sections > 0 { s.sections_at } else { 0 }, t.wide);
    out.u32(0);
    // QEMU gives the size of a pointer to the header
    out.u16(if s.layout == ElfLayout::Qemu { 8 } else { short(s.file_header) });
    out.u16(short(s.program_header));
    out.u16(short(s.loads as u64));
    out.u16(if s.sections > 0 { short(s.section_header) } else { 0 });
    out.u16(short(s.sections));
    out.u16(if s.layout == ElfLayout::Qemu { 1 } else { 0 });
}

fn program_header(out: &mut Bytes, l: &Load, kind: u32, wide: bool) {
    out.u32(kind);
    if wide {
        out.u32(0);
    }
    for v in [l.offset, l.vaddr, l.paddr, l.file_bytes, l.bytes] {
        out.word(v, wide);
    }
    if !wide {
        out.u32(0);
    }
    // memory is aligned in the file, but a header that says so makes crash take the file for an older format
    out.word(0, wide);
}

/// The section header that says how many program headers there are.
fn null_section(out: &mut Bytes, wide: bool, loads: usize) {
    section(out, wide, [0, 0, 0, 0, 0, 0, loads as u64, 0, 0]);
}

/// QEMU's two section headers. It writes the second one in the byte order of the host, which is taken to be little-endian here.
fn section_headers(out: &mut Bytes, guest: &Guest, s: &Sizes, strings_at: u64) {
    let wide = guest.target.wide;
    let many = if s.loads >= PN_XNUM { s.loads } else { 0 };
    null_section(out, wide, many);
    let mut host = Bytes::new(super::Order::Little);
    section(&mut host, wide, [1, SHT_STRTAB.into(), 0, 0, strings_at, STRINGS.len() as u64, 0, 0, 0]);
    out.raw(&host.out);
}

/// Name, type, flags, address, offset, size, info, alignment, and the size of an entry.
fn section(out: &mut Bytes, wide: bool, f: [u64; 9]) {
    let [name, kind, flags, address, offset, size, info, align, entry] = f;
    out.u32(super::bytes::low32(name));
    out.u32(super::bytes::low32(kind));
    for v in [flags, address, offset, size] {
        out.word(v, wide);
    }
    out.u32(0);
    out.u32(super::bytes::low32(info));
    out.word(align, wide);
    out.word(entry, wide);
}

fn identity(p: &Placed) -> Load {
    let at = p.region.gpa.0;
    Load { offset: p.at, vaddr: at, paddr: at, file_bytes: p.region.bytes, bytes: p.region.bytes }
}

/// A mapping whose memory is not in the file has the offset of all ones, and no bytes of the file.
fn mapped(m: &Mapping, memory: &[Placed]) -> Load {
    let paddr = m.physical_address.0;
    let found = memory.iter().find_map(|p| {
        let within = paddr.checked_sub(p.region.gpa.0).filter(|n| *n < p.region.bytes)?;
        Some((p.at.plus(within), m.bytes.min(p.region.bytes.minus(within))))
    });
    let (offset, file_bytes) = found.unwrap_or((u64::MAX, 0));
    let vaddr = if m.virtual_address == 0 { paddr } else { m.virtual_address };
    Load { offset, vaddr, paddr, file_bytes, bytes: m.bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::{Kind, Order, Target};
    use crate::offset::RamOffset;

    #[test]
    fn a_note_that_fits_into_the_room_moves_no_memory() {
        let target = Target { kind: Kind::X86_64, order: Order::Little, wide: true, block_size: 4096 };
        let region = Region { gpa: Gpa(0), bytes: 4096, block: 0, block_offset: RamOffset(0), why: "table" };
        let mut guest = Guest::new(target, &[], vec![region]);
        let options = ElfOptions { room: 8000, ..ElfOptions::default() };
        let mut planned = |note: usize| {
            guest.vmcoreinfo = Some(vec![1; note]);
            let plan = plan(&guest, &options).unwrap();
            (plan.memory_at, plan.memory.first().map(|p| p.at), plan.head.len())
        };
        // after 176 bytes of headers
        assert_eq!(planned(0), (8192, Some(8192), 176));
        assert_eq!(planned(8000), (8192, Some(8192), 8176));
        assert_eq!(planned(8100), (12288, Some(12288), 8276));
    }
}
