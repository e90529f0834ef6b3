//! Changes of every kind, planted one at a time: each is found and named, and nothing else is.

use std::fmt::Write as _;
use std::path::Path;

use savevm_analyze::diff::{Input, Options, compare, memory};
use savevm_analyze::image::{OpenOptions, SaveImage};
use savevm_analyze::memory::PageHashes;
use savevm_analyze::synth::Stream;

use super::common;

/// A field: what the description says of it, and its bytes.
#[derive(Clone)]
struct Field {
    name: &'static str,
    ty: &'static str,
    /// Elements, where it is an array.
    elements: usize,
    bytes: Vec<u8>,
    nested: Option<Structure>,
}

#[derive(Clone)]
struct Structure {
    name: &'static str,
    version: u32,
    fields: Vec<Field>,
    subsections: Vec<Structure>,
}

#[derive(Clone)]
struct Device {
    instance: u32,
    version: u32,
    vmsd: Structure,
}

/// All that a stream is made of.
#[derive(Clone)]
struct State {
    machine: &'static str,
    page_bits: Option<u32>,
    capabilities: Vec<&'static str>,
    uuid: Option<[u8; 16]>,
    commands: Vec<(u8, Vec<u8>)>,
    block: &'static str,
    pages: Vec<Vec<u8>>,
    devices: Vec<Device>,
    described: bool,
    first_id: u32,
}

fn field(name: &'static str, ty: &'static str, bytes: &[u8]) -> Field {
    Field { name, ty, elements: 0, bytes: bytes.to_vec(), nested: None }
}

fn structure(name: &'static str, fields: Vec<Field>) -> Structure {
    Structure { name, version: 1, fields, subsections: Vec::new() }
}

fn device(name: &'static str, instance: u32, fields: Vec<Field>) -> Device {
    Device { instance, version: 1, vmsd: structure(name, fields) }
}

fn base() -> State {
    let inner = structure("inner", vec![field("x", "uint8", &[1]), field("y", "uint8", &[2])]);
    let mut main = device(
        "main",
        0,
        vec![
            field("number", "uint32", &[0, 0, 0, 5]),
            Field { elements: 6, ..field("list", "uint16", &[0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6]) },
            field("buf", "buffer", &[0; 32]),
            Field { nested: Some(inner), ..field("part", "struct", &[]) },
            field("last", "bool", &[1]),
        ],
    );
    main.vmsd.subsections = vec![structure("main/more", vec![field("z", "uint8", &[7])])];
    State {
        machine: "pc-q35-10.0",
        page_bits: Some(12),
        capabilities: vec!["x-one"],
        uuid: Some([7; 16]),
        commands: vec![(2, vec![0, 0, 0, 1]), (1, vec![])],
        block: "pc.ram",
        pages: vec![vec![1], vec![2], vec![0], vec![4], vec![5], vec![6]],
        devices: vec![
            device("first", 0, vec![field("a", "uint8", &[1])]),
            main,
            device("net", 0, vec![field("a", "uint8", &[1])]),
            device("net", 1, vec![field("a", "uint8", &[2])]),
            device("end", 0, vec![field("a", "uint8", &[1])]),
        ],
        described: true,
        first_id: 10,
    }
}

