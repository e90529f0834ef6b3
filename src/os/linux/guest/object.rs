//! Values of the kernel, read by their types.

use std::collections::HashSet;

use super::super::btf::{Field, Kind, TypeId};
use super::Guest;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;
use crate::text::Name;

/// Bytes of a text that are read.
const MAX_TEXT: u64 = 4096;

/// A value in the kernel's memory: an address and a type.
#[derive(Clone, Copy)]
pub struct Object<'g> {
    guest: &'g Guest<'g>,
    id: TypeId,
    address: u64,
    /// Bits before it in its first byte, and its width, of a bit-field.
    bits: Option<(u32, u32)>,
}

impl<'g> Object<'g> {
    pub(in crate::os::linux) fn new<'a: 'g>(guest: &'g Guest<'a>, id: TypeId, address: u64) -> Self {
        Self { guest, id, address, bits: None }
    }

    /// Returns the guest.
    #[must_use]
    pub fn guest(&self) -> &'g Guest<'g> {
        self.guest
    }

    /// Returns the address.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Returns the type.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        self.id
    }

    /// Returns the bits before a bit-field in its first byte, and its width.
    #[must_use]
    pub fn bits(&self) -> Option<(u32, u32)> {
        self.bits
    }

    /// Returns the same address as a value of another type.
    ///
    /// # Errors
    /// `Missing` if the kernel has no such type.
    pub fn cast(&self, type_name: &str) -> Result<Self> {
        self.guest.object(type_name, self.address)
    }

    /// Returns a member; a pointer to a structure is followed.
    ///
    /// # Errors
    /// `Missing` if the structure has no such member; those of [`Object::target`].
    pub fn member(&self, name: &str) -> Result<Self> {
        let of = self.structure()?;
        of.own_member(name).ok_or_else(|| {
            let kind = of.guest.types().kind(of.guest.types().bare(of.id));
            let what = format!("{} has no member {name}", super::super::btf::words_of(&kind));
            Error::new(ErrorKind::Missing, what)
        })
    }

    /// Returns a member by a path such as `mm.exe_file.f_path`; pointers are followed, and `[N]` takes an element.
    ///
    /// # Errors
    /// Same as [`Object::member`].
    pub fn path(&self, path: &str) -> Result<Self> {
        path.split('.').try_fold(*self, |o, name| o.member(name))
    }

    /// Returns the first of some paths that this kernel has: names change from version to version.
    ///
    /// # Errors
    /// That of the last path.
    pub fn either(&self, paths: &[&str]) -> Result<Self> {
        let mut last = Error::new(ErrorKind::Missing, "no path was given");
        for p in paths {
            match self.path(p) {
                Ok(o) => return Ok(o),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    /// Returns whether the structure has a member.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.own_member(name).is_some()
    }

    fn own_member(&self, name: &str) -> Option<Self> {
        let f = self.guest.types().member(self.id, name)?;
        Some(self.at(f))
    }

    pub(in crate::os::linux) fn at(&self, f: Field) -> Self {
        let bits = (f.width > 0).then(|| (u32::try_from(f.bit & 7).unwrap_or(0), f.width));
        Self { id: f.id, address: self.address.wrapping_add(f.offset()), bits, ..*self }
    }

    /// Returns this structure, or the one that this points to.
    fn structure(&self) -> Result<Self> {
        match self.guest.types().kind(self.guest.types().bare(self.id)) {
            Kind::Pointer(_) => self.target(),
            _ => Ok(*self),
        }
    }

    /// Returns what a pointer points to.
    ///
    /// # Errors
    /// `Missing` for a null pointer, and when the pointer is not in memory; `Unsupported` if it is not a pointer.
    pub fn target(&self) -> Result<Self> {
        let Kind::Pointer(id) = self.guest.types().kind(self.guest.types().bare(self.id)) else {
            return Err(Error::new(ErrorKind::Unsupported, "expected a pointer"));
        };
        match self.number()? {
            0 => Err(Error::new(ErrorKind::Missing, format!("the pointer at {:#x} is null", self.address))),
            address => Ok(Self { id, address, bits: None, ..*self }),
        }
    }

    /// Returns an element of an array, or of what a pointer points to.
    ///
    /// # Errors
    /// `Missing` beyond the end of an array; `Unsupported` for other types.
    pub fn element(&self, n: u64) -> Result<Self> {
        let types = self.guest.types();
        let (base, id) = match types.kind(types.bare(self.id)) {
            Kind::Array { element, count } if n < u64::from(count) || count == 0 => (self.address, element),
            Kind::Array { count, .. } => {
                return Err(Error::new(ErrorKind::Missing, format!("expected an element below {count}, found {n}")));
            }
            Kind::Pointer(_) => {
                let t = self.target()?;
                (t.address, t.id)
            }
            _ => return Err(Error::new(ErrorKind::Unsupported, "expected an array or a pointer")),
        };
        let size =
            types.size(id).ok_or_else(|| Error::new(ErrorKind::Unsupported, "the size of an element is not known"))?;
        Ok(Self { id, address: base.wrapping_add(n.wrapping_mul(size)), bits: None, ..*self })
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.guest.types().size(self.id)
    }

    /// Reads a number, a pointer, an enumeration or a `bool`; negative numbers have all upper bits set.
    ///
    /// # Errors
    /// `Missing` when it is not in memory; `Unsupported` for other types; `Io`.
    pub fn number(&self) -> Result<u64> {
        let types = self.guest.types();
        let (bytes, signed) = match types.kind(types.bare(self.id)) {
            Kind::Integer(i) => (u64::from(i.bytes), i.signed),
            Kind::Enumeration { bytes, values, .. } => (u64::from(bytes), values.iter().any(|v| v.value < 0)),
            Kind::Pointer(_) => (types.word(), false),
            // atomic_t, refcount_t, atomic64_t, pgd_t and others hold one number
            Kind::Composite(c) => {
                let mut members = c.members();
                return match (members.next(), members.next()) {
                    (Some(m), None) => self.at(Field { id: m.id, bit: m.bit, width: m.width }).number(),
                    _ => Err(Error::new(ErrorKind::Unsupported, format!("expected a number, found {c:?}"))),
                };
            }
            _ => return Err(Error::new(ErrorKind::Unsupported, "expected a number")),
        };
        let (value, bits) = match self.bits {
            None => {
                (self.guest.kernel().number(self.address, usize::try_from(bytes).unwrap_or(8).min(8))?, bytes.times(8))
            }
            Some((before, width)) => (self.bit_field(before, width)?, width.into()),
        };
        let unused = 64_u32.saturating_sub(u32::try_from(bits).unwrap_or(64));
        Ok(if signed && unused < 64 { (value << unused).cast_signed() >> unused } else { value.cast_signed() }
            .cast_unsigned())
    }

    /// Reads a bit-field. Bits are counted from the least significant one, on big-endian machines from the most significant one.
    fn bit_field(&self, before: u32, width: u32) -> Result<u64> {
        let all = before.saturating_add(width);
        let bytes = usize::try_from(all.div_ceil(8)).unwrap_or(0);
        if width == 0 || width > 64 || bytes > 9 {
            return Err(Error::new(ErrorKind::Corrupt, format!("expected a bit-field of 1 to 64 bits, found {width}")));
        }
        let mut buf = vec![0; bytes];
        let kernel = self.guest.kernel();
        kernel.read(self.address, &mut buf)?;
        let add = |n: u128, b: &u8| n << 8 | u128::from(*b);
        let (whole, shift) = if kernel.is_big_endian() {
            (buf.iter().fold(0, add), u32::try_from(bytes.times(8)).unwrap_or(0).saturating_sub(all))
        } else {
            (buf.iter().rev().fold(0, add), before)
        };
        let mask = u128::MAX.checked_shr(128_u32.saturating_sub(width)).unwrap_or(0);
        Ok(u64::try_from(whole.checked_shr(shift).unwrap_or(0) & mask).unwrap_or(0))
    }

    /// Reads a number that may be negative.
    ///
    /// # Errors
    /// Same as [`Object::number`].
    pub fn signed(&self) -> Result<i64> {
        Ok(self.number()?.cast_signed())
    }

    /// Reads bytes of the value.
    ///
    /// # Errors
    /// `Missing` when it is not in memory; `Io`.
    pub fn bytes(&self, len: usize) -> Result<Vec<u8>> {
        let mut out = vec![0; len.min(1 << 20)];
        self.guest.kernel().read(self.address, &mut out)?;
        Ok(out)
    }

    /// Reads text: an array of `char`, or what a pointer to `char` points to, up to the first NUL.
    ///
    /// # Errors
    /// Same as [`Object::number`].
    pub fn text(&self) -> Result<Name> {
        let types = self.guest.types();
        match types.kind(types.bare(self.id)) {
            Kind::Array { count: 0, .. } => self.guest.text_at(self.address, MAX_TEXT),
            Kind::Array { count, .. } => self.guest.text_at(self.address, u64::from(count).min(MAX_TEXT)),
            Kind::Pointer(_) => match self.number()? {
                0 => Ok(Name::default()),
                at => self.guest.text_at(at, MAX_TEXT),
            },
            _ => self.guest.text_at(self.address, MAX_TEXT),
        }
    }

    /// Returns the elements of a list whose head this is: structures in which the list goes through a member.
    /// It ends at the head, or with an error at an element that is not in memory, and after `most` elements.
    #[must_use]
    pub fn list(&self, structure: &str, member: &str, most: usize) -> List<'g> {
        let types = self.guest.types();
        let place = types.structure(structure).zip(types.offset(structure, member));
        let next = self.own_member("next").or_else(|| self.own_member("first"));
        List { head: *self, at: next, place, left: most, last: self.address, seen: HashSet::new() }
    }

    /// Returns the structure of which this is a member.
    ///
    /// # Errors
    /// `Missing` if there is no such structure or member.
    pub fn container(&self, structure: &str, member: &str) -> Result<Self> {
        let types = self.guest.types();
        let place = types.structure(structure).zip(types.offset(structure, member));
        let lacking = || Error::new(ErrorKind::Missing, format!("the kernel has no struct {structure} with {member}"));
        let (id, offset) = place.ok_or_else(lacking)?;
        Ok(Self { id, address: self.address.wrapping_sub(offset), bits: None, ..*self })
    }
}

