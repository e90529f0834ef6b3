//! The programs in `examples/` print what is in `tests/data/first.mig`.
//!
//! Cargo builds them with all tests; when one test file runs alone they may be missing, and the test is then skipped.

use std::path::PathBuf;
use std::process::Command;

fn run(name: &str, args: &[&str]) -> Option<String> {
    let mut program: PathBuf = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples");
    program.push(name);
    if !program.exists() && std::env::var_os("SAVEVM_ANALYZE_REQUIRE_VALIDATORS").is_none() {
        eprintln!("skipped: {} is not built", program.display());
        return None;
    }
    let stream = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/first.mig");
    let out = Command::new(&program).arg(stream).args(args).output().unwrap();
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8(out.stdout).unwrap())
}

#[test]
fn examples_print_what_is_in_the_stream() {
    for (name, args, expected) in [
        ("devices", &[][..], "dev (0): 4 bytes\n"),
        ("field", &["dev", "0", "counter"], "0x7\n"),
        ("memory", &["0x0"], "0x0  41 00 01 00 ff 00 00 00 00 00 00 00 00 00 00 00\n"),
        ("verdict", &[], "sound\n"),
    ] {
        if let Some(printed) = run(name, args) {
            assert!(printed.starts_with(expected), "{name}: {printed}");
        }
    }
}

/// What a program holds across threads.
#[test]
fn a_state_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<savevm_analyze::SaveImage>();
    shared::<savevm_analyze::GuestMemory>();
    shared::<savevm_analyze::Error>();
}
