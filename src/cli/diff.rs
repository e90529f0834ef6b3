//! `diff`: what changed between two states.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome, say};
use super::open;
use super::progress::Progress;
use super::report::{self, ReportArgs};
use super::shared::{ProgressHow, SourceArgs};
use crate::diag::Level;
use crate::diff::{self, Input, Options, learn, memory};
use crate::error::Error;
use crate::findings::Report;
use crate::findings::accepted::Accepted;
use crate::image::SaveImage;
use crate::inspect::{self, Problem};
use crate::memory::PageHashes;
use crate::render::tree::Role;
use crate::text::{Name, list, shown};

/// Arguments of `diff`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze diff before.mig after.mig
  savevm-analyze diff disk.qcow2@before disk.qcow2@after
  savevm-analyze diff before.mig after.mig --stat
  savevm-analyze diff before.mig after.mig --device cpu --memory
  savevm-analyze diff --learn a1.mig a2.mig a3.mig --save-baseline noise.toml
  savevm-analyze diff before.mig after.mig --accepted noise.toml

Exit status:
  0 no differences   1 differences   2 usage or input error   3 a part could not be compared")]
pub struct DiffArgs {
    /// First state: FILE, FILE@SNAPSHOT, or `-` for standard input.
    #[arg(value_name = "BEFORE", required_unless_present = "learn", requires = "after")]
    pub before: Option<PathBuf>,
    /// Second state; only one of the two can be standard input.
    #[arg(value_name = "AFTER")]
    pub after: Option<PathBuf>,
    /// Only sections whose name, or vmsd name, matches; also `configuration`, `commands`, `ram`, `stream`. May be given
    /// several times.
    #[arg(short, long, value_name = "GLOB")]
    pub device: Vec<String>,
    /// Compare guest memory too, page by page, and the commands.
    ///
    /// Each state is read once, keeping some 20 bytes per page. A state with XBZRLE pages is read twice, which is impossible for
    /// standard input. Other live sections (disks, dirty bitmaps, the hash table of pseries, the storage attributes of
    /// s390x) are not compared.
    #[arg(short, long)]
    pub memory: bool,
    /// Two or more states of an idle machine. Differences between them are treated as noise and ignored. Must come after
    /// BEFORE and AFTER.
    ///
    /// Fields are ignored as a whole, buffers in words of four bytes, arrays in the range of elements seen, lists as a whole if
    /// their length varies. A baseline misses noise that did not show in these states, or in devices that they do not have. It
    /// also hides real changes in the fields it covers. More states make it better.
    #[arg(long, value_name = "STATE", num_args = 2..)]
    pub learn: Vec<PathBuf>,
    /// Write the learned noise to a file for --accepted.
    #[arg(long, alias = "save-mask", value_name = "FILE", requires = "learn")]
    pub save_baseline: Option<PathBuf>,
    /// Show progress of --memory: a bar on a terminal, JSON lines, or nothing.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub progress: ProgressHow,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub report: ReportArgs,
}

/// A state that was read, with its pages where they are compared.
struct State {
    name: Name,
    image: SaveImage,
    pages: Option<PageHashes>,
}

/// Runs `diff`.
pub fn run(a: &DiffArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    a.report.check()?;
    let files = || a.before.iter().chain(&a.after).chain(&a.learn);
    if files().filter(|f| f.as_os_str() == "-").count() > 1 {
        return Err(Failure::Usage("standard input can be one of the states, not several".to_owned()));
    }
    let options = Options { devices: a.device.clone() };
    let learned = if a.learn.is_empty() { None } else { Some(baseline(a, &options)?) };
    if let (Some((baseline, _)), Some(file)) = (&learned, &a.save_baseline) {
        let text = baseline.to_string();
        open::write_new(file, a.report.force, &mut |w| Ok(w.write_all(text.as_bytes())?))?;
    }
    let (Some(before), Some(after)) = (&a.before, &a.after) else {
        let Some((baseline, whole)) = learned else { return Ok(Outcome::Complete) };
        if a.save_baseline.is_none() {
            write!(out, "{baseline}")?;
        }
        return Ok(if whole { Outcome::Complete } else { Outcome::Partial });
    };
    let (x, y) = both(a, before, after)?;
    let mut report = differences(&x, &y, &options)?;
    if report.compared.is_empty() {
        return Err(nothing_matches(&x.image));
    }
    if let Some((baseline, _)) = &learned {
        learn::apply(baseline, &mut report);
    }
    let told = !report.faults.is_empty();
    let outcome = report::finish(report, &a.report, out)?;
    let unread = [&x, &y].into_iter().find_map(|s| Some((s, open::unread(&s.image)?)));
    let Some((state, e)) = unread else { return Ok(outcome) };
    if !told {
        super::exit::error(&e.within(state.name.to_string()));
    }
    Ok(Outcome::Partial)
}

