//! `linux sym`: the symbols of a kernel in memory, of which each is known.

#![cfg(feature = "cli")]

mod common;
#[path = "common/symbols.rs"]
mod made;

use std::path::PathBuf;

fn state(name: &str) -> PathBuf {
    let path = common::scratch(name).join("guest.mig");
    std::fs::write(&path, made::stream()).unwrap();
    path
}

fn sym(file: &std::path::Path, arguments: &[&str]) -> (i32, String, String) {
    let out = common::savevm_analyze().args(["linux", "sym"]).arg(file).args(arguments).output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn names_and_addresses() {
    let file = state("names");
    let all = "ffffffff81000000 T _stext\nffffffff81000040 t do_one\nffffffff81000080 t do_one\n\
               ffffffff81007000 D init_uts_ns\nffffffff81008000 B _end\n";
    let (status, out, said) = sym(&file, &[]);
    // those that VMCOREINFO alone has are listed too
    let own: String = out.lines().filter(|l| !l.contains(" D kallsyms_")).map(|l| format!("{l}\n")).collect();
    assert_eq!((status, own.as_str(), out.lines().count()), (0, all, 11), "{said}");
    assert!(said.starts_with("note: VMCOREINFO of Linux 6.1.0-made at 0x200000 in memory"), "{said}");
    // two functions may have one name
    let (status, out, said) = sym(&file, &["do_one", "0xffffffff81007010", "-q"]);
    let found = "ffffffff81000040 t do_one\nffffffff81000080 t do_one\nffffffff81007000 D init_uts_ns+0x10\n";
    assert_eq!((status, out.as_str(), said.as_str()), (0, found, ""));
    let (status, out, said) = sym(&file, &["-q", "do_on", "_end", "0x1000"]);
    assert_eq!((status, out.as_str()), (1, "ffffffff81008000 B _end\n"));
    assert_eq!(
        said,
        "error: the kernel has no symbol \"do_on\"; did you mean do_one?\nerror: no symbol of the kernel's image is at or shortly before 0x1000\n"
    );
}

#[test]
fn a_guest_without_a_table() {
    let old = common::testdata().join("guests/linux-5.10-x86_64-5.2.mig.zst");
    let (status, _, said) = sym(&old, &["-q"]);
    assert_eq!(status, 2);
    // this stream does not have the pages in which a search would find it
    assert!(said.contains("no table of symbols") && said.contains("VMCOREINFO of Linux 5.10"), "{said}");
    let (status, _, said) = sym(&common::testdata().join("q35-11.1.mig"), &[]);
    assert!(status == 2 && said.contains("no Linux kernel was found in guest memory"), "{said}");
}
