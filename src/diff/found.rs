//! Findings on their way out of a tree: each place outside of an array adds to the path, neighbours in an array are joined.

use crate::findings::{Aspect, Difference, Rule, Severity, Subject};
use crate::offset::{StreamRange, Sure};
use crate::value::Node;

use super::rules;

/// Findings that are kept of one section; further ones are counted.
const MAX_FOUND: usize = 20_000;
/// Values that are printed of a range of elements.
const SOME_VALUES: usize = 6;
/// Elements of a range that are asked what their change means; only ranges of numbers are longer.
const SOME_ASKED: usize = 4_096;
/// Lines of meaning that are kept of a range of elements.
const SOME_LINES: usize = 8;

/// One side's content: a value, or the values of neighbouring elements as runs of equal ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// The name there, when the field has another.
    pub name: Option<String>,
    runs: Vec<(String, u64)>,
    more: u64,
    range: Option<StreamRange>,
}

impl Side {
    pub fn new(text: impl Into<String>, range: StreamRange) -> Self {
        Self { name: None, runs: vec![(text.into(), 1)], more: 0, range: Some(range) }
    }

    fn count(&self) -> u64 {
        self.runs.iter().fold(self.more, |n, (_, k)| n.plus(*k))
    }

    fn append(&mut self, other: Self) {
        for (text, n) in other.runs {
            let room = self.runs.len() < SOME_VALUES;
            match self.runs.last_mut() {
                Some((last, k)) if *last == text && self.more == 0 => *k = k.plus(n),
                _ if room => self.runs.push((text, n)),
                _ => self.more = self.more.plus(n),
            }
        }
        self.more = self.more.plus(other.more);
        if let (Some(r), Some(o)) = (&mut self.range, other.range) {
            *r = StreamRange::new(r.start.0.min(o.start.0), r.end.0.max(o.end.0));
        }
    }

    /// Returns whether one more value needs no text: it repeats the one before it, or is one of those that are not printed.
    fn can_count(&self, repeats: bool) -> bool {
        repeats || self.more > 0
    }

    fn count_one(&mut self, range: StreamRange) {
        match self.runs.last_mut() {
            Some((_, n)) if self.more == 0 => n.tally(1),
            _ => self.more.tally(1),
        }
        if let Some(r) = &mut self.range {
            *r = StreamRange::new(r.start.0.min(range.start.0), r.end.0.max(range.end.0));
        }
    }

    fn aspect(self, path: Option<String>) -> Aspect {
        let one = |(text, n): &(String, u64)| if *n > 1 { format!("{text} × {n}") } else { text.clone() };
        let mut text = self.runs.iter().map(one).collect::<Vec<_>>().join(", ");
        if self.more > 0 {
            text += &format!(", … {} more", self.more);
        }
        Aspect { path, text, range: self.range }
    }
}

/// A finding below some node; the path is relative to it.
#[derive(Clone, Debug)]
pub struct Raw {
    pub rule: &'static Rule,
    pub path: String,
    pub message: String,
    pub before: Option<Side>,
    pub after: Option<Side>,
    pub meaning: Vec<String>,
}

impl Raw {
    pub fn new(rule: &'static Rule, message: impl Into<String>, before: Option<Side>, after: Option<Side>) -> Self {
        Self { rule, path: String::new(), message: message.into(), before, after, meaning: Vec::new() }
    }

    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Returns whether two findings of neighbouring elements are of one kind, at the same place in the element.
    fn joins(&self, next: &Self) -> bool {
        self.rule == next.rule && self.path == next.path
    }

    fn append(&mut self, next: Self) {
        for (to, from) in [(&mut self.before, next.before), (&mut self.after, next.after)] {
            if let (Some(t), Some(f)) = (to, from) {
                t.append(f);
            }
        }
        let room = SOME_LINES.saturating_sub(self.meaning.len());
        self.meaning.extend(next.meaning.into_iter().take(room));
    }

    /// Adds the numbers of a neighbour without their text, if neither is printed.
    fn count(&mut self, (p, p_repeats): (&Node, bool), (q, q_repeats): (&Node, bool)) -> bool {
        let (Some(x), Some(y)) = (&mut self.before, &mut self.after) else { return false };
        let can = *self.rule == rules::FIELD_VALUE && x.can_count(p_repeats) && y.can_count(q_repeats);
        if can {
            x.count_one(p.range);
            y.count_one(q.range);
        }
        can
    }

    /// Puts what is around it before its path.
    fn under(&mut self, outer: &str) {
        let dot = !self.path.is_empty() && !self.path.starts_with('[');
        self.path = [outer, if dot { "." } else { "" }, &self.path].concat();
    }

    fn finish(self, subject: &Subject) -> Difference {
        let Self { rule, path, mut message, before, after, meaning } = self;
        let values = before.as_ref().map_or(0, Side::count);
        if values > 1 && *rule == rules::FIELD_VALUE {
            message = format!("{values} values differ");
        }
        let renamed = |name: Option<String>| {
            let parent = path.rfind('.').and_then(|i| path.get(..=i)).unwrap_or_default();
            name.map(|n| format!("{parent}{n}"))
        };
        let aspect = |s: Option<Side>| {
            s.map(|mut s| {
                let path = renamed(s.name.take());
                s.aspect(path)
            })
        };
        let (before, after) = (aspect(before), aspect(after));
        Difference { rule, severity: Severity::Differs, subject: subject.field(path), message, before, after, meaning }
    }
}

