//! A forward-only reader of JSON as QEMU writes it, which is not always JSON.
//!
//! QEMU 5.2 and older (`qapi/qmp/json-writer` came in 6.0) print strings without escaping them. The reader repairs
//! that while reading: control characters, backslashes that begin no escape, and quotes that are not followed by what
//! ends a string belong to the string. In valid JSON none of these occur, so valid JSON is read as it is. Every byte
//! is looked at once, but for white space after a quote, which is looked at twice.

use std::borrow::Cow;

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
        let line = before.iter().filter(|b| **b == b'\n').count().saturating_add(1);
        let begins = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i.saturating_add(1));
        let column = before.len().saturating_sub(begins).saturating_add(1);
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
    mended: Option<Fault>,
    refuses: Option<fn(&[u8], usize) -> bool>,
}

impl<'a> Reader<'a> {
    /// Begins at an offset.
    pub(crate) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at, levels: 0, string_at: at, mended: None, refuses: None }
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

    /// Returns the first thing that was mended.
    pub(crate) fn mended(&self) -> Option<Fault> {
        self.mended
    }

    fn fault(&self, what: &'static str) -> Fault {
        match self.at < self.text.len() {
            true => Fault { at: self.at, what },
            false => Fault { at: self.text.len(), what: "the text ends unexpectedly" },
        }
    }

    fn mend(&mut self, at: usize, what: &'static str) {
        self.mended.get_or_insert(Fault { at, what });
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
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
        self.levels = self.levels.saturating_add(1);
        self.step();
        Ok(())
    }

    fn leave(&mut self) {
        self.levels = self.levels.saturating_sub(1);
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

    fn scalar(&mut self, kind: Kind) -> Read<()> {
        match kind {
            Kind::Null => self.word(b"null"),
            Kind::True => self.word(b"true"),
            Kind::False => self.word(b"false"),
            Kind::Number => self.number().map(drop),
            _ => self.string().map(drop),
        }
    }

    fn word(&mut self, word: &[u8]) -> Read<()> {
        for b in word {
            if self.byte() != Some(*b) {
                return Err(self.fault("expected a value"));
            }
            self.step();
        }
        Ok(())
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

    fn digits(&mut self) -> Read<()> {
        if !self.byte().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.fault("expected a digit"));
        }
        while self.byte().is_some_and(|b| b.is_ascii_digit()) {
            self.step();
        }
        Ok(())
    }

    /// Reads the number that begins here, as text.
    pub(crate) fn number(&mut self) -> Read<&'a [u8]> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.step();
        }
        match self.byte() {
            Some(b'0') => {
                self.step();
                if self.byte().is_some_and(|b| b.is_ascii_digit()) {
                    return Err(self.fault("a number begins with 0"));
                }
            }
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.step();
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.step();
            }
            self.digits()?;
        }
        let number = self.text.get(start..self.at).unwrap_or_default();
        if whole(number).is_none() && float(number).is_none() {
            return Err(Fault { at: start, what: "the number is out of range" });
        }
        Ok(number)
    }

    /// Reads the string that begins here, repairing unescaped characters in it. The bytes need not be UTF-8.
    pub(crate) fn string(&mut self) -> Read<Cow<'a, [u8]>> {
        self.string_at = self.at;
        self.step();
        let plain = self.run();
        let string = if self.byte() == Some(b'"') && self.ends_string() {
            Cow::Borrowed(plain)
        } else {
            Cow::Owned(self.unescaped(plain.to_vec())?)
        };
        self.step();
        if std::str::from_utf8(&string).is_err() {
            self.mend(self.string_at, "a string is not UTF-8");
        }
        Ok(string)
    }

    /// Takes the bytes before the next one that needs a look.
    fn run(&mut self) -> &'a [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let n = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(n);
        rest.get(..n).unwrap_or_default()
    }

    /// Returns whether what follows the quote here is what follows a string.
    fn ends_string(&self) -> bool {
        let rest = self.text.get(self.at.saturating_add(1)..).unwrap_or_default();
        let next = rest.iter().find(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
        next.is_none_or(|b| matches!(b, b',' | b':' | b'}' | b']'))
    }

    /// Reads the rest of a string up to its closing quote.
    fn unescaped(&mut self, mut out: Vec<u8>) -> Read<Vec<u8>> {
        loop {
            let Some(b) = self.byte() else { return Err(self.fault("expected the end of a string")) };
            match b {
                b'"' if self.ends_string() => return Ok(out),
                b'"' => {
                    if let Some(at) = self.begins_before_quote() {
                        self.at = at;
                        return Err(self.fault("expected the end of a string"));
                    }
                    self.mend(self.at, "a quote inside a string");
                }
                b'\\' => {
                    if let Some(c) = self.escape()? {
                        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        continue;
                    }
                    self.mend(self.at, "a backslash that does not begin an escape");
                }
                0..=0x1f => self.mend(self.at, "a control character inside a string"),
                _ => {
                    out.extend_from_slice(self.run());
                    continue;
                }
            }
            out.push(b);
            self.step();
        }
    }

    /// Returns where an object that is refused begins, when the quote here is the first thing in it.
    fn begins_before_quote(&self) -> Option<usize> {
        let refuses = self.refuses?;
        let before = self.text.get(..self.at)?.trim_ascii_end();
        let at = before.len().checked_sub(1)?;
        (before.last() == Some(&b'{') && refuses(self.text, at)).then_some(at)
    }

    /// Reads an escape; returns `None`, without reading anything, if the backslash does not begin one.
    fn escape(&mut self) -> Read<Option<char>> {
        let c = match self.text.get(self.at.saturating_add(1)) {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(*b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point().map(Some),
            _ => return Ok(None),
        };
        self.at = self.at.saturating_add(2);
        Ok(Some(c))
    }

    fn code_point(&mut self) -> Read<char> {
        let high = self.code_unit()?;
        let mut n = high;
        if (0xd800..0xdc00).contains(&high) && self.text.get(self.at..self.at.saturating_add(2)) == Some(b"\\u") {
            let low = self.code_unit()?;
            if (0xdc00..0xe000).contains(&low) {
                n = ((high & 0x3ff) << 10 | (low & 0x3ff)).saturating_add(0x1_0000);
            }
        }
        char::from_u32(n).ok_or_else(|| self.fault("half of a surrogate pair"))
    }

    fn code_unit(&mut self) -> Read<u32> {
        self.at = self.at.saturating_add(2);
        let mut n = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|b| char::from(b).to_digit(16));
            n = n << 4 | digit.ok_or_else(|| self.fault("expected four hexadecimal digits"))?;
            self.step();
        }
        Ok(n)
    }
}

/// Returns the value of a number without fraction and exponent that fits in 64 bits; `-0` is not an integer.
pub(crate) fn whole(number: &[u8]) -> Option<i128> {
    if number == b"-0" || number.len() > 20 {
        return None;
    }
    let text = std::str::from_utf8(number).ok()?;
    text.parse::<u64>().map(i128::from).or_else(|_| text.parse::<i64>().map(i128::from)).ok()
}

/// Returns the value of any number that is not too large.
pub(crate) fn float(number: &[u8]) -> Option<f64> {
    serde_json::from_slice(number).ok()
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
    fn unescaped_text_is_mended() {
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
        assert_eq!(r.mended().unwrap().shown(text), "a quote inside a string at line 1 column 13");
    }

    #[test]
    fn a_fault_has_its_place() {
        let e = ends("{\n  \"a\": 1,\n  b}").unwrap_err();
        assert_eq!(e.shown(b"{\n  \"a\": 1,\n  b}"), "expected a key at line 3 column 3");
        assert_eq!(ends("{\"a\": \"x").unwrap_err(), Fault { at: 8, what: "the text ends unexpectedly" });
    }
}
