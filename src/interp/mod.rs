//! Description and bytes in, tree out.
//!
//! Every field of a description has a size, so a field that cannot be decoded does not affect others: it becomes
//! [`Value::Opaque`] with the reason, and the next field is read where it begins.

mod builder;
mod custom;
mod fields;
mod quirks;

pub use builder::Builder;
pub use custom::{CUSTOM, CustomType, FieldContext};

use crate::error::Error;
use crate::offset::StreamOffset;
use crate::schema::{DeviceSchema, Vmsd};
use crate::value::{Blob, FieldType, Node, Record, Value};

/// A decoded section.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decoded {
    /// The tree; it covers the whole payload, undecoded bytes included.
    pub root: Node,
    /// What went wrong on the way, in stream order, with paths.
    pub errors: Vec<Error>,
    /// Which of QEMU's known mistakes in the description was got round.
    pub quirk: Option<&'static str>,
}

/// Decodes the payload of a FULL section, which begins at `base` of the stream.
#[must_use]
pub fn decode_device(schema: &DeviceSchema, payload: &Blob, base: StreamOffset) -> Decoded {
    decode_device_within(schema, payload, base, usize::MAX)
}

/// Same as [`decode_device`], but limited in memory: if the limit is reached, the rest of the section is opaque.
#[must_use]
pub fn decode_device_within(schema: &DeviceSchema, payload: &Blob, base: StreamOffset, memory: usize) -> Decoded {
    let nodes = memory.checked_div(NODE_BYTES).unwrap_or_default();
    decode_within(schema.idstr.exact(), &schema.vmsd, payload, base, nodes)
}

/// What a node needs: itself, and its share of the vector that it is in.
const NODE_BYTES: usize = 160;

/// Decodes a payload by a vmsd; `idstr` is the section's name.
#[must_use]
pub fn decode_vmsd(idstr: &str, vmsd: &Vmsd, payload: &Blob, base: StreamOffset) -> Decoded {
    decode_within(idstr, vmsd, payload, base, usize::MAX)
}

fn decode_within(idstr: &str, vmsd: &Vmsd, payload: &Blob, base: StreamOffset, nodes: usize) -> Decoded {
    let repaired;
    let mut quirk = None;
    let mut vmsd = vmsd;
    if let Some((m, which)) = quirks::repair(vmsd, payload.as_slice()) {
        repaired = m;
        vmsd = &repaired;
        quirk = Some(which);
    }
    let context = builder::Shared::new(idstr, vmsd, payload.as_slice().len(), nodes);
    let mut b = Builder::new(payload, base, &context);
    fields::record(&mut b, vmsd);
    let range = b.whole_range();
    let (fields, subsections) = b.finish_record();
    let record = Record { vmsd: vmsd.name.clone(), version: vmsd.version, header_bytes: 0, fields, subsections };
    let root = Node::new(idstr, FieldType::new("struct"), range, Value::Struct(Box::new(record)));
    Decoded { root, errors: context.into_errors(), quirk }
}

/// Creates the tree of a payload that no description covers.
#[must_use]
pub fn undescribed(idstr: &str, payload: &Blob, base: StreamOffset, why: &str) -> Node {
    let range = crate::offset::StreamRange::with_len(base.0, payload.as_slice().len() as u64);
    let mut fields = Vec::new();
    if !range.is_empty() {
        let data = Node::new("data", FieldType::new("buffer"), range, Value::Opaque(payload.clone()));
        fields.push(data.with_problem(why));
    }
    let record = Record { fields, ..Record::default() };
    Node::new(idstr, FieldType::new("struct"), range, Value::Struct(Box::new(record)))
}
