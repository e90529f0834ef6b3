//! Open files and mounts as JSON: `linux files --json`. Schema: `schemas/output/linux-files.schema.json`.

use serde::Serialize;

use super::files::{Mounts, Process};
use super::head_json::Head;
use crate::os::linux::files::Open;
use crate::os::linux::paths::Mount;
use crate::text::Name;

/// The document of `linux files --json`.
#[derive(Serialize)]
pub struct FilesDocument<'a> {
    #[serde(flatten)]
    head: Head,
    processes: Vec<ProcessJson<'a>>,
}

impl<'a> FilesDocument<'a> {
    /// Describes files.
    #[must_use]
    pub fn new(head: Head, all: &'a [Process<'a>]) -> Self {
        Self { head, processes: all.iter().map(ProcessJson::from).collect() }
    }
}

#[derive(Serialize)]
struct ProcessJson<'a> {
    pid: u64,
    name: &'a Name,
    cwd: Option<&'a Name>,
    root: Option<&'a Name>,
    exe: Option<&'a Name>,
    files: Vec<OpenJson<'a>>,
}

impl<'a> From<&'a Process<'a>> for ProcessJson<'a> {
    fn from(p: &'a Process<'a>) -> Self {
        let [cwd, root, exe] = &p.files.places;
        Self {
            pid: p.task.pid,
            name: &p.task.comm,
            cwd: cwd.as_ref(),
            root: root.as_ref(),
            exe: exe.as_ref(),
            files: p.files.open.iter().map(OpenJson::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct OpenJson<'a> {
    fd: u64,
    address: String,
    path: &'a Name,
    #[serde(rename = "type")]
    kind: &'static str,
    inode: u64,
    position: u64,
    flags: String,
    mount: u64,
}

impl<'a> From<&'a Open> for OpenJson<'a> {
    fn from(f: &'a Open) -> Self {
        Self {
            fd: f.fd,
            address: format!("{:#x}", f.file),
            path: &f.path,
            kind: f.kind,
            inode: f.inode,
            position: f.position,
            flags: format!("{:#o}", f.flags).replace("0o", "0"),
            mount: f.mount,
        }
    }
}

/// The document of `linux files --mounts --json`.
#[derive(Serialize)]
pub struct MountsDocument<'a> {
    #[serde(flatten)]
    head: Head,
    namespaces: Vec<NamespaceJson<'a>>,
}

impl<'a> MountsDocument<'a> {
    /// Describes mounts.
    #[must_use]
    pub fn new(head: Head, all: &'a [Mounts<'a>]) -> Self {
        let namespaces = all.iter().map(|m| NamespaceJson {
            inode: m.inode,
            pid: m.task.pid,
            mounts: m.list.iter().map(MountJson::from).collect(),
        });
        Self { head, namespaces: namespaces.collect() }
    }
}

#[derive(Serialize)]
struct NamespaceJson<'a> {
    inode: u64,
    pid: u64,
    mounts: Vec<MountJson<'a>>,
}

#[derive(Serialize)]
struct MountJson<'a> {
    id: u64,
    parent: u64,
    device: String,
    root: &'a Name,
    target: &'a Name,
    #[serde(rename = "type")]
    kind: &'a Name,
    source: &'a Name,
    options: &'a [&'static str],
    read_only: bool,
}

impl<'a> From<&'a Mount> for MountJson<'a> {
    fn from(m: &'a Mount) -> Self {
        Self {
            id: m.id,
            parent: m.parent,
            device: format!("{}:{}", m.device.0, m.device.1),
            root: &m.root,
            target: &m.target,
            kind: &m.kind,
            source: &m.source,
            options: &m.options,
            read_only: m.read_only,
        }
    }
}
