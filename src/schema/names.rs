//! What a schema is made of in memory: its names, each kept once, and how much it may take.

use std::borrow::{Borrow, Cow};
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use crate::limits::{MAX_NAME_BYTES, MAX_SCHEMA_BYTES, MAX_SCHEMA_PER_BYTE};
use crate::offset::Sure;
use crate::text::Name;
use crate::value::FieldType;

/// Memory for whatever a text asks for, and the names in it.
pub(crate) struct Names {
    left: usize,
    /// Whether something was left out because it did not fit.
    pub(crate) full: bool,
    names: HashSet<Name>,
    types: HashSet<ByName>,
}

/// The overhead of an allocation.
const ALLOCATION: usize = 16;

/// The overhead of a name: the allocation, its counts, and its place in a table.
const NAME_IN_TABLE: usize = 64;

/// A type that is found by its name.
struct ByName(FieldType);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        self.0.exact()
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.exact().hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for ByName {}

impl Names {
    /// Creates a budget for a text of this length.
    pub(crate) fn new(text: usize) -> Self {
        let left = text.times(MAX_SCHEMA_PER_BYTE).plus(1 << 20).min(MAX_SCHEMA_BYTES);
        Self { left, full: false, names: HashSet::new(), types: HashSet::new() }
    }

    /// Charges memory for a `T` and its lists; returns `false` when the memory is used up, and from then on.
    pub(crate) fn take<T>(&mut self, lists: usize) -> bool {
        self.take_bytes(size_of::<T>().plus(lists.times(ALLOCATION)))
    }

    fn take_bytes(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => {
                self.left = 0;
                self.full = true;
            }
        }
        !self.full
    }

    /// Adds to a list; returns `false` when the memory is used up.
    pub(crate) fn push<T>(&mut self, list: &mut Vec<T>, item: T) -> bool {
        if list.try_reserve(1).is_err() {
            self.full = true;
            return false;
        }
        list.push(item);
        true
    }

    /// Stores a name; a name that does not fit becomes empty.
    pub(crate) fn name(&mut self, bytes: &[u8]) -> Name {
        let name = text(bytes);
        if let Some(n) = self.names.get(&*name) {
            return n.clone();
        }
        if !self.take_bytes(name.len().plus(NAME_IN_TABLE)) {
            return Name::default();
        }
        let name = Name::from(&*name);
        self.names.insert(name.clone());
        name
    }

    /// Stores a type; a type that does not fit becomes unknown.
    pub(crate) fn ty(&mut self, bytes: &[u8]) -> FieldType {
        let name = text(bytes);
        if let Some(t) = self.types.get(&*name) {
            return t.0.clone();
        }
        let fits = self.take_bytes(name.len().plus(NAME_IN_TABLE));
        let ty = FieldType::new(if fits { &name } else { "unknown" });
        if fits {
            self.types.insert(ByName(ty.clone()));
        }
        ty
    }
}

/// Returns a name as text, cut to [`MAX_NAME_BYTES`].
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let mut end = bytes.len().min(MAX_NAME_BYTES);
    while end < bytes.len() && end > 0 && bytes.get(end).is_some_and(|b| b & 0xc0 == 0x80) {
        end = end.minus(1);
    }
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_one() {
        let mut n = Names::new(0);
        assert!(std::ptr::eq(n.name(b"a").exact(), n.name(b"a").exact()));
        assert_eq!(n.name(b"\xff"), "\u{fffd}");
        assert_eq!(n.ty(b"no such type"), n.ty(b"no such type"));
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut n = Names::new(0);
        assert!(n.take::<[u8; 1000]>(1));
        assert!(!n.take::<[u8; 1 << 20]>(0));
        assert!(n.full && !n.take::<u8>(0));
        assert_eq!(n.name(b"a"), "");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let long = "é".repeat(MAX_NAME_BYTES);
        let cut = text(long.as_bytes());
        assert!(cut.len() <= MAX_NAME_BYTES && cut.chars().all(|c| c == 'é'));
        assert_eq!(text(&long.as_bytes()[1..]).len() % 2, 1, "a lone byte is one mark, and no character is torn");
    }
}
