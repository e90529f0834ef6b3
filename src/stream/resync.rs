//! Finds the end of a payload that nothing describes: by its footer, or by the next record's header.

use std::collections::HashSet;

use super::matching::Unmatched;
use super::recover::head_of_a_stream;
use crate::error::Result;
use crate::names::RecordType;
use crate::offset::{StreamOffset, Sure};
use crate::wire::Source;

/// What is known of the stream when a payload's end is searched.
pub(super) struct Known<'a> {
    /// Section ids of the START sections so far.
    pub(super) live: &'a HashSet<u32>,
    /// Section ids of all sections so far.
    pub(super) ids: &'a HashSet<u32>,
    /// Whether sections have footers for sure.
    pub(super) footers: bool,
    /// The devices of the description, if there is one.
    pub(super) described: Option<&'a Unmatched>,
}

const WINDOW: usize = 64 << 10;
/// More than the longest item checked after a candidate: a section header with a name of 255 bytes.
const LOOKAHEAD: usize = 512;

/// Returns where the payload that begins at `from` ends.
///
/// With footers (`footer` holds the section id), at the first `7e` and id that a plausible record follows, or else at the
/// first; without, at the first plausible section header or at the end of the records.
pub(super) fn payload_end(
    source: &dyn Source,
    from: StreamOffset,
    footer: Option<u32>,
    known: &Known<'_>,
) -> Result<Option<StreamOffset>> {
    let mut buf = vec![0; WINDOW + LOOKAHEAD];
    let mut at = from.0;
    // a footer that no plausible record follows: the record may be the one that is damaged
    let mut lone = None;
    loop {
        let n = source
            .read_full(at, &mut buf)
            .map_err(|e| crate::error::Error::io("cannot read the stream", e).at(StreamOffset(at)))?;
        let window = buf.get(..n).unwrap_or_default();
        let last = n < buf.len();
        let stop = if last { n } else { WINDOW };
        for i in 0..stop {
            let Some(rest) = window.get(i..) else { break };
            let hit = match footer {
                Some(id) if !is_footer(rest, id) => false,
                Some(_) => {
                    lone = lone.or(Some(StreamOffset(at.plus(i as u64))));
                    plausible(rest.get(5..).unwrap_or_default(), last, known, true)
                }
                None => plausible(rest, last, known, false),
            };
            if hit {
                return Ok(Some(StreamOffset(at.plus(i as u64))));
            }
        }
        if last {
            return Ok(lone.filter(|_| known.footers));
        }
        at = at.plus(WINDOW as u64);
    }
}

/// Returns whether a record seems to begin at `at`, after a footer or in a stream without footers.
pub(super) fn record_at(source: &dyn Source, at: StreamOffset, known: &Known<'_>, behind_footer: bool) -> Result<bool> {
    let mut buf = [0; LOOKAHEAD];
    let n =
        source.read_full(at.0, &mut buf).map_err(|e| crate::error::Error::io("cannot read the stream", e).at(at))?;
    let bytes = buf.get(..n).unwrap_or_default();
    let live =
        matches!(bytes.first().map(|b| RecordType(*b)), Some(RecordType::PART | RecordType::END | RecordType::COMMAND));
    Ok(n > 0 && plausible(bytes, n < LOOKAHEAD, known, behind_footer || live))
}

fn is_footer(bytes: &[u8], id: u32) -> bool {
    bytes.first() == Some(&RecordType::FOOTER.0) && be32(bytes, 1) == Some(id)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let b = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(b.try_into().ok()?))
}

/// Returns whether a record can begin here; `behind_footer` accepts what would be too little evidence alone.
fn plausible(bytes: &[u8], last: bool, known: &Known<'_>, behind_footer: bool) -> bool {
    let Some(&kind) = bytes.first() else { return last && behind_footer };
    match RecordType(kind) {
        RecordType::EOF => {
            let ends = bytes.len() == 1 && last;
            let described = bytes.get(1) == Some(&RecordType::VMDESCRIPTION.0) && begins_description(bytes, last);
            // without a description the EOF byte is enough after a footer: the rest of an older stream may follow
            let another = bytes.get(1..).is_some_and(head_of_a_stream);
            ends || described
                || another
                || (behind_footer && (bytes.iter().all(|b| *b == 0) || known.footers && known.described.is_none()))
        }
        RecordType::START | RecordType::FULL => {
            plausible_header(bytes, known).unwrap_or(last && behind_footer && is_cut_name(bytes))
        }
        RecordType::PART | RecordType::END => {
            behind_footer && be32(bytes, 1).map_or(last, |id| known.live.contains(&id))
        }
        RecordType::COMMAND => {
            let number = bytes.get(1..3).map(|c| matches!(c, [0, 1..=32]));
            behind_footer && number.unwrap_or(last)
        }
        _ => false,
    }
}

