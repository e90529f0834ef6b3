//! One run of the command, and whether what it left is right.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cases::Case;

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run prints and writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub files: BTreeMap<String, Vec<u8>>,
    /// Milliseconds.
    pub took: u64,
}

/// The result of a run.
pub struct Done {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub said: String,
    pub answer: Answer,
    pub hung: bool,
}

/// The judgement of a run.
pub struct Report {
    /// What was done to it.
    pub how: String,
    pub outcome: String,
    pub said: String,
    pub wrong: Option<String>,
}

/// A run that is about to be started.
pub struct Run {
    pub command: Command,
    dir: PathBuf,
    out: PathBuf,
}

impl Run {
    /// Prepares a case; its files go to a directory of its own.
    pub fn new(case: &Case, dir: &Path) -> Self {
        Self::within(case, dir, "", &dir.join("out"))
    }

    /// Prepares a case after a shell's line, such as `ulimit -f 10`, with a directory for its files.
    pub fn within(case: &Case, dir: &Path, shell: &str, out: &Path) -> Self {
        fs::create_dir_all(out).unwrap();
        let binary = env!("CARGO_BIN_EXE_savevm-analyze");
        let args: Vec<String> = case.args.iter().map(|a| a.replace("OUT", out.to_str().unwrap())).collect();
        let mut command = if shell.is_empty() { Command::new(binary) } else { Command::new("sh") };
        if !shell.is_empty() {
            command.arg("-c").arg(format!("{shell} exec \"$0\" \"$@\"")).arg(binary);
        }
        command.args(args).env("COLUMNS", "100").env_remove("NO_COLOR");
        command.stdin(case.input.as_ref().map_or_else(Stdio::null, |f| File::open(f).unwrap().into()));
        command.stdout(File::create(dir.join("stdout")).unwrap()).stderr(File::create(dir.join("stderr")).unwrap());
        Self { command, dir: dir.to_owned(), out: out.to_owned() }
    }

    /// Runs to the end.
    pub fn finish(self) -> Done {
        self.finish_after(|_| {})
    }

    /// Runs to the end, after `f` has done something to the process.
    pub fn finish_after(mut self, f: impl FnOnce(&mut Child)) -> Done {
        let begun = Instant::now();
        let mut child = self.command.spawn().unwrap();
        f(&mut child);
        let mut hung = false;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                hung = true;
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap();
        let said = String::from_utf8_lossy(&fs::read(self.dir.join("stderr")).unwrap()).into_owned();
        // the listing of files names their directory
        let stdout = fs::read(self.dir.join("stdout")).unwrap();
        let stdout = replaced(&stdout, self.out.to_str().unwrap().as_bytes());
        let answer = Answer { code: status.code(), stdout, files: files(&self.out), took };
        Done { code: status.code(), signal: status.signal(), said, answer, hung }
    }
}

fn replaced(text: &[u8], what: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, more)) = rest.split_first() {
        match rest.strip_prefix(what) {
            Some(after) => {
                out.extend_from_slice(b"OUT");
                rest = after;
            }
            None => {
                out.push(*first);
                rest = more;
            }
        }
    }
    out
}

/// Returns all files of a directory; another run may rename some of them meanwhile.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |e: &fs::DirEntry| e.file_name().into_string().unwrap();
    fs::read_dir(dir).unwrap().flatten().filter_map(|e| Some((name(&e), fs::read(e.path()).ok()?))).collect()
}

/// How a run was disturbed, as far as it matters for judging it.
#[derive(Clone, Copy, Default)]
pub struct Disturbed {
    /// The signal that was sent, if one was.
    pub signal: Option<i32>,
    /// Whether standard output cannot be compared: it went elsewhere.
    pub unseen: bool,
}

/// Judges a run against the undisturbed one.
pub fn judge(done: &Done, right: &Answer, disturbed: Disturbed) -> Option<String> {
    if done.hung {
        return Some("it hangs".to_owned());
    }
    if done.said.contains("panicked") {
        return Some("it panicked".to_owned());
    }
    let killed = disturbed.signal.is_some_and(|s| done.signal == Some(s) || done.code == Some(128 + s));
    if !killed && !matches!(done.code, Some(0..=3)) {
        return Some(format!("exit status {:?}, signal {:?}", done.code, done.signal));
    }
    for (name, content) in &done.answer.files {
        // whoever is killed cannot clean up
        if content.is_empty() && disturbed.signal != Some(9) {
            return Some(format!("{name} is empty"));
        }
        if name.ends_with(".partial") {
            continue;
        }
        if right.files.get(name) != Some(content) {
            return Some(format!("{name} has its final name, and another content than it should"));
        }
    }
    let partial = done.answer.files.keys().find(|n| n.ends_with(".partial"));
    if let (Some(name), Some(0..=2 | 128..)) = (partial, done.code) {
        return Some(format!("exit status {:?} and {name} is left", done.code));
    }
    if let Some(code @ (0 | 1)) = done.code {
        if Some(code) != right.code {
            return Some(format!("exit status {code}, undisturbed {:?}", right.code));
        }
        if done.answer.files.len() != right.files.len() {
            return Some(format!("exit status {code}, and a file is missing"));
        }
        if !disturbed.unseen && done.answer.stdout != right.stdout {
            return Some(format!("exit status {code}, and another output than undisturbed"));
        }
    }
    // an error says what it is
    if matches!(done.code, Some(2 | 3)) && done.said.is_empty() && !disturbed.unseen {
        return Some("an error without a word".to_owned());
    }
    None
}
