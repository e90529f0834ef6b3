//! Headers that lie, in memory of a few pages.

use super::{Header, Width, WindowsPlan, find, find_kernel, plan};
use crate::dump::Processor;
use crate::error::{Error, ErrorKind};
use crate::machine::Region;
use crate::memory::FewPages;
use crate::offset::{Gpa, RamOffset, StreamRange};
use crate::value::{FieldType, Node, Record, Value};

const BASE: u64 = 0xffff_f800_0000_0000;

/// A guest of 64 bits: tables from page 1 on, the kernel from page 5 on, the note at page 16.
struct Guest {
    mem: FewPages,
    header: Vec<u8>,
    cpus: usize,
}

impl Guest {
    fn new() -> Self {
        let mut mem = FewPages::default();
        for (at, to) in [(0x1f80, 0x2003_u64), (0x2000, 0x3003), (0x3000, 0x4003)] {
            mem.write(at, &to.to_le_bytes());
        }
        for n in 0..4_u64 {
            mem.write(0x4000 + 8 * n, &(0x5003 + 0x1000 * n).to_le_bytes());
        }
        let mut g = Self { mem, header: b"PAGE".repeat(2048), cpus: 2 };
        g.kernel(0x10, b"KDBG");
        for (at, to) in [(0x88, BASE + 0x400), (0xc0, BASE + 0x500), (0x218, BASE + 0x600)] {
            g.kernel(at, &to.to_le_bytes());
        }
        g.kernel(0x338, &[0x20, 1]);
        g.kernel(0x400, &[0; 40]);
        for (i, block) in [0x700, 0x900].into_iter().enumerate() {
            g.kernel(0x600 + 8 * i as u64, &(BASE + block).to_le_bytes());
            g.kernel(block + 0x120, &(BASE + 0x1000 + 0x800 * i as u64).to_le_bytes());
        }
        g.mem.write(0x7000, &[0; 0x2000]);
        g.field(0, b"PAGEDU64");
        g.long(0x10, 0x1000);
        g.field(0x34, &2_u32.to_le_bytes());
        g.field(0x38, &[0; 40]);
        g.long(0x80, BASE);
        g.field(0x88, &1_u32.to_le_bytes());
        g.long(0x90, 8);
        g.runs(&[(1, 8)]);
        g.field(0xf98, &1_u32.to_le_bytes());
        g
    }

    /// Writes into the kernel's pages.
    fn kernel(&mut self, at: u64, bytes: &[u8]) {
        self.mem.write(0x5000 + at, bytes);
    }

