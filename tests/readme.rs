//! The examples of README.md print what it says.

#![cfg(feature = "cli")]

use std::path::Path;
use std::process::Command;

/// Returns the examples: a command after `$ `, and the lines below it.
fn examples(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line != "```console" {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
        let command = block[0].strip_prefix("$ ").expect("a command");
        out.push((command.to_owned(), block[1..].join("\n")));
    }
    out
}

#[test]
fn the_examples_print_what_the_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    let all = examples(&text);
    assert!(all.len() > 8, "{} examples", all.len());
    for (command, expected) in all {
        let line = command.replace("savevm-analyze", env!("CARGO_BIN_EXE_savevm-analyze"));
        let mut sh = Command::new("sh");
        sh.arg("-c").arg(&line).current_dir(root.join("testdata")).env("COLUMNS", "80").env("NO_COLOR", "1");
        let o = sh.output().unwrap();
        let printed = [o.stderr, o.stdout].concat();
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(printed.trim_end(), expected.trim_end(), "$ {command}");
    }
}
