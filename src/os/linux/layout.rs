//! Where members are in structures: VMCOREINFO says it of some, types say it of all.

use super::guest::Guest;
use super::info::Info;

/// What says where the parts of structures and the variables are.
pub trait Layout {
    /// Returns the bytes before a member, such as `printk_info.seq`.
    fn offset(&self, member: &str) -> Option<u64>;
    /// Returns the size of a structure.
    fn size(&self, structure: &str) -> Option<u64>;
    /// Returns the address of a variable.
    fn symbol(&self, name: &str) -> Option<u64>;
}

impl Layout for Info {
    fn offset(&self, member: &str) -> Option<u64> {
        Self::offset(self, member)
    }

    fn size(&self, structure: &str) -> Option<u64> {
        Self::size(self, structure)
    }

    fn symbol(&self, name: &str) -> Option<u64> {
        Self::symbol(self, name)
    }
}

impl Layout for Guest<'_> {
    fn offset(&self, member: &str) -> Option<u64> {
        let (structure, path) = member.split_once('.')?;
        let types = self.types();
        // atomic_long_t and others are other names of structures
        let id = types.structure(structure).or_else(|| types.by_words(structure).map(|id| types.bare(id)))?;
        let mut at = super::btf::Field::of(id);
        for name in path.split('.') {
            at = at.then(types.member(at.id, name)?)?;
        }
        Some(at.offset())
    }

    fn size(&self, structure: &str) -> Option<u64> {
        let types = self.types();
        types.structure(structure).or_else(|| types.by_words(structure)).and_then(|id| types.size(id))
    }

    fn symbol(&self, name: &str) -> Option<u64> {
        Self::symbol(self, name).ok()
    }
}
