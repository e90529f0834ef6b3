//! Output files: names, rights, limits, two runs at once; and inputs that change while they are read.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use savevm_analyze::synth::Stream;

use crate::common::{fixture, savevm_analyze, scratch, testdata, unpack};
use crate::{oracle, preload};

fn extract(stream: &Path, out: &Path, more: &[&str]) -> Output {
    savevm_analyze().arg("extract").arg(stream).arg("-o").arg(out).args(more).output().unwrap()
}

fn said(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

/// Makes a stream with many blocks of one cleaned name, each with one page of its own content.
fn many_blocks(count: u64, path: &Path) {
    let mut list = Stream::default();
    list.be64((count * 4096) | 4);
    let mut pages = Stream::default();
    for i in 0..count {
        // sixteen characters that all become `_`
        let bits = (0..16).map(|b| if i >> b & 1 == 1 { b'?' } else { b'*' });
        let block: Vec<u8> = bits.collect();
        list.name(&block).be64(4096);
        let mut page = vec![0; 4096];
        page[..8].copy_from_slice(&i.to_be_bytes());
        pages.be64(8).name(&block).raw(&page);
    }
    list.be64(0x10);
    pages.be64(0x10);
    let mut s = Stream::new("pc");
    s.start(0, "ram", 4, &list.bytes).part(0, &pages.bytes).end(0, b"\x00\x00\x00\x00\x00\x00\x00\x10").eof();
    fs::write(path, &s.bytes).unwrap();
}

#[test]
fn thousands_of_blocks_of_one_cleaned_name_need_few_descriptors_and_little_time() {
    let dir = scratch("many");
    let (stream, out) = (dir.join("many.mig"), dir.join("out"));
    let count = 4000;
    many_blocks(count, &stream);
    let mut c = Command::new("sh");
    c.arg("-c").arg("ulimit -n 100; exec \"$0\" \"$@\"").arg(env!("CARGO_BIN_EXE_savevm-analyze"));
    let begun = Instant::now();
    let o = c.arg("extract").arg(&stream).arg("-o").arg(&out).arg("-q").arg("--no-sync").output().unwrap();
    assert_eq!(o.status.code(), Some(0), "{}", said(&o));
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    let files = oracle::files(&out);
    assert_eq!(files.len() as u64, count);
    let mut numbers: Vec<&[u8]> = files.values().map(|c| &c[..8]).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().zip(0_u64..).all(|(n, i)| *n == i.to_be_bytes()));
    // -m keeps the pages of all blocks too
    let mut c = Command::new("sh");
    c.arg("-c").arg("ulimit -n 20; exec \"$0\" \"$@\"").arg(env!("CARGO_BIN_EXE_savevm-analyze"));
    let o = c.arg("-m").arg("-f").arg(&stream).output().unwrap();
    assert!(String::from_utf8_lossy(&o.stdout).contains("\"****************"), "{}", said(&o));
}

/// An error ends the walk while the writing thread still has pages to write.
#[test]
fn a_partial_image_holds_everything_before_the_error() {
    let dir = scratch("second-list");
    let stream = testdata().join("cases/second-list.mig.zst");
    let mut whole: Vec<Vec<u8>> = Vec::new();
    for (name, fault) in [("fast", "none"), ("slow", "pwrite64:slow20:1:every")] {
        let out = dir.join(name);
        let mut c = savevm_analyze();
        c.env("LD_PRELOAD", preload()).env("FAULT", fault).arg("extract").arg(&stream).arg("-o").arg(&out);
        let o = c.output().unwrap();
        assert_eq!(o.status.code(), Some(3), "{}", said(&o));
        let mut contents: Vec<Vec<u8>> = oracle::files(&out).into_values().collect();
        contents.sort();
        assert!(contents.iter().any(|c| c.iter().any(|b| *b != 0)));
        if whole.is_empty() {
            whole = contents;
        } else {
            assert!(whole == contents, "the images differ");
        }
    }
}

#[test]
fn files_with_memory_are_for_their_owner() {
    let dir = scratch("rights");
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    let o = extract(&fixture("xbzrle-11.1"), &dir, &["--also-state", dir.join("state").to_str().unwrap()]);
    assert_eq!(o.status.code(), Some(0), "{}", said(&o));
    let names: Vec<String> = oracle::files(&dir).into_keys().collect();
    assert!(names.len() > 2 && names.iter().all(|n| mode(&dir.join(n)) == 0o600), "{names:?}");
}

