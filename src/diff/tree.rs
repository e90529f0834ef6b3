//! Compares two trees of a section.

use std::fmt::Write;

use super::array;
use super::found::{Found, Raw, Side};
use super::meaning::{Change, Meaning};
use super::rules;
use crate::findings::sequence::{Step, align};
use crate::offset::Sure;
use crate::text::Name;
use crate::value::{Node, Record, Value};

/// Fields between two matching ones that are searched for renamed ones, on each side.
const MAX_RENAMED: usize = 64;

/// Compares trees of one section.
pub struct Comparer<'m> {
    meaning: Meaning<'m>,
    /// Where the comparison is, with exact indices.
    path: String,
}

impl<'m> Comparer<'m> {
    pub fn new(meaning: Meaning<'m>) -> Self {
        Self { meaning, path: String::new() }
    }

    /// Compares two corresponding nodes; paths are relative to them.
    pub fn node(&mut self, a: &Node, b: &Node, out: &mut Found) {
        match (&a.value, &b.value) {
            (Value::Struct(x), Value::Struct(y)) => self.record((a, x), (b, y), out),
            (Value::Null | Value::Present, Value::Null | Value::Present) if a.value == b.value => {}
            (Value::Null | Value::Present, _) | (_, Value::Null | Value::Present) => self.value(a, b, out),
            _ if a.is_array() && b.is_array() => array::compare(self, a, b, out),
            // an array of one element looks like the element in a description
            _ if (a.is_array() || b.is_array()) && a.ty == b.ty => array::compare(self, a, b, out),
            _ => self.leaf(a, b, out),
        }
    }

    /// Goes one step down for the time of a comparison, and puts the step before the paths of what was found.
    pub fn below(&mut self, name: &str, out: &mut Found, f: impl FnOnce(&mut Self, &mut Found)) {
        let (len, first) = (self.path.len(), out.len());
        if len > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        f(self, out);
        self.path.truncate(len);
        out.under(first, name);
    }

    /// The same for an element, whose index is put before the paths by [`super::found::Joined`].
    pub fn element(&mut self, index: usize, a: &Node, b: &Node) -> Found {
        let mut out = Found::default();
        if equal_leaves(a, b) {
            return out;
        }
        let len = self.path.len();
        let _ = write!(self.path, "[{index}]");
        self.node(a, b, &mut out);
        self.path.truncate(len);
        out
    }

    fn record(&mut self, (a, x): (&Node, &Record), (b, y): (&Node, &Record), out: &mut Found) {
        // an array of pointers may hold structures of several kinds
        if x.vmsd != y.vmsd {
            let side = |n: &Node, r: &Record| Some(Side::new(name_of(r), n.range));
            out.push(Raw::new(&rules::VMSD_NAME, "the structure has a different name", side(a, x), side(b, y)));
        }
        if x.version != y.version && !self.path.is_empty() {
            let side = |n: &Node, r: &Record| {
                let text = r.version.map_or_else(|| "none".to_owned(), |v| v.to_string());
                Some(Side::new(text, n.range))
            };
            let message = format!("the version of {} is another", name_of(y));
            out.push(Raw::new(&rules::VMSD_VERSION, message, side(a, x), side(b, y)));
        }
        self.fields(&x.fields, &y.fields, out);
        self.subsections(&x.subsections, &y.subsections, out);
    }

