//! The overview of a saved state for people: `info`.

use std::io::{self, Write};

use super::human::{count, exact_size, plural, size};
use super::info_json::is_absent;
use super::state_json::hex;
use super::table::Table;
use super::tree::{Paint, Role};
use super::wrapper;
use crate::image::SaveImage;
use crate::inspect::{Extent, Overview};
use crate::names::RecordType;
use crate::ram::{MappedRam, PageCounts, PageStats, RamBlock};
use crate::stream::{EndFound, Fact, FactValue, Section};
use crate::text::{Name, list};

/// How the overview is printed.
#[derive(Clone, Copy)]
pub struct InfoOptions<'p> {
    /// Columns that a line may take.
    pub width: usize,
    /// Whether to print the map of memory, the commands and every section too.
    pub verbose: bool,
    /// The size of the file in bytes, where it is one.
    pub file_bytes: Option<u64>,
    /// How to ask for all of it, in words.
    pub more: &'p str,
    /// The colours.
    pub paint: Paint<'p>,
}

/// Prints the overview: first what is asked first, then the RAM blocks, and if all is asked for, memory, commands and sections.
///
/// # Errors
/// Those of the writer.
pub fn tables(
    out: &mut dyn Write,
    image: &SaveImage,
    stats: &PageStats,
    overview: &Overview,
    o: &InfoOptions<'_>,
) -> io::Result<()> {
    head(out, image, overview, o)?;
    snapshots(out, image, o)?;
    blocks(out, image, stats, o)?;
    if !o.verbose {
        return count_of_sections(out, image, o);
    }
    map(out, image, o)?;
    commands(out, image, o)?;
    sections(out, image, o)?;
    lists(out, image, o.paint)
}

fn head(out: &mut dyn Write, image: &SaveImage, v: &Overview, o: &InfoOptions<'_>) -> io::Result<()> {
    let w = image.walk();
    let mut rows: Vec<(&str, String)> = vec![("file", file(image, o))];
    rows.extend(v.name.iter().map(|n| ("name", n.to_string())));
    rows.extend(wrapper::rows(image.container()));
    if let Some(c) = &w.configuration {
        rows.push(("machine", c.machine.to_string()));
    } else if image.ram().is_none() {
        rows.push(("machine", "not recorded: device state only, as xen-save-devices-state writes it".to_owned()));
    } else {
        rows.push(("machine", "not recorded (machine types before 2.4)".to_owned()));
    }
    let blocks = image.ram_blocks();
    match v.ram {
        Some(n) => rows.push(("memory", size(n))),
        None if blocks.is_empty() => {}
        None => {
            let all = blocks.iter().map(|b| b.len).sum::<u64>();
            rows.push(("memory", format!("{} in {}", size(all), plural(blocks.len() as u64, "RAM block"))));
        }
    }
    if v.cpus > 0 {
        rows.push(("CPUs", v.architecture.map_or_else(|| v.cpus.to_string(), |a| format!("{} {a}", v.cpus))));
    }
    rows.extend(v.run_state.iter().map(|s| ("run state", s.to_string())));
    rows.extend(v.guest_time.iter().map(|t| ("guest time", format!("{t} (guest's clock)"))));
    rows.push((
        "stream",
        match v.extent {
            Extent::Complete => "complete".to_owned(),
            Extent::CutInMemory(percent) => format!("cut: {percent} % of memory received"),
            Extent::CutInDevices => "cut: memory received, device state is missing".to_owned(),
        },
    ));
    if let Some(t) = w.trailing {
        rows.push(("after stream", plural(t.len(), "byte")));
    }
    if o.verbose {
        details(image, &mut rows);
    }
    let width = rows.iter().map(|(k, _)| k.len()).max().unwrap_or(0);
    let indent = width + 2;
    for (k, v) in rows {
        let text = super::table::wrapped(&v, o.width.saturating_sub(indent)).join(&format!("\n{}", " ".repeat(indent)));
        writeln!(out, "{}{}  {text}", (o.paint)(Role::Name, k), " ".repeat(width - k.len()))?;
    }
    Ok(())
}

/// Returns what the file is, with its size, and that of the stream if it differs.
fn file(image: &SaveImage, o: &InfoOptions<'_>) -> String {
    let (name, stream) = (image.container().name(), image.size());
    match o.file_bytes.filter(|n| *n != stream) {
        Some(n) => format!("{name}, {} ({}), stream of {} ({})", plural(n, "byte"), size(n), stream, size(stream)),
        None => format!("{name}, {}", exact_size(stream)),
    }
}

