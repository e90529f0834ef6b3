//! Mutations of the records of a stream.

use crate::bases::{Bases, zlib};
use crate::description::description;
use crate::hard::Random;
use crate::parts::{Kind, Piece, be32, be64, cut, join, records};

/// Numbers at which something happens.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    255,
    256,
    4095,
    4096,
    65_535,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 40,
    1 << 63,
];

pub fn number(random: &mut Random, now: u64) -> u64 {
    match random.below(5) {
        0 => now.wrapping_add(1),
        1 => now.wrapping_sub(1),
        2 => now.wrapping_mul(2),
        3 => now ^ (1 << random.below(64)),
        _ => NUMBERS[random.below(NUMBERS.len())],
    }
}

/// Changes a stream once, and returns it with what was done.
pub fn once(random: &mut Random, bases: &Bases, pieces: &mut Vec<Piece>) -> String {
    match random.below(20) {
        0..=4 => description(random, pieces),
        5..=8 => header(random, pieces),
        9 => footer(random, pieces),
        10 => order(random, pieces),
        11 => command(random, pieces),
        12..=13 => list(random, pieces),
        14..=16 => page(random, pieces),
        17 => payload(random, pieces),
        18 => ends(random, bases, pieces),
        _ => configuration(random, pieces),
    }
}

pub fn choose(random: &mut Random, pieces: &[Piece], wanted: impl Fn(&Piece) -> bool) -> Option<usize> {
    let all: Vec<usize> = (0..pieces.len()).filter(|i| wanted(&pieces[*i])).collect();
    all.get(random.below(all.len())).copied()
}

fn put(bytes: &mut [u8], at: usize, n: usize, value: u64) {
    if let Some(b) = bytes.get_mut(at..at + n) {
        b.copy_from_slice(&value.to_be_bytes()[8 - n..]);
    }
}

/// Changes the header of a section.
fn header(random: &mut Random, pieces: &mut [Piece]) -> String {
    let Some(i) = choose(random, pieces, |p| matches!(p.kind, Kind::Ram | Kind::Section)) else {
        return "no section".to_owned();
    };
    let other = choose(random, pieces, |p| matches!(p.kind, Kind::Ram | Kind::Section))
        .map_or(1, |j| be32(&pieces[j].bytes, 1));
    let piece = &mut pieces[i];
    let named = matches!(piece.bytes[0], 1 | 4);
    let name = usize::from(piece.bytes.get(5).copied().unwrap_or(0));
    let whole = named && piece.bytes.len() >= 14 + name;
    match random.below(if whole { 8 } else { 3 }) {
        0 => piece.bytes[0] = [1, 2, 3, 4, 5, 7][random.below(6)],
        k @ (1 | 2) => {
            let now = be32(&piece.bytes, 1);
            let id = if k == 1 { other.into() } else { number(random, now.into()) };
            let footer = piece.has_footer();
            put(&mut piece.bytes, 1, 4, id);
            let n = piece.bytes.len();
            if footer && random.below(4) > 0 {
                put(&mut piece.bytes, n - 4, 4, id);
            }
            return format!("piece {i}: id {now} -> {id}");
        }
        3 => {
            let n = number(random, be32(&piece.bytes, 6 + name).into());
            put(&mut piece.bytes, 6 + name, 4, n);
            return format!("piece {i}: instance {n}");
        }
        4 => {
            let n = number(random, be32(&piece.bytes, 10 + name).into());
            put(&mut piece.bytes, 10 + name, 4, n);
            return format!("piece {i}: version {n}");
        }
        5 => {
            let at = 6 + random.below(name.max(1));
            piece.bytes[at] = [b'a', b'/', 0, 0x1b, 0xff][random.below(5)];
        }
        6 => piece.bytes[5] = number(random, name as u64) as u8,
        _ => {
            let names: [&[u8]; 7] = [b"ram", b"dirty-bitmap", b"block", b"timer", b"htab", b"s390-stattrib", b"dev"];
            let new = names[random.below(7)];
            piece.bytes.splice(5..6 + name, [&[new.len() as u8], new].concat());
            return format!("piece {i}: called {}", String::from_utf8_lossy(new));
        }
    }
    format!("piece {i}: header")
}

fn footer(random: &mut Random, pieces: &mut [Piece]) -> String {
    let Some(i) = choose(random, pieces, Piece::has_footer) else { return "no footer".to_owned() };
    let n = pieces[i].bytes.len();
    match random.below(4) {
        0 => pieces[i].bytes.truncate(n - 5),
        1 => pieces[i].bytes[n - 5] = random.next() as u8,
        2 => put(&mut pieces[i].bytes, n - 4, 4, random.below(99) as u64),
        _ => pieces[i].bytes.extend_from_within(n - 5..),
    }
    format!("piece {i}: footer")
}

