//! The whole of `--help`, as one text: what changes here changes for users.

#![cfg(feature = "cli")]

mod common;

/// Returns the help of a command and of all commands below it.
fn help(command: &clap::Command, path: &[&str], out: &mut String) {
    let mut args = path.to_vec();
    args.push("--help");
    let answer = common::savevm_analyze().args(&args).output().unwrap();
    assert_eq!(answer.status.code(), Some(0));
    assert!(answer.stderr.is_empty());
    let text = String::from_utf8(answer.stdout).unwrap();
    let title = [&["savevm-analyze"], path].concat().join(" ");
    // the width of the terminal, which is 100 columns for want of one, leaves blanks at line ends
    let text: Vec<&str> = text.lines().map(str::trim_end).collect();
    out.push_str(&format!("================ {title}\n{}\n", text.join("\n")));
    for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
        let mut below = path.to_vec();
        below.push(sub.get_name());
        help(sub, &below, out);
    }
}

#[test]
fn help_of_all_commands() {
    let mut out = String::new();
    help(&savevm_analyze::cli::command(), &[], &mut out);
    insta::assert_snapshot!(out);
}

#[test]
fn short_help_fits_a_screen() {
    let answer = common::savevm_analyze().arg("-h").output().unwrap();
    let lines = String::from_utf8(answer.stdout).unwrap().lines().count();
    assert!(lines <= 55, "{lines} lines");
}
