//! The parts of a structure with their places, and what is at an offset.

use super::{Composite, Kind, Member, TypeId, Types};
use crate::offset::Sure;
use crate::text::Name;

/// Structures without a name that are inside of one another.
const MAX_DEPTH: usize = 16;
/// Bytes of the declarations of one structure, those of inner ones included; large structures of a kernel have 30 KiB.
const MAX_TEXT: usize = 1 << 22;
/// Bytes that a part takes without its declaration.
const PART: usize = 128;
/// Members at one offset that are listed: those of unions.
const MAX_AT: usize = 64;
/// Steps of a search for what is at an offset.
const MAX_STEPS: usize = 1 << 16;

/// A part of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// A member.
    Member(Laid),
    /// Bits that no member uses.
    Hole {
        /// The first of them, from the start of the outermost structure.
        bit: u64,
        /// Their number.
        bits: u64,
    },
}

/// A member in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Laid {
    /// Its name; empty for a structure or a union without one.
    pub name: Name,
    /// Its type.
    pub id: TypeId,
    /// Its declaration in C, without a semicolon. Of a member with parts of its own: what follows the closing brace.
    pub declaration: Name,
    /// What is before the opening brace of a member with parts of its own.
    pub opening: Name,
    /// Bits from the start of the outermost structure.
    pub bit: u64,
    /// Bits of a bit-field; 0 for other members.
    pub width: u32,
    /// Its size in bytes, if that is known.
    pub bytes: Option<u64>,
    /// The parts of a structure that has no name of its own.
    pub parts: Vec<Part>,
}

/// What is at an offset of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AtOffset {
    /// The path of the member, such as `se.run_node.rb_left`; empty for a hole before the first member.
    pub path: Name,
    /// The type of the member; `None` for a hole.
    pub id: Option<TypeId>,
    /// Bytes from the start of the outermost structure to the start of the member, or of the hole.
    pub offset: u64,
    /// The size of the member or of the hole, if it is known.
    pub bytes: Option<u64>,
    /// Bits from the start of the outermost structure, and the width, of a bit-field.
    pub bits: Option<(u64, u32)>,
}

impl Types {
    /// Returns the parts of a structure or a union, holes included.
    #[must_use]
    pub fn parts(&self, id: TypeId) -> Vec<Part> {
        let Kind::Composite(c) = self.kind(self.bare(id)) else { return Vec::new() };
        let mut left = MAX_TEXT;
        self.parts_of(&c, 0, 0, &mut left)
    }

    fn parts_of(&self, c: &Composite<'_>, base: u64, depth: usize, left: &mut usize) -> Vec<Part> {
        let mut out = Vec::new();
        let mut end = base;
        for m in c.members() {
            match left.checked_sub(PART) {
                Some(n) => *left = n,
                None => return out,
            }
            let bit = base.saturating_add(m.bit);
            let bytes = self.size(m.id);
            if !c.is_union {
                if let Some(bits) = bit.checked_sub(end).filter(|n| *n > 0) {
                    out.push(Part::Hole { bit: end, bits });
                }
                let bits = if m.width > 0 { m.width.into() } else { bytes.unwrap_or(0).saturating_mul(8) };
                end = end.max(bit.saturating_add(bits));
            }
            out.push(Part::Member(self.laid(&Member { bit, ..m }, depth, left)));
        }
        let whole = base.saturating_add(c.bytes.saturating_mul(8));
        if let Some(bits) = whole.checked_sub(end).filter(|n| *n > 0 && !c.is_union) {
            out.push(Part::Hole { bit: end, bits });
        }
        out
    }

