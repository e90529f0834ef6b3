//! The typed tree as JSON: `state --format json` and `jsonl`. Schema: `schemas/output/state.schema.json`.

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::hex::Hex;
use crate::diag::Diagnostic;
use crate::error::Error;
use crate::offset::StreamRange;
use crate::text::Name;
use crate::value::{Elements, Node, Value};

/// The version of every JSON document that this crate prints; see `schemas/output/README.md`.
pub const SCHEMA_VERSION: u32 = 1;

/// A range of stream bytes.
#[derive(Serialize)]
#[non_exhaustive]
pub struct RangeJson {
    /// The first byte.
    pub offset: String,
    /// The number of bytes.
    pub bytes: u64,
}

impl From<StreamRange> for RangeJson {
    fn from(r: StreamRange) -> Self {
        Self { offset: r.start.to_string(), bytes: r.len() }
    }
}

/// A finding, or an error that was survived.
#[derive(Serialize)]
pub struct FindingJson {
    severity: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    message: String,
}

impl From<&Diagnostic> for FindingJson {
    fn from(d: &Diagnostic) -> Self {
        Self {
            severity: d.level.name(),
            code: d.code,
            offset: d.range.map(|r| r.start.to_string()),
            path: d.path.clone(),
            message: d.message.clone(),
        }
    }
}

impl From<&Error> for FindingJson {
    fn from(e: &Error) -> Self {
        Self {
            severity: "error",
            code: e.kind().name(),
            offset: e.stream_offset().map(|o| o.to_string()),
            path: e.path(),
            message: e.message().to_owned(),
        }
    }
}

/// A node and all below it.
#[non_exhaustive]
pub struct NodeJson<'a> {
    /// The node.
    pub node: &'a Node,
    /// Whether to say where it is.
    pub offsets: bool,
    /// The path from the device, for a node that is printed alone.
    pub path: Option<&'a str>,
    /// The device, for a node that is printed alone.
    pub device: Option<(&'a Name, u32)>,
}

impl Serialize for NodeJson<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let n = self.node;
        let mut m = s.serialize_map(None)?;
        if let Some((idstr, instance)) = self.device {
            m.serialize_entry("device", idstr)?;
            m.serialize_entry("instance_id", &instance)?;
        }
        if let Some(p) = self.path {
            m.serialize_entry("path", p)?;
        }
        m.serialize_entry("name", &n.name)?;
        m.serialize_entry("type", n.ty.exact())?;
        if self.offsets {
            m.serialize_entry("offset", &Text(format_args!("{}", n.range.start)))?;
            m.serialize_entry("bytes", &n.range.len())?;
        }
        let nested = |nodes| Nodes { nodes, offsets: self.offsets };
        match &n.value {
            Value::Bool(b) => m.serialize_entry("value", b)?,
            Value::Int(_) | Value::Uint(_) => m.serialize_entry("value", &integer(n))?,
            Value::Timer(t) => {
                m.serialize_entry("value", &integer(n))?;
                m.serialize_entry("armed", &t.is_some())?;
            }
            Value::Bytes(b) => m.serialize_entry("hex", &Hex::new(b.as_slice()))?,
            Value::Text(t) => m.serialize_entry("value", t)?,
            Value::Null => m.serialize_entry("value", &())?,
            Value::Present => m.serialize_entry("value", "present")?,
            Value::Opaque(b) => {
                m.serialize_entry("opaque", &true)?;
                m.serialize_entry("hex", &Hex::new(b.as_slice()))?;
            }
            Value::Array(_) | Value::Packed(_) => m.serialize_entry("elements", &nested(n.elements()))?,
            Value::Struct(r) => {
                if !r.vmsd.is_empty() {
                    m.serialize_entry("vmsd", &r.vmsd)?;
                }
                if let Some(v) = r.version {
                    m.serialize_entry("version", &v)?;
                }
                m.serialize_entry("fields", &nested(Elements::Nodes(&r.fields)))?;
                if !r.subsections.is_empty() {
                    m.serialize_entry("subsections", &nested(Elements::Nodes(&r.subsections)))?;
                }
            }
        }
        if let Some(p) = &n.problem {
            m.serialize_entry("problem", &**p)?;
        }
        m.end()
    }
}

struct Nodes<'a> {
    nodes: Elements<'a>,
    offsets: bool,
}

impl Serialize for Nodes<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(self.nodes.len()))?;
        for node in self.nodes {
            seq.serialize_element(&NodeJson { node: &node, offsets: self.offsets, path: None, device: None })?;
        }
        seq.end()
    }
}

/// An integer for machines: up to 32 bits as a number, wider ones as hexadecimal text of the field's width, since JSON
/// readers lose bits above 2^53.
enum Integer {
    Signed(i64),
    Unsigned(u64),
    /// The value and the number of digits.
    Wide(u64, usize),
}

impl Serialize for Integer {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Signed(v) => s.serialize_i64(v),
            Self::Unsigned(v) => s.serialize_u64(v),
            Self::Wide(v, width) => s.collect_str(&format_args!("0x{v:0width$x}")),
        }
    }
}

/// Text that is written as it is made.
struct Text<'a>(std::fmt::Arguments<'a>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

fn integer(n: &Node) -> Integer {
    let bytes = n.range.len();
    match n.value {
        Value::Int(v) if bytes <= 4 => Integer::Signed(v),
        Value::Uint(v) if bytes <= 4 => Integer::Unsigned(v),
        Value::Int(v) => Integer::Wide(v.cast_unsigned(), 16),
        Value::Uint(v) => Integer::Wide(v, digits(bytes)),
        Value::Timer(v) => Integer::Wide(v.unwrap_or(u64::MAX), digits(bytes)),
        _ => Integer::Unsigned(0),
    }
}

fn digits(bytes: u64) -> usize {
    usize::try_from(bytes * 2).unwrap_or(16).min(16)
}

/// Returns bytes as hexadecimal digits without gaps.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    Hex::new(bytes).to_string()
}
