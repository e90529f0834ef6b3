//! Streams that nobody's QEMU wrote. Each has an answer, soon and in little memory.

mod hard;

use std::time::Duration;

use hard::{check, decode_all, open, timed};
use savevm_analyze::error::ErrorKind;
use savevm_analyze::image::SaveImage;
use savevm_analyze::schema;
use savevm_analyze::synth::{Stream, description, field};

const SOON: Duration = Duration::from_secs(2);

/// Walks in both depths, decodes, and checks what always holds; returns the full walk.
fn look(what: &str, s: &Stream) -> SaveImage {
    let len = s.bytes.len();
    timed(what, SOON, || {
        let devices = open(s.bytes.clone(), false).unwrap();
        check(&devices, len, what);
        decode_all(&devices, len, what);
        let full = open(s.bytes.clone(), true).unwrap();
        check(&full, len, what);
        decode_all(&full, len, what);
        full
    })
}

fn nodes(image: &SaveImage, device: usize) -> usize {
    let mut n = 0;
    let section = image.device_sections().nth(device).unwrap();
    image.decode(section).unwrap().root().walk(&mut |_, _| {
        n += 1;
        true
    });
    n
}

/// A stream with a sound device before and after the one in question.
fn between(fields: &str, payload: &[u8]) -> Stream {
    let sound = field("v", "uint8", 1, "");
    let mut s = Stream::new("pc");
    s.full(1, "before", 0, &[7]).full(2, "sick", 0, payload).full(3, "after", 0, &[9]);
    s.described(&description(&[("before", 0, &sound), ("sick", 0, fields), ("after", 0, &sound)]));
    s
}

fn neighbours_are_intact(image: &SaveImage) {
    for (name, v) in [("before", 7), ("after", 9)] {
        let s = image.device_sections().find(|s| s.header.idstr == name).unwrap_or_else(|| panic!("{name} is gone"));
        let d = image.decode(s).unwrap();
        assert_eq!(d.root().child("v").and_then(|n| n.as_u64()), Some(v), "{name}");
        assert!(d.decoded.errors.is_empty());
    }
}

