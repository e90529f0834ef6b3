//! What `diff` and `compat` have in common: what is accepted, how a report is printed, and the exit status.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args as ClapArgs, ValueEnum};
use toml::value::{Date, Datetime};

use super::exit::{Failure, Outcome, say};
use super::{open, style, width};
use crate::error::{Error, ErrorKind};
use crate::findings::Report;
use crate::findings::accepted::{self, Accepted, Conditions, Version};
use crate::render;
use crate::render::report::json::ReportDocument;
use crate::render::report::sarif::Sarif;
use crate::render::report::{github, junit, markdown, side_by_side, stat, text};
use crate::render::tree::{Paint, Role};
use crate::text::shown;

/// The largest file of accepted differences. An entry has some 200 bytes.
const MAX_ACCEPTED_BYTES: u64 = 64 << 20;

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document (savevm-analyze schema report).
    Json,
    /// JUnit XML for CI servers, one test case per section.
    Junit,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Table for a merge request comment or a job summary.
    Markdown,
    /// GitHub Actions workflow commands, shown as annotations.
    Github,
    /// Number of differences per section.
    Stat,
    /// Field, first and second state in columns; needs a width of 100 columns.
    SideBySide,
}

/// Arguments of both `diff` and `compat`.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct ReportArgs {
    /// How to print.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Report")]
    pub format: ReportFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format", help_heading = "Report")]
    pub json: bool,
    /// The same as --format stat.
    #[arg(long, conflicts_with_all = ["format", "json"], help_heading = "Report")]
    pub stat: bool,
    /// The same as --format side-by-side.
    #[arg(long, conflicts_with_all = ["format", "json", "stat"], help_heading = "Report")]
    pub side_by_side: bool,
    /// Print nothing but errors; the exit status is the answer.
    #[arg(short, long, conflicts_with_all = ["format", "json", "stat", "side_by_side"], help_heading = "Report")]
    pub quiet: bool,
    /// Write the report to a file, and print it as text.
    #[arg(short, long, value_name = "FILE", help_heading = "Report")]
    pub output: Option<PathBuf>,
    /// Ignore differences in sections or fields that match, such as 'cpu' or '*/virtio-net > vdev*'. Can be repeated.
    #[arg(long, value_name = "PATTERN", help_heading = "Report")]
    pub ignore: Vec<String>,
    /// File of known differences with their reasons (docs/ci.md). Can be repeated.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub accepted: Vec<PathBuf>,
    /// Write the current differences to such a file, with the entries of --accepted that still apply.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub write_accepted: Option<PathBuf>,
    /// Treat an entry of --accepted that matches nothing as a difference.
    #[arg(long, requires = "accepted", help_heading = "Report")]
    pub strict_accepted: bool,
    /// QEMU version that wrote the first input, for entries of --accepted that depend on it.
    #[arg(long, value_name = "VERSION", help_heading = "Report")]
    pub from_version: Option<Version>,
    /// QEMU version that wrote the second input, or that loads the first one.
    #[arg(long, value_name = "VERSION", help_heading = "Report")]
    pub to_version: Option<Version>,
    /// Overwrite existing files.
    #[arg(long, help_heading = "Report")]
    pub force: bool,
}

impl ReportArgs {
    fn format(&self) -> ReportFormat {
        match (self.json, self.stat, self.side_by_side) {
            (true, ..) => ReportFormat::Json,
            (_, true, _) => ReportFormat::Stat,
            (.., true) => ReportFormat::SideBySide,
            _ => self.format,
        }
    }

    /// Checks the arguments before any work is done.
    ///
    /// # Errors
    /// Fails when a file of accepted differences cannot be used, or an output file already exists.
    pub fn check(&self) -> Result<(), Failure> {
        self.entries()?;
        let exists = |p: &&PathBuf| !self.force && p.symlink_metadata().is_ok();
        if let Some(p) = self.write_accepted.as_ref().filter(exists).filter(|p| !self.is_accepted(p)) {
            let what = format!("{} exists; give it with --accepted too, or --force to overwrite it", shown(p));
            return Err(Failure::Usage(what));
        }
        if let Some(p) = self.output.as_ref().filter(exists) {
            return Err(Failure::Usage(format!("{} exists; give --force to overwrite it", shown(p))));
        }
        Ok(())
    }

