//! Addresses inside a tree: `cpu/fpu > env.vregs[0][0]`.

use std::fmt;
use std::ops::Range;

use super::{Elements, Node, Value};
use crate::offset::Sure;

/// A pattern for nodes below a device, such as `env.regs[3]`, `parent_obj.config[0]` or `cpu/*.env.*`.
///
/// A pattern is a list of parts joined by ` > ` or by `.`. Since names contain dots themselves, a part is matched
/// against as much of the name as needed. `*` matches any characters and `?` any one. A number in brackets at the end
/// selects an element of an array, unless the name itself contains that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    pattern: String,
}

impl FieldPath {
    /// Creates a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self { pattern: pattern.replace(" > ", ".") }
    }

    /// Returns the nodes below `root` that match, with their full path, outermost matches only.
    #[must_use]
    pub fn select(&self, root: &Node) -> Vec<(String, Node)> {
        let mut out = Vec::new();
        self.visit(root, &mut |path, node| {
            out.push((path.to_owned(), node.clone()));
            true
        });
        out
    }

    /// Same as [`FieldPath::select`], but calls `f` with each node in turn until it returns `false`.
    pub fn visit(&self, root: &Node, f: &mut dyn FnMut(&str, &Node) -> bool) -> bool {
        self.below(root, "", f)
    }

    fn below(&self, root: &Node, prefix: &str, f: &mut dyn FnMut(&str, &Node) -> bool) -> bool {
        match &root.value {
            Value::Struct(r) => r.children().all(|c| {
                let path = if prefix.is_empty() { c.name.to_string() } else { format!("{prefix}.{}", c.name) };
                self.node(c, &path, f)
            }),
            Value::Array(_) | Value::Packed(_) => {
                let elements = root.elements();
                let leaves = elements.first().is_some_and(|e| !e.is_array() && e.record().is_none());
                let mut candidates = self.candidates(prefix, elements, leaves);
                candidates.all(|i| elements.get(i).is_none_or(|e| self.node(&e, &format!("{prefix}[{i}]"), f)))
            }
            _ => true,
        }
    }

    /// Passes a matching node to `f`, or searches below it.
    fn node(&self, node: &Node, path: &str, f: &mut dyn FnMut(&str, &Node) -> bool) -> bool {
        if matches_glob(&self.pattern, path) { f(path, node) } else { self.below(node, path, f) }
    }

    /// Returns the indices of elements that can match or contain a match. Avoids looking at every element of a large
    /// array if the pattern names one index, or nothing inside the array.
    fn candidates(&self, prefix: &str, elements: Elements<'_>, leaves: bool) -> Range<usize> {
        let wild = |c: char| matches!(c, '*' | '?');
        let head = self.pattern.find(wild).and_then(|i| self.pattern.get(..i)).unwrap_or(&self.pattern);
        let can_end = self.pattern.ends_with(|c| c == ']' || wild(c));
        if matches!(elements, Elements::Packed(..)) && leaves && !can_end {
            return 0..0;
        }
        match head.strip_prefix(prefix) {
            Some(rest) => {
                let index = rest.strip_prefix('[').and_then(|r| r.split_once(']')).and_then(|(i, _)| i.parse().ok());
                match index {
                    Some(i) if i < elements.len() => i..i.plus(1),
                    Some(_) => 0..0,
                    None => 0..elements.len(),
                }
            }
            // the pattern has a wildcard before the end of the prefix, or does not match it
            None if prefix.starts_with(head) => 0..elements.len(),
            None => 0..0,
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
}

/// Matches text against a pattern with `*` and `?`; brackets are plain text, since QEMU's names are full of them.
#[must_use]
pub fn matches_glob(pattern: &str, text: &str) -> bool {
    let p: Vec<char> = pattern.chars().collect();
    let t: Vec<char> = text.chars().collect();
    let (mut pi, mut ti) = (0_usize, 0_usize);
    let mut back: Option<(usize, usize)> = None;
    while let Some(c) = t.get(ti) {
        match p.get(pi) {
            Some('*') => {
                back = Some((pi, ti));
                pi.tally(1);
            }
            Some(q) if *q == '?' || q == c => {
                pi.tally(1);
                ti.tally(1);
            }
            _ => match back {
                Some((star, from)) => {
                    let from = from.plus(1);
                    back = Some((star, from));
                    pi = star.plus(1);
                    ti = from;
                }
                None => return false,
            },
        }
    }
    p.get(pi..).unwrap_or_default().iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::StreamRange;
    use crate::value::{FieldType, Record};

    fn uint(name: &str, v: u64) -> Node {
        Node::new(name, FieldType::new("uint8"), StreamRange::with_len(0, 1), Value::Uint(v))
    }

    fn record(name: &str, fields: Vec<Node>) -> Node {
        let r = Record { fields, ..Record::default() };
        Node::new(name, FieldType::new("struct"), StreamRange::default(), Value::Struct(Box::new(r)))
    }

    #[test]
    fn globs() {
        assert!(matches_glob("*virtio*", "0000:00:02.0/virtio-net"));
        assert!(matches_glob("a?c*", "abcd"));
        assert!(!matches_glob("a?c", "abcd"));
        assert!(matches_glob("env.regs[3]", "env.regs[3]"));
        assert!(!matches_glob("", "x"));
        assert!(matches_glob("*a*b", "xaxaxb"));
    }

    #[test]
    fn paths_find_elements_and_fields_of_structs() {
        let regs = Node::new(
            "env.regs",
            FieldType::new("uint8"),
            StreamRange::default(),
            Value::Array(vec![uint("env.regs", 5), uint("env.regs", 6)]),
        );
        let root = record("cpu", vec![regs, record("dev", vec![uint("config[0]", 7)])]);
        let hit = FieldPath::new("env.regs[1]").select(&root);
        assert_eq!(hit.len(), 1);
        assert_eq!(hit[0].1.as_u64(), Some(6));
        assert_eq!(FieldPath::new("dev > config[0]").select(&root)[0].1.as_u64(), Some(7));
        assert_eq!(FieldPath::new("env.*").select(&root).len(), 1, "the array, not its elements again");
    }
}
