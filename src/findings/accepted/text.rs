//! Writes a file of accepted differences, and preserves the text of an existing one.

use std::collections::HashSet;
use std::fmt;

use toml::Value;

use super::{Accepted, Entry, Fate};
use crate::findings::{Difference, Report, Subject, accepted};
use crate::offset::Sure;

impl Accepted {
    /// Creates an entry for everything that counts in a report, with a reason that is still to be given.
    #[must_use]
    pub fn from_report(report: &Report) -> Self {
        let own = [&accepted::ACCEPTED_EXPIRED, &accepted::ACCEPTED_VERSION_UNKNOWN, &accepted::ACCEPTED_UNUSED];
        let mut out = Self::default();
        let mut seen = HashSet::new();
        for d in report.differences.iter().filter(|d| !own.contains(&d.rule)) {
            let entry = Entry::of(d);
            if seen.insert(entry.to_string()) {
                out.entries.push(entry);
            }
        }
        out
    }

    /// Returns a copy without entries that have expired or no longer match, if they were applied, were learned, or
    /// are for other versions.
    #[must_use]
    pub fn kept(&self, fates: &[Fate]) -> Self {
        let stays = |(_, fate): &(&Entry, &Fate)| !matches!(fate, Fate::Expired | Fate::Unused);
        let entries = self.entries.iter().zip(fates).filter(stays).map(|(e, _)| e.clone()).collect();
        Self { entries, head: self.head.clone() }
    }
}

impl fmt::Display for Accepted {
    /// Writes the file: entries that were read from one as they stood there, with their remarks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        if !self.head.is_empty() {
            writeln!(f, "{}", self.head)?;
            gap = "\n";
        }
        for e in &self.entries {
            write!(f, "{gap}{e}")?;
            gap = "\n";
        }
        Ok(())
    }
}

impl Entry {
    /// Creates the entry that accepts one difference and no other change of the same value.
    #[must_use]
    pub fn of(d: &Difference) -> Self {
        Self {
            path: exact(&d.subject),
            rule: Some(d.rule.id.to_owned()),
            reason: format!("to be explained: {}", d.message),
            before: d.before.as_ref().map(|a| a.text.clone()),
            after: d.after.as_ref().map(|a| a.text.clone()),
            ..Self::default()
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            return writeln!(f, "{}", place.verbatim);
        }
        let text = |s: &str| Value::String(s.to_owned()).to_string();
        writeln!(f, "[[accept]]\npath = {}", text(&self.path))?;
        if let Some(rule) = &self.rule {
            writeln!(f, "rule = {}", text(rule))?;
        }
        writeln!(f, "reason = {}", text(&self.reason))?;
        if let Some(date) = self.expires {
            writeln!(f, "expires = {date}")?;
        }
        for (key, requirement) in [("from", &self.from), ("to", &self.to)] {
            if let Some(r) = requirement {
                let texts: Vec<String> = r.texts().iter().map(|t| text(t)).collect();
                writeln!(f, "{key} = [{}]", texts.join(", "))?;
            }
        }
        for (key, side) in [("before", &self.before), ("after", &self.after)] {
            if let Some(side) = side {
                writeln!(f, "{key} = {}", text(side))?;
            }
        }
        if self.learned {
            writeln!(f, "learned = true")?;
        }
        Ok(())
    }
}

/// Returns the pattern that means one subject: with the instance even where it is 0, since without one it would mean all.
fn exact(s: &Subject) -> String {
    let instance = s.instance.map(|n| format!(" ({n})")).unwrap_or_default();
    let field = if s.field.is_empty() { String::new() } else { format!(" > {}", s.field) };
    format!("{}{instance}{field}", s.section)
}

/// Returns where the line of `[[accept]]` begins, from a place in the entry's header.
pub(super) fn header(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|t| t.rfind('\n')).map_or(0, |n| n.plus(1))
}

/// Returns where each entry begins, including the comments directly above its header.
pub(super) fn begins(text: &str, headers: &[usize]) -> Vec<usize> {
    headers.iter().map(|at| above(text, *at)).collect()
}

fn above(text: &str, header: usize) -> usize {
    let mut begin = header;
    for line in text.get(..header).unwrap_or_default().split_inclusive('\n').rev() {
        if !line.trim_start().starts_with('#') {
            break;
        }
        begin = begin.minus(line.len());
    }
    begin
}

/// Returns the text before the first entry.
pub(super) fn head(text: &str, first: Option<usize>) -> String {
    text.get(..first.unwrap_or(text.len())).unwrap_or_default().trim_end().to_owned()
}