    fn laid(&self, m: &Member<'_>, depth: usize, left: &mut usize) -> Laid {
        let Member { name, id, bit, width } = *m;
        let d = self.declarator(id, name);
        let (bytes, named) = (self.size(id), |text: String| Name::from(text));
        let mut out = Laid {
            name: name.into(),
            id,
            declaration: Name::default(),
            opening: Name::default(),
            bit,
            width,
            bytes,
            parts: Vec::new(),
        };
        if let (Kind::Composite(inner), true) = (self.kind(d.base), depth < MAX_DEPTH)
            && inner.name.is_empty()
        {
            let keyword = if inner.is_union { "union" } else { "struct" };
            out.opening = named(format!("{}{keyword}", d.qualifiers));
            out.declaration = named(d.around);
            // the members of what a pointer points to are not in this structure
            let direct = matches!(self.kind(self.bare(id)), Kind::Composite(_));
            let base = if direct { bit } else { 0 };
            out.parts = self.parts_of(&inner, base, depth.plus(1), left);
            return out;
        }
        let text = self.declaration(id, name);
        *left = left.saturating_sub(text.len());
        out.declaration = named(if width > 0 { format!("{text}:{width}") } else { text });
        out
    }

    /// Returns what is at an offset of a type: the innermost members and elements; several in unions, or bit-fields of one byte.
    #[must_use]
    pub fn at_offset(&self, id: TypeId, offset: u64) -> Vec<AtOffset> {
        let mut search = Search { types: self, wanted: offset, path: String::new(), left: MAX_STEPS, out: Vec::new() };
        if self.size(id).is_some_and(|n| offset < n) {
            search.inside(id, 0, 0);
        }
        search.out
    }
}

/// A search for what is at an offset.
struct Search<'t> {
    types: &'t Types,
    wanted: u64,
    path: String,
    left: usize,
    out: Vec<AtOffset>,
}

impl Search<'_> {
    fn found(&mut self, id: Option<TypeId>, offset: u64, bytes: Option<u64>, bits: Option<(u64, u32)>) {
        self.out.push(AtOffset { path: self.path.as_str().into(), id, offset, bytes, bits });
    }

    /// Looks into a type that begins at an offset.
    fn inside(&mut self, id: TypeId, base: u64, depth: usize) {
        if self.out.len() >= MAX_AT {
            return;
        }
        match self.types.kind(self.types.bare(id)) {
            Kind::Composite(c) if depth < MAX_DEPTH => self.members(&c, base, depth),
            Kind::Array { element, .. } if depth < MAX_DEPTH => {
                let Some(size) = self.types.size(element).filter(|n| *n > 0) else { return };
                let n = self.wanted.saturating_sub(base).checked_div(size).unwrap_or(0);
                let len = self.path.len();
                self.path += &format!("[{n}]");
                self.inside(element, base.saturating_add(n.saturating_mul(size)), depth.plus(1));
                self.path.truncate(len);
            }
            _ => self.found(Some(id), base, self.types.size(id), None),
        }
    }

    fn members(&mut self, c: &Composite<'_>, base: u64, depth: usize) {
        let (mut before, mut hit) = (base, false);
        let mut end = base.saturating_add(c.bytes);
        for m in c.members() {
            match self.left.checked_sub(1) {
                Some(n) => self.left = n,
                None => return,
            }
            let bit = base.saturating_mul(8).saturating_add(m.bit);
            let from = bit >> 3;
            let to = match m.width {
                0 => from.saturating_add(self.types.size(m.id).unwrap_or(0)),
                n => bit.saturating_add(n.into()).div_ceil(8),
            };
            if self.wanted < from {
                end = end.min(from);
                continue;
            }
            if self.wanted >= to {
                before = before.max(to);
                continue;
            }
            hit = true;
            let len = self.path.len();
            if !m.name.is_empty() {
                if len > 0 {
                    self.path.push('.');
                }
                self.path += m.name;
            }
            if m.width > 0 {
                self.found(Some(m.id), from, Some(to.saturating_sub(from)), Some((bit, m.width)));
            } else {
                self.inside(m.id, from, depth.plus(1));
            }
            self.path.truncate(len);
        }
        if !hit {
            self.found(None, before, Some(end.saturating_sub(before)), None);
        }
    }
}
