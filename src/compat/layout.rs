//! What a side puts on the wire, or takes from it: vmsds as lists of slots with a width and a count.
//!
//! A stream's description and a `-dump-vmstate` file say different things of the same vmsd. The former has types, exact
//! widths and run-time counts, but only of what was sent; the latter has every field and subsection that the binary knows,
//! with versions, but sizes *in memory*, no types, and a bare "there is a condition" for conditional ones
//! (`dump_vmstate_vmsf` in `migration/savevm.c`).

use crate::limits::MAX_DEPTH;
use crate::offset::Sure;
use crate::schema::{Field, Kind, Names, Read, Reader, Vmsd};
use crate::text::Name;
use crate::value::{FieldType, Layout as TypeLayout};

/// Where a layout comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The description in a stream: what was sent, exactly.
    #[default]
    Stream,
    /// A dump: all that is known, with versions and conditions, but with sizes in memory.
    Dump,
}

/// A vmsd as one side has it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Layout {
    /// Where it comes from.
    pub source: Source,
    /// Its name; may be empty.
    pub name: Name,
    /// The version that is written, or the newest that is read.
    pub version: Option<u32>,
    /// The oldest version that is read; only a dump contains it.
    pub minimum: Option<u32>,
    /// The fields, in the order of the wire.
    pub slots: Vec<Slot>,
    /// Those that were sent (stream), or all that are known (dump).
    pub subsections: Vec<Layout>,
    /// Whether a dump gives no list of fields, not even an empty one: the vmsd is marked as `unmigratable`.
    pub unmigratable: bool,
}

/// A field, or the neighbouring entries of one name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Slot {
    /// The name.
    pub name: Name,
    /// The type, where it is known.
    pub ty: Option<FieldType>,
    /// Bytes of one element on the wire, where they are known.
    pub width: Option<u64>,
    /// The number of elements; `None` if the side decides at run time.
    pub count: Option<u64>,
    /// The first version of the vmsd that has it.
    pub since: u32,
    /// Whether the side has it only under a condition.
    pub conditional: bool,
    /// What is inside a structure: one layout, or one for each kind of element.
    pub inner: Vec<Layout>,
}

impl Layout {
    /// Takes it from a stream's description.
    #[must_use]
    pub fn of_stream(v: &Vmsd) -> Self {
        let mut slots: Vec<Slot> = Vec::with_capacity(v.fields.len());
        for f in &v.fields {
            let slot = Slot::of_stream(f);
            match slots.last_mut().filter(|l| l.name == slot.name && l.is_same_kind(&slot)) {
                Some(last) => last.join(slot),
                None => slots.push(slot),
            }
        }
        let subsections = v.subsections.iter().map(Self::of_stream).collect();
        Self {
            source: Source::Stream,
            name: v.name.clone(),
            version: v.version,
            minimum: None,
            slots,
            subsections,
            unmigratable: false,
        }
    }

