//! Text from the input, which may contain control sequences for a terminal, a log or a CI runner.
//!
//! [`Name`] is the only form in which such text is kept. Its `Display` and `Debug` print only visible characters.
//! Code that needs the text itself, to compare it or to write JSON, calls [`Name::exact`]. `tests/layering.rs` lists
//! the places in `render` and `cli` that may do so.
//!
//! A character that is not visible is written as `\u{1b}`, its number in hexadecimal, line ends and tabs too. A backslash stays, except
//! that one before `u{` is written as `\u{5c}`: so no two texts look the same, and Windows paths stay readable. The marks by which CI runners know
//! commands in a log are broken in the same way: `::` where a line may begin, and `##`.

use std::borrow::{Borrow, Cow};
use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde::{Serialize, Serializer};

/// Text from the input: printed with escapes, compared and written to JSON as it is. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Creates a name from text.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// Creates a name from bytes; invalid UTF-8 becomes replacement characters.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into())
    }

    /// Returns the empty name.
    #[must_use]
    pub fn empty() -> &'static Self {
        &EMPTY
    }

    /// Returns the text itself, which must not be printed unescaped.
    #[must_use]
    pub fn exact(&self) -> &str {
        &self.0
    }

    /// Returns whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the length of the text in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the text starts with `head`.
    #[must_use]
    pub fn starts_with(&self, head: &str) -> bool {
        self.0.starts_with(head)
    }

    /// Returns whether the text ends with `tail`.
    #[must_use]
    pub fn ends_with(&self, tail: &str) -> bool {
        self.0.ends_with(tail)
    }

    /// Returns whether the text ends with another name.
    #[must_use]
    pub fn ends_with_name(&self, tail: &Self) -> bool {
        self.0.ends_with(&*tail.0)
    }

    /// Returns whether the text contains `part`.
    #[must_use]
    pub fn contains(&self, part: &str) -> bool {
        self.0.contains(part)
    }

    /// Returns the text after the last separator, or all of it if there is none.
    #[must_use]
    pub fn last_of(&self, separator: char) -> Self {
        self.0.rsplit(separator).next().unwrap_or_default().into()
    }

    /// Returns the lines of the text; an empty text has one.
    pub fn lines(&self) -> impl Iterator<Item = Self> {
        let text = self.0.strip_suffix('\n').unwrap_or(&self.0);
        text.split('\n').map(Self::from)
    }

    /// Returns the text without the prefix `head`, or `None` if it does not start with that.
    #[must_use]
    pub fn strip_prefix(&self, head: &str) -> Option<Self> {
        self.0.strip_prefix(head).map(Self::from)
    }
}

/// The empty name.
static EMPTY: LazyLock<Name> = LazyLock::new(|| Name("".into()));

impl Default for Name {
    fn default() -> Self {
        EMPTY.clone()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escaped(&self.0))
    }
}

impl fmt::Debug for Name {
    /// Writes the text in quotation marks; a quotation mark inside is preceded by a backslash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&quoted(&self.0))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Self {
        name.clone()
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, other: &Name) -> bool {
        *self == *other.0
    }
}

impl PartialEq<Name> for &str {
    fn eq(&self, other: &Name) -> bool {
        **self == *other.0
    }
}

/// Returns text in a printable form, for a line of output.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    escape(text, true)
}

/// Returns text in quotation marks.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for (i, part) in text.split('"').enumerate() {
        if i > 0 {
            out.push_str("\\\"");
        }
        out.push_str(&escaped(part));
    }
    out.push('"');
    out
}

/// Returns an assembled line, whose parts may already be escaped, with any remaining invisible characters escaped.
///
/// This is a second safeguard after [`Name`]: it changes only text of the system or of a library that quotes the
/// input.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, false)
}

/// Escapes assembled lines as [`line()`] does; line ends are kept.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    if text.lines().all(|l| matches!(line(l), Cow::Borrowed(_))) && !text.contains('\r') {
        return text.into();
    }
    text.split('\n').map(line).collect::<Vec<_>>().join("\n").into()
}

/// Returns XML in which invisible characters are character references, which a parser reads as the same text; line
/// ends and tabs stay.
#[must_use]
pub fn xml(text: &Name) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.0.chars() {
        if is_visible(c) || matches!(c, '\n' | '\t') {
            out.push(c);
        } else {
            let _ = write!(out, "&#x{:x};", u32::from(c));
        }
    }
    out
}

