//! What the tests of the command line share: the fixtures, and the command.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod reports;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// A stream in `testdata/`.
pub struct Fixture {
    /// Its name without the endings.
    pub name: String,
    /// The stream, unpacked where it is stored compressed.
    pub stream: PathBuf,
    /// What analyze-migration.py printed for it, where that script can read it.
    pub answer: Option<PathBuf>,
}

/// Returns the directory of the fixtures.
pub fn testdata() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata"))
}

/// Returns a directory for the files of one test, empty.
pub fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", env!("CARGO_CRATE_NAME")));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Returns all streams, in the order of their names; the compressed ones are unpacked into `scratch`.
pub fn fixtures(scratch: &Path) -> Vec<Fixture> {
    let mut names: Vec<String> =
        fs::read_dir(testdata()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut out = Vec::new();
    for file in names {
        let stored = testdata().join(&file);
        let plain = file.strip_suffix(".zst").unwrap_or(&file);
        let Some(name) = plain.strip_suffix(".mig") else { continue };
        let stream = if plain == file { stored } else { unpack(&stored, &scratch.join(plain)) };
        let answer = testdata().join(format!("{name}.state.json.zst"));
        out.push(Fixture { name: name.to_owned(), stream, answer: answer.exists().then_some(answer) });
    }
    assert!(out.len() >= 59, "only {} streams in testdata/", out.len());
    out
}

/// Returns the path of one stream that is stored as it is.
pub fn fixture(name: &str) -> PathBuf {
    let path = testdata().join(format!("{name}.mig"));
    assert!(path.exists(), "{name}.mig is not in testdata/");
    path
}

/// Unpacks a zstd file and returns where to.
pub fn unpack(from: &Path, to: &Path) -> PathBuf {
    fs::write(to, unpacked(from)).unwrap();
    to.to_owned()
}

/// Returns the content of a zstd file.
pub fn unpacked(from: &Path) -> Vec<u8> {
    zstd::decode_all(fs::File::open(from).unwrap()).unwrap()
}

/// Returns the command, without colours from the environment.
pub fn savevm_analyze() -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
    c.env_remove("NO_COLOR").env("COLUMNS", "100").current_dir(testdata());
    c
}

/// Runs the command and returns standard output; panics unless it ends with this status.
pub fn run(args: &[&str], file: &Path, status: i32) -> Vec<u8> {
    let out = savevm_analyze().args(args).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(status), "{} {}: {said}", args.join(" "), file.display());
    out.stdout
}

/// Runs the tool with a file coming through a pipe, and returns what it prints.
#[allow(dead_code, reason = "not every test file pipes")]
pub fn run_piped(args: &[&str], file: &Path, status: i32) -> Vec<u8> {
    let mut cat = std::process::Command::new("cat").arg(file).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_savevm-analyze"))
        .args(args)
        .stdin(cat.stdout.take().unwrap())
        .output()
        .unwrap();
    cat.wait().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(status), "{} {}: {said}", args.join(" "), file.display());
    out.stdout
}
