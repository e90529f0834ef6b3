//! Core dumps, against those that QEMU wrote of the same stopped machine.
//!
//! `testdata/dumped/` has streams with a pattern in the registers, and QEMU's own ELF and kdump files (`make-fixtures.py`). They are of eight
//! architectures and of QEMU 5.2, 7.2 and 11.1. `tests/live` does the same with a QEMU that runs here.
#![cfg(all(target_os = "linux", feature = "cli", feature = "zstd"))]

#[path = "../common/mod.rs"]
mod common;
mod elf;
mod kdump;
mod options;
mod windows;

use std::fs;
use std::path::{Path, PathBuf};

use common::{savevm_analyze, scratch, testdata, unpacked};

/// Where QEMU's note differs from ours: QEMU, the architecture, the type of the note, the offset in it, the bytes, and the reason.
type Exception = (&'static str, u32, usize, usize, &'static str);

/// Fields that QEMU does not fill as it should.
static EXCEPTIONS: &[Exception] = &[
    ("ppc64-5.2", 1, 32, 4, "the thread id is left 0"),
    ("ppc64-7.2", 1, 32, 4, "the thread id is left 0"),
    ("s390x-5.2", 1, 32, 4, "the thread id is in the byte order of the host"),
    ("s390x-7.2", 1, 32, 4, "the thread id is in the byte order of the host"),
    ("ppc64-5.2", 0x100, 528, 4, "VRSAVE is left 0"),
    ("ppc64-7.2", 0x100, 528, 4, "VRSAVE is left 0"),
    ("ppc64-11.1", 0x100, 528, 4, "VRSAVE is left 0"),
];

/// A machine that QEMU dumped.
struct Dumped {
    name: String,
    stream: PathBuf,
    elf: Option<PathBuf>,
    kdump: PathBuf,
}

/// Returns all of them.
fn dumped() -> Vec<Dumped> {
    let dir = testdata().join("dumped");
    let mut names: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .filter_map(|e| e.unwrap().file_name().into_string().unwrap().strip_suffix(".mig.zst").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 22, "only {} machines", names.len());
    let path = |name: &str, kind: &str| dir.join(format!("{name}.{kind}.zst"));
    let of = |name: String| Dumped {
        stream: path(&name, "mig"),
        elf: Some(path(&name, "elf")).filter(|p| p.exists()),
        kdump: path(&name, "kdump"),
        name,
    };
    names.into_iter().map(of).collect()
}

/// Runs `extract`, which has to succeed, and returns the file.
fn extract(stream: &Path, arguments: &[&str], to: &Path) -> Vec<u8> {
    let out = savevm_analyze()
        .arg("extract")
        .arg(stream)
        .args(arguments)
        .args(["-q", "--no-sync", "-o"])
        .arg(to)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(0), "{}: {}", stream.display(), String::from_utf8_lossy(&out.stderr));
    let data = fs::read(to).unwrap();
    fs::remove_file(to).unwrap();
    data
}

/// Integers in a byte order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Order {
    big: bool,
}

impl Order {
    fn u16(self, b: &[u8], at: usize) -> u16 {
        let w = b[at..at + 2].try_into().unwrap();
        if self.big { u16::from_be_bytes(w) } else { u16::from_le_bytes(w) }
    }

    fn u32(self, b: &[u8], at: usize) -> u32 {
        let w = b[at..at + 4].try_into().unwrap();
        if self.big { u32::from_be_bytes(w) } else { u32::from_le_bytes(w) }
    }

    fn u64(self, b: &[u8], at: usize) -> u64 {
        let w = b[at..at + 8].try_into().unwrap();
        if self.big { u64::from_be_bytes(w) } else { u64::from_le_bytes(w) }
    }
}

/// A note: name, type, content.
type Note = (Vec<u8>, u32, Vec<u8>);

/// Reads notes one after the other.
fn notes(order: Order, bytes: &[u8]) -> Vec<Note> {
    let mut out = Vec::new();
    let mut at = 0;
    while at + 12 <= bytes.len() {
        let size = |n: usize| order.u32(bytes, at + n) as usize;
        let (name, len, kind) = (size(0), size(4), order.u32(bytes, at + 8));
        let from = at + 12 + name.next_multiple_of(4);
        out.push((bytes[at + 12..at + 12 + name].to_vec(), kind, bytes[from..from + len].to_vec()));
        at = from + len.next_multiple_of(4);
    }
    out
}

/// Asserts that notes are equal but for the exceptions of a machine.
fn same_notes(name: &str, ours: Vec<Note>, theirs: &[Note]) {
    let heads = |n: &[Note]| n.iter().map(|(n, k, c)| (n.clone(), *k, c.len())).collect::<Vec<_>>();
    assert_eq!(heads(&ours), heads(theirs), "{name}");
    let mut needed = std::collections::BTreeSet::new();
    let exceptions: Vec<&Exception> = EXCEPTIONS.iter().filter(|(n, ..)| *n == name).collect();
    for ((note, kind, mut ours), (_, _, theirs)) in ours.into_iter().zip(theirs) {
        for (_, _, at, len, why) in exceptions.iter().filter(|(_, k, ..)| *k == kind) {
            if ours[*at..at + len] != theirs[*at..at + len] {
                needed.insert(*why);
            }
            ours[*at..at + len].copy_from_slice(&theirs[*at..at + len]);
        }
        let differ: Vec<usize> = (0..ours.len()).filter(|i| ours[*i] != theirs[*i]).collect();
        assert!(differ.is_empty(), "{name}: note {} {kind:#x} differs at {differ:?}", String::from_utf8_lossy(&note));
    }
    assert_eq!(needed.len(), exceptions.len(), "{name}: an exception is not needed any more");
}

/// A directory for a test.
fn directory(name: &str) -> PathBuf {
    scratch(name)
}