#[test]
fn a_state_that_cannot_be_written_leaves_no_file_and_exits_3() {
    let dir = scratch("state");
    let out = dir.join("out");
    let run = |fault: &str| {
        let mut c = savevm_analyze();
        c.arg("extract").arg(fixture("xbzrle-11.1")).arg("-q").arg("-o").arg(&out).arg("--force");
        c.arg("--also-state").arg(dir.join("s.json"));
        let o = c.env("LD_PRELOAD", preload()).env("FAULT", fault).output().unwrap();
        assert_eq!(o.status.code(), Some(3), "{}", said(&o));
        assert!(said(&o).contains("s.json"), "{}", said(&o));
        let left: Vec<String> =
            fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(left, ["out"], "{fault}");
        assert!(out.join("pc.ram").exists());
    };
    // the state is the only file that is written from its beginning on
    run("write:28:1:once");
    run("write:28:2:once");
}

#[test]
fn a_limit_on_file_sizes_is_told() {
    let dir = scratch("limit");
    let mut c = Command::new("sh");
    c.arg("-c").arg("ulimit -f 100; exec \"$0\" \"$@\"").arg(env!("CARGO_BIN_EXE_savevm-analyze"));
    let o = c.arg("extract").arg(fixture("xbzrle-11.1")).arg("-o").arg(dir.join("out")).output().unwrap();
    assert_eq!(o.status.code(), Some(2), "{:?} {}", o.status, said(&o));
    assert!(said(&o).contains("ulimit -f"), "{}", said(&o));
    assert!(oracle::files(&dir.join("out")).is_empty());
}