/// Returns whether the JSON after an EOF byte, a type and a length begins as QEMU begins it.
pub(super) fn begins_description(bytes: &[u8], last: bool) -> bool {
    const LOOK: usize = 70;
    let text = bytes.get(6..bytes.len().min(LOOK)).unwrap_or_default();
    let words = [&b"\"page_size\""[..], b"\"configuration\"", b"\"devices\""];
    let is_text = |c: &&u8| matches!(c, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    match text.first() {
        None => last && bytes.len() < LOOK,
        // one wrong byte is no reason to look further
        Some(b'{') if (text.len() > 8 || last) && text.iter().filter(|c| !is_text(c)).count() <= 1 => true,
        Some(_) => words.iter().any(|w| text.windows(w.len()).any(|t| t == *w)),
    }
}

/// Returns whether what there is of a section header, which the end of the source cuts, looks like one.
fn is_cut_name(bytes: &[u8]) -> bool {
    bytes
        .get(6..)
        .unwrap_or_default()
        .iter()
        .take(usize::from(bytes.get(5).copied().unwrap_or_default()))
        .all(is_name_byte)
}

fn is_name_byte(c: &u8) -> bool {
    c.is_ascii_graphic() || *c == b' '
}

/// Returns whether a section header begins here; `None` if the bytes end before it does.
fn plausible_header(bytes: &[u8], known: &Known<'_>) -> Option<bool> {
    let full = bytes.first() == Some(&RecordType::FULL.0);
    let id = be32(bytes, 1)?;
    let n = usize::from(*bytes.get(5)?);
    let name = bytes.get(6..n.plus(6))?;
    let instance = be32(bytes, n.plus(6))?;
    let version = be32(bytes, n.plus(10))?;
    if let (true, Some(described)) = (full, known.described) {
        return Some(described.describes(name, instance));
    }
    // a name of one letter exists nowhere, and ids are handed out from 0 upwards
    let sound = n >= 2
        && name.iter().all(is_name_byte)
        && name.iter().any(u8::is_ascii_alphabetic)
        && id < 65_536
        && version < 4_096
        && (!full || !known.ids.contains(&id));
    Some(sound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MemorySource;

    fn end(bytes: &[u8], footer: Option<u32>) -> Option<u64> {
        let none = HashSet::new();
        let known = Known { live: &none, ids: &none, footers: false, described: None };
        let s = MemorySource::new(bytes.to_vec());
        payload_end(&s, StreamOffset(0), footer, &known).unwrap().map(|o| o.0)
    }

    #[test]
    fn a_footer_inside_the_payload_is_passed_over() {
        let mut b = b"abc\x7e\0\0\0\x05zzzz\x7e\0\0\0\x05".to_vec();
        b.extend(b"\x04\0\0\0\x06\x05timer\0\0\0\0\0\0\0\x02");
        assert_eq!(end(&b, Some(5)), Some(12));
        assert_eq!(end(&b, Some(6)), None);
    }

    #[test]
    fn without_footers_the_next_header_ends_the_payload() {
        let mut b = vec![0x04; 40];
        b.extend(b"\x04\0\0\0\x06\x05timer\0\0\0\0\0\0\0\x02");
        assert_eq!(end(&b, None), Some(40));
        assert_eq!(end(&[9, 9, 0], None), Some(2), "the end of the records is the last byte of the file");
    }

    /// pc-i440fx and pseries 2.2 and older have neither footers nor a description, and their payloads may contain any
    /// bytes.
    #[test]
    fn a_brace_after_0_and_6_is_not_a_description() {
        let b = b"\0\x06\x40\0\0\0{\x01\x02\x03\x04\0\0\0\x06\x05timer\0\0\0\0\0\0\0\x02";
        assert_eq!(end(b, None), Some(10));
    }

    #[test]
    fn the_window_does_not_hide_what_lies_across_it() {
        let mut b = vec![1; WINDOW - 2];
        b.extend(b"\x7e\0\0\0\x05\0\x06\0\0\0\x0e{\"devices\":[]}");
        assert_eq!(end(&b, Some(5)), Some(WINDOW as u64 - 2));
    }
}
