//! Compares arrays by ranges of elements, buffers by ranges of bytes, and lists by added and removed elements.

use super::found::{Found, Joined, Raw, Side};
use super::rules;
use super::tree::{Comparer, other_layout, shape};
use crate::offset::{StreamRange, Sure};
use crate::value::{Elements, Node, Value, bytes_text};

/// Bytes that are alike between two ranges, up to which they are one range: a register is seldom longer.
const GAP: usize = 4;
/// Bytes that are always printed as digits.
const SOME_BYTES: usize = 16;
/// Ranges of one buffer that are listed; the last one covers all that follow.
const MAX_RANGES: usize = 64;

/// Compares arrays or lists; one of the two may be a bare element.
pub fn compare(c: &mut Comparer<'_>, a: &Node, b: &Node, out: &mut Found) {
    let (x, y) = (a.elements(), b.elements());
    if a.is_list() && a.ty == b.ty {
        return list(c, x, y, out);
    }
    let pointer = |n: &Node| matches!(n.value, Value::Null | Value::Present);
    if let (Some(first), Some(other)) = (x.first(), y.first())
        && !pointer(&first)
        && !pointer(&other)
        && let Some(mut raw) = other_layout(&first, &other)
    {
        // once for the array, not once for each element
        (raw.before, raw.after) = (shape_of(a, &first), shape_of(b, &other));
        out.push(raw);
        return;
    }
    if x.len() != y.len() {
        let side = |n: &Node, len: usize| Some(Side::new(elements(len), n.range));
        let message = "the array has a different length";
        out.push(Raw::new(&rules::ARRAY_LENGTH, message, side(a, x.len()), side(b, y.len())));
    }
    let mut joined = Joined::new(out);
    if x.has_layout_of(y) {
        return packed(c, x, y, &mut joined);
    }
    for (i, (p, q)) in x.iter().zip(y).enumerate() {
        joined.add(i, c.element(i, &p, &q));
    }
}

/// Compares arrays of one layout: only elements whose bytes differ are made.
fn packed(c: &mut Comparer<'_>, x: Elements<'_>, y: Elements<'_>, joined: &mut Joined<'_>) {
    let leaves = x.first().is_some_and(|e| !e.is_array() && e.record().is_none() && e.as_bytes().is_none());
    let mut i = x.next_difference(y, 0);
    while let (Some(p), Some(q)) = (x.get(i), y.get(i)) {
        let before = i.checked_sub(1);
        let repeats = |all: Elements<'_>| before.is_some_and(|b| all.alike(i, all, b));
        if !leaves || !joined.count(i, (&p, repeats(x)), (&q, repeats(y))) {
            joined.add(i, c.element(i, &p, &q));
        }
        let next = i.plus(1);
        i = x.next_difference(y, next);
        if i != next {
            joined.close();
        }
    }
}

fn elements(n: usize) -> String {
    if n == 1 { "1 element".to_owned() } else { format!("{n} elements") }
}

fn shape_of(array: &Node, first: &Node) -> Option<Side> {
    let each = first.range.len();
    Some(Side::new(format!("{} of {}, {each} bytes each", elements(array.elements().len()), first.ty), array.range))
}

/// Compares lists: equal elements at both ends are skipped, the rest is compared in order, and elements left over on
/// one side were added or removed.
fn list(c: &mut Comparer<'_>, a: Elements<'_>, b: Elements<'_>, out: &mut Found) {
    let mut joined = Joined::new(out);
    if a.len() == b.len() {
        for (i, (p, q)) in a.iter().zip(b).enumerate() {
            joined.add(i, c.element(i, &p, &q));
        }
        return;
    }
    // the elements of lists are nodes of the tree
    let (Elements::Nodes(a), Elements::Nodes(b)) = (a, b) else { return };
    let same = |c: &mut Comparer<'_>, p: &Node, q: &Node| c.element(0, p, q).is_empty();
    let mut front = 0;
    while let (Some(p), Some(q)) = (a.get(front), b.get(front)) {
        if !same(c, p, q) {
            break;
        }
        front.tally(1);
    }
    let (ra, rb) = (a.get(front..).unwrap_or_default(), b.get(front..).unwrap_or_default());
    let back = ra.iter().rev().zip(rb.iter().rev()).take_while(|(p, q)| same(c, p, q)).count();
    let (na, nb) = (ra.len().minus(back), rb.len().minus(back));
    let both = na.min(nb);
    for (i, (p, q)) in ra.iter().zip(rb).take(both).enumerate() {
        let at = front.plus(i);
        joined.add(at, c.element(at, p, q));
    }
    let rest = |n: &[Node], end: usize| -> Vec<(usize, Node)> {
        let kept = n.get(both..end).unwrap_or_default();
        kept.iter().enumerate().map(|(i, n)| (front.plus(both).plus(i), n.clone())).collect()
    };
    for (i, n) in rest(ra, na) {
        let mut f = Found::default();
        f.push(Raw::new(&rules::ELEMENT_REMOVED, "the element was removed from the list", shape(&n), None));
        joined.add(i, f);
    }
    for (i, n) in rest(rb, nb) {
        let mut f = Found::default();
        f.push(Raw::new(&rules::ELEMENT_ADDED, "the element was added to the list", None, shape(&n)));
        joined.add(i, f);
    }
}

