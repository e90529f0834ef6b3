//! The command line, end to end: what it prints, what it complains about, and how it exits.
//!
//! One snapshot per case, named after it: the arguments, standard output, standard error, and the exit status.

#![cfg(feature = "cli")]

mod common;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Output, Stdio};

use insta::assert_snapshot;

/// Writes down how a command went; files in the scratch directory lose their directory.
fn told(args: &[&str], o: &Output, scratch: Option<&Path>) -> String {
    let mut out = format!("$ savevm-analyze {}\n", args.join(" "));
    out += &String::from_utf8_lossy(&o.stdout);
    if !o.stderr.is_empty() {
        out += "---- standard error\n";
        out += &String::from_utf8_lossy(&o.stderr);
    }
    out += &format!("---- exit status {}\n", o.status.code().unwrap());
    match scratch {
        Some(dir) => out.replace(&format!("{}/", dir.display()), ""),
        None => out,
    }
}

/// Runs a command in `testdata/`.
fn run(args: &[&str]) -> String {
    told(args, &common::savevm_analyze().args(args).output().unwrap(), None)
}

macro_rules! snapshots {
    ($($name:ident: $($arg:expr),+;)+) => {
        $(#[test]
        fn $name() {
            assert_snapshot!(run(&[$($arg),+]));
        })+
    };
}

