//! The overview of a saved state for people: `info`.

use std::io::{self, Write};

use tabled::builder::Builder;
use tabled::settings::object::{Columns, Rows};
use tabled::settings::{Alignment, Modify, Padding, Style};

use super::human::{count, exact_size, plural, size};
use super::info_json::is_absent;
use super::state_json::hex;
use super::tree::{Paint, Role};
use super::wrapper;
use crate::image::SaveImage;
use crate::names::RecordType;
use crate::ram::{MappedRam, PageCounts, PageStats, RamBlock};
use crate::stream::{EndFound, Fact, FactValue, Section};
use crate::text::{Name, list};

/// Prints the overview as tables.
///
/// # Errors
/// Those of the writer.
pub fn tables(out: &mut dyn Write, image: &SaveImage, stats: &PageStats, paint: Paint<'_>) -> io::Result<()> {
    head(out, image, paint)?;
    snapshots(out, image, paint)?;
    blocks(out, image, stats, paint)?;
    map(out, image, paint)?;
    commands(out, image, paint)?;
    sections(out, image, paint)?;
    lists(out, image, paint)
}

fn head(out: &mut dyn Write, image: &SaveImage, paint: Paint<'_>) -> io::Result<()> {
    let w = image.walk();
    let mut rows: Vec<(&str, String)> =
        vec![("container", image.container().name()), ("size", exact_size(image.size()))];
    rows.extend(wrapper::rows(image.container()));
    if let Some(c) = &w.configuration {
        rows.push(("machine", c.machine.to_string()));
        if !c.capabilities.is_empty() {
            rows.push(("capabilities", list(&c.capabilities)));
        }
        rows.extend(c.uuid_text().map(|u| ("UUID", u)));
    }
    if let Some(r) = image.ram() {
        rows.push(("target page", size(r.context().target_page)));
    }
    rows.push((
        "description",
        match &w.description {
            Some(d) => format!("{}, {}", plural(d.schema.devices.len() as u64, "device"), size(d.record.len())),
            None if image.schema().is_some() => "none in the stream; read with the one that was lent".to_owned(),
            None => "none; device sections are shown as bytes".to_owned(),
        },
    ));
    if w.footers == Some(false) {
        rows.push(("footers", "none (machine types before 2.4)".to_owned()));
    }
    if let Some(t) = w.trailing {
        rows.push(("behind the stream", plural(t.len(), "byte")));
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

fn snapshots(out: &mut dyn Write, image: &SaveImage, paint: Paint<'_>) -> io::Result<()> {
    let Some(q) = image.container().qcow2().filter(|q| q.snapshots.len() > 1) else { return Ok(()) };
    let mut b = Builder::default();
    b.push_record(["id", "name", "state", "date", "VM clock"]);
    wrapper::snapshots(q).into_iter().for_each(|row| b.push_record(row));
    table(out, "Snapshots (* is this one)", b, &[0, 2], paint)
}

/// Prints where the blocks lie in guest-physical memory; nothing where that is not known.
fn map(out: &mut dyn Write, image: &SaveImage, paint: Paint<'_>) -> io::Result<()> {
    let blocks = image.ram_blocks();
    let Ok(layout) = crate::machine::layout(image.machine(), blocks, &image.map_facts()) else { return Ok(()) };
    let mut b = Builder::default();
    b.push_record(["address", "size", "RAM block", "offset", "says"]);
    for r in &layout.regions {
        let name = blocks.get(r.block).map_or(Name::empty(), |b| &b.name);
        b.push_record([
            r.gpa.to_string(),
            size(r.bytes),
            name.to_string(),
            r.block_offset.to_string(),
            r.why.to_owned(),
        ]);
    }
    table(out, "Memory map", b, &[0, 1, 3], paint)
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
            Some(p) => format!("package of {}", plural(p.len(), "byte")),
            None if c.payload.len() > 16 => format!("{}… ({} bytes)", hex(&c.payload[..16]), c.payload.len()),
            None => hex(&c.payload),
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
            (_, n) => format!("live, {}", plural(n, "part")),
        };
        b.push_record([
            h.range.start.to_string(),
            h.section_id.to_string(),
            h.idstr.to_string(),
            match h.instance_id {
                0 => String::new(),
                // made of an address or a flag, as those of spapr_iommu
                n @ 0x1_0000.. => format!("{n:#x}"),
                n => n.to_string(),
            },
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
            words.push(plural(n as u64, "subsection"));
        }
        if !s.header.idstr.ends_with_name(&d.vmsd.name) {
            words.push(format!("vmsd {}", d.vmsd.name));
        }
    } else if s.header.kind == RecordType::FULL && image.schema().is_some() {
        words.push("not described".to_owned());
    }
    words.extend(image.facts(s).iter().filter_map(fact_text));
    match s.end {
        // without a description every section ends so, which the head of the overview says once
        EndFound::Footer if image.schema().is_some() => words.push("end found by its footer".to_owned()),
        EndFound::Footer => {}
        EndFound::NextHeader => words.push("end guessed".to_owned()),
        EndFound::Nowhere => words.push("CUT".to_owned()),
        EndFound::Description | EndFound::Reader => {}
    }
    words.join(", ")
}

/// Returns a fact in words; lists are too long for a table and come below it.
fn fact_text(f: &Fact) -> Option<String> {
    let name = f.name.replace('_', " ");
    match &f.value {
        FactValue::Count(0) | FactValue::Bytes(0) | FactValue::List(_) => None,
        // as many as the parts
        FactValue::Count(_) if name == "payloads" => None,
        FactValue::Count(n) => Some(match name.strip_suffix(" percent") {
            Some(what) => format!("{what} {n} %"),
            None => format!("{} {name}", count(*n)),
        }),
        FactValue::Bytes(n) => Some(format!("{} {}", size(*n), name.strip_suffix(" bytes").unwrap_or(&name))),
        FactValue::Text(t) => Some(format!("{name} {t}")),
    }
}

/// Prints the lists that are known of live sections.
fn lists(out: &mut dyn Write, image: &SaveImage, paint: Paint<'_>) -> io::Result<()> {
    for s in &image.walk().sections {
        for f in image.facts(s) {
            if let FactValue::List(l) = &f.value
                && !l.is_empty()
            {
                let title = format!("{}: {}", s.header.idstr, f.name.replace('_', " "));
                writeln!(out, "\n{}", paint(Role::Title, &title))?;
                l.iter().try_for_each(|item| writeln!(out, "{item}"))?;
            }
        }
    }
    Ok(())
}

/// A column of the memory table, left out where all blocks have nothing to say in it.
struct Column {
    head: &'static str,
    always: bool,
    cell: fn(&Row<'_>) -> String,
}

/// A block with its counts.
struct Row<'a> {
    block: &'a RamBlock,
    pages: PageCounts,
    again: u64,
    absent: bool,
}

static COLUMNS: &[Column] = &[
    Column { head: "RAM block", always: true, cell: |r| r.block.name.to_string() },
    Column { head: "size", always: true, cell: |r| size(r.block.len) },
    Column { head: "bytes", always: true, cell: |r| format!("{:#x}", r.block.len) },
    Column { head: "zero", always: false, cell: |r| dash(r.pages.zero) },
    Column { head: "filled", always: false, cell: |r| dash(r.pages.filled) },
    Column { head: "normal", always: false, cell: |r| dash(r.pages.normal) },
    Column { head: "xbzrle", always: false, cell: |r| dash(r.pages.xbzrle) },
    Column { head: "zlib", always: false, cell: |r| dash(r.pages.compressed) },
    Column { head: "sent again", always: false, cell: |r| dash(r.again) },
    Column { head: "bitmap at", always: false, cell: |r| mapped(r, |m| m.bitmap_offset.to_string()) },
    Column { head: "pages at", always: false, cell: |r| mapped(r, |m| m.pages_offset.to_string()) },
    Column { head: "", always: false, cell: |r| if r.absent { "not saved".to_owned() } else { String::new() } },
];

fn dash(n: u64) -> String {
    if n == 0 { "-".to_owned() } else { count(n) }
}

fn mapped(r: &Row<'_>, what: fn(&MappedRam) -> String) -> String {
    r.block.mapped.as_ref().filter(|_| !r.absent).map_or_else(|| "-".to_owned(), what)
}

fn blocks(out: &mut dyn Write, image: &SaveImage, stats: &PageStats, paint: Paint<'_>) -> io::Result<()> {
    let rows: Vec<Row<'_>> = image
        .ram_blocks()
        .iter()
        .enumerate()
        .map(|(i, block)| Row {
            block,
            pages: stats.counts(i),
            again: stats.sent_again(i),
            absent: is_absent(image, stats, i, block),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let empty = |c: &Column| rows.iter().all(|r| matches!((c.cell)(r).as_str(), "" | "-"));
    let columns: Vec<&Column> = COLUMNS.iter().filter(|c| c.always || !empty(c)).collect();
    let mut b = Builder::default();
    b.push_record(columns.iter().map(|c| c.head));
    for r in &rows {
        b.push_record(columns.iter().map(|c| (c.cell)(r)));
    }
    let right: Vec<usize> = (1..columns.len()).filter(|i| !columns[*i].head.is_empty()).collect();
    table(out, "Memory (pages by encoding)", b, &right, paint)
}
