//! The overview of a saved state for machines: `info --json`. Schema: `schemas/output/info.schema.json`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::state_json::{FindingJson, RangeJson, SCHEMA_VERSION, hex};
use super::wrapper::ContainerJson;
use crate::image::SaveImage;
use crate::inspect::{Extent, Overview};
use crate::machine::Region;
use crate::ram::{PageStats, RamBlock};
use crate::stream::{CommandRecord, EndFound, FactValue, Section};
use crate::text::Name;

/// The document of `info --json`.
#[derive(Serialize)]
pub struct InfoDocument<'a> {
    schema_version: u32,
    container: ContainerJson,
    overview: OverviewJson<'a>,
    stream: StreamJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<ConfigurationJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<DescriptionJson>,
    commands: Vec<CommandJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ram: Option<RamJson<'a>>,
    sections: Vec<SectionJson<'a>>,
    complete: bool,
    diagnostics: Vec<FindingJson>,
}

/// What people ask for first.
#[derive(Serialize)]
struct OverviewJson<'a> {
    name: Option<&'a Name>,
    machine: Option<&'a Name>,
    memory_bytes: Option<u64>,
    cpus: usize,
    architecture: Option<&'static str>,
    run_state: Option<&'a Name>,
    guest_time: Option<&'a str>,
    complete: bool,
    /// Of a stream that ends in guest memory: the part of it that was received.
    memory_received_percent: Option<u64>,
}

impl<'a> From<&'a Overview> for OverviewJson<'a> {
    fn from(v: &'a Overview) -> Self {
        Self {
            name: v.name.as_ref(),
            machine: v.machine.as_ref(),
            memory_bytes: v.ram,
            cpus: v.cpus,
            architecture: v.architecture,
            run_state: v.run_state.as_ref(),
            guest_time: v.guest_time.as_deref(),
            complete: v.extent == Extent::Complete,
            memory_received_percent: match v.extent {
                Extent::CutInMemory(percent) => Some(percent),
                Extent::Complete | Extent::CutInDevices => None,
            },
        }
    }
}

#[derive(Serialize)]
struct StreamJson {
    version: u32,
    bytes: u64,
    accounted_bytes: u64,
    footers: Option<bool>,
    trailing_bytes: u64,
}

#[derive(Serialize)]
struct ConfigurationJson<'a> {
    machine: &'a Name,
    target_page_bits: Option<u32>,
    capabilities: &'a [Name],
    uuid: Option<String>,
}

#[derive(Serialize)]
struct DescriptionJson {
    offset: String,
    bytes: u64,
    devices: usize,
    page_size: Option<u64>,
}

#[derive(Serialize)]
struct CommandJson {
    command: String,
    number: u16,
    offset: String,
    payload: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<RangeJson>,
}

#[derive(Serialize)]
struct SectionJson<'a> {
    name: &'a Name,
    instance_id: u32,
    version_id: u32,
    section_id: u32,
    kind: String,
    offset: String,
    parts: u64,
    bytes: u64,
    payload_bytes: u64,
    vmsd: Option<&'a Name>,
    end_found_by: &'static str,
    ended: bool,
    facts: BTreeMap<&'a str, FactJson<'a>>,
}

/// What a reader of a live section found out.
#[derive(Serialize)]
#[serde(untagged)]
enum FactJson<'a> {
    Number(u64),
    Text(&'a Name),
    List(&'a [Name]),
}

impl<'a> From<&'a FactValue> for FactJson<'a> {
    fn from(v: &'a FactValue) -> Self {
        match v {
            FactValue::Count(n) | FactValue::Bytes(n) => Self::Number(*n),
            FactValue::Text(t) => Self::Text(t),
            FactValue::List(l) => Self::List(l),
        }
    }
}

#[derive(Serialize)]
struct RamJson<'a> {
    target_page_bytes: u64,
    multifd_flushes: u64,
    blocks: Vec<BlockJson<'a>>,
    /// The map of memory; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Vec<RegionJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unplaced: Option<Vec<UnplacedJson<'a>>>,
}

#[derive(Serialize)]
struct BlockJson<'a> {
    name: &'a Name,
    bytes: u64,
    host_page_bytes: Option<u64>,
    region_address: Option<String>,
    mapped: Option<MappedJson>,
    absent: bool,
    records: RecordsJson,
    distinct_pages: u64,
    sent_again: u64,
}

#[derive(Serialize)]
struct MappedJson {
    bitmap_offset: String,
    pages_offset: String,
}

#[derive(Serialize)]
struct RecordsJson {
    zero: u64,
    filled: u64,
    normal: u64,
    xbzrle: u64,
    compressed: u64,
    mapped: u64,
}

/// A piece of guest-physical memory.
#[derive(Serialize)]
struct RegionJson<'a> {
    address: String,
    bytes: u64,
    block: &'a Name,
    block_offset: String,
    source: &'static str,
}

