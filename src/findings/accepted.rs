//! Differences that are known and explained: the file that `--accepted` names, and what it does to a [`super::Report`].
//!
//! The file is TOML, one `[[accept]]` for each entry. An entry gives what it accepts and why, and optionally an
//! expiry date, the QEMU versions it applies to, and the exact change of a value. `docs/ci.md` has the life of such a
//! file.

mod apply;
mod text;
mod versions;

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::value::{Date, Datetime};

use super::Rule;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

pub use apply::{Conditions, Fate, ignore};
pub use versions::{Requirement, Version};

/// An entry past its expiry date would have matched.
pub static ACCEPTED_EXPIRED: Rule =
    Rule { id: "accepted-expired", what: "An entry of the accepted differences has expired and is no longer applied." };

/// An entry is for certain versions of QEMU, and those of the inputs are not known.
pub static ACCEPTED_VERSION_UNKNOWN: Rule = Rule {
    id: "accepted-version-unknown",
    what: "An entry of the accepted differences applies to certain QEMU versions, and the version of an input was not given.",
};

/// An entry matched nothing, and unused entries are errors.
pub static ACCEPTED_UNUSED: Rule =
    Rule { id: "accepted-unused", what: "An entry of the accepted differences no longer matches anything." };

/// One entry of a file of accepted differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What it is about, for [`super::Subject::matches`].
    pub path: String,
    /// Only differences of the rule with this id.
    pub rule: Option<String>,
    /// Why the difference is no fault.
    pub reason: String,
    /// The first day on which the entry does not count.
    pub expires: Option<Date>,
    /// Versions of QEMU that wrote the first input.
    pub from: Option<Requirement>,
    /// Versions of QEMU that wrote, or are to read, the second input.
    pub to: Option<Requirement>,
    /// The exact text of the first side.
    pub before: Option<String>,
    /// The exact text of the second side.
    pub after: Option<String>,
    /// Whether a program wrote it, for what differs by chance: it need not match every time.
    pub learned: bool,
    /// Its place in the file.
    place: Option<Place>,
}

/// The place of an entry in its file, and its text there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    file: String,
    line: usize,
    verbatim: String,
}

/// The entries of one file or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// The text before the first entry: comments on the file itself.
    head: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    accept: Vec<Spanned<RawEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    path: Spanned<String>,
    rule: Option<Spanned<String>>,
    reason: Spanned<String>,
    expires: Option<Spanned<Datetime>>,
    from: Option<Spanned<OneOrMany>>,
    to: Option<Spanned<OneOrMany>>,
    before: Option<String>,
    after: Option<String>,
    #[serde(default)]
    learned: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a version such as \"7.2\" or \">=10.0, <11\", or a list of them")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Accepted {
    /// Reads a file; `file` is its name, for messages.
    ///
    /// # Errors
    /// When it is no TOML, has a key that is not known or lacks one, or a value makes no sense: what, and in which line.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let raw: RawFile = toml::from_str(text).map_err(|e| wrong(text, file, e.span(), e.message()))?;
        let headers: Vec<usize> = raw.accept.iter().map(|e| text::header(text, e.span().start)).collect();
        let begins = text::begins(text, &headers);
        let mut out = Self { entries: Vec::new(), head: text::head(text, begins.first().copied()) };
        for (i, raw) in raw.accept.into_iter().enumerate() {
            let (begin, end) = (begins.get(i), begins.get(i.plus(1)));
            let verbatim = text.get(begin.copied().unwrap_or(0)..end.copied().unwrap_or(text.len()));
            let place = Place {
                file: file.to_owned(),
                line: line(text, headers.get(i).copied().unwrap_or(0)),
                verbatim: verbatim.unwrap_or_default().trim_end().to_owned(),
            };
            out.entries.push(entry(raw.into_inner(), place, text, file)?);
        }
        Ok(out)
    }

    /// Adds the entries of another file.
    pub fn extend(&mut self, other: Self) {
        if self.head.is_empty() {
            self.head = other.head;
        }
        self.entries.extend(other.entries);
    }
}

impl Entry {
    /// Returns the file and line, such as `accepted.toml:12`; empty for an entry that was not read from a file.
    #[must_use]
    pub fn place(&self) -> String {
        self.place.as_ref().map(|p| format!("{}:{}", p.file, p.line)).unwrap_or_default()
    }
}