impl Structure {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for f in &self.fields {
            out.extend(f.nested.as_ref().map_or_else(|| f.bytes.clone(), Structure::bytes));
        }
        for s in &self.subsections {
            out.extend([5, s.name.len() as u8]);
            out.extend(s.name.as_bytes());
            out.extend(s.version.to_be_bytes());
            out.extend(s.bytes());
        }
        out
    }

    /// Writes what is inside the braces of a description.
    fn json(&self) -> String {
        let mut fields = Vec::new();
        for f in &self.fields {
            let size = f.nested.as_ref().map_or(f.bytes.len() / f.elements.max(1), |n| n.bytes().len());
            let mut text = format!(r#"{{"name": "{}", "type": "{}", "size": {size}"#, f.name, f.ty);
            if f.elements > 0 {
                let _ = write!(text, r#", "array_len": {}"#, f.elements);
            }
            if let Some(n) = &f.nested {
                let _ = write!(text, r#", "struct": {{{}}}"#, n.json());
            }
            fields.push(text + "}");
        }
        let subs: Vec<String> = self.subsections.iter().map(|s| format!("{{{}}}", s.json())).collect();
        let subs = if subs.is_empty() { String::new() } else { format!(r#", "subsections": [{}]"#, subs.join(", ")) };
        format!(r#""vmsd_name": "{}", "version": {}, "fields": [{}]{subs}"#, self.name, self.version, fields.join(", "))
    }
}

impl State {
    fn bytes(&self) -> Vec<u8> {
        let mut s = Stream::new(self.machine);
        let head = |s: &mut Stream, name: &str| {
            s.raw(&[5]).name(name.as_bytes()).be32(1);
        };
        if let Some(bits) = self.page_bits {
            head(&mut s, "configuration/target-page-bits");
            s.be32(bits);
        }
        if !self.capabilities.is_empty() {
            head(&mut s, "configuration/capabilities");
            s.be32(self.capabilities.len() as u32);
            for c in &self.capabilities {
                s.name(c.as_bytes());
            }
        }
        if let Some(uuid) = self.uuid {
            head(&mut s, "configuration/uuid");
            s.raw(&uuid);
        }
        for (n, payload) in &self.commands {
            s.command(*n, payload);
        }
        s.ram(2, self.block, &self.pages);
        let mut described = Vec::new();
        for (id, d) in (self.first_id..).zip(&self.devices) {
            let name = d.vmsd.name;
            s.raw(&[4]).be32(id).name(name.as_bytes()).be32(d.instance).be32(d.version).raw(&d.vmsd.bytes());
            s.raw(&[0x7e]).be32(id);
            described.push(format!(r#"{{"name": "{name}", "instance_id": {}, {}}}"#, d.instance, d.vmsd.json()));
        }
        if self.described {
            s.described(&format!(r#"{{"page_size": 4096, "devices": [{}]}}"#, described.join(", ")));
        } else {
            s.eof();
        }
        s.bytes
    }
}

fn open(path: &Path) -> (SaveImage, PageHashes) {
    let mut pages = PageHashes::new(&savevm_analyze::budget::Budget::default(), None);
    let image = OpenOptions::new().pages(&mut pages).open(path).unwrap();
    (image, pages)
}

/// Returns what is found between the base and a change of it, as `rule subject: before -> after`.
fn found(name: &str, change: impl FnOnce(&mut State)) -> Vec<String> {
    let mut other = base();
    change(&mut other);
    between(name, &base(), &other)
}

fn between(name: &str, a: &State, b: &State) -> Vec<String> {
    let scratch = common::scratch(name);
    let (x, y) = (scratch.join("a.mig"), scratch.join("b.mig"));
    std::fs::write(&x, a.bytes()).unwrap();
    std::fs::write(&y, b.bytes()).unwrap();
    let ((image_a, pages_a), (image_b, pages_b)) = (open(&x), open(&y));
    let name = savevm_analyze::text::Name::from("x");
    let input = |image| Input { name: &name, image };
    let mut report = compare(input(&image_a), input(&image_b), &Options::default()).unwrap();
    memory::compare(&pages_a, &pages_b, &mut report).unwrap();
    assert_eq!(report.faults, [] as [String; 0]);
    let told = |d: &savevm_analyze::findings::Difference| {
        let side = |s: &Option<savevm_analyze::findings::Aspect>| s.as_ref().map_or("", |s| &s.text).to_owned();
        format!("{} {}: {} -> {}", d.rule.id, d.subject, side(&d.before), side(&d.after))
    };
    report.differences.iter().map(told).collect()
}

macro_rules! planted {
    ($($name:ident: $change:expr => $($found:literal),*;)+) => {
        $(#[test]
        fn $name() {
            assert_eq!(found(stringify!($name), $change), [$($found),*] as [&str; _]);
        })+
    };
}

fn main_fields(s: &mut State) -> &mut Vec<Field> {
    &mut s.devices[1].vmsd.fields
}

planted! {
    nothing: |_| {} => ;
    section_ids: |s| s.first_id = 77 => ;
    value: |s| main_fields(s)[0].bytes[3] = 6 => "field-value main > number: 0x00000005 -> 0x00000006";
    nested_value: |s| main_fields(s)[3].nested.as_mut().unwrap().fields[1].bytes[0] = 9 =>
        "field-value main > part.y: 0x02 -> 0x09";
    array_element: |s| main_fields(s)[1].bytes[5] = 9 => "field-value main > list[2]: 0x0003 -> 0x0009";
    array_range: |s| main_fields(s)[1].bytes[4..10].fill(1) =>
        "field-value main > list[2..4]: 0x0003, 0x0004, 0x0005 -> 0x0101 × 3";
    array_length: |s| {
        main_fields(s)[1].bytes.extend([0, 7]);
        main_fields(s)[1].elements = 7;
    } => "array-length main > list: 6 elements -> 7 elements";
    buffer_byte: |s| main_fields(s)[2].bytes[5] = 1 => "field-value main > buf[0x05]: 00 -> 01";
    buffer_range: |s| {
        main_fields(s)[2].bytes[4] = 1;
        main_fields(s)[2].bytes[7] = 1;
        main_fields(s)[2].bytes[20] = 1;
    } => "field-value main > buf[0x04..0x07]: 00 00 00 00 -> 01 00 00 01", "field-value main > buf[0x14]: 00 -> 01";
    field_size: |s| main_fields(s)[0].bytes = vec![0, 0, 0, 0, 0, 0, 0, 5] =>
        "field-size main > number: 0x00000005 (uint32, 4 bytes) -> 0x0000000000000005 (uint32, 8 bytes)";
    field_type: |s| main_fields(s)[0].ty = "int32" =>
        "field-type main > number: 0x00000005 (uint32, 4 bytes) -> 5 (int32, 4 bytes)";
    element_size: |s| main_fields(s)[1] = Field { elements: 6, ..field("list", "uint16", &[0; 24]) } =>
        "field-size main > list: 6 elements of uint16, 2 bytes each -> 6 elements of uint16, 4 bytes each";
    field_name: |s| main_fields(s)[0].name = "count" => "field-renamed main > number: number -> count";
    field_added: |s| main_fields(s).insert(2, field("new", "uint8", &[3])) => "field-added main > new:  -> 0x03";
    field_removed: |s| drop(main_fields(s).remove(4)) => "field-removed main > last: true -> ";
    field_moved: |s| main_fields(s).swap(0, 4) =>
        "field-moved main > number: first -> behind part", "field-moved main > last: behind part -> first";
    structure_version: |s| main_fields(s)[3].nested.as_mut().unwrap().version = 2 =>
        "vmsd-version main > part: 1 -> 2";
    structure_name: |s| main_fields(s)[3].nested.as_mut().unwrap().name = "other" =>
        "vmsd-name main > part: inner -> other";
    subsection_removed: |s| s.devices[1].vmsd.subsections.clear() =>
        "subsection-removed main > main/more: main/more v1 -> ";
    subsection_added: |s| s.devices[1].vmsd.subsections.push(structure("main/else", vec![field("q", "uint8", &[1])])) =>
        "subsection-added main > main/else:  -> main/else v1";
    subsection_version: |s| s.devices[1].vmsd.subsections[0].version = 3 => "vmsd-version main > main/more: 1 -> 3";
    subsection_value: |s| s.devices[1].vmsd.subsections[0].fields[0].bytes[0] = 8 =>
        "field-value main > main/more.z: 0x07 -> 0x08";
    section_version: |s| {
        s.devices[1].version = 2;
        s.devices[1].vmsd.version = 2;
    } => "section-version main: 1 -> 2";
    section_removed: |s| drop(s.devices.remove(0)) => "section-removed first: version 1, 25 bytes -> ";
    section_added: |s| s.devices.insert(1, device("new", 0, vec![])) => "section-added new:  -> version 1, 22 bytes";
    section_moved: |s| {
        let d = s.devices.remove(1);
        s.devices.push(d);
    } => "section-moved main: behind first (0) -> behind end (0)";
    instance: |s| s.devices[3].instance = 4 => "section-instance net (1): 1 -> 4";
    instance_value: |s| s.devices[3].vmsd.fields[0].bytes[0] = 3 => "field-value net (1) > a: 0x02 -> 0x03";
    block_size: |s| s.pages.push(vec![0]) =>
        "block-size ram > pc.ram: 0x6000 bytes -> 0x7000 bytes";
    block_name: |s| s.block = "ram" => "block-renamed ram > pc.ram: pc.ram -> ram";
    page: |s| s.pages[1][0] = 9 => "ram-changed ram > pc.ram[0x1000..0x1fff]:  -> ";
    pages: |s| {
        s.pages[3..6].fill(vec![9]);
        s.pages[0][0] = 0;
    } => "ram-zeroed ram > pc.ram[0x0..0xfff]: not zero -> zero", "ram-changed ram > pc.ram[0x3000..0x5fff]:  -> ";
    machine: |s| s.machine = "pc-q35-10.1" => "machine configuration > machine: pc-q35-10.0 -> pc-q35-10.1";
    no_page_bits: |s| s.page_bits = None => "target-page configuration > target_page_bits: 12 bits -> none";
    capability_added: |s| s.capabilities.push("x-two") => "capability-added configuration > capabilities.x-two:  -> x-two";
    capability_removed: |s| s.capabilities.clear() => "capability-removed configuration > capabilities.x-one: x-one -> ";
    uuid: |s| s.uuid = Some([8; 16]) =>
        "uuid configuration > uuid: 07070707-0707-0707-0707-070707070707 -> 08080808-0808-0808-0808-080808080808";
    command_removed: |s| drop(s.commands.pop()) => "command-removed commands > OPEN_RETURN_PATH: OPEN_RETURN_PATH -> ";
    command_added: |s| s.commands.push((11, vec![])) => "command-added commands > SWITCHOVER_START:  -> SWITCHOVER_START";
    command_payload: |s| s.commands[0].1[3] = 2 => "command-payload commands > PING: 00 00 00 01 -> 00 00 00 02";
}

#[test]
fn commands_that_changed_places() {
    let all = found("commands", |s| s.commands.swap(0, 1));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].starts_with("command-moved commands > "), "{all:?}");
}

/// Without a description on either side the bytes are compared; with one on one side only, too.
#[test]
fn what_has_no_description_is_compared_as_bytes() {
    let mut a = base();
    a.described = false;
    assert_eq!(between("bytes_same", &a, &a), [] as [&str; 0]);
    let mut b = a.clone();
    b.devices[1].vmsd.fields[0].bytes[3] = 6;
    assert_eq!(between("bytes", &a, &b), ["field-value main > data[0x03]: 05 -> 06"]);
    assert_eq!(
        between("bytes_one", &a, &base()),
        ["description stream > description: none -> present"],
        "the same bytes, and nothing to compare them by"
    );
}
