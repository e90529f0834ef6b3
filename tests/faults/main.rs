//! Faults: the command on streams of `testdata/` while the system fails in one way or another.
//!
//! Some runs at random belong to each test run; `SAVEVM_ANALYZE_FAULT_RUNS=500` makes as many, and
//! `SAVEVM_ANALYZE_FAULT_SEED` begins with another seed. `docs/robustness.md` lists the guarantees.

#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod cases;
mod closed;
mod files;
mod kinds;
mod oracle;
mod signals;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use cases::Case;
use kinds::Kind;

/// Runs that a test run makes; some seconds.
const RUNS: u64 = 42;

/// A generator of numbers: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

/// Returns the library that makes calls fail, compiled once.
fn preload() -> &'static PathBuf {
    static LIBRARY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults-preload.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/preload.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(source).arg("-ldl");
        let status = cc.status().expect("the faults need a C compiler");
        assert!(status.success(), "cannot compile {source}");
        library
    })
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}: expected a number")))
}

#[test]
fn random_faults() {
    let seed = number("SAVEVM_ANALYZE_FAULT_SEED", 1);
    let runs = number("SAVEVM_ANALYZE_FAULT_RUNS", RUNS);
    let scratch = common::scratch("random");
    let cases = Case::all(&scratch);
    let kinds = Kind::all();
    let mut counts: BTreeMap<(&str, String), u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for run in 0..runs {
        // a run can be repeated alone
        let mut random = Random(seed.wrapping_mul(1 << 32).wrapping_add(run));
        let kind = kinds[(run % kinds.len() as u64) as usize];
        let case = random.pick(&cases);
        let dir = scratch.join(format!("run-{run}"));
        let report = kind.run(case, &dir, &mut random);
        let outcome = match &report.wrong {
            None => report.outcome.clone(),
            Some(why) => {
                wrong.push(format!("run {run}, {kind:?}, {}, {}: {why}\n{}", case.name, report.how, report.said));
                "WRONG".to_owned()
            }
        };
        *counts.entry((kind.name(), outcome)).or_default() += 1;
        if report.wrong.is_none() {
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }
    println!("seed {seed}, {runs} runs");
    for ((kind, outcome), n) in &counts {
        println!("{kind:14} {outcome:24} {n:5}");
    }
    assert!(wrong.is_empty(), "{} of {runs} runs with seed {seed} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