    /// Returns whether a file is one of those with accepted differences.
    fn is_accepted(&self, path: &Path) -> bool {
        let same = |p: &PathBuf| {
            p == path || fs::canonicalize(p).ok().zip(fs::canonicalize(path).ok()).is_some_and(|(a, b)| a == b)
        };
        self.accepted.iter().any(same)
    }

    fn entries(&self) -> Result<Accepted, Failure> {
        let mut all = Accepted::default();
        for file in &self.accepted {
            let shown = shown(file).to_string();
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

/// Removes ignored and accepted differences, prints the report, and returns the exit status: 1 if a difference remains, 3 if a
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
        None if args.quiet => {}
        None => print(&report, args.format(), out, width::columns(None), &style::paint)?,
        Some(file) => {
            let bare = |_: Role, text: &str| text.to_owned();
            open::write_new(file, args.force, &mut |w| print(&report, args.format(), w, width::PLAIN, &bare))?;
            match args.format() {
                ReportFormat::Text => text::last(out, &report, &style::paint)?,
                _ => text::print(out, &report, width::columns(None), &style::paint)?,
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

fn print(
    r: &Report,
    format: ReportFormat,
    out: &mut dyn Write,
    columns: usize,
    paint: Paint<'_>,
) -> Result<(), Failure> {
    match format {
        ReportFormat::Text => text::print(out, r, columns, paint)?,
        ReportFormat::Json => render::pretty(out, &ReportDocument::new(r))?,
        ReportFormat::Junit => junit::print(out, r)?,
        ReportFormat::Sarif => render::pretty(out, &Sarif::new(r))?,
        ReportFormat::Markdown => markdown::print(out, r)?,
        ReportFormat::Github => github::print(out, r)?,
        ReportFormat::Stat => stat::print(out, r, columns)?,
        ReportFormat::SideBySide => match columns {
            narrow if narrow < side_by_side::NARROWEST => {
                let needs = side_by_side::NARROWEST;
                say(Role::Name, "note", &format!("--side-by-side needs {needs} columns, found {narrow}"));
                text::print(out, r, columns, paint)?;
            }
            _ => side_by_side::print(out, r, columns, paint)?,
        },
    }
    Ok(())
}

/// Returns the day, in UTC; SOURCE_DATE_EPOCH replaces the clock where results are to be reproduced.
fn today() -> Result<Date, Failure> {
    let now = match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => Some(SystemTime::now()),
        Ok(text) => text.parse().ok().and_then(|s| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(s))),
    };
    let what = "expected a time between 1970 and 9999 from the clock, or from SOURCE_DATE_EPOCH in seconds";
    now.and_then(day).ok_or_else(|| Failure::Usage(what.to_owned()))
}

fn day(now: SystemTime) -> Option<Date> {
    use std::fmt::Write as _;
    let mut text = String::new();
    write!(text, "{}", humantime::format_rfc3339_seconds(now)).ok()?;
    text.get(..10)?.parse::<Datetime>().ok()?.date
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::findings::{Aspect, Difference, Question, Rule, Severity, Subject};

    static VALUE: Rule = Rule { id: "field-value", what: "The value is another." };

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        report: ReportArgs,
    }

    fn args(line: &[&str]) -> ReportArgs {
        Line::try_parse_from(std::iter::once(&"x").chain(line)).unwrap().report
    }

    fn report() -> Report {
        let side = |text: &str| Some(Aspect::new(text, None));
        let difference = |field: &str| Difference {
            rule: &VALUE,
            severity: Severity::Differs,
            subject: Subject::section("cpu", 0).field(field),
            message: "the value is another".to_owned(),
            before: side("1"),
            after: side("2"),
            meaning: Vec::new(),
        };
        Report { question: Question::Diff, differences: vec![difference("a"), difference("b")], ..Report::default() }
    }

    fn finished(r: Report, line: &[&str]) -> (Outcome, String) {
        let mut out = Vec::new();
        let outcome = finish(r, &args(line), &mut out).unwrap();
        (outcome, String::from_utf8(out).unwrap())
    }

    fn refused(line: &[&str]) -> String {
        match finish(report(), &args(line), &mut Vec::new()).unwrap_err() {
            Failure::Usage(what) => what,
            Failure::Library(e) => e.to_string(),
            Failure::Output(e) => e.to_string(),
            f @ Failure::Partial(_) => panic!("{f:?}"),
        }
    }

    #[test]
    fn the_exit_status_is_that_of_what_counts() {
        assert_eq!(finished(report(), &[]).0, Outcome::No);
        assert_eq!(
            finished(report(), &["--ignore", "cpu"]),
            (Outcome::Complete, "no differences; 2 ignored\n".to_owned())
        );
        let partial = Report { faults: vec!["x".to_owned()], ..report() };
        assert_eq!(finished(partial.clone(), &[]).0, Outcome::No);
        let (outcome, text) = finished(partial, &["--ignore", "cpu"]);
        assert_eq!((outcome, &*text), (Outcome::Partial, "no differences; 2 ignored; 1 part was not compared\n"));
    }

    #[test]
    fn every_format_is_printed() {
        for (line, begins) in [
            (&["--json"][..], "{\n    \"schema_version\": 1,"),
            (&["--format", "json"], "{\n    \"schema_version\": 1,"),
            (&["--format", "junit"], "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites "),
            (&["--format", "sarif"], "{\n    \"$schema\": \"https://docs.oasis-open.org/sarif/"),
            (&["--format", "markdown"], "### savevm-analyze diff: different\n"),
            (&["--format", "github"], "::error title=cpu > a::"),
            (&["--format", "text"], "cpu (0)\n  a  1 -> 2\n  b  1 -> 2\n\n2 differences\n"),
        ] {
            let (outcome, text) = finished(report(), line);
            assert!(outcome == Outcome::No && text.starts_with(begins), "{line:?}: {text}");
        }
        assert!(Line::try_parse_from(["x", "--json", "--format", "text"]).is_err());
        assert!(Line::try_parse_from(["x", "--from-version", "seven"]).is_err());
        assert!(Line::try_parse_from(["x", "--strict-accepted"]).is_err());
    }

    #[test]
    fn a_file_gets_the_form_and_the_log_gets_the_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("r.json");
        let name = file.to_str().unwrap();
        let (_, text) = finished(report(), &["--json", "-o", name]);
        assert!(text.starts_with("cpu (0)\n") && text.ends_with("2 differences\n"), "{text}");
        assert!(fs::read_to_string(&file).unwrap().starts_with('{'));
        assert_eq!(refused(&["-o", name]), format!("{name} exists; give --force to overwrite it"));
        assert_eq!(finished(report(), &["-o", name, "--force"]).1, "2 differences\n");
        assert!(fs::read_to_string(&file).unwrap().starts_with("cpu (0)\n"));
    }

    #[test]
    fn what_was_written_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        let name = file.to_str().unwrap();
        assert_eq!(finished(report(), &["--ignore", "cpu > b", "--write-accepted", name]).0, Outcome::No);
        let (outcome, text) = finished(report(), &["--accepted", name]);
        assert_eq!((outcome, &*text), (Outcome::No, "cpu (0)\n  b  1 -> 2\n\n1 difference; 1 accepted\n"));
        assert!(refused(&["--write-accepted", name]).contains("give it with --accepted too"));

        // existing text stays as it is written, and what it lacks is added
        fs::write(
            &file,
            format!("# why\n\n{}", fs::read_to_string(&file).unwrap().replace("to be explained", "known")),
        )
        .unwrap();
        finished(report(), &["--accepted", name, "--write-accepted", name]);
        let grown = fs::read_to_string(&file).unwrap();
        assert!(grown.starts_with("# why\n\n[[accept]]\npath = \"cpu (0) > a\"\n"), "{grown}");
        assert!(
            grown.contains("\"known: the value is another\"") && grown.matches("[[accept]]").count() == 2,
            "{grown}"
        );
        assert_eq!(finished(report(), &["--accepted", name, "--strict-accepted"]).0, Outcome::Complete);
        assert_eq!(finished(Report::default(), &["--accepted", name]).0, Outcome::Complete);
        assert_eq!(finished(Report::default(), &["--accepted", name, "--strict-accepted"]).0, Outcome::No);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        fs::write(&file, "[[accept]]\npath = 'x'\n").unwrap();
        assert!(refused(&["--accepted", name]).ends_with(&format!("(in {name}:1)")));
        assert!(refused(&["--accepted", "/nonexistent.toml"]).starts_with("cannot read /nonexistent.toml: "));
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let at = |s| day(SystemTime::UNIX_EPOCH + Duration::from_secs(s)).map(|d| d.to_string());
        assert_eq!(at(1_798_761_599).as_deref(), Some("2026-12-31"));
        assert_eq!(at(1_798_761_600).as_deref(), Some("2027-01-01"));
        assert_eq!(at(400_000_000_000), None);
    }
}
