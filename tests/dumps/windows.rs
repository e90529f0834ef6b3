//! Windows crash dumps, against those that QEMU wrote of the same stopped machine, and read by a parser of others.
//!
//! `testdata/windows/guest.py` has the parts of a guest that a dump is made of; there is no Windows in it.

use std::fs;
use std::path::PathBuf;

use kdmp_parser::gxa::{Gpa, Gva};
use kdmp_parser::parse::KernelDumpParser;
use kdmp_parser::structs::DumpType;
use kdmp_parser::{phys, virt};

use super::{directory, extract, savevm_analyze, testdata, unpacked};

const FORMAT: &[&str] = &["--format", "win-dmp"];

/// The first run has this many pages, from page 1 on; the second one begins at 1 MiB.
const LOW_PAGES: usize = 0x9e;

/// Where the registers of the first two processors are in physical memory: the first's are on two pages.
const FIRST: [(usize, usize); 2] = [(0x10_ae00, 0x200), (0x10_8000, 0x2d0)];
const SECOND: [(usize, usize); 1] = [(0x10_8400, 0x4d0)];

fn stream(name: &str) -> PathBuf {
    testdata().join(format!("windows/{name}.mig.zst"))
}

fn of_qemu(name: &str) -> Vec<u8> {
    unpacked(&testdata().join(format!("windows/{name}.dmp.zst")))
}

/// Returns a structure of physical memory from a dump whose header has this many bytes.
fn memory(dump: &[u8], header: usize, pieces: &[(usize, usize)]) -> Vec<u8> {
    let low = header + LOW_PAGES * 4096;
    pieces.iter().flat_map(|(at, len)| dump[low + at - 0x10_0000..][..*len].to_vec()).collect()
}

/// Sets a range to zero.
fn forget(bytes: &mut [u8], at: usize, len: usize) {
    bytes[at..at + len].fill(0);
}

#[test]
fn a_dump_of_64_bits_is_that_of_qemu() {
    let dir = directory("windows64");
    for name in ["windows64-7.2", "windows64-11.1", "windows64-la57-11.1"] {
        let mut ours = extract(&stream(name), FORMAT, &dir.join("dump"));
        let mut theirs = of_qemu(name);
        let contexts = [&FIRST[..], &SECOND[..]];
        let [ours_of, theirs_of] = [&ours, &theirs].map(|d| contexts.map(|c| memory(d, 0x2000, c)));
        assert_eq!(ours[0x348..0x348 + 1232], ours_of[0], "the registers in the header");
        for (mut a, mut b) in ours_of.into_iter().zip(theirs_of) {
            assert_eq!(b[0x30..0x34], 0x0010_001f_u32.to_le_bytes());
            // QEMU leaves out the floating point and vector registers; both have MXCSR
            assert_eq!(a[0x118..0x11c], b[0x118..0x11c]);
            assert!(b[0x100..0x118].iter().chain(&b[0x11c..]).all(|v| *v == 0));
            forget(&mut a, 0x100, 0x18);
            forget(&mut a, 0x11c, 0x1a0 + 16 * 16 - 0x11c);
            forget(&mut b, 0x100, 0x18);
            assert!(a == b, "{name}");
        }
        for d in [&mut ours, &mut theirs] {
            forget(d, 0x348, 1232);
            for (at, len) in contexts.concat() {
                forget(d, 0x2000 + LOW_PAGES * 4096 + at - 0x10_0000, len);
            }
        }
        assert!(ours == theirs, "{name}");
    }
}

#[test]
fn a_dump_of_32_bits_is_that_of_qemu() {
    let dir = directory("windows32");
    for name in ["windows32-7.2", "windows32-11.1", "windows32-nopae-11.1"] {
        let mut ours = extract(&stream(name), FORMAT, &dir.join("dump"));
        let mut theirs = of_qemu(name);
        assert_eq!(ours[0x320..0x320 + 512], memory(&ours, 0x1000, &FIRST)[..512], "the registers in the header");
        // QEMU leaves out the upper half of the size, which Windows reads
        assert_eq!(ours[0xfa0..0xfa8], (ours.len() as u64).to_le_bytes());
        for d in [&mut ours, &mut theirs] {
            forget(d, 0x320, 716);
            forget(d, 0xfa4, 4);
        }
        assert!(ours == theirs, "{name}");
    }
}

