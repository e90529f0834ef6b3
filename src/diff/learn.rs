//! Differences that occur on their own: learned from states of one machine between which nothing relevant happened.
//!
//! What differs among them is noise. The baseline is a list of accepted differences: fields whole, buffers by aligned words of four
//! bytes, arrays by the range of elements seen, lists whole when their length varies.

use std::collections::{BTreeMap, BTreeSet};

use super::rules;
use crate::findings::accepted::{Accepted, Entry};
use crate::findings::{Report, Rule, Subject};
use crate::offset::Sure;

/// Bytes to which ranges in buffers are rounded.
const WORD: u64 = 4;

/// Pairs of states that are compared to learn; with more states each is compared with the first and with the one before.
const ALL_PAIRS: usize = 8;

/// Returns which states are compared with which.
#[must_use]
pub fn pairs(states: usize) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    for j in 1..states {
        let from = if states <= ALL_PAIRS { 0 } else { j.saturating_sub(1) };
        out.extend((from..j).map(|i| (i, j)));
        if from > 0 {
            out.push((0, j));
        }
    }
    out
}

/// A place whose last index is a range, without that range.
type Place = (String, String);

/// Gathers the baseline.
#[derive(Default)]
pub struct Baseline {
    exact: BTreeSet<(String, Option<&'static str>)>,
    bytes: BTreeMap<Place, BTreeSet<(u64, u64)>>,
    elements: BTreeMap<Place, BTreeSet<(u64, u64)>>,
}

impl Baseline {
    /// Takes what differs between two states.
    pub fn learn(&mut self, report: &Report) {
        for d in &report.differences {
            self.take(d.rule, &d.subject);
        }
    }

    fn take(&mut self, rule: &'static Rule, subject: &Subject) {
        let both = |x: &'static Rule, y: &'static Rule| [Some(x.id), Some(y.id)];
        let either = [
            (&rules::SECTION_ADDED, &rules::SECTION_REMOVED),
            (&rules::SUBSECTION_ADDED, &rules::SUBSECTION_REMOVED),
            (&rules::FIELD_ADDED, &rules::FIELD_REMOVED),
            (&rules::COMMAND_ADDED, &rules::COMMAND_REMOVED),
        ];
        if let Some((x, y)) = either.iter().find(|(x, y)| rule == *x || rule == *y) {
            self.exact.extend(both(x, y).map(|r| (exact(subject), r)));
            return;
        }
        if [&rules::ELEMENT_ADDED, &rules::ELEMENT_REMOVED].contains(&rule) {
            let list = subject.field.rfind('[').and_then(|i| subject.field.get(..i)).unwrap_or(&subject.field);
            self.exact.insert((exact(&subject.field(list)), None));
            return;
        }
        if *rule == rules::ARRAY_LENGTH {
            self.exact.insert((exact(subject), None));
            return;
        }
        if let Some((place, kind)) = split(subject) {
            match kind {
                Index::Bytes(from, to) => self.bytes.entry(place).or_default().insert((from / WORD, to / WORD)),
                Index::Elements(from, to) => self.elements.entry(place).or_default().insert((from, to)),
            };
            return;
        }
        let by_rule = subject.section != "ram";
        self.exact.insert((exact(subject), by_rule.then_some(rule.id)));
    }

