//! Sections of live handlers other than RAM: one file each, one row each.
//!
//! The readers skip data and keep counts; what a payload needs of earlier ones (names, sizes) stays with the reader
//! of its section. After skipping data, the cursor releases the bytes before it, as for RAM pages.

mod block;
mod by_name;
mod dirty_bitmap;
mod htab;
mod storage_attributes;
#[cfg(test)]
mod testing;
mod vfio;

use crate::stream::{Fact, FactValue, LiveKind};

/// Every known live handler except `ram`.
pub static HANDLERS: &[LiveKind] = &[
    LiveKind {
        what: "hash page table",
        matches: |idstr| idstr == "spapr/htab",
        versions: &[1],
        make: || Box::<htab::Htab>::default(),
    },
    LiveKind {
        what: "storage attributes",
        matches: |idstr| idstr == "s390-storage_attributes",
        versions: &[0],
        make: || Box::<storage_attributes::StorageAttributes>::default(),
    },
    LiveKind {
        what: "dirty bitmaps",
        matches: |idstr| idstr == "dirty-bitmap",
        versions: &[1],
        make: || Box::<dirty_bitmap::DirtyBitmap>::default(),
    },
    LiveKind {
        what: "disks",
        matches: |idstr| idstr == "block",
        versions: &[1],
        make: || Box::<block::Block>::default(),
    },
    LiveKind {
        what: "VFIO device",
        // the device's path comes first; without a path the name is bare
        matches: |idstr| idstr == "vfio" || idstr.ends_with("/vfio"),
        versions: &[1],
        make: || Box::<vfio::Vfio>::default(),
    },
];

/// Finds the row of a section by its name.
#[must_use]
pub fn find(idstr: &str) -> Option<&'static LiveKind> {
    HANDLERS.iter().find(|h| (h.matches)(idstr))
}

fn count(name: &'static str, n: u64) -> Fact {
    Fact { name, value: FactValue::Count(n) }
}

fn bytes(name: &'static str, n: u64) -> Fact {
    Fact { name, value: FactValue::Bytes(n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_found_by_name() {
        for (idstr, what) in [
            ("spapr/htab", "hash page table"),
            ("s390-storage_attributes", "storage attributes"),
            ("dirty-bitmap", "dirty bitmaps"),
            ("block", "disks"),
            ("0000:00:05.0/vfio", "VFIO device"),
            ("vfio", "VFIO device"),
        ] {
            let kind = find(idstr).unwrap_or_else(|| panic!("{idstr} is not known"));
            assert_eq!(kind.what, what);
            assert!((kind.make)().facts().iter().all(|f| !f.name.is_empty()));
        }
        for idstr in ["ram", "s390-skeys", "vfio-user", "blocks", ""] {
            assert!(find(idstr).is_none(), "{idstr}");
        }
    }
}
