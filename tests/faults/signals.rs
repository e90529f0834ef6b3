//! Signals: what is unfinished is removed, and said.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{fixture, scratch};
use crate::{oracle, preload};

/// Starts an extraction that takes seconds, and waits until it has begun to write.
fn start(out: &Path, shell: &str, env: &str) -> Child {
    let mut c = Command::new("sh");
    c.arg("-c")
        .arg(format!("{shell} exec env {env} LD_PRELOAD=\"$0\" FAULT=pwrite64:slow20:1:every \"$@\""))
        .arg(preload());
    c.arg(env!("CARGO_BIN_EXE_savevm-analyze")).arg("extract").arg(fixture("resent-11.1")).arg("-o").arg(out);
    let child = c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !fs::read_dir(out).is_ok_and(|d| d.count() > 5) {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_micros(200));
    }
    child
}

fn kill(child: &Child, signal: &str) {
    assert!(Command::new("kill").arg(signal).arg(child.id().to_string()).status().unwrap().success());
}

#[test]
fn a_signal_removes_unfinished_files_and_says_so() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let out = scratch(&format!("signal{signal}"));
        fs::write(out.join("pc.ram.abcdef.partial"), "of an older run").unwrap();
        // a shell ignores SIGINT for what it runs in the background, the tests included
        let child = start(&out, "", "--default-signal=INT,TERM,HUP");
        kill(&child, signal);
        let o = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&o.stderr).into_owned();
        assert_eq!(o.status.code(), Some(code), "{said}");
        assert!(said.contains(&format!("interrupted by SIG{}", &signal[1..])) && said.contains("removed"), "{said}");
        let left: Vec<String> = oracle::files(&out).into_keys().collect();
        assert_eq!(left, ["pc.ram.abcdef.partial"]);
    }
}

#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    let out = scratch("ignored");
    let child = start(&out, "trap '' HUP;", "");
    kill(&child, "-HUP");
    let o = child.wait_with_output().unwrap();
    assert_eq!(o.status.code(), Some(0), "{}", String::from_utf8_lossy(&o.stderr));
}
