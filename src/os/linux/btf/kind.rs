//! What a type is.

use super::{TypeId, Types};
use crate::offset::Sure;

/// What a type is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Kind<'a> {
    /// `void`.
    Void,
    /// An integer.
    Integer(Integer<'a>),
    /// A floating-point number.
    Float {
        /// Its name.
        name: &'a str,
        /// Its size.
        bytes: u32,
    },
    /// A pointer.
    Pointer(TypeId),
    /// An array.
    Array {
        /// The type of the elements.
        element: TypeId,
        /// The number of elements; 0 for a flexible array.
        count: u32,
    },
    /// A structure or a union.
    Composite(Composite<'a>),
    /// An enumeration.
    Enumeration {
        /// Its name.
        name: &'a str,
        /// The size of a value.
        bytes: u32,
        /// Whether values are signed.
        signed: bool,
        /// Its values.
        values: Vec<Enumerator<'a>>,
    },
    /// A structure or a union whose members are not known.
    Forward {
        /// Its name.
        name: &'a str,
        /// Whether it is a union.
        is_union: bool,
    },
    /// Another name of a type.
    Typedef {
        /// The name.
        name: &'a str,
        /// The type.
        target: TypeId,
    },
    /// A type with a qualifier.
    Qualified {
        /// `const`, `volatile` or `restrict`; empty for a tag such as `__user`.
        word: &'static str,
        /// The type.
        target: TypeId,
    },
    /// A function.
    Function {
        /// Its name.
        name: &'a str,
        /// Its prototype.
        prototype: TypeId,
    },
    /// The result and the parameters of a function.
    Prototype {
        /// The type of the result.
        result: TypeId,
        /// The parameters; one of the type 0 without a name means that more may follow.
        parameters: Vec<Parameter<'a>>,
    },
    /// A variable; a kernel has those that are per-CPU.
    Variable {
        /// Its name.
        name: &'a str,
        /// Its type.
        target: TypeId,
    },
    /// A section of variables, or a tag of a declaration.
    Other,
}

/// An integer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Integer<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its size.
    pub bytes: u32,
    /// Bits that are used.
    pub bits: u32,
    /// Whether it is signed.
    pub signed: bool,
    /// Whether it is `bool`.
    pub is_bool: bool,
}

/// A structure or a union.
#[derive(Clone, Copy)]
pub struct Composite<'a> {
    types: &'a Types,
    at: usize,
    count: usize,
    with_bits: bool,
    /// Its name; empty if it has none.
    pub name: &'a str,
    /// Whether it is a union.
    pub is_union: bool,
    /// Its size.
    pub bytes: u64,
}

/// A member of a structure or a union.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Member<'a> {
    /// Its name; empty for a structure or a union without one, whose members are used like those of the outer one.
    pub name: &'a str,
    /// Its type.
    pub id: TypeId,
    /// Bits from the start of the structure.
    pub bit: u64,
    /// Bits of a bit-field; 0 for other members.
    pub width: u32,
}

/// A value of an enumeration.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Enumerator<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: i64,
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Parameter<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub id: TypeId,
}

impl<'a> Composite<'a> {
    /// Returns the members.
    pub fn members(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let Composite { types, at, count, with_bits, .. } = *self;
        (0..count).map(move |n| {
            let at = at.saturating_add(n.saturating_mul(12));
            let place = types.number(at.saturating_add(8), 4);
            let (bit, width) = if with_bits { (place & 0xff_ffff, place >> 24) } else { (place, 0) };
            Member {
                name: types.name(types.number(at, 4)),
                id: id(types.number(at.saturating_add(4), 4)),
                bit,
                width: u32::try_from(width).unwrap_or(0),
            }
        })
    }
}

impl std::fmt::Debug for Composite<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", if self.is_union { "union" } else { "struct" }, self.name)
    }
}

impl<'a> Kind<'a> {
    /// Returns the name, if this kind has one.
    #[must_use]
    pub fn name(&self) -> &'a str {
        match self {
            Self::Integer(i) => i.name,
            Self::Composite(c) => c.name,
            Self::Float { name, .. }
            | Self::Enumeration { name, .. }
            | Self::Forward { name, .. }
            | Self::Typedef { name, .. }
            | Self::Function { name, .. }
            | Self::Variable { name, .. } => name,
            _ => "",
        }
    }
}

fn id(n: u64) -> TypeId {
    TypeId(u32::try_from(n).unwrap_or(0))
}

/// Returns the number of a kind.
pub(super) fn of(info: u64) -> u64 {
    info >> 24 & 0x1f
}

/// Returns the bytes that follow the 12 of every type; `None` for an unknown kind.
pub(super) fn more(info: u64) -> Option<usize> {
    let count = usize::try_from(info & 0xffff).ok()?;
    Some(match of(info) {
        2 | 7..=12 | 16 | 18 => 0,
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => count.times(12),
        6 | 13 => count.times(8),
        _ => return None,
    })
}

/// Reads the type at a place.
pub(super) fn read(t: &Types, at: usize) -> Kind<'_> {
    let word = |n: usize| t.number(at.saturating_add(n.times(4)), 4);
    let (info, last) = (word(1), word(2));
    let name = t.name(word(0));
    let bytes = u32::try_from(last).unwrap_or(0);
    let (count, flag) = (usize::try_from(info & 0xffff).unwrap_or(0), info >> 31 == 1);
    let target = id(last);
    match of(info) {
        1 => {
            let v = word(3);
            let (signed, is_bool) = (v >> 24 & 1 == 1, v >> 24 & 4 != 0);
            Kind::Integer(Integer { name, bytes, bits: u32::try_from(v & 0xff).unwrap_or(0), signed, is_bool })
        }
        2 => Kind::Pointer(target),
        3 => Kind::Array { element: id(word(3)), count: u32::try_from(word(5)).unwrap_or(0) },
        n @ (4 | 5) => Kind::Composite(Composite {
            types: t,
            at: at.saturating_add(12),
            count,
            with_bits: flag,
            name,
            is_union: n == 5,
            bytes: last,
        }),
        n @ (6 | 19) => {
            let words = if n == 6 { 2 } else { 3 };
            let values = (0..count).map(|i| {
                let first = i.times(words).plus(3);
                let low = word(first.plus(1));
                // an enumeration of 4 bytes is signed by its flag
                let value = match n {
                    6 if flag => i64::from(u32::try_from(low).unwrap_or(0).cast_signed()),
                    6 => low.cast_signed(),
                    _ => (low | word(first.plus(2)) << 32).cast_signed(),
                };
                Enumerator { name: t.name(word(first)), value }
            });
            Kind::Enumeration { name, bytes, signed: flag, values: values.collect() }
        }
        7 => Kind::Forward { name, is_union: flag },
        8 => Kind::Typedef { name, target },
        9 => Kind::Qualified { word: "volatile", target },
        10 => Kind::Qualified { word: "const", target },
        11 => Kind::Qualified { word: "restrict", target },
        18 => Kind::Qualified { word: "", target },
        12 => Kind::Function { name, prototype: target },
        13 => {
            let parameters = (0..count).map(|i| {
                let first = i.times(2).plus(3);
                Parameter { name: t.name(word(first)), id: id(word(first.plus(1))) }
            });
            Kind::Prototype { result: target, parameters: parameters.collect() }
        }
        14 => Kind::Variable { name, target },
        16 => Kind::Float { name, bytes },
        _ => Kind::Other,
    }
}