fn entry(raw: RawEntry, place: Place, text: &str, file: &str) -> Result<Entry> {
    let fault = |span: Range<usize>, what: &str| wrong(text, file, Some(span), what);
    for (value, key) in [(&raw.path, "path"), (&raw.reason, "reason")] {
        if value.get_ref().trim().is_empty() {
            return Err(fault(value.span(), &format!("expected text for `{key}`, found an empty string")));
        }
    }
    let expires = match &raw.expires {
        None => None,
        Some(given) => match *given.get_ref() {
            Datetime { date: Some(date), time: None, offset: None } => Some(date),
            _ => return Err(fault(given.span(), "expected a date such as 2027-01-31 for `expires`, found a time")),
        },
    };
    let requirement = |given: Option<Spanned<OneOrMany>>| -> Result<Option<Requirement>> {
        let Some(given) = given else { return Ok(None) };
        let span = given.span();
        let alternatives = match given.into_inner() {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        };
        Requirement::parse(&alternatives).map(Some).map_err(|what| fault(span, &what))
    };
    Ok(Entry {
        expires,
        from: requirement(raw.from)?,
        to: requirement(raw.to)?,
        path: raw.path.into_inner(),
        rule: raw.rule.map(Spanned::into_inner),
        reason: raw.reason.into_inner(),
        before: raw.before,
        after: raw.after,
        learned: raw.learned,
        place: Some(place),
    })
}

/// Creates the error of a place in a file.
fn wrong(text: &str, file: &str, span: Option<Range<usize>>, what: &str) -> Error {
    let what = what.trim().replace('\n', ", ");
    let place = span.map_or_else(|| file.to_owned(), |s| format!("{file}:{}", line(text, s.start)));
    Error::new(ErrorKind::Corrupt, format!("accepted differences: {what}")).within(place)
}

/// Returns the number of the line that a byte is in, from 1.
fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().filter(|b| **b == b'\n').count().plus(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Accepted::parse(text, "a.toml").unwrap_err().to_string()
    }

    #[test]
    fn an_entry_has_all_its_keys() {
        let text = "# about the file\n\n# about the entry\n[[accept]]\npath = 'cpu > *' # here\nrule = \"field-value\"\nreason = \"clock\"\nexpires = 2027-01-01\n\
                    from = [\"7.2\", \"<9\"]\nto = \">=10.0, <11\"\nbefore = \"1\"\nafter = \"2\"\nlearned = true\n\n\n# next\n[[accept]]\nreason = 'x'\npath = 'ram'\n";
        let a = Accepted::parse(text, "a.toml").unwrap();
        assert_eq!(a.head, "# about the file");
        let [first, second] = &a.entries[..] else { panic!("{a:?}") };
        assert_eq!(first.path, "cpu > *");
        assert_eq!(first.rule.as_deref(), Some("field-value"));
        assert_eq!(first.expires, Some(Date { year: 2027, month: 1, day: 1 }));
        assert_eq!((first.before.as_deref(), first.after.as_deref()), (Some("1"), Some("2")));
        assert!(first.learned && first.from.is_some() && first.to.is_some());
        assert_eq!(first.place(), "a.toml:4");
        let verbatim = &first.place.as_ref().unwrap().verbatim;
        assert!(
            verbatim.starts_with("# about the entry\n[[accept]]\n") && verbatim.ends_with("learned = true"),
            "{verbatim}"
        );
        assert_eq!(second.place(), "a.toml:17");
        assert_eq!(second.place.as_ref().unwrap().verbatim, "# next\n[[accept]]\nreason = 'x'\npath = 'ram'");
        assert!(!second.learned);
        assert!(Accepted::parse("# nothing\n", "a.toml").unwrap().entries.is_empty());
    }

    #[test]
    fn every_error_has_its_line() {
        let with = |line: &str| fault(&format!("\n[[accept]]\npath = 'a'\nreason = 'b'\n{line}\n"));
        for (line, what) in [
            ("pth = 'x'", "unknown field `pth`"),
            ("expires = 2027-01-01T10:00:00", "expected a date such as 2027-01-31 for `expires`, found a time"),
            ("expires = '2027-01-01'", "invalid type: string"),
            ("from = '7.x'", "expected a version such as 7.2, found \"7.x\""),
            ("from = ['7.2', '~8']", "expected a version such as 7.2, found \"~8\""),
            ("to = 7.2", "expected a version such as"),
            ("to = []", "expected at least one version"),
            ("learned = 'yes'", "invalid type: string"),
            ("rule = ", "expected"),
            ("path = 'again'", "duplicate key"),
        ] {
            let e = with(line);
            assert!(e.contains(what), "{line}: {e}");
            assert!(e.starts_with("accepted differences: ") && e.ends_with("(in a.toml:5)"), "{line}: {e}");
        }
        let missing = fault("\n\n[[accept]]\npath = 'a'\n");
        assert!(missing.contains("missing field `reason`") && missing.ends_with("(in a.toml:3)"), "{missing}");
        let empty = fault("[[accept]]\npath = 'a'\nreason = ' '\n");
        assert!(empty.contains("expected text for `reason`, found an empty string (in a.toml:3)"), "{empty}");
        let path = fault("[[accept]]\nreason = 'a'\npath = ''\n");
        assert!(path.contains("`path`") && path.ends_with("(in a.toml:3)"), "{path}");
        let other = fault("[[accepted]]\npath = 'a'\n");
        assert!(other.contains("unknown field `accepted`") && other.ends_with("(in a.toml:1)"), "{other}");
    }
}
