//! The document that analyze-migration.py prints: same keys, order, values and spelling.
//!
//! Its model: one object per section, by section id, under the key `name (section id)`; a field is a string, a boolean or
//! an object, and all fields of one name in one structure are one list; what the script has no reader for is its bytes in
//! hexadecimal, even where we know better.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::hex::Hex;
use crate::image::{Device, SaveImage};
use crate::names::RecordType;
use crate::stream::Section;
use crate::text::Name;
use crate::value::{Elements, Node, Record, Value};

/// Writes the pages of the `ram` section as entries of the map that it is given.
pub trait MemoryEntries {
    /// Adds an entry per page: `block (0xaddress)`, and its bytes or what it is filled with.
    ///
    /// # Errors
    /// Those of reading, in words.
    fn entries(&self, add: &mut dyn FnMut(&str, &str) -> Result<(), String>) -> Result<(), String>;
}

/// The document of `--dump state`.
pub struct StateDocument<'a> {
    image: &'a SaveImage,
    memory: Option<&'a dyn MemoryEntries>,
    problems: RefCell<Vec<String>>,
}

impl<'a> StateDocument<'a> {
    /// Creates the document of a state, with the pages where they are wanted.
    #[must_use]
    pub fn new(image: &'a SaveImage, memory: Option<&'a dyn MemoryEntries>) -> Self {
        Self { image, memory, problems: RefCell::new(Vec::new()) }
    }

    /// Returns what could not be decoded, once the document has been written.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.problems.borrow().clone()
    }
}

impl Serialize for StateDocument<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        // a section that comes again under the same name and id replaces the one before, in its place
        let mut order: Vec<(&Name, u32)> = Vec::new();
        let mut last: HashMap<(&Name, u32), &Section> = HashMap::new();
        for section in &self.image.walk().sections {
            let key = (&section.header.idstr, section.header.section_id);
            if last.insert(key, section).is_none() {
                order.push(key);
            }
        }
        let mut map = s.serialize_map(Some(order.len()))?;
        for section in order.iter().filter_map(|id| last.get(id)) {
            let h = &section.header;
            let key = format!("{} ({})", h.idstr.exact(), h.section_id);
            if h.kind == RecordType::FULL {
                let device = self.image.decode(section).map_err(S::Error::custom)?;
                self.problems.borrow_mut().extend(device.decoded.errors.iter().map(ToString::to_string));
                map.serialize_entry(&key, &Struct { record: device.root().record(), device: &device })?;
            } else if h.idstr == "ram" {
                map.serialize_entry(&key, &Ram { document: self })?;
            } else {
                // other live handlers keep their state behind sections that this document does not look into
                map.serialize_entry(&key, "")?;
            }
        }
        map.end()
    }
}

struct Ram<'a, 'b> {
    document: &'b StateDocument<'a>,
}

impl Serialize for Ram<'_, '_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("section sizes", &Sizes(self.document.image))?;
        if let Some(m) = self.document.memory {
            map.serialize_entry("memory", &Memory(m))?;
        }
        map.end()
    }
}

struct Sizes<'a>(&'a SaveImage);

impl Serialize for Sizes<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.ram_blocks().iter().map(|b| (&b.name, format!("{:#018x}", b.len))))
    }
}

struct Memory<'a>(&'a dyn MemoryEntries);

impl Serialize for Memory<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        self.0.entries(&mut |k, v| map.serialize_entry(k, v).map_err(|e| e.to_string())).map_err(S::Error::custom)?;
        map.end()
    }
}

struct Struct<'a> {
    record: Option<&'a Record>,
    device: &'a Device<'a>,
}

impl Serialize for Struct<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut keys: Vec<(&Name, Vec<Elements<'_>>)> = Vec::new();
        let mut places: HashMap<&Name, usize> = HashMap::new();
        let record = self.record.into_iter();
        for (n, replaces) in record.flat_map(|r| {
            let fields = r.fields.iter().map(|n| (n, false));
            fields.chain(r.subsections.iter().map(|n| (n, true)))
        }) {
            let i = *places.entry(&n.name).or_insert_with(|| {
                keys.push((&n.name, Vec::new()));
                keys.len() - 1
            });
            if replaces {
                keys[i].1.clear();
            }
            keys[i].1.push(if is_hex(n) { Elements::Nodes(std::slice::from_ref(n)) } else { n.elements() });
        }
        let mut map = s.serialize_map(Some(keys.len()))?;
        for (name, nodes) in keys {
            let mut all = nodes.iter().copied().flatten();
            match (all.next(), all.next()) {
                (Some(one), None) => map.serialize_entry(name, &Item { node: &one, device: self.device })?,
                _ => map.serialize_entry(name, &List { nodes: &nodes, device: self.device })?,
            }
        }
        map.end()
    }
}