#[test]
fn arrays_of_millions_of_numbers_are_decoded() {
    // `spapr_iommu` has a table entry for each page of a DMA window: 5 Mi of them are 20 GiB of guest memory
    let count = 5_usize << 20;
    let table = format!(r#"{{"name": "mig_table", "type": "uint64", "array_len": {count}, "size": 8}}"#);
    let mut payload = vec![0; count * 8];
    payload[count * 8 - 1] = 7;
    let image = look("table", &between(&table, &payload));
    neighbours_are_intact(&image);
    let section = image.device_sections().nth(1).unwrap();
    let device = image.decode(section).unwrap();
    assert!(device.decoded.errors.is_empty(), "{:?}", device.decoded.errors);
    let table = device.root().child("mig_table").unwrap();
    assert_eq!(table.elements().len(), count);
    let last = table.elements().get(count - 1).unwrap();
    assert_eq!((last.as_u64(), last.range.end), (Some(7), section.payload.end));
}

#[test]
fn arrays_of_several_layouts_are_not_unpacked_without_end() {
    let fields = [
        field("x", "uint64", 8, ""),
        r#"{"name": "x", "type": "uint8", "array_len": 8388608, "size": 1}"#.to_owned(),
        field("y", "uint8", 1, ""),
    ];
    let image = look("mixed", &between(&fields.join(","), &vec![5; (8 << 20) + 9]));
    neighbours_are_intact(&image);
    assert!(nodes(&image, 1) < 10);
    let device = image.decode(image.device_sections().nth(1).unwrap()).unwrap();
    assert!(device.decoded.errors.is_empty(), "{:?}", device.decoded.errors);
    assert_eq!(device.root().child("y").unwrap().as_u64(), Some(5));
}

#[test]
fn arrays_that_are_longer_than_the_section() {
    for (size, count) in [(0, 1_u64 << 31), (1, 1 << 31), (0, u32::MAX.into()), (8, u32::MAX.into())] {
        for ty in ["uint8", "struct", "buffer", "capability", "qtailq", "no such type", "virtio", "nullptr"] {
            let inner =
                if ty == "struct" { r#""struct": {"vmsd_name": "x", "version": 1, "fields": []},"# } else { "" };
            let s = between(&field("a", ty, size, &format!("{inner} \"array_len\": {count},")), &[1, 2, 3]);
            let image = look(&format!("{count} of {size} bytes of {ty}"), &s);
            neighbours_are_intact(&image);
            assert!(nodes(&image, 1) < 10_000);
            let sick = image.device_sections().nth(1).unwrap();
            assert!(!image.decode(sick).unwrap().decoded.errors.is_empty(), "{ty}, {size}");
        }
    }
}

#[test]
fn sizes_near_the_end_of_numbers() {
    for size in [1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
        for ty in ["uint64", "buffer", "struct", "qtailq", "gtree", "virtio", "timer"] {
            let image = look("size", &between(&field("a", ty, size, "\"array_len\": 3,"), &[1, 2, 3]));
            neighbours_are_intact(&image);
        }
    }
    let image = look("negative", &between(r#"{"name": "a", "type": "uint8", "size": -1, "array_len": -5}"#, &[1]));
    neighbours_are_intact(&image);
}

#[test]
fn nesting_without_end() {
    let mut inner = field("x", "uint8", 1, "");
    for _ in 0..55 {
        inner =
            field("s", "struct", 1, &format!(r#""struct": {{"vmsd_name": "n", "version": 1, "fields": [{inner}]}},"#));
    }
    // deeper than the parser of JSON goes: the description is read without this device
    let image = look("structs", &between(&inner, &[1]));
    neighbours_are_intact(&image);
    for bomb in ["[".repeat(1 << 17), "{\"a\":".repeat(1 << 17)] {
        let mut s = Stream::new("pc");
        s.full(1, "d", 0, &[1]).described(&format!("{{\"devices\": {bomb}}}"));
        let image = look("bomb", &s);
        assert!(image.walk().stopped.is_some() && image.schema().is_none_or(|s| s.devices.is_empty()));
        assert_eq!(image.device_sections().count(), 1);
    }
}

#[test]
fn equal_devices_are_matched_in_order() {
    let v = field("v", "uint8", 1, "");
    let w = field("w", "uint16", 2, "");
    let mut s = Stream::new("pc");
    s.full(1, "d", 0, &[1]).full(2, "d", 0, &[2, 3]).described(&description(&[("d", 0, &v), ("d", 0, &w)]));
    let image = look("equal", &s);
    let values: Vec<_> = image
        .device_sections()
        .map(|s| {
            let d = image.decode(s).unwrap();
            assert!(d.decoded.errors.is_empty());
            d.root().child("v").or_else(|| d.root().child("w")).unwrap().as_u64()
        })
        .collect();
    assert_eq!(values, [Some(1), Some(0x0203)]);
}

#[test]
fn many_devices_and_sections() {
    let n = 3000;
    let v = field("v", "uint8", 1, "");
    let devices: Vec<(&str, u32, &str)> = (0..n).map(|i| ("d", i, v.as_str())).collect();
    let mut s = Stream::new("pc");
    for i in 0..n {
        s.full(i, "d", i, &[1]);
    }
    s.described(&description(&devices));
    assert_eq!(look("many", &s).device_sections().count(), n as usize);
    for mut s in [Stream::new("pc"), Stream::old()] {
        for i in 0..n {
            s.full(i, "empty", i, &[]);
        }
        s.eof();
        let image = look("empty", &s);
        assert_eq!(image.device_sections().count(), n as usize, "{:?}", image.walk().stopped);
    }
}

#[test]
fn lists_without_an_end() {
    let element = r#""vmsd_name": "e", "version": 1, "fields": [{"name": "a", "type": "uint8", "size": 1}],"#;
    for (ty, payload) in [
        ("qtailq", &[1, 5, 1, 6][..]),
        ("qtailq", &[1, 5, 2, 6]),
        ("qlist", &[1, 1, 1, 1]),
        ("gtree", &[0, 0, 0, 9]),
        ("gtree", &[255, 255, 255, 255, 1]),
        ("qtailq", &[1]),
    ] {
        let s = between(&field("l", ty, payload.len() as u64, element), payload);
        let image = look(ty, &s);
        neighbours_are_intact(&image);
        let d = image.device_sections().nth(1).unwrap();
        assert!(!image.decode(d).unwrap().decoded.errors.is_empty(), "{ty} {payload:?}");
    }
}

#[test]
fn a_description_of_any_length() {
    let json = description(&[("d", 0, &field("v", "uint8", 1, ""))]);
    for len in [0, 1, json.len() as u32 - 1, json.len() as u32 + 1, 1 << 31, u32::MAX] {
        let mut s = Stream::new("pc");
        s.full(1, "d", 0, &[1]).raw(b"\x00\x06").be32(len).raw(json.as_bytes());
        let image = look("length", &s);
        let e = image.walk().stopped.as_ref().unwrap_or_else(|| panic!("{len}"));
        assert_eq!(e.path().as_deref(), Some("description"));
        assert_eq!(image.device_sections().count(), 1);
        assert!(image.schema().is_some_and(|s| s.devices.len() == 1), "{len}: the text itself is whole");
    }
}

#[test]
fn page_sizes_that_are_none() {
    for size in ["0", "3", "9223372036854775808", "-1", "1e9", "\"x\"", "null", "18446744073709551616"] {
        let mut s = Stream::new("pc");
        s.ram(0, "pc.ram", &[vec![1], vec![2], vec![3], vec![4]]);
        s.full(1, "d", 0, &[1]);
        s.described(&description(&[("d", 0, &field("v", "uint8", 1, ""))]).replace("4096", size));
        let image = look(size, &s);
        assert!(image.walk().stopped.is_none(), "{size}: {:?}", image.walk().stopped);
        assert_eq!(image.ram().unwrap().context().target_page, 4096);
    }
}

#[test]
fn packages_and_commands_of_any_length() {
    for n in [0, 1, 1 << 31, u32::MAX] {
        let mut s = Stream::new("pc");
        s.command(7, &n.to_be_bytes()).full(1, "d", 0, &[1]).eof();
        let image = look("package", &s);
        assert_eq!(image.walk().found.has_errors(), n > 100, "{n}");
        assert_eq!(image.device_sections().count(), 1);
    }
    let mut s = Stream::new("pc");
    s.raw(b"\x08\x00\x06\xff\xff").raw(&[0; 9]);
    assert_eq!(look("command", &s).walk().stopped.as_ref().unwrap().kind(), ErrorKind::Truncated);
    let mut s = Stream::new("pc");
    s.command(7, b"\x01").full(1, "d", 0, &[1]).eof();
    assert_eq!(look("short", &s).walk().stopped.as_ref().unwrap().kind(), ErrorKind::Corrupt);
}

fn block_list(total: u64, entries: &[(&[u8], u64)]) -> Vec<u8> {
    let mut s = Stream::default();
    s.be64(total | 4);
    for (name, len) in entries {
        s.name(name).be64(*len);
    }
    s.bytes
}

#[test]
fn lists_of_ram_blocks() {
    let long = [b'x'; 255];
    let names: [&[u8]; 4] = [b"../../etc/passwd", b"a\0b", b"/", &long];
    for (list, sound) in [
        (block_list(!4095_u64, &[(b"pc.ram", 1 << 63), (&long, (1 << 63) - 4096)]), true),
        (block_list(8192, &names.map(|n| (n, 2048_u64))), true),
        (block_list(!4095_u64, &[(b"pc.ram", 4096)]), false),
        (block_list(4096, &[(b"pc.ram", u64::MAX)]), false),
        (block_list(4096, &[(b"", 4096)]), false),
        (block_list(4096, &[(b"none", 0), (b"pc.ram", 4096)]), true),
        (block_list(4096, &vec![(&b"none"[..], 0); 70_000]), false),
    ] {
        let mut s = Stream::new("pc");
        let payload = [list, 16_u64.to_be_bytes().to_vec()].concat();
        s.start(0, "ram", 4, &payload).end(0, &16_u64.to_be_bytes()).eof();
        let image = look("blocks", &s);
        assert_eq!(image.walk().stopped.is_none(), sound, "{:?}", image.walk().stopped);
    }
}

#[test]
fn records_without_a_block_or_outside_it() {
    for head in [0x28_u64, 8 | 0x10_0000, 0x8000_0000_0000_0008, 0, 0xfff, 0x80, 0x22 | 0x1000] {
        let mut part = Stream::default();
        part.be64(head).name(b"pc.ram").raw(&[0; 4096]).be64(16);
        let mut s = Stream::new("pc");
        s.ram(0, "pc.ram", &[vec![1]]).start(5, "ram", 4, &part.bytes).full(1, "d", 0, &[1]);
        s.described(&description(&[("d", 0, &field("v", "uint8", 1, ""))]));
        let image = look("record", &s);
        assert!(image.walk().found.has_errors() && image.walk().stopped.is_none(), "{head:#x}");
        let d = image.device_sections().find(|s| s.header.idstr == "d").expect("the device behind the RAM stands");
        assert!(d.device.is_some());
    }
}

#[test]
fn mapped_ram_elsewhere() {
    let config = b"\x05\x1aconfiguration/capabilities\0\0\0\x01\0\0\0\x01\x0amapped-ram";
    for (bitmap, pages) in [(0, 1), (u64::MAX - 1, u64::MAX), (9, 10), (4096, !4095_u64), (1 << 20, 4096), (1, 1 << 62)]
    {
        let mut list = Stream::default();
        list.be64(8192 | 4).name(b"pc.ram").be64(8192).be32(1).be64(4096).be64(bitmap).be64(pages);
        let mut s = Stream::new("pc");
        s.raw(config).start(0, "ram", 4, &list.bytes).raw(&[0; 20_000]);
        let image = look("mapped", &s);
        assert!(image.walk().stopped.is_some(), "{bitmap:#x} {pages:#x}");
    }
}

#[test]
fn json_that_repeats_itself() {
    // every record leads to the same last brace, and none has devices
    let mut tail = b"{\"a\": [{}]}".to_vec();
    for _ in 0..2000 {
        let mut head = b"\x00\x06".to_vec();
        head.extend((tail.len() as u32 + 7).to_be_bytes());
        head.extend(b"{\"a\": [");
        head.extend(&tail);
        tail = head;
    }
    let mut s = Stream::new("pc");
    s.full(1, "d", 0, &[1]).raw(&tail);
    assert!(look("candidates", &s).walk().stopped.is_some());
    // devices in devices, all of them cut
    let text = format!("{{\"devices\": [{}", r#"{"name": "a", "instance_id": 0, "x": ["#.repeat(5_000));
    timed("salvage", SOON, || schema::read_damaged(text.as_bytes()));
    timed("braces", SOON, || schema::read_damaged(format!("{{\"devices\": [{}", "{".repeat(1 << 20)).as_bytes()));
    // an object with many keys
    let keys: Vec<String> = (0..20_000).map(|i| format!("\"k{i}\": 0")).collect();
    let document = schema::Document::new(format!("{{{}}}", keys.join(",")).into_bytes()).unwrap();
    timed("keys", SOON, || serde_json::to_string(&document).unwrap());
}

#[test]
fn arrays_of_null_pointers_that_are_costly_to_read_anew() {
    let inner: Vec<String> = (0..500).map(|i| field(&format!("f{i}"), "buffer", 0, "")).collect();
    let inner = format!("{},{}", inner.join(","), field("x", "uint8", 1, ""));
    let s = format!(r#""struct": {{"vmsd_name": "e", "version": 1, "fields": [{inner}]}},"#);
    let fields = format!("{},{}", field("p", "struct", 1, &s), field("p", "nullptr", 1, "\"array_len\": 7,"));
    let payload: Vec<u8> = (0..200_000).map(|i| if i % 2 == 0 { 0x30 } else { 1 }).collect();
    neighbours_are_intact(&look("null pointers", &between(&fields, &payload)));
    // many runs
    let runs: Vec<String> = (0..5000).map(|i| field(&format!("r{i}"), "struct", 1, &format!("\"array_len\": 2, {}", r#""struct": {"vmsd_name": "e", "version": 1, "fields": [{"name": "x", "type": "uint8", "size": 1}]},"#))).collect();
    neighbours_are_intact(&look("runs", &between(&runs.join(","), &[1; 9_999])));
}

#[test]
fn a_configuration_of_any_length() {
    let mut s = Stream::new("pc");
    for _ in 0..1000 {
        s.raw(b"\x05\x12configuration/uuid\0\0\0\x010123456789abcdef");
    }
    assert_eq!(look("uuids", &s).walk().stopped.as_ref().unwrap().kind(), ErrorKind::LimitExceeded);
}

#[test]
fn a_stream_inside_guest_memory_is_guest_memory() {
    let v = field("v", "uint8", 1, "");
    let mut inner = Stream::new("isapc");
    inner.ram(0, "pc.ram", &[]).full(1, "inner", 0, &[66]).described(&description(&[("inner", 0, &v)]));
    assert!(inner.bytes.len() < 4000);
    let outer = |described: bool| {
        let mut s = Stream::new("pc");
        s.ram(0, "pc.ram", &[inner.bytes.clone(), vec![1], inner.bytes.clone()]).full(1, "outer", 0, &[1]);
        if described {
            s.described(&description(&[("outer", 0, &v)]))
        } else {
            s.eof()
        };
        s
    };
    for described in [true, false] {
        let s = outer(described);
        let image = look("inside", &s);
        assert!(image.walk().stopped.is_none());
        assert_eq!(image.schema().is_some(), described);
        // cut at every byte, no device of the inner stream is ever shown
        // every place where a record of either stream ends is near the ends of the pages
        for cut in (20..s.bytes.len()).filter(|c| c % 17 == 0 || (350..480).contains(&(c % 4096))) {
            for full in [true, false] {
                let image = open(s.bytes[..cut].to_vec(), full).unwrap();
                check(&image, cut, "inside");
                assert!(image.device_sections().all(|s| s.header.idstr != "inner"), "cut at {cut}, full {full}");
                let lent = image
                    .walk()
                    .description
                    .as_ref()
                    .is_some_and(|d| d.schema.devices.iter().any(|d| d.idstr == "inner"));
                assert!(!lent, "cut at {cut}, full {full}");
            }
        }
    }
}