snapshots! {
    dump_state_avr: "-f", "avr-uno-11.1.mig";
    dump_state_avr_5_2: "--dump", "state", "avr-uno-5.2.mig";
    dump_desc_avr: "-d", "desc", "-f", "avr-uno-11.1.mig";
    dump_desc_without_one: "-d", "desc", "novmdesc-10.0.mig";
    info_avr: "info", "avr-uno-11.1.mig";
    info_avr_5_2: "info", "avr-uno-5.2.mig";
    info_avr_json: "info", "avr-uno-11.1.mig", "--json";
    info_s390x: "info", "s390x-7.2.mig";
    info_uuid: "info", "uuid-11.1.mig";
    info_xbzrle: "info", "xbzrle-10.0.mig";
    info_postcopy: "info", "postcopy-7.2.mig";
    info_ignore_shared: "info", "ignore-shared-10.0.mig";
    info_without_configuration: "info", "pc-i440fx-2.3-5.2.mig";
    info_without_description: "info", "novmdesc-10.0.mig";
    info_without_footers_and_description: "info", "pc-i440fx-2.2-5.2.mig";
    state_avr: "state", "avr-uno-11.1.mig";
    state_avr_offsets: "state", "avr-uno-11.1.mig", "--offsets";
    state_avr_json: "state", "avr-uno-11.1.mig", "--json", "--device", "timer";
    state_avr_jsonl: "state", "avr-uno-11.1.mig", "--format", "jsonl";
    state_one_device: "state", "pc-11.1.mig", "--device", "i8259";
    state_by_vmsd: "state", "pc-11.1.mig", "--device", "fw_cfg", "--device", "cpu_common";
    state_fields: "state", "pc-11.1.mig", "--field", "env.segs[1]*", "--field", "halted";
    state_field_jsonl: "state", "pc-11.1.mig", "--field", "env.eip", "--format", "jsonl", "--offsets";
    state_null_pointers: "state", "s390x-11.1.mig", "--device", "s390_css";
    state_null_pointers_7_2: "state", "s390x-7.2.mig", "--device", "s390_css";
    state_nothing_matches: "state", "avr-uno-11.1.mig", "--device", "e1000*";
    state_without_description: "state", "novmdesc-10.0.mig", "--device", "timer";
    state_with_a_lent_description: "state", "novmdesc-10.0.mig", "--device", "timer", "--schema", "pc-10.0.mig";
    cpu_x86: "cpu", "pc-11.1.mig";
    cpu_x86_all: "cpu", "cpu-x86_64-11.1.mig.zst", "--cpu", "0", "--all";
    cpu_aarch64: "cpu", "aarch64-virt-11.1.mig";
    cpu_aarch64_all: "cpu", "aarch64-virt-7.2.mig", "--cpu", "0", "--all";
    cpu_arm: "cpu", "arm-virt-11.1.mig.zst";
    cpu_arm_m: "cpu", "arm-lm3s811evb-11.1.mig";
    cpu_riscv: "cpu", "riscv-virt-11.1.mig.zst", "--cpu", "1";
    cpu_ppc: "cpu", "pseries-11.1.mig.zst";
    cpu_s390x: "cpu", "s390x-11.1.mig";
    cpu_s390x_all: "cpu", "cpu-s390x-11.1.mig.zst", "--cpu", "0", "--all";
    cpu_mips: "cpu", "mipsel-malta-7.2.mig";
    cpu_unknown: "cpu", "avr-uno-11.1.mig";
    cpu_json: "cpu", "microvm-11.1.mig", "--json", "--cpu", "0";
    cpu_no_such: "cpu", "q35-11.1.mig", "--cpu", "7";
    cpu_without_description: "cpu", "novmdesc-10.0.mig";
    pci: "pci", "driven/driven-11.1.mig.zst";
    pci_tree: "pci", "-t", "driven/driven-11.1.mig.zst";
    pci_verbose: "pci", "-v", "driven/driven-11.1.mig.zst", "--device", "01:00.0", "--device", "00:03.0";
    pci_tables: "pci", "-vv", "driven/driven-11.1.mig.zst", "--device", "00:04.0", "--device", "00:03.0";
    virtio: "virtio", "driven/driven-11.1.mig.zst";
    virtio_verbose: "virtio", "-v", "driven/driven-11.1.mig.zst", "--device", "virtio-blk";
    virtio_rings: "virtio", "--rings", "driven/driven-11.1.mig.zst";
    virtio_jammed: "virtio", "--rings", "booted/jammed-11.1.mig.zst", "--device", "virtio-blk", "--device", "virtio-serial";
    virtio_ccw: "virtio", "s390x-11.1.mig";
    virtio_mmio: "virtio", "-v", "microvm-11.1.mig";
    read_firmware: "read", "pc-11.1.mig", "--phys", "0xffffffe0", "-n", "32";
    read_partly: "read", "guests/linux-6.1-x86_64.mig.zst", "--phys", "0x19b2ff0", "-n", "0x1030";
    read_translate: "read", "guests/linux-6.1-x86_64.mig.zst", "--virt", "0xff2efd4ec19a8000", "--translate", "-n", "16";
    read_not_mapped: "read", "guests/linux-6.1-x86_64.mig.zst", "--virt", "0x2000000", "--translate";
    read_s390x: "read", "guests/linux-6.1-s390x.mig.zst", "--virt", "0x37200049a40", "--translate";
    read_json: "read", "guests/linux-6.1-s390x.mig.zst", "--virt", "0x37200049a40", "-n", "32", "--json";
    read_no_cpu: "read", "q35-11.1.mig", "--virt", "0", "--cpu", "9";
    read_no_address: "read", "q35-11.1.mig";
    read_past_the_end: "read", "q35-11.1.mig", "--phys", "0xfffffffffffffff0";
    read_no_walk: "read", "pseries-11.1.mig.zst", "--virt", "0";
    dmesg_errors: "dmesg", "guests/linux-6.1-arm64.mig.zst", "--level", "warn+", "-x";
    dmesg_none: "dmesg", "q35-11.1.mig";
    dmesg_no_level: "dmesg", "q35-11.1.mig", "--level", "error";
    state_by_pci_address: "state", "q35-11.1.mig", "--device", "00:08.0", "--field", "parent_obj.parent_obj.parent_obj.version_id";
    check_avr: "check", "avr-uno-11.1.mig";
    check_avr_json: "check", "avr-uno-11.1.mig", "--json";
    check_quirk: "check", "s390x-7.2.mig";
    check_pages_sent_again: "check", "xbzrle-11.1.mig";
    check_without_description: "check", "novmdesc-10.0.mig";
    check_with_a_lent_description: "check", "novmdesc-10.0.mig", "--schema", "pc-10.0.mig";
    compat_compatible: "compat", "microvm-7.2.mig", "microvm-11.1.mig";
    compat_all: "compat", "microvm-7.2.mig", "microvm-11.1.mig", "--all";
    compat_incompatible: "compat", "avr-uno-11.1.mig", "avr-uno-5.2.mig";
    compat_may_break: "compat", "arm-lm3s811evb-5.2.mig", "arm-lm3s811evb-11.1.mig";
    compat_both: "compat", "avr-uno-5.2.mig", "avr-uno-11.1.mig", "--both";
    compat_github: "compat", "avr-uno-11.1.mig", "avr-uno-5.2.mig", "--format", "github";
    compat_without_a_target: "compat", "avr-uno-11.1.mig";
    no_such_option: "info", "--frobnicate", "avr-uno-11.1.mig";
    no_such_format: "state", "avr-uno-11.1.mig", "--format", "xml";
    no_file_argument: "info";
    lent_description_is_no_description: "state", "novmdesc-10.0.mig", "--schema", "README.md";
    qcow2: "info", "savevm-11.1.qcow2";
    zstd: "info", "pseries-11.1.mig.zst";
    no_such_file: "info", "nothing-here.mig";
}

