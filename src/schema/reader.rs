//! A forward-only reader of JSON as QEMU writes it, which is not always JSON.
//!
//! QEMU 5.2 and older (`qapi/qmp/json-writer` came in 6.0) print strings without escaping them. The reader repairs
//! that while reading: control characters, backslashes that begin no escape, and quotes that are not followed by what
//! ends a string belong to the string. In valid JSON none of these occur, so valid JSON is read as it is. Every byte
//! is looked at once, but for white space after a quote, which is looked at twice.

mod scalar;

use std::borrow::Cow;

pub(crate) use scalar::{float, whole};

use crate::offset::Sure;

/// Levels of arrays and objects in each other. A level of description takes two or three of them.
const MAX_LEVELS: usize = 127;

/// Why and where a text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

impl Fault {
    /// Returns the fault in words, with its line and column.
    pub(crate) fn shown(&self, text: &[u8]) -> String {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.iter().filter(|b| **b == b'\n').count().plus(1);
        let begins = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i.plus(1));
        let column = before.len().minus(begins).plus(1);
        format!("{} at line {line} column {column}", self.what)
    }
}

/// The result of reading JSON.
pub(crate) type Read<T> = Result<T, Fault>;

/// The kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Number,
    Text,
    List,
    Object,
}

/// A position in a text.
pub(crate) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    levels: usize,
    string_at: usize,
    repaired: Option<Fault>,
    refuses: Option<fn(&[u8], usize) -> bool>,
}

