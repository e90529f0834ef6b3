//! Memory of a stream that is cut, and outputs that cannot be as they should: what is whole is there, what is missing is
//! said, and nothing else is touched.
#![cfg(feature = "cli")]

mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pages::PAGE;

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn extract(state: &Path, args: &[&OsStr]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
    c.arg("extract").arg(state).args(args).stdin(Stdio::null()).output().unwrap()
}

fn extract_to(state: &Path, out: &Path) -> Output {
    extract(state, &["-o".as_ref(), out.as_ref()])
}

fn said(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

/// Every file below a directory, by its path from there.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(d) = todo.pop() {
        for e in fs::read_dir(&d).unwrap() {
            let path = e.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                out.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    out
}

/// Finds the unfinished file of a block: `NAME.XXXXXX.partial`.
fn partial(out: &Path, name: &str) -> PathBuf {
    let head = format!("{name}.");
    let ours = |n: &str| n.strip_prefix(&head).and_then(|n| n.strip_suffix(".partial")).is_some_and(|n| n.len() == 6);
    let mut files = fs::read_dir(out).unwrap().map(|e| e.unwrap().path());
    files.find(|p| ours(&p.file_name().unwrap().to_string_lossy())).unwrap_or_else(|| panic!("no file of {name}"))
}

#[test]
fn everything_before_a_truncation_is_in_the_output() {
    for (name, cuts) in [("resent-11.1.mig", 120), ("xbzrle-11.1.mig", 120)] {
        let stream = fixture(name);
        let ram = pages::read(&stream);
        let last = ram.records.last().unwrap().end;
        let dir = tempfile::tempdir().unwrap();
        let (cut_file, out) = (dir.path().join("cut.mig"), dir.path().join("out"));
        let mut memory: BTreeMap<String, Vec<u8>> =
            ram.blocks.iter().map(|(n, len)| (n.clone(), vec![0; *len])).collect();
        let mut came: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        let mut records = ram.records.iter().peekable();
        for i in 0..cuts {
            // not at equal distances, so that all parts of records are met
            let cut = ram.listed + (last - ram.listed) * i / cuts + i * 37 % 61;
            while let Some(r) = records.next_if(|r| r.end <= cut) {
                r.apply(&stream, &mut memory);
                came.entry(&r.block).or_default().insert(r.offset);
            }
            fs::write(&cut_file, &stream[..cut]).unwrap();
            let _ = fs::remove_dir_all(&out);
            let o = extract_to(&cut_file, &out);
            let said = said(&o);
            assert_eq!(o.status.code(), Some(3), "{name} cut at {cut}: {said}");
            for (block, want) in &memory {
                let path = partial(&out, &block.trim_matches('/').replace('/', "_"));
                let got = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                assert!(got == *want, "{name} cut at {cut}: {block} is not what precedes the cut");
                let missing = want.len() - came.get(&**block).map_or(0, |c| c.len() * PAGE);
                let told =
                    said.lines().any(|l| l.contains(&format!(": {block}: ")) && l.contains("missing from the stream"));
                assert_eq!(told, missing > 0, "{name} cut at {cut}: {missing} bytes of {block} are missing: {said}");
            }
            assert!(said.contains("the stream is truncated"), "{name} cut at {cut}: {said}");
        }
    }
}

#[test]
fn block_names_never_leave_the_folder() {
    let long = [b'n'; 255];
    let names: Vec<&[u8]> = vec![
        b"../../above",
        b"..",
        b".",
        b"/",
        b"/etc/passwd",
        b"a/../../../b",
        b"..\\..\\c",
        b"nul\0l",
        b"line\nfeed",
        b"\x1b[31mred",
        b"same",
        b"SAME",
        b"a_b",
        b"a/b",
        b"a.partial",
        b"a",
        b"state.json",
        &long,
    ];
    let dir = tempfile::tempdir().unwrap();
    let (state, out) = (dir.path().join("hostile.mig"), dir.path().join("deep/er/out"));
    fs::write(&state, pages::stream_of(&names)).unwrap();
    for arguments in [&["extract"][..], &["-x", "-f"]] {
        let mut c = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
        let o = c.args(arguments).arg(&state).arg("-o").arg(&out).stdin(Stdio::null()).output().unwrap();
        assert_eq!(o.status.code(), Some(0), "{}", said(&o));
        let mut found = files(dir.path());
        assert_eq!(found.remove(Path::new("hostile.mig")).map(|b| b.len()), Some(fs::read(&state).unwrap().len()));
        assert!(found.keys().all(|p| p.parent() == Some(Path::new("deep/er/out"))), "{:?}", found.keys());
        found.remove(Path::new("deep/er/out/state.json"));
        // every block has a file of its own, with its own content
        let numbers: BTreeSet<u8> = found.values().map(|b| b[0]).collect();
        assert_eq!((found.len(), numbers.len()), (names.len(), names.len()), "{:?}", found.keys());
        assert!(found.values().all(|b| b.len() == PAGE && b.iter().all(|x| *x == b[0])));
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn what_exists_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (state, out) = (dir.path().join("two.mig"), dir.path().join("out"));
    fs::write(&state, pages::stream_of(&[b"one", b"two"])).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("two"), "precious").unwrap();
    let o = extract_to(&state, &out);
    assert_eq!(o.status.code(), Some(2), "{}", said(&o));
    assert!(said(&o).contains("two already exists") && said(&o).contains("--force"), "{}", said(&o));
    // nothing else was begun either
    assert_eq!(files(&out), BTreeMap::from([(PathBuf::from("two"), b"precious".to_vec())]));
    // the file of the state is looked at before the memory is read, which a pipe gives only once
    let taken = out.join("two");
    let other = dir.path().join("other");
    let o = extract(&state, &["-o".as_ref(), other.as_ref(), "--also-state".as_ref(), taken.as_ref()]);
    assert_eq!((o.status.code(), other.exists()), (Some(2), false), "{}", said(&o));
    let o = extract(&state, &["-o".as_ref(), out.as_ref(), "--force".as_ref()]);
    assert_eq!(o.status.code(), Some(0), "{}", said(&o));
    let found = files(&out);
    assert_eq!(found.len(), 2);
    assert_eq!((found[Path::new("one")][0], found[Path::new("two")][0]), (1, 2));
}

#[cfg(unix)]
#[test]
fn links_are_replaced_and_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (state, out, target) = (dir.path().join("one.mig"), dir.path().join("out"), dir.path().join("target"));
    fs::write(&state, pages::stream_of(&[b"one"])).unwrap();
    fs::write(&target, "precious").unwrap();
    fs::create_dir(&out).unwrap();
    for name in ["one", "one.partial"] {
        std::os::unix::fs::symlink(&target, out.join(name)).unwrap();
    }
    assert_eq!(extract_to(&state, &out).status.code(), Some(2));
    let o = extract(&state, &["-o".as_ref(), out.as_ref(), "--force".as_ref()]);
    assert_eq!(o.status.code(), Some(0), "{}", said(&o));
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert!(!out.join("one").is_symlink());
}

