//! kdump files, read back by other code than that which writes them.

use std::collections::BTreeMap;

use super::{Order, directory, dumped, extract, notes, same_notes, unpacked};

/// What a file says.
#[derive(Debug, PartialEq, Eq)]
pub struct Kdump {
    order: Order,
    wide: bool,
    version: u32,
    uname: Vec<Vec<u8>>,
    status: u32,
    block: usize,
    processors: u32,
    phys_base: u64,
    max_mapnr: u64,
    notes: Vec<u8>,
    vmcoreinfo: Vec<u8>,
    bitmaps: [Vec<u8>; 2],
    /// Pages by their number; one that is all zeros is empty.
    pages: BTreeMap<u64, Vec<u8>>,
}

/// Puts a flattened file together.
fn assembled(data: &[u8]) -> Vec<u8> {
    if !data.starts_with(b"makedumpfile\0\0\0\0") {
        return data.to_vec();
    }
    let big = Order { big: true };
    assert_eq!((big.u64(data, 16), big.u64(data, 24)), (1, 1));
    let mut out = Vec::new();
    let mut at = 4096;
    loop {
        let (offset, size) = (big.u64(data, at), big.u64(data, at + 8));
        at += 16;
        if offset == u64::MAX {
            assert_eq!((size, at), (u64::MAX, data.len()));
            return out;
        }
        let (offset, size) = (offset as usize, size as usize);
        if out.len() < offset + size {
            out.resize(offset + size, 0);
        }
        out[offset..offset + size].copy_from_slice(&data[at..at + size]);
        at += size;
    }
}

pub fn read(order: Order, wide: bool, data: &[u8]) -> Kdump {
    let d = &assembled(data);
    assert_eq!(&d[..8], b"KDUMP   ");
    let field = |n: usize| order.u32(d, if wide { 424 } else { 412 } + 4 * n);
    let (status, block, sub, bitmap) =
        (field(0), field(1) as usize, field(2) as usize, field(3) as usize * field(1) as usize / 2);
    let uname = (0..6).map(|i| d[12 + 65 * i..77 + 65 * i].split(|b| *b == 0).next().unwrap().to_vec()).collect();
    let sub_header = &d[block..];
    let (phys_base, own, at, max_mapnr) = if wide {
        let w = |n: usize| order.u64(sub_header, n);
        (w(0), (w(32), w(40)), (w(48), w(56)), w(96))
    } else {
        let w = |n: usize| u64::from(order.u32(sub_header, n));
        (w(0), (order.u64(sub_header, 20), w(28)), (order.u64(sub_header, 32), w(40)), order.u64(sub_header, 72))
    };
    let piece = |(at, len): (u64, u64)| d[at as usize..(at + len) as usize].to_vec();
    let first = (1 + sub) * block;
    let bits = |n: usize| d[first + n * bitmap..first + (n + 1) * bitmap].to_vec();
    let mut pages = BTreeMap::new();
    let mut descriptor = first + 2 * bitmap;
    let second = bits(1);
    let mut zero = None;
    for n in (0..second.len() * 8).filter(|n| second[n / 8] >> (n % 8) & 1 == 1) {
        let (offset, size, flags) =
            (order.u64(d, descriptor) as usize, order.u32(d, descriptor + 8) as usize, order.u32(d, descriptor + 12));
        assert_eq!(order.u64(d, descriptor + 16), 0);
        descriptor += 24;
        let stored = &d[offset..offset + size];
        let page = match flags {
            0 => stored.to_vec(),
            1 => {
                let mut out = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(stored), &mut out).unwrap();
                out
            }
            2 => {
                let mut out = vec![0; block];
                let n = lzokay::decompress::decompress(stored, &mut out).unwrap();
                assert_eq!(n, block);
                out
            }
            4 => snap::raw::Decoder::new().decompress_vec(stored).unwrap(),
            0x20 => zstd::decode_all(stored).unwrap(),
            other => panic!("page {n}: flags {other:#x}"),
        };
        assert_eq!(page.len(), block);
        assert!(flags == 0 || flags == status & 0x27, "page {n}: {flags:#x} in a file of {status:#x}");
        if page.iter().all(|b| *b == 0) {
            // all of them are one
            assert_eq!(*zero.get_or_insert(offset), offset, "page {n}");
            pages.insert(n as u64, Vec::new());
        } else {
            pages.insert(n as u64, page);
        }
    }
    Kdump {
        order,
        wide,
        version: order.u32(d, 8),
        uname,
        status,
        block,
        processors: field(9),
        phys_base,
        max_mapnr,
        notes: piece(at),
        vmcoreinfo: piece(own),
        bitmaps: [bits(0), bits(1)],
        pages,
    }
}