impl<'a> Reader<'a> {
    /// Begins at an offset.
    pub(crate) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at, levels: 0, string_at: at, repaired: None, refuses: None }
    }

    /// Same as [`Reader::new`], but an object that begins in such a way inside the value, or inside a string of it, is a fault.
    pub(crate) fn refusing(text: &'a [u8], at: usize, refuses: fn(&[u8], usize) -> bool) -> Self {
        Self { refuses: Some(refuses), ..Self::new(text, at) }
    }

    /// Returns the offset of the next byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Moves to the end of a value in the same object.
    pub(crate) fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Returns where the quote is with which the last string or key begins.
    pub(crate) fn string_at(&self) -> usize {
        self.string_at
    }

    /// Returns the string that begins at an offset.
    pub(crate) fn string_from(&self, at: usize) -> Cow<'a, [u8]> {
        Self::new(self.text, at).string().unwrap_or_default()
    }

    /// Returns whether only a comma and white space are between two offsets.
    pub(crate) fn is_between(&self, from: usize, to: usize) -> bool {
        let between = self.text.get(from..to).unwrap_or_default();
        between.iter().all(|b| matches!(b, b',' | b' ' | b'\n' | b'\r' | b'\t'))
    }

    /// Returns the first thing that was repaired.
    pub(crate) fn repaired(&self) -> Option<Fault> {
        self.repaired
    }

    fn fault(&self, what: &'static str) -> Fault {
        match self.at < self.text.len() {
            true => Fault { at: self.at, what },
            false => Fault { at: self.text.len(), what: "the text ends unexpectedly" },
        }
    }

    fn repair(&mut self, at: usize, what: &'static str) {
        self.repaired.get_or_insert(Fault { at, what });
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at.tally(1);
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.step();
        }
    }

    /// Asserts that only white space is left.
    pub(crate) fn finish(&mut self) -> Read<()> {
        self.space();
        if self.at < self.text.len() { Err(self.fault("expected the end, found more text")) } else { Ok(()) }
    }

    /// Returns the kind of the next value without reading it.
    pub(crate) fn kind(&mut self) -> Read<Kind> {
        self.space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::List),
            Some(b'"') => Ok(Kind::Text),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.fault("expected a value")),
        }
    }

    /// Enters the list or object that begins here.
    pub(crate) fn enter(&mut self) -> Read<()> {
        if self.levels >= MAX_LEVELS {
            return Err(self.fault("lists and objects are nested too deep"));
        }
        if self.levels > 0 && self.byte() == Some(b'{') && self.refuses.is_some_and(|f| f(self.text, self.at)) {
            return Err(self.fault("expected the end of an object"));
        }
        self.levels.tally(1);
        self.step();
        Ok(())
    }

    fn leave(&mut self) {
        self.levels = self.levels.minus(1);
        self.step();
    }

    /// Goes to the next key of the object that was entered, and past its colon; `None` is the end of the object.
    pub(crate) fn next_key(&mut self, first: &mut bool) -> Read<Option<Cow<'a, [u8]>>> {
        self.space();
        match self.byte() {
            Some(b'}') => {
                self.leave();
                return Ok(None);
            }
            Some(b',') if !*first => {
                self.step();
                self.space();
            }
            _ if !*first => return Err(self.fault("expected `,` or `}`")),
            _ => {}
        }
        *first = false;
        self.key().map(Some)
    }

    /// Reads the key that begins here, and the colon after it.
    pub(crate) fn key(&mut self) -> Read<Cow<'a, [u8]>> {
        if self.byte() != Some(b'"') {
            return Err(self.fault("expected a key"));
        }
        let key = self.string()?;
        self.space();
        if self.byte() != Some(b':') {
            return Err(self.fault("expected `:`"));
        }
        self.step();
        Ok(key)
    }

    /// Goes to the next item of the list that was entered; `false` is the end of the list.
    pub(crate) fn next_item(&mut self, first: &mut bool) -> Read<bool> {
        self.space();
        match self.byte() {
            Some(b']') => {
                self.leave();
                return Ok(false);
            }
            Some(b',') if !*first => self.step(),
            _ if !*first => return Err(self.fault("expected `,` or `]`")),
            _ => {}
        }
        *first = false;
        Ok(true)
    }

    /// Reads an object; `f` takes the value of each key.
    pub(crate) fn object(&mut self, mut f: impl FnMut(&mut Self, &[u8]) -> Read<()>) -> Read<()> {
        self.enter()?;
        let mut first = true;
        while let Some(key) = self.next_key(&mut first)? {
            f(self, &key)?;
        }
        Ok(())
    }

    /// Reads a list; `f` takes each item. Anything else is passed over.
    pub(crate) fn list(&mut self, mut f: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        if self.kind()? != Kind::List {
            return self.skip();
        }
        self.enter()?;
        let mut first = true;
        while self.next_item(&mut first)? {
            f(self)?;
        }
        Ok(())
    }

    /// Passes over a value.
    pub(crate) fn skip(&mut self) -> Read<()> {
        let outside = self.levels;
        // one bit for each level: whether it is an object
        let mut objects = 0_u128;
        let mut first;
        loop {
            match self.kind()? {
                kind @ (Kind::Object | Kind::List) => {
                    self.enter()?;
                    objects = (objects << 1) | u128::from(kind == Kind::Object);
                    first = true;
                }
                kind => {
                    self.scalar(kind)?;
                    first = false;
                }
            }
            loop {
                if self.levels == outside {
                    return Ok(());
                }
                let object = objects & 1 == 1;
                if if object { self.next_key(&mut first)?.is_some() } else { self.next_item(&mut first)? } {
                    break;
                }
                objects >>= 1;
                first = false;
            }
        }
    }

    /// Reads a string, or passes over anything else.
    pub(crate) fn text(&mut self) -> Read<Option<Cow<'a, [u8]>>> {
        if self.kind()? == Kind::Text { self.string().map(Some) } else { self.skip().map(|()| None) }
    }

    /// Reads an integer, or skips any other value.
    pub(crate) fn int(&mut self) -> Read<Option<i128>> {
        if self.kind()? == Kind::Number { self.number().map(whole) } else { self.skip().map(|()| None) }
    }

    /// Reads a number that fits, or passes over anything else.
    pub(crate) fn fitting<T: TryFrom<i128>>(&mut self) -> Read<Option<T>> {
        Ok(self.int()?.and_then(|n| T::try_from(n).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str) -> Read<()> {
        let mut r = Reader::new(text.as_bytes(), 0);
        r.skip().and_then(|()| r.finish())
    }

    #[test]
    fn what_serde_json_takes_and_refuses_is_taken_and_refused() {
        for text in [
            "0",
            "-0",
            "01",
            "1.",
            "1.5e+3",
            "1e400",
            "-",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{,}",
            "{\"a\" 1}",
            "[1 2]",
            "nul",
            "nulll",
            "true",
            "\"\\u00e9\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\ud83dx\"",
            "\"\\u12\"",
            " [ ] ",
            "{}x",
            "{\"a\":[{}, null, false]}",
            "[[]",
            "]",
            "",
            "18446744073709551616",
            "-9223372036854775809",
            "{1:2}",
        ] {
            assert_eq!(ends(text).is_ok(), serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
        for n in [126, 127, 128, 100_000] {
            let text = "[".repeat(n) + &"]".repeat(n);
            assert_eq!(ends(&text).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{n}");
        }
    }

    #[test]
    fn unescaped_text_is_repaired() {
        let text = b"{\"name\" : \"a\"b\\q\x01\xff\", \"n\":-1}";
        let mut r = Reader::new(text, 0);
        let mut seen = Vec::new();
        r.object(|r, key| {
            let value = r.text()?;
            seen.push((key.to_vec(), value.map(Cow::into_owned)));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(b"name".to_vec(), Some(b"a\"b\\q\x01\xff".to_vec())), (b"n".to_vec(), None)]);
        assert_eq!(r.repaired().unwrap().shown(text), "a quote inside a string at line 1 column 13");
    }

    #[test]
    fn a_fault_has_its_place() {
        let e = ends("{\n  \"a\": 1,\n  b}").unwrap_err();
        assert_eq!(e.shown(b"{\n  \"a\": 1,\n  b}"), "expected a key at line 3 column 3");
        assert_eq!(ends("{\"a\": \"x").unwrap_err(), Fault { at: 8, what: "the text ends unexpectedly" });
    }
}
