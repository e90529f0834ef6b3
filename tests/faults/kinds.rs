//! The kinds of faults.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::Random;
use crate::cases::Case;
use crate::oracle::{Answer, Disturbed, Done, Report, Run, files, judge};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Eio,
    DiskFull,
    Interrupted,
    Short,
    NoDescriptors,
    NoThreads,
    NoMemory,
    Closed,
    Full,
    FileLimit,
    Killed,
    Signal,
    TwoRuns,
    /// Faults of calls that go round the C library, by strace.
    Kernel,
}

const EINTR: u8 = 4;
const EIO: u8 = 5;
const EMFILE: u8 = 24;
const ENOSPC: u8 = 28;

impl Kind {
    /// Returns the kinds that this machine can make.
    pub fn all() -> Vec<Self> {
        use Kind::*;
        let mut all = vec![
            Eio,
            DiskFull,
            Interrupted,
            Short,
            NoDescriptors,
            NoThreads,
            NoMemory,
            Closed,
            Full,
            FileLimit,
            Killed,
            Signal,
            TwoRuns,
        ];
        if strace_works() {
            all.push(Kernel);
        } else {
            println!("strace does not work here: no faults of calls that go round the C library");
        }
        all
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Eio => "EIO",
            Self::DiskFull => "ENOSPC",
            Self::Interrupted => "EINTR",
            Self::Short => "short",
            Self::NoDescriptors => "EMFILE",
            Self::NoThreads => "no threads",
            Self::NoMemory => "no memory",
            Self::Closed => "closed",
            Self::Full => "/dev/full",
            Self::FileLimit => "ulimit -f",
            Self::Killed => "SIGKILL",
            Self::Signal => "signals",
            Self::TwoRuns => "two runs",
            Self::Kernel => "strace",
        }
    }

    /// Runs a case with a fault, and judges it.
    pub fn run(self, case: &Case, dir: &Path, r: &mut Random) -> Report {
        fs::create_dir_all(dir).unwrap();
        let call = |calls: &[&str], error: &dyn std::fmt::Display, r: &mut Random| {
            // early calls are the more interesting ones, and the more frequent
            let range = *r.pick(&[3, 10, 40]);
            let mode = *r.pick(&["once", "from"]);
            format!("{}:{error}:{}:{mode}", r.pick(calls), 1 + r.below(range))
        };
        match self {
            Self::Eio => {
                let calls = ["pread64", "pread64", "read", "pwrite64", "write", "fsync", "ftruncate64", "open64"];
                preloaded(case, dir, &call(&calls, &EIO, r))
            }
            Self::DiskFull => preloaded(case, dir, &call(&["pwrite64", "write", "ftruncate64", "open64"], &ENOSPC, r)),
            Self::NoDescriptors => match r.below(2) {
                0 => preloaded(case, dir, &call(&["open64"], &EMFILE, r)),
                _ => limited(case, dir, &format!("ulimit -n {};", 3 + r.below(15))),
            },
            Self::NoThreads => preloaded(case, dir, &format!("pthread_create:11:{}:from", 1 + r.below(4))),
            Self::Interrupted | Self::Short => {
                let calls = ["pread64", "read", "pwrite64", "write"];
                let what = if self == Self::Short { "short".to_owned() } else { EINTR.to_string() };
                let every = 1 + r.below(3) + u64::from(self == Self::Interrupted);
                preloaded(case, dir, &format!("{}:{what}:{every}:every", r.pick(&calls)))
            }
            // with less, the kernel cannot even grow the stack
            Self::NoMemory => limited(case, dir, &format!("ulimit -v {};", 16_000 + r.below(40_000))),
            Self::FileLimit => limited(case, dir, &format!("ulimit -f {};", r.below(300))),
            Self::Closed | Self::Full => self.descriptors(case, dir, r),
            Self::Killed | Self::Signal => self.signal(case, dir, r),
            Self::TwoRuns => two_runs(case, dir, r),
            Self::Kernel => strace(case, dir, r),
        }
    }

    fn descriptors(self, case: &Case, dir: &Path, r: &mut Random) -> Report {
        let shell = match self {
            Self::Full => *r.pick(&["exec >/dev/full;", "exec 2>/dev/full;", "exec >/dev/full 2>/dev/full;"]),
            // whether standard output was closed cannot be seen from inside
            _ => *r.pick(&["exec <&-;", "exec 2>&-;", "exec <&- 2>&-;", "exec >&-;", "exec <&- >&- 2>&-;"]),
        };
        let done = Run::within(case, dir, shell, &dir.join("out")).finish();
        let unseen = shell.contains('>');
        let mut wrong = judge(&done, &case.answer, Disturbed { unseen, ..Disturbed::default() });
        if shell == "exec >/dev/full;" && done.code == Some(0) && !case.answer.stdout.is_empty() {
            wrong = Some("exit status 0 though standard output is full".to_owned());
        }
        let errors_only = shell.contains("2>") && !shell.replace("2>", "").contains('>') && !shell.contains('<');
        if errors_only && done.code != case.answer.code {
            wrong = Some(format!("exit status {:?} because standard error cannot be written", done.code));
        }
        report(shell, &done, wrong)
    }

    fn signal(self, case: &Case, dir: &Path, r: &mut Random) -> Report {
        let number = if self == Self::Killed { 9 } else { *r.pick(&[1, 2, 15]) };
        let after = Duration::from_micros(r.below(case.answer.took * 1300 + 2000));
        let mut run = Run::new(case, dir);
        if r.below(2) == 0 {
            slow(&mut run.command);
        }
        let done = run.finish_after(|child| {
            std::thread::sleep(after);
            let _ = Command::new("kill")
                .arg(format!("-{number}"))
                .arg(child.id().to_string())
                .stderr(Stdio::null())
                .status();
        });
        let wrong = judge(&done, &case.answer, Disturbed { signal: Some(number), ..Disturbed::default() });
        let handled = matches!(done.code, Some(128..));
        let left = done.answer.files.keys().any(|n| n.ends_with(".partial"));
        let wrong = wrong.or((handled && left).then(|| "an unfinished file is left".to_owned()));
        report(&format!("signal {number} after {after:?}"), &done, wrong)
    }
}

