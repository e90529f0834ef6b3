//! `compat`: will a target load what was saved?

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};

use super::exit::{Failure, Outcome};
use super::open;
use super::report::{self, ReportArgs};
use super::shared::SourceArgs;
use crate::compat::{self, Dump, Known, Side, StreamFacts};
use crate::container;
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
                                              on the host that loads it
  savevm-analyze compat vm.mig new.json
  savevm-analyze compat vm.mig new.json --target-stream new.mig
                                              covers memory and processors too
  savevm-analyze compat old.mig new.mig --both
  savevm-analyze compat vm.mig new.json --format sarif -o compat.sarif

A dump has every version, field and subsection that a binary knows, but only
of devices: not of processors, timers, memory or commands. A stream that the
target saved from the same machine (started with -S is enough) covers those.

Exit status:
  0 no incompatibility found        1 the target refuses the state
  2 nothing usable                  3 a part could not be compared")]
pub struct CompatArgs {
    /// Saved state, or the -dump-vmstate file of the QEMU that will save one, packed or not; `-` is standard input.
    #[arg(value_name = "SAVED")]
    pub saved: PathBuf,
    /// The -dump-vmstate file of the QEMU that loads it, or a state which that QEMU saved from the same machine.
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    /// State that the target saved from the same machine, in addition to its -dump-vmstate file.
    #[arg(long, value_name = "FILE")]
    pub target_stream: Option<PathBuf>,
    /// Machine type that the target runs, if its files were made with another one.
    #[arg(long, value_name = "NAME", value_parser = machine)]
    pub machine: Option<String>,
    /// What makes the answer no (exit status 1).
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub fail_on: FailOn,
    /// List what is harmless too.
    #[arg(short, long)]
    pub all: bool,
    /// Compare in the other direction too.
    #[arg(long)]
    pub both: bool,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

/// What makes the answer no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// What the target refuses.
    #[default]
    Breaks,
    /// What the target may refuse too.
    MayBreak,
}

/// Reads the name of a machine type.
fn machine(text: &str) -> Result<String, String> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if begins && text.len() < 64 && text.bytes().all(sound) {
        return Ok(text.to_owned());
    }
    Err(format!("expected a machine type such as pc-q35-10.0, found {text:?}"))
}

/// Reads an input into a side: JSON is a dump, anything else a state.
fn read(file: &Path, source: &SourceArgs, side: &mut Side) -> Result<(), Failure> {
    let shown = shown(file);
    let cannot = |what: &str, e| Error::io(format!("cannot {what} {shown}"), e);
    let input: Box<dyn Read + Send> = match file.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(file).map_err(|e| cannot("open", e))?),
    };
    // a dump may be packed, as a stream may
    let mut input = BufReader::new(container::unpacked(input).map_err(|e| e.within(shown.to_string()))?);
    let is_dump = input.fill_buf().map_err(|e| cannot("read", e))?.trim_ascii_start().starts_with(b"{");
    if is_dump {
        let mut text = Vec::new();
        input.take(MAX_DUMP_BYTES + 1).read_to_end(&mut text).map_err(|e| cannot("read", e))?;
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
    // commands are between the pages, so that the walk must be a full one
    let options = open::options(source)?.full(true);
    let image = if open::is_file(file) { options.open(file) } else { options.from_reader(input) };
    let image = image.map_err(|e| e.within(shown.to_string()))?;
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
    report.strict = a.fail_on == FailOn::MayBreak;
    report.inputs = [shown(&a.saved), shown(&a.target)];
    report::finish(report, &a.report, out)
}
