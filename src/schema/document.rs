//! The JSON of a description as a document: as a reader that builds maps sees it, without building any.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::reader::{Fault, Kind, Read, Reader, float, whole};
use super::salvage::{self, Piece};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

/// A description's text, ready to be written.
///
/// Of a repeated key, the document has the first place and the last value. Where keys are repeated is found in a first
/// pass; the values are written from the text.
pub struct Document {
    text: Vec<u8>,
    /// Where the pieces of a damaged description begin.
    pieces: Option<Vec<(Piece, usize)>>,
    /// Keys whose value is elsewhere: the offset of the key, of its last repetition, and of the end of its own value.
    moved: Vec<[u32; 3]>,
    /// Runs of keys and values that are left out: where they begin and end.
    left_out: Vec<[u32; 2]>,
}

impl Document {
    /// Takes a description, which may be damaged.
    ///
    /// # Errors
    /// `Corrupt` when none of it can be read, `LimitExceeded` when it is longer than any real description.
    pub fn new(text: Vec<u8>) -> Result<Self> {
        if u32::try_from(text.len()).is_err() {
            let what = format!("description: found {} bytes, expected at most {}", text.len(), u32::MAX);
            return Err(Error::new(ErrorKind::LimitExceeded, what));
        }
        let mut survey = Survey::default();
        let mut r = Reader::new(&text, 0);
        let mut pieces = None;
        if let Err(e) = survey.value(&mut r).and_then(|()| r.finish()) {
            survey = Survey::default();
            let mut found = Vec::new();
            salvage::pieces(&text, &mut |piece, r| {
                let at = r.at();
                survey.keys.clear();
                survey.value(r).map(|()| found.push((piece, at)))
            })
            .ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, format!("description: not valid JSON: {}", e.shown(&text)))
            })?;
            pieces = Some(found);
        }
        let Survey { mut moved, mut left_out, .. } = survey;
        moved.sort_unstable();
        left_out.sort_unstable();
        Ok(Self { text, pieces, moved, left_out })
    }

    fn end_of_run(&self, at: u32) -> Option<u32> {
        let i = self.left_out.binary_search_by_key(&at, |r| r[0]).ok()?;
        self.left_out.get(i).map(|r| r[1])
    }

    fn moved(&self, at: u32) -> Option<[u32; 3]> {
        let i = self.moved.binary_search_by_key(&at, |r| r[0]).ok()?;
        self.moved.get(i).copied()
    }
}

/// Offsets of a text whose length was checked.
fn short(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn long(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// A key of an object that is being looked at, and where its value ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    hash: u32,
    at: u32,
    end: u32,
}

/// The search for repeated keys.
#[derive(Default)]
struct Survey {
    hasher: RandomState,
    /// The keys of all objects around the reader, those of the innermost last.
    keys: Vec<Key>,
    moved: Vec<[u32; 3]>,
    left_out: Vec<[u32; 2]>,
}

impl Survey {
    fn value(&mut self, r: &mut Reader<'_>) -> Read<()> {
        match r.kind()? {
            Kind::List => r.list(|r| self.value(r)),
            Kind::Object => {
                let first = self.keys.len();
                r.object(|r, key| {
                    let at = short(r.string_at());
                    let hash = u32::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default();
                    self.value(r)?;
                    if self.keys.try_reserve(1).is_err() {
                        return Err(Fault { at: r.at(), what: "no memory for the keys" });
                    }
                    self.keys.push(Key { hash, at, end: short(r.at()) });
                    Ok(())
                })?;
                self.settle(r, first)
            }
            _ => r.skip(),
        }
    }

    /// Notes which keys of the object that ends here are repeated.
    fn settle(&mut self, r: &Reader<'_>, first: usize) -> Read<()> {
        let Self { keys, moved, left_out, .. } = self;
        let own = keys.get_mut(first..).unwrap_or_default();
        own.sort_unstable();
        // the repetitions are gathered at the front
        let mut repeated = 0_usize;
        let mut from = 0_usize;
        while let Some(k) = own.get(from).copied() {
            let rest = own.get_mut(from..).unwrap_or_default();
            let same = rest.iter().take_while(|o| o.hash == k.hash).count();
            let group = rest.get_mut(..same).unwrap_or_default();
            let mut one = same;
            if same > 1 {
                let text = |k: &Key| r.string_from(long(k.at));
                if group.iter().any(|o| text(o) != text(&k)) {
                    group.sort_by(|a, b| text(a).cmp(&text(b)).then(a.at.cmp(&b.at)));
                    let k = group.first().copied().unwrap_or(k);
                    one = group.iter().take_while(|o| text(o) == text(&k)).count();
                }
            }
            if one > 1
                && let (Some(k), Some(last)) = (own.get(from).copied(), own.get(from.plus(one).minus(1)))
            {
                moved.push([k.at, last.at, k.end]);
                own.copy_within(from.plus(1)..from.plus(one), repeated);
                repeated = repeated.plus(one).minus(1);
            }
            from = from.plus(one.max(1));
        }
        let gone = own.get_mut(..repeated).unwrap_or_default();
        gone.sort_unstable_by_key(|k| k.at);
        let outer = left_out.len();
        for k in gone {
            match left_out.get_mut(outer..).and_then(<[_]>::last_mut) {
                Some(run) if r.is_between(long(run[1]), long(k.at)) => run[1] = k.end,
                _ => left_out.push([k.at, k.end]),
            }
        }
        keys.truncate(first);
        Ok(())
    }
}

/// The value at a reader.
struct Value<'d, 'r>(&'d Document, &'r RefCell<Reader<'d>>);

/// A string, which need not be UTF-8.
struct Text<'d>(Cow<'d, [u8]>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(t) => s.serialize_str(t),
            Err(_) => s.collect_str(self),
        }
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        let Some(pieces) = &self.pieces else {
            return self.value_at(0, s);
        };
        let mut map = s.serialize_map(None)?;
        for (piece, at) in pieces {
            let key = match piece {
                Piece::Configuration => "configuration",
                Piece::PageSize => "page_size",
                Piece::Device => break,
            };
            map.serialize_entry(key, &At(self, *at))?;
        }
        map.serialize_entry("devices", &Devices(self, pieces))?;
        map.end()
    }
}

