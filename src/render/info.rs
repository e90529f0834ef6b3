//! The overview of a saved state: `info`. Schema of the JSON: `schemas/output/info.schema.json`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use tabled::builder::Builder;
use tabled::settings::object::{Columns, Rows};
use tabled::settings::{Alignment, Modify, Padding, Style};

use super::human::{count, size};
use super::state_json::{FindingJson, RangeJson, SCHEMA_VERSION};
use super::tree::{Paint, Role};
use crate::image::SaveImage;
use crate::names::RecordType;
use crate::ram::PageStats;
use crate::stream::{CommandRecord, EndFound, Fact, FactValue, Section};

/// The document of `info --json`.
#[derive(Serialize)]
pub struct InfoDocument {
    schema_version: u32,
    container: Json,
    stream: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Json>,
    commands: Vec<Json>,
    sections: Vec<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ram: Option<Json>,
    complete: bool,
    diagnostics: Vec<FindingJson>,
}

impl InfoDocument {
    /// Gathers the document.
    #[must_use]
    pub fn new(image: &SaveImage, stats: &PageStats) -> Self {
        let w = image.walk();
        let mut diagnostics: Vec<FindingJson> = w.found.list().iter().map(FindingJson::from).collect();
        diagnostics.extend(w.stopped.iter().map(FindingJson::from));
        Self {
            schema_version: SCHEMA_VERSION,
            container: json!({
                "kind": image.container().kind.name(),
                "stream_offset": image.container().stream_start.to_string(),
            }),
            stream: json!({
                "version": crate::stream::VERSION,
                "bytes": image.size(),
                "accounted_bytes": w.accounted,
                "footers": w.footers,
                "trailing_bytes": w.trailing.map_or(0, |t| t.len()),
            }),
            configuration: w.configuration.as_ref().map(|c| {
                json!({
                    "machine": c.machine,
                    "target_page_bits": c.target_page_bits,
                    "capabilities": c.capabilities,
                    "uuid": c.uuid_text(),
                })
            }),
            description: w.description.as_ref().map(|d| {
                json!({
                    "offset": d.record.start.to_string(),
                    "bytes": d.record.len(),
                    "devices": d.schema.devices.len(),
                    "page_size": d.schema.page_size,
                })
            }),
            commands: w.commands.iter().map(command).collect(),
            sections: w.sections.iter().map(|s| section(image, s)).collect(),
            ram: image.ram().map(|_| ram(image, stats)),
            complete: w.stopped.is_none() && !w.found.has_errors(),
            diagnostics,
        }
    }
}

fn command(c: &CommandRecord) -> Json {
    let mut o = json!({
        "command": c.command.to_string(),
        "number": c.command.0,
        "offset": c.range.start.to_string(),
        "payload": super::state_json::hex(&c.payload),
    });
    if let (Some(p), Some(o)) = (c.package, o.as_object_mut()) {
        o.insert("package".to_owned(), json!(RangeJson::from(p)));
    }
    o
}

fn section(image: &SaveImage, s: &Section) -> Json {
    let mut facts = Map::new();
    for f in image.facts(s) {
        facts.insert(f.name.to_owned(), fact_json(f));
    }
    json!({
        "name": &*s.header.idstr,
        "instance_id": s.header.instance_id,
        "version_id": s.header.version_id,
        "section_id": s.header.section_id,
        "kind": s.header.kind.to_string(),
        "offset": s.header.range.start.to_string(),
        "parts": s.parts,
        "bytes": s.bytes,
        "payload_bytes": s.payload.len(),
        "vmsd": image.device_schema(s).map(|d| &*d.vmsd.name),
        "end_found_by": end_found(s.end),
        "ended": s.ended,
        "facts": facts,
    })
}

const fn end_found(e: EndFound) -> &'static str {
    match e {
        EndFound::Description => "description",
        EndFound::Reader => "reader",
        EndFound::Footer => "footer-search",
        EndFound::NextHeader => "header-search",
        EndFound::Nowhere => "nothing",
    }
}

fn fact_json(f: &Fact) -> Json {
    match &f.value {
        FactValue::Count(n) | FactValue::Bytes(n) => json!(n),
        FactValue::Text(t) => json!(t),
        FactValue::List(l) => json!(l),
    }
}

