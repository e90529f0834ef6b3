//! `diff`, end to end: no findings where nothing changed, and every planted change by its name.

#![cfg(feature = "cli")]

mod common;
#[path = "diff/planted.rs"]
mod planted;

use std::fs;
use std::path::{Path, PathBuf};

use insta::assert_snapshot;

/// Runs the command in `testdata/` with a terminal of 80 columns.
fn run(args: &[&str]) -> (String, Option<i32>) {
    let o = common::savevm_analyze().env("COLUMNS", "80").args(args).output().unwrap();
    let mut out = format!("$ savevm-analyze {}\n{}", args.join(" "), String::from_utf8_lossy(&o.stdout));
    if !o.stderr.is_empty() {
        out += "---- standard error\n";
        out += &String::from_utf8_lossy(&o.stderr);
    }
    let code = o.status.code();
    out += &format!("---- exit status {}\n", code.unwrap());
    (out, code)
}

macro_rules! snapshots {
    ($($name:ident: $($arg:expr),+;)+) => {
        $(#[test]
        fn $name() {
            assert_snapshot!(run(&[$($arg),+]).0);
        })+
    };
}

snapshots! {
    same: "diff", "avr-uno-11.1.mig", "avr-uno-11.1.mig", "--memory";
    versions: "diff", "same/q35-5.2-on-5.2.mig.zst", "same/q35-5.2-on-7.2.mig.zst";
    devices: "diff", "same/q35-5.2-on-7.2.mig.zst", "same/q35-5.2-on-10.0.mig.zst", "--device", "*/e1000e", "--device", "globalstate";
    avr: "diff", "avr-uno-5.2.mig", "avr-uno-11.1.mig", "--memory";
    machines: "diff", "pc-11.1.mig", "uuid-11.1.mig", "--device", "configuration";
    pages: "diff", "resent-11.1.mig", "xbzrle-11.1.mig", "--memory", "--device", "ram";
    learned: "diff", "--learn", "same/noise-q35-11.1-0.mig.zst", "same/noise-q35-11.1-1.mig.zst", "same/noise-q35-11.1-2.mig.zst";
    nothing_matches: "diff", "avr-uno-11.1.mig", "avr-uno-11.1.mig", "--device", "e1000";
    standard_input_twice: "diff", "-", "-";
    one_file: "diff", "avr-uno-11.1.mig";
    without_a_description: "diff", "novmdesc-10.0.mig", "pc-10.0.mig", "--device", "timer", "--device", "stream";
}

#[test]
fn a_stream_against_itself_is_the_same() {
    let scratch = common::scratch("itself");
    let mut all: Vec<PathBuf> = common::fixtures(&scratch).into_iter().map(|f| f.stream).collect();
    for dir in ["same", "driven"] {
        let files = fs::read_dir(common::testdata().join(dir)).unwrap().map(|e| e.unwrap().path());
        all.extend(files.filter(|p| p.to_str().unwrap().contains(".mig")));
    }
    all.extend(["savevm-7.2.qcow2", "savevm-11.1.qcow2"].map(|f| common::testdata().join(f)));
    assert!(all.len() > 70, "{}", all.len());
    for file in all {
        for memory in [&["--memory"][..], &[]] {
            let args = [&["diff"], memory, &[file.to_str().unwrap(), file.to_str().unwrap()]].concat();
            let (told, code) = run(&args);
            assert!(code == Some(0) && told.contains("\nno differences in "), "{told}");
        }
    }
}

#[test]
fn the_wrapper_makes_no_difference() {
    let scratch = common::scratch("wrapper");
    for name in ["q35-10.0", "postcopy-armed-7.2", "return-path-10.0", "virtio-mem-10.0", "xbzrle-11.1"] {
        let plain = common::fixture(name);
        let packed = scratch.join("packed.zst");
        fs::write(&packed, zstd::encode_all(fs::File::open(&plain).unwrap(), 1).unwrap()).unwrap();
        for more in [&["--memory"][..], &[]] {
            let (told, code) = run(&[&["diff", plain.to_str().unwrap(), packed.to_str().unwrap()], more].concat());
            assert_eq!(code, Some(0), "{told}");
            common::run_piped(&[&["diff", plain.to_str().unwrap(), "-"], more].concat(), &plain, status(name, more));
        }
    }
}

/// Pages that come as differences cannot be compared where the stream cannot be read again.
fn status(name: &str, more: &[&str]) -> i32 {
    if name.starts_with("xbzrle") && !more.is_empty() { 3 } else { 0 }
}

/// What differs between two versions for one machine type is known and explained, and no explanation is stale.
#[test]
fn every_difference_between_versions_has_a_reason() {
    for (machine, before, after) in
        [("5.2", "5.2", "7.2"), ("5.2", "7.2", "10.0"), ("7.2", "7.2", "10.0"), ("7.2", "10.0", "11.1")]
    {
        let file = |v: &str| format!("same/q35-{machine}-on-{v}.mig.zst");
        let known = format!("same/q35-{machine}-on-{before}-{after}.toml");
        let (told, code) = run(&["diff", &file(before), &file(after)]);
        assert_eq!(code, Some(1), "{told}");
        let (told, code) = run(&["diff", &file(before), &file(after), "--accepted", &known, "--strict-accepted"]);
        assert_eq!(code, Some(0), "{told}");
    }
}

#[test]
fn what_changes_by_itself_is_learned() {
    let scratch = common::scratch("noise");
    for machine in ["q35", "pseries"] {
        let file = |i: usize| format!("same/noise-{machine}-11.1-{i}.mig.zst");
        let states: Vec<String> = (0..4).map(file).collect();
        let mask = scratch.join(format!("{machine}.toml"));
        let mask = mask.to_str().unwrap();
        let (told, code) = run(&["diff", &states[0], &states[3]]);
        assert_eq!(code, Some(1), "{told}");
        let (told, code) = run(&["diff", "--learn", &states[0], &states[1], &states[2], "--save-baseline", mask]);
        assert_eq!(code, Some(0), "{told}");
        for i in 0..3 {
            let (told, code) = run(&["diff", &states[i], &states[3], "--accepted", mask, "--strict-accepted"]);
            assert_eq!(code, Some(0), "{told}");
        }
        let (told, code) = run(&["diff", &states[1], &states[3], "--learn", &states[0], &states[1], &states[2]]);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains(" accepted\n"), "{told}");
        let again = run(&["diff", "--learn", &states[0], &states[1], "--save-baseline", mask]);
        assert_eq!(again.1, Some(2), "a file that exists stays: {}", again.0);
    }
}

#[test]
fn a_cut_stream_is_compared_in_part() {
    let scratch = common::scratch("cut");
    let whole = common::fixture("avr-uno-11.1");
    let cut = scratch.join("cut.mig");
    let bytes = fs::read(&whole).unwrap();
    fs::write(&cut, &bytes[..4752]).unwrap();
    let o = common::savevm_analyze().args(["diff", "--device", "configuration"]).args([&cut, &cut]).output().unwrap();
    assert_eq!(o.status.code(), Some(3), "{}", String::from_utf8_lossy(&o.stdout));
    let o = common::savevm_analyze().arg("diff").args([Path::new("README.md"), &whole]).output().unwrap();
    assert_eq!(o.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&o.stderr).contains("README.md"));
}
