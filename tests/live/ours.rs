//! Our command, and comparisons of what it writes.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The command under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_savevm-analyze");

/// Runs it.
pub fn run(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).output().unwrap()
}

/// Runs it; it must answer completely.
pub fn complete(args: &[&str]) -> String {
    let o = run(args);
    let err = String::from_utf8_lossy(&o.stderr);
    assert_eq!(o.status.code(), Some(0), "{args:?}: {err}");
    String::from_utf8(o.stdout).unwrap()
}

/// Runs it; it must answer completely, in JSON.
pub fn json(args: &[&str]) -> Value {
    serde_json::from_str(&complete(args)).unwrap()
}

/// A path as an argument.
pub fn arg(p: &Path) -> &str {
    p.to_str().unwrap()
}

/// Extracts all blocks of a state into `dir`, and returns the file of main memory.
pub fn extract(state: &Path, dir: &Path) -> PathBuf {
    complete(&["extract", arg(state), "-o", arg(dir)]);
    dir.join("pc.ram")
}

/// Panics unless two files are equal, byte for byte.
pub fn assert_same(ours: &Path, truth: &Path) {
    let different = differing_pages(ours, truth);
    assert!(
        different.is_empty(),
        "{} and {}: {} pages differ, at {:x?} …",
        ours.display(),
        truth.display(),
        different.len(),
        &different[..different.len().min(8)]
    );
}

/// The offsets of the pages in which two files differ; their lengths must not.
pub fn differing_pages(a: &Path, b: &Path) -> Vec<u64> {
    let open = |p: &Path| File::open(p).unwrap_or_else(|e| panic!("{}: {e}", p.display()));
    let (a, b) = (open(a), open(b));
    let len = a.metadata().unwrap().len();
    assert_eq!(len, b.metadata().unwrap().len(), "lengths");
    let (mut a, mut b) = (BufReader::with_capacity(1 << 20, a), BufReader::with_capacity(1 << 20, b));
    let (mut x, mut y) = ([0; 4096], [0; 4096]);
    let mut out = Vec::new();
    for at in (0..len).step_by(4096) {
        a.read_exact(&mut x).unwrap();
        b.read_exact(&mut y).unwrap();
        if x != y {
            out.push(at);
        }
    }
    out
}

/// What `info` says of main memory.
pub fn main_memory(state: &Path) -> Value {
    let info = json(&["info", arg(state), "--json"]);
    let blocks = info["ram"]["blocks"].as_array().unwrap();
    blocks.iter().find(|b| b["name"] == "pc.ram").unwrap().clone()
}

/// The devices of a state whose name ends in `ending`, from `state --json`.
pub fn devices<'a>(state: &'a Value, ending: &str) -> Vec<&'a Value> {
    let all = state["devices"].as_array().unwrap();
    all.iter().filter(|d| d["device"].as_str().unwrap().ends_with(ending)).collect()
}

/// The first node of a name in a tree of `state --json`.
pub fn find<'a>(node: &'a Value, name: &str) -> Option<&'a Value> {
    for key in ["fields", "elements", "subsections"] {
        for child in node[key].as_array().into_iter().flatten() {
            if child["name"] == name {
                return Some(child);
            }
            if let Some(hit) = find(child, name) {
                return Some(hit);
            }
        }
    }
    None
}

/// A number as `state --json` writes it: in hexadecimal where 64 bits are needed.
pub fn number(v: &Value) -> u64 {
    let v = v.get("value").unwrap_or(v);
    match v.as_str() {
        Some(hex) => u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap(),
        None => v.as_i64().unwrap() as u64,
    }
}
