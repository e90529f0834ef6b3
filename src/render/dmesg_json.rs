//! The kernel log as JSON: `dmesg --json`. Schema: `schemas/output/dmesg.schema.json`.

use serde::Serialize;

use super::dmesg::{facility, level, seconds};
use super::state_json::{FindingJson, SCHEMA_VERSION};
use crate::os::linux::printk::{Caller, Record};
use crate::os::linux::vmcoreinfo::Found;
use crate::text::Name;

/// The document of `dmesg --json`.
#[derive(Serialize)]
pub struct DmesgDocument<'a> {
    schema_version: u32,
    machine: Option<&'a Name>,
    release: Name,
    vmcoreinfo: Option<FoundJson>,
    /// The records, the oldest first.
    pub records: Vec<RecordJson<'a>>,
    /// Records that were being written.
    pub unfinished: u64,
    /// Whether nothing is missing.
    pub complete: bool,
    /// What was found on the way.
    pub diagnostics: Vec<FindingJson>,
}

#[derive(Serialize)]
pub(super) struct FoundJson {
    address: String,
    found_by: &'static str,
    proved: bool,
}

impl From<&Found> for FoundJson {
    fn from(found: &Found) -> Self {
        Self { address: found.at.to_string(), found_by: found.how.name(), proved: found.proved }
    }
}

impl<'a> DmesgDocument<'a> {
    /// Creates a document without records.
    #[must_use]
    pub fn new(machine: Option<&'a Name>, found: Option<&Found>, release: Option<Name>) -> Self {
        let vmcoreinfo = found.map(FoundJson::from);
        Self {
            schema_version: SCHEMA_VERSION,
            machine,
            release: found.map(|f| f.info.release()).or(release).unwrap_or_default(),
            vmcoreinfo,
            records: Vec::new(),
            unfinished: 0,
            complete: true,
            diagnostics: Vec::new(),
        }
    }
}

/// A record.
#[derive(Serialize)]
pub struct RecordJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    time: String,
    level: u8,
    level_name: &'static str,
    facility: u8,
    facility_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    text: &'a Name,
}

impl<'a> From<&'a Record> for RecordJson<'a> {
    fn from(r: &'a Record) -> Self {
        Self {
            seq: r.seq,
            time: seconds(r.nsec, 9),
            level: r.level,
            level_name: level(r.level),
            facility: r.facility,
            facility_name: facility(r.facility),
            caller: r.caller.map(|c| match c {
                Caller::Thread(n) => format!("T{n}"),
                Caller::Cpu(n) => format!("C{n}"),
            }),
            text: &r.text,
        }
    }
}