/// Findings, as many as are kept.
#[derive(Debug, Default)]
pub struct Found {
    list: Vec<Raw>,
    dropped: u64,
}

impl Found {
    pub fn push(&mut self, raw: Raw) {
        if self.list.len() < MAX_FOUND {
            self.list.push(raw);
        } else {
            self.dropped.tally(1);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.dropped == 0
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Puts a name before the paths of the findings from `first` on.
    pub fn under(&mut self, first: usize, outer: &str) {
        self.list.get_mut(first..).unwrap_or_default().iter_mut().for_each(|r| r.under(outer));
    }

    /// Takes the findings of the next element of an array when they are of the same kinds; returns them otherwise.
    fn join(&mut self, next: Self) -> Option<Self> {
        let same = self.dropped == 0
            && next.dropped == 0
            && self.list.len() == next.list.len()
            && self.list.iter().zip(&next.list).all(|(a, b)| a.joins(b));
        if !same {
            return Some(next);
        }
        for (a, b) in self.list.iter_mut().zip(next.list) {
            a.append(b);
        }
        None
    }

    pub fn finish(self, subject: &Subject) -> Vec<Difference> {
        let mut out: Vec<Difference> = self.list.into_iter().map(|r| r.finish(subject)).collect();
        if self.dropped > 0 {
            let message = format!("{} more differences not listed", self.dropped);
            let raw = Raw::new(&rules::TOO_MANY, message, None, None);
            out.push(raw.finish(subject));
        }
        out
    }
}

/// The findings of an array, element by element.
pub struct Joined<'o> {
    out: &'o mut Found,
    open: Option<(usize, usize, Found)>,
}

impl<'o> Joined<'o> {
    pub fn new(out: &'o mut Found) -> Self {
        Self { out, open: None }
    }

    /// Adds what was found in an element.
    pub fn add(&mut self, index: usize, found: Found) {
        if found.is_empty() {
            return self.close();
        }
        let mut found = Some(found);
        if let Some((_, last, group)) = &mut self.open
            && last.checked_add(1) == Some(index)
        {
            found = found.and_then(|f| group.join(f));
            if found.is_none() {
                *last = index;
            }
        }
        if let Some(f) = found {
            self.close();
            self.open = Some((index, index, f));
        }
    }

    /// Adds a number that differs without a finding of its own, where that makes no difference to what is printed: in a
    /// long range, or where no more findings are kept. Each side says whether the number repeats the one before it.
    pub fn count(&mut self, index: usize, before: (&Node, bool), after: (&Node, bool)) -> bool {
        let Some((first, last, group)) = &mut self.open else {
            // a range begins, of which only the index is kept
            if self.out.list.len() >= MAX_FOUND {
                self.open = Some((index, index, Found { list: Vec::new(), dropped: 1 }));
                return true;
            }
            return false;
        };
        if last.checked_add(1) != Some(index) {
            return false;
        }
        let counted = match group.list.as_mut_slice() {
            [] => true,
            [raw] if index.minus(*first) >= SOME_ASKED => raw.count(before, after),
            _ => false,
        };
        if counted {
            *last = index;
        }
        counted
    }

    /// Ends the open range.
    pub fn close(&mut self) {
        let Some((first, last, group)) = self.open.take() else { return };
        let index = if first == last { format!("[{first}]") } else { format!("[{first}..{last}]") };
        for mut raw in group.list {
            raw.under(&index);
            self.out.push(raw);
        }
        self.out.dropped = self.out.dropped.plus(group.dropped);
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(path: &str, before: &str, after: &str) -> Found {
        let mut f = Found::default();
        let side = |t: &str| Some(Side::new(t, StreamRange::with_len(8, 4)));
        f.push(Raw::new(&rules::FIELD_VALUE, "x", side(before), side(after)).at(path));
        f
    }

    #[test]
    fn neighbours_are_joined() {
        let mut out = Found::default();
        let mut e = Joined::new(&mut out);
        for i in 3..12 {
            e.add(i, value("", &i.to_string(), "0"));
        }
        e.add(14, value("", "1", "0"));
        e.add(15, value("x", "1", "0"));
        drop(e);
        out.under(0, "env.regs");
        let all = out.finish(&Subject::section("cpu", 0));
        let texts: Vec<String> = all.iter().map(|d| d.subject.to_string()).collect();
        assert_eq!(texts, ["cpu > env.regs[3..11]", "cpu > env.regs[14]", "cpu > env.regs[15].x"]);
        assert_eq!(all[0].before.as_ref().unwrap().text, "3, 4, 5, 6, 7, 8, … 3 more");
        assert_eq!(all[0].after.as_ref().unwrap().text, "0 × 9");
        assert_eq!(all[0].message, "9 values differ");
    }

    #[test]
    fn what_is_not_kept_is_counted() {
        let mut out = Found::default();
        for _ in 0..MAX_FOUND + 5 {
            out.push(Raw::new(&rules::FIELD_ADDED, "x", None, None));
        }
        let all = out.finish(&Subject::section("a", 0));
        assert_eq!(all.len(), MAX_FOUND + 1);
        assert!(all.last().unwrap().message.starts_with("5 more"));
    }
}
