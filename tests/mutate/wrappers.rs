//! Wrappers around a mutated stream, and damage to them.

use crate::hard::Random;
use crate::mutations::number;
use crate::wrap::{CODECS, Header, Keep, Qcow2, pack};

/// Wraps a stream in something or other, mostly damaged.
pub fn around(random: &mut Random, stream: &[u8]) -> (Vec<u8>, String) {
    match random.below(3) {
        0 => libvirt(random, stream),
        1 if stream.len() < 300 << 10 => qcow2(random, stream),
        _ => codec(random, stream),
    }
}

const XMLS: &[&str] = &[
    "",
    "<domain/>",
    "<domain><name>&#27;[2J</name></domain>",
    "<domain",
    "<domain><name>a</name><name>b</name>",
    "\u{feff}<a>",
];

fn libvirt(random: &mut Random, stream: &[u8]) -> (Vec<u8>, String) {
    let (name, format) = CODECS[random.below(CODECS.len())];
    let packed = random.below(2) == 0;
    let body = if packed { pack(name, stream) } else { stream.to_vec() };
    let header = Header {
        magic: if random.below(4) == 0 { b"LibvirtQemudPart" } else { b"LibvirtQemudSave" },
        big_endian: random.below(3) == 0,
        version: 1 + random.below(3) as u32,
        was_running: random.below(3) as u32,
        format: if random.below(3) == 0 {
            random.below(9) as u32
        } else if packed {
            format
        } else {
            0
        },
        xml: if random.below(2) == 0 { XMLS[random.below(XMLS.len())] } else { crate::wrap::XML },
        cookie: if random.below(2) == 0 { "<cookie/>" } else { "" },
        room: random.below(1200),
    };
    let mut out = header.bytes();
    if random.below(3) == 0 {
        let at = 16 + 4 * random.below(5);
        let n = number(random, u64::from(u32::from_le_bytes(out[at..at + 4].try_into().unwrap()))) as u32;
        out[at..at + 4].copy_from_slice(&n.to_le_bytes());
    }
    if random.below(4) == 0 {
        let at = 92 + random.below(out.len() - 92);
        out[at] = random.next() as u8;
    }
    out.extend(body);
    (out, format!("libvirt, body {}", if packed { name } else { "raw" }))
}

fn qcow2(random: &mut Random, stream: &[u8]) -> (Vec<u8>, String) {
    let two = random.below(4) == 0;
    let mut snapshots: Vec<(&'static str, &'static [u8], Vec<u8>)> = vec![("1", b"one", stream.to_vec())];
    if two {
        snapshots.push(("2", b"two", stream.to_vec()));
    }
    let mut image = Qcow2 {
        version: 2 + random.below(2) as u32,
        keep: [Keep::Plain, Keep::Scattered, Keep::Packed][random.below(3)],
        zstd: random.below(2) == 0,
        disk_now: 1 << 20,
        disk_then: 1 << 20,
        snapshots,
        ..Qcow2::default()
    };
    image.zstd &= image.version == 3;
    let mut out = image.bytes();
    let mut what = "qcow2".to_owned();
    if random.below(3) > 0 {
        let table = u64::from_be_bytes(out[64..72].try_into().unwrap()) as usize;
        let l1 = u64::from_be_bytes(out[table..table + 8].try_into().unwrap()) as usize;
        let last = out.len();
        let (at, n) = match random.below(4) {
            0 => ([4, 20, 24, 32, 60, 64, 72, 96, 100, 104][random.below(10)], 4),
            1 => (table + 4 * random.below((last - table) / 4), 4),
            // the last entry of the L1 table is the one that counts
            2 => (l1 + 8 * random.below(4), 8),
            _ => (random.below(last / 8) * 8, 8),
        };
        if at + n <= last {
            let mut word = [0; 8];
            word[8 - n..].copy_from_slice(&out[at..at + n]);
            let new = number(random, u64::from_be_bytes(word)).to_be_bytes();
            out[at..at + n].copy_from_slice(&new[8 - n..]);
            what = format!("qcow2, {n} bytes at {at:#x}");
        }
        if random.below(6) == 0 {
            out.truncate(random.below(last));
            what += ", cut";
        }
    }
    (out, what)
}

fn codec(random: &mut Random, stream: &[u8]) -> (Vec<u8>, String) {
    let (name, _) = CODECS[random.below(CODECS.len())];
    let mut out = if random.below(4) == 0 { crate::wrap::pack_in_two(name, stream) } else { pack(name, stream) };
    let mut what = name.to_owned();
    for _ in 0..random.below(3) {
        let at =
            if random.below(3) == 0 { out.len().saturating_sub(1 + random.below(20)) } else { random.below(out.len()) };
        match random.below(4) {
            0 => out.truncate(at.max(8)),
            1 => out[at] ^= 1 << random.below(8),
            2 => out.extend((0..random.below(40)).map(|_| [0, 0xff][at % 2])),
            _ => out[at] = random.next() as u8,
        }
        what += &format!(", damaged at {at:#x}");
    }
    (out, what)
}
