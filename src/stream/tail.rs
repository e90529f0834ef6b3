//! The end of a stream first: the description, and from it the device sections, without reading what lies before.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::limits::{MAX_HEADER_SEARCH, MAX_LOST_HEADERS, MAX_VMDESC_BYTES, MAX_VMDESC_SEARCH};
use crate::names::RecordType;
use crate::offset::{StreamOffset, StreamRange, Sure};
use crate::schema::{self, DeviceSchema, Schema};
use crate::wire::Source;

/// The description in a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Description {
    /// The record: type, length, JSON.
    pub record: StreamRange,
    /// The bytes of the JSON: those of the record but its head, or more where the record's length is wrong.
    pub text: StreamRange,
    /// Its content.
    pub schema: Schema,
}

/// A description that was found from the end of a source. Whose it is must be proved.
#[non_exhaustive]
pub struct AtTheEnd {
    /// The description.
    pub description: Description,
    /// Whether the source ends with it; otherwise zeros follow.
    pub exact: bool,
}

/// How much of the end is looked at first, and how far zeros at the end are followed.
const FIRST_LOOK: u64 = 256 << 10;
const USUAL_LOOK: u64 = 16 << 20;
/// Candidates that are parsed before the search is given up: a hostile file could hold any number. None of them may make
/// the parsed bytes more than twice [`MAX_VMDESC_BYTES`].
const MAX_TRIES: usize = 64;
/// Type and length.
const RECORD_HEAD: usize = 5;

fn io(e: std::io::Error, at: u64) -> Error {
    Error::io("cannot read the stream", e).at(StreamOffset(at))
}

/// Finds the description: a record after the EOF byte whose length leads to a closing brace, and that parses.
///
/// Only zeros, such as the padding of a block device, may follow it: a description further inside the file may belong
/// to another stream, stored in this one's guest memory. Bytes below `floor` are not searched.
///
/// # Errors
/// `Io` when reading fails.
pub fn find_description(source: &dyn Source, size: u64, floor: u64) -> Result<Option<AtTheEnd>> {
    let size_here = size.minus(floor);
    let mut look = FIRST_LOOK.min(size_here);
    let mut searched = 0;
    let mut tries = 0_usize;
    let mut work = 0_u64;
    loop {
        let from = size.minus(look);
        let mut bytes = vec![0; usize::try_from(look).unwrap_or(usize::MAX)];
        let n = source.read_full(from, &mut bytes).map_err(|e| io(e, from))?;
        bytes.truncate(n);
        let whole = bytes.len();
        let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |i| i.plus(1));
        bytes.truncate(end);
        // candidates that begin in the part that was not looked at before
        let fresh = whole.saturating_sub(usize::try_from(searched).unwrap_or(usize::MAX)).min(bytes.len());
        for i in (0..fresh).rev() {
            if !is_candidate(&bytes, i) {
                continue;
            }
            tries.tally(1);
            work = work.plus(bytes.len().minus(i) as u64);
            if tries > MAX_TRIES || (tries > 1 && work > MAX_VMDESC_BYTES * 2) {
                return Ok(None);
            }
            if let Some(description) = parse_at(&bytes, i, from) {
                return Ok(Some(AtTheEnd { description, exact: size == from.plus(bytes.len() as u64) }));
            }
        }
        let limit = match bytes.last() {
            Some(b'}') => MAX_VMDESC_SEARCH,
            Some(_) => return Ok(None),
            None => USUAL_LOOK,
        };
        if from <= floor || look >= limit {
            return Ok(None);
        }
        searched = look;
        look = look.times(4).min(size_here).min(limit);
    }
}

/// Returns whether an EOF byte, a description record and its JSON seem to begin at `i`.
fn is_candidate(bytes: &[u8], i: usize) -> bool {
    bytes.get(i..).and_then(|b| b.get(..2)) == Some(&[RecordType::EOF.0, RecordType::VMDESCRIPTION.0])
        && bytes.get(i.plus(6)) == Some(&b'{')
        && bytes.last() == Some(&b'}')
        && text_at(bytes, i).is_some_and(|r| r.end == bytes.len())
}

