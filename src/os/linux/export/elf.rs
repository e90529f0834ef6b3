//! An ELF file with the symbols and the types of a kernel, and nothing else: for gdb, pahole, bpftool, perf.
//!
//! Debuggers look a symbol up by its address only inside of a section, so the image is covered by two sections that have
//! addresses and sizes, but no content in the file: `.text` from `_text` to `_etext`, `.data` from there to `_end`.

use std::io::{self, Write};

use super::super::guest::Guest;
use super::super::info::Machine;
use super::super::kallsyms::Symbol;
use super::{Addresses, Code, Shift};
use crate::offset::Sure;

const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const SHT_NOTE: u32 = 7;
const SHT_NOBITS: u32 = 8;
/// Writable, has an address, executable.
const WRITE: u64 = 1;
const ALLOC: u64 = 2;
const EXEC: u64 = 4;
/// The section of symbols that are outside of the image.
const ABSOLUTE: u16 = 0xfff1;
const NAMES: &[u8] = b"\0.text\0.data\0.symtab\0.strtab\0.BTF\0.note.gnu.build-id\0.shstrtab\0";
/// Section headers: none, `.text`, `.data`, `.symtab`, `.strtab`, `.BTF`, `.note.gnu.build-id`, `.shstrtab`.
const SECTIONS: u16 = 8;
/// Bytes of a build ID; those of linkers have 20 or fewer.
const MAX_BUILD_ID: usize = 64;
/// Bytes of a symbol that has no other after it in its section.
const LAST: u64 = 1;

/// Writes numbers of a target.
struct Target {
    big: bool,
    wide: bool,
}

impl Target {
    fn number(&self, out: &mut Vec<u8>, v: u64, bytes: usize) {
        let le = v.to_le_bytes();
        let low = le.get(..bytes).unwrap_or_default();
        if self.big { out.extend(low.iter().rev()) } else { out.extend(low) }
    }

    /// Adds an address or a size.
    fn word(&self, out: &mut Vec<u8>, v: u64) {
        self.number(out, v, if self.wide { 8 } else { 4 });
    }
}

/// A section.
#[derive(Clone, Copy, Default)]
struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    address: u64,
    at: u64,
    size: u64,
    link: u32,
    info: u32,
    align: u64,
    entry: u64,
}

/// A symbol that is ready to be written.
struct Entry {
    name: u32,
    info: u8,
    section: u16,
    value: u64,
    size: u64,
}

