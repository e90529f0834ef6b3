//! What can be read of a damaged description.

use super::reader::{Kind, Read, Reader};
use crate::offset::Sure;

/// What a piece of a damaged description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Configuration,
    PageSize,
    Device,
}

/// Visits the pieces: the keys before the list of devices, and each device. `on` reads the piece at the reader; if
/// that fails, the search continues at the next text that begins like a device.
///
/// A device's object never contains another device. If one begins inside it, even inside a string whose end is lost,
/// then the end of the outer one is lost. So the search never goes back, and no byte is read twice.
///
/// Returns `None` if there is no list of devices.
pub(super) fn pieces<'a>(text: &'a [u8], on: &mut dyn FnMut(Piece, &mut Reader<'a>) -> Read<()>) -> Option<()> {
    let list = find(text, 0, b"\"devices\"")?;
    let open = find(text, list, b"[")?;
    let head = text.get(..list)?;
    for (key, piece) in [(&b"\"configuration\""[..], Piece::Configuration), (b"\"page_size\"", Piece::PageSize)] {
        let colon = find(head, 0, key).and_then(|at| find(head, at, b":"));
        if let Some(at) = colon {
            // a value that is damaged is left out
            let _ = on(piece, &mut Reader::new(head, at.plus(1)));
        }
    }
    let mut next = find(text, open, b"{");
    while let Some(start) = next {
        let mut r = Reader::refusing(text, start, begins_device);
        next = match r.kind().and_then(|_: Kind| on(Piece::Device, &mut r)) {
            Ok(()) => find(text, r.at(), b"{"),
            Err(e) => next_device(text, e.at.max(start.plus(1))),
        };
    }
    Some(())
}

/// Finds a needle whose first byte occurs in it only once, or also as its last byte.
fn find(text: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = text.get(at..)?;
        let i = rest.iter().position(|b| Some(b) == needle.first())?;
        at = at.checked_add(i)?;
        if rest.get(i..)?.starts_with(needle) {
            return Some(at);
        }
        at = at.checked_add(1)?;
    }
}

fn next_device(text: &[u8], from: usize) -> Option<usize> {
    let mut at = find(text, from, b"{")?;
    while !begins_device(text, at) {
        at = find(text, at.checked_add(1)?, b"{")?;
    }
    Some(at)
}

/// How far the beginning of a device is looked at: a section's name has 255 bytes at most.
const LOOK: usize = 600;

/// Returns whether an object begins like a device's, the only one with the name first and the instance id second.
fn begins_device(text: &[u8], at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    let look = rest.get(..LOOK).unwrap_or(rest);
    let after = |rest: &mut &[u8], what: &[u8]| match rest.trim_ascii_start().strip_prefix(what) {
        Some(r) => {
            *rest = r;
            true
        }
        None => false,
    };
    let mut rest = look;
    if ![&b"{"[..], b"\"name\"", b":", b"\""].iter().all(|what| after(&mut rest, what)) {
        return false;
    }
    let Some(name) = rest.iter().position(|b| *b == b'"') else { return false };
    rest = rest.get(name..).unwrap_or_default();
    [&b"\""[..], b",", b"\"instance_id\""].iter().all(|what| after(&mut rest, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns where the devices are that can be read, and how many bytes were read for them.
    fn salvaged(text: &str) -> (Vec<usize>, usize) {
        let (mut out, mut work) = (Vec::new(), 0);
        pieces(text.as_bytes(), &mut |piece, r| {
            let start = r.at();
            let result = r.skip();
            work += result.map_or_else(|e| e.at, |()| r.at()) - start;
            if piece == Piece::Device && result.is_ok() {
                out.push(start);
            }
            result
        });
        (out, work)
    }

    #[test]
    fn devices_before_and_after_a_fault_are_found() {
        let text = r#"{"page_size": 4096, "devices": [{"name": "a", "instance_id": 0, "fields": [{"name": "x"}]},
            {"name": "b", "instance_id": 1, "fields": [{"name": "x""type": 1}]},
            {"name": "c", "instance_id": 0, "fields": [{"name": "x}]}, {"name": "d", "instance_id": 0},
            {"name": "e", "instance_id": 0, "fields": [ {"name": "f", "instance_id": 0}, {"name": "g", "inst"#;
        let (found, _) = salvaged(text);
        let names: Vec<_> = found.iter().map(|at| &text[at + 10..at + 11]).collect();
        assert_eq!(names, ["a", "d", "f"]);
        assert_eq!(pieces(b"{\"x\": 1", &mut |_, _| Ok(())), None);
    }

    #[test]
    fn no_byte_is_read_twice() {
        for piece in [
            r#"{"name": "a", "instance_id": 0, "x": ["#,
            r#"{"name": "a", "instance_id": 0, "x": "#,
            r#"{"name": "a", "instance_id": 0, "#,
            r#"{"name": "a", "instance_id": 0},"#,
            r#"{"name": "a", "instance_id": "#,
            r#"{"name": "#,
            r#"{"name""#,
            r#"{"name": ""#,
            r#"{"name": "a"b "#,
            "{\"a\": \"\x01",
            "\" \"",
            "\\",
            "{",
            "[",
            "\"",
        ] {
            for (n, end) in [(1_000, ""), (8_000, ""), (8_000, "]}")] {
                let text = format!("{{\"devices\": [{}{end}", piece.repeat(n));
                let (_, work) = salvaged(&text);
                assert!(work <= text.len(), "{piece}: {work} of {}", text.len());
            }
        }
    }
}