impl std::fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {:#x}", self.guest.types().kind(self.id), self.address)
    }
}

/// The elements of a list of the kernel (`struct list_head` and `struct hlist_head`).
#[derive(Debug)]
pub struct List<'g> {
    head: Object<'g>,
    at: Option<Object<'g>>,
    place: Option<(TypeId, u64)>,
    left: usize,
    last: u64,
    seen: HashSet<u64>,
}

impl<'g> Iterator for List<'g> {
    type Item = Result<Object<'g>>;

    fn next(&mut self) -> Option<Self::Item> {
        let pointer = self.at.take()?;
        let Some((id, offset)) = self.place else {
            return Some(Err(Error::new(ErrorKind::Missing, "the kernel has no structure in which this list goes")));
        };
        let node = match pointer.number() {
            // an hlist ends with a null pointer; the last bit of one that is walked under RCU may be set
            Ok(0) => return None,
            Ok(n) if n & 1 == 1 || n == self.head.address => return None,
            Ok(n) => n,
            Err(e) => {
                return Some(Err(e.within(format!("list from {:#x}, after {:#x}", self.head.address, self.last))));
            }
        };
        if self.left == 0 || !self.seen.insert(node) {
            let what =
                format!("the list from {:#x} has no end, or more elements than are looked at", self.head.address);
            return Some(Err(Error::new(ErrorKind::Corrupt, what)));
        }
        self.left = self.left.minus(1);
        self.last = node;
        self.at = Some(Object { address: node, ..pointer });
        Some(Ok(Object { id, address: node.wrapping_sub(offset), bits: None, ..self.head }))
    }
}