/// Runs a command on a file made for it.
fn on(name: &str, content: &[u8], args: &[&str]) -> String {
    let scratch = common::scratch(name);
    fs::write(scratch.join(name), content).unwrap();
    let mut all = args.to_vec();
    all.push(name);
    let out = common::savevm_analyze().current_dir(&scratch).args(&all).output().unwrap();
    told(&all, &out, Some(&scratch))
}

/// The same complaint comes from every command; one of them represents all.
macro_rules! refused {
    ($($name:ident: $content:expr;)+) => {
        $(#[test]
        fn $name() {
            let content: &[u8] = $content;
            let said = on(concat!("refused-", stringify!($name)), content, &["info"]);
            for args in [&["state"][..], &["check"], &["-d", "desc", "-f"], &["-f"]] {
                let other = on(concat!("refused-", stringify!($name)), content, args);
                assert_eq!(said.split_once('\n').unwrap().1, other.split_once('\n').unwrap().1);
            }
            assert_snapshot!(said);
        })+
    };
}

refused! {
    empty_file: b"";
    text_file: b"<domain type='kvm'>\n";
    short_file: b"QE";
    header_only_half: b"QEVM\0\0";
    elf: b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0";
    kdump: b"KDUMP   \x06\0\0\0Linux\0\0\0";
    gzip: b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    libvirt: b"LibvirtQemudSave\x02\0\0\0\x10\0\0\0\x01\0\0\0\0\0\0\0";
    libvirt_unfinished: b"LibvirtQemudPart\x02\0\0\0\x10\0\0\0\x01\0\0\0\0\0\0\0";
    version_2: b"QEVM\0\0\0\x02\0\0\0\0\0\0\0\0";
    version_4: b"QEVM\0\0\0\x04";
    multifd_channel: b"\x11\x22\x33\x44\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    vmstate_dump: b"{\"vmschkmachine\": {\"Name\": \"pc\"}}";
}

#[test]
fn directory() {
    let scratch = common::scratch("directory");
    fs::create_dir(scratch.join("dir")).unwrap();
    let out = common::savevm_analyze().current_dir(&scratch).args(["info", "dir"]).output().unwrap();
    assert_snapshot!(told(&["info", "dir"], &out, Some(&scratch)));
}

/// Cuts a stream and shows what still comes.
fn cut(name: &str, keep: usize, args: &[&str]) -> String {
    let whole = fs::read(common::fixture("avr-uno-11.1")).unwrap();
    on(name, &whole[..keep], args)
}

#[test]
fn cut_in_the_description() {
    assert_snapshot!(cut("cut-description", 6000, &["state"]));
}

#[test]
fn cut_in_a_device() {
    assert_snapshot!(cut("cut-device", 0x1290, &["info"]));
}

#[test]
fn cut_in_memory() {
    assert_snapshot!(cut("cut-memory", 0x800, &["info"]));
}

#[test]
fn cut_is_not_sound() {
    assert_snapshot!(cut("cut-check", 0x1290, &["check"]));
}

#[test]
fn standard_input_is_read() {
    let stream = fs::read(common::fixture("avr-uno-11.1")).unwrap();
    let piped = common::savevm_analyze().args(["--file", "-"]).write_stdin(stream).output().unwrap();
    assert_eq!(piped.status.code(), Some(0));
    assert_eq!(piped.stdout, common::run(&["--file"], &common::fixture("avr-uno-11.1"), 0));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    // more than a pipe holds, so that the writer meets the closed end
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_savevm-analyze"))
        .args(["state", "--all", "--offsets"])
        .arg(common::fixture("q35-11.1"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut byte = [0];
    child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(said, "");
}

#[test]
fn colours() {
    let escapes = |args: &[&str], no_color: Option<&str>| {
        let mut c = common::savevm_analyze();
        if let Some(v) = no_color {
            c.env("NO_COLOR", v);
        }
        let out = c.args(args).args(["info", "avr-uno-11.1.mig"]).output().unwrap();
        assert_eq!(out.status.code(), Some(0));
        out.stdout.contains(&0x1b)
    };
    assert!(!escapes(&[], None), "not on a terminal");
    assert!(escapes(&["--color", "always"], None));
    assert!(escapes(&["--color", "always"], Some("1")), "the flag is nearer than the environment");
    assert!(!escapes(&["--color", "never"], None));
    assert!(!escapes(&["--color", "auto"], Some("1")));
}

#[test]
fn colours_do_not_change_the_text() {
    let plain = common::savevm_analyze().args(["info", "pc-11.1.mig"]).output().unwrap().stdout;
    let painted = common::savevm_analyze().args(["--color", "always", "info", "pc-11.1.mig"]).output().unwrap().stdout;
    let mut bare = String::new();
    let mut escape = false;
    for c in String::from_utf8(painted).unwrap().chars() {
        match c {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            c => bare.push(c),
        }
    }
    assert_eq!(bare, String::from_utf8(plain).unwrap());
}

/// Streams that analyze-migration.py cannot read for a single reason, which is put into one that it can
/// (`docs/upstream-differences.md`): the document must be that of the stream without it.
#[test]
fn obstacles_of_the_script() {
    fn replaced(stream: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < stream.len() {
            let hit = stream[at..].starts_with(what);
            out.extend_from_slice(if hit { by } else { &stream[at..=at] });
            at += if hit { what.len() } else { 1 };
        }
        assert_ne!(out, stream);
        out
    }
    let scratch = common::scratch("obstacles");
    let file = scratch.join("stream.mig");
    let document = |stream: &[u8]| {
        fs::write(&file, stream).unwrap();
        String::from_utf8(common::run(&["--dump", "state"], &file, 0)).unwrap()
    };
    let stream = fs::read(common::fixture("avr-uno-11.1")).unwrap();
    let plain = document(&stream);

    let long = "f".repeat(130);
    let named = [&[130], long.as_bytes()].concat();
    assert_eq!(document(&replaced(&stream, b"\x05flash", &named)), plain.replace("\"flash\"", &format!("\"{long}\"")));
    assert_eq!(
        document(&replaced(&stream, b"\x05flash", "\x06flüsh".as_bytes())),
        plain.replace("\"flash\"", "\"flüsh\"")
    );
    assert_eq!(document(&replaced(&stream, b"\x08\0\x0b\0\0", b"\x08\0\x7c\0\0")), plain, "an unknown command");
    assert_eq!(document(&[&stream[..], &[0; 4096]].concat()), plain, "bytes after the stream");
}
