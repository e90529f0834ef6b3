//! A processor of a dump.

use crate::decode::cpu::Fields;
use crate::offset::Sure;
use crate::value::Node;

/// A processor whose registers go into a dump.
#[derive(Clone, Copy)]
pub struct Processor<'a> {
    /// Its number, from 0.
    pub index: u32,
    /// Its section `cpu`.
    pub fields: Fields<'a>,
}

impl std::fmt::Debug for Processor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Processor({})", self.index)
    }
}

impl<'a> Processor<'a> {
    /// Takes the section `cpu` of a processor.
    #[must_use]
    pub fn new(index: u32, section: &'a Node) -> Self {
        Self { index, fields: Fields::new(section) }
    }

    /// The thread id in a dump: one more than the number.
    pub(super) fn pid(&self) -> u64 {
        u64::from(self.index).plus(1)
    }

    /// Returns the elements of an array of numbers.
    pub(super) fn all(&self, name: &str) -> Vec<u64> {
        self.fields.numbers(name).into_iter().map(|n| n.low()).collect()
    }
}
