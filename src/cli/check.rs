//! `check`: every rule, every byte.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use clap::Args as ClapArgs;

use super::exit::{self, Failure, Outcome};
use super::many::{Answer, InputsArgs, each};
use super::{open, style};
use crate::diag::Level;
use crate::error::ErrorKind;
use crate::image::SaveImage;
use crate::inspect::{self, Check};
use crate::offset::Sure;
use crate::ram::PageStats;
use crate::render::human;
use crate::render::state_json::{FindingJson, RangeJson, SCHEMA_VERSION};
use crate::render::tree::Role;
use crate::stream::EndFound;
use crate::text::{Name, shown};

/// Arguments of `check`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze check vm.mig
  savevm-analyze check *.save                  one line per file
  savevm-analyze check vm.mig --json
  savevm-analyze check -q vm.mig && echo sound

Exit status:
  0 sound   1 not sound   2 not a saved state   3 no verdict")]
pub struct CheckArgs {
    #[command(flatten)]
    pub input: InputsArgs,
    /// Print every rule for each of several files, and not one line per file.
    #[arg(short, long, conflicts_with = "json")]
    pub verbose: bool,
    /// Print nothing but errors; the exit status is the answer.
    #[arg(short, long, conflicts_with_all = ["verbose", "json"])]
    pub quiet: bool,
    /// Do not decode compressed and XBZRLE pages.
    #[arg(long)]
    pub fast: bool,
    /// Print JSON (savevm-analyze schema check).
    #[arg(long)]
    pub json: bool,
}

/// Pages of a pipe that are kept for a look at virtio rings, in bytes.
const MAX_KEPT: u64 = 256 << 20;

/// What `check` prints as JSON. Schema: `schemas/output/check.schema.json`.
#[derive(Serialize)]
struct Report {
    schema_version: u32,
    ok: bool,
    stream_bytes: u64,
    accounted_bytes: u64,
    trailing_bytes: u64,
    unaccounted: Vec<Unaccounted>,
    sections: usize,
    device_sections: usize,
    described_sections: usize,
    device_bytes: u64,
    covered_device_bytes: u64,
    undecoded: Vec<Undecoded>,
    quirks: Vec<Quirk>,
    diagnostics: Vec<FindingJson>,
}

#[derive(Serialize)]
struct Unaccounted {
    #[serde(flatten)]
    range: RangeJson,
    why: String,
}

#[derive(Serialize)]
struct Undecoded {
    section: Name,
    instance_id: u32,
    within: String,
    #[serde(flatten)]
    range: RangeJson,
    why: String,
}

#[derive(Serialize)]
struct Quirk {
    section: Name,
    instance_id: u32,
    quirk: &'static str,
}

/// Runs `check`.
pub fn run(a: &CheckArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    each(&a.input.files, a.verbose, out, &mut |file, answer| match one(a, file, answer) {
        Err(Failure::Library(e)) if !a.json && !a.verbose && !a.quiet && answer.of_several.is_some() => {
            let what = if e.kind() == ErrorKind::Io { "no verdict" } else { "not a saved state" };
            writeln!(answer.out, "{}: {}: {e}", shown(file), style::paint(Role::Problem, what))?;
            Ok(Outcome::Unusable)
        }
        outcome => outcome,
    })
}

fn one(a: &CheckArgs, file: &Path, answer: &mut Answer<'_>) -> Result<Outcome, Failure> {
    let options = open::options(&a.input.source)?;
    let budget = a.input.source.settings().budget;
    let mut stats = if a.fast { PageStats::counting(&budget) } else { PageStats::new(&budget) };
    // a pipe is read once: its pages are kept for the virtio rings
    let image = open::image(file, options.pages(&mut stats).keep_memory(MAX_KEPT))?;
    let found = inspect::check(&image, &stats)?;
    if a.quiet {
        // the exit status says it
    } else if a.json {
        answer.document(&Report::new(&image, &found))?;
    } else if let Some(name) = answer.of_several.as_ref().filter(|_| !a.verbose) {
        writeln!(answer.out, "{name}: {}", in_one_line(&found))?;
    } else {
        print(&found, &image, &stats, answer.out)?;
    }
    if let Some(e) = &found.failed {
        exit::error(e);
        return Ok(Outcome::Partial);
    }
    Ok(if found.sound { Outcome::Complete } else { Outcome::No })
}

/// Returns the verdict with its first reason.
fn in_one_line(c: &Check) -> String {
    if let Some(e) = &c.failed {
        return format!("{}: {e}", style::paint(Role::Problem, "no verdict"));
    }
    if c.sound {
        return style::paint(Role::Good, "sound");
    }
    let first = c.findings.list().iter().find(|d| d.level == Level::Error).map(open::described);
    let first = first.or_else(|| c.undecoded.first().map(|u| format!("{} ({}): {}", u.section, u.instance_id, u.why)));
    let why = first.map_or_else(String::new, |w| format!(": {w}"));
    format!("{}{why}", style::paint(Role::Problem, "not sound"))
}

