//! Streams and wrappers that are changed where their structure is, and three properties that hold of whatever comes out.
//!
//! 1. A file, a pipe and the gzip of it give the same answers, findings included.
//! 2. Where `check` says sound, every other command answers completely.
//! 3. No panic, bounded time, bounded memory.
//!
//! `SAVEVM_ANALYZE_MUTATE_SECONDS` and `_CASES` say how long it runs, `_SEED` where it begins, `_CASE` runs one case alone;
//! `SAVEVM_ANALYZE_MUTATE_INPUTS` names a folder with more inputs. A case that fails is written to the system's temporary folder.

#![cfg(feature = "cli")]

mod bases;
mod binary;
mod description;
#[path = "../hard/mod.rs"]
mod hard;
mod look;
mod mutations;
mod parts;
#[path = "../common/wrap.rs"]
mod wrap;
mod wrappers;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bases::Bases;
use binary::{Files, difference};
use hard::Random;
use look::{Input, Look, look};

// Where answers may differ: the container's name and places in the file, which say what the input is; and a part of a file
// that is passed over (limits::PASS_OVER), though no input here is that large.

/// CPU time of one look at one input in a build without optimization.
const SLOW: f64 = 2.0;

/// Memory that a look at one input may use.
const MEMORY: u64 = 256 << 20;

/// Cases that also go through the binary: one in so many, and of the sound ones one in so many.
const THROUGH_BINARY: u64 = 50;
const SOUND_THROUGH_BINARY: u64 = 8;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(format!("SAVEVM_ANALYZE_MUTATE_{name}")).ok()?;
    Some(value.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// A case: the bytes, and what they are.
fn case(bases: &Bases, seed: u64, number: u64) -> (Vec<u8>, String) {
    let mut random = Random((seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
    (0..4).for_each(|_| _ = random.next());
    let (name, bytes) = bases.one(&mut random);
    let mut pieces = parts::cut(bytes);
    assert_eq!(parts::join(&pieces), bytes, "{name}: the pieces are not the stream");
    let mut what = vec![name.to_owned()];
    for _ in 0..1 + random.below(4) {
        if pieces.len() > 1 {
            what.push(mutations::once(&mut random, bases, &mut pieces));
        }
    }
    let mut out = parts::join(&pieces);
    if random.below(5) == 0 {
        let (wrapped, how) = wrappers::around(&mut random, &out);
        out = wrapped;
        what.push(how);
    }
    (out, what.join("; "))
}

/// CPU time of this thread in seconds, where the system says.
fn cpu_time() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// A number of the process's memory in bytes, where the system has it: `VmHWM` for the highest use, `VmRSS` for the present one.
fn memory(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) << 10
}

/// The most that one look has used.
static MOST: AtomicU64 = AtomicU64::new(0);

/// Looks at one input, and at what it takes.
fn measured(input: &Input<'_>, pages: bool, found: &mut Vec<(String, String)>) -> Option<Look> {
    // the highest use begins anew
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (time, before) = (cpu_time(), memory("VmRSS"));
    let result = catch_unwind(AssertUnwindSafe(|| look(input, pages)));
    let (took, more) = (cpu_time() - time, memory("VmHWM").saturating_sub(before));
    MOST.fetch_max(more, Ordering::Relaxed);
    if took > SLOW {
        found.push(("slow".to_owned(), format!("{took:.1} s")));
    }
    if more > MEMORY {
        found.push(("memory".to_owned(), format!("{} MiB", more >> 20)));
    }
    match result {
        Ok(l) => Some(l),
        Err(e) => {
            let text =
                e.downcast_ref::<String>().cloned().or_else(|| e.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            found.push(("panic".to_owned(), text.unwrap_or_default()));
            None
        }
    }
}

fn compare(a: &Look, b: &Look, how: &str, found: &mut Vec<(String, String)>) {
    for (i, (question, answer)) in a.answers.iter().enumerate() {
        let other = b.answers.get(i);
        let same = other.is_some_and(|o| o.0 == *question && o.1 == *answer);
        if !same {
            let (q, o) = other.map_or(("nothing", ""), |(q, o)| (*q, o.as_str()));
            found.push((format!("file/{how}: {question}"), format!("{question} / {q}: {}", difference(answer, o))));
            return;
        }
    }
}

/// Runs one case; returns the kinds of what was found, with the details.
fn run(bytes: &[u8], number: u64, dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let files = Files { dir: dir.to_path_buf(), plain: dir.join("input"), packed: dir.join("input.gz") };
    fs::write(&files.plain, bytes).unwrap();
    let packed = wrap::pack("gzip", bytes);
    let pages = number.is_multiple_of(2);
    let Some(file) = measured(&Input::File(&files.plain), pages, &mut found) else { return found };
    for (how, bytes) in [("pipe", bytes.to_vec()), ("gzip", packed.clone())] {
        if let Some(other) = measured(&Input::Pipe(bytes), pages, &mut found) {
            compare(&file, &other, how, &mut found);
        }
    }
    if file.sound && !file.incomplete.is_empty() {
        found.push(("sound, but incomplete".to_owned(), file.incomplete.join("\n")));
    }
    let sample = number.is_multiple_of(THROUGH_BINARY);
    if found.is_empty() && (sample || file.sound && number.is_multiple_of(SOUND_THROUGH_BINARY)) {
        fs::write(&files.packed, &packed).unwrap();
        found.extend(binary::complete(&files));
        if sample {
            found.extend(binary::ways(&files));
        }
    }
    found
}

/// The result of a run.
#[derive(Default)]
struct Tally {
    cases: u64,
    kinds: BTreeMap<String, Vec<u64>>,
}

#[test]
fn mutations_hold_the_properties() {
    let seed = setting("SEED").unwrap_or(1);
    let time = Duration::from_secs(setting("SECONDS").unwrap_or(30));
    let cases = setting("CASES").unwrap_or(u64::MAX);
    let numbers = setting("CASE").map_or(0..cases, |n| n..n.saturating_add(1));
    let dir = std::env::temp_dir().join(format!("savevm-analyze-mutate-{seed}-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let bases = Bases::read();
    let began = Instant::now();
    let mut tally = Tally::default();
    for number in numbers {
        if began.elapsed() > time {
            break;
        }
        let (bytes, what) = case(&bases, seed, number);
        tally.cases += 1;
        for (kind, detail) in run(&bytes, number, &dir) {
            let list = tally.kinds.entry(kind.clone()).or_default();
            list.push(number);
            if list.len() <= 5 {
                let kept = std::env::temp_dir().join(format!("savevm-analyze-mutate-{seed}-{number}"));
                fs::write(&kept, &bytes).unwrap();
                println!("\nseed {seed} case {number}: {kind}\n  {what}\n  {}\n  {detail}", kept.display());
            }
        }
    }
    let _ = fs::remove_dir_all(&dir);
    println!(
        "seed {seed}: {} cases in {:?}, most memory {} MiB",
        tally.cases,
        began.elapsed(),
        MOST.load(Ordering::Relaxed) >> 20
    );
    let total: usize = tally.kinds.values().map(Vec::len).sum();
    for (kind, list) in &tally.kinds {
        println!("  {:5} {kind}: {:?}", list.len(), &list[..list.len().min(12)]);
    }
    assert_eq!(total, 0, "seed {seed}: {total} findings in {} cases", tally.cases);
}
