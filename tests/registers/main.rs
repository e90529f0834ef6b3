//! `cpu` says what QEMU's monitor said of the same stopped machine (`info registers -a`), register by register.
//!
//! The answers are next to the streams as NAME.registers.txt. `SAVEVM_REGISTERS` may name more directories with such pairs,
//! with colons between them; the table of what was compared is printed with `--nocapture`.

#![cfg(feature = "cli")]

#[path = "../common/mod.rs"]
mod common;
mod monitor;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use monitor::Said;
use serde_json::Value;

/// What the monitor prints and the stream does not hold: the beginning of the architecture's name, the register, why.
static NOT_KEPT: &[(&str, &str, &str)] = &[
    ("ppc", "HF", "flags of QEMU's translator, worked out anew when the state is loaded"),
    ("ppc", "iidx", "as HF"),
    ("ppc", "didx", "as HF"),
    ("ppc", "TB", "read from the running clock"),
    ("ppc", "DECR", "read from the running clock"),
    ("ppc", "TB_OFFSET", "of the time base, not of the processor"),
    ("mips", "hflags", "flags of QEMU's translator"),
    ("i386", "EFER", "sent only where it is not 0"),
    ("riscv32", "mcycleh", "as mcycle"),
    ("riscv32", "minstreth", "as minstret"),
    ("riscv32", "cycleh", "as cycle"),
    ("riscv32", "instreth", "as instret"),
    ("riscv32", "timeh", "as time"),
    ("riscv", "mcycle", "read from the host's clock"),
    ("riscv", "minstret", "read from the host's clock"),
    ("riscv", "cycle", "read from the host's clock"),
    ("riscv", "instret", "read from the host's clock"),
    ("riscv", "time", "read from the running clock"),
    ("riscv", "hpmcounter", "a view of mhpmcounter"),
    ("riscv", "hvip", "the monitor's way of reading it returns mip"),
    ("riscv", "tinfo", "a constant of the model"),
    ("riscv", "mvendorid", "a constant of the model"),
    ("riscv", "marchid", "a constant of the model"),
    ("riscv", "mimpid", "a constant of the model"),
    ("riscv", "mconfigptr", "a constant of the model"),
    ("riscv", "fflags", "not in the stream"),
    ("riscv", "fcsr", "fflags, which are not in the stream, and frm"),
];

fn reason(architecture: &str, name: &str) -> Option<&'static str> {
    let of = |(a, n, _): &&(&str, &str, &str)| {
        architecture.starts_with(a) && (*n == name || (*n == "hpmcounter" && name.starts_with(n)))
    };
    NOT_KEPT.iter().find(of).map(|(_, _, why)| *why)
}

/// What we say of a processor: registers by name, and the architecture.
struct Ours {
    architecture: String,
    registers: HashMap<String, Value>,
}

impl Ours {
    /// Returns a register, or a part of one as in `CS.base`.
    fn get(&self, name: &str) -> Option<String> {
        let (register, key) = name.split_once('.').unwrap_or((name, "value"));
        match &self.registers.get(register)?[key] {
            Value::Number(n) => Some(format!("{:x}", n.as_u64().unwrap())),
            Value::String(s) if key == "says" => Some(s.clone()),
            Value::String(s) => Some(bare(s)),
            Value::Null if key == "says" => Some(String::new()),
            _ => None,
        }
    }
}

/// Returns hexadecimal digits without what carries no information.
fn bare(digits: &str) -> String {
    let digits = digits.strip_prefix("0x").unwrap_or(digits).trim_start_matches('0');
    if digits.is_empty() { "0".to_owned() } else { digits.to_owned() }
}

/// Returns whether our words begin with those of the monitor; where it prints none, we may not either.
fn begins(ours: &str, monitor: &str) -> bool {
    match ours.strip_prefix(monitor) {
        Some(rest) => rest.is_empty() || (!monitor.is_empty() && rest.starts_with(' ')),
        None => false,
    }
}

/// Returns the last digits of a number.
fn tail(digits: &str, n: usize) -> String {
    bare(&digits[digits.len().saturating_sub(n)..])
}

