use super::*;
use crate::value::{Elements, FieldPath, FieldType};

fn node(name: &str, ty: &str, start: u64, len: u64, value: Value) -> Node {
    Node::new(name, FieldType::new(ty), StreamRange::with_len(start, len), value)
}

fn record(start: u64, len: u64, fields: Vec<Node>) -> Node {
    let r = Record { fields, vmsd: "e".into(), version: Some(3), ..Record::default() };
    node("x", "struct", start, len, Value::Struct(Box::new(r)))
}

fn array(first: &Node, bytes: &[u8]) -> Node {
    let p = Packed::new(first, Blob::new(bytes.to_vec())).expect("a layout that is fixed");
    node(first.name.exact(), first.ty.exact(), first.range.start.0, bytes.len() as u64, Value::Packed(p))
}

#[test]
fn numbers_are_made_with_their_places() {
    let a = array(&node("x", "int16", 100, 2, Value::Int(-2)), &[0xff, 0xfe, 0, 7, 0x80, 0]);
    let got: Vec<(Value, StreamRange)> = a.elements().iter().map(|n| (n.value.clone(), n.range)).collect();
    assert_eq!(got[0], (Value::Int(-2), StreamRange::new(100, 102)));
    assert_eq!(got[1], (Value::Int(7), StreamRange::new(102, 104)));
    assert_eq!(got[2], (Value::Int(-32768), StreamRange::new(104, 106)));
    assert!(a.elements().get(3).is_none());
    let t = array(&node("x", "timer", 0, 8, Value::Timer(Some(1))), &[[0xff; 8], [0; 8]].concat());
    let times: Vec<Value> = t.elements().iter().map(|n| n.value.clone()).collect();
    assert_eq!(times, [Value::Timer(None), Value::Timer(Some(0))]);
    let b = array(&node("x", "bool", 0, 1, Value::Bool(true)), &[1, 0, 2]);
    let truths: Vec<Option<u64>> = b.elements().iter().map(|n| n.as_u64()).collect();
    assert_eq!(truths, [Some(1), Some(0), Some(1)]);
}

#[test]
fn structures_are_made_whole() {
    let inner = array(&node("d", "uint16", 12, 2, Value::Uint(0)), &[0, 1, 0, 2]);
    let first = record(
        10,
        8,
        vec![
            node("a", "uint8", 10, 1, Value::Uint(9)),
            node("b", "buffer", 11, 1, Value::Bytes(Blob::new(vec![8]))),
            inner,
            node("c", "uint16", 16, 2, Value::Uint(3)),
        ],
    );
    let bytes = [9, 8, 0, 1, 0, 2, 0, 3, 19, 18, 0, 11, 0, 12, 0, 13];
    let a = array(&first, &bytes);
    assert!(a.elements().get(0).unwrap().holds_same(&first));
    let e = a.elements().get(1).unwrap();
    assert_eq!(e.range, StreamRange::new(18, 26));
    assert_eq!(e.child("a").unwrap().as_u64(), Some(19));
    assert_eq!(e.child("b").unwrap().as_bytes(), Some(&[18][..]));
    let d = e.child("d").unwrap();
    assert_eq!((d.range, d.elements().get(1).unwrap().as_u64()), (StreamRange::new(20, 24), Some(12)));
    assert_eq!(d.elements().get(1).unwrap().range, StreamRange::new(22, 24));
    assert_eq!(e.record().unwrap().version, Some(3));
    let Value::Packed(p) = &a.value else { panic!() };
    assert_eq!((p.len(), p.values(), p.nodes_of_one()), (2, 10, 5));
    let found = FieldPath::new("x[1].d[0]").select(&record(10, 16, vec![a]));
    assert_eq!((found.len(), found[0].1.as_u64()), (1, Some(11)));
}

#[test]
fn what_may_be_laid_out_otherwise_is_not_packed() {
    let packs = |n: &Node| Packed::new(n, Blob::new(vec![0; 64])).is_some();
    assert!(packs(&record(0, 1, vec![node("a", "uint8", 0, 1, Value::Uint(0))])));
    for value in [Value::Null, Value::Present, Value::Text("a".into()), Value::Opaque(Blob::default())] {
        assert!(!packs(&record(0, 1, vec![node("a", "uint8", 0, 1, value)])));
    }
    let wrong = node("a", "uint8", 0, 1, Value::Uint(0)).with_problem("no");
    assert!(!packs(&wrong) && !packs(&record(0, 1, vec![wrong.clone()])));
    let counted = node("a", "GByteArray", 0, 4, Value::Struct(Box::default()));
    assert!(!packs(&record(0, 4, vec![counted])));
    let list = node("a", "qlist", 0, 1, Value::Array(Vec::new()));
    assert!(!packs(&record(0, 1, vec![list])));
    assert!(!packs(&node("a", "uint32 little-endian", 0, 4, Value::Uint(0))));
    assert!(!packs(&node("a", "pci config", 0, 4, Value::Bytes(Blob::default()))));
    assert!(!packs(&node("a", "buffer", 0, 0, Value::Bytes(Blob::default()))), "without bytes there is no end");
    let subsections = vec![record(1, 0, Vec::new())];
    let r = Record { subsections, ..Record::default() };
    assert!(!packs(&node("x", "struct", 0, 1, Value::Struct(Box::new(r)))));
}

#[test]
fn truth_values_are_equal_whatever_their_bytes() {
    let of = |bytes: &[u8]| array(&node("x", "bool", 0, 1, Value::Bool(true)), bytes);
    let (a, b) = (of(&[1, 2, 0]), of(&[3, 1, 0]));
    assert_eq!(a.value, b.value);
    assert!(a.holds_same(&b) && !a.holds_same(&of(&[1, 2, 4])));
    assert!(a.elements().alike(0, a.elements(), 1));
    assert!(!a.elements().alike(0, a.elements(), 2));
}

#[test]
fn differences_are_found_at_every_place() {
    let of = |bytes: &[u8]| array(&node("x", "uint32", 0, 4, Value::Uint(0)), bytes);
    let zeros = vec![0; 40_000];
    for at in [0, 3, 4, 4095, 4096, 4099, 20_000, 39_999] {
        let mut bytes = zeros.clone();
        bytes[at] = 1;
        let (a, b) = (of(&zeros), of(&bytes));
        let (x, y) = (a.elements(), b.elements());
        assert!(x.has_layout_of(y));
        assert_eq!(x.next_difference(y, 0), at / 4);
        assert_eq!(x.next_difference(y, at / 4), at / 4);
        assert_eq!(x.next_difference(y, at / 4 + 1), 10_000);
    }
    assert!(matches!(of(&zeros).elements(), Elements::Packed(..)));
}

#[test]
fn neighbours_in_one_buffer_are_joined() {
    let first = node("x", "uint16", 0, 2, Value::Uint(0));
    let all = Blob::new((0..12).collect());
    let of = |start, len| Packed::new(&first, all.slice(start, len)).unwrap();
    let mut a = of(2, 4);
    assert!(!a.join(&of(8, 2)), "there is a gap");
    assert!(a.join(&of(6, 2)));
    assert_eq!(a.len(), 3);
    let other = Packed::new(&node("x", "uint8", 0, 1, Value::Uint(0)), all.slice(8, 2)).unwrap();
    assert!(!a.join(&other));
}
