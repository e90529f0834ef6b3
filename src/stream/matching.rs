//! Which device of a description a section is.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::frame::SectionHeader;
use crate::names::RecordType;
use crate::schema::Schema;
use crate::text::Name;

/// The devices of a description that no section was matched with yet.
///
/// Two devices may have the same name and instance id; they are matched in the order of the stream.
#[derive(Debug, Default)]
pub(super) struct Unmatched {
    by_name: HashMap<Name, HashMap<u32, VecDeque<usize>>>,
    left: BTreeSet<usize>,
}

impl Unmatched {
    pub(super) fn new(schema: Option<&Schema>) -> Self {
        let mut out = Self::default();
        for (i, d) in schema.into_iter().flat_map(|s| s.devices.iter().enumerate()) {
            out.by_name.entry(d.idstr.clone()).or_default().entry(d.instance_id).or_default().push_back(i);
            out.left.insert(i);
        }
        out
    }

    /// Finds the device that a FULL section is, and takes it off the list.
    pub(super) fn take(&mut self, h: &SectionHeader) -> Option<usize> {
        if h.kind != RecordType::FULL {
            return None;
        }
        let i = self.by_name.get_mut(h.idstr.exact())?.get_mut(&h.instance_id)?.pop_front()?;
        self.left.remove(&i);
        Some(i)
    }

    /// Returns whether a device of this name is described, taken or not.
    pub(super) fn describes(&self, name: &[u8], instance_id: u32) -> bool {
        std::str::from_utf8(name).is_ok_and(|n| self.by_name.get(n).is_some_and(|d| d.contains_key(&instance_id)))
    }

    /// Returns the indices of those that are left, in the order of the stream.
    pub(super) fn left(&self) -> impl Iterator<Item = usize> {
        self.left.iter().copied()
    }
}
