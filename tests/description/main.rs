//! The compiler of descriptions against the slow one that it replaced, which reads the text into a tree first.

mod compile;
#[path = "../hard/mod.rs"]
mod hard;
mod tree;

use hard::{LARGE, Random, SMALL, exhaustive, fixture, open};
use savevm_analyze::schema::{self, Document, Schema};

fn description(name: &str) -> Option<Vec<u8>> {
    let bytes = fixture(name);
    let image = open(bytes.clone(), true).unwrap();
    let range = image.walk().description.as_ref()?.text;
    Some(bytes[range.start.0 as usize..range.end.0 as usize].to_vec())
}

/// Asserts that both compilers understand a text alike, and print the same document; returns whether it could be read.
fn same(text: &[u8]) -> bool {
    let shown = || String::from_utf8_lossy(&text[..text.len().min(3_000)]).into_owned();
    let Some((json, repaired)) = tree::parse(text) else {
        assert!(schema::read(text).is_err(), "{}", shown());
        return false;
    };
    let document = Document::new(text.to_vec()).unwrap();
    assert_eq!(serde_json::to_string(&document).unwrap(), serde_json::to_string(&json).unwrap(), "{}", shown());
    let Some(want) = compile::compile(&json) else {
        assert!(schema::read(text).is_err(), "{}", shown());
        return false;
    };
    let mut found = schema::read(text).unwrap_or_else(|e| panic!("{e}: {}", shown()));
    if repaired {
        assert!(found.remarks.pop().unwrap().contains("unescaped text was repaired"));
    }
    assert_eq!(found, want, "{}", shown());
    true
}

/// Asserts that of a damaged text each device is found that the reference finds and that is not changed by the damage.
fn salvaged(text: &[u8], sound: &Schema) -> (usize, usize) {
    let Some(want) = tree::salvage(text).and_then(|j| compile::compile(&j)) else {
        assert_eq!(schema::read_damaged(text), None);
        return (0, 0);
    };
    let found = schema::read_damaged(text).unwrap();
    let whole = |s: &Schema| s.devices.iter().filter(|d| sound.devices.contains(d)).cloned().collect::<Vec<_>>();
    let (want, got) = (whole(&want), whole(&found));
    for d in &want {
        assert!(got.contains(d), "{} is lost: {}", d.idstr, String::from_utf8_lossy(text));
    }
    serde_json::to_string(&Document::new(text.to_vec()).unwrap()).unwrap();
    (want.len(), got.len())
}

#[test]
fn fixtures_compile_alike() {
    let read = SMALL.iter().chain(LARGE).filter_map(|n| description(n)).filter(|t| same(t)).count();
    assert!(read > 10, "only {read} descriptions");
}

/// Bytes that mean something in JSON, and some that are not allowed in it.
const ODD: &[u8] = b"\"\\\x01{}[],:\xff9e-";

#[test]
fn damaged_descriptions_compile_alike() {
    let mut random = Random(7);
    let (mut sound_ones, mut old, mut new) = (0, 0, 0);
    for name in ["avr-uno-5.2", "avr-uno-11.1", "sparc64-11.1", "microvm-11.1"] {
        let text = description(name).unwrap();
        let sound = schema::read(&text).unwrap();
        for _ in 0..if exhaustive() { 20_000 } else { 150 } {
            let mut t = text.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(t.len());
                let n = random.below(30).min(t.len() - at);
                match random.below(5) {
                    0 => t[at] = random.next() as u8,
                    1 => drop(t.drain(at..at + n)),
                    2 => t.truncate(at.max(t.len() / 2)),
                    3 => t.insert(at, ODD[random.below(ODD.len())]),
                    _ => drop(t.splice(at..at, t[at..at + n].to_vec())),
                }
            }
            if same(&t) {
                sound_ones += 1;
            } else {
                let (o, n) = salvaged(&t, &sound);
                old += o;
                new += n;
            }
        }
    }
    assert!(sound_ones > 10 && old > 100 && new >= old, "{sound_ones} read, {old} and {new} salvaged");
}

/// Writes some value, of the kind that a key wants or another.
fn value(random: &mut Random, key: &str, depth: usize, out: &mut String) {
    let scalar = [
        "0",
        "1",
        "-1",
        "4096",
        "4294967296",
        "-0",
        "1.50",
        "1e3",
        "null",
        "true",
        "\"\"",
        "\"uint8\"",
        "\"struct\"",
        "\"a\\u0062\"",
        "\"q\"q\"",
        "\"c\x01\"",
    ];
    let structured = matches!(key, "fields" | "subsections" | "devices" | "struct" | "configuration");
    if depth == 0 || (!structured && random.below(30) > 0) || random.below(12) == 0 {
        let of = if random.below(8) == 0 { scalar.len() } else { scalar.len() - 2 };
        out.push_str(scalar[random.below(of)]);
    } else if matches!(key, "struct" | "configuration" | "item") {
        object(random, depth - 1, out);
    } else {
        out.push('[');
        for i in 0..random.below(4) {
            out.push_str(if i > 0 { ", " } else { "" });
            let name = if random.below(20) > 0 { "item" } else { "x" };
            value(random, name, depth, out);
        }
        out.push(']');
    }
}

fn object(random: &mut Random, depth: usize, out: &mut String) {
    let keys = [
        "name",
        "type",
        "size",
        "array_len",
        "struct",
        "vmsd_name",
        "version",
        "fields",
        "subsections",
        "instance_id",
        "x",
        "na\\u006de",
    ];
    out.push('{');
    for i in 0..random.below(9) {
        out.push_str(if i > 0 { ", " } else { "" });
        let key = keys[random.below(keys.len())];
        out.push_str(&format!("\"{key}\": "));
        value(random, key, depth, out);
    }
    out.push('}');
}

#[test]
fn generated_descriptions_compile_alike() {
    let mut random = Random(11);
    let mut read = 0;
    for _ in 0..if exhaustive() { 300_000 } else { 3_000 } {
        let mut text = "{".to_owned();
        for i in 0..=random.below(4) {
            text.push_str(if i > 0 { "," } else { "" });
            let key = ["devices", "devices", "page_size", "configuration", "x"][random.below(5)];
            text.push_str(&format!("\"{key}\":"));
            value(&mut random, key, 7, &mut text);
        }
        text.push('}');
        read += usize::from(same(text.as_bytes()));
    }
    assert!(read > 1_000, "only {read} were descriptions");
}

#[test]
fn deep_descriptions_compile_alike() {
    for depth in [10, 40, 46, 47, 48, 49, 60, 63] {
        let open = r#"{"type": "qtailq", "fields": ["#.repeat(depth);
        let text = format!("{{\"devices\": [{{\"name\": \"d\", \"fields\": [{open}{}]}}]}}", "]}".repeat(depth));
        same(text.as_bytes());
    }
    let many = r#"{"struct": {"fields": [{}, {"size": 1, "fields": [{}], "struct": 0}]}},"#.repeat(700);
    assert!(same(format!("{{\"devices\": [{{\"name\": \"d\", \"fields\": [{many}{{}}]}}, {{}}]}}").as_bytes()));
}
