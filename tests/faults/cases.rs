//! What is run: commands on streams, with what they answer when nothing fails.

use std::path::{Path, PathBuf};

use crate::common::{fixture, testdata, unpack};
use crate::oracle::{Answer, Run};

/// A command line; `OUT` in it is the directory for files.
pub struct Case {
    pub name: String,
    pub args: Vec<String>,
    /// The file that comes on standard input.
    pub input: Option<PathBuf>,
    pub answer: Answer,
}

impl Case {
    /// Returns the cases, each after one undisturbed run.
    pub fn all(scratch: &Path) -> Vec<Self> {
        let mapped = |name: &str| {
            let plain = scratch.join(format!("{name}.mig"));
            shown(&unpack(&testdata().join(format!("{name}.mig.zst")), &plain))
        };
        let f = |name: &str| shown(&fixture(name));
        let avr = f("avr-uno-11.1");
        let zst = shown(&testdata().join("mapped-ram-avr-11.1.mig.zst"));
        let qcow2 = shown(&testdata().join("savevm-11.1.qcow2"));
        let lines = [
            format!("-f {avr}"),
            format!("-m -f {avr}"),
            format!("info --json {}", f("xbzrle-11.1")),
            format!("check {}", f("pc-11.1")),
            format!("check --json {}", f("xbzrle-11.1")),
            format!("check {zst}"),
            format!("state --json {}", f("s390x-7.2")),
            format!("pci {qcow2}"),
            format!("diff --memory {avr} {}", f("avr-uno-5.2")),
            format!("diff --memory {avr} {avr}"),
            format!("compat {avr} {}", f("avr-uno-5.2")),
            format!("extract {} -o OUT", f("resent-11.1")),
            format!("extract {} -o OUT --also-state OUT/state.json", f("xbzrle-11.1")),
            format!("extract {} -o OUT --no-sync", f("compress-7.2")),
            format!("extract {} -o OUT --also-state OUT/state.json", mapped("mapped-ram-11.1")),
            format!("extract {} -o OUT", mapped("mapped-ram-avr-11.1")),
            format!("extract {zst} -o OUT"),
            format!("extract --format phys --length 2M {} -o OUT/ram", f("resent-11.1")),
            format!("extract --block pc.ram {} -o -", f("resent-11.1")),
            format!("-x -f {} -o OUT", f("resent-11.1")),
            format!("extract - -o OUT --also-state OUT/state.json < {}", f("xbzrle-11.1")),
            format!("check - < {}", f("resent-11.1")),
        ];
        lines.iter().enumerate().map(|(i, line)| Self::new(line, &scratch.join(format!("case-{i}")))).collect()
    }

    /// Makes a case from a line, which may end with `< FILE`.
    pub fn new(line: &str, dir: &Path) -> Self {
        let (command, input) = match line.split_once(" < ") {
            Some((c, file)) => (c, Some(PathBuf::from(file))),
            None => (line, None),
        };
        let args = command.split(' ').map(str::to_owned).collect();
        let name = line.replace(&format!("{}/", testdata().display()), "");
        let mut case = Self { name, args, input, answer: Answer::default() };
        let done = Run::new(&case, dir).finish();
        assert!(matches!(done.code, Some(0 | 1)), "{}: {:?} {}", case.name, done.code, done.said);
        case.answer = done.answer;
        case
    }
}

fn shown(path: &Path) -> String {
    let path = path.to_str().unwrap();
    assert!(!path.contains(' '));
    path.to_owned()
}
