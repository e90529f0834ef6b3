//! A reader of RAM records of its own, and a writer of streams; neither shares code with the library.

use std::collections::BTreeMap;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// A page record: where it ends in the stream, and what the page is after it.
pub struct Record {
    pub end: usize,
    pub block: String,
    pub offset: usize,
    pub what: What,
}

/// The content of a record.
pub enum What {
    Fill(u8),
    /// The page is at this place in the stream.
    Whole(usize),
    /// Places in the page, and the bytes that go there.
    Changes(Vec<(usize, Vec<u8>)>),
}

/// The RAM part of a stream with footers: blocks, where the list of them ends, and the records.
pub struct Ram {
    pub blocks: BTreeMap<String, usize>,
    pub listed: usize,
    pub records: Vec<Record>,
}

fn be(d: &[u8], at: usize, n: usize) -> usize {
    d[at..at + n].iter().fold(0, |v, b| v << 8 | usize::from(*b))
}

fn name(d: &[u8], at: &mut usize) -> String {
    let n = usize::from(d[*at]);
    let s = String::from_utf8(d[*at + 1..*at + 1 + n].to_vec()).unwrap();
    *at += 1 + n;
    s
}

/// Reads the RAM part of a whole stream.
pub fn read(d: &[u8]) -> Ram {
    let mut ram = Ram { blocks: BTreeMap::new(), listed: 0, records: Vec::new() };
    let mut at = d.windows(4).position(|w| w == b"\x03ram").unwrap() + 4 + 8;
    let mut block = String::new();
    loop {
        let head = be(d, at, 8);
        at += 8;
        let (flags, offset) = (head % PAGE, head - head % PAGE);
        if flags == 4 {
            let mut left = offset;
            while left > 0 {
                let n = name(d, &mut at);
                let len = be(d, at, 8);
                at += 8;
                left -= len;
                ram.blocks.insert(n, len);
            }
            ram.listed = at;
            continue;
        }
        if flags == 0x10 {
            // the end of a section: its footer, then perhaps commands and the next section of the same device
            at += 5;
            while d[at] == 8 {
                at += 5 + be(d, at + 3, 2);
            }
            if d[at] != 2 && d[at] != 3 {
                return ram;
            }
            at += 5;
            continue;
        }
        if flags & 0x20 == 0 {
            block = name(d, &mut at);
        }
        let what = match flags & !0x20 {
            2 => {
                at += 1;
                What::Fill(d[at - 1])
            }
            8 => {
                at += PAGE;
                What::Whole(at - PAGE)
            }
            0x40 => {
                let n = be(d, at + 1, 2);
                at += 3 + n;
                What::Changes(changes(&d[at - n..at]))
            }
            other => panic!("flags {other:#x} at {at:#x}"),
        };
        ram.records.push(Record { end: at, block: block.clone(), offset, what });
    }
}

/// Runs of unchanged and changed bytes, in turn, each with its length before it.
fn changes(mut d: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let number = |d: &mut &[u8]| {
        let mut v = usize::from(d[0] & 0x7f);
        let two = d[0] & 0x80 != 0;
        if two {
            v |= usize::from(d[1]) << 7;
        }
        *d = &d[1 + usize::from(two)..];
        v
    };
    let (mut out, mut at) = (Vec::new(), 0);
    while !d.is_empty() {
        at += number(&mut d);
        if d.is_empty() {
            break;
        }
        let n = number(&mut d);
        out.push((at, d[..n].to_vec()));
        d = &d[n..];
        at += n;
    }
    out
}

impl Record {
    /// Does to `memory` what the record says.
    pub fn apply(&self, stream: &[u8], memory: &mut BTreeMap<String, Vec<u8>>) {
        let page = &mut memory.get_mut(&self.block).unwrap()[self.offset..][..PAGE];
        match &self.what {
            What::Fill(b) => page.fill(*b),
            What::Whole(at) => page.copy_from_slice(&stream[*at..][..PAGE]),
            What::Changes(list) => list.iter().for_each(|(at, b)| page[*at..][..b.len()].copy_from_slice(b)),
        }
    }
}

/// A stream of nothing but RAM blocks, each of one page that is filled with its number from 1 on.
pub fn stream_of(names: &[&[u8]]) -> Vec<u8> {
    let mut s = b"QEVM\x00\x00\x00\x03".to_vec();
    let section = |s: &mut Vec<u8>, kind: u8| {
        s.push(kind);
        s.extend(1_u32.to_be_bytes());
        if kind == 1 {
            s.extend(b"\x03ram\x00\x00\x00\x00\x00\x00\x00\x04");
        }
    };
    let end = |s: &mut Vec<u8>| {
        s.extend(0x10_u64.to_be_bytes());
        s.push(0x7e);
        s.extend(1_u32.to_be_bytes());
    };
    let counted = |s: &mut Vec<u8>, name: &[u8]| {
        s.push(name.len() as u8);
        s.extend(name);
    };
    section(&mut s, 1);
    s.extend(((names.len() * PAGE) as u64 | 4).to_be_bytes());
    for n in names {
        counted(&mut s, n);
        s.extend((PAGE as u64).to_be_bytes());
    }
    end(&mut s);
    section(&mut s, 3);
    for (i, n) in names.iter().enumerate() {
        s.extend(8_u64.to_be_bytes());
        counted(&mut s, n);
        s.extend([i as u8 + 1; PAGE]);
    }
    end(&mut s);
    s.push(0);
    s
}
