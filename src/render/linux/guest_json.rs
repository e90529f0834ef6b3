//! The summary of a guest as JSON: `info --guest --json`. Schema: `schemas/output/info-guest.schema.json`.

use serde::Serialize;

use super::super::state_json::{FindingJson, SCHEMA_VERSION};
use super::guest::{hundredths, time};
use crate::image::SaveImage;
use crate::os::linux::Summary;
use crate::text::Name;

/// The document of `info --guest --json`.
#[derive(Serialize)]
pub struct GuestDocument<'a> {
    schema_version: u32,
    machine: Option<&'a Name>,
    system: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    linux: Option<LinuxJson<'a>>,
    found: &'a [String],
    /// What could not be found, with the reasons.
    missing: &'a [String],
    complete: bool,
    diagnostics: Vec<FindingJson>,
}

#[derive(Serialize)]
struct LinuxJson<'a> {
    release: &'a Name,
    version: &'a Name,
    architecture: &'a Name,
    host_name: &'a Name,
    uptime_seconds: Option<u64>,
    time: Option<String>,
    load: Option<[String; 3]>,
    command_line: Option<&'a Name>,
    processors: Option<u64>,
    processes: usize,
    threads: usize,
    running: usize,
    waiting: usize,
}

impl<'a> GuestDocument<'a> {
    /// Describes a Linux guest.
    #[must_use]
    pub fn linux(image: &'a SaveImage, s: &'a Summary, found: &'a [String], problems: &'a [String]) -> Self {
        let linux = LinuxJson {
            release: &s.release,
            version: &s.version,
            architecture: &s.machine,
            host_name: &s.host,
            uptime_seconds: s.uptime,
            time: s.time.map(time),
            load: s.load.map(|l| l.map(hundredths)),
            command_line: s.command_line.as_ref(),
            processors: s.processors,
            processes: s.processes,
            threads: s.threads,
            running: s.running,
            waiting: s.waiting,
        };
        let head = Self::other(image, "Linux".into());
        Self { linux: Some(linux), found, missing: problems, complete: head.complete && problems.is_empty(), ..head }
    }

    /// Describes another guest.
    #[must_use]
    pub fn other(image: &'a SaveImage, system: Name) -> Self {
        let walk = image.walk();
        let mut diagnostics: Vec<FindingJson> = walk.found.list().iter().map(FindingJson::from).collect();
        diagnostics.extend(walk.stopped.iter().map(FindingJson::from));
        Self {
            schema_version: SCHEMA_VERSION,
            machine: image.machine(),
            system,
            linux: None,
            found: &[],
            missing: &[],
            complete: walk.stopped.is_none(),
            diagnostics,
        }
    }
}
