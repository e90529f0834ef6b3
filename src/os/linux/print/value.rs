//! Values of the kernel, read for printing.

use super::super::btf::{Composite, Kind, TypeId};
use super::super::guest::Object;
use super::Value;
use crate::error::{Error, ErrorKind};
use crate::offset::Sure;
use crate::text::Name;

/// Values that are read for one expression.
const MAX_VALUES: usize = 1 << 16;
/// Structures without a name that are inside of one another.
const MAX_NAMELESS: usize = 16;
/// Bytes of an array of characters whose length is not known.
const MAX_CHARS: u64 = 4096;
/// Bytes of text that a pointer points to.
const MAX_TEXT: u64 = 256;

/// Levels of structures and arrays.
const MAX_LEVELS: usize = 32;

/// How much of a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Structures and arrays inside of one another.
    depth: usize,
    /// Elements of an array.
    elements: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 2, elements: 32 }
    }
}

impl Limits {
    /// Creates limits; at most 32 levels are read.
    #[must_use]
    pub fn new(depth: usize, elements: u64) -> Self {
        Self { depth: depth.min(MAX_LEVELS), elements }
    }
}

/// A value that was read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Shown {
    /// An integer.
    Integer {
        /// Its value; negative ones have all upper bits set.
        value: u64,
        /// Whether it is signed.
        signed: bool,
        /// The bytes of its type.
        bytes: u64,
    },
    /// A truth value.
    Bool(bool),
    /// A value of an enumeration.
    Enumerator {
        /// Its name, if it has one.
        name: Option<Name>,
        /// Its value.
        value: i64,
        /// The bytes of its type.
        bytes: u64,
    },
    /// Text in an array of `char`.
    Text(Name),
    /// A pointer.
    Pointer {
        /// The address in it.
        address: u64,
        /// The symbol at or before that address, and the distance.
        symbol: Option<(Name, u64)>,
        /// The text that it points to, of a pointer to `char`.
        text: Option<Name>,
    },
    /// The members of a structure or a union; those of structures without a name are among them.
    Members(Vec<(Name, Self)>),
    /// The elements of an array, as many as the limits allow.
    Elements {
        /// The elements that were read.
        list: Vec<Self>,
        /// The number of all elements, if it is known.
        count: Option<u64>,
    },
    /// A structure or an array that is deeper than the limits allow.
    Deeper,
    /// What cannot be read.
    Unread(Error),
}

/// Reads a value.
pub(super) fn show(value: &Value<'_>, limits: Limits) -> Shown {
    let guest = match value {
        Value::Object(o) | Value::Address(o) | Value::Elements { first: o, .. } => o.guest(),
    };
    let end = guest.symbol("_end").unwrap_or(u64::MAX);
    let mut r = Reading { limits, left: MAX_VALUES, end };
    match value {
        Value::Object(o) => r.object(o, 0),
        Value::Address(o) => r.pointer(o, o.address(), o.type_id()),
        Value::Elements { first, count } if is_char(first, first.type_id()) => {
            r.text(guest.text_at(first.address(), count.unwrap_or(MAX_CHARS).min(MAX_CHARS)))
        }
        Value::Elements { first, count } => r.elements(first, *count, 0, &|n| super::at_index(first, n)),
    }
}

struct Reading {
    limits: Limits,
    left: usize,
    /// Where the kernel's image ends; addresses after it are those of modules, which have no symbols here.
    end: u64,
}

impl Reading {
    fn object(&mut self, o: &Object<'_>, depth: usize) -> Shown {
        match self.left.checked_sub(1) {
            Some(n) => self.left = n,
            None => return Shown::Deeper,
        }
        let types = o.guest().types();
        let scalar = |f: &dyn Fn(u64) -> Shown| o.number().map_or_else(Shown::Unread, f);
        match types.kind(types.bare(o.type_id())) {
            Kind::Integer(i) if i.bytes > 8 => self.bytes(o, i.bytes.into()),
            Kind::Integer(i) if i.is_bool => scalar(&|n| Shown::Bool(n != 0)),
            Kind::Integer(i) => scalar(&|value| Shown::Integer { value, signed: i.signed, bytes: i.bytes.into() }),
            Kind::Enumeration { bytes, values, .. } => scalar(&|n| {
                let value = n.cast_signed();
                let name = values.iter().find(|v| v.value == value).map(|v| v.name.into());
                Shown::Enumerator { name, value, bytes: bytes.into() }
            }),
            Kind::Pointer(target) => scalar(&|address| self.pointer(o, address, target)),
            Kind::Array { element, .. } if is_char(o, element) => self.text(o.text()),
            Kind::Array { element, count } => {
                let first = Object::new(o.guest(), element, o.address());
                self.elements(&first, Some(count.into()), depth, &|n| o.element(n))
            }
            Kind::Composite(_) if depth >= self.limits.depth => Shown::Deeper,
            Kind::Composite(c) => {
                let mut out = Vec::new();
                self.members(o, &c, depth, 0, &mut out);
                Shown::Members(out)
            }
            Kind::Float { bytes, .. } => self.bytes(o, bytes.into()),
            _ => {
                let what = format!("{} has no value", Name::from(types.in_c(o.type_id())));
                Shown::Unread(Error::new(ErrorKind::Unsupported, what))
            }
        }
    }

