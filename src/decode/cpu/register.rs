//! Registers in groups: what every decoder returns.

use std::borrow::Cow;
use std::fmt;

use crate::offset::Sure;

/// A number as wide as its register.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Number {
    /// The width in bits.
    pub bits: u32,
    /// The words of 64 bits, the least significant one first.
    pub words: Vec<u64>,
}

impl Number {
    /// Creates a number of up to 64 bits; what is above its width is cut.
    #[must_use]
    pub fn new(value: u64, bits: u32) -> Self {
        let mask = match 1_u64.checked_shl(bits) {
            Some(b) => b.wrapping_sub(1),
            None => u64::MAX,
        };
        Self { bits, words: vec![value & mask] }
    }

    /// Creates a number of words, the least significant one first.
    #[must_use]
    pub fn wide(bits: u32, words: Vec<u64>) -> Self {
        Self { bits, words }
    }

    /// Returns the lowest 64 bits.
    #[must_use]
    pub fn low(&self) -> u64 {
        self.words.first().copied().unwrap_or(0)
    }

    /// Returns whether a bit is set.
    #[must_use]
    pub fn bit(&self, n: u32) -> bool {
        self.field(n, 1) != 0
    }

    /// Returns `len` bits from bit `from` of the lowest word.
    #[must_use]
    pub fn field(&self, from: u32, len: u32) -> u64 {
        let mask = 1_u64.checked_shl(len).map_or(u64::MAX, |b| b.wrapping_sub(1));
        self.low().checked_shr(from).unwrap_or(0) & mask
    }

    /// Returns the digits, as many as the width asks for, with something between the words.
    #[must_use]
    pub fn digits(&self, between: &str) -> String {
        let mut out = String::new();
        let n = self.words.len();
        for (i, w) in self.words.iter().enumerate().rev() {
            let below = u32::try_from(i).unwrap_or(0).times(64);
            let here = self.bits.minus(below).min(64);
            let width = usize::try_from(here.div_ceil(4)).unwrap_or(16);
            if i.plus(1) != n {
                out += between;
            }
            out += &format!("{w:0width$x}");
        }
        out
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits(" "))
    }
}

/// A register.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Register {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its value; `None` for a register that only has parts.
    pub value: Option<Number>,
    /// Parts with a meaning of their own, such as a segment's base.
    pub parts: Vec<(&'static str, Number)>,
    /// Its value in words; may be empty.
    pub says: String,
    /// Whether it is a count of things rather than a register.
    pub count: bool,
}

impl Register {
    /// Returns the value as text: a count in decimal, anything else in hexadecimal.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let v = self.value.as_ref()?;
        Some(if self.count { v.low().to_string() } else { v.to_string() })
    }
}

/// How a group is laid out for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// As many registers in a line as fit.
    Grid,
    /// One per line, with its meaning.
    Rows,
    /// One in a line, with its parts in columns.
    Table,
}

/// Registers that belong together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Group {
    /// The name for machines.
    pub id: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// The instance of a device that has several.
    pub instance: Option<u32>,
    /// The layout.
    pub form: Form,
    /// Whether it is shown only when all is asked for.
    pub detail: bool,
    /// The registers.
    pub registers: Vec<Register>,
}

impl Group {
    /// Creates an empty group.
    #[must_use]
    pub fn new(id: &'static str, title: &'static str, form: Form) -> Self {
        Self { id, title, instance: None, form, detail: false, registers: Vec::new() }
    }

    /// Marks it as one that is shown only when all is asked for.
    #[must_use]
    pub fn detail(mut self) -> Self {
        self.detail = true;
        self
    }

    /// Adds a register, if there is a value.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, value: Option<Number>) {
        self.put(name, value, String::new());
    }

    /// Adds a register with its meaning in words.
    pub fn put(&mut self, name: impl Into<Cow<'static, str>>, value: Option<Number>, says: String) {
        if value.is_some() {
            self.registers.push(Register { name: name.into(), value, parts: Vec::new(), says, count: false });
        }
    }

    /// Adds a register and calls a function for its meaning in words.
    pub fn says(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: Option<Number>,
        words: impl FnOnce(u64) -> String,
    ) {
        let says = value.as_ref().map_or_else(String::new, |v| words(v.low()));
        self.put(name, value, says);
    }

    /// Adds a register whose bits have names.
    pub fn flags(&mut self, name: impl Into<Cow<'static, str>>, value: Option<Number>, names: &[(u32, &str)]) {
        self.says(name, value, |v| spell(v, names));
    }

    /// Adds a register that has parts.
    pub fn parts(&mut self, name: impl Into<Cow<'static, str>>, parts: Vec<(&'static str, Number)>, says: String) {
        self.registers.push(Register { name: name.into(), value: None, parts, says, count: false });
    }

    /// Adds a count.
    pub fn count(&mut self, name: &'static str, n: u64, says: String) {
        let value = Some(Number::new(n, 32));
        self.registers.push(Register { name: name.into(), value, parts: Vec::new(), says, count: true });
    }
}

/// Returns the names of the bits that are set.
#[must_use]
pub fn spell(value: u64, names: &[(u32, &str)]) -> String {
    let set: Vec<&str> =
        names.iter().filter(|(b, _)| value.checked_shr(*b).unwrap_or(0) & 1 == 1).map(|(_, n)| *n).collect();
    set.join(" ")
}

/// Returns one letter per bit, and `-` for one that is not set.
#[must_use]
pub fn letters(value: u64, names: &[(u32, char)]) -> String {
    names.iter().map(|(b, c)| if value.checked_shr(*b).unwrap_or(0) & 1 == 1 { *c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_wide_as_their_registers() {
        assert_eq!(Number::new(0x1_2345, 16).to_string(), "2345");
        assert_eq!(Number::new(u64::MAX, 64).to_string(), "ffffffffffffffff");
        assert_eq!(Number::new(1, 1).to_string(), "1");
        assert_eq!(Number::wide(80, vec![1, 0x3fff]).to_string(), "3fff 0000000000000001");
        assert_eq!(Number::wide(128, vec![1, 2]).digits(""), "00000000000000020000000000000001");
        assert_eq!(Number::new(0xf0, 8).field(4, 2), 3);
        assert_eq!(Number::new(0xf0, 8).field(200, 2), 0);
    }

    #[test]
    fn bits_are_spelt() {
        assert_eq!(spell(5, &[(0, "A"), (1, "B"), (2, "C"), (77, "D")]), "A C");
        assert_eq!(letters(2, &[(2, 'X'), (1, 'Y')]), "-Y");
    }
}