#[test]
fn a_parser_of_crash_dumps_reads_it() {
    let dir = directory("parser");
    let ours = dir.join("ours.dmp");
    fs::write(&ours, extract(&stream("windows64-11.1"), FORMAT, &dir.join("dump"))).unwrap();
    let theirs = dir.join("theirs.dmp");
    fs::write(&theirs, of_qemu("windows64-11.1")).unwrap();
    let [d, qemu] = [ours, theirs].map(|p| KernelDumpParser::new(p).unwrap());
    assert_eq!(d.dump_type(), DumpType::Full);
    let h = d.headers();
    assert_eq!((h.major_version, h.minor_version, h.machine_image_type), (15, 19041, 0x8664));
    assert_eq!((h.directory_table_base, h.number_processors), (0x10_0000, 2));
    assert_eq!(h.bug_check_code, 0xd1);
    assert_eq!(h.bug_check_code_parameters, [0x1122_3344_5566_7788, 2, 1, 0xffff_f800_1234_5678]);
    assert_eq!(h.kd_debugger_data_block, 0xffff_f800_0000_0000);
    assert_eq!(h.pfn_database, 0xffff_f800_0000_06f8);
    assert_eq!(h.required_dump_space, 0x2000 + (0x9e + 0x100) * 4096);
    let pages: Vec<u64> = d.physmem().map(|(at, _)| u64::from(at)).collect();
    let expected: Vec<u64> = (1..0x9f).chain(0x100..0x200).map(|n| n * 4096).collect();
    assert_eq!(pages, expected);
    // the state's memory, as another format has it
    let image = extract(&stream("windows64-11.1"), &["--format", "phys", "--no-firmware"], &dir.join("phys"));
    for at in expected {
        let mut page = [0; 4096];
        phys::Reader::new(&d).read_exact(Gpa::new(at), &mut page).unwrap();
        let has_registers = [0x10_a000, 0x10_8000].contains(&at);
        assert_eq!(page[..] == image[at as usize..][..4096], !has_registers, "{at:#x}");
    }
    // the registers in the header, and those that QEMU wrote for the first processor
    let mut stored = [0; 1232];
    virt::Reader::new(&qemu).read_exact(Gva::new(0xffff_f800_0000_4e00), &mut stored).unwrap();
    let stored = |at: usize| u64::from_le_bytes(stored[at..at + 8].try_into().unwrap());
    let c = d.context_record();
    assert_eq!(u64::from(c.context_flags), stored(0x30) & 0xffff_ffff);
    let general = [c.rax, c.rcx, c.rdx, c.rbx, c.rsp, c.rbp, c.rsi, c.rdi, c.r8, c.r9, c.r10, c.r11, c.r12];
    let expected: Vec<u64> = (0..general.len()).map(|i| stored(0x78 + 8 * i)).collect();
    assert_eq!(general[..], expected);
    assert!(expected.iter().all(|v| *v != 0), "{expected:x?}");
    assert_eq!([c.r13, c.r14, c.r15, c.rip], [0xe0, 0xe8, 0xf0, 0xf8].map(stored));
    let segments = [c.seg_cs, c.seg_ds, c.seg_es, c.seg_fs, c.seg_gs, c.seg_ss];
    assert_eq!(segments, [0, 1, 2, 3, 4, 5].map(|i| (stored(0x38 + 2 * i) & 0xffff) as u16));
    assert_eq!((u64::from(c.eflags), u64::from(c.mxcsr)), (stored(0x44) & 0xffff_ffff, stored(0x34) & 0xffff_ffff));
    assert_eq!((c.mxcsr2, c.mxcsr_mask), (c.mxcsr, 0xffff));
}

/// The pattern that `make-fixtures.py` writes into a register, by its number.
fn pattern(n: usize, bytes: usize) -> u128 {
    (0..bytes).map(|i| ((17 * n * n + 59 * i * (n + 1) + 0xb1) as u128 & 0xff) << (8 * i)).sum()
}

#[test]
fn floating_point_and_vector_registers_are_what_the_debugger_wrote() {
    let dir = directory("floats");
    let dump = extract(&stream("windows64-11.1"), FORMAT, &dir.join("dump"));
    let context = memory(&dump, 0x2000, &FIRST);
    let wide = |at: usize| u128::from_le_bytes(context[at..at + 16].try_into().unwrap());
    // numbers in the description of the gdb stub: 33 is the first of the x87, 49 the first vector register
    for n in 0..16 {
        assert_eq!(wide(0x1a0 + 16 * n), pattern(49 + n, 16), "XMM{n}");
    }
    let status = u16::from_le_bytes([context[0x102], context[0x103]]);
    let top = usize::from(status >> 11 & 7);
    let found: Vec<u128> = (0..8).map(|i| wide(0x120 + 16 * i)).collect();
    // the stub counts the registers as they are in the processor, and the structure from the top of the stack on
    let expected: Vec<u128> = (0..8).map(|i| pattern(33 + ((top + i) & 7), 10)).collect();
    assert_eq!(found, expected, "top {top}");
    assert_ne!(top, 0);
}