    fn fields(&mut self, a: &[Node], b: &[Node], out: &mut Found) {
        if a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.name == y.name) {
            for (x, y) in a.iter().zip(b) {
                self.field(x, y, out);
            }
            return;
        }
        let names = |n: &[Node]| -> Vec<Name> { n.iter().map(|n| n.name.clone()).collect() };
        let (names_a, names_b) = (names(a), names(b));
        let (ka, kb): (Vec<&str>, Vec<&str>) =
            (names_a.iter().map(|n| n.exact()).collect(), names_b.iter().map(|n| n.exact()).collect());
        let steps = align(&ka, &kb);
        for run in steps.chunk_by(|x, y| is_single(x) && is_single(y)) {
            self.run(run, a, b, out);
        }
    }

    /// Compares one pair, or looks for other names among those that only one side has.
    fn run(&mut self, run: &[Step], a: &[Node], b: &[Node], out: &mut Found) {
        let mut only_a: Vec<&Node> = Vec::new();
        let mut only_b: Vec<&Node> = Vec::new();
        for step in run {
            match *step {
                Step::Both(i, j) | Step::Moved(i, j) => {
                    let (Some(x), Some(y)) = (a.get(i), b.get(j)) else { continue };
                    if matches!(step, Step::Moved(..)) {
                        let side = |n: &Node, place: usize, all: &[Node]| {
                            Some(Side::new(behind(place.checked_sub(1).and_then(|p| all.get(p))), n.range))
                        };
                        let raw = Raw::new(
                            &rules::FIELD_MOVED,
                            "the field is at a different position",
                            side(x, i, a),
                            side(y, j, b),
                        );
                        out.push(raw.at(x.name.to_string()));
                    }
                    self.field(x, y, out);
                }
                Step::Before(i) => only_a.extend(a.get(i)),
                Step::After(j) => only_b.extend(b.get(j)),
            }
        }
        let mut left = only_b.as_slice();
        let few = only_a.len() <= MAX_RENAMED && only_b.len() <= MAX_RENAMED;
        for x in only_a {
            let hit = if few { left.iter().position(|y| interchangeable(x, y)) } else { None };
            let Some((y, at)) = hit.and_then(|at| left.get(at).map(|y| (*y, at))) else {
                let message = format!("the field is gone ({})", about(x));
                out.push(Raw::new(&rules::FIELD_REMOVED, message, shape(x), None).at(x.name.to_string()));
                continue;
            };
            for added in left.get(..at).unwrap_or_default() {
                self.added(added, out);
            }
            left = left.get(at.plus(1)..).unwrap_or_default();
            let side = |n: &Node, name: Option<String>| {
                let mut s = Side::new(n.name.to_string(), n.range);
                s.name = name;
                Some(s)
            };
            let message = format!("the field has another name ({})", about(x));
            let raw = Raw::new(&rules::FIELD_RENAMED, message, side(x, None), side(y, Some(y.name.to_string())));
            out.push(raw.at(x.name.to_string()));
            self.field(x, y, out);
        }
        for added in left {
            self.added(added, out);
        }
    }

    fn added(&self, y: &Node, out: &mut Found) {
        let message = format!("the field is new ({})", about(y));
        out.push(Raw::new(&rules::FIELD_ADDED, message, None, shape(y)).at(y.name.to_string()));
    }

    fn field(&mut self, a: &Node, b: &Node, out: &mut Found) {
        if !equal_leaves(a, b) {
            self.below(&a.name.to_string(), out, |c, out| c.node(a, b, out));
        }
    }

    fn subsections(&mut self, a: &[Node], b: &[Node], out: &mut Found) {
        let (ka, kb): (Vec<&str>, Vec<&str>) =
            (a.iter().map(|n| n.name.exact()).collect(), b.iter().map(|n| n.name.exact()).collect());
        for step in align(&ka, &kb) {
            match step {
                Step::Before(i) => out.extend_one(a.get(i), |n| {
                    Raw::new(&rules::SUBSECTION_REMOVED, "the subsection is gone", shape(n), None)
                        .at(n.name.to_string())
                }),
                Step::After(j) => out.extend_one(b.get(j), |n| {
                    Raw::new(&rules::SUBSECTION_ADDED, "the subsection is new", None, shape(n)).at(n.name.to_string())
                }),
                Step::Both(i, j) | Step::Moved(i, j) => {
                    let (Some(x), Some(y)) = (a.get(i), b.get(j)) else { continue };
                    if matches!(step, Step::Moved(..)) {
                        let side = |n: &Node, at: usize, all: &[Node]| {
                            Some(Side::new(behind(at.checked_sub(1).and_then(|p| all.get(p))), n.range))
                        };
                        let message = "the subsection is at a different position";
                        let raw = Raw::new(&rules::SUBSECTION_MOVED, message, side(x, i, a), side(y, j, b));
                        out.push(raw.at(x.name.to_string()));
                    }
                    self.field(x, y, out);
                }
            }
        }
    }

    fn leaf(&mut self, a: &Node, b: &Node, out: &mut Found) {
        if let Some(raw) = other_layout(a, b) {
            out.push(raw);
            return;
        }
        match (&a.value, &b.value) {
            (Value::Bytes(x) | Value::Opaque(x), Value::Bytes(y) | Value::Opaque(y)) => {
                array::buffer(self, (a, x.as_slice()), (b, y.as_slice()), out);
            }
            (x, y) if x == y => {}
            _ => self.value(a, b, out),
        }
    }

    fn value(&self, a: &Node, b: &Node, out: &mut Found) {
        let mut raw = Raw::new(&rules::FIELD_VALUE, "the value differs", shape(a), shape(b));
        raw.meaning = self.lines(a, b, None);
        out.push(raw);
    }

    /// Asks what a change means.
    pub fn lines(&self, a: &Node, b: &Node, bytes: Option<(usize, usize)>) -> Vec<String> {
        self.meaning.lines(&Change { path: &self.path, before: a, after: b, bytes })
    }
}

