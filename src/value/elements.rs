//! The elements of an array, stored as nodes or as bytes.

use std::ops::{Deref, Range};

use super::packed::Packed;
use super::{Layout, Node, Value};

/// An element of an array: a node of the tree, or one made from bytes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Element<'a> {
    /// A node in the tree.
    Node(&'a Node),
    /// A node made from bytes.
    Made(Node),
}

impl Element<'_> {
    /// Returns the node.
    #[must_use]
    pub fn into_node(self) -> Node {
        match self {
            Self::Node(n) => n.clone(),
            Self::Made(n) => n,
        }
    }
}

impl Deref for Element<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        match self {
            Self::Node(n) => n,
            Self::Made(n) => n,
        }
    }
}

/// The elements of an array, or a single node.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Elements<'a> {
    /// Nodes of the tree.
    Nodes(&'a [Node]),
    /// Bytes: the array, and the stream offset at which it begins.
    Packed(&'a Packed, u64),
}

impl Default for Elements<'_> {
    fn default() -> Self {
        Self::Nodes(&[])
    }
}

impl<'a> Elements<'a> {
    /// Returns the number of elements.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Nodes(a) => a.len(),
            Self::Packed(p, _) => p.len(),
        }
    }

    /// Returns whether there are no elements.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns an element.
    #[must_use]
    pub fn get(self, i: usize) -> Option<Element<'a>> {
        match self {
            Self::Nodes(a) => a.get(i).map(Element::Node),
            Self::Packed(p, base) => p.make(i, base).map(Element::Made),
        }
    }

    /// Returns the first element.
    #[must_use]
    pub fn first(self) -> Option<Element<'a>> {
        self.get(0)
    }

    /// Iterates over the elements in order.
    #[must_use]
    pub fn iter(self) -> Iter<'a> {
        Iter { elements: self, left: 0..self.len() }
    }

    /// Iterates over the first `n` elements, or all if there are fewer.
    pub fn first_of_many(self, n: usize) -> Iter<'a> {
        Iter { elements: self, left: 0..self.len().min(n) }
    }

    /// Returns whether both are packed with the same layout, so that equal bytes mean equal elements.
    #[must_use]
    pub fn has_layout_of(self, other: Self) -> bool {
        matches!((self, other), (Self::Packed(p, _), Self::Packed(q, _)) if p.has_layout_of(q))
    }

    /// Returns whether two elements have the same value, regardless of their position.
    #[must_use]
    pub fn alike(self, i: usize, other: Self, j: usize) -> bool {
        match (self, other) {
            (Self::Nodes(a), Self::Nodes(b)) => matches!((a.get(i), b.get(j)), (Some(a), Some(b)) if a.holds_same(b)),
            (Self::Packed(p, _), Self::Packed(q, _)) if std::ptr::eq(p, q) => p.alike(i, q, j),
            _ => matches!((self.get(i), other.get(j)), (Some(a), Some(b)) if a.holds_same(&b)),
        }
    }

    /// Returns the first index not below `from` at which the bytes of two arrays of one layout differ, or the length
    /// of the shorter one.
    #[must_use]
    pub fn next_difference(self, other: Self, from: usize) -> usize {
        match (self, other) {
            (Self::Packed(p, _), Self::Packed(q, _)) => p.next_difference(q, from),
            _ => from,
        }
    }
}

impl<'a> IntoIterator for Elements<'a> {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Elements in their order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    elements: Elements<'a>,
    left: Range<usize>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        self.elements.get(self.left.next()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<Element<'a>> {
        self.elements.get(self.left.nth(n)?)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.elements.get(self.left.next_back()?)
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl Node {
    /// Returns whether the node is an array or a list.
    #[must_use]
    pub fn is_array(&self) -> bool {
        matches!(self.value, Value::Array(_) | Value::Packed(_))
    }

    /// Returns whether the type is that of a list or a tree.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.ty.layout(), Some(Layout::List | Layout::Tree))
    }

    /// Returns whether two nodes have the same names and values, regardless of their position in the stream.
    #[must_use]
    pub fn holds_same(&self, other: &Self) -> bool {
        let all = |a: &[Self], b: &[Self]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.holds_same(b));
        let (a, b) = (self, other);
        let head = a.name == b.name && a.ty == b.ty && a.range.len() == b.range.len() && a.problem == b.problem;
        head && match (&a.value, &b.value) {
            (Value::Struct(a), Value::Struct(b)) => {
                a.vmsd == b.vmsd
                    && a.version == b.version
                    && all(&a.fields, &b.fields)
                    && all(&a.subsections, &b.subsections)
            }
            (Value::Packed(p), Value::Packed(q)) if p == q => true,
            _ if a.is_array() && b.is_array() => {
                let (x, y) = (a.elements(), b.elements());
                x.len() == y.len() && x.iter().zip(y.iter()).all(|(a, b)| a.holds_same(&b))
            }
            (a, b) => a == b,
        }
    }
}
