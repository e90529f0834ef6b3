//! What `qemu-system-X -machine M -dump-vmstate FILE` writes: the vmsds of every device class of the binary.
//!
//! `dump_vmstate_json_to_file` in `migration/savevm.c`. It walks the device classes, so that what is registered without
//! one (processors, timers, buses, `globalstate`) is not in it; nor are RAM blocks, instance ids, commands, or which
//! devices a machine has. But for the name under `vmschkmachine` it is the same for all machines of a binary.

use std::collections::HashMap;

use super::layout::Layout;
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Fault, Kind, Names, Read, Reader};
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
#[non_exhaustive]
pub struct Class {
    /// The class's name, such as `virtio-net-device`.
    pub name: Name,
    /// Its vmsd.
    pub layout: Layout,
}

/// The key of the machine's name.
const MACHINE: &[u8] = b"vmschkmachine";

impl Dump {
    /// Parses a dump, in one pass; of one that ends too early, what is whole.
    ///
    /// # Errors
    /// `Corrupt` when it is no JSON, `NotASaveImage` when it is other JSON, `LimitExceeded` when its layouts take more
    /// memory than [`crate::limits::MAX_SCHEMA_BYTES`].
    pub fn read(text: &[u8]) -> Result<Self> {
        let mut names = Names::new(text.len());
        let mut out = Self::default();
        let mut r = Reader::new(text, 0);
        if let Err(e) = out.classes(&mut r, &mut names).and_then(|()| r.finish()) {
            if !is_cut(text, e) || out.classes.is_empty() {
                return Err(Error::new(ErrorKind::Corrupt, format!("dump: not valid JSON: {}", e.shown(text))));
            }
            out.cut = true;
        }
        if names.full {
            let what = "expected the output of -dump-vmstate, found more fields than fit in memory";
            return Err(Error::new(ErrorKind::LimitExceeded, what));
        }
        if out.classes.is_empty() {
            return Err(Error::new(
                ErrorKind::NotASaveImage,
                "expected the output of -dump-vmstate, found JSON without device classes",
            )
            .hint("make it with: qemu-system-ARCH -machine NAME -dump-vmstate FILE"));
        }
        out.classes.shrink_to_fit();
        Ok(out)
    }

    fn classes(&mut self, r: &mut Reader<'_>, names: &mut Names) -> Read<()> {
        if r.kind()? != Kind::Object {
            return r.skip();
        }
        r.object(|r, key| if key == MACHINE { self.machine(r) } else { self.class_of(key, r, names) })
    }

    fn machine(&mut self, r: &mut Reader<'_>) -> Read<()> {
        let mut name = None;
        if r.kind()? == Kind::Object {
            r.object(|r, key| if key == b"Name" { r.text().map(|t| name = t) } else { r.skip() })?;
        } else {
            r.skip()?;
        }
        self.machine = name.map(|n| Name::from_bytes(&n));
        Ok(())
    }

    fn class_of(&mut self, class: &[u8], r: &mut Reader<'_>, names: &mut Names) -> Read<()> {
        if r.kind()? != Kind::Object {
            return r.skip();
        }
        let (mut version, mut layout) = (None, None);
        r.object(|r, key| match key {
            b"version_id" => r.fitting().map(|v| version = v),
            b"Description" => Layout::of_dump(r, names, 0).map(|l| layout = l),
            _ => r.skip(),
        })?;
        if let Some(mut layout) = layout.filter(|_| names.take::<Class>(2)) {
            layout.version = layout.version.or(version);
            self.by_vmsd.entry(layout.name.clone()).or_default().push(self.classes.len());
            self.has_counts |= layout.has_counts();
            let name = names.name(class);
            names.push(&mut self.classes, Class { name, layout });
        }
        Ok(())
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

/// Returns whether a fault is that the text ends.
fn is_cut(text: &[u8], fault: Fault) -> bool {
    fault.at >= text.trim_ascii_end().len()
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
        assert!(c.layout.subsection("ib700_wdt/x", 0).is_some());
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
    fn other_json_is_not_taken_for_a_dump() {
        assert_eq!(Dump::read(b"{\"devices\":[]}").unwrap_err().kind(), ErrorKind::NotASaveImage);
        assert_eq!(Dump::read(b"nonsense").unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
