//! What `diff` and `compat` have in common: what is accepted, how a report is printed, and the exit status.
#![allow(dead_code, reason = "until diff and compat are commands")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args as ClapArgs, ValueEnum};
use toml::value::{Date, Datetime};

use super::exit::{Failure, Outcome, say};
use super::{open, style};
use crate::difference::Report;
use crate::difference::accepted::{self, Accepted, Conditions, Version};
use crate::error::{Error, ErrorKind};
use crate::render;
use crate::render::report::json::ReportDocument;
use crate::render::report::text;
use crate::render::tree::{Paint, Role};

/// The largest file of accepted differences. An entry has some 200 bytes.
const MAX_ACCEPTED_BYTES: u64 = 64 << 20;

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document (schemas/output/report.schema.json).
    Json,
}

/// What `diff` and `compat` take alike.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct ReportArgs {
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Report")]
    pub format: ReportFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format", help_heading = "Report")]
    pub json: bool,
    /// Write the report to a file; standard output gets it as text.
    #[arg(short, long, value_name = "FILE", help_heading = "Report")]
    pub output: Option<PathBuf>,
    /// Pass over differences of sections or fields that match, such as 'cpu' or '*/virtio-net > vdev*'. May be given several times.
    #[arg(long, value_name = "PATTERN", help_heading = "Report")]
    pub ignore: Vec<String>,
    /// A file of differences that are known and explained (docs/ci.md). May be given several times.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub accepted: Vec<PathBuf>,
    /// Write what counts now as such a file, with those entries of --accepted that still hold.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub write_accepted: Option<PathBuf>,
    /// An entry of --accepted that matches nothing is a difference.
    #[arg(long, requires = "accepted", help_heading = "Report")]
    pub strict_accepted: bool,
    /// The version of QEMU that wrote the first input, for entries of --accepted that depend on it.
    #[arg(long, value_name = "VERSION", help_heading = "Report")]
    pub from_version: Option<Version>,
    /// The version of QEMU that wrote, or is to load, the second input.
    #[arg(long, value_name = "VERSION", help_heading = "Report")]
    pub to_version: Option<Version>,
    /// Overwrite files that exist.
    #[arg(long, help_heading = "Report")]
    pub force: bool,
}

impl ReportArgs {
    fn format(&self) -> ReportFormat {
        if self.json { ReportFormat::Json } else { self.format }
    }

    /// Finds out what is wrong with the arguments before any work is done.
    ///
    /// # Errors
    /// When a file of accepted differences cannot be used, or a file that is to be written is there.
    pub fn check(&self) -> Result<(), Failure> {
        self.entries()?;
        let exists = |p: &&PathBuf| !self.force && p.symlink_metadata().is_ok();
        if let Some(p) = self.write_accepted.as_ref().filter(exists).filter(|p| !self.is_accepted(p)) {
            let what = format!("{} exists; give it with --accepted too, or --force to overwrite it", p.display());
            return Err(Failure::Usage(what));
        }
        if let Some(p) = self.output.as_ref().filter(exists) {
            return Err(Failure::Usage(format!("{} exists; give --force to overwrite it", p.display())));
        }
        Ok(())
    }

    /// Tells whether a file is one of those with accepted differences.
    fn is_accepted(&self, path: &Path) -> bool {
        let same = |p: &PathBuf| {
            p == path || fs::canonicalize(p).ok().zip(fs::canonicalize(path).ok()).is_some_and(|(a, b)| a == b)
        };
        self.accepted.iter().any(same)
    }

    fn entries(&self) -> Result<Accepted, Failure> {
        let mut all = Accepted::default();
        for file in &self.accepted {
            let shown = file.display().to_string();
            let cannot = |e| Error::io(format!("cannot read {shown}"), e);
            let bytes = fs::metadata(file).map_err(cannot)?.len();
            if bytes > MAX_ACCEPTED_BYTES {
                let what = format!("{shown} has {bytes} bytes; accepted differences have {MAX_ACCEPTED_BYTES} at most");
                return Err(Error::new(ErrorKind::LimitExceeded, what).into());
            }
            all.extend(Accepted::parse(&fs::read_to_string(file).map_err(cannot)?, &shown)?);
        }
        Ok(all)
    }
}

/// Sets aside what is ignored and accepted, prints the report, and returns the exit status: 1 when a difference counts, 3 when a
/// part could not be compared, else 0.
pub fn finish(mut report: Report, args: &ReportArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    args.check()?;
    accepted::ignore(&mut report, &args.ignore);
    let conditions =
        Conditions { from: args.from_version, to: args.to_version, today: today()?, strict: args.strict_accepted };
    let entries = args.entries()?;
    let fates = entries.apply(&mut report, &conditions);
    if let Some(file) = &args.write_accepted {
        let mut written = entries.kept(&fates);
        written.extend(Accepted::from_report(&report));
        let text = written.to_string();
        open::write_new(file, args.force || args.is_accepted(file), &mut |w| Ok(w.write_all(text.as_bytes())?))?;
    }
    match &args.output {
        None => print(&report, args.format(), out, &style::paint)?,
        Some(file) => {
            let bare = |_: Role, text: &str| text.to_owned();
            open::write_new(file, args.force, &mut |w| print(&report, args.format(), w, &bare))?;
            match args.format() {
                ReportFormat::Text => text::last(out, &report, &style::paint)?,
                _ => text::print(out, &report, &style::paint)?,
            }
        }
    }
    out.flush()?;
    for fault in &report.faults {
        say(Role::Problem, "error", fault);
    }
    Ok(match (report.fails(), report.faults.is_empty()) {
        (true, _) => Outcome::No,
        (false, false) => Outcome::Partial,
        (false, true) => Outcome::Complete,
    })
}

fn print(r: &Report, format: ReportFormat, out: &mut dyn Write, paint: Paint<'_>) -> Result<(), Failure> {
    match format {
        ReportFormat::Text => text::print(out, r, paint)?,
        ReportFormat::Json => render::pretty(out, &ReportDocument::new(r))?,
    }
    Ok(())
}

/// Returns the day, in UTC; SOURCE_DATE_EPOCH stands for the clock where results are to be reproduced.
fn today() -> Result<Date, Failure> {
    let now = match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => SystemTime::now(),
        Ok(text) => {
            let seconds = text.parse().ok().map(Duration::from_secs);
            seconds.and_then(|s| SystemTime::UNIX_EPOCH.checked_add(s)).ok_or_else(|| {
                Failure::Usage(format!("expected seconds since 1970 in SOURCE_DATE_EPOCH, found {text:?}"))
            })?
        }
    };
    day(now).ok_or_else(|| Failure::Usage("the clock is outside of the years 1970 to 9999".to_owned()))
}

fn day(now: SystemTime) -> Option<Date> {
    use std::fmt::Write as _;
    let mut text = String::new();
    write!(text, "{}", humantime::format_rfc3339_seconds(now)).ok()?;
    text.get(..10)?.parse::<Datetime>().ok()?.date
}
