//! The description of a stream's device sections: QEMU's JSON, read tolerantly and compiled.
//!
//! The writers are `vmstate_save_state_v` and its helpers in `migration/vmstate.c`, and `vmstate_save` and
//! `vmstate_save_old_style` in `migration/savevm.c`. A field carries exactly its name, type and size, an element
//! count or an index, and the description of what is inside. It does not give the endianness, of what integer counts
//! which array, of flags, or of the sections of live handlers.

mod compile;
mod document;
mod names;
mod reader;
mod salvage;

pub use compile::{read, read_damaged};
pub use document::Document;
pub(crate) use names::Names;
pub(crate) use reader::{Fault, Kind, Read, Reader};

use std::collections::HashSet;

use crate::offset::{Sure, total};
use crate::text::Name;
use crate::value::FieldType;

/// A compiled description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// The target page size in bytes.
    pub page_size: Option<u64>,
    /// The configuration section (QEMU 8.2 and later).
    pub configuration: Option<Vmsd>,
    /// One entry per FULL section, in the order of the stream.
    pub devices: Vec<DeviceSchema>,
    /// What was odd in the JSON and was got round.
    pub remarks: Vec<String>,
}

impl Schema {
    /// Adds the devices of another schema that this one does not describe: a damaged description has only some.
    pub fn complete_with(&mut self, other: &Self) {
        let known: HashSet<(Name, u32)> = self.devices.iter().map(|d| (d.idstr.clone(), d.instance_id)).collect();
        let more = other.devices.iter().filter(|d| !known.contains(&(d.idstr.clone(), d.instance_id)));
        let before = self.devices.len();
        self.devices.extend(more.cloned());
        let added = self.devices.len().minus(before);
        if added > 0 {
            self.remarks.push(format!("{added} devices are described by the external schema"));
        }
    }
}

/// The description of one FULL section.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceSchema {
    /// The section's name.
    pub idstr: Name,
    /// The section's instance id, modulo 2^32.
    pub instance_id: u32,
    /// The vmsd; for a device that QEMU saves with its own function, one buffer named `data` and no vmsd name.
    pub vmsd: Vmsd,
}

/// The description of a structure, of a subsection, or of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vmsd {
    /// The name; empty when the description has none.
    pub name: Name,
    /// The version, when the description has one.
    pub version: Option<u32>,
    /// The fields, in stream order.
    pub fields: Box<[Field]>,
    /// The subsections that are in the stream, in stream order.
    pub subsections: Box<[Vmsd]>,
    /// Whether the JSON had the key `fields`; QEMU before 10.0 leaves it out where an array begins with NULL pointers.
    pub described: bool,
}

/// The description of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// QEMU's name of the field.
    pub name: Name,
    /// The type.
    pub ty: FieldType,
    /// Number of consecutive elements, if the entry covers several.
    pub array_len: Option<u32>,
    /// Bytes in the stream; of the first element when there are several.
    pub size: u64,
    /// What is inside: one vmsd for a structure, one per element (or two, key and value) for a list (or tree).
    pub inner: Box<[Vmsd]>,
}

impl Field {
    /// Returns the number of elements that the entry covers.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.array_len.map_or(1, u64::from)
    }

    /// Returns the bytes of all elements, taking them to be as long as the first.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.size.saturating_mul(self.count())
    }
}

impl Vmsd {
    /// Returns the bytes of fields and subsections by their sizes in the description.
    #[must_use]
    pub fn total(&self) -> u64 {
        total(self.fields.iter().map(Field::total).chain(self.subsections.iter().map(Self::framed_total)))
    }

    /// Returns the number of fields and subsections in it, at all levels.
    #[must_use]
    pub fn size(&self) -> usize {
        let inner = self.fields.iter().flat_map(|f| f.inner.iter()).chain(&self.subsections);
        inner.fold(self.fields.len(), |n, v| n.plus(v.size()).plus(1))
    }

    /// Returns the bytes of a subsection with its framing: type, name length, name, version.
    #[must_use]
    pub fn framed_total(&self) -> u64 {
        total([self.total(), 6, self.name.len() as u64])
    }
}

impl DeviceSchema {
    /// Returns the length of the section's payload by the sizes in the description.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.vmsd.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_much_of_is_small() {
        assert!(size_of::<Field>() <= 64 && size_of::<Vmsd>() <= 64);
    }
}