/// Byte order and class of a machine's dumps.
fn form(name: &str, elf: Option<&[u8]>) -> (Order, bool) {
    match elf {
        Some(e) => (Order { big: e[5] == 2 }, e[4] == 2),
        None => {
            assert_eq!(name, "q35-11.1");
            (Order { big: false }, true)
        }
    }
}

#[test]
fn pages_bitmaps_and_headers_are_those_of_qemu() {
    let dir = directory("kdump");
    for d in dumped() {
        let head = d.elf.as_ref().map(|p| unpacked(p)[..16].to_vec());
        let (order, wide) = form(&d.name, head.as_deref());
        let mut theirs = read(order, wide, &unpacked(&d.kdump));
        let name = d.name.as_str();
        // QEMU names the machine up to 9.x, and a few only; it leaves the other names empty
        theirs.uname.clear();
        let codecs: &[(&str, u32)] = &[("kdump-zlib", 1), ("kdump-lzo", 2), ("kdump-snappy", 4), ("kdump-zstd", 0x20)];
        // those with more memory are read with one codec
        let large = ["ppc64", "loongarch64", "q35"].iter().any(|l| name.starts_with(l));
        let codecs = if large { &codecs[3..] } else { codecs };
        for (format, status) in codecs {
            let mut ours =
                read(order, wide, &extract(&d.stream, &["--format", format, "--layout", "qemu"], &dir.join("dump")));
            assert_eq!(ours.status, *status, "{name}");
            assert!(!ours.uname[4].is_empty(), "{name}");
            same_notes(name, notes(order, &ours.notes), &notes(order, &theirs.notes));
            ours.uname.clear();
            ours.status = theirs.status;
            ours.notes.clone_from(&theirs.notes);
            assert!(ours == theirs, "{name}: {format} is not the same");
        }
    }
}

#[test]
fn what_lies_above_main_memory_is_left_out() {
    let dir = directory("top");
    let d = dumped().into_iter().find(|d| d.name == "x86_64-11.1").unwrap();
    let order = Order { big: false };
    let whole =
        read(order, true, &extract(&d.stream, &["--format", "kdump-zlib", "--layout", "qemu"], &dir.join("whole")));
    let mut short = read(order, true, &extract(&d.stream, &["--format", "kdump-zlib"], &dir.join("short")));
    // main memory has 2 MiB, and the BIOS is below 4 GiB
    assert_eq!((short.max_mapnr, whole.max_mapnr), (0x200, 0x10_0000));
    short.pages.extend(whole.pages.range(0x200..).map(|(n, p)| (*n, p.clone())));
    assert!(short.pages == whole.pages);
}

#[test]
fn a_flattened_file_is_the_same_file_in_pieces() {
    let dir = directory("flattened");
    for d in dumped().iter().filter(|d| d.name.contains("x86_64") || d.name.contains("arm-")) {
        let whole = extract(&d.stream, &["--format", "kdump-zlib"], &dir.join("whole"));
        let pieces = extract(&d.stream, &["--format", "kdump-zlib", "--flattened"], &dir.join("pieces"));
        assert!(assembled(&pieces) == whole, "{}", d.name);
        let out = super::savevm_analyze()
            .arg("extract")
            .arg(&d.stream)
            .args(["--format", "kdump-zlib", "--flattened", "-q", "-o", "-"])
            .output();
        assert!(out.unwrap().stdout == pieces, "{}", d.name);
    }
}
