//! What a wrapper holds in addition to the stream: the rows of `info` and their JSON.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

#[cfg(feature = "cli")]
use super::human::{exact_size, size};
#[cfg(feature = "cli")]
use crate::container::Qcow2Image;
use crate::container::{Container, LibvirtImage, Snapshot};
use crate::text::Name;

/// The wrappers as JSON.
#[derive(Serialize)]
pub(super) struct ContainerJson {
    kind: String,
    layers: Vec<String>,
    stream_offset: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    libvirt: Option<LibvirtJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qcow2: Option<Qcow2Json>,
}

#[derive(Serialize)]
struct LibvirtJson {
    complete: bool,
    version: u32,
    byte_order: &'static str,
    was_running: bool,
    format: &'static str,
    name: Option<Name>,
    uuid: Option<Name>,
    xml_bytes: u64,
    has_cookie: bool,
}

#[derive(Serialize)]
struct Qcow2Json {
    version: u32,
    cluster_bytes: u64,
    snapshots: Vec<SnapshotJson>,
}

#[derive(Serialize)]
struct SnapshotJson {
    id: Name,
    name: Name,
    chosen: bool,
    vm_state_bytes: u64,
    date: String,
    vm_clock_seconds: f64,
}

impl From<&Container> for ContainerJson {
    fn from(c: &Container) -> Self {
        Self {
            kind: c.name(),
            layers: c.layers.iter().map(crate::container::Layer::name).collect(),
            stream_offset: c.stream_start.to_string(),
            libvirt: c.libvirt().map(|i| LibvirtJson {
                complete: i.complete,
                version: i.version,
                byte_order: byte_order(i),
                was_running: i.was_running,
                format: i.format_name(),
                name: i.domain_text("name"),
                uuid: i.domain_text("uuid"),
                xml_bytes: i.xml.len() as u64,
                has_cookie: i.cookie.is_some(),
            }),
            qcow2: c.qcow2().map(|q| Qcow2Json {
                version: q.version,
                cluster_bytes: q.cluster_bytes,
                snapshots: q
                    .snapshots
                    .iter()
                    .enumerate()
                    .map(|(i, s)| SnapshotJson {
                        id: s.id.clone(),
                        name: s.name.clone(),
                        chosen: i == q.chosen,
                        vm_state_bytes: s.vm_state_bytes,
                        date: date(s),
                        vm_clock_seconds: Duration::from_nanos(s.vm_clock_nsec).as_secs_f64(),
                    })
                    .collect(),
            }),
        }
    }
}

const fn byte_order(i: &LibvirtImage) -> &'static str {
    if i.big_endian { "big" } else { "little" }
}

fn date(s: &Snapshot) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(s.date_sec.into())).to_string()
}

/// Returns the rows of the overview that are about the wrapper.
#[cfg(feature = "cli")]
pub(super) fn rows(c: &Container) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    if let Some(i) = c.libvirt() {
        out.extend(i.domain_text("uuid").map(|u| ("UUID", u.to_string())));
        let state = if i.was_running { "running" } else { "paused" };
        out.push(("on restore", state.to_owned()));
        if i.big_endian {
            out.push(("written on", "a big-endian host".to_owned()));
        }
    }
    if let Some(q) = c.qcow2() {
        out.push(("qcow2", format!("version {}, clusters of {}", q.version, size(q.cluster_bytes))));
        if let Some(s) = q.snapshots.get(q.chosen) {
            out.push(("snapshot", format!("{} (id {}), {}", s.name, s.id, date(s))));
        }
    }
    out
}

/// Returns the rows of a table of snapshots, without its head.
#[cfg(feature = "cli")]
pub(super) fn snapshots(q: &Qcow2Image) -> Vec<[String; 5]> {
    let clock = |s: &Snapshot| {
        let t = Duration::from_nanos(s.vm_clock_nsec);
        let secs = t.as_secs();
        format!("{:02}:{:02}:{:02}.{:03}", secs / 3600, secs / 60 % 60, secs % 60, t.subsec_millis())
    };
    let row = |(i, s): (usize, &Snapshot)| {
        let mark = if i == q.chosen { " *" } else { "" };
        let state = if s.vm_state_bytes == 0 { "disk only".to_owned() } else { exact_size(s.vm_state_bytes) };
        [s.id.to_string(), format!("{}{mark}", s.name), state, date(s), clock(s)]
    };
    q.snapshots.iter().enumerate().map(row).collect()
}