    /// Reads it from a dump; `None` if it is not a vmsd.
    pub(super) fn of_dump(r: &mut Reader<'_>, names: &mut Names, depth: usize) -> Read<Option<Self>> {
        if depth >= MAX_DEPTH || r.kind()? != Kind::Object || !names.take::<Self>(2) {
            return r.skip().map(|()| None);
        }
        let deeper = depth.plus(1);
        let mut name = None;
        let mut out = Self { source: Source::Dump, unmigratable: true, ..Self::default() };
        r.object(|r, key| {
            match key {
                b"name" => name = r.text()?.map(|t| names.name(&t)),
                b"version_id" => out.version = r.fitting()?,
                b"minimum_version_id" => out.minimum = r.fitting()?,
                b"Fields" => {
                    out.unmigratable = false;
                    out.slots = all(r, names, |r, names| Slot::of_dump(r, names, deeper))?;
                }
                b"Subsections" => out.subsections = all(r, names, |r, names| Self::of_dump(r, names, deeper))?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(name.map(|name| Self { name, ..out }))
    }

    /// Returns whether any field says how many elements it has.
    #[must_use]
    pub fn has_counts(&self) -> bool {
        let inside = |s: &Slot| s.count.is_some() || s.inner.iter().any(Self::has_counts);
        self.slots.iter().any(inside) || self.subsections.iter().any(Self::has_counts)
    }

    /// Returns the subsection of a name: of several, the one after `earlier` others, or the last. Devices of QEMU 11.1 have two
    /// of one name, of which the conditions let one be sent.
    #[must_use]
    pub fn subsection(&self, name: &str, earlier: usize) -> Option<&Layout> {
        let mut all = self.subsections.iter().filter(|s| s.name == name).take(earlier.plus(1));
        let first = all.next();
        all.last().or(first)
    }

    /// Returns the fields that a loader or a writer of a version takes: a condition is asked instead of the version
    /// (`vmstate_field_exists` in `migration/vmstate.c`).
    pub fn slots_of(&self, version: Option<u32>) -> impl Iterator<Item = &Slot> {
        let all = self.source != Source::Dump;
        self.slots.iter().filter(move |s| all || s.conditional || version.is_none_or(|v| s.since <= v))
    }

    /// Returns `true` for that of a PCI device, which has the state of one as its first field.
    #[must_use]
    pub fn is_pci(&self) -> bool {
        let mut l = self;
        for _ in 0..MAX_DEPTH {
            if l.name == "PCIDevice" {
                return true;
            }
            let Some(first) = l.slots.first().and_then(|s| s.inner.first()) else { break };
            l = first;
        }
        false
    }

    /// Returns the bytes on the wire, when all are known: of a stream with its subsections, of a dump without any.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let fields = total(&self.slots)?;
        match self.source {
            Source::Dump => Some(fields),
            Source::Stream => self.subsections.iter().try_fold(fields, |n, s| {
                let framed = s.bytes()?.checked_add(6)?.checked_add(s.name.len() as u64)?;
                n.checked_add(framed)
            }),
        }
    }
}

/// Reads the items of a list.
fn all<'r, T>(
    r: &mut Reader<'r>,
    names: &mut Names,
    one: impl Fn(&mut Reader<'r>, &mut Names) -> Read<Option<T>>,
) -> Read<Vec<T>> {
    let mut out = Vec::new();
    r.list(|r| {
        if let Some(item) = one(r, names)? {
            names.push(&mut out, item);
        }
        Ok(())
    })?;
    out.shrink_to_fit();
    Ok(out)
}

/// Returns the bytes of slots, when all are fixed.
pub(super) fn total(slots: &[Slot]) -> Option<u64> {
    slots.iter().try_fold(0_u64, |n, s| n.checked_add(s.bytes()?))
}

impl Slot {
    fn of_stream(f: &Field) -> Self {
        let mut inner: Vec<Layout> = Vec::new();
        for v in f.inner.iter().filter(|v| v.described) {
            let l = Layout::of_stream(v);
            if !inner.contains(&l) && inner.len() < MAX_KINDS {
                inner.push(l);
            }
        }
        Self {
            name: f.name.clone(),
            ty: Some(f.ty.clone()),
            width: Some(f.size),
            count: Some(f.count()),
            since: 0,
            conditional: false,
            inner,
        }
    }

    fn of_dump(r: &mut Reader<'_>, names: &mut Names, depth: usize) -> Read<Option<Self>> {
        if r.kind()? != Kind::Object || !names.take::<Self>(0) {
            return r.skip().map(|()| None);
        }
        let mut name = None;
        let mut out = Self {
            name: Name::default(),
            ty: None,
            width: None,
            count: None,
            since: 0,
            conditional: false,
            inner: Vec::new(),
        };
        r.object(|r, key| {
            match key {
                b"field" => name = r.text()?.map(|t| names.name(&t)),
                b"size" => out.width = r.fitting::<u32>()?.map(u64::from),
                b"num" => out.count = r.fitting::<u32>()?.map(u64::from),
                b"version_id" => out.since = r.fitting()?.unwrap_or_default(),
                b"field_exists" => {
                    out.conditional = r.kind()? == Kind::True;
                    r.skip()?;
                }
                b"Description" => out.inner = Layout::of_dump(r, names, depth)?.into_iter().collect(),
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(name.map(|name| Self { name, ..out }))
    }

    fn is_same_kind(&self, other: &Self) -> bool {
        let marker = |s: &Self| s.layout() == Some(TypeLayout::PointerMarker);
        marker(self) || marker(other) || self.ty == other.ty
    }

    /// Adds the elements of the next entry of the same name.
    fn join(&mut self, next: Self) {
        self.count = self.count.zip(next.count).map(|(a, b)| a.saturating_add(b));
        if self.layout() == Some(TypeLayout::PointerMarker) {
            self.ty = next.ty;
        }
        if self.width != next.width {
            self.width = None;
        }
        for l in next.inner {
            if !self.inner.contains(&l) && self.inner.len() < MAX_KINDS {
                self.inner.push(l);
            }
        }
    }

    /// Returns the type's layout, where the type is known.
    #[must_use]
    pub fn layout(&self) -> Option<TypeLayout> {
        self.ty.as_ref().and_then(FieldType::layout)
    }

    /// Returns whether the bytes on the wire follow from the run-time state, or from a reader of the device's own.
    #[must_use]
    pub fn is_variable(&self) -> bool {
        use TypeLayout::{Bitmap, CountedText, Custom, List, PointerMarker, Struct, Tree};
        match self.layout() {
            Some(Bitmap | CountedText | Custom | List | PointerMarker | Tree) => true,
            // an array of pointers, some of them NULL, which older releases do not describe
            Some(Struct) => self.inner.is_empty() || self.width.is_none(),
            _ => false,
        }
    }

    /// Returns `true` for a field of a dump that may be an array: a dump gives the length only of some arrays.
    #[must_use]
    pub fn has_unknown_count(&self) -> bool {
        self.ty.is_none() && self.count.is_none()
    }

    /// Returns whether a field of a stream is padding, whose length never follows from the state.
    #[must_use]
    pub fn is_padding(&self) -> bool {
        self.ty.as_ref().is_some_and(|t| t.exact() == "unused_buffer")
    }

    /// Returns whether a field of a stream has the size in memory that a dump gives: plain integers do, a timer is a pointer
    /// there, and a buffer may be one.
    #[must_use]
    pub fn has_plain_size(&self) -> bool {
        match self.layout() {
            Some(TypeLayout::Bool) => true,
            Some(TypeLayout::Signed | TypeLayout::Unsigned) => !self.is_special(),
            _ => false,
        }
    }

    /// Returns whether a field of a stream is of a type with a reader of its own, such as `int32_as_uint16`.
    #[must_use]
    pub fn is_special(&self) -> bool {
        let Some(ty) = &self.ty else { return false };
        match ty.layout() {
            Some(TypeLayout::Signed | TypeLayout::Unsigned) => {
                let plain = ty.exact().trim_end_matches(" equal").trim_end_matches(" le").trim_start_matches('u');
                !matches!(plain, "int8" | "int16" | "int32" | "int64")
            }
            Some(TypeLayout::Bool | TypeLayout::Bytes | TypeLayout::Timer | TypeLayout::Struct) => false,
            _ => true,
        }
    }

    /// Returns the bytes of all elements on the wire, when they are known: a stream's description gives them, of a dump those
    /// of plain numbers and of structures of them.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        if self.ty.is_some() {
            return self.width?.checked_mul(self.count?);
        }
        let one = match self.inner.as_slice() {
            // padding has the same size in memory and on the wire
            [] if self.name == "unused" => self.width?,
            [] => self.width.filter(|w| matches!(w, 1 | 2 | 4 | 8))?,
            [l] if l.subsections.is_empty() && l.slots.iter().all(|s| !s.conditional) => l.bytes()?,
            _ => return None,
        };
        one.checked_mul(self.count.unwrap_or(1))
    }

    /// Describes the slot: `uint32`, `4 bytes`, `8 x uint64`.
    #[must_use]
    pub fn text(&self) -> String {
        let one = match (&self.ty, self.width, self.inner.first()) {
            (_, _, Some(l)) if !l.name.is_empty() => format!("struct {}", l.name),
            (Some(t), Some(w), _) if matches!(t.layout(), Some(TypeLayout::Bytes) | None) => {
                format!("{} of {w} bytes", t)
            }
            (Some(t), _, _) => t.to_string(),
            (None, Some(1), _) => "1 byte".to_owned(),
            (None, Some(w), _) => format!("{w} bytes"),
            (None, None, _) => "a field of unknown size".to_owned(),
        };
        match self.count {
            Some(1) => one,
            Some(n) => format!("{n} x {one}"),
            None if self.ty.is_none() => one,
            None => format!("an array of {one}"),
        }
    }
}

/// Different layouts of elements of one list that are kept: QEMU's lists have elements of one or two.
const MAX_KINDS: usize = 16;
