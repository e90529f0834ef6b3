//! Scalars: words, numbers, and strings, in which what QEMU did not escape is repaired.

use std::borrow::Cow;

use super::{Fault, Kind, Read, Reader};
use crate::offset::Sure;

impl<'a> Reader<'a> {
    /// Reads a value that is neither a list nor an object.
    pub(super) fn scalar(&mut self, kind: Kind) -> Read<()> {
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
            self.repair(self.string_at, "a string is not UTF-8");
        }
        Ok(string)
    }

    /// Takes the bytes before the next one that needs a look.
    fn run(&mut self) -> &'a [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let n = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
        self.at = self.at.plus(n);
        rest.get(..n).unwrap_or_default()
    }

    /// Returns whether what follows the quote here is what follows a string.
    fn ends_string(&self) -> bool {
        let rest = self.text.get(self.at.plus(1)..).unwrap_or_default();
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
                    self.repair(self.at, "a quote inside a string");
                }
                b'\\' => {
                    if let Some(c) = self.escape()? {
                        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                        continue;
                    }
                    self.repair(self.at, "a backslash that does not begin an escape");
                }
                0..=0x1f => self.repair(self.at, "a control character inside a string"),
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
        let c = match self.text.get(self.at.plus(1)) {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(*b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point().map(Some),
            _ => return Ok(None),
        };
        self.at = self.at.plus(2);
        Ok(Some(c))
    }

    fn code_point(&mut self) -> Read<char> {
        let high = self.code_unit()?;
        let mut n = high;
        if (0xd800..0xdc00).contains(&high) && self.text.get(self.at..).and_then(|b| b.get(..2)) == Some(b"\\u") {
            let low = self.code_unit()?;
            if (0xdc00..0xe000).contains(&low) {
                n = ((high & 0x3ff) << 10 | (low & 0x3ff)).plus(0x1_0000);
            }
        }
        char::from_u32(n).ok_or_else(|| self.fault("half of a surrogate pair"))
    }

    fn code_unit(&mut self) -> Read<u32> {
        self.at = self.at.plus(2);
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
