//! Which field answers to which: names, where a vmsd has several fields of one name.
//!
//! Devices read what older releases wrote by listing a field twice, each under its condition. A dump has both under one name;
//! a description has the one that was sent, and since QEMU 7.0 with its number: `config[1]` is the second of that name
//! (`vmfield_name_is_unique` in `migration/vmstate.c`).

use std::collections::HashMap;

use super::layout::Slot;
use crate::offset::Sure;
use crate::text::Name;

/// Splits `config[1]` into the name and the number; names may have such an end of their own.
fn numbered(name: &str) -> (&str, Option<usize>) {
    let cut = name.strip_suffix(']').and_then(|n| n.rsplit_once('['));
    let number = cut.and_then(|(base, n)| Some((base, n.parse().ok()?)));
    number.map_or((name, None), |(base, n)| (base, Some(n)))
}

/// Returns the names by which the fields of one side are matched with those of the other: where only one side numbers fields
/// of one name, the other's are numbered too.
pub fn of<'s>(own: &[&'s Slot], other: &[&Slot]) -> Vec<Name> {
    let numbers: std::collections::HashSet<&str> = other
        .iter()
        .filter_map(|s| match numbered(s.name.exact()) {
            (base, Some(_)) => Some(base),
            _ => None,
        })
        .collect();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let name = |s: &&'s Slot| {
        // padding has no name worth the word: its number depends on how much of it there is before
        if numbered(s.name.exact()).0 == "unused" {
            return s.width.map_or_else(|| s.name.clone(), |w| format!("unused of {w}").into());
        }
        let n = seen.entry(s.name.exact()).or_default();
        let here = *n;
        n.tally(1);
        if numbers.contains(s.name.exact()) { format!("{}[{here}]", s.name.exact()).into() } else { s.name.clone() }
    };
    own.iter().map(name).collect()
}

/// Leaves out conditional fields of a name that the target has more often than the stream, which does not number them: of
/// alternatives, one was sent, and it is rather the unconditional one, or one of the same size.
pub fn without_alternatives<'a>(saved: &[&Slot], target: Vec<&'a Slot>) -> Vec<&'a Slot> {
    let mut sent: HashMap<&str, Vec<&Slot>> = HashMap::new();
    for s in saved {
        sent.entry(s.name.exact()).or_default().push(s);
    }
    let mut there: HashMap<&str, usize> = HashMap::new();
    for t in &target {
        let n = there.entry(t.name.exact()).or_default();
        n.tally(1);
    }
    let mut keep = vec![true; target.len()];
    // first those of another size, then any
    for any in [false, true] {
        for (t, keep) in target.iter().zip(&mut keep) {
            let Some(same) = sent.get(t.name.exact()) else { continue };
            let Some(n) = there.get_mut(t.name.exact()).filter(|n| **n > same.len()) else { continue };
            let fits = same.iter().any(|s| s.width == t.width);
            if *keep && t.conditional && (any || !fits) {
                *keep = false;
                *n = n.minus(1);
            }
        }
    }
    target.into_iter().zip(keep).filter(|(_, k)| *k).map(|(t, _)| t).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(name: &str, width: u64, conditional: bool) -> Slot {
        Slot { name: name.into(), ty: None, width: Some(width), count: None, since: 0, conditional, inner: Vec::new() }
    }

    #[test]
    fn numbers_are_given_where_the_other_side_has_them() {
        let (a, b) = (slot("config[1]", 4096, false), slot("config", 256, true));
        let c = slot("config", 4096, true);
        let texts = |own: &[&Slot], other: &[&Slot]| of(own, other).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&[&b, &c], &[&a]), ["config[0]", "config[1]"]);
        assert_eq!(texts(&[&a], &[&b, &c]), ["config[1]"]);
        assert_eq!(texts(&[&b, &c], &[&b]), ["config", "config"]);
        let (a, b) = (slot("unused[0]", 512, false), slot("unused[1]", 512, false));
        assert_eq!(texts(&[&a], &[&b]), texts(&[&b], &[&a]), "padding goes by its size");
        let own = slot("env.regs[3]", 8, false);
        assert_eq!(texts(&[&own], &[&own]), ["env.regs[3]"]);
    }

    #[test]
    fn of_alternatives_the_one_that_fits_is_kept() {
        let (small, large, sent) = (slot("c", 256, true), slot("c", 4096, true), slot("c", 4096, false));
        assert_eq!(without_alternatives(&[&sent], vec![&small, &large]), [&large]);
        let always = slot("c", 4, false);
        assert_eq!(without_alternatives(&[&slot("c", 4, false)], vec![&slot("c", 4, true), &always]), [&always]);
        assert_eq!(without_alternatives(&[], vec![&small, &large]).len(), 2, "nothing was sent of them");
    }
}
