//! `compat`: will a target load what was saved?

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome};
use super::open;
use super::report::{self, ReportArgs};
use super::shared::SourceArgs;
use crate::compat::{self, Dump, Known, Side, StreamFacts};
use crate::error::{Error, ErrorKind};
use crate::findings::{Difference, Report};
use crate::text::{Name, shown};

/// The largest -dump-vmstate file. Real ones have 1 to 3 MB.
const MAX_DUMP_BYTES: u64 = 256 << 20;

/// Arguments of `compat`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  qemu-system-x86_64 -machine pc-q35-9.2 -dump-vmstate new.json
                                              on the host that is to load it
  savevm-analyze compat vm.mig new.json
  savevm-analyze compat vm.mig new.json --target-stream new.mig
                                              tells most: memory, processors
  savevm-analyze compat old.mig new.mig --both
  savevm-analyze compat vm.mig new.json --format sarif -o compat.sarif

A dump tells every version, field and subsection that a binary knows, but only
of devices: not of processors, timers, memory or commands. A stream of the
target, saved from the same machine at any time (started with -S is enough),
tells of those.

Exit status:
  0 nothing is known that breaks    1 the target refuses it
  2 nothing usable                  3 part of it could not be compared")]
pub struct CompatArgs {
    /// What is to be loaded: a saved state, or the -dump-vmstate file of the QEMU that will write one; `-` is standard input.
    #[arg(value_name = "SAVED")]
    pub saved: PathBuf,
    /// What is to load it: the -dump-vmstate file of that QEMU, or a state that it saved from the same machine.
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    /// A state that the target saved from the same machine, beside its -dump-vmstate file.
    #[arg(long, value_name = "FILE")]
    pub target_stream: Option<PathBuf>,
    /// The machine type that the target is started with, where its files are of another.
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// List what is harmless too.
    #[arg(short, long)]
    pub all: bool,
    /// Ask the other way round too.
    #[arg(long)]
    pub both: bool,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

/// Reads an input into a side: JSON is a dump, anything else a state.
fn read(file: &Path, source: &SourceArgs, side: &mut Side) -> Result<(), Failure> {
    let shown = shown(file);
    let cannot = |what: &str, e| Error::io(format!("cannot {what} {shown}"), e);
    if file.as_os_str() != "-" && begins_with_brace(file).map_err(|e| cannot("open", e))? {
        let mut text = Vec::new();
        let opened = std::fs::File::open(file).map_err(|e| cannot("open", e))?;
        opened.take(MAX_DUMP_BYTES.saturating_add(1)).read_to_end(&mut text).map_err(|e| cannot("read", e))?;
        if text.len() as u64 > MAX_DUMP_BYTES {
            let what = format!("{shown} has more than {MAX_DUMP_BYTES} bytes of JSON");
            return Err(Error::new(ErrorKind::LimitExceeded, what).into());
        }
        let dump = Dump::read(&text).map_err(|e| e.within(shown.to_string()))?;
        if side.dump.replace(dump).is_some() {
            return Err(Failure::Usage(format!(
                "{shown} is a -dump-vmstate file; --target-stream wants a saved state"
            )));
        }
        return Ok(());
    }
    // commands stand between the pages, so that the walk must be a full one
    let image = open::image(file, open::options(source)?.full(true)).map_err(|e| e.within(shown.to_string()))?;
    let facts = StreamFacts::of(&image)?;
    if let Some(e) = open::unread(&image) {
        return Err(e.within(shown.to_string()).into());
    }
    if side.stream.replace(facts).is_some() {
        return Err(Failure::Usage(format!(
            "TARGET is a saved state itself; --target-stream {shown} goes with a dump"
        )));
    }
    Ok(())
}

fn begins_with_brace(file: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    std::fs::File::open(file)?.take(1).read_to_end(&mut head)?;
    Ok(head == b"{")
}

/// Adds what the comparison in the other direction found.
fn add_reverse(report: &mut Report, reverse: Report) {
    let turned = reverse.differences.into_iter().map(|d| Difference {
        message: format!("the other way round: {}", d.message),
        before: d.after,
        after: d.before,
        ..d
    });
    report.differences.extend(turned);
}

/// Runs `compat`.
pub fn run(a: &CompatArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    a.report.check()?;
    let (mut saved, mut target) =
        (Side::default(), Side { machine: a.machine.as_deref().map(Name::from), ..Side::default() });
    read(&a.saved, &a.source, &mut saved)?;
    read(&a.target, &a.source, &mut target)?;
    if let Some(stream) = &a.target_stream {
        read(stream, &a.source, &mut target)?;
    }
    let known = |version| Known { target_version: version };
    let mut report = compat::compare(&saved, &target, known(a.report.to_version));
    if a.both {
        add_reverse(&mut report, compat::compare(&target, &saved, known(a.report.from_version)));
    }
    report.brief = !a.all;
    report.inputs = [shown(&a.saved), shown(&a.target)];
    report::finish(report, &a.report, out)
}
