//! What two inputs differ in: one type for `diff` and for `compat`, so that both are accepted, ignored and printed alike.
//!
//! The engines ([`crate::diff`], [`crate::compat`]) make [`Difference`]s; [`crate::render`] prints a [`Report`] of them.

pub mod accepted;
mod rules;
pub(crate) mod sequence;

use std::fmt;

pub use rules::Rule;
pub(crate) use rules::rules;

use crate::offset::StreamRange;
use crate::text::Name;
use crate::value::matches_glob;

/// What a difference leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The target loads the stream all the same.
    Harmless,
    /// The target may refuse the stream, depending on the guest's state or on facts that neither input gives.
    MayBreak,
    /// The target refuses the stream, or loads something else than was saved.
    Breaks,
    /// The two states are not the same (`diff`, which does not ask what follows from it).
    Differs,
}

impl Severity {
    /// Returns the stable name that output uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::MayBreak => "may-break",
            Self::Breaks => "breaks",
            Self::Differs => "differs",
        }
    }

    /// Returns whether one such difference, when it is not accepted, makes the answer no (exit status 1).
    #[must_use]
    pub const fn fails(self) -> bool {
        matches!(self, Self::Breaks | Self::Differs)
    }
}

/// The subject of a difference: a section, a field of it, or another part of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// The section's name, or `configuration`, `commands`, `ram`, `stream`.
    pub section: Name,
    /// The section's instance id; `None` if the subject is not a section.
    pub instance: Option<u32>,
    /// The path of the field as `state --field` takes it, with index ranges (`regs[3..5]`, both ends included) for
    /// neighbours that differ alike, and byte ranges (`config[0x04..0x05]`) in buffers; empty for the section itself.
    pub field: String,
}

impl Subject {
    /// Creates the subject of a whole section.
    #[must_use]
    pub fn section(name: impl Into<Name>, instance: u32) -> Self {
        Self { section: name.into(), instance: Some(instance), field: String::new() }
    }

    /// Creates the subject of something that is no section.
    #[must_use]
    pub fn part(name: impl Into<Name>, field: impl Into<String>) -> Self {
        Self { section: name.into(), instance: None, field: field.into() }
    }

    /// Returns the same with a field.
    #[must_use]
    pub fn field(&self, field: impl Into<String>) -> Self {
        Self { field: field.into(), ..self.clone() }
    }

    /// Returns whether a pattern means this subject: it is matched against the text with the instance (`cpu (1) > env.tsc`)
    /// and without (`cpu > env.tsc`, which so means every instance). A pattern that ends at a section or a structure means
    /// all that is below it.
    #[must_use]
    pub fn matches(&self, pattern: &str) -> bool {
        let pattern = pattern.trim();
        let below = |text: &str| {
            let text = &widened(pattern, text);
            if matches_glob(pattern, text) {
                return true;
            }
            let ends = text
                .char_indices()
                .filter(|(i, c)| matches!(c, '.' | '[') || text.get(*i..).is_some_and(|rest| rest.starts_with(" > ")));
            ends.filter_map(|(i, _)| text.get(..i)).any(|parent| matches_glob(pattern, parent))
        };
        let tail = if self.field.is_empty() { String::new() } else { format!(" > {}", self.field) };
        if below(&format!("{}{tail}", self.section)) {
            return true;
        }
        self.instance.is_some_and(|n| below(&format!("{} ({n}){tail}", self.section)))
    }
}

/// Puts the pattern's ranges into a text where those of the text lie within them: an entry for `config[0x04..0x07]` means
/// `config[0x05]` too, and one for `regs[0..15]` means `regs[3..5]`. Brackets are matched in order, as far as the pattern has
/// no wildcards.
fn widened<'t>(pattern: &str, text: &'t str) -> std::borrow::Cow<'t, str> {
    let fixed = pattern.split(['*', '?']).next().unwrap_or_default();
    if !fixed.contains("..") {
        return text.into();
    }
    let mut out = String::new();
    let (mut p, mut t) = (fixed, text);
    while let (Some((_, ranged)), Some((before, found))) = (p.split_once('['), t.split_once('[')) {
        let (Some((wide, rest)), Some((narrow, tail))) = (ranged.split_once(']'), found.split_once(']')) else { break };
        let inside = match (bounds(wide), bounds(narrow)) {
            (Some(w), Some(n)) => wide.contains("..") && w.0 <= n.0 && n.1 <= w.1 && w.2 == n.2,
            _ => false,
        };
        out.extend([before, "[", if inside { wide } else { narrow }, "]"]);
        (p, t) = (rest, tail);
    }
    out.push_str(t);
    out.into()
}

/// Returns first and last index of a range or of a single one, and whether they are of bytes.
fn bounds(text: &str) -> Option<(u64, u64, bool)> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |s: &str| match s.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => s.parse().ok(),
    };
    Some((number(from)?, number(to)?, from.starts_with("0x")))
}

impl fmt::Display for Subject {
    /// Writes `cpu (1) > env.regs[3]`; instance 0 is not named, since nearly every device has only that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.section.fmt(f)?;
        if let Some(n) = self.instance.filter(|n| *n != 0) {
            write!(f, " ({n})")?;
        }
        if !self.field.is_empty() {
            write!(f, " > {}", self.field)?;
        }
        Ok(())
    }
}

