//! BTF: the types of the kernel, which it keeps in its own memory (`include/uapi/linux/btf.h`).
//!
//! A header, the types and their names. Types have numbers from 1 on, in the order in which they come; 0 is `void`.

mod declare;
mod find;
mod kind;
mod layout;
#[cfg(test)]
pub(super) mod made;
mod member;
mod query;
#[cfg(test)]
mod tests;
mod words;

pub use find::{By, Place, place};
pub use kind::{Composite, Enumerator, Integer, Kind, Member, Parameter};
pub use layout::{AtOffset, Laid, Part};
pub use member::Field;
pub use query::{Answer, NoAnswer};
pub use words::{integer, words_of};

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

/// Bytes of a header that are used.
const HEADER: usize = 24;
/// The magic number in the byte order of the kernel.
const MAGIC: u64 = 0xeb9f;
/// Bytes of all types; a kernel has 5 MiB, one with all that is built in has 10 MiB.
pub(super) const MAX_BYTES: u64 = 64 << 20;
/// Types; real kernels have 60,000 to 200,000.
const MAX_TYPES: usize = 2 << 20;
/// Names of one text that are looked at; each is there once in real kernels.
const MAX_SAME: usize = 64;
/// Answers that are kept.
const MAX_KNOWN: usize = 1 << 14;
/// Bytes of a name; those of kernels have fewer than 512.
const MAX_NAME: usize = 1024;
/// Types that lead to one another (typedef, const, array) before there is a size.
const MAX_DEPTH: usize = 64;

/// The number of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// `void`.
    pub const VOID: Self = Self(0);
}

/// The types of a kernel.
pub struct Types {
    bytes: Vec<u8>,
    /// Where the names are.
    names: std::ops::Range<usize>,
    /// Where each type is, that of the type 1 first.
    places: Vec<u32>,
    big_endian: bool,
    /// Bytes of a pointer.
    word: u64,
    /// What was looked for before: thousands of values have the same types.
    known: Mutex<Known>,
}

/// Answers that were given before.
#[derive(Default)]
struct Known {
    words: HashMap<String, Option<TypeId>>,
    members: HashMap<TypeId, HashMap<String, Option<Field>>>,
}

impl Types {
    /// Reads types; `word` is the number of bytes of a pointer.
    ///
    /// # Errors
    /// `Corrupt` for a header or a type that contradicts itself; `LimitExceeded` for more types than a kernel has.
    pub fn new(bytes: Vec<u8>, big_endian: bool, word: u64) -> Result<Self> {
        let mut types = Self { bytes, names: 0..0, places: Vec::new(), big_endian, word, known: Mutex::default() };
        types.scan().map_err(|e| e.within("BTF"))?;
        Ok(types)
    }

    fn scan(&mut self) -> Result<()> {
        let (parts, size) = parts(&self.bytes, self.big_endian)?;
        let len = self.bytes.len();
        if size > len {
            let what = format!("expected {size} bytes, found {len}");
            return Err(Error::new(ErrorKind::Corrupt, what));
        }
        self.names = parts.names;
        let mut at = parts.types.start;
        while at < parts.types.end {
            let info = self.number(at.plus(4), 4);
            let more = kind::more(info).ok_or_else(|| {
                let what =
                    format!("type {} at {at:#x}: the kind {} is not known", self.places.len().plus(1), kind::of(info));
                Error::new(ErrorKind::Corrupt, what)
            })?;
            if self.places.len() >= MAX_TYPES {
                return Err(Error::new(ErrorKind::LimitExceeded, format!("expected at most {MAX_TYPES} types")));
            }
            self.places.push(u32::try_from(at).unwrap_or(u32::MAX));
            at = at.plus(12).saturating_add(more);
        }
        if at == parts.types.end {
            return Ok(());
        }
        let what = format!("expected the last type to end at {:#x}, found {at:#x}", parts.types.end);
        Err(Error::new(ErrorKind::Corrupt, what))
    }

    /// Returns the bytes, header and all, as they are in memory (`/sys/kernel/btf/vmlinux`).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the number of types, without `void`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns whether there is no type.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns the number of bytes of a pointer.
    #[must_use]
    pub fn word(&self) -> u64 {
        self.word
    }

    /// Returns whether the kernel is big-endian.
    #[must_use]
    pub fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Returns all types with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (TypeId, Kind<'_>)> {
        (1..).zip(&self.places).map(|(id, _)| (TypeId(id), self.kind(TypeId(id))))
    }