/// Compares buffers of one length: the nodes, and the bytes of each.
pub fn buffer(c: &Comparer<'_>, (a, x): (&Node, &[u8]), (b, y): (&Node, &[u8]), out: &mut Found) {
    for (from, to, count) in ranges(x, y) {
        let index = match to.checked_sub(1) {
            Some(last) if last > from => format!("[{from:#04x}..{last:#04x}]"),
            _ => format!("[{from:#04x}]"),
        };
        let side = |n: &Node, all: &[u8]| {
            // the bytes of a text in the tree are its range; those of a custom layout begin elsewhere
            let whole = n.range.len() == all.len() as u64;
            let start = if whole { n.range.start.0.plus(from as u64) } else { n.range.start.0 };
            let range = if whole { StreamRange::with_len(start, (to.minus(from)) as u64) } else { n.range };
            Some(Side::new(hex(all.get(from..to).unwrap_or_default()), range))
        };
        let message = match (count, to.minus(from)) {
            (1, 1) => "the byte differs".to_owned(),
            (n, len) if n == len => format!("{n} bytes differ"),
            (n, len) => format!("{n} of {len} bytes differ"),
        };
        let mut raw = Raw::new(&rules::FIELD_VALUE, message, side(a, x), side(b, y)).at(index);
        raw.meaning = c.lines(a, b, Some((from, to)));
        out.push(raw);
    }
}

/// Returns a few bytes in hexadecimal; zeros among other bytes are easiest to see as digits.
fn hex(bytes: &[u8]) -> String {
    if bytes.len() > SOME_BYTES {
        return match bytes.first() {
            Some(b) if bytes.iter().all(|c| c == b) => format!("{} × {b:02x}", bytes.len()),
            _ => bytes_text(bytes, false),
        };
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

/// Returns the ranges of bytes that differ, and how many differ in each; the last one is up to the last byte.
fn ranges(x: &[u8], y: &[u8]) -> Vec<(usize, usize, usize)> {
    const BLOCK: usize = 4096;
    let mut out: Vec<(usize, usize, usize)> = Vec::new();
    let blocks = x.chunks(BLOCK).zip(y.chunks(BLOCK)).enumerate().filter(|(_, (p, q))| p != q);
    for (block, (p, q)) in blocks {
        let start = block.times(BLOCK);
        for (i, _) in p.iter().zip(q).enumerate().filter(|(_, (p, q))| p != q) {
            let at = start.plus(i);
            let end = at.plus(1);
            let full = out.len() >= MAX_RANGES;
            match out.last_mut() {
                Some((_, to, n)) if full || at.minus(*to) < GAP => {
                    *to = end;
                    n.tally(1);
                }
                _ => out.push((at, end, 1)),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::diff::meaning::Meaning;
    use crate::findings::Subject;
    use crate::value::FieldType;

    fn array(ty: &str, values: &[u64]) -> Node {
        let leaf = |v: &u64| Node::new("l", FieldType::new(ty), StreamRange::with_len(0, 1), Value::Uint(*v));
        let range = StreamRange::with_len(0, values.len() as u64);
        Node::new("l", FieldType::new(ty), range, Value::Array(values.iter().map(leaf).collect()))
    }

    fn told(a: &Node, b: &Node) -> Vec<String> {
        let mut found = Found::default();
        let mut c = Comparer::new(Meaning { idstr: "", vmsd: "", roots: None });
        c.below("l", &mut found, |c, out| c.node(a, b, out));
        let all = found.finish(&Subject::section("s", 0));
        all.iter().map(|d| format!("{} {}", d.rule.id, d.subject.field)).collect()
    }

    #[test]
    fn lists_keep_what_is_alike_at_both_ends() {
        let list = |values: &[u64]| array("qtailq", values);
        assert_eq!(told(&list(&[1, 2, 3]), &list(&[1, 9, 2, 3])), ["element-added l[1]"]);
        assert_eq!(told(&list(&[1, 2, 3, 4]), &list(&[1, 4])), ["element-removed l[1..2]"]);
        assert_eq!(told(&list(&[]), &list(&[1])), ["element-added l[0]"]);
        assert_eq!(told(&list(&[1, 2, 3]), &list(&[1, 7, 8, 3])), ["field-value l[1]", "element-added l[2]"]);
        assert_eq!(told(&list(&[1, 2]), &list(&[1, 3])), ["field-value l[1]"]);
        assert_eq!(told(&array("uint8", &[1, 2]), &array("uint8", &[1])), ["array-length l"]);
    }

    #[test]
    fn millions_of_elements_are_a_few_findings() {
        let a = array("uint8", &vec![1; 1 << 20]);
        assert_eq!(told(&a, &array("uint8", &vec![2; 1 << 20])), ["field-value l[0..1048575]"]);
        let every_second: Vec<u64> = (0..1 << 20).map(|i| 1 + i % 2).collect();
        let all = told(&a, &array("uint8", &every_second));
        assert!(all.len() < 30_000 && all.last().unwrap().starts_with("too-many"), "{}", all.len());
        let (mut x, mut y) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        (0..x.len()).step_by(9).for_each(|i| x[i] = 1);
        y[7] = 3;
        let buffer = |v: Vec<u8>| {
            let range = StreamRange::with_len(0, v.len() as u64);
            Node::new("l", FieldType::new("buffer"), range, Value::Bytes(crate::value::Blob::new(v)))
        };
        let all = told(&buffer(x), &buffer(y));
        assert_eq!(all.len(), MAX_RANGES);
        assert!(all.last().unwrap().ends_with("..0xffffc]"), "{all:?}");
    }

    #[test]
    fn ranges_closer_than_four_bytes_are_one() {
        let mut x = [0_u8; 32];
        for i in [3, 4, 8, 13] {
            x[i] = 1;
        }
        assert_eq!(ranges(&x, &[0; 32]), [(3, 9, 3), (13, 14, 1)]);
        assert_eq!(ranges(&x, &x), []);
    }
}