/// Drops, doubles, swaps and moves records.
fn order(random: &mut Random, pieces: &mut Vec<Piece>) -> String {
    if pieces.len() < 3 {
        return "few pieces".to_owned();
    }
    let (i, j) = (1 + random.below(pieces.len() - 1), 1 + random.below(pieces.len() - 1));
    match random.below(4) {
        0 => drop(pieces.remove(i)),
        1 => pieces.insert(j, pieces[i].clone()),
        2 => pieces.swap(i, j),
        _ => {
            let p = pieces.remove(i);
            pieces.insert(j.min(pieces.len()), p);
        }
    }
    format!("order: {i} and {j}")
}

fn command(random: &mut Random, pieces: &mut Vec<Piece>) -> String {
    let at = 1 + random.below(pieces.len() - 1);
    if let (0, Some(i)) = (random.below(2), choose(random, pieces, |p| p.kind == Kind::Command)) {
        let n = random.below(pieces[i].bytes.len());
        pieces[i].bytes[n] = NUMBERS[random.below(10)] as u8;
        return format!("piece {i}: byte {n} of a command");
    }
    let number = 1 + random.below(14) as u8;
    let len = if random.below(2) == 0 {
        random.below(20)
    } else {
        [0, 0, 0, 4, 16, 12, 4, 0, 4, 4, 4, 4, 9, 5, 3][usize::from(number)]
    };
    let mut bytes = vec![8, 0, number, 0, len as u8];
    bytes.extend((0..len).map(|_| [0, 0, 0, 1, 16][random.below(5)]));
    pieces.insert(at, Piece::new(Kind::Command, bytes));
    format!("piece {at}: a command {number} of {len} bytes")
}

/// Changes the list of RAM blocks: lengths, names, totals, headers of mapped-ram.
fn list(random: &mut Random, pieces: &mut [Piece]) -> String {
    let Some(i) = choose(random, pieces, |p| p.kind == Kind::Ram && p.bytes[0] == 1) else {
        return "no list".to_owned();
    };
    let from = pieces[i].payload();
    let piece = &mut pieces[i];
    let mapped = [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..]].concat();
    let headers: Vec<usize> =
        (from..piece.bytes.len().min(from + 4096)).filter(|k| piece.bytes[*k..].starts_with(&mapped)).collect();
    if let Some(at) = headers.get(random.below(headers.len().max(1))).filter(|_| random.below(4) > 0) {
        let field = [(0, 4), (4, 8), (12, 8), (20, 8)][random.below(4)];
        let now = be64(&piece.bytes, at + field.0);
        let n = number(random, now);
        put(&mut piece.bytes, at + field.0, field.1, n);
        return format!("piece {i}: mapped-ram header, field at {}, {n:#x}", field.0);
    }
    let all = records(piece);
    let entries: Vec<_> = all.iter().filter(|r| r.is_entry).collect();
    let Some(e) = entries.get(random.below(entries.len())) else {
        let n = number(random, be64(&piece.bytes, from));
        put(&mut piece.bytes, from, 8, n);
        return format!("piece {i}: total {n:#x}");
    };
    let (data, name) = (e.data.clone(), e.name.clone().unwrap_or_default());
    match random.below(5) {
        0 => {
            let n = number(random, be64(&piece.bytes, from));
            put(&mut piece.bytes, from, 8, n);
        }
        1 => {
            let n = number(random, be64(&piece.bytes, data.start));
            put(&mut piece.bytes, data.start, 8, n);
        }
        2 => {
            // the same name or another, with the total corrected
            let copy = piece.bytes[name.start - 1..data.end].to_vec();
            let n = be64(&piece.bytes, data.start);
            piece.bytes.splice(data.end..data.end, copy);
            let total = be64(&piece.bytes, from).wrapping_add(n);
            put(&mut piece.bytes, from, 8, total);
        }
        3 if !name.is_empty() => piece.bytes[name.start + random.below(name.len())] = b"a/\0\xff."[random.below(5)],
        _ => piece.bytes[name.start - 1] = number(random, name.len() as u64) as u8,
    }
    format!("piece {i}: entry of the list")
}

