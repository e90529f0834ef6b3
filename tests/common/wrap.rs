//! Wrappers made by hand, from their descriptions and not from the code under test.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::Write;

/// The codecs, by the names that libvirt gives them, with the numbers in its header.
pub const CODECS: [(&str, u32); 5] = [("gzip", 1), ("bzip2", 2), ("xz", 3), ("lzop", 4), ("zstd", 5)];

/// Packs as the tool of that name would.
pub fn pack(codec: &str, data: &[u8]) -> Vec<u8> {
    match codec {
        "gzip" => {
            let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            e.write_all(data).unwrap();
            e.finish().unwrap()
        }
        "bzip2" => {
            let mut e = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            e.write_all(data).unwrap();
            e.finish().unwrap()
        }
        "xz" => {
            let mut e = liblzma::write::XzEncoder::new(Vec::new(), 0);
            e.write_all(data).unwrap();
            e.finish().unwrap()
        }
        "zstd" => zstd::encode_all(data, 1).unwrap(),
        "lzop" => lzop(data, 0x1, 0x1000),
        other => panic!("no codec {other}"),
    }
}

/// Packs in two halves, one after the other.
pub fn pack_in_two(codec: &str, data: &[u8]) -> Vec<u8> {
    let (a, b) = data.split_at(data.len() / 3);
    [pack(codec, a), pack(codec, b)].concat()
}

/// The container of lzop, with blocks of a given size. Flag 1: Adler-32 of what comes out; 0x100: CRC-32.
pub fn lzop(data: &[u8], flags: u32, block: usize) -> Vec<u8> {
    let mut out = b"\x89LZO\0\r\n\x1a\n\x10\x40\x20\xa0\x09\x40\x01\x05".to_vec();
    out.extend(flags.to_be_bytes());
    out.extend([0; 12]);
    out.extend([0]);
    out.extend(adler2::adler32_slice(&out[9..]).to_be_bytes());
    for chunk in data.chunks(block) {
        let packed = lzokay::compress::compress(chunk).unwrap();
        let body = if packed.len() < chunk.len() { &packed[..] } else { chunk };
        out.extend((chunk.len() as u32).to_be_bytes());
        out.extend((body.len() as u32).to_be_bytes());
        if flags & 1 != 0 {
            out.extend(adler2::adler32_slice(chunk).to_be_bytes());
        }
        if flags & 0x100 != 0 {
            let mut c = flate2::Crc::new();
            c.update(chunk);
            out.extend(c.sum().to_be_bytes());
        }
        out.extend(body);
    }
    out.extend([0; 4]);
    out
}

/// The header of a libvirt save image.
pub struct Header {
    pub magic: &'static [u8; 16],
    pub big_endian: bool,
    pub version: u32,
    pub was_running: u32,
    pub format: u32,
    pub xml: &'static str,
    pub cookie: &'static str,
    pub room: usize,
}

pub const XML: &str =
    "<domain type='kvm'><name>bücher &amp; co</name><uuid>6abf0a93-34d8-415c-9773-1e3176729b65</uuid></domain>";

impl Default for Header {
    fn default() -> Self {
        Self {
            magic: b"LibvirtQemudSave",
            big_endian: false,
            version: 2,
            was_running: 1,
            format: 0,
            xml: XML,
            cookie: "",
            room: 1001,
        }
    }
}

impl Header {
    /// Returns the header and the XML, to be followed by a body.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = self.xml.as_bytes().to_vec();
        text.push(0);
        let cookie_at = if self.cookie.is_empty() { 0 } else { text.len() as u32 };
        if cookie_at > 0 {
            text.extend(self.cookie.as_bytes());
            text.push(0);
        }
        text.resize(text.len() + self.room, 0);
        let mut out = self.magic.to_vec();
        for n in [self.version, text.len() as u32, self.was_running, self.format, cookie_at] {
            out.extend(if self.big_endian { n.to_be_bytes() } else { n.to_le_bytes() });
        }
        out.resize(92, 0);
        out.extend(text);
        out
    }

    /// Returns an image with this body.
    pub fn around(&self, body: &[u8]) -> Vec<u8> {
        [self.bytes(), body.to_vec()].concat()
    }
}

/// How the clusters of a state are kept.
#[derive(Clone, Copy, PartialEq)]
pub enum Keep {
    /// One after the other.
    Plain,
    /// Every second one written far from its neighbours.
    Scattered,
    /// Packed, at any byte.
    Packed,
}

/// A qcow2 image to be made.
pub struct Qcow2 {
    pub version: u32,
    pub bits: u32,
    pub extended: bool,
    pub zstd: bool,
    pub keep: Keep,
    /// The size of the disk in front of the state, now and when the snapshots were made.
    pub disk_now: u64,
    pub disk_then: u64,
    /// Bytes of extra data in a snapshot's entry.
    pub extra: u32,
    pub snapshots: Vec<(&'static str, &'static [u8], Vec<u8>)>,
}

impl Default for Qcow2 {
    fn default() -> Self {
        Self {
            version: 3,
            bits: 16,
            extended: false,
            zstd: false,
            keep: Keep::Plain,
            disk_now: 1 << 30,
            disk_then: 1 << 30,
            extra: 24,
            snapshots: Vec::new(),
        }
    }
}

