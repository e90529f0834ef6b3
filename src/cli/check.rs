//! `check`: every rule, every byte.

use std::io::Write;

use serde::Serialize;

use super::args::CheckArgs;
use super::exit::{Failure, Outcome};
use super::{open, style};
use crate::diag::Severity;
use crate::image::SaveImage;
use crate::ram::PageStats;
use crate::render;
use crate::render::human;
use crate::render::state_json::{FindingJson, RangeJson, SCHEMA_VERSION};
use crate::render::tree::Role;
use crate::stream::EndFound;
use crate::value::{Node, Value, uncovered};

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
    section: String,
    instance_id: u32,
    within: String,
    #[serde(flatten)]
    range: RangeJson,
    why: String,
}

#[derive(Serialize)]
struct Quirk {
    section: String,
    instance_id: u32,
    quirk: &'static str,
}

/// Runs `check`.
pub fn run(a: &CheckArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let (image, stats) = open::whole(&a.input.file, &a.input.how)?;
    let report = examine(&image)?;
    if a.json {
        render::pretty(&mut *out, &report)?;
    } else {
        print(&report, &image, &stats, out)?;
    }
    Ok(if report.ok { Outcome::Complete } else { Outcome::No })
}

fn examine(image: &SaveImage) -> Result<Report, Failure> {
    let walk = image.walk();
    let trailing = walk.trailing.map_or(0, |t| t.len());
    let mut r = Report {
        schema_version: SCHEMA_VERSION,
        ok: true,
        stream_bytes: image.size() - trailing,
        accounted_bytes: walk.accounted,
        trailing_bytes: trailing,
        unaccounted: Vec::new(),
        sections: walk.sections.len(),
        device_sections: 0,
        described_sections: 0,
        device_bytes: 0,
        covered_device_bytes: 0,
        undecoded: Vec::new(),
        quirks: Vec::new(),
        diagnostics: walk.found.list().iter().map(FindingJson::from).collect(),
    };
    for g in &walk.gaps {
        r.unaccounted.push(Unaccounted { range: g.range.into(), why: g.why.clone() });
    }
    for s in image.device_sections() {
        let d = image.device(s)?;
        let (section, instance_id) = (s.header.idstr.to_string(), s.header.instance_id);
        r.device_sections += 1;
        r.device_bytes += s.payload.len();
        let mut covered = s.payload.len();
        if s.device.is_some() {
            r.described_sections += 1;
            for u in uncovered(d.root()) {
                covered = covered.saturating_sub(u.range.len());
                r.undecoded.push(Undecoded {
                    section: section.clone(),
                    instance_id,
                    within: u.within,
                    range: u.range.into(),
                    why: u.why,
                });
            }
        }
        // without a description the section is one leaf, shown as bytes: covered, though not understood
        r.covered_device_bytes += covered;
        r.diagnostics.extend(d.decoded.errors.iter().map(FindingJson::from));
        if let Some(quirk) = d.decoded.quirk {
            r.quirks.push(Quirk { section, instance_id, quirk });
        }
    }
    r.diagnostics.extend(walk.stopped.iter().map(FindingJson::from));
    let clean = !walk.found.has_errors() && walk.stopped.is_none() && walk.eof.is_some();
    let ends = walk.sections.iter().all(|s| s.end != EndFound::Nowhere);
    r.ok = clean && ends && r.unaccounted.is_empty() && r.undecoded.is_empty() && r.accounted_bytes == r.stream_bytes;
    Ok(r)
}

/// Counts the values of a tree.
fn leaves(root: &Node) -> u64 {
    let mut n = 0;
    root.walk(&mut |_, node| {
        n += u64::from(!matches!(node.value, Value::Struct(_) | Value::Array(_)));
        true
    });
    n
}

fn print(r: &Report, image: &SaveImage, stats: &PageStats, out: &mut dyn Write) -> Result<(), Failure> {
    let walk = image.walk();
    let mark = |ok: bool| if ok { style::paint(Role::Number, "ok  ") } else { style::paint(Role::Problem, "FAIL") };
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
        None if image.schema().is_some() => line(true, "no description in the stream; the one that was lent is used")?,
        None => line(true, "no description, so device sections are not decoded")?,
    }
    let sections = human::plural(r.device_sections as u64, "device section");
    let covered = if image.schema().is_none() {
        format!("{} in {sections} kept as bytes", human::plural(r.device_bytes, "byte"))
    } else {
        let values = image.device_sections().filter_map(|s| image.device(s).ok()).map(|d| leaves(d.root())).sum();
        let (covered, all) = (human::count(r.covered_device_bytes), human::plural(r.device_bytes, "byte"));
        format!("{covered} of {all} in {sections} covered by {}", human::plural(values, "value"))
    };
    line(r.undecoded.is_empty(), &covered)?;
    line(
        r.unaccounted.is_empty() && r.accounted_bytes == r.stream_bytes,
        &format!(
            "{} of {} of the stream accounted for",
            human::count(r.accounted_bytes),
            human::plural(r.stream_bytes, "byte")
        ),
    )?;
    if r.trailing_bytes > 0 {
        writeln!(out, "     {} behind the stream belong to something else", human::plural(r.trailing_bytes, "byte"))?;
    }
    for q in &r.quirks {
        writeln!(
            out,
            "     {} ({}): the description is wrong as QEMU wrote it ({}); the bytes were followed",
            q.section, q.instance_id, q.quirk
        )?;
    }
    for u in &r.unaccounted {
        writeln!(out, "{} {} bytes at {}: {}", mark(false), u.range.bytes, u.range.offset, u.why)?;
    }
    for u in &r.undecoded {
        writeln!(
            out,
            "{} {} ({}): {} bytes at {} in {}: {}",
            mark(false),
            u.section,
            u.instance_id,
            u.range.bytes,
            u.range.offset,
            u.within,
            u.why
        )?;
    }
    for d in walk.found.list().iter().filter(|d| d.severity != Severity::Note) {
        let mark = if d.severity == Severity::Error { mark(false) } else { style::paint(Role::Name, "warn") };
        writeln!(out, "{mark} {}", open::described(d))?;
    }
    if let Some(e) = walk.stopped.as_ref().filter(|e| !r.unaccounted.iter().any(|u| u.why == e.message())) {
        writeln!(out, "{} {e}", mark(false))?;
    }
    let last = if r.ok { style::paint(Role::Title, "sound") } else { style::paint(Role::Problem, "not sound") };
    writeln!(out, "{last}")?;
    Ok(())
}