fn ours(stream: &Path) -> BTreeMap<u64, Ours> {
    let document: Value = serde_json::from_slice(&common::run(&["cpu", "--all", "--json"], stream, 0)).unwrap();
    let one = |c: &Value| {
        let groups = c["groups"].as_array().unwrap();
        let all = groups.iter().flat_map(|g| g["registers"].as_array().unwrap());
        let registers = all.map(|r| (r["name"].as_str().unwrap().to_owned(), r.clone())).collect();
        let architecture = c["architecture"].as_str().unwrap_or("unknown").to_owned();
        (c["index"].as_u64().unwrap(), Ours { architecture, registers })
    };
    document["cpus"].as_array().unwrap().iter().map(one).collect()
}

/// Returns how many registers were compared, what was not equal, and how many are not kept; `None` for a stream without a
/// description.
fn compare(stream: &Path, text: &str) -> Option<(usize, Vec<String>, usize)> {
    let ours = ours(stream);
    if ours.values().any(|c| c.architecture == "unknown") {
        return None;
    }
    let (mut compared, mut unequal, mut skipped) = (0, Vec::new(), 0);
    let sections = monitor::cpus(text);
    assert_eq!(sections.len(), ours.len(), "{}: processors", stream.display());
    for (index, lines) in sections {
        let Some(cpu) = ours.get(&index) else {
            unequal.push(format!("no CPU {index}"));
            continue;
        };
        for said in monitor::registers(&cpu.architecture, &lines) {
            let Said { name, value, words, low_half } = said;
            if reason(&cpu.architecture, &name).is_some() {
                skipped += 1;
                continue;
            }
            compared += 1;
            // where there is more than the lowest 128 bits, we show it, and the monitor of 5.2 does not
            let lowest = || Some(tail(&cpu.get(&name.strip_prefix("XMM").map(|n| format!("YMM{n}"))?)?, 32));
            let mut have = cpu.get(&name).or_else(lowest);
            let mut want = value.clone();
            if words {
                have = have.map(|h| if begins(&h, &want) { want.clone() } else { h });
            } else {
                want = bare(&value);
                if low_half {
                    have = have.map(|h| tail(&h, 8));
                }
            }
            if have.as_deref() != Some(&want) {
                unequal.push(format!("CPU {index} {name}: QEMU {want}, ours {}", have.as_deref().unwrap_or("absent")));
            }
        }
    }
    Some((compared, unequal, skipped))
}

/// Returns the streams of a directory that have an answer next to them.
fn pairs(dir: &Path) -> Vec<(String, PathBuf, String)> {
    let mut out = Vec::new();
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for file in names {
        let Some(name) = file.strip_suffix(".registers.txt") else { continue };
        let text = fs::read_to_string(dir.join(&file)).unwrap();
        let plain = dir.join(format!("{name}.mig"));
        let packed = dir.join(format!("{name}.mig.zst"));
        out.push((name.to_owned(), if plain.exists() { plain } else { packed }, text));
    }
    out
}

#[test]
fn every_register_of_the_monitor_is_ours() {
    let mut dirs = vec![common::testdata().to_owned(), common::testdata().join("booted")];
    if let Some(more) = std::env::var_os("SAVEVM_REGISTERS") {
        dirs.extend(std::env::split_paths(&more));
    }
    let mut wrong = Vec::new();
    let mut streams = 0;
    println!("{:<32} {:>9} {:>8} {:>9}", "stream", "compared", "unequal", "not kept");
    for (name, stream, text) in dirs.iter().flat_map(|d| pairs(d)) {
        let Some((compared, unequal, skipped)) = compare(&stream, &text) else {
            println!("{name:<32} has no description");
            continue;
        };
        println!("{name:<32} {compared:>9} {:>8} {skipped:>9}", unequal.len());
        assert!(compared >= 30, "{name}: only {compared} registers");
        wrong.extend(unequal.into_iter().map(|u| format!("{name}: {u}")));
        streams += 1;
    }
    assert!(streams >= 4, "only {streams} streams with registers");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
