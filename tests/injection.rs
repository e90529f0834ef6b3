//! Nothing from an input reaches a terminal, a log or a CI runner as anything but visible text.
//!
//! Hostile names are put wherever a format has a name; every command prints them in every form, and the output holds no control
//! or format character but line ends and our own colours, no line that a runner takes for a command, and no line that a name made.

mod common;
mod hard;
#[path = "common/wrap.rs"]
mod wrap;

use std::fs;
use std::path::{Path, PathBuf};

use common::savevm_analyze;
use hard::{Random, exhaustive};
use savevm_analyze::synth::Stream;
use savevm_analyze::text::is_visible;
use wrap::{Header, Qcow2};

/// The line that names try to forge.
const FORGED: &str = "FORGED";

/// What names are made of.
const PIECES: &[&str] = &[
    "a",
    "dev/",
    "ä日",
    "\u{1b}[2J",
    "\u{1b}]0;pwn\u{7}",
    "\r",
    "\n",
    "\nFORGED\n",
    "\r\nFORGED\r\n",
    "\t",
    "\0",
    "\u{7f}",
    "\u{9b}2K",
    "\u{85}",
    "\u{ad}",
    "\u{200b}",
    "\u{200f}",
    "\u{202e}",
    "\u{2066}",
    "\u{2028}FORGED",
    "\u{feff}",
    "\u{fe0f}",
    "\u{e0041}",
    "\u{f0000}",
    "\n::add-mask::secret",
    " ::error title=x::y",
    "::stop-commands::t",
    "##[add-mask]x",
    "##vso[task.complete]",
    "%0A::x",
    "|",
    "`",
    "<b>",
    "]]>",
    "\"",
    "\\u{1b}",
    "\\",
    ",b:",
    "@all",
];

fn name(random: &mut Random) -> String {
    let mut out = String::new();
    for _ in 0..=random.below(5) {
        let piece = PIECES[random.below(PIECES.len())];
        if out.len() + piece.len() < 80 {
            out += piece;
        }
    }
    if out.is_empty() { "a".to_owned() } else { out }
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A stream with hostile names wherever there is one; `differs` changes values and not names.
fn stream(random: &mut Random, differs: bool) -> Vec<u8> {
    let mut n = || name(random);
    let (machine, capability, block, live) = (n(), n(), n(), n());
    let (idstr, vmsd, field, ty, inner, sub, undescribed, other) = (n(), n(), n(), n(), n(), n(), n(), n());
    let mut s = Stream::new(&machine);
    let mut more = Stream::default();
    more.raw(b"\x05")
        .name(b"configuration/capabilities")
        .be32(1)
        .be32(2)
        .name(capability.as_bytes())
        .name(b"\xff\x9b\x1b");
    s.raw(&more.bytes);
    s.ram(1, &block, &[vec![1], vec![u8::from(differs)]]);
    let mut text = Stream::default();
    text.raw(&[7, u8::from(differs), 1, 2, 3])
        .name(other.as_bytes())
        .raw(b"\x05")
        .name(sub.as_bytes())
        .be32(1)
        .raw(b"\x01");
    s.full(3, &idstr, 0, &text.bytes).full(4, &undescribed, 1, b"\x1b[2J\n::add-mask::x");
    s.full(5, "dirty", 0, b"");
    let len = other.len() + 1;
    s.described(&format!(
        r#"{{"page_size": 4096, "devices": [{{"name": {idstr}, "instance_id": 0, "vmsd_name": {vmsd}, "version": 1, "fields": [
            {{"name": {field}, "type": "uint8", "size": 1}}, {{"name": {live}, "type": "uint8", "size": 1}},
            {{"name": "x", "type": {ty}, "size": 1}}, {{"name": {inner}, "type": "struct", "size": 2,
                "struct": {{"vmsd_name": {inner}, "version": 1, "fields": [{{"name": {field}, "type": "int8", "size": 1, "array_len": 2}}]}}}},
            {{"name": {ty}, "type": "capability", "size": {len}}}],
            "subsections": [{{"vmsd_name": {sub}, "version": 1, "fields": [{{"name": {field}, "type": "bool", "size": 1}}]}}]}},
            {{"name": "dirty", "instance_id": 0, "vmsd_name": {vmsd}, "version": 1, "fields": [{{"name": {field}, "type": "uint8"}}]}},
            {{"name": {live}, "instance_id": 2, "vmsd_name": {vmsd}, "version": 1, "fields": [{{"name": {field}, "type": "uint8", "size": 1}}]}}]}}"#,
        idstr = json(&idstr), vmsd = json(&vmsd), field = json(&field), live = json(&live), ty = json(&ty),
        inner = json(&inner), sub = json(&sub),
    ));
    s.bytes
}

