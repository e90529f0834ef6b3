//! The decoded tree: [`Node`], [`Value`], [`Record`], and how to find things in it.

mod blob;
mod coverage;
mod device_name;
mod elements;
mod field_type;
mod packed;
mod path;
mod text;

pub use blob::Blob;
pub use coverage::{Uncovered, uncovered};
pub use device_name::names_device;
pub use elements::{Element, Elements, Iter};
pub use field_type::{FieldType, Layout};
pub use packed::Packed;
pub(crate) use packed::{int, timer, uint};
pub use path::{FieldPath, matches_glob};
pub use text::{bytes_pieces, bytes_text};

use crate::offset::{StreamRange, Sure};
use crate::text::Name;

/// A decoded item with its range in the stream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Node {
    /// QEMU's name of the field, verbatim; elements of an array carry the array's name.
    pub name: Name,
    /// The type's name in the description, or the layout's name if no description covers the item.
    pub ty: FieldType,
    /// Its bytes.
    pub range: StreamRange,
    /// Its decoded value.
    pub value: Value,
    /// What is wrong with it, if anything; the rest of the tree is unaffected.
    pub problem: Option<Box<str>>,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A boolean; the raw byte is in the section.
    Bool(bool),
    /// A signed integer as wide as the node's range.
    Int(i64),
    /// An unsigned integer as wide as the node's range.
    Uint(u64),
    /// A time in nanoseconds of the timer's clock; `None` if it is not armed.
    Timer(Option<u64>),
    /// Raw bytes whose meaning the description does not give.
    Bytes(Blob),
    /// Text.
    Text(Name),
    /// A structure.
    Struct(Box<Record>),
    /// Elements in the order of the stream.
    Array(Vec<Node>),
    /// Elements with a common layout, as bytes: see [`Node::elements`].
    Packed(Packed),
    /// A NULL pointer.
    Null,
    /// A mark that a pointer's target follows.
    Present,
    /// Bytes that could not be decoded; the node's `problem` says why.
    Opaque(Blob),
}

/// The content of a structure, a subsection or a whole device.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The vmsd's name; empty for a structure without one.
    pub vmsd: Name,
    /// The version in the description, or in the stream for subsections.
    pub version: Option<u32>,
    /// Length of the framing before the fields: the subsection's type, name and version, or a list's mark.
    pub header_bytes: u64,
    /// The fields, in stream order.
    pub fields: Vec<Node>,
    /// The subsections, in stream order, after the fields.
    pub subsections: Vec<Node>,
}

impl Record {
    /// Returns fields, then subsections.
    pub fn children(&self) -> impl Iterator<Item = &Node> {
        self.fields.iter().chain(&self.subsections)
    }
}

impl Node {
    /// Creates a node.
    #[must_use]
    pub fn new(name: impl Into<Name>, ty: FieldType, range: StreamRange, value: Value) -> Self {
        Self { name: name.into(), ty, range, value, problem: None }
    }

    /// Sets the node's problem.
    #[must_use]
    pub fn with_problem(mut self, problem: impl Into<Box<str>>) -> Self {
        self.problem = Some(problem.into());
        self
    }

    /// Returns the record of a structure.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match &self.value {
            Value::Struct(r) => Some(r),
            _ => None,
        }
    }

    /// Returns the number in an unsigned or non-negative signed integer, a boolean or a timer.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match &self.value {
            Value::Uint(v) => Some(*v),
            Value::Int(v) => u64::try_from(*v).ok(),
            Value::Bool(v) => Some(u64::from(*v)),
            Value::Timer(v) => *v,
            _ => None,
        }
    }

    /// Returns the bytes of a buffer.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.value {
            Value::Bytes(b) | Value::Opaque(b) => Some(b.as_slice()),
            _ => None,
        }
    }

    /// Returns the direct child with this name: a field, a subsection, or the first of several.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.record()?.children().find(|n| n.name == name)
    }

    /// Returns the elements of an array, or the node itself as the only one.
    #[must_use]
    pub fn elements(&self) -> Elements<'_> {
        match &self.value {
            Value::Array(a) => Elements::Nodes(a),
            Value::Packed(p) => Elements::Packed(p, self.range.start.0),
            _ => Elements::Nodes(std::slice::from_ref(self)),
        }
    }

    /// Calls `f` for this node and all below it, with the depth, in stream order; if `f` returns `false`, the node's
    /// children are skipped.
    ///
    /// The elements of a [`Value::Packed`] are not in the tree: `f` is called for the array only.
    pub fn walk<'a>(&'a self, f: &mut dyn FnMut(usize, &'a Node) -> bool) {
        self.walk_at(0, f);
    }

    fn walk_at<'a>(&'a self, depth: usize, f: &mut dyn FnMut(usize, &'a Node) -> bool) {
        if !f(depth, self) {
            return;
        }
        let deeper = depth.plus(1);
        match &self.value {
            Value::Struct(r) => r.children().for_each(|n| n.walk_at(deeper, f)),
            Value::Array(a) => a.iter().for_each(|n| n.walk_at(deeper, f)),
            _ => {}
        }
    }
}