/// Adds what is of use to those who look at the stream itself.
fn details(image: &SaveImage, rows: &mut Vec<(&str, String)>) {
    let w = image.walk();
    if let Some(c) = &w.configuration {
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
            None if image.schema().is_some() => "none in the stream; read with the external schema".to_owned(),
            None => "none; device sections are shown as bytes".to_owned(),
        },
    ));
    if w.footers == Some(false) {
        rows.push(("footers", "none (machine types before 2.4)".to_owned()));
    }
}

fn count_of_sections(out: &mut dyn Write, image: &SaveImage, o: &InfoOptions<'_>) -> io::Result<()> {
    let all = image.walk().sections.len() as u64;
    if all == 0 {
        return Ok(());
    }
    let devices = image.device_sections().count() as u64;
    let of = format!("{}, {} of devices{}", plural(all, "section"), devices, o.more);
    writeln!(out, "\n{of}")
}

fn table(out: &mut dyn Write, title: &str, t: Table, o: &InfoOptions<'_>) -> io::Result<()> {
    writeln!(out, "\n{}", (o.paint)(Role::Title, title))?;
    t.print(out, o.width, o.paint)
}

fn snapshots(out: &mut dyn Write, image: &SaveImage, o: &InfoOptions<'_>) -> io::Result<()> {
    let Some(q) = image.container().qcow2().filter(|q| q.snapshots.len() > 1) else { return Ok(()) };
    let mut t = Table::new(&["id", "name", "state", "date", "VM clock"], &[0, 2], 1);
    wrapper::snapshots(q).into_iter().for_each(|row| t.add(row));
    table(out, "Snapshots (* is this one)", t, o)
}

/// Prints where the blocks lie in guest-physical memory, if that is known.
fn map(out: &mut dyn Write, image: &SaveImage, o: &InfoOptions<'_>) -> io::Result<()> {
    let blocks = image.ram_blocks();
    let Ok(layout) = crate::machine::layout(image.machine(), blocks, &image.map_facts()) else { return Ok(()) };
    let mut t = Table::new(&["address", "size", "RAM block", "offset", "source"], &[0, 1, 3], 2);
    for r in &layout.regions {
        let name = blocks.get(r.block).map_or(Name::empty(), |b| &b.name);
        t.add([r.gpa.to_string(), size(r.bytes), name.to_string(), r.block_offset.to_string(), r.why.to_owned()]);
    }
    table(out, "Memory map", t, o)
}

fn commands(out: &mut dyn Write, image: &SaveImage, o: &InfoOptions<'_>) -> io::Result<()> {
    let list = &image.walk().commands;
    if list.is_empty() {
        return Ok(());
    }
    let mut t = Table::new(&["offset", "command", "payload"], &[0], 2);
    for c in list {
        let payload = match c.package {
            Some(p) => format!("package of {}", plural(p.len(), "byte")),
            None if c.payload.len() > 16 => format!("{}… ({} bytes)", hex(&c.payload[..16]), c.payload.len()),
            None => hex(&c.payload),
        };
        t.add([c.range.start.to_string(), c.command.to_string(), payload]);
    }
    table(out, "Commands", t, o)
}

fn sections(out: &mut dyn Write, image: &SaveImage, o: &InfoOptions<'_>) -> io::Result<()> {
    let mut t = Table::new(&["offset", "id", "section", "inst", "ver", "kind", "bytes", "notes"], &[0, 1, 3, 4, 6], 2);
    for s in &image.walk().sections {
        let h = &s.header;
        let kind = match (h.kind, s.parts) {
            (RecordType::FULL, _) => "device".to_owned(),
            (_, n) => format!("live, {}", plural(n, "part")),
        };
        t.add([
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
    table(out, "Sections", t, o)
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

/// A column of the memory table, left out if it is empty for all blocks.
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

fn blocks(out: &mut dyn Write, image: &SaveImage, stats: &PageStats, o: &InfoOptions<'_>) -> io::Result<()> {
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
    let heads: Vec<&str> = columns.iter().map(|c| c.head).collect();
    let right: Vec<usize> = (1..columns.len()).filter(|i| !columns[*i].head.is_empty()).collect();
    let mut t = Table::new(&heads, &right, 0);
    for r in &rows {
        t.add(columns.iter().map(|c| (c.cell)(r)));
    }
    table(out, "Memory (pages by encoding)", t, o)
}