/// Returns output without the sequences that colours are made of.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_digit() || c == ';')).unwrap_or(part.len());
        match part[end..].strip_prefix('m') {
            Some(rest) if end > 0 => out += rest,
            _ => out = out + "\u{1b}[" + part,
        }
    }
    out
}

/// Fails if output holds anything that a terminal or a runner would execute.
fn look(what: &str, output: &[u8], coloured: bool) {
    let text = std::str::from_utf8(output).unwrap_or_else(|e| panic!("{what}: not UTF-8: {e}"));
    let text = if coloured { without_colours(text) } else { text.to_owned() };
    for line in text.split('\n') {
        if let Some(c) = line.chars().find(|c| !is_visible(*c)) {
            panic!("{what}: U+{:04X} in {line:?}", u32::from(c));
        }
        assert!(!line.starts_with(FORGED), "{what}: a name made the line {line:?}");
        let own = ["::error title=", "::warning title=", "::notice title="];
        let command = line.trim_start().starts_with("::");
        assert!(!command || (what.contains("github") && own.iter().any(|o| line.starts_with(o))), "{what}: {line:?}");
        assert!(!line.contains("##[") && !line.contains("##vso["), "{what}: {line:?}");
    }
}

/// Runs the command and looks at both of its outputs; returns the first.
fn run(args: &[&str], coloured: bool) -> Vec<u8> {
    let mut command = savevm_analyze();
    if coloured {
        command.args(["--color", "always"]);
    }
    let out = command.args(args).output().unwrap();
    let what = args.join(" ");
    assert!(out.status.code().is_some_and(|c| c < 4), "{what}: {}", String::from_utf8_lossy(&out.stderr));
    look(&what, &out.stdout, coloured);
    look(&format!("{what} (standard error)"), &out.stderr, coloured);
    out.stdout
}

const FORMATS: [&str; 6] = ["text", "json", "junit", "sarif", "markdown", "github"];

const COMMANDS: &[&[&str]] = &[
    &["info"],
    &["info", "--json"],
    &["state"],
    &["state", "--all", "--offsets"],
    &["state", "--format", "json"],
    &["state", "--format", "jsonl", "--offsets"],
    &["state", "--device", "nothing"],
    &["cpu"],
    &["cpu", "--json"],
    &["pci"],
    &["pci", "--json"],
    &["virtio"],
    &["virtio", "--json"],
    &["read", "--phys", "0"],
    &["read", "--virt", "0", "--json"],
    &["dmesg"],
    &["dmesg", "--json"],
    &["linux", "sym", "--json"],
    &["linux", "ps", "--threads"],
    &["linux", "lsmod"],
    &["linux", "net"],
    &["linux", "files"],
    &["linux", "files", "--mounts"],
    &["linux", "bt", "--all"],
    &["linux", "ps", "--json"],
    &["linux", "type"],
    &["linux", "type", "--json"],
    &["symbols", "--isf", "-o", "-"],
    &["symbols", "--system-map", "-o", "-"],
    &["check"],
    &["check", "--json"],
    &["--dump", "state"],
    &["--dump", "desc"],
    &["--memory"],
    &["extract", "--format", "phys", "-o", "-", "--block", "nothing"],
];

/// Runs every command on a file.
fn every_command(dir: &Path, file: &Path, coloured: bool) {
    let file = file.to_str().unwrap();
    for command in COMMANDS {
        let out = run(&[*command, &[file]].concat(), coloured);
        if command.contains(&"--json") || *command == ["--dump", "state"] || *command == ["--dump", "desc"] {
            assert!(out.is_empty() || serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "{command:?}");
        }
    }
    for (i, how) in [&["extract", "--format", "raw"][..], &["extract", "--format", "phys"], &["-x"], &["--extract-ram"]]
        .into_iter()
        .enumerate()
    {
        let to = dir.join(format!("out{i}"));
        run(&[how, &["-o", to.to_str().unwrap(), file]].concat(), coloured);
        let _ = fs::remove_dir_all(&to).or_else(|_| fs::remove_file(&to));
    }
}

/// Compares two files in every form.
fn every_report(a: &Path, b: &Path, coloured: bool) {
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    for command in [&["diff"][..], &["diff", "--memory"], &["compat", "--all"]] {
        for format in FORMATS {
            let out = run(&[command, &["--format", format, a, b]].concat(), coloured);
            if matches!(format, "json" | "sarif") && !out.is_empty() {
                serde_json::from_slice::<serde_json::Value>(&out).unwrap();
            }
        }
    }
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn hostile_names_in_every_place() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut random = Random(10);
    for round in 0..if exhaustive() { 100 } else { 3 } {
        let seed = Random(random.next());
        let a = write(dir, "a.mig", &stream(&mut Random(seed.0), false));
        let b = write(dir, "b.mig", &stream(&mut Random(seed.0), true));
        let c = write(dir, "c.mig", &stream(&mut random, true));
        every_command(dir, &a, round % 2 == 1);
        every_report(&a, &b, round % 2 == 0);
        every_report(&a, &c, round % 2 == 1);
        // what is cut has more to complain about
        let whole = fs::read(&a).unwrap();
        let cut = write(dir, "cut.mig", &whole[..random.below(whole.len())]);
        every_command(dir, &cut, false);
    }
}

