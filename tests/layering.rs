//! A room of the house imports only rooms on lower levels. `CONTRIBUTING.md` has the plan.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms by level. A room may import all rooms above it in this table, and none of its own line or below.
static LEVELS: &[&[&str]] = &[
    &["offset", "limits", "text"],
    // an error has a place
    &["error"],
    // a finding can be made of an error, and a refused charge is one
    &["diag", "budget"],
    &["wire", "names", "value"],
    &["container", "schema", "findings"],
    &["stream"],
    &["interp", "ram", "handler"],
    &["machine", "decode"],
    &["memory", "sink"],
    &["paging"],
    // what a guest's own structures say, and files for those who debug it
    &["os", "dump"],
    &["image"],
    &["diff", "compat", "inspect"],
    &["render"],
    &["cli"],
    &["main", "synth"],
];

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|l| l.contains(&room))
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Returns the rooms that a line of code names: what follows `crate::`, alone or in braces, and the package's own name in `main.rs`.
fn imports(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let word = |s: &str| s.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut out = Vec::new();
    for start in ["crate::", "savevm_analyze::"] {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(list) => out.extend(list.split(',').map(|item| word(item.trim()))),
                None => out.push(word(rest)),
            }
        }
    }
    out.retain(|w| !w.is_empty());
    out
}

/// Returns what is wrong with a file of a room.
fn violations(room: &str, path: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let Some(own) = level(room) else {
        return vec![format!(
            "{path}: the room `{room}` has no level; add it to tests/layering.rs and CONTRIBUTING.md"
        )];
    };
    let mut tests = false;
    for (i, line) in text.lines().enumerate() {
        tests |= line == "#[cfg(test)]";
        for target in imports(line) {
            // the unit tests of every room may build their input
            if target == room || (tests && target == "synth") {
                continue;
            }
            match level(&target) {
                Some(l) if l < own => {}
                Some(_) => out.push(format!(
                    "{path}:{}: `{room}` imports `{target}`, which is not on a lower level: {}",
                    i + 1,
                    line.trim()
                )),
                None => out.push(format!("{path}:{}: `{target}` is no room: {}", i + 1, line.trim())),
            }
        }
    }
    out
}

#[test]
fn rooms_import_only_what_is_below_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    let mut checked = 0;
    for file in &files {
        let inside = file.strip_prefix(&src).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = first.strip_suffix(".rs").unwrap_or(first);
        if room == "lib" {
            continue;
        }
        checked += 1;
        wrong.extend(violations(room, &format!("src/{}", inside.display()), &fs::read_to_string(file).unwrap()));
    }
    assert!(checked > 40, "only {checked} files were found");
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_violation_is_found_with_its_line() {
    let text = "use crate::error::Result;\nuse crate::{offset::StreamOffset, image};\nlet x = crate::cli::main(); // crate::nothing\n";
    let found = violations("stream", "src/stream/x.rs", text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("src/stream/x.rs:2: `stream` imports `image`"));
    assert!(found[1].starts_with("src/stream/x.rs:3: `stream` imports `cli`"));
    assert!(violations("cellar", "src/cellar.rs", "")[0].contains("has no level"));
    assert_eq!(violations("ram", "x", "use crate::handler;").len(), 1);
}

/// Where output may ask for the exact text of a name: file, how often, what for.
static EXACT: &[(&str, usize, &str)] = &[
    ("src/cli/extract/mod.rs", 2, "names of files, which `sink::file_names` makes safe"),
    ("src/cli/linux/print.rs", 1, "symbols that are like one"),
    ("src/cli/linux/sym.rs", 1, "symbols that are like one"),
    ("src/cli/memory.rs", 1, "keys of the document of analyze-migration.py, which is JSON"),
    ("src/cli/state.rs", 6, "matching patterns, and names that are like one"),
    ("src/render/linux/type_c.rs", 3, "paths in declarations, which become names again"),
    ("src/render/report/sarif.rs", 1, "references to files, which are percent-encoded"),
    ("src/render/state_json.rs", 1, "the name of a type in JSON"),
    ("src/render/upstream.rs", 3, "keys of the document of analyze-migration.py, and types that it knows"),
];

