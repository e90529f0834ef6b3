//! Counts by a name that the input chooses: a bounded number of names.

use std::collections::BTreeMap;

use super::count;
use crate::limits::MAX_LIVE_NAMES;
use crate::offset::Sure;
use crate::stream::{Fact, FactValue};
use crate::text::Name;

/// A `T` for each name, up to [`MAX_LIVE_NAMES`] of them.
pub(super) struct ByName<T> {
    map: BTreeMap<Name, T>,
    /// Number of look-ups refused because there were too many names.
    refused: u64,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), refused: 0 }
    }
}

impl<T: Default> ByName<T> {
    /// Returns the entry for a name, or `None` if there are too many names.
    pub(super) fn entry(&mut self, name: &str) -> Option<&mut T> {
        if !self.map.contains_key(name) {
            if self.map.len() >= MAX_LIVE_NAMES {
                self.refused.tally(1);
                return None;
            }
            self.map.insert(name.into(), T::default());
        }
        self.map.get_mut(name)
    }

    /// Returns the entry for a known name.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.map.get(name)
    }

    /// Returns one text for each name, and how many names' worth is missing where some is.
    pub(super) fn facts(&self, name: &'static str, describe: impl Fn(&T) -> String) -> Vec<Fact> {
        let list = self.map.iter().map(|(k, v)| Name::from(format!("{}: {}", k.exact(), describe(v)))).collect();
        let mut facts = vec![Fact { name, value: FactValue::List(list) }];
        if self.refused > 0 {
            facts.push(count("not_counted_by_name", self.refused));
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let mut b = ByName::<u64>::default();
        for i in 0..MAX_LIVE_NAMES + 3 {
            if let Some(n) = b.entry(&format!("disk{i:05}")) {
                *n += 1;
            }
        }
        *b.entry("disk00000").unwrap() += 1;
        assert_eq!(b.get("disk00000"), Some(&2));
        assert_eq!(b.get("disk04098"), None);
        let facts = b.facts("disks", u64::to_string);
        let FactValue::List(list) = &facts[0].value else { panic!("{:?}", facts[0]) };
        assert_eq!(list.len(), MAX_LIVE_NAMES);
        assert_eq!(list[0], "disk00000: 2");
        assert_eq!(facts[1], count("not_counted_by_name", 3));
    }
}