    fn members(
        &mut self,
        o: &Object<'_>,
        c: &Composite<'_>,
        depth: usize,
        nameless: usize,
        out: &mut Vec<(Name, Shown)>,
    ) {
        let types = o.guest().types();
        for m in c.members() {
            if self.left == 0 {
                return;
            }
            let inner = o.at(super::super::btf::Field { id: m.id, bit: m.bit, width: m.width });
            match types.kind(types.bare(m.id)) {
                Kind::Composite(c) if m.name.is_empty() && nameless < MAX_NAMELESS => {
                    // structures that hold themselves have an end too
                    self.left = self.left.saturating_sub(1);
                    self.members(&inner, &c, depth, nameless.plus(1), out);
                }
                _ => out.push((m.name.into(), self.object(&inner, depth.plus(1)))),
            }
        }
    }

    fn elements<'g>(
        &mut self,
        first: &Object<'g>,
        count: Option<u64>,
        depth: usize,
        at: &dyn Fn(u64) -> crate::error::Result<Object<'g>>,
    ) -> Shown {
        let deep = matches!(
            first.guest().types().kind(first.guest().types().bare(first.type_id())),
            Kind::Composite(_) | Kind::Array { .. }
        );
        if depth >= self.limits.depth && deep {
            return Shown::Deeper;
        }
        let mut list = Vec::new();
        for n in 0..count.unwrap_or(0).min(self.limits.elements) {
            if self.left == 0 {
                break;
            }
            match at(n) {
                Ok(o) => {
                    let shown = self.object(&o, depth.plus(1));
                    list.push(shown);
                }
                Err(e) => {
                    list.push(Shown::Unread(e));
                    break;
                }
            }
        }
        Shown::Elements { list, count }
    }

    /// Shows text; long ones count as several values.
    fn text(&mut self, text: crate::error::Result<Name>) -> Shown {
        match text {
            Ok(text) => {
                self.left = self.left.saturating_sub(text.len() >> 6);
                Shown::Text(text)
            }
            Err(e) => Shown::Unread(e),
        }
    }

    fn pointer(&self, o: &Object<'_>, address: u64, target: TypeId) -> Shown {
        let guest = o.guest();
        let symbol = guest.symbols().before(address).filter(|_| address < self.end);
        let symbol = symbol.map(|s| (s.name(), address.saturating_sub(s.address)));
        let is_text = address != 0 && is_char(o, target);
        let text = if is_text { guest.text_at(address, MAX_TEXT).ok() } else { None };
        Shown::Pointer { address, symbol, text }
    }

    /// Shows a number that is larger than 64 bits as its bytes.
    fn bytes(&mut self, o: &Object<'_>, len: u64) -> Shown {
        let len = len.min(64);
        self.left = self.left.saturating_sub(usize::try_from(len).unwrap_or(0));
        match o.bytes(usize::try_from(len).unwrap_or(0)) {
            Err(e) => Shown::Unread(e),
            Ok(bytes) => {
                let one = |b: &u8| Shown::Integer { value: u64::from(*b), signed: false, bytes: 1 };
                Shown::Elements { list: bytes.iter().map(one).collect(), count: Some(len) }
            }
        }
    }
}

/// Returns whether a type is `char`, an array of which holds text.
fn is_char(o: &Object<'_>, id: TypeId) -> bool {
    let types = o.guest().types();
    matches!(types.kind(types.bare(id)), Kind::Integer(i) if i.name == "char")
}
