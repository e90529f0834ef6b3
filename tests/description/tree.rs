//! The reference: JSON as a tree of pairs, read by `serde_json`, repaired and salvaged in passes of their own.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// A JSON value; an object keeps the order of its keys and keys that occur more than once.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Returns the value of a key; of a repeated key the last, as a map would.
    pub fn key(&self, key: &str) -> Option<&Json> {
        self.pairs()?.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Returns the pairs of an object.
    pub fn pairs(&self) -> Option<&[(String, Json)]> {
        match self {
            Self::Object(p) => Some(p),
            _ => None,
        }
    }

    /// Returns the items of an array.
    pub fn items(&self) -> Option<&[Json]> {
        match self {
            Self::Array(a) => Some(a),
            _ => None,
        }
    }

    /// Returns the text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Str(s) => Some(s),
            _ => None,
        }
    }

    /// Returns a whole number.
    pub fn int(&self) -> Option<i128> {
        match self {
            Self::Int(i) => Some(*i),
            _ => None,
        }
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Json, E> {
        Ok(Json::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Json, E> {
        Ok(Json::Int(i128::from(v)))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Json, E> {
        Ok(Json::Int(i128::from(v)))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Json, E> {
        Ok(Json::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Json, E> {
        Ok(Json::Str(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Json, E> {
        Ok(Json::Str(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(v) = seq.next_element()? {
            out.push(v);
        }
        Ok(Json::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(p) = map.next_entry()? {
            out.push(p);
        }
        Ok(Json::Object(out))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(JsonVisitor)
    }
}

impl Serialize for Json {
    /// Writes the value as a reader that builds maps sees it: of a repeated key the first place and the last value.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => s.serialize_unit(),
            Self::Bool(b) => s.serialize_bool(*b),
            Self::Int(i) => match (u64::try_from(*i), i64::try_from(*i)) {
                (Ok(u), _) => s.serialize_u64(u),
                (_, Ok(i)) => s.serialize_i64(i),
                _ => s.serialize_str(&i.to_string()),
            },
            Self::Float(f) => s.serialize_f64(*f),
            Self::Str(t) => s.serialize_str(t),
            Self::Array(a) => {
                let mut seq = s.serialize_seq(Some(a.len()))?;
                for v in a {
                    seq.serialize_element(v)?;
                }
                seq.end()
            }
            Self::Object(pairs) => {
                let mut map = s.serialize_map(None)?;
                let mut last: HashMap<&str, &Json> = pairs.iter().map(|(k, v)| (k.as_str(), v)).collect();
                for (k, _) in pairs {
                    if let Some(v) = last.remove(k.as_str()) {
                        map.serialize_entry(k, v)?;
                    }
                }
                map.end()
            }
        }
    }
}

/// Parses a description; the second value is whether it had to be repaired first.
pub fn parse(text: &[u8]) -> Option<(Json, bool)> {
    if let Ok(j) = serde_json::from_slice(text) {
        return Some((j, false));
    }
    serde_json::from_str(&repair(&String::from_utf8_lossy(text))).ok().map(|j| (j, true))
}

/// How often the bytes of a damaged description may be parsed in vain: a hostile one could hold devices in devices.
const SALVAGE_WORK: usize = 4;

/// Reads what can be read of a damaged description: the devices that parse by themselves, and the keys before the list.
///
/// Returns `None` when there is no list of devices at all.
pub fn salvage(text: &[u8]) -> Option<Json> {
    let text = String::from_utf8_lossy(text);
    let list = text.find("\"devices\"")?;
    let open = list.checked_add(text.get(list..)?.find('[')?)?;
    let mut devices = Vec::new();
    let mut rest = text.get(open.checked_add(1)?..)?;
    let mut work = text.len().saturating_mul(SALVAGE_WORK);
    while let Some(start) = rest.find('{') {
        let here = rest.get(start..)?;
        if work == 0 {
            break;
        }
        let mut stream = serde_json::Deserializer::from_str(here).into_iter::<Json>();
        if let Some(Ok(device)) = stream.next() {
            devices.push(device);
            rest = here.get(stream.byte_offset()..)?;
        } else {
            work = work.saturating_sub(stream.byte_offset().max(here.len().min(4096)));
            // the next device begins like every device does
            let skip = here.char_indices().skip(1).find(|(i, c)| *c == '{' && begins_device(here, *i));
            match skip {
                Some((i, _)) => rest = here.get(i..)?,
                None => break,
            }
        }
    }
    let mut pairs = vec![("devices".to_owned(), Json::Array(devices))];
    for key in ["page_size", "configuration"] {
        let value = text.get(..list).and_then(|head| {
            let at = head.find(&format!("\"{key}\""))?;
            let colon = at.checked_add(head.get(at..)?.find(':')?)?;
            serde_json::Deserializer::from_str(head.get(colon.checked_add(1)?..)?).into_iter::<Json>().next()?.ok()
        });
        if let Some(v) = value {
            pairs.insert(0, (key.to_owned(), v));
        }
    }
    Some(Json::Object(pairs))
}

/// A device's object is the only one with the name first and the instance id second.
fn begins_device(text: &str, at: usize) -> bool {
    let inside = text.get(at.saturating_add(1)..).unwrap_or_default();
    if !inside.trim_start().starts_with("\"name\"") {
        return false;
    }
    let mut end = inside.len().min(600);
    while !inside.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let mut strings = inside.get(..end).unwrap_or_default().split('"').skip(1).step_by(2);
    strings.nth(2) == Some("instance_id")
}

/// Escapes what is unescaped inside strings: control characters, backslashes that begin no escape, and quotes that
/// are not followed by what ends a string.
fn repair(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if !in_string {
            in_string = c == '"';
            out.push(c);
            continue;
        }
        match c {
            '"' => {
                let rest = text.get(i.saturating_add(1)..).unwrap_or_default();
                let rest = rest.trim_start_matches([' ', '\n', '\r', '\t']);
                if rest.is_empty() || rest.starts_with([',', ':', '}', ']']) {
                    in_string = false;
                    out.push(c);
                } else {
                    out.push_str("\\\"");
                }
            }
            '\\' => match chars.peek() {
                Some((_, n)) if "\"\\/bfnrtu".contains(*n) => {
                    out.push(c);
                    out.extend(chars.next().map(|(_, n)| n));
                }
                _ => out.push_str("\\\\"),
            },
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