#[test]
fn of_two_runs_into_one_directory_one_says_that_the_file_exists() {
    let dir = scratch("two");
    let streams = ["xbzrle-11.1", "resent-11.1"];
    let right: Vec<BTreeMap<String, Vec<u8>>> = streams
        .iter()
        .map(|s| {
            let at = dir.join(s);
            let state = at.join("state.json");
            assert_eq!(extract(&fixture(s), &at, &["--also-state", state.to_str().unwrap()]).status.code(), Some(0));
            oracle::files(&at)
        })
        .collect();
    assert_ne!(right[0], right[1]);
    for round in 0..5 {
        let out = dir.join(format!("out-{round}"));
        let start = |s: &str| {
            let mut c = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
            c.arg("extract")
                .arg(fixture(s))
                .arg("-q")
                .arg("-o")
                .arg(&out)
                .arg("--also-state")
                .arg(out.join("state.json"));
            c.env("LD_PRELOAD", preload()).env("FAULT", "pwrite64:slow:1:every");
            c.stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        let children = streams.map(start);
        let done = children.map(|c| c.wait_with_output().unwrap());
        let winner = done.iter().position(|o| o.status.code() == Some(0)).expect("one of them ends well");
        let loser = &done[1 - winner];
        assert!(matches!(loser.status.code(), Some(2 | 3)) && said(loser).contains("exists"), "{}", said(loser));
        let mut files = oracle::files(&out);
        files.retain(|n, _| !n.ends_with(".partial"));
        assert!(files == right[winner], "the files are not those of the run that ended well");
    }
}

#[test]
fn interrupted_calls_are_made_again() {
    let right = savevm_analyze()
        .args(["extract", "--block", "pc.ram", "-o", "-"])
        .arg(fixture("resent-11.1"))
        .output()
        .unwrap();
    for fault in ["read:4:2:every", "write:4:2:every", "pread64:4:2:every", "pwrite64:4:2:every"] {
        let mut c = savevm_analyze();
        c.args(["extract", "--block", "pc.ram", "-o", "-"]).arg(fixture("resent-11.1"));
        let o = c.env("LD_PRELOAD", preload()).env("FAULT", fault).output().unwrap();
        assert!(o.status.code() == Some(0) && o.stdout == right.stdout, "{fault}: {}", said(&o));
    }
}

/// Returns a mapped-ram file of whole runs that are copied inside the kernel, and where their bytes begin.
fn mapped(dir: &Path) -> (PathBuf, u64) {
    let path = unpack(&testdata().join("mapped-ram-11.1.mig.zst"), &dir.join("mapped.mig"));
    let len = 1 << 20;
    let config = b"\x05\x1aconfiguration/capabilities\0\0\0\x01\0\0\0\x01\x0amapped-ram";
    let (bitmap, pages) = (4096_u64, 1_u64 << 20);
    let mut list = Stream::default();
    list.be64(len | 4).name(b"pc.ram").be64(len).be32(1).be64(4096).be64(bitmap).be64(pages);
    let mut s = Stream::new("pc");
    s.raw(config).start(0, "ram", 4, &list.bytes);
    s.bytes.resize(bitmap as usize, 0);
    s.raw(&[0xff; 32]);
    s.bytes.resize(pages as usize, 0);
    s.raw(&vec![7; len as usize]);
    fs::write(&path, &s.bytes).unwrap();
    (path, pages)
}

#[test]
fn a_mapped_ram_file_that_becomes_shorter_is_no_source_of_zeros() {
    let dir = scratch("shrinks");
    let (path, pages) = mapped(&dir);
    let out = dir.join("out");
    let mut c = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
    c.arg("extract").arg(&path).arg("-o").arg(&out);
    // the file loses its end after it was opened, and before its pages are copied
    c.env("LD_PRELOAD", preload()).env("FAULT", "ftruncate64:slow500:1:every");
    let child = c.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !out.exists() || fs::read_dir(&out).unwrap().next().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(pages + (512 << 10) + 100).unwrap();
    let o = child.wait_with_output().unwrap();
    assert_eq!(o.status.code(), Some(3), "{}", said(&o));
    assert!(said(&o).contains("became shorter while it was read (stream 0x180064"), "{}", said(&o));
    let names: Vec<String> = oracle::files(&out).into_keys().collect();
    assert!(names.len() == 1 && names[0].ends_with(".partial"), "{names:?}");
}

#[test]
fn an_error_of_reading_is_no_verdict() {
    let mut verdicts = 0;
    for name in ["avr-uno-11.1", "xbzrle-11.1", "pc-11.1"] {
        for n in 1..30 {
            for piped in [false, true] {
                let call = if piped { "read" } else { "pread64" };
                let mut c = savevm_analyze();
                c.env("LD_PRELOAD", preload()).env("FAULT", format!("{call}:5:{n}:from")).arg("check");
                let o = match piped {
                    true => c.arg("-").write_stdin(fs::read(fixture(name)).unwrap()).output().unwrap(),
                    false => c.arg(fixture(name)).output().unwrap(),
                };
                match o.status.code() {
                    // all was read before
                    Some(0) => verdicts += 1,
                    Some(2 | 3) => assert!(said(&o).contains("Input/output error"), "{name} {n}: {}", said(&o)),
                    other => panic!("{name}, call {n}: exit status {other:?}: {}", said(&o)),
                }
            }
        }
    }
    assert!(verdicts > 0);
}

#[test]
fn an_error_of_reading_is_no_difference_and_no_refusal() {
    let (a, b) = (fixture("avr-uno-11.1"), fixture("avr-uno-5.2"));
    for command in ["diff", "diff --memory", "compat"] {
        for n in 1..25 {
            let mut c = savevm_analyze();
            c.args(command.split(' ')).arg(&a).arg(&b).env("LD_PRELOAD", preload());
            let right = savevm_analyze().args(command.split(' ')).arg(&a).arg(&b).output().unwrap();
            let o = c.env("FAULT", format!("pread64:5:{n}:once")).output().unwrap();
            match o.status.code() {
                Some(1) => assert!(o.stdout == right.stdout, "{command}, call {n}: a verdict of what was read"),
                Some(2 | 3) => assert!(said(&o).contains("Input/output error"), "{command}, call {n}: {}", said(&o)),
                other => panic!("{command}, call {n}: exit status {other:?}"),
            }
        }
    }
}

#[test]
fn an_error_of_reading_a_compressed_file_is_no_damage() {
    let mut c = savevm_analyze();
    c.env("LD_PRELOAD", preload()).env("FAULT", "read:5:2:from").arg("check").arg("mapped-ram-11.1.mig.zst");
    let o = c.output().unwrap();
    assert!(matches!(o.status.code(), Some(0 | 2 | 3)), "{:?} {}", o.status, said(&o));
    assert!(o.status.code() == Some(0) || said(&o).contains("Input/output error"), "{}", said(&o));
}
