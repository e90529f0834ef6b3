//! Guests whose memory was damaged: every question has an answer or an error, soon and with little memory.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::props::{Patched, QUESTIONS, Subject, ask, damage};
use super::{GUESTS, file};
use savevm_analyze::SaveImage;
use savevm_analyze::os::linux::guest::Guest;
use savevm_analyze::os::linux::tasks;

/// A generator of numbers that is the same everywhere (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// Processor time of this thread, in seconds.
fn cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// Returns resident memory in KiB: now, and at most since `forget`.
fn memory() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    (field("VmRSS:").unwrap_or(0), field("VmHWM:").unwrap_or(0))
}

fn forget() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// What the mutants cost.
#[derive(Default)]
struct Costs {
    mutants: u64,
    panics: Vec<String>,
    slowest: BTreeMap<&'static str, (f64, u64)>,
    largest: (u64, &'static str, u64),
    answered: BTreeMap<&'static str, u64>,
}

impl Costs {
    fn of(&mut self, what: &'static str, seed: u64, work: impl FnOnce() -> bool) {
        forget();
        let (before, _) = memory();
        let start = cpu();
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(answered) => *self.answered.entry(what).or_default() += u64::from(answered),
            Err(_) => self.panics.push(format!("{what}, seed {seed}")),
        }
        let took = cpu() - start;
        let slowest = self.slowest.entry(what).or_default();
        if took > slowest.0 {
            *slowest = (took, seed);
        }
        let more = memory().1.saturating_sub(before);
        if more > self.largest.0 {
            self.largest = (more, what, seed);
        }
        if took > 2.0 || more > 256 << 10 {
            println!("{what}, seed {seed}: {took:.1} s, {} MiB", more >> 10);
        }
    }
}

/// Asks damaged guests: of every eight mutants one has a damage to what finds the kernel, its symbols and its types.
fn liars(names: &[&str], seeds: std::ops::Range<u64>) -> Costs {
    let subjects: Vec<Subject> = names
        .iter()
        .map(|n| Subject::new(SaveImage::options().keep_memory(u64::MAX).open(file(n, "mig.zst")).unwrap()))
        .collect();
    let mut costs = Costs::default();
    for (number, s) in subjects.iter().enumerate() {
        let patched = Patched::new(s.image.memory().unwrap());
        let sound = Guest::find(&patched, &s.hints).unwrap();
        for seed in seeds.clone().filter(|n| *n as usize % subjects.len() == number) {
            let mut random = Random(seed);
            let question = match random.next() % 8 {
                0 => 0,
                _ => 2 + (random.next() % (s.read.len() as u64 - 2)) as usize,
            };
            patched.restore();
            for _ in 0..=random.next() % 3 {
                let (place, other) = (s.place(question, random.next()), s.place(question, random.next()));
                damage(&patched, place, other, random.next());
            }
            costs.mutants += 1;
            let mut found = None;
            if question == 0 {
                let memory = &patched;
                costs.of("find", seed, || {
                    found = Guest::find(memory, &s.hints).ok();
                    found.is_some()
                });
            }
            let guest = match question {
                0 => found.as_ref(),
                _ => Some(&sound),
            };
            let Some(guest) = guest else { continue };
            // a damage to what a question reads is asked that question, one to the rest all
            let asked = QUESTIONS.iter().enumerate().skip(1).filter(|(n, _)| question == 0 || n + 1 == question);
            for (_, q) in asked {
                costs.of(q, seed, || ask(q, guest, &s.registers, &mut |_| {}).is_ok());
            }
        }
    }
    costs
}

#[test]
fn damaged_guests_are_answered_soon() {
    let costs = liars(&["arm64-6.1"], 0..40);
    assert!(costs.panics.is_empty(), "{:?}", costs.panics);
    assert!(costs.slowest.values().all(|(s, _)| *s < 10.0), "{:?}", costs.slowest);
}

/// A table of open files that is as long as it may be: with nothing in it, and with the kernel's types in it, whose bytes lead nowhere.
#[test]
fn a_table_of_files_that_is_too_long() {
    let image = SaveImage::options().keep_memory(u64::MAX).open(file("arm64-6.1", "mig.zst")).unwrap();
    let s = Subject::new(image);
    let patched = Patched::new(s.image.memory().unwrap());
    let guest = Guest::find(&patched, &s.hints).unwrap();
    let first = tasks::tasks(&guest, false).unwrap().list.into_iter().find(|t| !t.is_kernel).unwrap();
    let table = guest.object("struct task_struct", first.address).unwrap().path("files.fdt").unwrap().target().unwrap();
    let place = |member: &str| guest.kernel().physical(table.member(member).unwrap().address()).unwrap().0;
    patched.write(place("max_fds"), &u32::MAX.to_le_bytes());
    for start in [guest.image()[0].start, guest.types_at().at] {
        patched.write(place("fd"), &start.to_le_bytes());
        let mut costs = Costs::default();
        for q in ["files", "net"] {
            costs.of(q, start, || ask(q, &guest, &s.registers, &mut |_| {}).is_ok());
        }
        println!("{:?} {:?}", costs.slowest, costs.largest);
        assert!(costs.panics.is_empty() && costs.largest.0 < 64 << 10, "{:?}", costs.largest);
        assert!(costs.slowest.values().all(|(s, _)| *s < 2.0), "{:?}", costs.slowest);
    }
}

/// Not a test of every day: `LIARS` is how many mutants are made, `FROM` the first seed.
#[test]
#[ignore = "takes many minutes"]
fn many_damaged_guests() {
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or);
    let from = number("FROM", 0);
    let costs = liars(&GUESTS, from..from + number("LIARS", 10_000));
    println!("{} mutants, {} panics", costs.mutants, costs.panics.len());
    for p in &costs.panics {
        println!("panic: {p}");
    }
    for (what, (took, seed)) in &costs.slowest {
        println!("{what}: {} answers, the slowest {took:.2} s of CPU (seed {seed})", costs.answered[what]);
    }
    let (kib, what, seed) = costs.largest;
    println!("the largest: {what}, {} MiB (seed {seed})", kib >> 10);
}
