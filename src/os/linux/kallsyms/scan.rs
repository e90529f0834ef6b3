//! The table's parts by a search of the kernel's image.
//!
//! The digits are tokens of one character, one after another in the table of tokens. The index after that table gives its start, the
//! markers before it the place of every 256th name, and the names those of all other parts. All of these must agree.
//!
//! The order of the parts is `scripts/kallsyms.c`'s: up to 6.3 offsets, base, number, names, markers, tokens, index; since 6.4 number,
//! names, markers, tokens, index, offsets, base; since 7.0 the same without a base, and in multiples of 4 bytes instead of 8. In 6.2 and 6.3 another table is after the markers.

use std::ops::Range;

use super::super::kernel::Kernel;
use super::table::{MAX_SYMBOLS, Parts, TOKENS, names, read, tokens};
use super::{How, Symbols};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

/// The tokens that are searched for, and the number of the first.
const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0";
const FIRST_DIGIT: usize = 0x30;
/// Bytes that are searched at a time, and in all.
const PIECE: usize = 1 << 20;
const MAX_SEARCH: u64 = 1 << 30;
/// Places that are looked at; the run of digits is in other tables too.
const MAX_HITS: usize = 64;
/// Bytes of all tokens, and of the markers and names before them.
const MAX_TOKENS: usize = 1 << 14;
const MAX_BEFORE: u64 = 24 << 20;
/// Bytes from the markers to the tokens: three for each symbol, in 6.2 and 6.3.
const MAX_BETWEEN: u64 = 3 << 20;
/// Symbols from one marker to the next, and bytes of their names.
const STEP: u64 = 256;
const MAX_STEP: u64 = 256 * 200;
/// Tables whose names are unpacked to see whether they are one.
const MAX_TRIES: usize = 32;

/// Finds the table in the mapped image of a kernel.
///
/// # Errors
/// `Missing` if there is none; `Io`.
pub(super) fn find(kernel: &Kernel<'_>, image: &[Range<u64>]) -> Result<Symbols> {
    let mut tries = MAX_TRIES;
    for hit in hits(kernel, image)? {
        let Some((token_table, token_index)) = token_parts(kernel, hit)? else { continue };
        let words = tokens(kernel, token_table, token_index)?;
        for (markers, count) in markers(kernel, token_table)? {
            let Some((number_at, names_at, number)) = names_of(kernel, (markers, &count), &words, &mut tries)? else {
                continue;
            };
            for parts in orders(kernel, (number_at, names_at, number), (token_table, token_index))? {
                match read(kernel, &parts, How::Search, image) {
                    Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                    Err(_) => {}
                    found => return found,
                }
            }
        }
    }
    let what = "no table of symbols was found in the kernel's image: it was built without CONFIG_KALLSYMS, or the pages are not in the stream";
    Err(Error::new(ErrorKind::Missing, what))
}

/// Reads as much as there is from an address on.
fn some(kernel: &Kernel<'_>, at: u64, most: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    while out.len() < most {
        let here = at.wrapping_add(out.len() as u64);
        let page = usize::try_from(4096_u64.minus(here & 4095)).unwrap_or(1).min(most.minus(out.len()));
        let mut piece = vec![0; page];
        match kernel.read(here, &mut piece) {
            Ok(()) => out.append(&mut piece),
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(_) => break,
        }
    }
    Ok(out)
}

/// Returns the places of the digits.
fn hits(kernel: &Kernel<'_>, image: &[Range<u64>]) -> Result<Vec<u64>> {
    let mut out = Vec::new();
    let mut left = MAX_SEARCH;
    for range in image {
        let mut at = range.start;
        while at < range.end && left > 0 && out.len() < MAX_HITS {
            let n = PIECE.min(usize::try_from(range.end.minus(at)).unwrap_or(PIECE));
            left = left.saturating_sub(n as u64);
            let mut piece = vec![0; n];
            let piece = match kernel.read(at, &mut piece) {
                Ok(()) => piece,
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(_) => some(kernel, at, n)?,
            };
            out.extend(memchr::memmem::find_iter(&piece, DIGITS).map(|n| at.wrapping_add(n as u64)));
            at = at.saturating_add(n as u64);
            // a run may be on both sides of the border
            if at < range.end {
                at = at.minus(DIGITS.len() as u64);
            }
        }
    }
    out.truncate(MAX_HITS);
    Ok(out)
}

/// Returns where the tokens and their index begin, if the digits at `hit` are tokens.
fn token_parts(kernel: &Kernel<'_>, hit: u64) -> Result<Option<(u64, u64)>> {
    let after = some(kernel, hit, MAX_TOKENS)?;
    let mut ends = memchr::memchr_iter(0, &after);
    // the places of the tokens from the first digit on, and the end of the last
    let mut places = vec![0];
    for _ in FIRST_DIGIT..TOKENS {
        let Some(end) = ends.next() else { return Ok(None) };
        places.push(end.plus(1));
    }
    let end = places.pop().unwrap_or(0) as u64;
    for align in [8, 4, 2] {
        let Some(at) = hit.checked_add(end).and_then(|e| e.checked_next_multiple_of(align)) else { continue };
        let index = some(kernel, at, TOKENS.times(2))?;
        let place = |n: usize| kernel.number_in(&index, n.times(2), 2);
        if index.len() < TOKENS.times(2) || place(0) != 0 {
            continue;
        }
        let before = place(FIRST_DIGIT);
        let agrees = places.iter().enumerate().all(|(n, p)| place(FIRST_DIGIT.plus(n)) == before.plus(*p as u64));
        let ascends = (1..TOKENS).all(|n| place(n.minus(1)) < place(n));
        if agrees && ascends {
            return Ok(Some((hit.wrapping_sub(before), at)));
        }
    }
    Ok(None)
}