fn text_at(bytes: &[u8], i: usize) -> Option<Range<usize>> {
    let len = bytes.get(i.checked_add(2)?..i.checked_add(6)?)?;
    let len = usize::try_from(u32::from_be_bytes(len.try_into().ok()?)).ok()?;
    let start = i.checked_add(6)?;
    let end = start.checked_add(len)?;
    (end <= bytes.len()).then_some(start..end)
}

fn parse_at(bytes: &[u8], i: usize, from: u64) -> Option<Description> {
    let range = text_at(bytes, i)?;
    let record_start = from.plus(i as u64).plus(1);
    let record = StreamRange::with_len(record_start, range.len().plus(RECORD_HEAD) as u64);
    let text = StreamRange::with_len(record_start.plus(RECORD_HEAD as u64), range.len() as u64);
    let schema = schema::read(bytes.get(range)?).ok()?;
    Some(Description { record, text, schema })
}

/// Reads the description whose record begins at `at`; `work` counts the bytes that are parsed. Returns `None` if it
/// is not a description, or ends before its length.
///
/// # Errors
/// `Io` when reading fails.
pub(super) fn read_at(source: &dyn Source, at: StreamOffset, work: &mut u64) -> Result<Option<Description>> {
    let mut head = [0; RECORD_HEAD];
    let n = source.read_full(at.0, &mut head).map_err(|e| io(e, at.0))?;
    let [_, len @ ..] = head;
    let len = u64::from(u32::from_be_bytes(len));
    let start = at.0.plus(RECORD_HEAD as u64);
    if n < RECORD_HEAD || len > MAX_VMDESC_BYTES || !byte_is(source, start.plus(len).minus(1), b'}')? {
        return Ok(None);
    }
    *work = work.plus(len);
    let mut text = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let n = source.read_full(start, &mut text).map_err(|e| io(e, start))?;
    text.truncate(n);
    let record = StreamRange::with_len(at.0, len.plus(RECORD_HEAD as u64));
    let range = StreamRange::with_len(start, len);
    Ok(schema::read(&text).ok().map(|schema| Description { record, text: range, schema }))
}

fn byte_is(source: &dyn Source, at: u64, byte: u8) -> Result<bool> {
    let mut b = [0];
    let n = source.read_full(at, &mut b).map_err(|e| io(e, at))?;
    Ok(n == 1 && b == [byte])
}

/// Device sections that were found from the end of the records.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Where each header begins, the last section first.
    pub(super) starts: Vec<StreamOffset>,
    /// Whether every device was found.
    pub(super) whole: bool,
    /// Whether each was found right before the next, by the sizes of the description.
    pub(super) side_by_side: bool,
}

/// Finds the sections of these devices, which are adjacent to each other and end right before the EOF byte at `eof`;
/// none begins below `floor`.
///
/// Goes backwards: the description gives a section's length, so its header must be that far before its end. If the
/// description has a wrong length, the header is searched for; all of it but two numbers is known. With `patient`, a
/// section whose header is not found is skipped.
///
/// # Errors
/// `Io` when reading fails.
pub(super) fn chain(
    source: &dyn Source,
    eof: StreamOffset,
    devices: &[&DeviceSchema],
    floor: StreamOffset,
    patient: bool,
) -> Result<Chain> {
    let mut out = Chain { starts: Vec::new(), whole: true, side_by_side: true };
    let mut end = eof.0;
    let mut lost = 0_usize;
    for d in devices.iter().rev() {
        let footer = if end < floor.0.plus(5) { None } else { footer_id(source, end)? };
        match section_start(source, end, d, footer, floor.0)? {
            Some((s, by_size)) => {
                out.starts.push(StreamOffset(s));
                out.side_by_side &= by_size;
                end = s;
            }
            None => {
                out.whole = false;
                lost.tally(1);
                if !patient || lost > MAX_LOST_HEADERS {
                    break;
                }
            }
        }
    }
    Ok(out)
}