/// Text from the input is printed by the `Display` of `Name`, which escapes; JSON is written by one writer, which does too.
#[test]
fn output_asks_for_exact_text_only_where_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for room in ["src/cli", "src/render"] {
        sources(&root.join(room), &mut files);
    }
    let mut wrong = Vec::new();
    for file in &files {
        let path = file.strip_prefix(root).unwrap().display().to_string();
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let found =
            [".exact()", "Name::exact", "FieldType::exact"].iter().map(|w| code.matches(w).count()).sum::<usize>();
        let allowed = EXACT.iter().find(|(f, ..)| *f == path).map_or(0, |(_, n, _)| *n);
        if found != allowed {
            wrong.push(format!("{path}: asks {found} times for the exact text of a name, may {allowed} times"));
        }
        for raw in [".display()", "serde_json::to_string", "serde_json::to_writer", "Serializer::new"] {
            if code.contains(raw) {
                wrong.push(format!(
                    "{path}: `{raw}` prints what a terminal obeys; use `text::shown`, `render::pretty` or `compact`"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Modules of one room that import each other, because what they read or compare contains itself.
static CIRCLES: &[(&str, &[&str])] = &[
    // a run of fields is aligned slot by slot, and a slot may be a region of others
    ("compat", &["align", "region"]),
    // an array has records as elements, and a record has arrays
    ("diff", &["array", "tree"]),
    // a damaged section is passed over by reading what follows
    ("stream", &["footer", "own", "recover", "resync", "walk"]),
];

/// Returns the siblings that a module of a room names, `depth` folders below it.
fn siblings<'a>(text: &str, depth: usize, names: &'a [String]) -> Vec<&'a str> {
    let code: String = text
        .lines()
        .take_while(|l| *l != "#[cfg(test)]")
        .map(|l| format!("{}\n", l.split("//").next().unwrap_or_default()))
        .collect();
    let path = "super::".repeat(depth + 1);
    let mut out = Vec::new();
    for (at, _) in code.match_indices(&path) {
        let rest = &code[at + path.len()..];
        if code[..at].ends_with("super::") || rest.starts_with("super::") {
            continue;
        }
        let list = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default(),
            None => rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default(),
        };
        let named = |item: &str| item.trim().split(':').next().unwrap_or_default().to_owned();
        let items: Vec<String> = list.split(',').map(named).collect();
        out.extend(names.iter().filter(|n| items.contains(n)).map(String::as_str));
    }
    out
}

/// Returns the modules of a folder, each with the siblings that it imports.
fn modules(room: &Path) -> Vec<(String, Vec<String>)> {
    let mut files = Vec::new();
    sources(room, &mut files);
    let parts = |p: &Path| p.strip_prefix(room).unwrap().iter().map(|c| c.to_str().unwrap().to_owned()).collect();
    let files: Vec<(Vec<String>, &PathBuf)> = files.iter().map(|f| (parts(f), f)).collect();
    let module = |p: &[String]| p[0].strip_suffix(".rs").unwrap_or(&p[0]).to_owned();
    let mut names: Vec<String> = files.iter().map(|(p, _)| module(p)).filter(|n| n != "mod" && n != "tests").collect();
    names.dedup();
    let mut out: Vec<(String, Vec<String>)> = names.iter().map(|n| (n.clone(), Vec::new())).collect();
    for (path, file) in files {
        let Some((own, to)) = out.iter_mut().find(|(n, _)| *n == module(&path)) else { continue };
        let below = path.len() - if path.last().is_some_and(|f| f == "mod.rs") { 2 } else { 1 };
        let text = fs::read_to_string(file).unwrap();
        to.extend(siblings(&text, below, &names).into_iter().filter(|n| n != own).map(str::to_owned));
    }
    out
}

/// Returns groups of modules that import each other, directly or by way of others.
fn circles(modules: &[(String, Vec<String>)]) -> Vec<Vec<&str>> {
    let reached = |from: &str| {
        let mut seen: Vec<&str> = Vec::new();
        let mut next = vec![from];
        while let Some(m) = next.pop() {
            for to in modules.iter().filter(|(n, _)| n == m).flat_map(|(_, to)| to) {
                if !seen.contains(&to.as_str()) {
                    seen.push(to);
                    next.push(to);
                }
            }
        }
        seen
    };
    let mut out: Vec<Vec<&str>> = Vec::new();
    for (m, _) in modules.iter().filter(|(m, _)| reached(m).contains(&m.as_str())) {
        match out.iter_mut().find(|c| reached(m).contains(&c[0]) && reached(c[0]).contains(&m.as_str())) {
            Some(c) => c.push(m),
            None => out.push(vec![m]),
        }
    }
    out
}

#[test]
fn modules_of_a_room_import_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut rooms: Vec<&Path> = files.iter().filter(|f| f.ends_with("mod.rs")).map(|f| f.parent().unwrap()).collect();
    rooms.retain(|r| *r != src);
    assert!(rooms.len() > 20, "only {} folders were found", rooms.len());
    let mut found = Vec::new();
    for room in rooms {
        let modules = modules(room);
        for circle in circles(&modules) {
            found.push((room.strip_prefix(&src).unwrap().to_str().unwrap().to_owned(), circle.join(" ")));
        }
    }
    let known: Vec<(String, String)> = CIRCLES.iter().map(|(r, c)| ((*r).to_owned(), c.join(" "))).collect();
    assert_eq!(found, known);
}

#[test]
fn a_circle_is_found() {
    let names = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(siblings("use super::a;\nuse super::{b::X, d};\n// super::c\n", 0, &names), ["a", "b"]);
    assert_eq!(siblings("use super::a;\nlet x = super::super::c::f();", 1, &names), ["c"]);
    assert!(siblings("#[cfg(test)]\nuse super::a;", 0, &names).is_empty());
    let m = |name: &str, to: &[&str]| (name.to_owned(), to.iter().map(|t| (*t).to_owned()).collect());
    assert!(circles(&[m("a", &["b"]), m("b", &["c"]), m("c", &[])]).is_empty());
    assert_eq!(circles(&[m("a", &["b"]), m("b", &["c"]), m("c", &["a"]), m("d", &["a"])]), [["a", "b", "c"]]);
}
