//! Fields of a section by name.

use super::register::Number;
use crate::offset::Sure;
use crate::value::{Element, Iter, Node, Value};

/// Elements that are looked at of an array. Real ones have 1024 registers or 4096 entries.
const MAX_ELEMENTS: usize = 1 << 16;

/// A structure whose fields are asked for by name.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    root: &'a Node,
}

impl<'a> Fields<'a> {
    /// Asks a node for its fields.
    #[must_use]
    pub fn new(root: &'a Node) -> Self {
        Self { root }
    }

    /// Returns a field or a subsection.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        self.root.child(name)
    }

    /// Returns the fields of a structure or of a subsection.
    pub fn sub(&self, name: &str) -> Option<Fields<'a>> {
        self.node(name).filter(|n| n.record().is_some()).map(Fields::new)
    }

    /// Returns a number, as wide as it is in the stream.
    pub fn number(&self, name: &str) -> Option<Number> {
        self.node(name).and_then(number)
    }

    /// Returns a number cut to a width.
    pub fn cut(&self, name: &str, bits: u32) -> Option<Number> {
        self.number(name).map(|n| Number::new(n.low(), bits))
    }

    /// Returns the value of a number, or 0 if it is missing.
    pub fn u64(&self, name: &str) -> u64 {
        self.number(name).map_or(0, |n| n.low())
    }

    /// Returns the elements of an array, or the only element; of an array that is none of registers, some.
    pub fn elements(&self, name: &str) -> Iter<'a> {
        self.node(name).map(Node::elements).unwrap_or_default().first_of_many(MAX_ELEMENTS)
    }

    /// Returns an element of an array.
    pub fn element(&self, name: &str, i: usize) -> Option<Element<'a>> {
        self.node(name)?.elements().get(i)
    }

    /// Returns the elements of an array of numbers.
    pub fn numbers(&self, name: &str) -> Vec<Number> {
        self.elements(name).filter_map(|n| number(&n)).collect()
    }

    /// Returns an element of an array of numbers.
    pub fn at(&self, name: &str, i: usize) -> Option<Number> {
        self.element(name, i).and_then(|n| number(&n))
    }

    /// Returns how many values of an array are set, for arrays of words that are bitmaps.
    pub fn set_bits(&self, name: &str) -> Vec<u64> {
        set_bits(&self.numbers(name))
    }
}

/// Returns the number of a node, in two's complement where it is negative.
pub fn number(n: &Node) -> Option<Number> {
    let bits = u32::try_from(n.range.len()).ok()?.checked_mul(8)?.min(64);
    match n.value {
        Value::Int(v) => Some(Number::new(v.cast_unsigned(), bits)),
        Value::Uint(v) => Some(Number::new(v, bits)),
        Value::Bool(v) => Some(Number::new(u64::from(v), bits)),
        Value::Timer(v) => Some(Number::new(v.unwrap_or(u64::MAX), bits)),
        _ => None,
    }
}

/// Returns the places of the bits that are set in a bitmap of words.
pub fn set_bits(words: &[Number]) -> Vec<u64> {
    let mut out = Vec::new();
    let mut base = 0_u64;
    for w in words {
        out.extend((0..w.bits).filter(|b| w.bit(*b)).map(|b| base.plus(u64::from(b))));
        base = base.plus(u64::from(w.bits));
    }
    out
}
