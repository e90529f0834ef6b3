//! Arrays whose elements all have the same layout: one node with the bytes, from which elements are made on request.

use std::fmt;
use std::sync::Arc;

use super::{Blob, Layout, Node, Record, Value};
use crate::offset::{StreamRange, Sure, total};

/// Types whose layout depends only on their size.
const FIXED: [&str; 6] = ["avr", "fpr", "pci irq state", "slbe", "tlb entry", "tlb_entry"];

/// The elements of an array as bytes, with their common layout.
///
/// An element costs only its bytes; arrays of numbers and of structures of numbers are stored this way.
#[derive(Clone)]
pub struct Packed {
    blob: Blob,
    /// An element without values, which begins at 0.
    layout: Arc<Node>,
    width: usize,
    /// Whether elements with different bytes may be equal: a boolean is true for any nonzero byte.
    loose: bool,
}

impl Packed {
    /// Packs the elements stored in `blob`; `first` is one of them. Returns `None` if their layout may depend on
    /// their content, or if they have no bytes.
    #[must_use]
    pub fn new(first: &Node, blob: Blob) -> Option<Self> {
        let width = usize::try_from(first.range.len()).ok().filter(|n| *n > 0)?;
        let mut loose = false;
        let layout = layout_of(first, first.range.start.0, &mut loose)?;
        Some(Self { blob, layout: Arc::new(layout), width, loose })
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blob.len().checked_div(self.width).unwrap_or_default()
    }

    /// Returns whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns an element without values, which begins at 0.
    #[must_use]
    pub fn layout(&self) -> &Node {
        &self.layout
    }

    /// Returns the number of nodes in one element.
    #[must_use]
    pub fn nodes_of_one(&self) -> usize {
        let mut n = 0_usize;
        self.layout.walk(&mut |_, _| {
            n.tally(1);
            true
        });
        n
    }

    /// Returns the total number of values in all elements.
    #[must_use]
    pub fn values(&self) -> u64 {
        let each = values_of(&self.layout);
        each.saturating_mul(self.len() as u64)
    }

    /// Creates an element of an array that begins at `base` of the stream.
    pub(super) fn make(&self, i: usize, base: u64) -> Option<Node> {
        let at = i.checked_mul(self.width).filter(|_| i < self.len())?;
        Some(make(&self.layout, &self.blob, at, base.plus(at as u64)))
    }

    /// Returns the first index not below `from` at which the bytes of two arrays of one layout differ, or the length
    /// of the shorter one.
    pub(super) fn next_difference(&self, other: &Self, from: usize) -> usize {
        const BLOCK: usize = 4096;
        let end = self.len().min(other.len());
        let start = from.times(self.width);
        let stop = end.times(self.width);
        let (x, y) = (self.blob.as_slice().get(start..stop), other.blob.as_slice().get(start..stop));
        let (Some(x), Some(y)) = (x, y) else { return from.max(end) };
        let skipped = x.chunks(BLOCK).zip(y.chunks(BLOCK)).take_while(|(a, b)| a == b).count().times(BLOCK);
        let rest = x.get(skipped..).unwrap_or_default().iter().zip(y.get(skipped..).unwrap_or_default());
        match rest.enumerate().find(|(_, (a, b))| a != b) {
            Some((i, _)) => {
                let at = start.plus(skipped).plus(i);
                at.checked_div(self.width).unwrap_or(end)
            }
            None => end,
        }
    }

    fn bytes(&self, i: usize) -> &[u8] {
        let at = i.times(self.width);
        self.blob.as_slice().get(at..).and_then(|b| b.get(..self.width)).unwrap_or_default()
    }

    /// Appends the elements of another array if it has the same layout and its bytes follow these.
    pub(crate) fn join(&mut self, next: &Self) -> bool {
        let whole = self.blob.len().checked_rem(self.width) == Some(0);
        match self.blob.joined(&next.blob).filter(|_| whole && self.has_layout_of(next)) {
            Some(blob) => {
                self.blob = blob;
                true
            }
            None => false,
        }
    }

    pub(super) fn has_layout_of(&self, other: &Self) -> bool {
        self.width == other.width && (Arc::ptr_eq(&self.layout, &other.layout) || self.layout == other.layout)
    }

    /// Returns whether two elements of one layout have the same value.
    pub(super) fn alike(&self, i: usize, other: &Self, j: usize) -> bool {
        self.bytes(i) == other.bytes(j)
            || (self.loose && matches!((self.make(i, 0), other.make(j, 0)), (Some(a), Some(b)) if a.holds_same(&b)))
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        self.has_layout_of(other)
            && (self.blob == other.blob
                || (self.loose && self.len() == other.len() && (0..self.len()).all(|i| self.alike(i, other, i))))
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} of {})", self.len(), self.layout.ty)
    }
}

