//! What `qemu-system-X -machine M -dump-vmstate FILE` writes: the vmsds of every device class of the binary.
//!
//! `dump_vmstate_json_to_file` in `migration/savevm.c`. It walks the device classes, so that what is registered without
//! one (processors, timers, buses, `globalstate`) is not in it; nor are RAM blocks, instance ids, commands, or which
//! devices a machine has. But for the name under `vmschkmachine` it is the same for all machines of a binary.

use std::collections::HashMap;

use super::json_number;
use super::layout::Layout;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Json, parse_json};
use crate::text::Name;

/// A parsed dump.
#[derive(Clone, Debug, Default)]
pub struct Dump {
    /// The machine that was asked for, where the file says it.
    pub machine: Option<Name>,
    /// The device classes, in the order of the file.
    pub classes: Vec<Class>,
    /// Whether any field has its number of elements, as in QEMU 8.0 and later.
    pub has_counts: bool,
    /// Whether the file ends too early; QEMU 5.2 for ppc64 crashes while it writes one.
    pub cut: bool,
    by_vmsd: HashMap<Name, Vec<usize>>,
}

/// A device class.
#[derive(Clone, Debug)]
pub struct Class {
    /// The class's name, such as `virtio-net-device`.
    pub name: Name,
    /// Its vmsd.
    pub layout: Layout,
}

/// The key under which the machine's name stands.
const MACHINE: &str = "vmschkmachine";

impl Dump {
    /// Parses a dump.
    ///
    /// # Errors
    /// `Corrupt` when it is no JSON, `NotASaveImage` when it is other JSON.
    pub fn read(text: &[u8]) -> Result<Self> {
        let (json, cut) = match parse_json(text) {
            Ok((json, _)) => (json, false),
            Err(e) => (salvage(text).ok_or(e)?, true),
        };
        let pairs = json.pairs().unwrap_or_default();
        let mut out = Self { cut, ..Self::default() };
        for (key, value) in pairs {
            if key == MACHINE {
                out.machine = value.key("Name").and_then(Json::text).cloned();
            } else if let Some(mut layout) = value.key("Description").and_then(|d| Layout::of_dump(d, 0)) {
                layout.version = layout.version.or(json_number(value, "version_id"));
                out.by_vmsd.entry(layout.name.clone()).or_default().push(out.classes.len());
                out.has_counts |= layout.has_counts();
                out.classes.push(Class { name: key.clone(), layout });
            }
        }
        if out.classes.is_empty() {
            return Err(Error::new(
                ErrorKind::NotASaveImage,
                "expected the output of -dump-vmstate, found JSON without device classes",
            )
            .hint("make it with: qemu-system-ARCH -machine NAME -dump-vmstate FILE"));
        }
        Ok(out)
    }

    /// Returns the classes whose vmsd has a name.
    pub fn with_vmsd<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Class> {
        self.by_vmsd.get(name).into_iter().flatten().filter_map(|i| self.classes.get(*i))
    }

    /// Returns the class of a name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.iter().find(|c| c.name == name)
    }
}

/// Reads a dump that ends too early as far as its last whole class.
fn salvage(text: &[u8]) -> Option<Json> {
    let text = String::from_utf8_lossy(text);
    let end = text.rfind("\n  },")?;
    let whole = format!("{}\n  }}\n}}", text.get(..end)?);
    parse_json(whole.as_bytes()).ok().map(|(json, _)| json)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
  "vmschkmachine": {
    "Name": "pc-q35-7.2"
  },
  "ib700": {
    "Name": "ib700",
    "version_id": 1,
    "minimum_version_id": 0,
    "Description": {
      "name": "ib700_wdt",
      "version_id": 1,
      "minimum_version_id": 0,
      "Fields": [
        {"field": "timer", "version_id": 0, "field_exists": false, "size": 8},
        {"field": "more", "version_id": 1, "field_exists": true, "num": 3, "size": 4}
      ],
      "Subsections": [{"name": "ib700_wdt/x", "version_id": 1, "minimum_version_id": 1, "Fields": []}]
    }
  },
  "other": {
    "Name": "other",
    "version_id": 1,
    "minimum_version_id": 1,
    "Description": {"name": "other", "version_id": 1, "minimum_version_id": 1, "Fields": []}
  }
}
"#;

    #[test]
    fn classes_are_found_by_the_name_of_their_vmsd() {
        let d = Dump::read(TEXT.as_bytes()).unwrap();
        assert_eq!(d.machine.as_ref().map(Name::exact), Some("pc-q35-7.2"));
        let c = d.with_vmsd("ib700_wdt").next().unwrap();
        assert_eq!(c.name, "ib700");
        assert_eq!((c.layout.version, c.layout.minimum), (Some(1), Some(0)));
        assert_eq!(c.layout.slots[1].count, Some(3));
        assert!(c.layout.slots[1].conditional && !c.layout.slots[0].conditional);
        assert!(c.layout.subsection("ib700_wdt/x").is_some());
        assert!(!d.cut);
    }

    #[test]
    fn a_dump_that_ends_too_early_gives_what_it_has() {
        let cut = TEXT.find("\"other\",").unwrap();
        let d = Dump::read(&TEXT.as_bytes()[..cut]).unwrap();
        assert!(d.cut);
        assert_eq!(d.classes.len(), 1);
    }

    #[test]
    fn other_json_is_told_from_a_dump() {
        assert_eq!(Dump::read(b"{\"devices\":[]}").unwrap_err().kind(), ErrorKind::NotASaveImage);
        assert_eq!(Dump::read(b"nonsense").unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