struct List<'a> {
    nodes: &'a [Elements<'a>],
    device: &'a Device<'a>,
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let n = self.nodes.iter().map(|e| e.len()).sum::<usize>();
        let mut seq = s.serialize_seq(Some(n))?;
        for node in self.nodes.iter().copied().flatten() {
            seq.serialize_element(&Item { node: &node, device: self.device })?;
        }
        seq.end()
    }
}

struct Item<'a> {
    node: &'a Node,
    device: &'a Device<'a>,
}

/// Returns whether the script prints the bytes of a field of this type.
fn is_hex(n: &Node) -> bool {
    match n.ty.exact() {
        "struct" | "bool" | "nullptr" | "capability" | "int8" | "int16" | "int32" | "int32 equal" | "int32 le"
        | "int64" | "int64 equal" | "uint8" | "uint8 equal" | "uint16" | "uint16 equal" | "uint32" | "uint32 equal"
        | "uint64" => false,
        // an array of structures has their type; one of lists has not
        _ => !n.is_array() || n.is_list(),
    }
}

/// The types that the script reads as signed, whatever their names say.
fn is_signed(ty: &str) -> bool {
    ty.starts_with("int") || matches!(ty, "uint8 equal" | "uint16 equal")
}

/// Returns bytes in hexadecimal, joined by spaces.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    Hex::spaced(bytes).to_string()
}

/// A number as the script spells it: all digits, and in brackets what a negative one is.
struct Spelt {
    digits: u64,
    width: usize,
    negative: Option<i64>,
}

impl fmt::Display for Spelt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:0width$x}", self.digits, width = self.width)?;
        self.negative.map_or(Ok(()), |v| write!(f, " ({v})"))
    }
}

fn number(n: &Node) -> Option<Spelt> {
    let raw = match n.value {
        Value::Uint(v) => v,
        Value::Int(v) => v.cast_unsigned(),
        _ => return None,
    };
    let bits = u32::try_from(n.range.len() * 8).ok().filter(|b| (1..=64).contains(b))?;
    let digits = raw & (u64::MAX >> (64 - bits));
    let is_negative = is_signed(n.ty.exact()) && digits >> (bits - 1) != 0;
    let negative = is_negative.then(|| (digits << (64 - bits)).cast_signed() >> (64 - bits));
    Some(Spelt { digits, width: bits as usize / 4, negative })
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let n = self.node;
        if is_hex(n) {
            return Hex::spaced(self.device.bytes_of(n)).serialize(s);
        }
        match &n.value {
            Value::Bool(b) => s.serialize_bool(*b),
            Value::Null => s.serialize_str("nullptr"),
            Value::Text(t) => t.serialize(s),
            Value::Struct(r) => Struct { record: Some(r), device: self.device }.serialize(s),
            _ => match number(n) {
                Some(number) => s.collect_str(&number),
                None => Hex::spaced(self.device.bytes_of(n)).serialize(s),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::StreamRange;
    use crate::value::FieldType;

    fn text(ty: &str, bytes: u64, value: Value) -> String {
        number(&Node::new("x", FieldType::new(ty), StreamRange::with_len(0, bytes), value)).unwrap().to_string()
    }

    #[test]
    fn numbers_are_spelt_as_the_script_spells_them() {
        assert_eq!(text("uint8", 1, Value::Uint(0xff)), "0xff");
        assert_eq!(text("int32", 4, Value::Int(-1)), "0xffffffff (-1)");
        assert_eq!(text("int64", 8, Value::Int(5)), "0x0000000000000005");
        assert_eq!(text("int64 equal", 8, Value::Uint(u64::MAX)), "0xffffffffffffffff (-1)");
        assert_eq!(text("uint8 equal", 1, Value::Uint(0x80)), "0x80 (-128)");
        assert_eq!(text("uint32 equal", 4, Value::Uint(0xffff_ffff)), "0xffffffff");
    }

    #[test]
    fn bytes_are_joined_by_spaces() {
        assert_eq!(hex(&[0, 0xab, 0x10]), "00 ab 10");
        assert_eq!(hex(&[]), "");
    }
}