impl Report {
    fn new(image: &SaveImage, c: &Check) -> Self {
        let walk = image.walk();
        let trailing = walk.trailing.map_or(0, |t| t.len());
        let undecoded = |u: &inspect::UndecodedBytes| Undecoded {
            section: u.section.clone(),
            instance_id: u.instance_id,
            within: u.within.clone(),
            range: u.range.into(),
            why: u.why.clone(),
        };
        let quirk =
            |q: &inspect::QuirkFound| Quirk { section: q.section.clone(), instance_id: q.instance_id, quirk: q.quirk };
        Self {
            schema_version: SCHEMA_VERSION,
            ok: c.sound,
            stream_bytes: image.size().minus(trailing),
            accounted_bytes: walk.accounted,
            trailing_bytes: trailing,
            unaccounted: walk.gaps.iter().map(|g| Unaccounted { range: g.range.into(), why: g.why.clone() }).collect(),
            sections: c.sections,
            device_sections: c.device_sections,
            described_sections: c.described_sections,
            device_bytes: c.device_bytes,
            covered_device_bytes: c.covered_device_bytes,
            undecoded: c.undecoded.iter().map(undecoded).collect(),
            quirks: c.quirks.iter().map(quirk).collect(),
            diagnostics: c.findings.list().iter().map(FindingJson::from).collect(),
        }
    }
}

fn print(r: &Check, image: &SaveImage, stats: &PageStats, out: &mut dyn Write) -> Result<(), Failure> {
    let walk = image.walk();
    let mark = |ok: bool| if ok { style::paint(Role::Good, "ok  ") } else { style::paint(Role::Problem, "FAIL") };
    let mut line = |ok: bool, what: &str| writeln!(out, "{} {what}", mark(ok));
    line(walk.header.is_some(), "stream header QEVM version 3")?;
    match &walk.configuration {
        Some(c) => line(true, &format!("configuration: machine type {}", c.machine))?,
        None => line(true, "no configuration section (machine types before 2.4)")?,
    }
    let framed = walk.sections.iter().all(|s| s.end != EndFound::Nowhere) && walk.stopped.is_none();
    let footers = match walk.footers {
        _ if !framed => ", the last without its end",
        Some(true) => ", each with its footer",
        Some(false) => ", without footers",
        None => "",
    };
    line(framed, &format!("{}{footers}", human::plural(r.sections as u64, "section")))?;
    if let Some(ram) = image.ram() {
        let pages = ram.counts().pages();
        let again: u64 = (0..ram.blocks().len()).map(|i| stats.sent_again(i)).sum();
        let blocks = human::plural(ram.blocks().len() as u64, "RAM block");
        let again = if again == 0 { String::new() } else { format!(", {} of them sent again", human::count(again)) };
        line(true, &format!("{} in {blocks}{again}", human::plural(pages, "page record")))?;
    }
    line(walk.eof.is_some(), "end of the records")?;
    match &walk.description {
        Some(d) => line(true, &format!("description of {}", human::plural(d.schema.devices.len() as u64, "device")))?,
        None if image.schema().is_some() => line(true, "no description in the stream; the external schema is used")?,
        None => line(true, "no description, so device sections are not decoded")?,
    }
    let sections = human::plural(r.device_sections as u64, "device section");
    let covered = if image.schema().is_none() {
        format!("{} in {sections} kept as bytes", human::plural(r.device_bytes, "byte"))
    } else {
        let (covered, all) = (human::count(r.covered_device_bytes), human::plural(r.device_bytes, "byte"));
        format!("{covered} of {all} in {sections} covered by {}", human::plural(r.values, "value"))
    };
    line(r.undecoded.is_empty(), &covered)?;
    let trailing = walk.trailing.map_or(0, |t| t.len());
    let bytes = image.size().minus(trailing);
    line(
        walk.gaps.is_empty() && walk.accounted == bytes,
        &format!("{} of {} of the stream accounted for", human::count(walk.accounted), human::plural(bytes, "byte")),
    )?;
    if trailing > 0 {
        writeln!(out, "     {} after the stream do not belong to it", human::plural(trailing, "byte"))?;
    }
    for q in &r.quirks {
        writeln!(
            out,
            "     {} ({}): QEMU wrote a wrong description ({}); the bytes were decoded instead",
            q.section, q.instance_id, q.quirk
        )?;
    }
    for g in &walk.gaps {
        writeln!(out, "{} {} bytes at {}: {}", mark(false), g.range.len(), g.range.start, g.why)?;
    }
    for u in &r.undecoded {
        writeln!(
            out,
            "{} {} ({}): {} bytes at {} in {}: {}",
            mark(false),
            u.section,
            u.instance_id,
            u.range.len(),
            u.range.start,
            u.within,
            u.why
        )?;
    }
    let said = |m: &str| walk.gaps.iter().any(|g| g.why == m);
    for d in r.findings.list().iter().filter(|d| d.level != Level::Note && !said(&d.message)) {
        let mark = if d.level == Level::Error { mark(false) } else { style::paint(Role::Name, "warn") };
        writeln!(out, "{mark} {}", open::described(d))?;
    }
    let last = match (&r.failed, r.sound) {
        (Some(_), _) => style::paint(Role::Problem, "no verdict"),
        (None, true) => style::paint(Role::Good, "sound"),
        (None, false) => style::paint(Role::Problem, "not sound"),
    };
    writeln!(out, "{last}")?;
    Ok(())
}
