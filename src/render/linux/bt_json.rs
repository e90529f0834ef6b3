//! Stacks as JSON: `linux bt --json`. Schema: `schemas/output/linux-bt.schema.json`.

use serde::Serialize;

use super::bt::{Of, Trace};
use super::head_json::Head;
use crate::os::linux::stack::{End, Frame, Place};
use crate::text::Name;

/// The document of `linux bt --json`.
#[derive(Serialize)]
pub struct BtDocument<'a> {
    #[serde(flatten)]
    head: Head,
    stacks: Vec<StackJson<'a>>,
}

impl<'a> BtDocument<'a> {
    /// Describes stacks.
    #[must_use]
    pub fn new(head: Head, traces: &'a [Trace<'a>]) -> Self {
        Self { head, stacks: traces.iter().map(StackJson::from).collect() }
    }
}

#[derive(Serialize)]
struct StackJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    halted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a Name>,
    frames: Vec<FrameJson<'a>>,
    end: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl<'a> From<&'a Trace<'a>> for StackJson<'a> {
    fn from(t: &'a Trace<'a>) -> Self {
        let (cpu, halted, task) = match t.of {
            Of::Cpu { index, halted, task } => (Some(index), Some(halted), task),
            Of::Task(t) => (None, None, Some(t)),
        };
        let (end, reason) = match &t.end {
            End::Complete => ("complete", None),
            End::User => ("user", None),
            End::Gone => ("gone", None),
            End::Lost(e) => ("lost", Some(e.to_string())),
        };
        Self {
            cpu,
            halted,
            tid: task.map(|t| t.tid),
            pid: task.map(|t| t.pid),
            name: task.map(|t| &t.comm),
            frames: t.frames.iter().map(|(f, p)| FrameJson::new(f, p.as_ref())).collect(),
            end,
            reason,
        }
    }
}

#[derive(Serialize)]
struct FrameJson<'a> {
    pc: String,
    sp: String,
    returns: bool,
    interrupted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<&'a Name>,
}

impl<'a> FrameJson<'a> {
    fn new(f: &Frame, p: Option<&'a Place>) -> Self {
        Self {
            pc: format!("{:#x}", f.pc),
            sp: format!("{:#x}", f.sp),
            returns: f.returns,
            interrupted: f.interrupted,
            symbol: p.map(|p| &p.symbol),
            offset: p.map(|p| format!("{:#x}", p.offset)),
            module: p.and_then(|p| p.module.as_ref()),
        }
    }
}