/// Writes an ELF file.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, guest: &Guest<'_>, how: Addresses) -> io::Result<()> {
    let t = Target { big: guest.types().is_big_endian(), wide: guest.types().word() == 8 };
    let shift = Shift::of(guest.kernel(), guest.symbols());
    let (symbols, code) = (Image::of(guest, &shift), Code::of(guest));
    let (mut strings, mut entries) = (vec![0_u8], Vec::new());
    let mut all = guest.symbols().iter().peekable();
    while let Some(s) = all.next() {
        let next = all.peek().map(|n| n.address);
        let (section, end) = symbols.section(s.address);
        let size = match next {
            Some(n) if section != ABSOLUTE => n.min(end).saturating_sub(s.address),
            None if section != ABSOLUTE => end.saturating_sub(s.address).min(LAST),
            _ => 0,
        };
        let name = u32::try_from(strings.len()).unwrap_or(0);
        strings.extend(s.exact().as_bytes());
        strings.push(0);
        let value = shift.address(s.address, how);
        entries.push(Entry { name, info: binding(&s) << 4 | kind(&s, &code), section, value, size });
    }
    // local symbols come first
    entries.sort_by_key(|e| e.info >> 4 != 0);
    let locals = entries.iter().filter(|e| e.info >> 4 == 0).count();
    let mut table = Vec::new();
    symbol(&t, &mut table, &Entry { name: 0, info: 0, section: 0, value: 0, size: 0 });
    entries.iter().for_each(|e| symbol(&t, &mut table, e));

    let (head, entry, section) = if t.wide { (64, 24, 64) } else { (52, 16, 40) };
    let btf = guest.types().bytes();
    let mut at = head;
    let mut place = |size: usize, align: u64| {
        let begin = u64::next_multiple_of(at, align);
        at = begin.plus(size as u64);
        (begin, size as u64)
    };
    let (table_at, table_len) = place(table.len(), 8);
    let (btf_at, btf_len) = place(btf.len(), 8);
    let (strings_at, strings_len) = place(strings.len(), 1);
    let note = build_id(&t, guest);
    let (note_at, note_len) = place(note.len(), 4);
    let (names_at, names_len) = place(NAMES.len(), 1);
    let (headers_at, _) = place(usize::from(SECTIONS).times(section), 8);
    let moved = |a: u64| shift.address(a, how);
    let list = [
        Section::default(),
        Section {
            name: ".text",
            kind: SHT_NOBITS,
            flags: ALLOC | EXEC,
            address: moved(symbols.start),
            at: head,
            size: symbols.code_end.saturating_sub(symbols.start),
            align: 16,
            ..Section::default()
        },
        Section {
            name: ".data",
            kind: SHT_NOBITS,
            flags: ALLOC | WRITE,
            address: moved(symbols.code_end),
            at: head,
            size: symbols.end.saturating_sub(symbols.code_end),
            align: 16,
            ..Section::default()
        },
        Section {
            name: ".symtab",
            kind: SHT_SYMTAB,
            at: table_at,
            size: table_len,
            link: 4,
            info: u32::try_from(locals.plus(1)).unwrap_or(u32::MAX),
            align: 8,
            entry,
            ..Section::default()
        },
        Section {
            name: ".strtab",
            kind: SHT_STRTAB,
            at: strings_at,
            size: strings_len,
            align: 1,
            ..Section::default()
        },
        Section { name: ".BTF", kind: SHT_PROGBITS, at: btf_at, size: btf_len, align: 8, ..Section::default() },
        Section {
            name: ".note.gnu.build-id",
            kind: SHT_NOTE,
            at: note_at,
            size: note_len,
            align: 4,
            ..Section::default()
        },
        Section { name: ".shstrtab", kind: SHT_STRTAB, at: names_at, size: names_len, align: 1, ..Section::default() },
    ];

    let mut w = Placed { out, at: 0 };
    w.put(0, &header(&t, guest, headers_at))?;
    w.put(table_at, &table)?;
    w.put(btf_at, btf)?;
    w.put(strings_at, &strings)?;
    w.put(note_at, &note)?;
    w.put(names_at, NAMES)?;
    let mut headers = Vec::new();
    list.iter().for_each(|s| section_header(&t, &mut headers, s));
    w.put(headers_at, &headers)
}

/// Returns the note with the build ID, by which drgn and others know the kernel; nothing if VMCOREINFO does not have it.
fn build_id(t: &Target, guest: &Guest<'_>) -> Vec<u8> {
    let digits = guest.kernel().info().and_then(|i| i.get("BUILD-ID")).unwrap_or_default().as_bytes();
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
    let id: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    let mut out = Vec::new();
    if let Some(id) = id.filter(|id| (1..=MAX_BUILD_ID).contains(&id.len())) {
        for v in [4, id.len() as u64, 3] {
            t.number(&mut out, v, 4);
        }
        out.extend(b"GNU\0");
        out.extend(&id);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// A writer that knows where it is.
struct Placed<'w> {
    out: &'w mut dyn Write,
    at: u64,
}

impl Placed<'_> {
    /// Writes bytes at a place that is not before the last one.
    fn put(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let gap = usize::try_from(at.minus(self.at)).unwrap_or(0);
        self.out.write_all([0; 16].get(..gap).unwrap_or_default())?;
        self.out.write_all(bytes)?;
        self.at = at.plus(bytes.len() as u64);
        Ok(())
    }
}