fn ram(image: &SaveImage, stats: &PageStats) -> Json {
    let Some(ram) = image.ram() else { return Json::Null };
    let absent = |b: &crate::ram::RamBlock| ram.context().ignore_shared && is_absent(image, stats, b);
    let blocks: Vec<Json> = ram
        .blocks()
        .iter()
        .enumerate()
        .map(|(i, b)| {
            let c = stats.counts(i);
            json!({
                "name": b.name,
                "bytes": b.len,
                "host_page_bytes": b.page_size,
                "region_address": b.region_address.map(|a| format!("{a:#x}")),
                "mapped": b.mapped.map(|m| json!({
                    "bitmap_offset": m.bitmap_offset.to_string(),
                    "pages_offset": m.pages_offset.to_string(),
                })),
                "absent": absent(b),
                "records": { "zero": c.zero, "filled": c.filled, "normal": c.normal, "xbzrle": c.xbzrle, "compressed": c.compressed },
                "distinct_pages": stats.distinct(i),
                "sent_again": stats.sent_again(i),
            })
        })
        .collect();
    json!({
        "target_page_bytes": ram.context().target_page,
        "multifd_flushes": ram.counts().multifd_flushes,
        "blocks": blocks,
    })
}

/// With `x-ignore-shared`, a block without a single record was left out.
fn is_absent(image: &SaveImage, stats: &PageStats, b: &crate::ram::RamBlock) -> bool {
    match b.mapped {
        Some(m) => m.is_absent(),
        None => image.ram_blocks().iter().position(|x| x.name == b.name).is_some_and(|i| stats.distinct(i) == 0),
    }
}

/// Prints the overview as tables.
///
/// # Errors
/// Those of the writer.
pub fn tables(out: &mut dyn Write, image: &SaveImage, stats: &PageStats, paint: Paint<'_>) -> io::Result<()> {
    head(out, image, paint)?;
    commands(out, image, paint)?;
    sections(out, image, paint)?;
    blocks(out, image, stats, paint)
}

fn head(out: &mut dyn Write, image: &SaveImage, paint: Paint<'_>) -> io::Result<()> {
    let w = image.walk();
    let mut rows: Vec<(&str, String)> = vec![
        ("container", image.container().kind.name().to_owned()),
        ("size", format!("{} ({})", count(image.size()), size(image.size()))),
    ];
    if let Some(c) = &w.configuration {
        rows.push(("machine", c.machine.clone()));
        if !c.capabilities.is_empty() {
            rows.push(("capabilities", c.capabilities.join(", ")));
        }
        rows.extend(c.uuid_text().map(|u| ("UUID", u)));
    }
    if let Some(r) = image.ram() {
        rows.push(("target page", size(r.context().target_page)));
    }
    rows.push((
        "description",
        match &w.description {
            Some(d) => format!("{} devices, {}", d.schema.devices.len(), size(d.record.len())),
            None => "none".to_owned(),
        },
    ));
    if w.footers == Some(false) {
        rows.push(("footers", "none (machine types before 2.4)".to_owned()));
    }
    if let Some(t) = w.trailing {
        rows.push(("behind the stream", format!("{} bytes", count(t.len()))));
    }
    let width = rows.iter().map(|(k, _)| k.len()).max().unwrap_or(0);
    for (k, v) in rows {
        writeln!(out, "{}{}  {v}", paint(Role::Name, k), " ".repeat(width - k.len()))?;
    }
    Ok(())
}