/// Returns what may be the markers before a table of tokens: their place, and each of them; the nearest comes first.
fn markers(kernel: &Kernel<'_>, token_table: u64) -> Result<Vec<(u64, Vec<u64>)>> {
    let start = token_table.saturating_sub(MAX_BETWEEN) & !7;
    let mut bytes = vec![0; usize::try_from(token_table.minus(start)).unwrap_or(0)];
    let start = readable_tail(kernel, start, &mut bytes)?;
    let word = |n: usize| kernel.number_in(&bytes, n, 4);
    let mut out = Vec::new();
    let mut at = bytes.len() & !3;
    while at >= 4 && out.len() < MAX_HITS {
        at = at.minus(4);
        // the first is 0
        if word(at) != 0 {
            continue;
        }
        let mut found = vec![0];
        let mut next = at.plus(4);
        while let Some(last) = found.last().copied()
            && next.plus(4) <= bytes.len()
            && word(next).checked_sub(last).is_some_and(|n| (STEP..=MAX_STEP).contains(&n))
        {
            found.push(word(next));
            next = next.plus(4);
        }
        // one alone is padding, unless nothing else is before the tokens
        if found.len() > 1 || bytes.len().minus(at) <= 8 {
            out.push((start.wrapping_add(at as u64), found));
        }
    }
    Ok(out)
}

/// Fills a buffer from an address on; when its beginning is not in memory, drops that. Returns the address of what is left.
fn readable_tail(kernel: &Kernel<'_>, start: u64, bytes: &mut Vec<u8>) -> Result<u64> {
    let end = start.wrapping_add(bytes.len() as u64);
    let mut from = bytes.len();
    while from > 0 {
        let here = start.wrapping_add(from as u64).wrapping_sub(1) & !4095;
        let first = usize::try_from(here.saturating_sub(start)).unwrap_or(0);
        let Some(piece) = bytes.get_mut(first..from) else { break };
        match kernel.read(here.max(start), piece) {
            Ok(()) => from = first,
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(_) => break,
        }
    }
    bytes.drain(..from);
    Ok(end.wrapping_sub(bytes.len() as u64))
}

/// Finds the names to which markers belong: returns the place of the number of symbols, that of the names, and the number.
fn names_of(
    kernel: &Kernel<'_>,
    (at, markers): (u64, &[u64]),
    tokens: &[Vec<u8>],
    tries: &mut usize,
) -> Result<Option<(u64, u64, u64)>> {
    let last = markers.last().copied().unwrap_or(0);
    if last > MAX_BEFORE {
        return Ok(None);
    }
    // the names of the last symbols have no marker
    let from = at.saturating_sub(last).saturating_sub(MAX_STEP) & !7;
    let mut bytes = vec![0; usize::try_from(at.saturating_sub(last).saturating_sub(from)).unwrap_or(0)];
    let from = readable_tail(kernel, from, &mut bytes)?;
    let most = markers.len() as u64;
    for n in (4..=bytes.len() & !3).rev().step_by(4) {
        for gap in [8, 4] {
            let Some(number) = n.checked_sub(gap).map(|n| kernel.number_in(&bytes, n, 4)) else { continue };
            if number == 0 || number > MAX_SYMBOLS || number.div_ceil(STEP) != most || *tries == 0 {
                continue;
            }
            let place = from.wrapping_add(n as u64);
            if !marks(kernel, place, markers)? {
                continue;
            }
            *tries = tries.minus(1);
            match names(kernel, place, number, tokens) {
                Ok(_) => return Ok(Some((place.wrapping_sub(gap as u64), place, number))),
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(_) => {}
            }
        }
    }
    Ok(None)
}

/// Returns whether the 256th names begin where the markers say.
fn marks(kernel: &Kernel<'_>, names: u64, markers: &[u64]) -> Result<bool> {
    let last = usize::try_from(markers.last().copied().unwrap_or(0)).unwrap_or(0);
    let bytes = some(kernel, names, last)?;
    if bytes.len() < last {
        return Ok(false);
    }
    let mut at = 0_usize;
    for marker in markers {
        if at as u64 != *marker {
            return Ok(false);
        }
        if at == last {
            break;
        }
        for _ in 0..STEP {
            let len = match bytes.get(at..) {
                Some([low @ 0x80..=0xff, high, ..]) => (usize::from(*low & 0x7f) | usize::from(*high) << 7).plus(2),
                Some([len, ..]) => usize::from(*len).plus(1),
                _ => return Ok(false),
            };
            at = at.plus(len);
        }
    }
    Ok(true)
}

/// Returns the parts in the orders of all versions.
fn orders(
    kernel: &Kernel<'_>,
    (number_at, names, count): (u64, u64, u64),
    (token_table, token_index): (u64, u64),
) -> Result<Vec<Parts>> {
    let size = count.times(4).next_multiple_of(8);
    let base = |at: u64| match kernel.number(at, 8) {
        Ok(n) => Ok(Some(n)),
        Err(e) if e.kind() == ErrorKind::Io => Err(e),
        Err(_) => Ok(None),
    };
    let parts = |offsets: u64, base: Option<u64>| Parts { count, names, token_table, token_index, offsets, base };
    let mut out = Vec::new();
    let before = (number_at & !7).wrapping_sub(8);
    if let Some(b) = base(before)? {
        out.push(parts(before.wrapping_sub(size), Some(b)));
    }
    let after = token_index.wrapping_add(TOKENS.times(2) as u64);
    for after in [after.next_multiple_of(8), after.next_multiple_of(4)] {
        if let Some(b) = base(after.wrapping_add(size))? {
            out.push(parts(after, Some(b)));
        }
        out.push(parts(after, None));
    }
    // the two places are often the same
    out.dedup();
    Ok(out)
}
