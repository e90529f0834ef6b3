//! Streams that were made to be judged wrongly: the right verdict of `check`, and that of the commands which believe it.

#![cfg(feature = "cli")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{savevm_analyze, scratch, testdata, unpacked};
use savevm_analyze::synth::{Stream, description, field};

fn case(name: &str) -> PathBuf {
    testdata().join("cases").join(name)
}

/// Returns the exit status of `check` with what it says.
fn check(file: &Path) -> (i32, String) {
    let out = savevm_analyze().arg("check").arg(file).output().unwrap();
    (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
}

fn status(args: &[&str], file: &Path) -> i32 {
    savevm_analyze().args(args).arg(file).output().unwrap().status.code().unwrap()
}

/// Each line of a report that names a problem.
fn problems(said: &str) -> Vec<&str> {
    said.lines().filter(|l| l.starts_with("FAIL")).collect()
}

#[test]
fn what_no_qemu_loads_is_not_sound() {
    for (name, why) in [
        ("chk-described-no-section", "is in the description but has no section"),
        ("chk-dup-block", "two RAM blocks are called"),
        ("chk-no-ram", "no ram section"),
        ("chk-ram-never-ends", "no END"),
        ("chk-xbzrle-garbage", "XBZRLE"),
        ("chk-zlib-garbage", "zlib"),
        ("chk-second-ram-section", "2 lists of RAM blocks"),
        ("chk-device-called-ram", "no ram section"),
        ("check-sound", ""),
    ] {
        let file = case(&format!("{name}.mig"));
        let (code, said) = check(&file);
        assert_eq!(code, 1, "{name}: {said}");
        assert_eq!(said.lines().last(), Some("not sound"), "{name}: {said}");
        assert!(problems(&said).iter().any(|l| l.contains(why)), "{name}: {said}");
        let piped = String::from_utf8(common::run_piped(&["check", "-"], &file, 1)).unwrap();
        assert_eq!(said, piped, "{name}: file and pipe");
    }
}

/// QEMU gives each section an id of its own, and does not look at that of a FULL section: both devices are loaded.
#[test]
fn two_devices_with_one_section_id_are_both_read() {
    let file = case("chk-same-section-id.mig");
    for printed in [common::run(&["state", "--json"], &file, 0), common::run_piped(&["state", "--json", "-"], &file, 0)]
    {
        let state: serde_json::Value = serde_json::from_slice(&printed).unwrap();
        let text = state["devices"].to_string();
        assert!(text.contains(r#""device":"x""#) && text.contains(r#""device":"y""#), "{text}");
    }
    assert_eq!(common::run(&["check"], &file, 0), common::run_piped(&["check", "-"], &file, 0));
    let document = String::from_utf8(common::run(&["--dump", "state"], &file, 0)).unwrap();
    assert!(document.contains("\"x (3)\"") && document.contains("\"y (3)\""), "{document}");
}

#[test]
fn the_stream_that_they_are_made_of_is_sound() {
    let (code, said) = check(&case("base.mig"));
    assert_eq!((code, said.lines().last()), (0, Some("sound")), "{said}");
}

#[test]
fn a_state_that_does_not_decode_is_not_sound() {
    let file = case("check-sound.mig");
    for args in [&["state"][..], &["--dump", "state"]] {
        assert_eq!(status(args, &file), 3, "{args:?}");
    }
    assert_eq!(check(&file).0, 1);
}

/// The state of one machine that was saved at the start, with an older one of it after it, saved while paused.
#[test]
fn a_volume_that_was_used_before_gives_the_new_state() {
    let new = fs::read(common::fixture("avr-uno-11.1")).unwrap();
    let mut old = new.clone();
    let at = old.windows(9).position(|w| w == b"prelaunch").unwrap();
    old[at..at + 9].copy_from_slice(b"paused\0\0\0");
    let file = scratch("reused").join("volume.raw");
    fs::write(&file, [&new[..], &[0; 700], &old[40..]].concat()).unwrap();
    let alone = common::run(&["--dump", "state"], &common::fixture("avr-uno-11.1"), 0);
    assert_eq!(alone, common::run(&["--dump", "state"], &file, 0));
    assert_eq!(alone, common::run_piped(&["--dump", "state", "-"], &file, 0));
    assert_eq!(check(&file).0, 0);
}

/// Runs on a file, or through a pipe; returns the status, the document, and standard error without places in the file.
fn answer(args: &[&str], file: &Path, pipe: bool) -> (Option<i32>, String, String) {
    let mut c = std::process::Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
    c.args(args).arg(if pipe { Path::new("-") } else { file });
    let out = if pipe {
        let mut cat = std::process::Command::new("cat").arg(file).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let out = c.stdin(cat.stdout.take().unwrap()).output().unwrap();
        cat.wait().unwrap();
        out
    } else {
        c.output().unwrap()
    };
    let without = |l: &str| match l.split_once(", file 0x") {
        Some((before, after)) => before.to_owned() + after.trim_start_matches(|c: char| c.is_ascii_hexdigit()),
        None => l.to_owned(),
    };
    // the name of the input is another
    let without = |l: &str| without(l).replace(&file.display().to_string(), "standard input");
    let said = String::from_utf8(out.stderr).unwrap().lines().map(without).collect::<Vec<_>>().join("\n");
    (out.status.code(), String::from_utf8(out.stdout).unwrap(), said)
}

/// Commands say the same of a file and of a pipe; returns what they say on standard error.
fn from_file_and_pipe(name: &str, bytes: &[u8]) -> String {
    let file = scratch(name).join("stream.mig");
    fs::write(&file, bytes).unwrap();
    let mut all = String::new();
    for args in [&["state", "--json"][..], &["check", "--json"], &["--dump", "state"], &["pci", "--json"]] {
        let (plain, piped) = (answer(args, &file, false), answer(args, &file, true));
        assert_eq!(plain, piped, "{name}: {args:?}");
        all += &plain.2;
    }
    all
}

/// The JSON of a description has zeros in its first 80 bytes, which a search looks at.
#[test]
fn a_damaged_description_is_found_in_a_file_and_in_a_pipe() {
    let file = case("chk-damaged-description.mig");
    let sections = |pipe: bool| {
        let (code, printed, _) = answer(&["info", "--json"], &file, pipe);
        let info: serde_json::Value = serde_json::from_str(&printed).unwrap();
        (code, info["sections"].clone())
    };
    assert_eq!(sections(false), sections(true));
    from_file_and_pipe("damaged-description", &fs::read(&file).unwrap());
}

/// After a fault that no section can be found after, the rest of a pipe is accounted for as that of a file is.
#[test]
fn the_rest_after_a_fault_is_a_gap_from_a_pipe_too() {
    let bytes = unpacked(&case("chk-another-stream-early.mig.zst"));
    from_file_and_pipe("another-stream-early", &bytes);
}

/// A list of RAM blocks, or the pages, of so many bytes that a pipe no longer has the beginning of the record, and a name
/// that is wrong at their end. A device follows.
fn wrong_name_far_into(list: bool) -> Stream {
    let mut s = Stream::new("pc");
    let mut entries = Stream::default();
    let blocks: u64 = if list { 16_000 } else { 1 };
    entries.be64((blocks << 16) | 4);
    for i in 0..blocks {
        entries.name(format!("block-{i:05}").as_bytes()).be64(1 << 16);
    }
    let (mut pages, mut wrong) = (Stream::default(), Stream::default());
    wrong.be64(8).name(b"no such").raw(&[7; 4096]).be64(0x10);
    for _ in 0..40 {
        pages.be64(8).name(b"block-00000").raw(&[7; 4096]);
    }
    if list {
        entries.raw(&wrong.bytes);
        pages.be64(0x10);
    } else {
        entries.be64(0x10);
        pages.raw(&wrong.bytes);
    }
    s.start(2, "ram", 4, &entries.bytes).part(2, &pages.bytes).end(2, &0x10_u64.to_be_bytes());
    s.full(3, "dev", 0, &[7]).described(&description(&[("dev", 0, &field("a", "uint8", 1, ""))]));
    s
}

#[test]
fn damage_far_into_memory_is_the_same_from_a_pipe() {
    let said = from_file_and_pipe("far-list", &wrong_name_far_into(true).bytes);
    assert!(said.contains("found the name \"no such\"") && !said.contains("gone by"), "{said}");
    let said = from_file_and_pipe("far-pages", &wrong_name_far_into(false).bytes);
    assert!(said.contains("in ram (part)") || said.contains("ram (part):"), "{said}");
}

/// A section that has a reader of its own, which finds an end before its true one.
#[test]
fn a_section_that_ends_too_early_has_all_of_its_bytes_from_a_pipe() {
    let mut s = Stream::new("pc");
    s.ram(2, "pc.ram", &[vec![1]]).full(3, "dirty-bitmap", 0, b"\x01\x00\xe3\x9e\x92\xdf\x17\x86\xd6\x00");
    s.full(4, "dev", 0, &[7]).described(&description(&[("dev", 0, &field("a", "uint8", 1, ""))]));
    from_file_and_pipe("too-early", &s.bytes);
}

#[test]
fn where_a_stream_begins_is_said_of_a_pipe_too() {
    let bytes = [&[9; 100][..], &fs::read(common::fixture("avr-uno-5.2")).unwrap()].concat();
    assert!(from_file_and_pipe("further-on", &bytes).contains("try --offset 0x64"));
}

/// The stream of a driven machine with an index of one virtio queue changed.
fn queue(name: &str, at: usize, was: [u8; 2], index: [u8; 2]) -> PathBuf {
    let mut bytes = unpacked(&testdata().join("driven/driven-11.1.mig.zst"));
    assert_eq!(bytes[at..at + 2], was, "{name}");
    bytes[at..at + 2].copy_from_slice(&index);
    let file = scratch(name).join("stream.mig");
    fs::write(&file, bytes).unwrap();
    file
}

/// QEMU refuses the first ("VQ 0 size 0x100 < last_avail_idx") and marks the device of the second as broken.
#[test]
fn queues_whose_indices_qemu_refuses_are_not_sound() {
    let (code, said) = check(&queue("ok", 21_162, [1, 0], [1, 0]));
    assert_eq!((code, said.lines().last()), (0, Some("sound")), "{said}");
    for (name, at, was, index) in [("used", 21_162, [1, 0], [0, 16]), ("avail", 17_058, [3, 0], [0, 0x90])] {
        let (code, said) = check(&queue(name, at, was, index));
        assert_eq!(code, 1, "{name}: {said}");
        assert!(said.contains("queue 0"), "{name}: {said}");
    }
}

/// Names of every hostile sort make a report longer, and never a line of their own.
#[test]
fn names_forge_no_verdict() {
    for name in ["forge", "gh-a", "gh-b", "term-a"] {
        let (code, said) = check(&case(&format!("{name}.mig")));
        let verdict = if code == 0 { "sound" } else { "not sound" };
        let verdicts: Vec<&str> = said.lines().filter(|l| matches!(*l, "sound" | "not sound")).collect();
        assert_eq!(verdicts, [verdict], "{name}: {said}");
        assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{name}");
    }
}