    fn field(&mut self, at: usize, bytes: &[u8]) {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn long(&mut self, at: usize, v: u64) {
        self.field(at, &v.to_le_bytes());
    }

    fn runs(&mut self, runs: &[(u64, u64)]) {
        self.field(0x88, &(runs.len() as u32).to_le_bytes());
        for (i, (page, count)) in runs.iter().enumerate() {
            self.long(0x98 + 16 * i, *page);
            self.long(0xa0 + 16 * i, *count);
        }
    }

    fn with_note(mut self) -> Self {
        let head = [11_u32.to_le_bytes(), 8192_u32.to_le_bytes(), [0; 4]].concat();
        self.mem.write(0x1_0000, &[&head[..], b"VMCOREINFO\0\0", &self.header].concat());
        self
    }

    fn plan(self) -> Result<WindowsPlan, Error> {
        let root =
            Node::new("cpu", FieldType::new("struct"), StreamRange::new(0, 0), Value::Struct(Box::<Record>::default()));
        let cpus: Vec<Processor<'_>> = (0..self.cpus as u32).map(|i| Processor::new(i, &root)).collect();
        let header = Header::new(self.header, Gpa(0x1_0018), true).unwrap();
        let memory = [Region::new(Gpa(0x1000), 0x8000, 0, RamOffset(0))];
        plan(header, &cpus, &self.mem, &memory)
    }
}

/// Changes a sound guest, and returns what is said of it.
fn changed(change: impl FnOnce(&mut Guest)) -> Result<Vec<String>, String> {
    let mut g = Guest::new();
    change(&mut g);
    match g.plan() {
        Ok(p) => Ok(p.problems.iter().map(ToString::to_string).chain(p.remarks).collect()),
        Err(e) => Err(e.to_string()),
    }
}

#[test]
fn a_sound_guest_is_dumped_whole() {
    let p = Guest::new().plan().unwrap();
    assert_eq!(p.problems.len(), 0, "{:?}", p.problems);
    assert_eq!((p.len, p.memory.len()), (0x2000 + 0x8000, 1));
    assert_eq!(p.patches.keys().copied().collect::<Vec<_>>(), [Gpa(0x6000), Gpa(0x6800)]);
    assert_eq!(p.head[0x18..0x20], (BASE + 0x500).to_le_bytes());
    assert_eq!(p.head[0x38..0x3c], 0x161_u32.to_le_bytes());
    assert_eq!(p.head[0x348 + 0x30..][..4], 0x10_001f_u32.to_le_bytes(), "the header had no registers");
}

#[test]
fn registers_that_the_guest_left_in_the_header_are_kept() {
    let mut g = Guest::new();
    g.field(0x348, &[7; 1232]);
    assert_eq!(g.plan().unwrap().head[0x348..0x348 + 1232], [7; 1232]);
}

#[test]
fn runs_that_cannot_be_right_are_errors() {
    let place = "in Windows dump header at physical address 0x10018";
    for (runs, says) in [
        (&[][..], "expected runs of memory, found none"),
        (&[(1, 0)], "expected runs of memory, found none"),
        (&[(1, 4), (4, 4)], "expected each page in one run, found page 0x4 in two"),
        (&[(4, 4), (1, 4)], "expected each page in one run, found page 0x4 in two"),
        (&[(u64::MAX, 2)], "expected pages below 0x10000000000, found a run of 0x2 from 0xffffffffffffffff"),
        (&[(1, u64::MAX)], "expected pages below 0x10000000000, found a run of 0xffffffffffffffff from 0x1"),
        (
            &[(0, 1 << 40)],
            "the header lists 0x10000000000000 bytes of memory, of which 0xfffffffff8000 are not in the state",
        ),
    ] {
        assert_eq!(changed(|g| g.runs(runs)), Err(format!("{says} ({place})")), "{runs:x?}");
    }
    let said = changed(|g| g.field(0x88, &u32::MAX.to_le_bytes()));
    assert_eq!(said, Err(format!("expected at most 43 runs of memory, found 4294967295 ({place})")));
}

#[test]
fn memory_that_the_state_does_not_have_is_zero() {
    let mut g = Guest::new();
    g.runs(&[(0x100, 2), (0, 9)]);
    g.long(0x90, 11);
    let p = g.plan().unwrap();
    assert_eq!(p.len, 0x2000 + 11 * 4096);
    assert_eq!(
        p.memory.iter().map(|m| (m.region.gpa.0, m.region.bytes, m.at)).collect::<Vec<_>>(),
        [(0x1000, 0x8000, 0x5000)]
    );
    let said: Vec<String> = p.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["the header lists 0xb000 bytes of memory, of which 0x3000 are not in the state; they are zero in the dump"]
    );
}

#[test]
fn a_kernel_that_is_not_found_is_an_error() {
    for change in [
        |g: &mut Guest| g.kernel(0x10, b"none"),
        |g: &mut Guest| g.long(0x80, u64::MAX - 0x11),
        |g: &mut Guest| g.long(0x10, u64::MAX),
        |g: &mut Guest| g.mem.write(0x4000, &[0; 8]),
        // a table that leads to itself
        |g: &mut Guest| g.mem.write(0x1f80, &0x1003_u64.to_le_bytes()),
    ] {
        let said = changed(change).unwrap_err();
        assert!(said.starts_with("expected the kernel's debugger data (KDBG) at "), "{said}");
    }
}

#[test]
fn a_copy_of_the_debugger_data_is_the_second_chance() {
    let mut g = Guest::new();
    g.long(0x80, BASE + 0x2000);
    g.long(0x40, BASE);
    let p = g.plan().unwrap();
    assert_eq!(p.head[0x80..0x88], BASE.to_le_bytes());
    assert_eq!(p.problems.len(), 0);
    assert!(p.remarks[0].contains("is encoded"), "{:?}", p.remarks);
}