/// Returns names as a comma-separated list: `a, b, c`.
#[must_use]
pub fn list<'n>(names: impl IntoIterator<Item = &'n Name>) -> String {
    names.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns a path in printable form; file names may contain any character but a slash.
#[must_use]
pub fn shown(path: impl AsRef<Path>) -> Name {
    Name(path.as_ref().to_string_lossy().into())
}

fn escape(text: &str, backslashes: bool) -> Cow<'_, str> {
    let marked = || text.contains("::") || text.contains("##") || (backslashes && text.contains("\\u{"));
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) && !marked() {
        return text.into();
    }
    let mut before = ' ';
    let mut odd = |i: usize, c: char| {
        let rest = text.get(i..).unwrap_or_default();
        let obeyed = match c {
            // `::add-mask::x` at the begin of a line, or where it may be wrapped
            ':' => before == ' ' && rest.starts_with("::"),
            // `##[group]`, `##vso[task.setvariable]`, `##teamcity[...]`
            '#' => before == '#',
            '\\' => backslashes && rest.starts_with("\\u{"),
            _ => false,
        };
        before = c;
        obeyed || !is_visible(c)
    };
    let Some(first) = text.char_indices().position(|(i, c)| odd(i, c)) else { return text.into() };
    let mut out = String::with_capacity(text.len());
    out.extend(text.chars().take(first));
    for (n, (i, c)) in text.char_indices().enumerate().skip(first) {
        if n == first || odd(i, c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// Returns whether a character is visible and has no other effect.
///
/// The standard library's `Debug` knows control and format characters (bidi controls and zero-width ones among them), line and paragraph
/// separators, spaces other than the usual one, private use and what is not assigned. Not visible either are the characters that
/// Unicode calls ignorable: fillers, joiners, variation selectors.
#[must_use]
pub fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    let ignorable = matches!(c,
        '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}');
    // tested after a letter, since a combining mark is escaped only when it has nothing to combine with
    let mut room = [b'a', 0, 0, 0, 0];
    let (_, tail) = room.split_at_mut(1);
    let after = c.encode_utf8(tail).len();
    let text = room.get(..=after).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default();
    !ignorable && text.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_visible_stays() {
        for text in ["", "pc.ram", "/rom@etc/acpi", "ä 日本 🦀", "e\u{301}", "C:\\x", "\u{fffd}", "\"'`|<&", "100 %"]
        {
            assert_eq!(escaped(text), text);
            assert_eq!(Name::from(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_obeyed_is_escaped() {
        for (c, shown) in [
            ('\0', "\\u{0}"),
            ('\t', "\\u{9}"),
            ('\n', "\\u{a}"),
            ('\r', "\\u{d}"),
            ('\u{1b}', "\\u{1b}"),
            ('\u{7f}', "\\u{7f}"),
            ('\u{9b}', "\\u{9b}"),
            ('\u{a0}', "\\u{a0}"),
            ('\u{ad}', "\\u{ad}"),
            ('\u{61c}', "\\u{61c}"),
            ('\u{200b}', "\\u{200b}"),
            ('\u{202e}', "\\u{202e}"),
            ('\u{2028}', "\\u{2028}"),
            ('\u{2066}', "\\u{2066}"),
            ('\u{3164}', "\\u{3164}"),
            ('\u{e000}', "\\u{e000}"),
            ('\u{fe0f}', "\\u{fe0f}"),
            ('\u{feff}', "\\u{feff}"),
            ('\u{ffff}', "\\u{ffff}"),
            ('\u{e0041}', "\\u{e0041}"),
            ('\u{10ffff}', "\\u{10ffff}"),
        ] {
            assert_eq!(Name::from(format!("a{c}b")).to_string(), format!("a{shown}b"));
            assert_eq!(format!("{:?}", Name::from(c.to_string())), format!("\"{shown}\""));
            assert_eq!(line(&format!("a{c}b")), format!("a{shown}b"));
        }
    }

    #[test]
    fn commands_of_ci_runners_are_broken() {
        assert_eq!(escaped("::add-mask::x"), "\\u{3a}:add-mask::x");
        assert_eq!(escaped("a ::error::x"), "a \\u{3a}:error::x");
        assert_eq!(escaped("a::b: c"), "a::b: c");
        assert_eq!(escaped("x##[group]y"), "x#\\u{23}[group]y");
        assert_eq!(line("x ##vso[a]"), "x #\\u{23}vso[a]");
        assert_eq!(line("\\u{3a}:a"), "\\u{3a}:a");
        assert_eq!(escaped("\u{1b}##\u{1b}"), "\\u{1b}#\\u{23}\\u{1b}");
    }

    #[test]
    fn two_texts_never_look_the_same() {
        assert_eq!(escaped("\\u{1b}"), "\\u{5c}u{1b}");
        assert_eq!(escaped("\\\u{1b}"), "\\\\u{1b}");
        assert_ne!(escaped("\\\u{1b}"), escaped("\\\\u{1b}"));
        assert_eq!(line("\\u{1b}"), "\\u{1b}", "what is escaped stays so");
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
    }

    #[test]
    fn lines_keep_their_ends() {
        assert_eq!(lines("a\nb\n"), "a\nb\n");
        assert_eq!(lines("a\x1b\r\nb"), "a\\u{1b}\\u{d}\nb");
    }

    #[test]
    fn a_name_pads_like_text_and_is_found_by_text() {
        assert_eq!(format!("{:<5}|{:>5}", Name::from("ab"), Name::from("\n")), "ab   |\\u{a}");
        let map = std::collections::HashMap::from([(Name::from("a\x1b"), 1)]);
        assert_eq!(map.get("a\x1b"), Some(&1));
        assert_eq!(serde_json::to_string(&Name::from("a\x1b")).unwrap(), "\"a\\u001b\"");
    }
}