/// Where the parts of the kernel's image are.
struct Image {
    start: u64,
    code_end: u64,
    end: u64,
}

impl Image {
    fn of(guest: &Guest<'_>, shift: &Shift) -> Self {
        let named = |name: &str| guest.symbols().named(name).next().map(|s| s.address);
        let start = named("_text").or_else(|| named("_stext")).unwrap_or(shift.from);
        // symbols of a kernel that lists functions alone end before its data
        let last = guest.symbols().iter().map(|s| s.address).max().unwrap_or(start);
        let end = named("_end").unwrap_or(last.saturating_add(1)).max(start);
        let code_end = named("_etext").filter(|e| (start..=end).contains(e)).unwrap_or(end);
        Self { start, code_end, end }
    }

    /// Returns the section of an address, and where it ends.
    fn section(&self, address: u64) -> (u16, u64) {
        match address {
            a if a < self.start || a > self.end => (ABSOLUTE, a),
            a if a < self.code_end => (1, self.code_end),
            _ => (2, self.end),
        }
    }
}

fn binding(s: &Symbol<'_>) -> u8 {
    match s.kind {
        'w' | 'W' | 'v' | 'V' => 2,
        k if k.is_ascii_uppercase() => 1,
        _ => 0,
    }
}

/// `STT_FUNC`, `STT_OBJECT`, or no type for absolute symbols.
fn kind(s: &Symbol<'_>, code: &Code) -> u8 {
    match s.kind {
        _ if code.has(s) => 2,
        'a' | 'A' => 0,
        _ => 1,
    }
}

fn symbol(t: &Target, out: &mut Vec<u8>, e: &Entry) {
    t.number(out, e.name.into(), 4);
    if t.wide {
        out.extend([e.info, 0]);
        t.number(out, e.section.into(), 2);
        t.number(out, e.value, 8);
        t.number(out, e.size, 8);
    } else {
        t.number(out, e.value, 4);
        t.number(out, e.size, 4);
        out.extend([e.info, 0]);
        t.number(out, e.section.into(), 2);
    }
}

fn section_header(t: &Target, out: &mut Vec<u8>, s: &Section) {
    let name = memchr::memmem::find(NAMES, [s.name.as_bytes(), b"\0"].concat().as_slice()).unwrap_or(0);
    t.number(out, name as u64, 4);
    t.number(out, s.kind.into(), 4);
    for v in [s.flags, s.address, s.at, s.size] {
        t.word(out, v);
    }
    t.number(out, s.link.into(), 4);
    t.number(out, s.info.into(), 4);
    t.word(out, s.align);
    t.word(out, s.entry);
}

fn header(t: &Target, guest: &Guest<'_>, headers_at: u64) -> Vec<u8> {
    let machine = match guest.kernel().machine() {
        Machine::X86_64 => 62,
        Machine::I386 => 3,
        Machine::Arm64 => 183,
        Machine::S390x => 22,
        Machine::Riscv64 => 243,
        Machine::Ppc64 => 21,
        Machine::LoongArch64 => 258,
        Machine::Unknown => 0,
    };
    let mut out = vec![0x7f, b'E', b'L', b'F', if t.wide { 2 } else { 1 }, if t.big { 2 } else { 1 }, 1];
    out.resize(16, 0);
    // an executable file, without program headers
    for (v, bytes) in [(2, 2), (machine, 2), (1, 4)] {
        t.number(&mut out, v, bytes);
    }
    for v in [0, 0, headers_at] {
        t.word(&mut out, v);
    }
    let (head, section) = if t.wide { (64, 64) } else { (52, 40) };
    t.number(&mut out, 0, 4);
    for v in [head, 0, 0, section, SECTIONS.into(), u64::from(SECTIONS).minus(1)] {
        t.number(&mut out, v, 2);
    }
    out
}