    /// Returns the baseline as accepted differences.
    #[must_use]
    pub fn finish(self, states: usize) -> Accepted {
        let reason = format!("changes on its own: learned from {states} states");
        let mut entries: Vec<Entry> = Vec::new();
        let mut add = |path: String, rule: Option<&str>| {
            let mut e = Entry::default();
            e.path = path;
            e.rule = rule.map(str::to_owned);
            e.reason.clone_from(&reason);
            e.learned = true;
            entries.push(e);
        };
        for (path, rule) in self.exact {
            add(path, rule);
        }
        for ((front, back), ranges) in self.bytes {
            let mut joined: Vec<(u64, u64)> = Vec::new();
            for (from, to) in ranges {
                match joined.last_mut() {
                    Some((_, last)) if from <= last.plus(1) => *last = to.max(*last),
                    _ => joined.push((from, to)),
                }
            }
            for (from, to) in joined {
                let first = from.times(WORD);
                let last = to.times(WORD).plus(3);
                let rule = if front.starts_with("ram > ") { None } else { Some(rules::FIELD_VALUE.id) };
                add(format!("{front}[{first:#04x}..{last:#04x}]{back}"), rule);
            }
        }
        for ((front, back), ranges) in self.elements {
            let rule = Some(rules::FIELD_VALUE.id);
            let first = ranges.iter().map(|(a, _)| *a).min().unwrap_or(0);
            let last = ranges.iter().map(|(_, b)| *b).max().unwrap_or(0);
            // single numbers may be parts of names, such as `env.cr[0]`
            if ranges.iter().all(|(a, b)| a == b) {
                for (n, _) in ranges {
                    add(format!("{front}[{n}]{back}"), rule);
                }
            } else {
                add(format!("{front}[{first}..{last}]{back}"), rule);
            }
        }
        let mut out = Accepted::default();
        out.entries = entries;
        out
    }
}

/// Moves what a baseline covers out of the way.
pub fn apply(baseline: &Accepted, report: &mut Report) {
    for d in std::mem::take(&mut report.differences) {
        match baseline.entries.iter().find(|e| e.matches(&d)) {
            Some(e) => report.accepted.push((d, e.reason.clone())),
            None => report.differences.push(d),
        }
    }
}

/// Returns the text that means this subject and no other instance.
fn exact(s: &Subject) -> String {
    let instance = s.instance.map(|n| format!(" ({n})")).unwrap_or_default();
    let field = if s.field.is_empty() { String::new() } else { format!(" > {}", s.field) };
    format!("{}{instance}{field}", s.section)
}

enum Index {
    Bytes(u64, u64),
    Elements(u64, u64),
}

/// Takes the last index out of the path of a value.
fn split(subject: &Subject) -> Option<(Place, Index)> {
    let open = subject.field.rfind('[')?;
    let close = subject.field.get(open..)?.find(']')?.checked_add(open)?;
    let inside = subject.field.get(open.checked_add(1)?..close)?;
    let (from, to) = inside.split_once("..").unwrap_or((inside, inside));
    let hex = |s: &str| u64::from_str_radix(s.strip_prefix("0x")?, 16).ok();
    let index = match (hex(from), hex(to)) {
        (Some(a), Some(b)) => Index::Bytes(a, b),
        _ => Index::Elements(from.parse().ok()?, to.parse().ok()?),
    };
    let front = exact(&subject.field(subject.field.get(..open)?));
    Some(((front, subject.field.get(close.checked_add(1)?..)?.to_owned()), index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Difference, Severity};

    fn report(found: &[(&'static Rule, &str)]) -> Report {
        let one = |(rule, field): &(&'static Rule, &str)| Difference {
            rule,
            severity: Severity::Differs,
            subject: Subject::section("rtc", 0).field(*field),
            message: String::new(),
            before: None,
            after: None,
            meaning: Vec::new(),
        };
        Report { differences: found.iter().map(one).collect(), ..Report::default() }
    }

    fn baseline(found: &[(&'static Rule, &str)]) -> Accepted {
        let mut m = Baseline::default();
        m.learn(&report(found));
        m.finish(3)
    }

    fn paths(found: &[(&'static Rule, &str)]) -> Vec<String> {
        let rule = |e: &Entry| e.rule.clone().unwrap_or_else(|| "any".to_owned());
        baseline(found).entries.iter().map(|e| format!("{} {}", rule(e), e.path)).collect()
    }

    #[test]
    fn a_mask_is_as_wide_as_it_says() {
        let v = &rules::FIELD_VALUE;
        assert_eq!(paths(&[(v, "a.b"), (v, "a.b")]), ["field-value rtc (0) > a.b"]);
        assert_eq!(
            paths(&[(v, "c[0x05]"), (v, "c[0x08..0x09]"), (v, "c[0x21]")]),
            ["field-value rtc (0) > c[0x04..0x0b]", "field-value rtc (0) > c[0x20..0x23]"]
        );
        assert_eq!(paths(&[(v, "r[3..5]"), (v, "r[9]")]), ["field-value rtc (0) > r[3..9]"]);
        assert_eq!(
            paths(&[(v, "env.cr[0]"), (v, "env.cr[4]")]),
            ["field-value rtc (0) > env.cr[0]", "field-value rtc (0) > env.cr[4]"],
            "the control registers between them are not covered"
        );
        assert_eq!(paths(&[(v, "vq[1..2].idx")]), ["field-value rtc (0) > vq[1..2].idx"]);
        assert_eq!(paths(&[(&rules::ELEMENT_ADDED, "q.list[3]")]), ["any rtc (0) > q.list"]);
        assert_eq!(
            paths(&[(&rules::SUBSECTION_ADDED, "rtc/irq")]),
            ["subsection-added rtc (0) > rtc/irq", "subsection-removed rtc (0) > rtc/irq"]
        );
    }

    #[test]
    fn what_is_not_covered_counts() {
        let v = &rules::FIELD_VALUE;
        let m = baseline(&[(v, "c[0x05]"), (v, "r[3..5]"), (v, "t")]);
        let mut r =
            report(&[(v, "c[0x06..0x07]"), (v, "c[0x07..0x08]"), (v, "r[4]"), (v, "r[5..6]"), (v, "t"), (v, "u")]);
        apply(&m, &mut r);
        let left: Vec<&str> = r.differences.iter().map(|d| d.subject.field.as_str()).collect();
        assert_eq!(left, ["c[0x07..0x08]", "r[5..6]", "u"]);
        assert_eq!(r.accepted[0].1, "changes on its own: learned from 3 states");
        let mut other = report(&[(&rules::FIELD_SIZE, "t")]);
        apply(&m, &mut other);
        assert_eq!(other.differences.len(), 1, "only the value may change");
    }

    #[test]
    fn many_states_are_compared_with_few() {
        assert_eq!(pairs(3), [(0, 1), (0, 2), (1, 2)]);
        assert_eq!(pairs(100).len(), 197);
        assert!(pairs(0).is_empty() && pairs(1).is_empty());
    }
}
