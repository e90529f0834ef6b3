//! Mutations of the description's text.

use crate::hard::Random;
use crate::mutations::{choose, number};
use crate::parts::{Kind, Piece};

/// Changes the text of the description.
pub fn description(random: &mut Random, pieces: &mut [Piece]) -> String {
    let Some(i) = choose(random, pieces, |p| p.kind == Kind::Description && p.bytes.len() > 6) else {
        return "no description".to_owned();
    };
    let mut text = pieces[i].bytes[5..].to_vec();
    let what = match random.below(10) {
        0..=2 => value(
            random,
            &mut text,
            &["\"size\"", "\"array_len\"", "\"version\"", "\"instance_id\"", "\"page_size\"", "\"index\""],
            true,
        ),
        3 => value(random, &mut text, &["\"type\""], false),
        4 => value(random, &mut text, &["\"name\"", "\"vmsd_name\""], false),
        5 => object(random, &mut text),
        6 => {
            // a key twice
            let pairs: Vec<usize> =
                places(&text, b"\"size\"").into_iter().chain(places(&text, b"\"fields\"")).collect();
            match pairs.get(random.below(pairs.len())) {
                Some(at) => {
                    let n = number(random, 1);
                    text.splice(*at..*at, format!("\"size\": {n}, ").into_bytes());
                }
                None => text.clear(),
            }
            "description: a key twice".to_owned()
        }
        7 => {
            let at = random.below(text.len());
            text[at] = [b'{', b'}', b'"', b',', b'9', 0, 0xff, b'['][random.below(8)];
            format!("description: byte {at}")
        }
        8 => {
            text.truncate(random.below(text.len()));
            "description: cut".to_owned()
        }
        _ => {
            text.extend(&b"  \n}{]\0x"[random.below(8)..]);
            "description: more at its end".to_owned()
        }
    };
    let len = if random.below(8) == 0 { number(random, text.len() as u64) } else { text.len() as u64 };
    let mut bytes = vec![if random.below(30) == 0 { 5 } else { 6 }];
    bytes.extend((len as u32).to_be_bytes());
    bytes.extend(text);
    pieces[i].bytes = bytes;
    format!("{what} (length {len})")
}

fn places(text: &[u8], key: &[u8]) -> Vec<usize> {
    text.windows(key.len()).enumerate().filter(|(_, w)| *w == key).map(|(i, _)| i).collect()
}

/// Replaces a value of one of these keys.
fn value(random: &mut Random, text: &mut Vec<u8>, keys: &[&str], is_number: bool) -> String {
    let key = keys[random.below(keys.len())];
    let all = places(text, key.as_bytes());
    let Some(at) = all.get(random.below(all.len())) else { return format!("description: no {key}") };
    let from = at + key.len() + text[at + key.len()..].iter().position(|c| *c == b':').unwrap_or(0) + 1;
    // the text may end with the key
    let from = from.min(text.len());
    let to = from + text[from..].iter().position(|c| matches!(c, b',' | b'}' | b']')).unwrap_or(0);
    let old = String::from_utf8_lossy(&text[from..to]).trim().to_owned();
    let new = if is_number {
        let n = number(random, old.parse().unwrap_or(1));
        [n.to_string(), format!("-{n}"), format!("{n}.5"), "null".to_owned(), format!("\"{n}\"")]
            [if random.below(4) == 0 { random.below(5) } else { 0 }]
        .clone()
    } else {
        let words = [
            "uint8",
            "uint64",
            "int32",
            "bool",
            "struct",
            "buffer",
            "timer",
            "unused_buffer",
            "tmp",
            "nullptr",
            "qtailq",
            "dev",
            "ram",
            "",
            "a/b",
            "cpu",
        ];
        format!("\"{}\"", words[random.below(words.len())])
    };
    text.splice(from..to, format!(" {new}").into_bytes());
    format!("description: {key} {old} -> {new}")
}

/// Takes an object out of a list, or doubles it: a device or a field.
fn object(random: &mut Random, text: &mut Vec<u8>) -> String {
    let starts = if random.below(2) == 0 { places(text, b"{\"name\"") } else { places(text, b"{") };
    let Some(from) = starts.get(random.below(starts.len())).copied() else {
        return "description: no object".to_owned();
    };
    let mut depth = 0;
    let mut to = text.len();
    for (i, c) in text.iter().enumerate().skip(from) {
        depth += i32::from(*c == b'{') - i32::from(*c == b'}');
        if depth == 0 {
            to = i + 1;
            break;
        }
    }
    let twice = random.below(3) == 0;
    if twice {
        let mut copy = text[from..to].to_vec();
        copy.push(b',');
        text.splice(from..from, copy);
    } else {
        let end = to + usize::from(text.get(to) == Some(&b','));
        text.drain(from..end);
    }
    format!("description: object at {from} {}", if twice { "twice" } else { "dropped" })
}