#[test]
fn each_step_fails_by_itself() {
    let out = 0x6666_0000_0000_u64.to_le_bytes();
    for (at, says) in [
        (0x88, "KiBugCheckData cannot be read; the header keeps what the driver left"),
        (0x218, "its element of KiProcessorBlock cannot be read (in registers of CPU 0)"),
        (0x600, "the address of CONTEXT in its KPRCB cannot be read (in registers of CPU 0)"),
    ] {
        let said = changed(|g| g.kernel(at, &out)).unwrap();
        assert_eq!(said[0], says);
    }
    let said = changed(|g| g.kernel(0x820, &out)).unwrap();
    assert!(said[0].contains("is not mapped") || said[0].contains("registers of CPU 0"), "{said:?}");
    // in a page that the dump does not have
    let said = changed(|g| {
        g.mem.write(0x4018, &0x2_0003_u64.to_le_bytes());
        g.mem.write(0x2_0000, &[0; 4096]);
        g.kernel(0x820, &(BASE + 0x3000).to_le_bytes());
    });
    assert_eq!(
        said.unwrap()[0],
        "CONTEXT at 0xfffff80000003000 is not in the memory of the dump (in registers of CPU 0)"
    );
}

#[test]
fn processors_that_share_their_registers_are_written_once() {
    // all elements lead to one block, and to registers that overlap
    for (at, v) in [(0x608, BASE + 0x700), (0xa20, BASE + 0x1100)] {
        let mut g = Guest::new();
        g.kernel(at, &v.to_le_bytes());
        let p = g.plan().unwrap();
        assert_eq!(p.patches.len(), 1);
        assert!(p.problems[0].to_string().contains("overlaps that of another processor"), "{}", p.problems[0]);
    }
    // one page at two addresses: the end of the registers is before their start, and then in those of the first processor
    let said = changed(|g| {
        g.mem.write(0x4010, &0x6003_u64.to_le_bytes());
        g.kernel(0x820, &(BASE + 0x1d00).to_le_bytes());
    });
    assert_eq!(said.unwrap().len(), 1);
    let said = changed(|g| {
        g.kernel(0xa20, &(BASE + 0x2000).to_le_bytes());
        g.mem.write(0x4010, &0x6003_u64.to_le_bytes());
    });
    assert!(said.unwrap()[0].contains("overlaps that of another processor"));
}

#[test]
fn a_number_of_processors_costs_nothing() {
    for (stated, there) in [(u32::MAX, 2), (0, 2), (2, 0), (1, 2)] {
        let said = changed(|g| {
            g.field(0x34, &stated.to_le_bytes());
            g.cpus = there;
        });
        let said = said.unwrap();
        assert!(said.contains(&format!("the header states {stated} processors, the state has {there}")), "{said:?}");
    }
}

#[test]
fn a_header_is_found_by_its_note_or_by_a_search() {
    let at = |g: Guest, registered| find(&g.mem, registered, None).unwrap().map(|h| (h.at.0, h.registered, h.width()));
    let found = Some((0x1_0018, false, Width::Bits64));
    assert_eq!(at(Guest::new().with_note(), Some((Gpa(0x1_0000), 8216))), Some((0x1_0018, true, Width::Bits64)));
    assert_eq!(at(Guest::new().with_note(), None), found);
    // what is registered is something else
    for (address, size) in [(0x1_0000, 4120), (0x1_0000, 4096), (0x5000, 8216), (u64::MAX, 8216)] {
        assert_eq!(at(Guest::new().with_note(), Some((Gpa(address), size))), found);
    }
    let mut g = Guest::new();
    g.kernel(0x10, b"none");
    assert_eq!(at(g.with_note(), None), None, "a search needs the kernel");
    let mut g = Guest::new().with_note();
    g.mem.write(0x1_0004, &4096_u32.to_le_bytes());
    assert_eq!(at(g, None), None, "a size that is not that of the signature");
    let mut g = Guest::new().with_note();
    g.mem.pages.remove(&0x1_2000);
    assert_eq!(at(g, None), None, "the end of the header is missing");
    assert_eq!(at(Guest::new(), None), None);
}

#[test]
fn headers_have_their_size() {
    let new = |start: &[u8], len: usize| {
        let mut bytes = start.to_vec();
        bytes.resize(len, 0);
        Header::new(bytes, Gpa(0), false).map(|h| h.width())
    };
    assert_eq!(new(b"PAGEDU64", 8192), Some(Width::Bits64));
    assert_eq!(new(b"PAGEDUMP", 4096), Some(Width::Bits32));
    for (start, len) in [(b"PAGEDU64", 4096), (b"PAGEDUMP", 8192), (b"PAGEDU65", 8192), (b"PAGEDU64", 8)] {
        assert_eq!(new(start, len), None);
    }
    let kind = changed(|g| g.field(0xf98, b"PAGE"));
    assert_eq!(kind.unwrap()[0], "the header says dump type 0x45474150; the dump is a full one, type 1");
    let e = Guest { cpus: 0, ..Guest::new() }.plan().unwrap();
    assert_eq!(e.head[0x348..0x34c], *b"PAGE", "no registers to write");
    assert!(e.problems.iter().all(|e| e.kind() != ErrorKind::Io));
}

