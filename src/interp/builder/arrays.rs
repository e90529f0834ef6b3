//! Arrays whose elements are read one like the other.

use std::cell::Cell;

use super::{Builder, Frame};
use crate::error::Result;
use crate::offset::Sure;
use crate::value::{FieldType, Node, Packed, Value};

impl Builder<'_> {
    /// Reads `count` elements by `one`, which makes one node each. Where the first has a layout that does not depend on
    /// what it holds, the others are not read one by one, but kept as bytes.
    ///
    /// # Errors
    /// Those of `one`; the elements before it stay in the tree.
    pub(in crate::interp) fn array_of(
        &mut self,
        name: &str,
        ty: &FieldType,
        count: usize,
        one: impl Fn(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let packed = Cell::new(None);
        let elements = |b: &mut Self| {
            let start = b.position();
            for i in 0..count {
                one(b)?;
                if i == 0 && count > 1 {
                    let (array, end) = b.pack(start, count);
                    packed.set(array);
                    match end {
                        Some(true) => return Ok(()),
                        // the next one is truncated, and reading it reports that
                        Some(false) => return one(b),
                        None => {}
                    }
                }
            }
            Ok(())
        };
        self.framed(Frame::new(name).ty(ty.exact()), elements, |r| match packed.take() {
            Some(p) => Value::Packed(p),
            None => Value::Array(r.fields),
        })
    }

    /// Packs the element that was read, which began at `start`, together with as many of the following ones as
    /// possible; returns whether those were all.
    fn pack(&mut self, start: usize, count: usize) -> (Option<Packed>, Option<bool>) {
        let [first] = self.fields.as_slice() else { return (None, None) };
        let Ok(width) = usize::try_from(first.range.len()) else { return (None, None) };
        let Some(there) = self.remaining().checked_div(width) else { return (None, None) };
        let more = count.minus(1).min(there);
        let bytes = self.blob.slice(start, width.times(more.plus(1)));
        let packed = Packed::new(first, bytes);
        if packed.is_some() && self.reader.take(width.times(more)).is_ok() {
            return (packed, Some(more.plus(1) == count));
        }
        (None, None)
    }

    /// Returns where in the section's bytes the next one is.
    fn position(&self) -> usize {
        self.blob_start.plus(self.reader.position())
    }

    /// Makes nodes from the elements of a packed array, unless that exceeds the section's limit; other nodes are
    /// unchanged. Returns whether the node is not packed afterwards.
    pub(in crate::interp) fn unpack_one(&self, node: &mut Node) -> bool {
        let Value::Packed(p) = &node.value else { return true };
        let nodes = p.nodes_of_one().saturating_mul(p.len());
        if self.count_many(nodes).is_err() {
            return false;
        }
        let elements: Vec<Node> = node.elements().iter().map(crate::value::Element::into_node).collect();
        node.value = Value::Array(elements);
        true
    }
}