#[derive(Serialize)]
struct UnplacedJson<'a> {
    block: &'a Name,
    why: &'static str,
}

impl<'a> InfoDocument<'a> {
    /// Gathers the document.
    #[must_use]
    pub fn new(image: &'a SaveImage, stats: &PageStats, overview: &'a Overview) -> Self {
        let w = image.walk();
        let mut diagnostics: Vec<FindingJson> = w.found.list().iter().map(FindingJson::from).collect();
        diagnostics.extend(w.stopped.iter().map(FindingJson::from));
        Self {
            schema_version: SCHEMA_VERSION,
            container: ContainerJson::from(image.container()),
            overview: overview.into(),
            stream: StreamJson {
                version: crate::stream::VERSION,
                bytes: image.size(),
                accounted_bytes: w.accounted,
                footers: w.footers,
                trailing_bytes: w.trailing.map_or(0, |t| t.len()),
            },
            configuration: w.configuration.as_ref().map(|c| ConfigurationJson {
                machine: &c.machine,
                target_page_bits: c.target_page_bits,
                capabilities: &c.capabilities,
                uuid: c.uuid_text(),
            }),
            description: w.description.as_ref().map(|d| DescriptionJson {
                offset: d.record.start.to_string(),
                bytes: d.record.len(),
                devices: d.schema.devices.len(),
                page_size: d.schema.page_size,
            }),
            commands: w.commands.iter().map(command).collect(),
            ram: ram(image, stats),
            sections: w.sections.iter().map(|s| section(image, s)).collect(),
            complete: w.stopped.is_none() && !w.found.has_errors(),
            diagnostics,
        }
    }
}

fn command(c: &CommandRecord) -> CommandJson {
    CommandJson {
        command: c.command.to_string(),
        number: c.command.0,
        offset: c.range.start.to_string(),
        payload: hex(&c.payload),
        package: c.package.map(RangeJson::from),
    }
}

fn section<'a>(image: &'a SaveImage, s: &'a Section) -> SectionJson<'a> {
    SectionJson {
        name: &s.header.idstr,
        instance_id: s.header.instance_id,
        version_id: s.header.version_id,
        section_id: s.header.section_id,
        kind: s.header.kind.to_string(),
        offset: s.header.range.start.to_string(),
        parts: s.parts,
        bytes: s.bytes,
        payload_bytes: s.payload.len(),
        vmsd: image.device_schema(s).map(|d| &d.vmsd.name),
        end_found_by: end_found(s.end),
        ended: s.ended,
        facts: image.facts(s).iter().map(|f| (f.name, FactJson::from(&f.value))).collect(),
    }
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

fn ram<'a>(image: &'a SaveImage, stats: &PageStats) -> Option<RamJson<'a>> {
    let ram = image.ram()?;
    let blocks = ram.blocks().iter().enumerate().map(|(i, b)| {
        let c = stats.counts(i);
        BlockJson {
            name: &b.name,
            bytes: b.len,
            host_page_bytes: b.page_size,
            region_address: b.region_address.map(|a| format!("{a:#018x}")),
            mapped: b.mapped.map(|m| MappedJson {
                bitmap_offset: m.bitmap_offset.to_string(),
                pages_offset: m.pages_offset.to_string(),
            }),
            absent: is_absent(image, stats, i, b),
            records: RecordsJson {
                zero: c.zero,
                filled: c.filled,
                normal: c.normal,
                xbzrle: c.xbzrle,
                compressed: c.compressed,
                mapped: c.mapped,
            },
            distinct_pages: stats.distinct(i),
            sent_again: stats.sent_again(i),
        }
    });
    let layout = crate::machine::layout(image.machine(), ram.blocks(), &image.map_facts()).ok();
    let name = |i: usize| ram.blocks().get(i).map_or(Name::empty(), |b| &b.name);
    let map = layout.as_ref().map(|l| {
        let region = |r: &Region| RegionJson {
            address: format!("{:#018x}", r.gpa.0),
            bytes: r.bytes,
            block: name(r.block),
            block_offset: r.block_offset.to_string(),
            source: r.why,
        };
        l.regions.iter().map(region).collect()
    });
    let unplaced = layout.map(|l| l.unplaced.iter().map(|(i, why)| UnplacedJson { block: name(*i), why }).collect());
    Some(RamJson {
        target_page_bytes: ram.context().target_page,
        multifd_flushes: ram.counts().multifd_flushes,
        blocks: blocks.collect(),
        map,
        unplaced,
    })
}

/// Returns whether `x-ignore-shared` left a block out: it has no pages in the file, or not a single record.
pub(super) fn is_absent(image: &SaveImage, stats: &PageStats, index: usize, b: &RamBlock) -> bool {
    let ignored = || image.ram().is_some_and(|r| r.context().ignore_shared) && stats.distinct(index) == 0;
    b.mapped.map_or_else(ignored, |m| m.is_absent())
}
