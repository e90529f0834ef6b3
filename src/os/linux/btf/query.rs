//! Questions about types: `NAME`, `NAME.member.path` and `NAME+OFFSET`.

use super::{AtOffset, Kind, TypeId, Types, words_of};
use crate::text::Name;

/// Types of one name that are answered; a kernel may have some different structures of a name.
const MAX_TYPES: usize = 16;

/// What was asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// Types.
    Types(Vec<TypeId>),
    /// A member.
    Member {
        /// The structure in which it is: that of the question, or the last one that a pointer leads to.
        of: TypeId,
        /// Its path in that structure.
        path: Name,
        /// Its type.
        id: TypeId,
        /// Bits from the start of the structure.
        bit: u64,
        /// Bits of a bit-field; 0 for other members.
        width: u32,
    },
    /// What is at an offset.
    At {
        /// The structure.
        of: TypeId,
        /// The offset.
        offset: u64,
        /// The members at that offset, or the hole.
        found: Vec<AtOffset>,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoAnswer {
    /// The question cannot be read.
    Question(String),
    /// There is no such type.
    Type(Name),
    /// The type has no such member.
    Member {
        /// The type.
        of: TypeId,
        /// Its name in C.
        words: Name,
        /// The member that was asked for.
        member: Name,
    },
    /// The offset is beyond the end of the type.
    Beyond {
        /// The name of the type in C.
        words: Name,
        /// Its size, if it has one.
        bytes: Option<u64>,
        /// The offset.
        offset: u64,
    },
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Question(what) => f.write_str(what),
            Self::Type(name) => write!(f, "the kernel has no type {name:?}"),
            Self::Member { words, member, .. } => write!(f, "{words} has no member {member}"),
            Self::Beyond { words, bytes: Some(n), offset } => {
                write!(f, "expected an offset below {n:#x}, the size of {words}, found {offset:#x}")
            }
            Self::Beyond { words, .. } => write!(f, "{words} has no size"),
        }
    }
}

impl std::error::Error for NoAnswer {}

impl Types {
    /// Answers a question.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub fn ask(&self, question: &str) -> Result<Answer, NoAnswer> {
        let (rest, offset) = match question.rsplit_once('+') {
            None => (question, None),
            Some((rest, n)) => (rest, Some(offset_of(n.trim())?)),
        };
        let mut names = rest.split('.').map(str::trim);
        let words = names.next().unwrap_or_default();
        if words.is_empty() {
            return Err(NoAnswer::Question(format!("expected the name of a type, found {:?}", Name::from(question))));
        }
        let ids = self.all_by_words(words);
        let Some(first) = ids.first().copied() else { return Err(NoAnswer::Type(words.into())) };
        let path: Vec<&str> = names.collect();
        if path.is_empty() && offset.is_none() {
            return Ok(Answer::Types(ids));
        }
        let (mut of, mut at, mut below) = (first, super::Field { id: first, bit: 0, width: 0 }, String::new());
        for name in path {
            if let Kind::Pointer(target) = self.kind(self.bare(at.id)) {
                (of, at, below) = (target, super::Field { id: target, bit: 0, width: 0 }, String::new());
            }
            let Some(f) = self.member(at.id, name) else {
                let words = words_of(&self.kind(self.bare(at.id))).into();
                return Err(NoAnswer::Member { of: at.id, words, member: name.into() });
            };
            at = super::Field { bit: at.bit.saturating_add(f.bit), ..f };
            if !below.is_empty() {
                below.push('.');
            }
            below += name;
        }
        let Some(offset) = offset else {
            return Ok(Answer::Member { of, path: below.into(), id: at.id, bit: at.bit, width: at.width });
        };
        let found = self.at_offset(at.id, offset);
        if found.is_empty() {
            return Err(NoAnswer::Beyond { words: self.in_c(at.id).into(), bytes: self.size(at.id), offset });
        }
        Ok(Answer::At { of: at.id, offset, found })
    }

    /// Returns all types of a name, as [`Types::by_words`] reads it, functions and variables included. Forward declarations are
    /// left out if there is anything else.
    #[must_use]
    pub fn all_by_words(&self, words: &str) -> Vec<TypeId> {
        if words.ends_with(['*', ']']) {
            return self.by_words(words).into_iter().collect();
        }
        let (keyword, name) = match words.split_once(' ') {
            Some((k @ ("struct" | "union" | "enum"), name)) => (Some(k), name.trim()),
            _ => (None, words),
        };
        let fits = |k: &Kind<'_>| match keyword {
            Some("struct") => {
                matches!(k, Kind::Composite(c) if !c.is_union) || matches!(k, Kind::Forward { is_union: false, .. })
            }
            Some("union") => {
                matches!(k, Kind::Composite(c) if c.is_union) || matches!(k, Kind::Forward { is_union: true, .. })
            }
            Some(_) => matches!(k, Kind::Enumeration { .. }),
            None => !matches!(k, Kind::Other | Kind::Prototype { .. }),
        };
        let all: Vec<TypeId> = self.named(name).filter(|id| fits(&self.kind(*id))).take(MAX_TYPES).collect();
        let is_forward = |id: &TypeId| matches!(self.kind(*id), Kind::Forward { .. });
        let rank = |id: &TypeId| match self.kind(*id) {
            Kind::Integer(_) | Kind::Float { .. } | Kind::Typedef { .. } => 0,
            Kind::Composite(_) => 1,
            Kind::Enumeration { .. } => 2,
            _ => 3,
        };
        if all.is_empty() {
            return self.by_words(words).into_iter().collect();
        }
        let mut out: Vec<TypeId> = all.iter().copied().filter(|id| !is_forward(id)).collect();
        out.sort_by_key(rank);
        if out.is_empty() { all } else { out }
    }
}

/// Reads an offset: decimal, or hexadecimal with `0x`.
fn offset_of(text: &str) -> Result<u64, NoAnswer> {
    let n = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    n.map_err(|_| NoAnswer::Question(format!("expected an offset such as 0x10 after +, found {:?}", Name::from(text))))
}