#[test]
fn pipes_give_the_same_dump() {
    let dir = directory("windows-pipes");
    let plain = dir.join("stream");
    fs::write(&plain, unpacked(&stream("windows64-11.1"))).unwrap();
    let expected = extract(&plain, FORMAT, &dir.join("dump"));
    for input in ["-", "stream"] {
        let mut command = savevm_analyze();
        command.current_dir(&dir).args(["extract", input, "-q", "-o", "-"]).args(FORMAT);
        let out = command.pipe_stdin(&plain).unwrap().output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        assert!(out.stdout == expected, "{input}");
    }
}

#[test]
fn a_header_that_is_not_registered_is_found_by_a_search() {
    let dir = directory("windows-search");
    let plain = dir.join("stream");
    for name in ["windows64-11.1", "windows32-11.1", "windows64-la57-11.1"] {
        let mut bytes = unpacked(&stream(name));
        let expected = extract(&stream(name), FORMAT, &dir.join("dump"));
        // the section: instance 0, version 1, and then whether the guest registered a note
        let section = bytes.windows(20).position(|w| w == b"\x0avmcoreinfo\0\0\0\0\0\0\0\x01\x01").unwrap();
        bytes[section + 19] = 0;
        fs::write(&plain, bytes).unwrap();
        assert!(extract(&plain, FORMAT, &dir.join("dump")) == expected, "{name}");
    }
}

/// Runs the command and returns the status and both outputs.
fn said(arguments: &[&str], file: &std::path::Path) -> (i32, String) {
    let out = savevm_analyze().arg("extract").arg(file).args(arguments).output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn what_was_done_is_said() {
    let dir = directory("says");
    let to = dir.join("dump");
    let arguments = ["--format", "win-dmp", "-o", to.to_str().unwrap()];
    let (status, text) = said(&arguments, &stream("windows32-11.1"));
    assert_eq!(status, 0, "{text}");
    assert!(
        text.contains("note: the kernel's debugger data is encoded; the driver's copy at 0x80000800 is used"),
        "{text}"
    );
    assert!(text.contains("note: the guest has not crashed: the bug check code is 0x161 (LIVE_SYSTEM_DUMP)"), "{text}");
}

#[test]
fn why_it_is_not_possible_is_said() {
    let dumped = |name: &str| testdata().join(format!("dumped/{name}.mig.zst"));
    let line = |file: &std::path::Path| {
        let (status, text) = said(&["--list-formats"], file);
        assert_eq!(status, 0, "{text}");
        text.lines().find(|l| l.starts_with("win-dmp")).unwrap().to_owned()
    };
    assert!(line(&stream("windows64-11.1")).contains("a Windows crash dump"));
    let none = "the guest's driver left no dump header with the vmcoreinfo device, unless a search of memory finds one; write --format elf and run elf2dmp on it";
    assert_eq!(line(&dumped("x86_64-11.1")), format!("win-dmp       not possible: {none}"));
    assert!(line(&dumped("aarch64-11.1")).ends_with("Windows dumps are of x86 guests, and this one is aarch64"));
    let never = ["--format", "win-dmp", "-o", "never"];
    let (status, text) = said(&never, &dumped("x86_64-11.1"));
    assert_eq!(status, 2);
    assert!(text.contains("error: the guest's driver left no Windows dump header in memory"), "{text}");
    assert!(text.contains("hint: write --format elf and run elf2dmp on it"), "{text}");
    let (status, text) = said(&never, &dumped("s390x-11.1"));
    assert!(status == 2 && text.contains("Windows dumps are of x86 guests, and this one is s390x"), "{text}");
    for (more, why) in [
        (
            &["--begin", "0"][..],
            "--begin and --length do not go with --format win-dmp: the header that the guest left lists",
        ),
        (&["--block", "pc.ram"], "--block does not go with"),
        (&["--paging"], "--paging does not go with"),
        (&["--flattened"], "--flattened does not go with"),
        (&["--layout", "qemu"], "--layout does not go with"),
    ] {
        let (status, text) = said(&[&never[..], more].concat(), &stream("windows64-11.1"));
        assert!(status == 2 && text.contains(why), "{text}");
    }
    assert!(!testdata().join("never").exists());
}