impl Document {
    fn value_at<S: Serializer>(&self, at: usize, s: S) -> std::result::Result<S::Ok, S::Error> {
        Value(self, &RefCell::new(Reader::new(&self.text, at))).serialize(s)
    }
}

/// The value at an offset.
struct At<'d>(&'d Document, usize);

impl Serialize for At<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        self.0.value_at(self.1, s)
    }
}

/// The devices of a damaged description.
struct Devices<'d>(&'d Document, &'d [(Piece, usize)]);

impl Serialize for Devices<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_seq(self.1.iter().filter(|(p, _)| *p == Piece::Device).map(|(_, at)| At(self.0, *at)))
    }
}

impl<'d> Value<'d, '_> {
    fn reader<T, E: serde::ser::Error>(&self, f: impl FnOnce(&mut Reader<'d>) -> Read<T>) -> std::result::Result<T, E> {
        f(&mut self.1.borrow_mut()).map_err(|e| E::custom(e.shown(&self.0.text)))
    }

    fn number<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        let number = self.reader(Reader::number)?;
        match (whole(number), float(number)) {
            (Some(n), _) => match (u64::try_from(n), i64::try_from(n)) {
                (Ok(n), _) => s.serialize_u64(n),
                (_, Ok(n)) => s.serialize_i64(n),
                _ => s.serialize_i128(n),
            },
            (None, Some(n)) => s.serialize_f64(n),
            (None, None) => s.serialize_unit(),
        }
    }

    fn list<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        self.reader(Reader::enter)?;
        let mut seq = s.serialize_seq(None)?;
        let mut first = true;
        while self.reader(|r| r.next_item(&mut first))? {
            seq.serialize_element(self)?;
        }
        seq.end()
    }

    fn object<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        self.reader(Reader::enter)?;
        let mut map = s.serialize_map(None)?;
        let mut first = true;
        while let Some(key) = self.reader(|r| r.next_key(&mut first))? {
            let at = short(self.1.borrow().string_at());
            if let Some(end) = self.0.end_of_run(at) {
                self.1.borrow_mut().go_to(long(end));
            } else if let Some([_, last, end]) = self.0.moved(at) {
                self.reader(|r| {
                    r.go_to(long(last));
                    r.key()
                })?;
                map.serialize_entry(&Text(key), self)?;
                self.1.borrow_mut().go_to(long(end));
            } else {
                map.serialize_entry(&Text(key), self)?;
            }
        }
        map.end()
    }
}

impl Serialize for Value<'_, '_> {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        match self.reader(Reader::kind)? {
            Kind::Number => self.number(s),
            Kind::Text => Text(self.reader(Reader::string)?).serialize(s),
            Kind::List => self.list(s),
            Kind::Object => self.object(s),
            kind => {
                self.reader(Reader::skip)?;
                if kind == Kind::Null { s.serialize_unit() } else { s.serialize_bool(kind == Kind::True) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        serde_json::to_string(&Document::new(text.as_bytes().to_vec()).unwrap()).unwrap()
    }

    #[test]
    fn a_repeated_key_has_its_first_place_and_its_last_value() {
        for (text, want) in [
            (r#"{"name":"q","fields":[1],"version":2,"fields":[3]}"#, r#"{"name":"q","fields":[3],"version":2}"#),
            (r#"{"a":1,"a":2,"a":3,"b":4,"a":5}"#, r#"{"a":5,"b":4}"#),
            (r#"{"a":{"b":1,"c":2,"b":3},"a":{"d":4,"d":5,"e":6},"f":7}"#, r#"{"a":{"d":5,"e":6},"f":7}"#),
            (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
            (r#"[{"a":1,"b":[{"x":0,"x":1}],"b":[{"x":2,"x":3}]},{"a":1}]"#, r#"[{"a":1,"b":[{"x":3}]},{"a":1}]"#),
        ] {
            assert_eq!(written(text), want);
        }
    }

    #[test]
    fn values_are_written_as_they_are_understood() {
        assert_eq!(
            written(
                "[1, -1, 1.50, 1e2, -0, 18446744073709551615, 18446744073709551616, \"\\u00e9\\n\x01\\q\", null, true, {}, []]"
            ),
            "[1,-1,1.5,100.0,-0.0,18446744073709551615,1.8446744073709552e+19,\"é\\n\\u0001\\\\q\",null,true,{},[]]"
        );
        let d = Document::new(b"[\"a\xffb\"]".to_vec()).unwrap();
        assert_eq!(serde_json::to_string(&d).unwrap(), "[\"a\u{fffd}b\"]");
    }

    #[test]
    fn of_a_damaged_description_the_pieces_are_written() {
        let text = r#"{"page_size": 4096, "devices": [{"name": "a", "name": "b"}, {"x" 1}, {"name": "c", "instance_id": 0}, {"#;
        assert_eq!(written(text), r#"{"page_size":4096,"devices":[{"name":"b"},{"name":"c","instance_id":0}]}"#);
        assert!(Document::new(b"nonsense".to_vec()).is_err());
    }
}
