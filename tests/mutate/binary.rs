//! What the command says of an input: on a file, through a pipe, and packed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A case's files.
pub struct Files {
    pub dir: PathBuf,
    pub plain: PathBuf,
    pub packed: PathBuf,
}

/// Commands that answer alike for a file, a pipe and a packed file.
const QUESTIONS: &[&[&str]] = &[
    &["info", "--json"],
    &["check", "--json"],
    &["state", "--json"],
    &["cpu", "--json"],
    &["pci", "--json"],
    &["virtio", "--json"],
    &["--dump", "state"],
    &["--dump", "desc"],
    &["--dump", "state", "-m"],
];

fn command(args: &[&str], file: &Path) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
    c.args(args).env("COLUMNS", "100").env_remove("NO_COLOR").arg(file);
    c
}

fn run(args: &[&str], file: &Path) -> Output {
    command(args, file).stdin(Stdio::null()).output().unwrap()
}

/// Through a real pipe: standard input from a file could be sought.
fn piped(args: &[&str], file: &Path) -> Output {
    let mut cat = Command::new("cat").arg(file).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = command(args, Path::new("-")).stdin(cat.stdout.take().unwrap()).output().unwrap();
    let _ = cat.wait();
    out
}

/// Returns what was said, without what differs by nature: the container's name and places in the file.
fn shown(o: &Output, files: &Files) -> String {
    let said = |b: &[u8]| {
        let mut text = String::from_utf8_lossy(b).into_owned();
        for p in [&files.packed, &files.plain] {
            text = text.replace(&*p.to_string_lossy(), "FILE");
        }
        text = text.replace("standard input", "FILE");
        if let Ok(serde_json::Value::Object(mut document)) = serde_json::from_str(&text)
            && document.remove("container").is_some()
        {
            text = serde_json::to_string_pretty(&document).unwrap();
        }
        text.lines().map(without_places).collect::<Vec<_>>().join("\n")
    };
    format!("{:?}\n{}\n{}", o.status.code(), said(&o.stdout), said(&o.stderr))
}

/// Takes the random part out of names of unfinished files: `NAME.abcdef.partial`.
fn without_random(text: &str) -> String {
    let mut parts = text.split(".partial");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let keep = out.rfind('.').unwrap_or(out.len());
        out.truncate(keep);
        out = out + ".partial" + part;
    }
    out
}

/// Takes `, file 0x12` out.
fn without_places(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(", file 0x") {
        out += before;
        rest = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out + rest
}

/// Compares the three ways; returns the first that differs.
pub fn ways(files: &Files) -> Option<(String, String)> {
    for args in QUESTIONS {
        let plain = shown(&run(args, &files.plain), files);
        for (how, other) in [
            ("pipe", shown(&piped(args, &files.plain), files)),
            ("packed file", shown(&run(args, &files.packed), files)),
        ] {
            if plain != other {
                return Some((format!("{} file/{how}", args.join(" ")), difference(&plain, &other)));
            }
        }
    }
    extracted(files)
}

/// Compares the memory that is extracted.
fn extracted(files: &Files) -> Option<(String, String)> {
    let mut all = Vec::new();
    for how in ["file", "pipe", "packed"] {
        let to = files.dir.join(format!("out-{how}"));
        let _ = fs::remove_dir_all(&to);
        let place = to.to_string_lossy().into_owned();
        let args = ["extract", "-q", "-o", &place];
        let o = match how {
            "file" => run(&args, &files.plain),
            "pipe" => piped(&args, &files.plain),
            _ => run(&args, &files.packed),
        };
        let mut names: Vec<PathBuf> =
            fs::read_dir(&to).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
        names.sort();
        let content: Vec<_> = names
            .iter()
            .map(|n| (without_random(&n.file_name().unwrap().to_string_lossy()), fs::read(n).unwrap_or_default()))
            .collect();
        let said = without_random(&shown(&o, files).replace(&place, "OUT"));
        all.push((said, content));
        let _ = fs::remove_dir_all(&to);
    }
    for (i, how) in [(1, "pipe"), (2, "packed file")] {
        if all[0].0 != all[i].0 {
            return Some((format!("extract file/{how}"), difference(&all[0].0, &all[i].0)));
        }
        if all[0].1 != all[i].1 {
            let names = |i: usize| all[i].1.iter().map(|(n, b)| format!("{n} {}", b.len())).collect::<Vec<_>>();
            return Some((format!("extract, content file/{how}"), format!("{:?} {:?}", names(0), names(i))));
        }
    }
    None
}

/// If `check` calls the file sound, every other command answers completely; returns what does not.
pub fn complete(files: &Files) -> Option<(String, String)> {
    let file = files.plain.to_string_lossy().into_owned();
    if run(&["check"], &files.plain).status.code() != Some(0) {
        return None;
    }
    let to = files.dir.join("out-sound");
    let _ = fs::remove_dir_all(&to);
    let place = to.to_string_lossy().into_owned();
    let questions: &[&[&str]] = &[
        &["info"],
        &["state"],
        &["--dump", "state"],
        &["cpu"],
        &["pci"],
        &["virtio"],
        &["extract", "-q", "-o", &place],
        &["diff", &file],
        &["diff", "--memory", &file],
    ];
    let mut bad = None;
    for args in questions {
        let o = run(args, &files.plain);
        let said = String::from_utf8_lossy(&o.stderr);
        if o.status.code() != Some(0) || said.lines().any(|l| l.starts_with("error")) {
            bad = Some((format!("sound, but {} {:?}", args[0], o.status.code()), said.into_owned()));
            break;
        }
    }
    let _ = fs::remove_dir_all(&to);
    bad
}

/// Returns the first lines that differ.
pub fn difference(a: &str, b: &str) -> String {
    let at = a.lines().zip(b.lines()).take_while(|(x, y)| x == y).count();
    let show = |t: &str| {
        t.lines().skip(at).take(3).map(|l| l.chars().take(600).collect::<String>()).collect::<Vec<_>>().join("\n    ")
    };
    format!("line {at}:\n  - {}\n  + {}", show(a), show(b))
}