    /// Returns what a type is; a number that no type has is `void`.
    #[must_use]
    pub fn kind(&self, id: TypeId) -> Kind<'_> {
        let place = id.0.checked_sub(1).and_then(|n| self.places.get(usize::try_from(n).ok()?));
        place.map_or(Kind::Void, |at| kind::read(self, usize::try_from(*at).unwrap_or(usize::MAX)))
    }

    /// Finds the structure or union of a name.
    #[must_use]
    pub fn structure(&self, name: &str) -> Option<TypeId> {
        let key = format!("any {name}");
        if let Some(id) = self.known().words.get(&key) {
            return *id;
        }
        let found = self.named(name).find(|id| matches!(self.kind(*id), Kind::Composite(_)));
        self.known().keep_words(key, found);
        found
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the types of a name, forward declarations and functions included.
    pub fn named(&self, name: &str) -> impl Iterator<Item = TypeId> {
        let text = self.bytes.get(self.names.clone()).unwrap_or_default();
        let wanted = [name.as_bytes(), b"\0"].concat();
        // a name may be the end of another one
        let offsets: Vec<u64> = if name.is_empty() {
            Vec::new()
        } else {
            let mut ends = 0;
            let is_candidate = |n: &usize| {
                // a short name is the end of thousands of others
                let whole = n.checked_sub(1).is_none_or(|before| text.get(before) == Some(&0));
                ends = if whole { ends } else { usize::saturating_add(ends, 1) };
                whole || ends <= MAX_SAME
            };
            memchr::memmem::find_iter(text, &wanted)
                .filter(is_candidate)
                .take(MAX_SAME.times(2))
                .map(|n| n as u64)
                .collect()
        };
        let has = move |at: &u32| {
            !offsets.is_empty() && offsets.contains(&self.number(usize::try_from(*at).unwrap_or(usize::MAX), 4))
        };
        (1..).zip(&self.places).filter(move |(_, at)| has(at)).map(|(id, _)| TypeId(id))
    }

    /// Returns the type without typedefs, `const` and `volatile`.
    #[must_use]
    pub fn bare(&self, id: TypeId) -> TypeId {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            match self.kind(id) {
                Kind::Typedef { target, .. } | Kind::Qualified { target, .. } => id = target,
                _ => return id,
            }
        }
        TypeId::VOID
    }

    /// Returns the bytes of a value of a type; `None` for `void`, functions, forward declarations and arrays that are too large.
    #[must_use]
    pub fn size(&self, id: TypeId) -> Option<u64> {
        let (mut id, mut times) = (id, 1_u64);
        for _ in 0..MAX_DEPTH {
            let one = match self.kind(self.bare(id)) {
                Kind::Integer(i) => u64::from(i.bytes),
                Kind::Float { bytes, .. } | Kind::Enumeration { bytes, .. } => u64::from(bytes),
                Kind::Pointer(_) => self.word,
                Kind::Composite(c) => c.bytes,
                Kind::Array { element, count } => {
                    times = times.checked_mul(count.into())?;
                    id = element;
                    continue;
                }
                _ => return None,
            };
            return one.checked_mul(times);
        }
        None
    }

    /// Returns a number of at most 8 bytes; 0 beyond the end.
    fn number(&self, at: usize, len: usize) -> u64 {
        number(&self.bytes, self.big_endian, at, len)
    }

    /// Returns the name at an offset; an empty one if it is not text, or has no end.
    fn name(&self, offset: u64) -> &str {
        let text = self.bytes.get(self.names.clone()).unwrap_or_default();
        let rest = usize::try_from(offset).ok().and_then(|o| text.get(o..)).unwrap_or_default();
        let rest = rest.get(..MAX_NAME).unwrap_or(rest);
        let end = memchr::memchr(0, rest).unwrap_or(0);
        std::str::from_utf8(rest.get(..end).unwrap_or_default()).unwrap_or_default()
    }
}

impl Known {
    fn keep_words(&mut self, words: String, id: Option<TypeId>) {
        if self.words.len() < MAX_KNOWN {
            self.words.insert(words, id);
        }
    }

    fn keep_member(&mut self, of: TypeId, name: &str, field: Option<Field>) {
        if self.members.len() < MAX_KNOWN {
            self.members.entry(of).or_default().insert(name.to_owned(), field);
        }
    }
}

impl std::fmt::Debug for Types {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Types({})", self.places.len())
    }
}

/// Where the parts of BTF are.
struct Parts {
    types: std::ops::Range<usize>,
    names: std::ops::Range<usize>,
}

/// Reads a header; returns the parts and the size of the whole.
fn parts(bytes: &[u8], big_endian: bool) -> Result<(Parts, usize)> {
    let n = |at: usize, len: usize| number(bytes, big_endian, at, len);
    let fault = |what: String| Err(Error::new(ErrorKind::Corrupt, what));
    if bytes.len() < HEADER || n(0, 2) != MAGIC {
        return fault(format!("expected the magic number {MAGIC:#x}, found {:#x}", n(0, 2)));
    }
    if n(2, 1) != 1 {
        return fault(format!("expected version 1, found {}", n(2, 1)));
    }
    let head = n(4, 4);
    if !(24..=256).contains(&head) {
        return fault(format!("expected a header of 24 bytes, found {head}"));
    }
    let part = |at: usize| -> Option<std::ops::Range<u64>> {
        let start = head.checked_add(n(at, 4))?;
        Some(start..start.checked_add(n(at.plus(4), 4))?)
    };
    let (types, names) = match (part(8), part(16)) {
        (Some(t), Some(s)) if t.end <= MAX_BYTES && s.end <= MAX_BYTES && s.start >= t.end => (t, s),
        _ => return fault(format!("expected types and then names in at most {MAX_BYTES} bytes")),
    };
    let small = |r: std::ops::Range<u64>| usize::try_from(r.start).unwrap_or(0)..usize::try_from(r.end).unwrap_or(0);
    let size = usize::try_from(names.end).unwrap_or(0);
    Ok((Parts { types: small(types), names: small(names) }, size))
}

fn number(bytes: &[u8], big_endian: bool, at: usize, len: usize) -> u64 {
    let field = at.checked_add(len).and_then(|end| bytes.get(at..end)).unwrap_or_default();
    let add = |n: u64, b: &u8| n << 8 | u64::from(*b);
    if big_endian { field.iter().fold(0, add) } else { field.iter().rev().fold(0, add) }
}
