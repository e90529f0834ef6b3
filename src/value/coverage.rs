//! Checks that a tree covers its bytes: children are adjacent, and every leaf is decoded.

use super::{Layout, Node, Value};
use crate::offset::{StreamRange, Sure};

/// Bytes of a section that no leaf of its tree explains.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uncovered {
    /// The bytes.
    pub range: StreamRange,
    /// The name of the innermost node around them.
    pub within: String,
    /// Why they are not explained.
    pub why: String,
}

/// Returns what a tree leaves unexplained: gaps between children, overlaps, undecoded leaves.
#[must_use]
pub fn uncovered(root: &Node) -> Vec<Uncovered> {
    let mut out = Vec::new();
    check(root, &mut out);
    out
}

fn check(node: &Node, out: &mut Vec<Uncovered>) {
    let start = node.range.start.0;
    match &node.value {
        Value::Struct(r) => side_by_side(node, start.plus(r.header_bytes), &mut r.children(), out),
        // a list ends with a one-byte mark; a tree begins with a four-byte count
        Value::Array(a) => match node.ty.layout() {
            Some(Layout::List) => side_by_side(&cut(node, 0), start, &mut a.iter(), out),
            Some(Layout::Tree) => side_by_side(&cut(node, 4), start.plus(4), &mut a.iter(), out),
            _ => side_by_side(node, start, &mut a.iter(), out),
        },
        Value::Opaque(_) => out.push(Uncovered {
            range: node.range,
            within: node.name.to_string(),
            why: node.problem.as_deref().unwrap_or("not decoded").to_owned(),
        }),
        _ => {}
    }
}

/// Returns a bare node without the `front` bytes of framing before the elements and the mark after them.
fn cut(node: &Node, front: u64) -> Node {
    let start = node.range.start.0.plus(front);
    let range = StreamRange::new(start, node.range.end.0.minus(1));
    Node::new(node.name.clone(), node.ty.clone(), range, Value::Null)
}

fn side_by_side(node: &Node, mut at: u64, children: &mut dyn Iterator<Item = &Node>, out: &mut Vec<Uncovered>) {
    let mut gap = |from: u64, to: u64, why: String| {
        out.push(Uncovered { range: StreamRange::new(from.min(to), from.max(to)), within: node.name.to_string(), why });
    };
    let mut nested = Vec::new();
    for c in children {
        if c.range.start.0 != at {
            gap(at, c.range.start.0, format!("{} does not begin where the field before it ends", c.name));
        }
        at = c.range.end.0;
        check(c, &mut nested);
    }
    if at != node.range.end.0 {
        gap(at, node.range.end.0, "bytes after the last field".to_owned());
    }
    out.append(&mut nested);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Blob, FieldType, Record};

    fn leaf(start: u64, len: u64) -> Node {
        Node::new("x", FieldType::new("uint8"), StreamRange::with_len(start, len), Value::Uint(0))
    }

    fn record(len: u64, header_bytes: u64, fields: Vec<Node>) -> Node {
        let r = Record { fields, header_bytes, ..Record::default() };
        Node::new("r", FieldType::new("struct"), StreamRange::with_len(0, len), Value::Struct(Box::new(r)))
    }

    #[test]
    fn gaps_tails_and_opaque_leaves_are_found() {
        assert_eq!(uncovered(&record(4, 1, vec![leaf(1, 1), leaf(2, 2)])), []);
        assert_eq!(uncovered(&record(4, 0, vec![leaf(0, 1), leaf(2, 2)]))[0].range, StreamRange::new(1, 2));
        assert_eq!(uncovered(&record(5, 0, vec![leaf(0, 4)]))[0].range, StreamRange::new(4, 5));
        assert_eq!(uncovered(&record(2, 0, vec![leaf(0, 2), leaf(1, 1)]))[0].range, StreamRange::new(1, 2));
        let o =
            Node::new("o", FieldType::new("buffer"), StreamRange::with_len(0, 2), Value::Opaque(Blob::new(vec![0; 2])));
        assert_eq!(uncovered(&record(2, 0, vec![o])).len(), 1);
    }
}