fn table(out: &mut dyn Write, title: &str, b: Builder, right: &[usize], paint: Paint<'_>) -> io::Result<()> {
    let mut t = b.build();
    t.with(Style::blank()).with(Padding::new(0, 1, 0, 0));
    for c in right {
        t.with(Modify::new(Columns::one(*c)).with(Alignment::right()));
    }
    t.with(Modify::new(Rows::first()).with(tabled::settings::Format::content(|s| paint(Role::Dim, s))));
    writeln!(out, "\n{}", paint(Role::Title, title))?;
    for line in t.to_string().lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn commands(out: &mut dyn Write, image: &SaveImage, paint: Paint<'_>) -> io::Result<()> {
    let list = &image.walk().commands;
    if list.is_empty() {
        return Ok(());
    }
    let mut b = Builder::default();
    b.push_record(["offset", "command", "payload"]);
    for c in list {
        let payload = match c.package {
            Some(p) => format!("package of {} bytes", count(p.len())),
            None => super::state_json::hex(&c.payload[..c.payload.len().min(16)]),
        };
        b.push_record([c.range.start.to_string(), c.command.to_string(), payload]);
    }
    table(out, "Commands", b, &[0], paint)
}

fn sections(out: &mut dyn Write, image: &SaveImage, paint: Paint<'_>) -> io::Result<()> {
    let mut b = Builder::default();
    b.push_record(["offset", "id", "section", "inst", "ver", "kind", "bytes", "about"]);
    for s in &image.walk().sections {
        let h = &s.header;
        let kind = match (h.kind, s.parts) {
            (RecordType::FULL, _) => "full".to_owned(),
            (_, n) => format!("live × {n}"),
        };
        b.push_record([
            h.range.start.to_string(),
            h.section_id.to_string(),
            h.idstr.to_string(),
            if h.instance_id == 0 { String::new() } else { h.instance_id.to_string() },
            h.version_id.to_string(),
            kind,
            count(s.bytes),
            about(image, s),
        ]);
    }
    table(out, "Sections", b, &[0, 1, 3, 4, 6], paint)
}

fn about(image: &SaveImage, s: &Section) -> String {
    let mut words = Vec::new();
    if let Some(d) = image.device_schema(s) {
        let n = d.vmsd.subsections.len();
        if n > 0 {
            words.push(format!("{n} subsection{}", if n == 1 { "" } else { "s" }));
        }
        if !s.header.idstr.ends_with(&*d.vmsd.name) {
            words.push(format!("vmsd {}", d.vmsd.name));
        }
    } else if s.header.kind == RecordType::FULL {
        words.push("not described".to_owned());
    }
    words.extend(image.facts(s).iter().filter_map(fact_text));
    match s.end {
        EndFound::Footer => words.push("end found by its footer".to_owned()),
        EndFound::NextHeader => words.push("end guessed".to_owned()),
        EndFound::Nowhere => words.push("CUT".to_owned()),
        EndFound::Description | EndFound::Reader => {}
    }
    words.join(", ")
}

fn fact_text(f: &Fact) -> Option<String> {
    let name = f.name.replace('_', " ");
    match &f.value {
        FactValue::Count(0) | FactValue::Bytes(0) => None,
        FactValue::Count(n) => Some(format!("{} {name}", count(*n))),
        FactValue::Bytes(n) => Some(format!("{} {name}", size(*n))),
        FactValue::Text(t) => Some(format!("{name} {t}")),
        FactValue::List(l) if l.is_empty() => None,
        FactValue::List(l) => Some(format!("{name} {}", l.join("; "))),
    }
}

fn blocks(out: &mut dyn Write, image: &SaveImage, stats: &PageStats, paint: Paint<'_>) -> io::Result<()> {
    let Some(ram) = image.ram().filter(|r| !r.blocks().is_empty()) else { return Ok(()) };
    let mapped = ram.blocks().iter().any(|b| b.mapped.is_some());
    let mut b = Builder::default();
    let mut heads = vec!["RAM block", "size", "bytes"];
    if mapped {
        heads.extend(["bitmap at", "pages at"]);
    } else {
        heads.extend(["zero", "normal", "xbzrle", "zlib", "again"]);
    }
    b.push_record(heads);
    let dash = |n: u64| if n == 0 { "-".to_owned() } else { count(n) };
    for (i, block) in ram.blocks().iter().enumerate() {
        let mut row = vec![block.name.clone(), size(block.len), format!("{:#x}", block.len)];
        let c = stats.counts(i);
        match block.mapped {
            Some(m) if m.is_absent() => row.extend(["absent".to_owned(), "absent".to_owned()]),
            Some(m) => row.extend([m.bitmap_offset.to_string(), m.pages_offset.to_string()]),
            None if ram.context().ignore_shared && stats.distinct(i) == 0 => {
                row.extend(["absent".to_owned(), "-".into(), "-".into(), "-".into(), "-".into()]);
            }
            None => row.extend([
                dash(c.zero + c.filled),
                dash(c.normal),
                dash(c.xbzrle),
                dash(c.compressed),
                dash(stats.sent_again(i)),
            ]),
        }
        b.push_record(row);
    }
    table(out, "Memory (pages by encoding)", b, &[1, 2, 3, 4, 5, 6, 7], paint)
}