#[test]
fn wrappers_have_names_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let body = stream(&mut Random(3), false);
    let xml = "<domain>\u{9b}<name>a&#27;[2J&#10;FORGED&#10;::add-mask::x&#x202e;</name><uuid>&#13;FORGED\u{1b}</uuid></domain>";
    let image = write(dir, "l.save", &Header { xml, ..Header::default() }.around(&body));
    let bare = write(dir, "x.save", &Header { xml, ..Header::default() }.around(b"no stream"));
    let names: [&[u8]; 2] = [b"n\x1b[2J\nFORGED\n::add-mask::x", b"\xff\xc2\x9b\xe2\x80\xae\r"];
    let snapshots = names.into_iter().map(|n| ("1\x1b\n", n, body.clone())).collect();
    let disk = write(dir, "s.qcow2", &Qcow2 { snapshots, ..Qcow2::default() }.bytes());
    for coloured in [false, true] {
        every_command(dir, &image, coloured);
        every_command(dir, &bare, coloured);
        every_command(dir, &disk, coloured);
        run(&["info", "--xml", image.to_str().unwrap()], coloured);
        run(&["info", "--snapshot", "\u{1b}", disk.to_str().unwrap()], coloured);
        run(&["info", "--snapshot", "n\u{1b}[2J\nFORGED\n::add-mask::x", disk.to_str().unwrap()], coloured);
    }
}

/// The user's own arguments: a file that comes out of an archive has any name.
#[test]
fn names_of_files_and_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let odd = "e\u{1b}[2J\r\nFORGED\n::add-mask::x\u{202e}.mig";
    let a = write(dir, odd, &stream(&mut Random(5), false));
    let b = write(dir, &format!("b{odd}"), &stream(&mut Random(6), true));
    let broken = write(dir, &format!("c{odd}"), b"nothing of use");
    for coloured in [false, true] {
        every_report(&a, &b, coloured);
        every_report(&a, &broken, coloured);
        every_report(&a, &dir.join(format!("d{odd}")), coloured);
        every_command(dir, &a, coloured);
        let accepted = write(
            dir,
            &format!("t{odd}"),
            b"[[accept]]\npath = \"x\\u001b\\n::add-mask::x\"\nreason = \"\\u202e\\r\\nFORGED\"\n[[accept]]\npath = \"*\"\nreason = \"\\u001b\\n::error::\"\n",
        );
        let wrong = write(dir, &format!("w{odd}"), b"[[accept]]\npath = '\x1b\xc2\x9b::add-mask::'\n");
        let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
        for format in FORMATS {
            for file in [&accepted, &wrong] {
                let file = file.to_str().unwrap();
                run(&["diff", "--format", format, "--accepted", file, "--strict-accepted", a, b], coloured);
            }
        }
        for args in [&["info", "--schema", broken.to_str().unwrap(), a][..], &["state", "--device", odd, a]] {
            run(args, coloured);
        }
        run(&["extract", "--block", odd, "-o", "-", a], coloured);
        run(&["nonsense\u{1b}[2J\n::add-mask::x", a], coloured);
        run(&["info", "--offset", "\u{1b}\u{202e}", a], coloured);
    }
}

/// JSON has what the input has, not what is shown of it.
#[test]
fn json_has_the_exact_text() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let bytes = stream(&mut Random(seed), false);
        let mut random = Random(seed);
        let machine = name(&mut random);
        let names: Vec<String> = (0..4).map(|_| name(&mut random)).collect();
        let file = write(dir.path(), "a.mig", &bytes);
        let read = |args: &[&str]| -> serde_json::Value {
            serde_json::from_slice(&run(&[args, &[file.to_str().unwrap()]].concat(), false)).unwrap()
        };
        let info = read(&["info", "--json"]);
        assert_eq!(info["configuration"]["machine"], machine.as_str());
        assert_eq!(info["configuration"]["capabilities"][0], names[0].as_str());
        assert_eq!(info["ram"]["blocks"][0]["name"], names[1].as_str());
        let dump = read(&["--dump", "state"]);
        assert!(dump.get(format!("{} (3)", names[3])).is_some(), "{:?}", names[3]);
        let desc = read(&["--dump", "desc"]);
        assert_eq!(desc["devices"][0]["name"], names[3].as_str());
    }
}