fn nothing_matches(image: &SaveImage) -> Failure {
    let names = list(image.walk().sections.iter().map(|s| &s.header.idstr));
    Failure::Usage(format!("no section matches; the sections are: {names}"))
}

/// Compares the states to learn from; also returns whether all of them could be read completely.
fn baseline(a: &DiffArgs, options: &Options) -> Result<(Accepted, bool), Failure> {
    let states =
        a.learn.iter().map(|f| state(a, f, &Progress::start(ProgressHow::None))).collect::<Result<Vec<_>, _>>()?;
    states.iter().for_each(warn);
    let mut baseline = learn::Baseline::default();
    let mut whole = true;
    for (i, j) in learn::pairs(states.len()) {
        let (Some(x), Some(y)) = (states.get(i), states.get(j)) else { continue };
        let report = differences(x, y, options)?;
        whole &= report.faults.is_empty();
        report.faults.iter().for_each(|f| say(Role::Problem, "error", f));
        baseline.learn(&report);
    }
    Ok((baseline.finish(states.len()), whole))
}

fn differences(x: &State, y: &State, options: &Options) -> Result<Report, Failure> {
    let (a, b) = (Input { name: &x.name, image: &x.image }, Input { name: &y.name, image: &y.image });
    let mut report = diff::compare(a, b, options)?;
    if let (Some(p), Some(q)) = (&x.pages, &y.pages)
        && options.wants("ram", "", None)
    {
        memory::compare(p, q, &mut report)?;
    }
    Ok(report)
}

/// Reads both states; with their memory, at the same time.
fn both(a: &DiffArgs, before: &Path, after: &Path) -> Result<(State, State), Failure> {
    let quiet = Progress::start(ProgressHow::None);
    let (x, y) = if a.memory {
        let progress = Progress::start(a.progress);
        // the bar is that of the larger one
        let size = |f: &Path| std::fs::metadata(f).map_or(0, |m| m.len());
        let first = size(before) > size(after);
        let (of_x, of_y) = if first { (&progress, &quiet) } else { (&quiet, &progress) };
        let read = std::thread::scope(|s| {
            let other = std::thread::Builder::new().spawn_scoped(s, || state(a, before, of_x));
            let y = state(a, after, of_y);
            let x = match other {
                Ok(t) => t.join().unwrap_or_else(|_| Err(Failure::Usage("the reading thread ended".to_owned()))),
                // no thread can be started: one after the other
                Err(_) => state(a, before, of_x),
            };
            (x, y)
        });
        progress.finish();
        (read.0?, read.1?)
    } else {
        (state(a, before, &quiet)?, state(a, after, &quiet)?)
    };
    warn(&x);
    warn(&y);
    Ok((x, y))
}

/// Reads one state.
fn state(a: &DiffArgs, file: &Path, progress: &Progress) -> Result<State, Failure> {
    let name = shown(file);
    let named = |f: Failure| match f {
        Failure::Library(e) => Failure::Library(open::named(e, file)),
        f => f,
    };
    if !a.memory {
        let image = open::devices(file, &a.source).map_err(named)?;
        return Ok(State { name, image, pages: None });
    }
    let walk = |pages: &mut PageHashes| -> Result<SaveImage, Failure> {
        let container = progress.watch(open::container(file, &a.source)?);
        Ok(open::options(&a.source)?.pages(pages).container(container)?)
    };
    let settings = a.source.settings();
    let mut pages = PageHashes::new(&settings.budget, settings.tmpdir);
    let image = walk(&mut pages).map_err(named)?;
    if pages.is_incomplete() && name != "-" {
        let kept = super::extract::temporary(a.source.tmpdir.as_deref())
            .map_err(|e| Error::io("cannot create a temporary file", e))?;
        pages = pages.again(kept);
        walk(&mut pages)?;
    }
    Ok(State { name, image, pages: Some(pages) })
}

/// Warns about anything that makes the comparison of a state incomplete.
fn warn(s: &State) {
    let warn = |what: &str| say(Role::Name, "warning", &format!("{}: {what}", s.name));
    for d in s.image.walk().found.list().iter().filter(|d| d.level == Level::Warning) {
        warn(&open::described(d));
    }
    if s.image.schema().is_none() && s.image.device_sections().next().is_some() {
        warn("the stream has no description: its device sections are compared as bytes; supply one with --schema");
    }
    inspect::problems(&s.image).iter().filter_map(Problem::of_wrapper).for_each(|d| warn(&d.message));
}