/// A file system of 256 KiB, while it lives; there is none without the right to mount.
#[cfg(target_os = "linux")]
struct Small(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Small {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut c = Command::new("mount");
        c.args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(dir.path());
        c.stdout(Stdio::null()).stderr(Stdio::null());
        c.status().is_ok_and(|s| s.success()).then_some(Self(dir))
    }
}

#[cfg(target_os = "linux")]
impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.mig");
    let names: Vec<Vec<u8>> = (0..200).map(|i| format!("block{i:03}").into_bytes()).collect();
    fs::write(&state, pages::stream_of(&names.iter().map(Vec::as_slice).collect::<Vec<_>>())).unwrap();
    // standard output on a full device needs no rights
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut c = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
    let o = c.arg("extract").arg(&state).args(["--block", "block007", "-o", "-"]).stdout(full).output().unwrap();
    assert!(matches!(o.status.code(), Some(2 | 3)), "{:?}", o.status);
    assert!(said(&o).contains("No space left on device"), "{}", said(&o));
    let Some(small) = Small::mount() else { return };
    let out = small.0.path().join("out");
    let o = extract_to(&state, &out);
    let said = said(&o);
    assert_eq!(o.status.code(), Some(3), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    let first = partial(&out, "block000");
    let first = Path::new(first.file_name().unwrap());
    assert!(said.contains("partial data is in") && said.contains(&*first.to_string_lossy()), "{said}");
    assert!(!said.contains("not in the stream"), "what was not written is not to be called not sent: {said}");
    let written = files(&out);
    assert!(written.keys().all(|p| p.extension() == Some("partial".as_ref())));
    assert_eq!(written[first], [1; PAGE]);
}
