//! The configuration section: machine type, target page bits, capabilities, UUID.
//!
//! `vmstate_configuration` in `migration/savevm.c`. It has no header and no footer, and up to QEMU 8.1 no description, so
//! it is read by its fixed layout:
//!
//! | bytes | |
//! |---|---|
//! | be32, n bytes | name of the machine type |
//! | 05 1e `configuration/target-page-bits` be32 1, be32 bits | where it is more than the target's least |
//! | 05 1a `configuration/capabilities` be32 1, be32 count, count × (u8 n, name) | `x-ignore-shared`, `mapped-ram` |
//! | 05 12 `configuration/uuid` be32 1, 16 bytes | with `validate-uuid` |

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_CAPABILITIES, MAX_CONFIGURATION_SUBSECTIONS, MAX_MACHINE_NAME};
use crate::names::RecordType;
use crate::offset::{StreamOffset, StreamRange};
use crate::text::Name;
use crate::value::{Blob, FieldType, Node, Record, Value};
use crate::wire::Cursor;

/// The configuration section.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Configuration {
    /// The machine type, such as `pc-q35-10.0`; may be without a version.
    pub machine: Name,
    /// The number of bits of the target page size, if the stream gives it.
    pub target_page_bits: Option<u32>,
    /// The capabilities that change the stream's layout.
    pub capabilities: Vec<Name>,
    /// The machine's UUID, in the order in which it is written.
    pub uuid: Option<[u8; 16]>,
    /// The whole as a tree.
    pub node: Node,
}

impl Configuration {
    /// Returns whether a capability is listed.
    #[must_use]
    pub fn has_capability(&self, name: &str) -> bool {
        self.capabilities.iter().any(|c| c == name)
    }

    /// Returns the UUID as text.
    #[must_use]
    pub fn uuid_text(&self) -> Option<String> {
        let hex: String = self.uuid?.iter().map(|b| format!("{b:02x}")).collect();
        let mut out = String::new();
        for (i, c) in hex.chars().enumerate() {
            if matches!(i, 8 | 12 | 16 | 20) {
                out.push('-');
            }
            out.push(c);
        }
        Some(out)
    }
}

fn leaf(name: impl Into<Name>, ty: &str, start: StreamOffset, c: &Cursor<'_>, value: Value) -> Node {
    Node::new(name, FieldType::new(ty), StreamRange::new(start.0, c.offset().0), value)
}

/// Reads the section; the cursor is just after the record type, which began at `start`.
pub(super) fn read(c: &mut Cursor<'_>, start: StreamOffset) -> Result<Configuration> {
    let at = c.offset();
    let n = c.be32()?;
    let mut fields = vec![leaf("len", "uint32", at, c, Value::Uint(n.into()))];
    let at = c.offset();
    let name = c.take_vec(n.into(), MAX_MACHINE_NAME, "machine type name")?;
    let machine = Name::from_bytes(&name);
    fields.push(leaf("name", "buffer", at, c, Value::Text(machine.clone())));
    let mut out = Configuration {
        machine,
        target_page_bits: None,
        capabilities: Vec::new(),
        uuid: None,
        node: leaf("configuration", "struct", start, c, Value::Null),
    };
    let mut subsections = Vec::new();
    while c.at_end().is_ok_and(|end| !end) && c.peek_u8()? == RecordType::SUBSECTION.0 {
        if subsections.len() >= MAX_CONFIGURATION_SUBSECTIONS {
            let what = format!("configuration: more than {MAX_CONFIGURATION_SUBSECTIONS} subsections");
            return Err(Error::new(ErrorKind::LimitExceeded, what).at(c.offset()));
        }
        subsections.push(subsection(c, &mut out)?);
    }
    let record = Record { vmsd: "configuration".into(), version: Some(1), header_bytes: 1, fields, subsections };
    out.node = leaf("configuration", "struct", start, c, Value::Struct(Box::new(record)));
    Ok(out)
}

fn subsection(c: &mut Cursor<'_>, out: &mut Configuration) -> Result<Node> {
    let start = c.offset();
    c.skip(1)?;
    let name = c.counted_str()?;
    let version = c.be32()?;
    let header_bytes = c.offset().since(start);
    let mut fields = Vec::new();
    let at = c.offset();
    match name.exact() {
        "configuration/target-page-bits" => {
            let bits = c.be32()?;
            out.target_page_bits = Some(bits);
            fields.push(leaf("target_page_bits", "uint32", at, c, Value::Uint(bits.into())));
        }
        "configuration/capabilities" => {
            let count = c.be32()?;
            fields.push(leaf("caps_count", "uint32", at, c, Value::Uint(count.into())));
            if count > MAX_CAPABILITIES {
                return Err(Error::new(ErrorKind::LimitExceeded, format!("{count} capabilities")).at(at));
            }
            let list = c.offset();
            let mut items = Vec::new();
            for _ in 0..count {
                let at = c.offset();
                let cap = c.counted_str()?;
                items.push(leaf("capabilities", "capability", at, c, Value::Text(cap.clone())));
                out.capabilities.push(cap);
            }
            fields.push(leaf("capabilities", "capability", list, c, Value::Array(items)));
        }
        "configuration/uuid" => {
            let bytes = c.take_vec(16, 16, "UUID")?;
            out.uuid = bytes.as_slice().try_into().ok();
            fields.push(leaf("uuid", "buffer", at, c, Value::Bytes(Blob::new(bytes))));
        }
        _ => {
            return Err(
                Error::new(ErrorKind::Unsupported, format!("configuration: unknown subsection {name:?}")).at(start)
            );
        }
    }
    let record = Record { vmsd: name.clone(), version: Some(version), header_bytes, fields, ..Record::default() };
    Ok(leaf(name, "struct", start, c, Value::Struct(Box::new(record))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MemorySource;

    fn config(bytes: &[u8]) -> Result<Configuration> {
        let s = MemorySource::new(bytes.to_vec());
        let mut c = Cursor::new(&s, StreamOffset(0));
        c.skip(1)?;
        read(&mut c, StreamOffset(0))
    }

    #[test]
    fn capabilities_have_lengths_of_their_own() {
        let mut b =
            b"\x07\0\0\0\x02pc\x05\x1aconfiguration/capabilities\0\0\0\x01\0\0\0\x02\x0fx-ignore-shared\x0amapped-ram"
                .to_vec();
        b.extend(
            b"\x05\x12configuration/uuid\0\0\0\x01\x5d\xb9\xca\x4e\x4b\x1e\x4b\x5c\x8b\x0a\x1d\x2f\x3a\x4b\x5c\x6d\x01",
        );
        let c = config(&b).unwrap();
        assert_eq!(c.machine, "pc");
        assert_eq!(c.capabilities, ["x-ignore-shared", "mapped-ram"]);
        assert_eq!(c.uuid_text().unwrap(), "5db9ca4e-4b1e-4b5c-8b0a-1d2f3a4b5c6d");
        assert_eq!(c.node.range.end.0, b.len() as u64 - 1);
        assert_eq!(crate::value::uncovered(&c.node), []);
        for cut in 1..b.len() - 1 {
            let r = config(&b[..cut]);
            assert!(r.is_err() || r.unwrap().node.range.end.0 <= cut as u64);
        }
    }

    #[test]
    fn an_unknown_subsection_is_named() {
        let e = config(b"\x07\0\0\0\x02pc\x05\x03abc\0\0\0\x01").unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.message().contains("\"abc\""));
        assert_eq!(config(b"\x07\xff\xff\xff\xff").unwrap_err().kind(), ErrorKind::LimitExceeded);
    }
}