/// Returns a node without its values, with its range starting at 0.
fn layout_of(n: &Node, start: u64, loose: &mut bool) -> Option<Node> {
    let nodes =
        |a: &[Node], loose: &mut bool| -> Option<Vec<Node>> { a.iter().map(|n| layout_of(n, start, loose)).collect() };
    let value = match &n.value {
        _ if n.problem.is_some() => return None,
        Value::Bool(_) => {
            *loose = true;
            Value::Bool(false)
        }
        Value::Int(_) => Value::Int(0),
        // integers in the byte order of a host have types of their own
        Value::Uint(_) if !n.ty.exact().ends_with("little-endian") => Value::Uint(0),
        Value::Timer(_) => Value::Timer(None),
        // decoders search the whole tree for configuration spaces
        Value::Bytes(_) if n.ty.exact() != "pci config" => Value::Bytes(Blob::default()),
        Value::Struct(r) => {
            let fixed = n.ty.layout() != Some(Layout::Custom) || FIXED.contains(&n.ty.exact());
            if !fixed || !r.subsections.is_empty() {
                return None;
            }
            let fields = nodes(&r.fields, loose)?;
            let (vmsd, version, header_bytes) = (r.vmsd.clone(), r.version, r.header_bytes);
            Value::Struct(Box::new(Record { vmsd, version, header_bytes, fields, subsections: Vec::new() }))
        }
        Value::Array(a) if !n.is_list() => Value::Array(nodes(a, loose)?),
        Value::Packed(p) => {
            *loose |= p.loose;
            Value::Packed(Packed { blob: Blob::default(), ..p.clone() })
        }
        _ => return None,
    };
    let from = n.range.start.0.checked_sub(start)?;
    let range = StreamRange::with_len(from, n.range.len());
    Some(Node { name: n.name.clone(), ty: n.ty.clone(), range, value, problem: None })
}

/// Creates a node of a layout; the element begins at `at` of the bytes and at `base` of the stream.
fn make(layout: &Node, blob: &Blob, at: usize, base: u64) -> Node {
    let n = usize::try_from(layout.range.len()).unwrap_or_default();
    let from = at.plus(usize::try_from(layout.range.start.0).unwrap_or(usize::MAX));
    let bytes = blob.as_slice().get(from..).and_then(|b| b.get(..n)).unwrap_or_default();
    let all = |a: &[Node]| a.iter().map(|n| make(n, blob, at, base)).collect();
    let value = match &layout.value {
        Value::Bool(_) => Value::Bool(uint(bytes) != 0),
        Value::Int(_) => Value::Int(int(bytes)),
        Value::Uint(_) => Value::Uint(uint(bytes)),
        Value::Timer(_) => Value::Timer(timer(bytes)),
        Value::Bytes(_) => Value::Bytes(blob.slice(from, n)),
        Value::Struct(r) => Value::Struct(Box::new(Record {
            vmsd: r.vmsd.clone(),
            version: r.version,
            header_bytes: r.header_bytes,
            fields: all(&r.fields),
            subsections: Vec::new(),
        })),
        Value::Array(a) => Value::Array(all(a)),
        Value::Packed(p) => Value::Packed(Packed { blob: blob.slice(from, n), ..p.clone() }),
        other => other.clone(),
    };
    let range = StreamRange::with_len(base.plus(layout.range.start.0), layout.range.len());
    Node { name: layout.name.clone(), ty: layout.ty.clone(), range, value, problem: None }
}

fn values_of(layout: &Node) -> u64 {
    match &layout.value {
        Value::Struct(r) => total(r.fields.iter().map(values_of)),
        Value::Array(a) => total(a.iter().map(values_of)),
        Value::Packed(p) => {
            let n = layout.range.len().checked_div(p.width as u64).unwrap_or_default();
            values_of(&p.layout).saturating_mul(n)
        }
        _ => 1,
    }
}

/// Returns these bytes as a big-endian unsigned integer.
pub(crate) fn uint(s: &[u8]) -> u64 {
    s.iter().fold(0, |v, c| (v << 8) | u64::from(*c))
}

/// Returns these bytes as a big-endian two's complement integer.
pub(crate) fn int(s: &[u8]) -> i64 {
    let first = i64::from(s.first().copied().unwrap_or_default().cast_signed());
    s.get(1..).unwrap_or_default().iter().fold(first, |v, c| (v << 8) | i64::from(*c))
}

/// Returns these bytes as a time; `None` if the timer is not armed.
pub(crate) fn timer(s: &[u8]) -> Option<u64> {
    Some(uint(s)).filter(|v| *v != u64::MAX)
}

#[cfg(test)]
mod tests;
