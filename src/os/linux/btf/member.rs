//! Members by their names.

use super::{Composite, Kind, TypeId, Types};
use crate::offset::Sure;
use crate::text::Name;

/// Structures without a name that are inside of one another.
const MAX_DEPTH: usize = 16;
/// Members that are looked at for one name; the largest structure of a kernel has some hundreds.
const MAX_MEMBERS: usize = 1 << 16;

/// A place inside of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The type.
    pub id: TypeId,
    /// Bits from the start of the outermost structure.
    pub bit: u64,
    /// Bits of a bit-field; 0 for other members.
    pub width: u32,
}

impl Field {
    /// Returns the whole of a structure.
    pub(in crate::os::linux) fn of(id: TypeId) -> Self {
        Self { id, bit: 0, width: 0 }
    }

    /// Returns a member of this member.
    pub(in crate::os::linux) fn then(self, inner: Self) -> Option<Self> {
        Some(Self { bit: self.bit.checked_add(inner.bit)?, ..inner })
    }

    /// Returns the bytes from the start of the structure.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.bit >> 3
    }
}

impl Types {
    /// Finds a member of a structure; members of structures without a name count as members of the outer one.
    #[must_use]
    pub fn member(&self, of: TypeId, name: &str) -> Option<Field> {
        if let Some(known) = self.known().members.get(&of).and_then(|m| m.get(name)) {
            return *known;
        }
        let Kind::Composite(c) = self.kind(self.bare(of)) else { return None };
        let mut left = MAX_MEMBERS;
        let found = self.within(&c, name, 0, &mut left);
        self.known().keep_member(of, name, found);
        found
    }

    fn within(&self, c: &Composite<'_>, name: &str, depth: usize, left: &mut usize) -> Option<Field> {
        for m in c.members() {
            *left = left.checked_sub(1)?;
            if m.name == name {
                return Some(Field { id: m.id, bit: m.bit, width: m.width });
            }
            if !m.name.is_empty() || depth >= MAX_DEPTH {
                continue;
            }
            if let Kind::Composite(inner) = self.kind(self.bare(m.id))
                && let Some(f) = self.within(&inner, name, depth.plus(1), left)
            {
                return Some(Field { bit: f.bit.checked_add(m.bit)?, ..f });
            }
        }
        None
    }

    /// Returns the names of the members; those of structures without a name are among them.
    #[must_use]
    pub fn member_names(&self, of: TypeId) -> Vec<Name> {
        let mut out = Vec::new();
        let mut left = MAX_MEMBERS;
        if let Kind::Composite(c) = self.kind(self.bare(of)) {
            self.names_within(&c, 0, &mut left, &mut out);
        }
        out
    }

    fn names_within(&self, c: &Composite<'_>, depth: usize, left: &mut usize, out: &mut Vec<Name>) {
        for m in c.members() {
            let Some(n) = left.checked_sub(1) else { return };
            *left = n;
            if !m.name.is_empty() {
                out.push(m.name.into());
            } else if let Kind::Composite(inner) = self.kind(self.bare(m.id))
                && depth < MAX_DEPTH
            {
                self.names_within(&inner, depth.plus(1), left, out);
            }
        }
    }

    /// Finds a member by a path such as `se.cfs_rq` or `mm.context.asce`, in a structure that is given by name. Pointers are not followed.
    #[must_use]
    pub fn field(&self, structure: &str, path: &str) -> Option<Field> {
        let mut at = Field::of(self.structure(structure)?);
        for name in path.split('.') {
            at = at.then(self.member(at.id, name)?)?;
        }
        Some(at)
    }

    /// Returns the bytes before a member, as `offsetof` does; see [`Types::field`].
    #[must_use]
    pub fn offset(&self, structure: &str, path: &str) -> Option<u64> {
        self.field(structure, path).map(|f| f.offset())
    }
}
