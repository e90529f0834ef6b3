//! Guest memory as JSON: `read --json`. Schema: `schemas/output/read.schema.json`.

use serde::Serialize;

use super::hex::Hex;
use super::state_json::{FindingJson, SCHEMA_VERSION};
use crate::inspect::Piece;
use crate::offset::Gpa;
use crate::paging::{AddressSpace, Meaning, Walk};
use crate::text::Name;

/// The document of `read --json`.
#[derive(Serialize)]
pub struct ReadDocument<'a> {
    schema_version: u32,
    machine: Option<&'a Name>,
    address: String,
    length: u64,
    /// How the address is translated; absent for a guest-physical one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translation: Option<TranslationJson<'a>>,
    /// The content.
    pub pieces: Vec<PieceJson>,
    /// Whether nothing is missing.
    pub complete: bool,
    /// What was found on the way.
    pub diagnostics: Vec<FindingJson>,
}

impl<'a> ReadDocument<'a> {
    /// Creates a document without content.
    #[must_use]
    pub fn new(machine: Option<&'a Name>, address: u64, length: u64) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            machine,
            address: address_text(address),
            length,
            translation: None,
            pieces: Vec::new(),
            complete: true,
            diagnostics: Vec::new(),
        }
    }
}

/// How a virtual address is translated.
#[derive(Serialize)]
pub struct TranslationJson<'a> {
    cpu: u32,
    mode: &'a str,
    roots: Vec<RootJson>,
    steps: Vec<StepJson>,
    physical: Option<String>,
    page_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct RootJson {
    register: &'static str,
    address: String,
}

#[derive(Serialize)]
struct StepJson {
    level: &'static str,
    entry_at: String,
    entry: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl<'a> TranslationJson<'a> {
    /// Creates the description of a walk.
    #[must_use]
    pub fn new(space: &'a AddressSpace, cpu: u32, walk: &Walk) -> Self {
        let found = walk.outcome.as_ref().ok();
        Self {
            cpu,
            mode: space.name(),
            roots: space.roots().map(|(register, at)| RootJson { register, address: at.to_string() }).collect(),
            steps: walk
                .steps
                .iter()
                .map(|s| {
                    let (kind, address, reason) = match s.meaning {
                        Meaning::Table(at) => ("table", Some(at), None),
                        Meaning::Page(at, _) => ("page", Some(at), None),
                        Meaning::Absent(why) => ("absent", None, Some(why)),
                    };
                    StepJson {
                        level: s.level,
                        entry_at: s.at.to_string(),
                        entry: address_text(s.value),
                        kind,
                        address: address.map(|a| a.to_string()),
                        reason,
                    }
                })
                .collect(),
            physical: found.map(|t| t.address.to_string()),
            page_bytes: found.and_then(|t| t.page),
            problem: walk.outcome.as_ref().err().map(ToString::to_string),
        }
    }
}

/// Memory that is contiguous in guest-physical memory, or that is missing.
#[derive(Serialize)]
pub struct PieceJson {
    address: String,
    length: u64,
    physical: Option<String>,
    bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip)]
    next: Option<Gpa>,
}

impl PieceJson {
    /// Adds a piece to others; one that continues the last one becomes a part of it.
    pub fn add(all: &mut Vec<Self>, p: &Piece) {
        let bytes = p.content.as_ref().ok().map(|b| Hex::new(b).to_string());
        let problem = p.content.as_ref().err().map(ToString::to_string);
        if let Some(last) = all.last_mut()
            && let (Some(have), Some(more)) = (&mut last.bytes, &bytes)
            && last.next == p.phys
        {
            have.push_str(more);
            last.length += p.bytes;
            last.next = p.phys.map(|a| a.plus(p.bytes));
            return;
        }
        all.push(Self {
            address: address_text(p.at),
            length: p.bytes,
            physical: p.phys.map(|a| a.to_string()),
            bytes,
            problem,
            next: p.phys.map(|a| a.plus(p.bytes)),
        });
    }
}

fn address_text(n: u64) -> String {
    format!("{n:#018x}")
}