impl Qcow2 {
    /// Makes the image. Clusters of zeros become holes, zero clusters or zero subclusters, where the version has them.
    pub fn bytes(&self) -> Vec<u8> {
        let cluster = 1_usize << self.bits;
        let mut out = vec![0; cluster];
        let tables: Vec<(u64, usize)> = self.snapshots.iter().map(|s| self.state(&mut out, &s.2)).collect();
        align(&mut out, cluster);
        let table_at = out.len() as u64;
        for ((id, name, stream), (l1, entries)) in self.snapshots.iter().zip(tables) {
            while !(out.len() as u64 - table_at).is_multiple_of(8) {
                out.push(0);
            }
            out.extend(l1.to_be_bytes());
            out.extend((entries as u32).to_be_bytes());
            out.extend((id.len() as u16).to_be_bytes());
            out.extend((name.len() as u16).to_be_bytes());
            out.extend(1_700_000_000_u32.to_be_bytes());
            out.extend(5_u32.to_be_bytes());
            out.extend(3_600_123_000_000_u64.to_be_bytes());
            out.extend((stream.len() as u32).to_be_bytes());
            out.extend(self.extra.to_be_bytes());
            let mut extra = (stream.len() as u64).to_be_bytes().to_vec();
            extra.extend(self.disk_then.to_be_bytes());
            extra.extend([0xff; 8]);
            out.extend(&extra[..self.extra as usize]);
            out.extend(id.as_bytes());
            out.extend(*name);
        }
        let mut head = b"QFI\xfb".to_vec();
        head.extend(self.version.to_be_bytes());
        head.extend([0; 12]);
        head.extend(self.bits.to_be_bytes());
        head.extend(self.disk_now.to_be_bytes());
        head.resize(60, 0);
        head.extend((self.snapshots.len() as u32).to_be_bytes());
        head.extend(table_at.to_be_bytes());
        if self.version == 3 {
            head.extend((u64::from(self.zstd) << 3 | u64::from(self.extended) << 4).to_be_bytes());
            head.extend([0; 16]);
            head.extend(4_u32.to_be_bytes());
            head.extend(112_u32.to_be_bytes());
            head.extend([u8::from(self.zstd), 0, 0, 0, 0, 0, 0, 0]);
        }
        out[..head.len()].copy_from_slice(&head);
        out
    }

    /// Writes a state with its tables; returns where its L1 table is, and how many entries that has.
    fn state(&self, out: &mut Vec<u8>, stream: &[u8]) -> (u64, usize) {
        let cluster = 1_usize << self.bits;
        let entry = if self.extended { 16 } else { 8 };
        let per_table = cluster / entry;
        let span = (cluster * per_table) as u64;
        let first = self.disk_then.div_ceil(span) as usize;
        let mut entries: Vec<(u64, u64)> = Vec::new();
        for (i, piece) in stream.chunks(cluster).enumerate() {
            let mut piece = piece.to_vec();
            piece.resize(cluster, 0);
            entries.push(self.cluster(out, &piece, i));
        }
        let mut l1 = vec![0_u64; first];
        for table in entries.chunks(per_table) {
            align(out, cluster);
            // the highest bit says that nobody else uses the table
            l1.push(out.len() as u64 | 1 << 63);
            for (word, bitmap) in table {
                out.extend(word.to_be_bytes());
                if self.extended {
                    out.extend(bitmap.to_be_bytes());
                }
            }
        }
        align(out, cluster);
        let at = out.len() as u64;
        l1.iter().for_each(|e| out.extend(e.to_be_bytes()));
        (at, l1.len())
    }

    fn cluster(&self, out: &mut Vec<u8>, piece: &[u8], i: usize) -> (u64, u64) {
        let cluster = piece.len();
        let zero = piece.iter().all(|b| *b == 0);
        if zero && self.version == 3 && i.is_multiple_of(2) {
            return if self.extended { (0, 0xffff_ffff << 32) } else { (1, 0) };
        }
        if zero {
            return (0, 0);
        }
        if self.keep == Keep::Packed {
            let packed = if self.zstd {
                let (a, b) = piece.split_at(cluster / 2);
                [pack("zstd", a), pack("zstd", b)].concat()
            } else {
                let mut e = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                e.write_all(piece).unwrap();
                e.finish().unwrap()
            };
            // QEMU leaves a cluster unpacked that does not get smaller
            if packed.len() < cluster {
                out.extend(vec![0xee; 1 + i % 13]);
                let at = out.len() as u64;
                out.extend(&packed);
                let sectors = (at % 512 + packed.len() as u64).div_ceil(512) - 1;
                return (1 << 62 | sectors << (62 - (self.bits - 8)) | at, 0);
            }
        }
        align(out, cluster);
        if self.keep == Keep::Scattered && i.is_multiple_of(2) {
            out.resize(out.len() + cluster, 0xee);
        }
        let at = out.len() as u64;
        out.extend(piece);
        let mut bitmap = 0_u64;
        for (k, sub) in piece.chunks(cluster / 32).enumerate() {
            let zero = sub.iter().all(|b| *b == 0);
            bitmap |= match (zero, k % 2) {
                (true, 0) => 1 << (32 + k),
                (true, _) => 0,
                (false, _) => 1 << k,
            };
            if zero && self.extended {
                // what is there does not count
                out[at as usize + k * (cluster / 32)..][..cluster / 32].fill(0xee);
            }
        }
        (at | 1 << 63, bitmap)
    }
}

fn align(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}
