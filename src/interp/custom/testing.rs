//! Runs one reader on bytes, for the tests of this room.

use crate::interp::{Decoded, decode_vmsd};
use crate::offset::StreamOffset;
use crate::schema::{Field, Vmsd};
use crate::value::{Blob, FieldType, Node, uncovered};

/// Describes a single field.
pub(super) fn field(name: &str, ty: &str, size: u64) -> Field {
    Field { name: name.into(), ty: FieldType::new(ty), array_len: None, size, inner: Box::default() }
}

/// Decodes a section of this name with some fields followed by a field `x` of a type, whose bytes come last.
pub(super) fn section(idstr: &str, mut fields: Vec<Field>, ty: &str, bytes: &[u8], size: usize) -> Decoded {
    fields.push(field("x", ty, size as u64));
    let vmsd =
        Vmsd { name: "test".into(), version: Some(1), fields: fields.into(), described: true, ..Vmsd::default() };
    decode_vmsd(idstr, &vmsd, &Blob::new(bytes.to_vec()), StreamOffset(0x1000))
}

fn x(d: &Decoded) -> Node {
    d.root.record().unwrap().fields.last().unwrap().clone()
}

/// Decodes a field next to others; there must be no problem.
pub(super) fn decode_beside(fields: Vec<Field>, ty: &str, bytes: &[u8], size: usize) -> Node {
    let d = section("test", fields, ty, bytes, size);
    assert!(d.errors.is_empty(), "{:?}", d.errors);
    assert_eq!(uncovered(&d.root), []);
    x(&d)
}

/// Decodes a field on its own; there must be no problem.
pub(super) fn decode(ty: &str, bytes: &[u8]) -> Node {
    decode_in("test", ty, bytes)
}

/// Same as [`decode`], in a section of this name.
pub(super) fn decode_in(idstr: &str, ty: &str, bytes: &[u8]) -> Node {
    let d = section(idstr, Vec::new(), ty, bytes, bytes.len());
    assert!(d.errors.is_empty(), "{:?}", d.errors);
    assert_eq!(uncovered(&d.root), []);
    x(&d)
}

/// Decodes a bad field: there must be one error that contains `why`, and every byte must be in the tree.
pub(super) fn fails(ty: &str, bytes: &[u8], why: &str) -> Node {
    fails_in("test", ty, bytes, why)
}

/// Same as [`fails`], in a section of this name.
pub(super) fn fails_in(idstr: &str, ty: &str, bytes: &[u8], why: &str) -> Node {
    let d = section(idstr, Vec::new(), ty, bytes, bytes.len());
    assert_eq!(d.errors.len(), 1, "{:?}", d.errors);
    assert!(d.errors[0].message().contains(why), "{}", d.errors[0]);
    for u in uncovered(&d.root) {
        assert!(!u.why.contains("does not begin") && !u.why.contains("after the last"), "{u:?}");
    }
    x(&d)
}
