//! A stream cut into its records, by a small reader that shares nothing with the library's.
//!
//! It only has to be right on sound streams: joined again, the pieces are the stream, whatever was made of it.

/// What a piece holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The magic and the version.
    Header,
    /// The configuration section.
    Configuration,
    /// A record of the `ram` section: START, PART or END.
    Ram,
    /// Any other section.
    Section,
    /// A command.
    Command,
    /// The end of the records.
    Eof,
    /// The description, with its type and length.
    Description,
    /// What is not known.
    Rest,
}

/// One record.
#[derive(Clone, Debug)]
pub struct Piece {
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

impl Piece {
    pub fn new(kind: Kind, bytes: impl Into<Vec<u8>>) -> Self {
        Self { kind, bytes: bytes.into() }
    }

    /// Where the payload of a section begins.
    pub fn payload(&self) -> usize {
        match self.bytes.first() {
            Some(1 | 4) => (14 + usize::from(self.bytes.get(5).copied().unwrap_or(0))).min(self.bytes.len()),
            Some(2 | 3) => 5.min(self.bytes.len()),
            _ => 0,
        }
    }

    /// Tells whether the piece ends with a footer.
    pub fn has_footer(&self) -> bool {
        let n = self.bytes.len();
        n >= 10 && self.bytes[n - 5] == 0x7e && self.bytes[n - 4..] == self.bytes[1..5]
    }
}

/// Joins pieces.
pub fn join(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|p| p.bytes.iter().copied()).collect()
}

/// Cuts a sound stream.
pub fn cut(stream: &[u8]) -> Vec<Piece> {
    let mut out = vec![Piece::new(Kind::Header, &stream[..stream.len().min(8)])];
    let mut at = out[0].bytes.len();
    let mut ram = None;
    while at < stream.len() {
        let (kind, end) = next(stream, at, &mut ram);
        let end = end.clamp(at + 1, stream.len());
        out.push(Piece::new(kind, &stream[at..end]));
        at = end;
    }
    out
}

fn next(s: &[u8], at: usize, ram: &mut Option<[u8; 4]>) -> (Kind, usize) {
    match s[at] {
        7 => (Kind::Configuration, next_record(s, at + 5 + be32(s, at + 1) as usize)),
        8 => (Kind::Command, at + 5 + usize::from(s.get(at + 4).copied().unwrap_or(0))),
        0 => (Kind::Eof, at + 1),
        6 => (Kind::Description, at + 5 + be32(s, at + 1) as usize),
        1..=4 if at + 5 < s.len() => {
            let id: [u8; 4] = s[at + 1..at + 5].try_into().unwrap();
            let named = matches!(s[at], 1 | 4);
            if named && s[at + 5..].starts_with(b"\x03ram") {
                *ram = Some(id);
            }
            let from = if named { at + 14 + usize::from(s[at + 5]) } else { at + 5 };
            let kind = if *ram == Some(id) { Kind::Ram } else { Kind::Section };
            (kind, section_end(s, from, id))
        }
        _ => (Kind::Rest, s.len()),
    }
}

/// The first footer with this id that a record follows; without footers, the next header.
fn section_end(s: &[u8], from: usize, id: [u8; 4]) -> usize {
    let footer = [&[0x7e][..], &id].concat();
    let mut at = from;
    while let Some(n) = s.get(at..).and_then(|r| r.windows(5).position(|w| w == footer)) {
        let end = at + n + 5;
        if s.get(end).is_none_or(|b| matches!(b, 0..=4 | 8)) {
            return end;
        }
        at += n + 1;
    }
    next_record(s, from)
}

/// The next header of a section, the next command or the end with a description.
fn next_record(s: &[u8], from: usize) -> usize {
    (from..s.len()).find(|i| is_header(&s[*i..])).unwrap_or(s.len())
}

fn is_header(s: &[u8]) -> bool {
    match s {
        [1 | 4, 0, 0, _, _, len, name @ ..] => {
            let len = usize::from(*len);
            len > 1 && name.len() > len && name[..len].iter().all(|c| c.is_ascii_graphic())
        }
        [2 | 3, 0, 0, _, _, 0, 0, 0, ..] => true,
        [8, 0, 1..=12, 0, _, ..] => true,
        [0, 6, 0, _, _, _, b'{', ..] => true,
        _ => false,
    }
}

pub fn be32(s: &[u8], at: usize) -> u32 {
    s.get(at..at + 4).map_or(0, |b| u32::from_be_bytes(b.try_into().unwrap()))
}

pub fn be64(s: &[u8], at: usize) -> u64 {
    s.get(at..at + 8).map_or(0, |b| u64::from_be_bytes(b.try_into().unwrap()))
}

/// One record of a payload of `ram`: its flags and address, its name if it has one, its data.
#[derive(Clone, Debug)]
pub struct Record {
    pub at: usize,
    pub name: Option<std::ops::Range<usize>>,
    pub data: std::ops::Range<usize>,
    pub flags: u64,
    pub is_entry: bool,
}

/// Reads the records of a piece; `None` if no page size fits, as with the list of a mapped-ram file.
pub fn records(piece: &Piece) -> Vec<Record> {
    [4096, 8192, 1024, 256].iter().find_map(|p| read(&piece.bytes, piece.payload(), *p)).unwrap_or_default()
}

fn read(s: &[u8], mut at: usize, page: u64) -> Option<Vec<Record>> {
    let mut out = Vec::new();
    let mut more: Option<u64> = None;
    loop {
        let word = s.get(at..at + 8).map(|_| be64(s, at))?;
        let (flags, start) = (word & (page - 1), at);
        at += 8;
        if let Some(left) = more.filter(|n| *n > 0) {
            let len = usize::from(*s.get(start)?);
            let end = start + 1 + len + 8;
            out.push(Record {
                at: start,
                name: Some(start + 1..start + 1 + len),
                data: end - 8..end,
                flags: 0,
                is_entry: true,
            });
            let bytes = be64(s, end - 8);
            more = left.checked_sub(bytes);
            at = end;
            continue;
        }
        let mut name = None;
        if flags & 0x20 == 0 && flags & 0x14a != 0 {
            let len = usize::from(*s.get(at)?);
            name = Some(at + 1..at + 1 + len);
            at += 1 + len;
        }
        let n = match flags & !0x20 {
            0x02 => 1,
            0x04 => {
                more = Some(word - flags);
                0
            }
            0x08 => page as usize,
            0x10 => 0,
            0x40 => 3 + usize::from(u16::from_be_bytes(s.get(at + 1..at + 3)?.try_into().ok()?)),
            0x100 => 4 + be32(s, at) as usize,
            _ => return None,
        };
        s.get(at..at + n)?;
        out.push(Record { at: start, name, data: at..at + n, flags, is_entry: false });
        at += n;
        if flags == 0x10 {
            return Some(out);
        }
    }
}
