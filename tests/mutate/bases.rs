//! The sound streams that are mutated: fixtures of each kind, and some that are made here.

use std::fs;
use std::path::Path;

use savevm_analyze::synth::{Stream, description, field};

use crate::hard::Random;

/// Fixtures by how often they are taken: small ones are walked in no time.
const SMALL: &[&str] =
    &["avr-uno-5.2", "avr-uno-11.1", "zeros-in-full-11.1", "sparc64-11.1", "microvm-11.1", "novmdesc-10.0"];

const MIDDLE: &[&str] = &[
    "pc-i440fx-2.2-5.2",
    "pc-i440fx-2.3-5.2",
    "s390x-11.1",
    "s390x-7.2",
    "compress-7.2",
    "ignore-shared-10.0",
    "postcopy-7.2",
    "dirty-bitmap-11.1",
    "background-snapshot-11.1",
    "xbzrle-11.1",
    "mapped-ram-avr-11.1",
    "booted/linux-11.1",
    "booted/jammed-7.2",
    "driven/driven-11.1",
];

/// Streams by name.
pub struct Bases {
    small: Vec<(String, Vec<u8>)>,
    middle: Vec<(String, Vec<u8>)>,
}

/// Larger ones take too long for a short run.
const MOST: usize = 1200 << 10;

impl Bases {
    /// Reads the fixtures, makes the others, and adds the files of a folder if one is named.
    pub fn read() -> Self {
        let load = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), stored(n))).collect();
        let (mut small, mut middle): (Vec<_>, Vec<(String, Vec<u8>)>) = (load(SMALL), load(MIDDLE));
        small.extend(made());
        if let Some(dir) = std::env::var_os("SAVEVM_ANALYZE_MUTATE_INPUTS") {
            small.extend(cases(Path::new(&dir)));
        }
        middle.retain(|(_, b)| b.len() <= MOST);
        Self { small, middle }
    }

    /// Chooses one.
    pub fn one(&self, random: &mut Random) -> (&str, &[u8]) {
        let list = if random.below(4) > 0 { &self.small } else { &self.middle };
        let (name, bytes) = &list[random.below(list.len())];
        (name, bytes)
    }

    /// Chooses a small one.
    pub fn small(&self, random: &mut Random) -> &[u8] {
        &self.small[random.below(self.small.len())].1
    }
}

fn stored(name: &str) -> Vec<u8> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    fs::read(at.join(format!("{name}.mig"))).unwrap_or_else(|_| {
        let packed = fs::File::open(at.join(format!("{name}.mig.zst"))).unwrap_or_else(|e| panic!("{name}: {e}"));
        zstd::decode_all(packed).unwrap()
    })
}

fn cases(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for e in fs::read_dir(dir).unwrap().flatten() {
        let name = e.file_name().into_string().unwrap();
        let bytes = fs::read(e.path()).unwrap();
        let bytes = if name.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap_or_default() } else { bytes };
        if !name.ends_with(".json") && (9..200 << 10).contains(&bytes.len()) {
            out.push((name, bytes));
        }
    }
    out.sort();
    out
}

/// Streams that no fixture has: each sort of page record, live sections side by side, arrays and subsections.
fn made() -> Vec<(String, Vec<u8>)> {
    let pages = [vec![1; 4096], vec![2; 9], vec![], vec![4; 4096]];
    let described = description(&[
        ("dev", 0, &[field("a", "uint32", 4, ""), field("b", "uint8", 1, r#""array_len": 4,"#)].join(", ")),
        ("dev", 1, &field("c", "buffer", 8, "")),
    ]);
    let mut plain = Stream::new("pc-i440fx-9.0");
    plain.ram(2, "pc.ram", &pages);
    plain.full(3, "dev", 0, &[0, 0, 0, 7, 1, 2, 3, 4]).full(4, "dev", 1, b"\x7e\0\0\0\x04abc").described(&described);

    let mut forms = Stream::new("pc-i440fx-9.0");
    let (mut list, mut data, mut last) = (Stream::default(), Stream::default(), Stream::default());
    list.be64(0x5000 | 4).name(b"pc.ram").be64(0x4000).name(b"rom").be64(0x1000).be64(0x10);
    let zlib = zlib(&[5; 4096]);
    data.be64(8).name(b"pc.ram").raw(&[7; 4096]).be64(0x1000 | 0x28).raw(&[8; 4096]);
    data.be64(0x2000 | 0x22).raw(&[0]).be64(0x102).name(b"rom").raw(&[0]);
    data.be64(0x3100).name(b"pc.ram").be32(zlib.len() as u32).raw(&zlib).be64(0x10);
    // 16 bytes as they were, 3 others
    last.be64(0x40).name(b"pc.ram").raw(&[1, 0, 5, 0x10, 3, 1, 2, 3]).be64(0x10);
    // the record of ROM above was of a compressed page: repaired here
    let mut data = data.bytes;
    if let Some(at) = data.windows(12).position(|w| w[7] == 2 && w[6] == 1 && &w[9..12] == b"rom") {
        data[at + 6] = 0;
    }
    forms.start(2, "ram", 4, &list.bytes).part(2, &data).part(2, &last.bytes).end(2, &0x10_u64.to_be_bytes());
    forms.full(3, "dev", 0, &[0, 0, 0, 7, 1, 2, 3, 4]).full(4, "dev", 1, b"12345678").described(&described);

    let mut old = Stream::old();
    old.ram(2, "pc.ram", &pages);
    old.full(3, "dev", 0, &[0, 0, 0, 7, 1, 2, 3, 4]).full(4, "dev", 1, b"12345678").described(&described);

    let mut sub = Stream::new("pc-q35-9.0");
    sub.ram(2, "pc.ram", &pages[..1]).full(9, "dev", 0, b"\x01\x02\x05\x07dev/sub\0\0\0\x01\x09");
    sub.command(4, b"\0\0\0\x07").described(
        r#"{"page_size": 4096, "devices": [{"name": "dev", "instance_id": 0, "vmsd_name": "dev", "version": 1, "fields": [
        {"name": "s", "type": "struct", "size": 1, "array_len": 2, "struct": {"vmsd_name": "s", "version": 1,
        "fields": [{"name": "x", "type": "uint8", "size": 1}]}}], "subsections": [{"vmsd_name": "dev/sub", "version": 1,
        "fields": [{"name": "y", "type": "bool", "size": 1}]}]}]}"#,
    );
    [("made-plain", plain), ("made-forms", forms), ("made-old", old), ("made-subsection", sub)]
        .map(|(n, s)| (n.to_owned(), s.bytes))
        .into()
}

pub fn zlib(data: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut e, data).unwrap();
    e.finish().unwrap()
}