/// A processor in long mode with this root of page tables and this interrupt table.
fn in_long_mode(cr3: u64, table: u64) -> Node {
    let number = |name: &str, v| Node::new(name, FieldType::new("uint64"), StreamRange::new(0, 8), Value::Uint(v));
    let record = |name: &str, fields| {
        let r = Record { fields, ..Record::default() };
        Node::new(name, FieldType::new("struct"), StreamRange::new(0, 8), Value::Struct(Box::new(r)))
    };
    let idt = record("env.idt", vec![number("base", table)]);
    let registers = [("env.cr[0]", 1 << 31), ("env.cr[3]", cr3), ("env.cr[4]", 0x20), ("env.efer", 0x500)];
    let mut fields: Vec<Node> = registers.map(|(n, v)| number(n, v)).into();
    fields.push(idt);
    record("cpu", fields)
}

#[test]
fn a_kernel_without_a_header_is_named() {
    let sound = || {
        let mut g = Guest::new();
        // the interrupt table in the kernel's second page: offsets of a handler in its fourth page
        g.mem.write(0x6000, &[0x34, 0x32, 0x10, 0, 0, 0x8e, 0, 0, 0, 0xf8, 0xff, 0xff, 0, 0, 0, 0]);
        g.mem.write(0x6ff0, b"MZ, which no page begins with");
        g.kernel(0, b"MZ");
        g.kernel(0x3c, &[0x80, 0, 0, 0]);
        g.kernel(0x80, b"PE\0\0");
        g.kernel(0x98, &[0x0b, 2]);
        // the debug directory at 0x200: another kind of entry, and then the one that names the symbols at 0x300
        g.kernel(0x98 + 0xa0, &[0, 2, 0, 0, 56, 0, 0, 0]);
        g.kernel(0x20c, &[13]);
        g.kernel(0x200 + 28 + 12, &[2, 0, 0, 0, 37, 0, 0, 0, 0, 3, 0, 0]);
        g.kernel(
            0x300,
            b"RSDS\x10\x32\x54\x76\x98\xba\xdc\xfe\x01\x23\x45\x67\x89\xab\xcd\xef\x05\0\0\0ntkrnlmp.pdb\0",
        );
        g
    };
    let named = |g: &Guest, cr3| {
        let root = in_long_mode(cr3, BASE + 0x1000);
        find_kernel(&g.mem, &Processor::new(0, &root)).unwrap().map(|k| k.to_string())
    };
    let expected = "a Windows kernel is at 0xfffff80000000000, with symbols in ntkrnlmp.pdb (GUID 76543210-BA98-FEDC-0123-456789ABCDEF, age 5)";
    assert_eq!(named(&sound(), 0x1000).as_deref(), Some(expected));
    for (at, byte) in [(0, 0), (0x3f, 0xff), (0x80, 0), (0x98, 0x0c), (0x13b, 0x7f), (0x13c, 3), (0x300, 0), (0x318, 0)]
    {
        let mut g = sound();
        g.kernel(at, &[byte]);
        assert_eq!(named(&g, 0x1000), None, "{at:#x}");
    }
    assert_eq!(named(&sound(), 0x8000), None, "other page tables");
    // every page begins like an image, and the handler is 1 GiB above the first: the search ends all the same
    let mut g = sound();
    g.kernel(0x300, b"none");
    for n in 0..512 {
        g.mem.write(0x3000 + 8 * n, &0x4003_u64.to_le_bytes());
        g.mem.write(0x4000 + 8 * n, &0x5003_u64.to_le_bytes());
    }
    g.kernel(6, &[0xff, 0x3f, 0, 0xf8, 0xff, 0xff]);
    assert_eq!(named(&g, 0x1000), None);
    g.kernel(0x300, b"RSDS");
    assert!(named(&g, 0x1000).unwrap().starts_with("a Windows kernel is at 0xfffff8003fff5000"));
}
