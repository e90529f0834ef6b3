//! Standard output and standard error that cannot be written, and threads that cannot be started.

use std::process::Command;

use crate::common::{fixture, scratch, testdata};
use crate::preload;

/// Returns the exit status of a command line of the shell, in which `$S` is the command.
fn shell(line: &str) -> Option<i32> {
    let mut c = Command::new("sh");
    c.arg("-c").arg(line).env("S", env!("CARGO_BIN_EXE_savevm-analyze")).current_dir(testdata());
    c.status().unwrap().code()
}

#[test]
fn standard_error_that_cannot_be_written_changes_nothing() {
    assert_eq!(shell("$S info avr-uno-11.1.mig 2>/dev/full >/dev/null"), Some(0));
    assert_eq!(shell("$S info avr-uno-11.1.mig 2>&- >/dev/null"), Some(0));
    assert_eq!(shell("$S info no-such-file 2>/dev/full"), Some(2));
    assert_eq!(shell("$S --no-such-flag 2>/dev/full"), Some(2));
    assert_eq!(shell("$S check --progress json 2>/dev/full"), Some(2));
    let out = scratch("mute");
    let line = format!("$S extract xbzrle-11.1.mig -o {} --progress json 2>/dev/full >/dev/null", out.display());
    assert_eq!(shell(&line), Some(0));
    assert!(out.join("pc.ram").exists());
}

#[test]
fn standard_output_that_cannot_be_written_is_an_error() {
    for command in ["info avr-uno-11.1.mig", "-f avr-uno-11.1.mig", "check avr-uno-11.1.mig", "--help", "--version", ""]
    {
        assert_eq!(shell(&format!("$S {command} >/dev/full 2>/dev/null")), Some(2), "{command}");
    }
    let out = scratch("full");
    let line = format!("$S extract xbzrle-11.1.mig -o {} --also-state {0}/state.json >/dev/full", out.display());
    assert_eq!(shell(&format!("{line} 2>/dev/null")), Some(3));
    assert!(out.join("pc.ram").exists() && out.join("state.json").exists(), "the files are whole all the same");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let out = scratch("left");
    let line = format!("{{ $S -f pc-11.1.mig; echo $? >{}/status; }} | head -c 10 >/dev/null", out.display());
    assert_eq!(shell(&line), Some(0));
    assert_eq!(std::fs::read_to_string(out.join("status")).unwrap(), "0\n");
    let line = format!(
        "{{ $S extract resent-11.1.mig --block pc.ram -o - --also-state {}/s.json; echo $? >{0}/status; }}",
        out.display()
    );
    assert_eq!(shell(&format!("{line} | head -c 10 >/dev/null")), Some(0));
    assert_eq!(std::fs::read_to_string(out.join("status")).unwrap(), "0\n");
    assert!(out.join("s.json").metadata().unwrap().len() > 0);
}

#[test]
fn without_threads_the_work_is_done_all_the_same() {
    let out = scratch("threads");
    let stream = fixture("resent-11.1");
    let run = |args: &[&str]| {
        let mut c = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
        c.args(args).env("LD_PRELOAD", preload()).env("FAULT", "pthread_create:11:1:from").current_dir(testdata());
        let done = c.output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let stream = stream.to_str().unwrap();
    run(&["extract", stream, "-o", out.join("a").to_str().unwrap(), "--progress", "json"]);
    run(&["extract", "mapped-ram-avr-11.1.mig.zst", "-o", out.join("b").to_str().unwrap()]);
    run(&["diff", "--memory", "--progress", "json", stream, stream]);
    let right = crate::common::savevm_analyze().args(["extract", stream, "-o"]).arg(out.join("c")).output().unwrap();
    assert!(right.status.success());
    assert_eq!(crate::oracle::files(&out.join("a")), crate::oracle::files(&out.join("c")));
}
