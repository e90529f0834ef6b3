//! Processors as JSON: `cpu --json`. Schema: `schemas/output/cpu.schema.json`.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::state_json::{FindingJson, NodeJson, SCHEMA_VERSION};
use crate::decode::cpu::{Cpu, Group, Number, Register};
use crate::text::Name;
use crate::value::Node;

/// The document of `cpu --json`.
#[derive(Serialize)]
pub struct CpuDocument<'a> {
    schema_version: u32,
    machine: Option<&'a Name>,
    /// The processors.
    pub cpus: Vec<CpuJson<'a>>,
    /// Interrupt controllers and clocks.
    pub devices: Vec<GroupJson<'a>>,
    /// Whether nothing is missing.
    pub complete: bool,
    /// What was found on the way.
    pub diagnostics: Vec<FindingJson>,
}

impl<'a> CpuDocument<'a> {
    /// Creates a document without content.
    #[must_use]
    pub fn new(machine: Option<&'a Name>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            machine,
            cpus: Vec::new(),
            devices: Vec::new(),
            complete: true,
            diagnostics: Vec::new(),
        }
    }
}

/// A processor, or the tree of one whose architecture is not known.
#[derive(Serialize)]
pub struct CpuJson<'a> {
    index: u32,
    architecture: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    halted: Option<bool>,
    groups: Vec<GroupJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<NodeJson<'a>>,
}

impl<'a> CpuJson<'a> {
    /// Returns a processor with its groups, those for `--all` only where they are wanted.
    #[must_use]
    pub fn known(cpu: &'a Cpu, all: bool) -> Self {
        let groups = cpu.groups.iter().filter(|g| all || !g.detail).map(GroupJson).collect();
        Self { index: cpu.index, architecture: Some(cpu.architecture), halted: Some(cpu.halted), groups, tree: None }
    }

    /// Returns a processor of an architecture that is not known.
    #[must_use]
    pub fn unknown(index: u32, root: &'a Node) -> Self {
        let tree = NodeJson { node: root, offsets: false, path: None, device: None };
        Self { index, architecture: None, halted: None, groups: Vec::new(), tree: Some(tree) }
    }
}

/// A group of registers.
pub struct GroupJson<'a>(pub &'a Group);

impl Serialize for GroupJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut m = s.serialize_map(None)?;
        m.serialize_entry("id", self.0.id)?;
        m.serialize_entry("title", self.0.title)?;
        if let Some(i) = self.0.instance {
            m.serialize_entry("instance_id", &i)?;
        }
        let registers: Vec<RegisterJson<'_>> = self.0.registers.iter().map(RegisterJson).collect();
        m.serialize_entry("registers", &registers)?;
        m.end()
    }
}

struct RegisterJson<'a>(&'a Register);

impl Serialize for RegisterJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let r = self.0;
        let mut m = s.serialize_map(None)?;
        m.serialize_entry("name", &*r.name)?;
        if let Some(v) = &r.value {
            m.serialize_entry("value", &NumberJson(v))?;
            m.serialize_entry("bits", &v.bits)?;
        }
        for (name, v) in &r.parts {
            m.serialize_entry(&name.to_lowercase(), &NumberJson(v))?;
        }
        if !r.says.is_empty() {
            m.serialize_entry("says", &r.says)?;
        }
        m.end()
    }
}

struct NumberJson<'a>(&'a Number);

impl Serialize for NumberJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.0.bits <= 32 {
            s.serialize_u64(self.0.low())
        } else {
            s.serialize_str(&format!("0x{}", self.0.digits("")))
        }
    }
}
