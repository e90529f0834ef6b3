//! Compares two sequences of names: items in both, in only one, and moved ones.

use std::collections::HashMap;
use std::hash::Hash;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::offset::Sure;

/// One step through two sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// An item of both, by its index in each.
    Both(usize, usize),
    /// An item of both, at another place.
    Moved(usize, usize),
    /// An item of the first.
    Before(usize),
    /// An item of the second.
    After(usize),
}

/// The longest common subsequence is computed in a table of this many cells at most; longer sequences are matched by
/// name and occurrence, which gives the same result unless a name repeats.
const MAX_CELLS: usize = 1 << 22;

/// Aligns two sequences. What is in both and outside of the longest common order has moved.
pub fn align<K: Eq + Hash + Ord + Copy>(a: &[K], b: &[K]) -> Vec<Step> {
    let front = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (ra, rb) = (a.get(front..).unwrap_or_default(), b.get(front..).unwrap_or_default());
    let back = ra.iter().rev().zip(rb.iter().rev()).take_while(|(x, y)| x == y).count();
    let ra = ra.get(..ra.len().minus(back)).unwrap_or_default();
    let rb = rb.get(..rb.len().minus(back)).unwrap_or_default();
    let pairs = if ra.len().times(rb.len()) <= MAX_CELLS {
        let common = common(ra, rb);
        with_moved(ra, rb, common)
    } else {
        by_occurrence(ra, rb)
    };
    let mut out: Vec<Step> = (0..front).map(|i| Step::Both(i, i)).collect();
    merge(ra.len(), rb.len(), &pairs, front, &mut out);
    let (ea, eb) = (front.plus(ra.len()), front.plus(rb.len()));
    out.extend((0..back).map(|i| Step::Both(ea.plus(i), eb.plus(i))));
    out
}

/// A pair of indices, and whether it has moved.
type Pair = (usize, usize, bool);

/// Walks both in order. An item that moved is listed at its place in the first.
fn merge(na: usize, nb: usize, pairs: &[Pair], base: usize, out: &mut Vec<Step>) {
    let mut of_a: Vec<Option<(usize, bool)>> = vec![None; na];
    let mut taken = vec![false; nb];
    for (i, j, moved) in pairs {
        if let (Some(x), Some(y)) = (of_a.get_mut(*i), taken.get_mut(*j)) {
            *x = Some((*j, *moved));
            *y = true;
        }
    }
    let mut next = 0;
    let mut up_to = |j: usize, out: &mut Vec<Step>| {
        while next < j {
            if taken.get(next) == Some(&false) {
                out.push(Step::After(base.plus(next)));
            }
            next.tally(1);
        }
    };
    for (i, pair) in of_a.iter().enumerate() {
        let at = base.plus(i);
        match pair {
            None => out.push(Step::Before(at)),
            Some((j, true)) => out.push(Step::Moved(at, base.plus(*j))),
            Some((j, false)) => {
                up_to(*j, out);
                out.push(Step::Both(at, base.plus(*j)));
            }
        }
    }
    up_to(nb, out);
}

/// The longest common subsequence.
fn common<K: Eq + Hash + Ord>(a: &[K], b: &[K]) -> Vec<(usize, usize)> {
    let ops = capture_diff_slices(Algorithm::Myers, a, b);
    let equal = ops.into_iter().filter_map(|op| match op {
        DiffOp::Equal { old_index, new_index, len } => Some((old_index, new_index, len)),
        _ => None,
    });
    equal.flat_map(|(i, j, n)| (0..n).map(move |k| (i.plus(k), j.plus(k)))).collect()
}

