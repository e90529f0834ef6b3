//! Processes as JSON: `linux ps --json`. Schema: `schemas/output/linux-ps.schema.json`.

use serde::Serialize;

use super::head_json::Head;
use crate::os::linux::tasks::Task;
use crate::text::Name;

/// The document of `linux ps --json`.
#[derive(Serialize)]
pub struct PsDocument<'a> {
    #[serde(flatten)]
    head: Head,
    tasks: Vec<TaskJson<'a>>,
}

impl<'a> PsDocument<'a> {
    /// Describes tasks.
    #[must_use]
    pub fn new(head: Head, tasks: &'a [Task]) -> Self {
        Self { head, tasks: tasks.iter().map(TaskJson::from).collect() }
    }
}

#[derive(Serialize)]
struct TaskJson<'a> {
    address: String,
    tid: u64,
    pid: u64,
    parent: u64,
    uid: u64,
    state: char,
    cpu: u64,
    on_cpu: bool,
    kernel_thread: bool,
    name: &'a Name,
    started_ns: u64,
    user_ns: u64,
    system_ns: u64,
    resident_pages: Option<u64>,
    arguments: Option<&'a [Name]>,
}

impl<'a> From<&'a Task> for TaskJson<'a> {
    fn from(t: &'a Task) -> Self {
        Self {
            address: format!("{:#x}", t.address),
            tid: t.tid,
            pid: t.pid,
            parent: t.parent,
            uid: t.uid,
            state: t.state,
            cpu: t.cpu,
            on_cpu: t.on_cpu,
            kernel_thread: t.is_kernel,
            name: &t.comm,
            started_ns: t.started,
            user_ns: t.ran.0,
            system_ns: t.ran.1,
            resident_pages: t.resident,
            arguments: t.arguments.as_deref(),
        }
    }
}