/// Lets each write take its time, so that signals hit more than the beginning and the end.
fn slow(command: &mut Command) {
    command.env("LD_PRELOAD", crate::preload()).env("FAULT", "pwrite64:slow:1:every");
}

fn report(how: &str, done: &Done, wrong: Option<String>) -> Report {
    let outcome = match (done.code, done.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or(0)),
    };
    Report { how: how.to_owned(), outcome, said: done.said.clone(), wrong }
}

fn preloaded(case: &Case, dir: &Path, fault: &str) -> Report {
    let mut run = Run::new(case, dir);
    run.command.env("LD_PRELOAD", crate::preload()).env("FAULT", fault);
    let done = run.finish();
    let wrong = judge(&done, &case.answer, Disturbed::default());
    // what nobody could hear may not have been said
    let mute = fault.starts_with("write:") && wrong.as_deref() == Some("an error without a word");
    // faults that are not failures change nothing
    let harmless = ["pthread_create", ":short:", ":4:"].iter().any(|h| fault.contains(h)) && fault.ends_with("every")
        || fault.starts_with("pthread_create");
    let changed = harmless && done.code != case.answer.code;
    let wrong = wrong.filter(|_| !mute).or(changed.then(|| format!("exit status {:?} for nothing", done.code)));
    report(fault, &done, wrong)
}

fn limited(case: &Case, dir: &Path, shell: &str) -> Report {
    let done = Run::within(case, dir, shell, &dir.join("out")).finish();
    // the loader may find no memory or descriptor for the process, and then says so with 127
    let never_began = done.code == Some(127) && done.said.contains("error while loading shared libraries");
    // and under a limit of no bytes at all nothing can be said
    let mute = shell.contains("-f");
    let wrong = judge(&done, &case.answer, Disturbed::default());
    let wrong = wrong.filter(|w| !(never_began || mute && w == "an error without a word"));
    report(shell, &done, wrong)
}