/// Adds the pairs outside of the common order: the same name, left over on both sides.
fn with_moved<K: Eq + Hash + Ord + Copy>(a: &[K], b: &[K], common: Vec<(usize, usize)>) -> Vec<Pair> {
    let mut in_a = vec![false; a.len()];
    let mut in_b = vec![false; b.len()];
    for (i, j) in &common {
        in_a.get_mut(*i).into_iter().for_each(|x| *x = true);
        in_b.get_mut(*j).into_iter().for_each(|x| *x = true);
    }
    let mut left: HashMap<K, Vec<usize>> = HashMap::new();
    for (j, k) in b.iter().enumerate().rev().filter(|(j, _)| in_b.get(*j) == Some(&false)) {
        left.entry(*k).or_default().push(j);
    }
    let mut out: Vec<Pair> = common.into_iter().map(|(i, j)| (i, j, false)).collect();
    for (i, k) in a.iter().enumerate().filter(|(i, _)| in_a.get(*i) == Some(&false)) {
        out.extend(left.get_mut(k).and_then(Vec::pop).map(|j| (i, j, true)));
    }
    out
}

/// Matches the n-th of a name with the n-th of that name; what breaks the order has moved.
fn by_occurrence<K: Eq + Hash + Ord + Copy>(a: &[K], b: &[K]) -> Vec<Pair> {
    let mut places: HashMap<K, Vec<usize>> = HashMap::new();
    for (j, k) in b.iter().enumerate().rev() {
        places.entry(*k).or_default().push(j);
    }
    let mut pairs = Vec::new();
    for (i, k) in a.iter().enumerate() {
        pairs.extend(places.get_mut(k).and_then(Vec::pop).map(|j| (i, j)));
    }
    let order: Vec<usize> = pairs.iter().map(|(_, j)| *j).collect();
    let kept = increasing(&order);
    pairs.into_iter().zip(kept).map(|((i, j), kept)| (i, j, !kept)).collect()
}

/// Tells of each number whether it is in a longest increasing subsequence.
pub fn increasing(numbers: &[usize]) -> Vec<bool> {
    // the index of the number that ends the best run of each length, and of the number before each
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (i, n) in numbers.iter().enumerate() {
        let at = ends.partition_point(|e| numbers.get(*e).is_some_and(|m| m < n));
        before.push(at.checked_sub(1).and_then(|p| ends.get(p)).copied());
        match ends.get_mut(at) {
            Some(e) => *e = i,
            None => ends.push(i),
        }
    }
    let mut out = vec![false; numbers.len()];
    let mut at = ends.last().copied();
    while let Some(i) = at {
        out.get_mut(i).into_iter().for_each(|x| *x = true);
        at = before.get(i).copied().flatten();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Step::{After, Before, Both, Moved};
    use super::*;

    fn steps(a: &str, b: &str) -> Vec<Step> {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let out = align(&a, &b);
        let longer = by_occurrence(&a, &b).len();
        let pairs = out.iter().filter(|s| matches!(s, Both(..) | Moved(..))).count();
        assert_eq!(longer, pairs, "both ways match as many");
        out
    }

    #[test]
    fn names_are_matched_in_order() {
        assert_eq!(steps("abc", "abc"), [Both(0, 0), Both(1, 1), Both(2, 2)]);
        assert_eq!(steps("abc", "axc"), [Both(0, 0), Before(1), After(1), Both(2, 2)]);
        assert_eq!(steps("ac", "abc"), [Both(0, 0), After(1), Both(1, 2)]);
        assert_eq!(steps("xua", "uxua")[0], After(0), "the one beside its neighbours is the same one");
        assert_eq!(steps("abcd", "bcda"), [Moved(0, 3), Both(1, 0), Both(2, 1), Both(3, 2)]);
        assert_eq!(steps("", "a"), [After(0)]);
    }

    #[test]
    fn long_sequences_take_no_table() {
        let a: Vec<usize> = (0..100_000).collect();
        let mut b = a.clone();
        b.swap(0, 99_999);
        let out = align(&a, &b);
        assert_eq!(out.iter().filter(|s| matches!(s, Moved(..))).count(), 2);
        assert_eq!(out.len(), 100_000);
    }

    #[test]
    fn few_things_move() {
        assert_eq!(increasing(&[1, 2, 0, 3]), [true, true, false, true]);
        assert_eq!(increasing(&[]), [] as [bool; 0]);
        assert_eq!(increasing(&[3, 2, 1]).iter().filter(|k| **k).count(), 1);
    }
}