/// Finds where the section that ends at `end` begins, and whether the size in the description led there.
fn section_start(
    source: &dyn Source,
    end: u64,
    d: &DeviceSchema,
    footer: Option<u32>,
    floor: u64,
) -> Result<Option<(u64, bool)>> {
    // a footer with a wrong mark or a wrong id has the length of a footer
    for (framed, id) in [(footer.is_some(), footer), (true, None), (false, None)] {
        let whole = d.total().saturating_add(header_len(d)).saturating_add(if framed { 5 } else { 0 });
        if let Some(s) = end.checked_sub(whole).filter(|s| *s >= floor)
            && header_matches(source, s, d, id)?
        {
            return Ok(Some((s, true)));
        }
    }
    let mut found = search_header(source, end, d, footer, floor)?;
    if found.is_none() && footer.is_some() {
        found = search_header(source, end, d, None, floor)?;
    }
    Ok(found.map(|s| (s, false)))
}

fn header_len(d: &DeviceSchema) -> u64 {
    (d.idstr.len() as u64).plus(14)
}

/// Returns the section id of the footer that ends at `end`, if one does.
fn footer_id(source: &dyn Source, end: u64) -> Result<Option<u32>> {
    let Some(at) = end.checked_sub(5) else { return Ok(None) };
    let mut b = [0; 5];
    let n = source.read_full(at, &mut b).map_err(|e| io(e, at))?;
    let [mark, id @ ..] = b;
    Ok((n == 5 && mark == RecordType::FOOTER.0).then_some(u32::from_be_bytes(id)))
}

/// Returns whether the bytes are the header of the device's section, with the footer's id if there is one.
fn is_header(bytes: &[u8], d: &DeviceSchema, footer: Option<u32>) -> bool {
    let n = d.idstr.len();
    let Some(head) = bytes.get(..6) else { return false };
    if head.first() != Some(&RecordType::FULL.0) || head.get(5).map(|b| usize::from(*b)) != Some(n) {
        return false;
    }
    let id = head.get(1..5).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    if footer.is_some() && id != footer {
        return false;
    }
    let name_end = n.plus(6);
    bytes.get(6..name_end) == Some(d.idstr.exact().as_bytes())
        && bytes.get(name_end..).and_then(|b| b.get(..4)) == Some(&d.instance_id.to_be_bytes())
}

fn header_matches(source: &dyn Source, at: u64, d: &DeviceSchema, footer: Option<u32>) -> Result<bool> {
    let mut b = vec![0; usize::try_from(header_len(d)).unwrap_or(512)];
    let n = source.read_full(at, &mut b).map_err(|e| io(e, at))?;
    Ok(is_header(b.get(..n).unwrap_or_default(), d, footer))
}

/// Searches a header backwards from where its section ends.
fn search_header(
    source: &dyn Source,
    end: u64,
    d: &DeviceSchema,
    footer: Option<u32>,
    floor: u64,
) -> Result<Option<u64>> {
    const WINDOW: u64 = 64 << 10;
    let lowest = end.saturating_sub(MAX_HEADER_SEARCH).max(floor);
    let mut high = end;
    while high > lowest {
        let low = high.saturating_sub(WINDOW).max(lowest);
        // the header may reach from this window into the one searched before
        let stop = high.plus(header_len(d)).min(end);
        let mut buf = vec![0; usize::try_from(stop.minus(low)).unwrap_or(usize::MAX)];
        let n = source.read_full(low, &mut buf).map_err(|e| io(e, low))?;
        let window = buf.get(..n).unwrap_or_default();
        let starts = usize::try_from(high.minus(low)).unwrap_or(usize::MAX);
        for i in (0..starts.min(n)).rev() {
            if window.get(i..).is_some_and(|w| is_header(w, d, footer)) {
                return Ok(Some(low.plus(i as u64)));
            }
        }
        high = low;
    }
    Ok(None)
}