/// Changes a page record.
fn page(random: &mut Random, pieces: &mut [Piece]) -> String {
    let Some(i) =
        choose(random, pieces, |p| p.kind == Kind::Ram && records(p).iter().any(|r| !r.is_entry && r.flags != 0x10))
    else {
        return "no pages".to_owned();
    };
    let all: Vec<_> = records(&pieces[i]).into_iter().filter(|r| !r.is_entry).collect();
    let r = &all[random.below(all.len())];
    let bytes = &mut pieces[i].bytes;
    let word = be64(bytes, r.at);
    let what = match random.below(9) {
        0 => {
            put(bytes, r.at, 8, word ^ (1 << random.below(10)));
            "flags"
        }
        1 => {
            put(bytes, r.at, 8, number(random, word & !0xfff) & !0xfff | word & 0xfff);
            "address"
        }
        2 => {
            put(bytes, r.at, 8, word ^ 0x20);
            "CONTINUE"
        }
        3 => {
            bytes.drain(r.data.start + random.below(r.data.len().max(1)).min(r.data.len())..r.data.end);
            "cut"
        }
        4 => {
            let copy = bytes[r.at..r.data.end].to_vec();
            bytes.splice(r.data.end..r.data.end, copy);
            "twice"
        }
        5 => {
            drop(bytes.drain(r.at..r.data.end));
            "dropped"
        }
        6 => {
            // another page as a difference, or packed
            let (flag, data) = if random.below(2) == 0 {
                let packed = zlib(&vec![random.next() as u8; 4096 - random.below(2)]);
                (0x100, [&(packed.len() as u32).to_be_bytes()[..], &packed].concat())
            } else {
                let delta: Vec<u8> = (0..1 + random.below(12)).map(|_| random.below(40) as u8).collect();
                (0x40, [&[1, 0, delta.len() as u8][..], &delta].concat())
            };
            put(bytes, r.at, 8, word & !0x3df | flag);
            bytes.splice(r.data.clone(), data);
            "in another form"
        }
        7 if !r.data.is_empty() => {
            let at = r.data.start + random.below(r.data.len());
            bytes[at] = random.next() as u8;
            "a byte"
        }
        _ => {
            if let Some(n) = r.name.clone().filter(|n| !n.is_empty()) {
                bytes[n.start + random.below(n.len())] ^= 1;
            }
            "name"
        }
    };
    format!("piece {i}: page at {:#x}: {what}", r.at)
}

/// Changes the payload of a section or of the end.
fn payload(random: &mut Random, pieces: &mut [Piece]) -> String {
    let Some(i) = choose(random, pieces, |p| p.kind != Kind::Header && p.bytes.len() > p.payload()) else {
        return "no payload".to_owned();
    };
    let from = pieces[i].payload();
    let bytes = &mut pieces[i].bytes;
    let at = from + random.below(bytes.len() - from);
    let n = random.below(9).min(bytes.len() - at);
    match random.below(4) {
        0 => bytes[at] = NUMBERS[random.below(10)] as u8,
        1 => drop(bytes.drain(at..at + n)),
        2 => drop(bytes.splice(at..at, [0x7e, 0, 0, 0, random.below(9) as u8, 4, 0][..n.min(7)].to_vec())),
        _ => bytes[at..at + n].fill([0, 0xff, 0x7e, 4][random.below(4)]),
    }
    format!("piece {i}: payload at {at}")
}

/// Cuts, glues and fills.
fn ends(random: &mut Random, bases: &Bases, pieces: &mut Vec<Piece>) -> String {
    let whole = join(pieces);
    match random.below(5) {
        0 => {
            let n = random.below(whole.len()).max(9);
            *pieces = cut(&whole[..n.min(whole.len())]);
            format!("cut at {n}")
        }
        1 => {
            pieces.push(Piece::new(Kind::Rest, vec![[0, 0, 0xff][random.below(3)]; 1 + random.below(9000)]));
            "filled".to_owned()
        }
        2 => {
            pieces.push(Piece::new(Kind::Rest, bases.small(random)));
            "glued".to_owned()
        }
        3 => {
            let old = bases.small(random);
            pieces.push(Piece::new(Kind::Rest, &old[random.below(old.len())..]));
            "the rest of another".to_owned()
        }
        _ => {
            // a whole stream as the content of something
            let at = 1 + random.below(pieces.len() - 1);
            pieces.insert(at, Piece::new(Kind::Rest, bases.small(random)));
            format!("another stream at piece {at}")
        }
    }
}

fn configuration(random: &mut Random, pieces: &mut [Piece]) -> String {
    let Some(i) = choose(random, pieces, |p| matches!(p.kind, Kind::Configuration | Kind::Header)) else {
        return "no configuration".to_owned();
    };
    let at = random.below(pieces[i].bytes.len());
    if pieces[i].kind == Kind::Configuration || random.below(6) == 0 {
        pieces[i].bytes[at] = NUMBERS[random.below(10)] as u8;
    }
    format!("piece {i}: configuration at {at}")
}