impl Found {
    fn extend_one(&mut self, node: Option<&Node>, f: impl FnOnce(&Node) -> Raw) {
        if let Some(n) = node {
            self.push(f(n));
        }
    }
}

/// Returns `true` if two leaves are certainly equal; anything else must be compared.
fn equal_leaves(a: &Node, b: &Node) -> bool {
    !matches!(a.value, Value::Struct(_) | Value::Array(_))
        && a.value == b.value
        && a.ty == b.ty
        && a.range.len() == b.range.len()
}

/// Returns the finding for leaves, or elements, that are not laid out alike.
pub fn other_layout(a: &Node, b: &Node) -> Option<Raw> {
    let composite = |n: &Node| n.is_array() || n.record().is_some();
    let sized = |n: &Node| !composite(n) && !matches!(n.value, Value::Text(_));
    let typed = |n: &Node| Some(Side::new(with_value(n), n.range));
    // what could not be decoded has the type that it would have had
    if a.ty != b.ty || composite(a) != composite(b) {
        return Some(Raw::new(&rules::FIELD_TYPE, "the type differs", typed(a), typed(b)));
    }
    if sized(a) && sized(b) && a.range.len() != b.range.len() {
        return Some(Raw::new(&rules::FIELD_SIZE, "the size differs", typed(a), typed(b)));
    }
    None
}

fn is_single(s: &Step) -> bool {
    matches!(s, Step::Before(_) | Step::After(_))
}

/// Returns whether one field may be the other under another name.
fn interchangeable(a: &Node, b: &Node) -> bool {
    let vmsd = |n: &Node| n.record().map(|r| r.vmsd.clone());
    a.ty == b.ty
        && a.range.len() == b.range.len()
        && (a.is_array() && b.is_array() || std::mem::discriminant(&a.value) == std::mem::discriminant(&b.value))
        && vmsd(a) == vmsd(b)
}

fn behind(n: Option<&Node>) -> String {
    n.map_or_else(|| "first".to_owned(), |n| format!("behind {}", n.name))
}

fn name_of(r: &Record) -> String {
    if r.vmsd.is_empty() { "a structure without a name".to_owned() } else { r.vmsd.to_string() }
}

/// Returns type and size in words.
fn about(n: &Node) -> String {
    format!("{}, {}", n.ty, bytes(n.range.len()))
}

fn bytes(n: u64) -> String {
    if n == 1 { "1 byte".to_owned() } else { format!("{n} bytes") }
}

fn with_value(n: &Node) -> String {
    match &n.value {
        Value::Struct(_) | Value::Array(_) | Value::Packed(_) => format!("{} ({})", text(n), about(n)),
        _ => format!("{} ({})", n.text(false), about(n)),
    }
}

/// Returns a node in words: its value, or what it is.
pub fn text(n: &Node) -> String {
    match &n.value {
        Value::Struct(r) => match r.version {
            Some(v) => format!("{} v{v}", name_of(r)),
            None => name_of(r),
        },
        _ if n.is_array() => format!("{} of {}", if n.is_list() { "list" } else { "array" }, n.elements().len()),
        _ => n.text(false),
    }
}

/// Returns the side of a node.
pub fn shape(n: &Node) -> Option<Side> {
    Some(Side::new(text(n), n.range))
}