/// Two runs into one directory: each that ends well has its bytes there.
fn two_runs(case: &Case, dir: &Path, r: &mut Random) -> Report {
    let (x, y) = (dir.join("x"), dir.join("y"));
    let out = dir.join("out");
    let force = r.below(2) == 0;
    let start = |at: &Path| {
        fs::create_dir_all(at).unwrap();
        let mut run = Run::within(case, at, "", &out);
        if force && case.args.iter().any(|a| a == "-o") {
            run.command.arg("--force");
        }
        slow(&mut run.command);
        run
    };
    let (first, second) = (start(&x), start(&y));
    let (a, b) = std::thread::scope(|s| {
        #[allow(clippy::disallowed_methods, reason = "a test may panic")]
        let other = s.spawn(|| second.finish());
        (first.finish(), other.join().unwrap())
    });
    let mut wrong = None;
    let writes = !case.answer.files.is_empty();
    // both have ended: what has a final name now is whole, and of the one that ended well
    let mut now = files(&out);
    now.retain(|n, _| !n.ends_with(".partial"));
    for done in [&a, &b] {
        let answer = Answer { files: now.clone(), ..done.answer.clone() };
        let seen = Done { answer, said: done.said.clone(), ..*done };
        wrong = wrong.or(judge(&seen, &case.answer, Disturbed::default()));
    }
    let good = [&a, &b].iter().filter(|d| d.code == case.answer.code).count();
    let expected = if writes && !force { 1 } else { 2 };
    if good != expected {
        wrong = wrong.or(Some(format!("{good} of two runs ended well, expected {expected}: {} {}", a.said, b.said)));
    }
    let loser = [&a, &b].into_iter().find(|d| d.code != case.answer.code).unwrap_or(&b);
    report(if force { "with --force" } else { "without --force" }, loser, wrong)
}

fn strace_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let mut c = Command::new("strace");
        c.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e", "inject=renameat2:error=EIO", "true"]);
        c.stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    })
}

/// Faults of calls that do not go through the C library.
fn strace(case: &Case, dir: &Path, r: &mut Random) -> Report {
    let (call, faults): (&str, &[&str]) = *r.pick(&[
        (
            "copy_file_range",
            ["error=EIO", "error=ENOSPC", "error=EXDEV", "error=EINTR:when=1+2", "retval=0"].as_slice(),
        ),
        ("renameat2", ["error=EINVAL", "error=ENOSYS", "error=EIO", "error=EIO:when=2", "error=EEXIST"].as_slice()),
        ("fallocate", ["error=EOPNOTSUPP", "error=ENOSPC", "error=EIO"].as_slice()),
        ("flock", ["error=EINTR:when=1..3", "error=ENOLCK"].as_slice()),
        ("syncfs", ["error=EIO"].as_slice()),
        ("fsync", ["error=EIO:when=2", "error=EINVAL"].as_slice()),
        ("mkdir", ["error=EACCES"].as_slice()),
        ("getrandom", ["error=ENOSYS", "error=EINTR:when=1"].as_slice()),
    ]);
    let fault = *r.pick(faults);
    let log = dir.join("strace");
    let shell = format!("exec strace -f -qq -o {} -e trace={call} -e inject={call}:{fault}", log.display());
    // `sh` becomes strace, which starts the command
    let mut run = Run::within(case, dir, &shell, &dir.join("out"));
    let line = format!("{shell} \"$0\" \"$@\"");
    let args: Vec<_> = run.command.get_args().skip(2).map(ToOwned::to_owned).collect();
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).args(args).env("COLUMNS", "100");
    command.stdin(case.input.as_ref().map_or_else(Stdio::null, |f| fs::File::open(f).unwrap().into()));
    let appended = |name: &str| OpenOptions::new().append(true).open(dir.join(name)).unwrap();
    command.stdout(appended("stdout")).stderr(appended("stderr"));
    run.command = command;
    let done = run.finish();
    let wrong = judge(&done, &case.answer, Disturbed::default());
    report(&format!("{call}:{fault}"), &done, wrong)
}
