//! The state that we print equals what QEMU's own script prints, wherever that script can read the stream.

#![cfg(feature = "cli")]

mod common;

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Documents that must at least be compared.
const LEAST: usize = 36;

#[test]
fn dump_state_is_what_the_script_prints() {
    let mut compared = 0;
    let mut unread = 0;
    for f in common::fixtures(&common::scratch("streams")) {
        let ours = common::run(&["--dump", "state", "--file"], &f.stream, 0);
        let ours: Ordered = serde_json::from_slice(&ours).unwrap();
        let Some(answer) = &f.answer else {
            unread += 1;
            assert_ne!(ours, Ordered::Object(Vec::new()), "{}: an empty document", f.name);
            continue;
        };
        let theirs: Ordered = serde_json::from_slice(&common::unpacked(answer)).unwrap();
        if let Some(place) = difference(&theirs, &ours, "") {
            panic!("{}: {place}", f.name);
        }
        compared += 1;
    }
    println!("{compared} documents equal those of the script; {unread} more streams decoded that it cannot read");
    assert!(compared >= LEAST, "only {compared} documents were compared");
}

#[test]
fn check_finds_every_stream_sound() {
    let mut sound = 0;
    for f in common::fixtures(&common::scratch("sound")) {
        let out = common::run(&["check"], &f.stream, 0);
        assert!(out.ends_with(b"\nsound\n"), "{}", f.name);
        sound += 1;
    }
    println!("{sound} streams are sound");
}

#[test]
fn a_pipe_gives_what_a_file_gives() {
    let mut same = 0;
    for f in common::fixtures(&common::scratch("piped")) {
        let from_file = common::run(&["--dump", "state", "--file"], &f.stream, 0);
        let piped = common::run_piped(&["--dump", "state", "--file", "-"], &f.stream, 0);
        assert!(from_file == piped, "{}", f.name);
        same += 1;
    }
    println!("{same} streams are the same through a pipe");
    assert!(same >= LEAST);
}

#[test]
fn a_difference_in_order_is_a_difference() {
    let parse = |t: &str| serde_json::from_str::<Ordered>(t).unwrap();
    let a = parse(r#"{"a": [1, {"b": 2, "c": 3}]}"#);
    assert_eq!(difference(&a, &parse(r#"{"a": [1, {"b": 2, "c": 3}]}"#), ""), None);
    let order = difference(&a, &parse(r#"{"a": [1, {"c": 3, "b": 2}]}"#), "").unwrap();
    assert!(order.starts_with("/a/1: keys differ"), "{order}");
    assert!(difference(&a, &parse(r#"{"a": [1, {"b": 2, "c": 4}]}"#), "").unwrap().starts_with("/a/1/c: "));
}

/// JSON whose objects keep the order of their keys, and keys that come twice.
#[derive(Debug, PartialEq)]
enum Ordered {
    Scalar(serde_json::Value),
    Array(Vec<Ordered>),
    Object(Vec<(String, Ordered)>),
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(OrderedVisitor)
    }
}

struct OrderedVisitor;

impl<'de> Visitor<'de> for OrderedVisitor {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
        let mut out = Vec::new();
        while let Some(entry) = map.next_entry()? {
            out.push(entry);
        }
        Ok(Ordered::Object(out))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ordered, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = seq.next_element()? {
            out.push(item);
        }
        Ok(Ordered::Array(out))
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(serde_json::Value::Null))
    }

    fn visit_bool<E>(self, v: bool) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(v.into()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(v.into()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(v.into()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Ordered, E> {
        Ok(Ordered::Scalar(v.into()))
    }
}

/// Says where two documents differ first.
fn difference(theirs: &Ordered, ours: &Ordered, path: &str) -> Option<String> {
    match (theirs, ours) {
        (Ordered::Object(t), Ordered::Object(o)) => {
            let keys = |v: &[(String, Ordered)]| v.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>();
            if keys(t) != keys(o) {
                return Some(format!("{path}: keys differ: expected {:?}, found {:?}", keys(t), keys(o)));
            }
            t.iter().zip(o).find_map(|((k, t), (_, o))| difference(t, o, &format!("{path}/{k}")))
        }
        (Ordered::Array(t), Ordered::Array(o)) if t.len() == o.len() => {
            t.iter().zip(o).enumerate().find_map(|(i, (t, o))| difference(t, o, &format!("{path}/{i}")))
        }
        (t, o) if t == o => None,
        (t, o) => Some(format!("{path}: expected {t:?}, found {o:?}")),
    }
}