/// What one of the two inputs has at the place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aspect {
    /// The path there, if it differs from the subject's.
    pub path: Option<String>,
    /// Its content: a value, a version, a layout, as text on one line.
    pub text: String,
    /// Where in the stream, when the input is one.
    pub range: Option<StreamRange>,
}

impl Aspect {
    /// Creates an aspect without a path of its own.
    #[must_use]
    pub fn new(text: impl Into<String>, range: Option<StreamRange>) -> Self {
        Self { path: None, text: text.into(), range }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What kind it is.
    pub rule: &'static Rule,
    /// What it leads to.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What differs and what follows from it, a sentence without the subject, lower case, no full stop.
    pub message: String,
    /// The first input's side; `None` if the first input lacks it.
    pub before: Option<Aspect>,
    /// The second input's side.
    pub after: Option<Aspect>,
    /// What the change means where a decoder knows: `Command: bus master off -> on`.
    pub meaning: Vec<String>,
}

impl Difference {
    /// Makes one without a meaning.
    #[must_use]
    pub fn new(
        rule: &'static Rule,
        severity: Severity,
        subject: Subject,
        message: impl Into<String>,
        [before, after]: [Option<Aspect>; 2],
    ) -> Self {
        Self { rule, severity, subject, message: message.into(), before, after, meaning: Vec::new() }
    }
}

/// What two inputs were compared for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// What changed between two states.
    #[default]
    Diff,
    /// Whether the second side loads what the first one saved.
    Compat,
}

impl Question {
    /// Returns the name that output uses: that of the command.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Diff => "diff",
            Self::Compat => "compat",
        }
    }
}

/// All that a comparison found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was asked.
    pub question: Question,
    /// The two inputs as the user named them.
    pub inputs: [Name; 2],
    /// The rules of the engine, whether they were hit or not.
    pub rules: &'static [&'static Rule],
    /// What counts, in the order of the stream.
    pub differences: Vec<Difference>,
    /// What was accepted, with the reason.
    pub accepted: Vec<(Difference, String)>,
    /// Whether people are shown only what matters: what is harmless is counted for them, not listed.
    pub brief: bool,
    /// How many were passed over because of `--ignore`.
    pub ignored: u64,
    /// What was compared, for the last line and for JUnit's list of passed cases: `42 sections`, each by its label.
    pub compared: Vec<String>,
    /// Whether what may break counts as a failure too.
    pub strict: bool,
    /// Faults of the inputs: a part that could not be compared. They make the result partial (exit status 3).
    pub faults: Vec<String>,
}

impl Report {
    /// Returns whether the answer is no.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.differences.iter().any(|d| self.fails_for(d))
    }

    /// Returns `true` if this difference alone makes the answer no.
    #[must_use]
    pub fn fails_for(&self, d: &Difference) -> bool {
        d.severity.fails() || (self.strict && d.severity == Severity::MayBreak)
    }

    /// Returns the highest severity among what counts.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.differences.iter().map(|d| d.severity).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_every_instance_or_one() {
        let s = Subject::section("cpu", 1).field("env.regs[3]");
        assert_eq!(s.to_string(), "cpu (1) > env.regs[3]");
        for p in [
            "cpu > env.regs[3]",
            "cpu (1) > env.regs[3]",
            "cpu",
            "cpu (1)",
            "cpu > env.regs",
            "cpu > env",
            "c* > *regs*",
        ] {
            assert!(s.matches(p), "{p}");
        }
        for p in ["cpu (0)", "cpu (0) > env.regs[3]", "cpu > env.reg", "cp", "env.regs[3]", ""] {
            assert!(!s.matches(p), "{p}");
        }
        assert_eq!(Subject::section("cpu", 0).to_string(), "cpu");
        assert!(Subject::part("configuration", "machine").matches("configuration > machine"));
    }

    #[test]
    fn a_range_means_what_lies_within_it() {
        let m = |pattern: &str, field: &str| Subject::section("rtc", 0).field(field).matches(pattern);
        for (pattern, field) in [
            ("rtc (0) > cmos[0x04..0x0b]", "cmos[0x05]"),
            ("rtc > cmos[0x04..0x0b]", "cmos[0x04..0x0b]"),
            ("rtc > regs[0..15]", "regs[3..5]"),
            ("rtc > regs[0..15].x", "regs[3].x"),
            ("rtc > a[0..3]", "a[2].b[7]"),
            ("rtc > env.cr[0].x[1..4]", "env.cr[0].x[2]"),
        ] {
            assert!(m(pattern, field), "{pattern} {field}");
        }
        for (pattern, field) in [
            ("rtc > cmos[0x04..0x0b]", "cmos[0x04..0x0c]"),
            ("rtc > cmos[0x04..0x0b]", "cmos[0x03]"),
            ("rtc > cmos[0x04..0x0b]", "cmos[5]"),
            ("rtc > regs[0..15].x", "regs[3].y"),
            ("rtc > regs[4]", "regs[3..5]"),
            ("rtc > a[1..2].b[0..3]", "a[1].b[4]"),
        ] {
            assert!(!m(pattern, field), "{pattern} {field}");
        }
    }

    #[test]
    fn only_the_heavy_ones_fail() {
        assert!(Severity::Breaks.fails() && Severity::Differs.fails());
        assert!(!Severity::MayBreak.fails() && !Severity::Harmless.fails());
    }
}
