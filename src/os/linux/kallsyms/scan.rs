//! The table's parts by a search of the kernel's image.
//!
//! The digits are tokens of one character, one after another in the table of tokens. The index after that table gives its start, the
//! markers before it the place of every 256th name, and the names those of all other parts. All of these must agree.
//!
//! The order of the parts is that of `scripts/kallsyms.c`:
//!
//! | kernels | order |
//! |---|---|
//! | up to 6.1 | offsets, base, number, names, markers, tokens, index |
//! | 6.2, 6.3 | offsets, base, number, names, markers, order by name, tokens, index |
//! | 6.4 and later | number, names, markers, tokens, index, offsets, base |
//! | 7.0 and later | number, names, markers, tokens, index, offsets; in multiples of 4 bytes instead of 8 |

use std::ops::Range;

use super::super::kernel::Kernel;
use super::super::pieces::pieces;
use super::before::Before;
use super::proof::Prover;
use super::table::{MAX_NAMES, MAX_SYMBOLS, Names, Places, TOKENS, Tokens, split};
use super::{How, Symbols};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

/// The tokens that are searched for, and the number of the first.
const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0";
const FIRST_DIGIT: usize = 0x30;
/// Places that are looked at; the run of digits is in other tables too.
const MAX_HITS: usize = 64;
/// Bytes of all tokens.
const MAX_TOKENS: usize = 1 << 14;
/// Symbols from one marker to the next, and the bytes of their names: two each at least.
const STEP: usize = 256;
const STEP_BYTES: std::ops::RangeInclusive<u32> = 512..=256 * 514;
/// Bytes from the start of the markers to the tokens: 4 for 256 symbols, and in 6.2 and 6.3 three for each symbol.
const MAX_BETWEEN: usize = 4 << 20;
/// Markers whose names are looked for, for all places of the digits together, and names that are counted for that.
const MAX_MARKERS: usize = 256;
const MAX_COUNTED: usize = 8 << 20;

/// Finds the table in the mapped image of a kernel.
///
/// # Errors
/// `Missing` if there is none; `Corrupt` if there is one that cannot be proved; `Io`.
pub(super) fn find(kernel: &Kernel<'_>, image: &[Range<u64>], prover: &Prover<'_>) -> Result<Symbols> {
    let mut left = Left { markers: MAX_MARKERS, counted: MAX_COUNTED };
    let mut unproved = None;
    for hit in hits(kernel, image)? {
        let Some((table, index, tokens)) = token_parts(kernel, hit)? else { continue };
        let mut before = Before::new(kernel, table);
        let Some(found) = names_before(&mut before, &mut left)? else { continue };
        let Some(packed) = before.from(found.names) else { continue };
        for places in orders(kernel, before.address(found.number), found.count, index)? {
            let symbols = Names::unpack(packed, found.count as u64, &tokens)
                .and_then(|names| prover.symbols(names, places, How::Search));
            match symbols {
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(e) if e.kind() == ErrorKind::Corrupt => unproved = Some(e),
                Err(_) => {}
                proved => return proved,
            }
        }
    }
    Err(unproved.unwrap_or_else(|| {
        let what = "no table of symbols was found in the kernel's image: it was built without CONFIG_KALLSYMS, or the pages are not in the stream";
        Error::new(ErrorKind::Missing, what)
    }))
}

/// How much work is left.
struct Left {
    markers: usize,
    counted: usize,
}

/// Returns the places of the digits.
fn hits(kernel: &Kernel<'_>, image: &[Range<u64>]) -> Result<Vec<u64>> {
    let mut out = Vec::new();
    pieces(kernel, image, DIGITS.len(), &mut |at, piece| {
        let found = memchr::memmem::find_iter(piece, DIGITS).map(|n| at.wrapping_add(n as u64));
        out.extend(found.take(MAX_HITS.saturating_sub(out.len())));
        out.len() < MAX_HITS
    })?;
    out.dedup();
    Ok(out)
}

/// Returns where the tokens and their index begin, and the tokens, if the digits at `hit` are such.
fn token_parts(kernel: &Kernel<'_>, hit: u64) -> Result<Option<(u64, u64, Tokens)>> {
    let (after, _) = kernel.read_some(hit, MAX_TOKENS)?;
    let mut ends = memchr::memchr_iter(0, &after);
    let Some(last) = ends.nth(TOKENS.minus(FIRST_DIGIT).minus(1)) else { return Ok(None) };
    let end = hit.wrapping_add(last as u64).wrapping_add(1);
    for align in [8, 4, 2] {
        let Some(at) = end.checked_next_multiple_of(align) else { continue };
        let mut index = [0; TOKENS * 2];
        if !kernel.has(at, &mut index)? {
            continue;
        }
        let starts: Vec<u64> = (0..TOKENS).map(|n| kernel.number_in(&index, n.times(2), 2)).collect();
        let before = starts.get(FIRST_DIGIT).copied().unwrap_or(0);
        let Some(table) = hit.checked_sub(before) else { continue };
        let mut bytes = vec![0; usize::try_from(end.minus(table)).unwrap_or(0)];
        if starts.first() != Some(&0) || bytes.len() > MAX_TOKENS.times(2) || !kernel.has(table, &mut bytes)? {
            continue;
        }
        // each token begins after the NUL of the one before it
        let begin = std::iter::once(0).chain(memchr::memchr_iter(0, &bytes).map(|n| (n as u64).plus(1)));
        let whole = begin.clone().count() == TOKENS.plus(1);
        if whole && begin.zip(&starts).all(|(a, b)| a == *b) {
            return Ok(Some((table, at, Tokens::new(&bytes, &starts))));
        }
    }
    Ok(None)
}

/// Where names are, in bytes before the tokens.
struct Found {
    /// The number of symbols.
    number: usize,
    names: usize,
    count: usize,
}

/// Finds the names before a table of tokens: they end where the markers begin, and every 256th is where its marker says.
fn names_before(before: &mut Before<'_>, left: &mut Left) -> Result<Option<Found>> {
    before.reach(MAX_BETWEEN >> 4)?;
    let mut back = 4;
    while back <= MAX_BETWEEN && left.markers > 0 {
        before.reach(back)?;
        let Some(word) = before.word(back) else { break };
        if word == 0 {
            for markers in may_be_markers(before, back) {
                left.markers = left.markers.saturating_sub(1);
                if let Some(found) = names_of(before, back, &markers, left)? {
                    return Ok(Some(found));
                }
            }
        }
        back = back.plus(4);
    }
    Ok(None)
}

/// Returns the markers that may begin at a place: as many as leave no space before the tokens, or that for the order by name.
fn may_be_markers(before: &Before<'_>, back: usize) -> Vec<Vec<u32>> {
    let mut out = Vec::new();
    // with an order by name, a marker is for 4 + 3 * 256 bytes
    let with_order = back.div_ceil(STEP.times(3).plus(4));
    let mut counts = vec![back >> 2, (back >> 2).saturating_sub(1), with_order, with_order.saturating_sub(1)];
    counts.dedup();
    for count in counts {
        let after = back.checked_sub(count.times(4));
        let symbols = (count.saturating_sub(1).times(STEP).times(3), count.times(STEP).times(3));
        // the order by name begins and ends at a multiple of 8
        let fits = after.is_some_and(|n| n < 8 || (n > symbols.0 && n < symbols.1.plus(16)));
        if count == 0 || count.times(STEP) > usize::try_from(MAX_SYMBOLS).unwrap_or(0).plus(STEP) || !fits {
            continue;
        }
        let mut markers: Vec<u32> = Vec::new();
        while let Some(word) = before.word(back.minus(markers.len().times(4))) {
            let step = markers.last().map(|last| word.checked_sub(*last));
            if markers.len() == count || step.is_some_and(|s| s.is_none_or(|s| !STEP_BYTES.contains(&s))) {
                break;
            }
            markers.push(word);
        }
        if markers.len() == count {
            out.push(markers);
        }
    }
    out
}

/// Finds the names to which markers belong.
fn names_of(before: &mut Before<'_>, markers_at: usize, markers: &[u32], left: &mut Left) -> Result<Option<Found>> {
    let last = usize::try_from(markers.last().copied().unwrap_or(0)).unwrap_or(usize::MAX);
    if last > MAX_NAMES {
        return Ok(None);
    }
    // the last names, 1 to 256, are after the last marker
    let least = markers_at.plus(last).plus(2);
    let most = least.plus(usize::try_from(*STEP_BYTES.end()).unwrap_or(0)).plus(8);
    before.reach(least.plus(8))?;
    let mut names = least;
    while names <= most && left.counted > 0 {
        if names > before.len() {
            before.reach(most)?;
        }
        if before.address(names) & 3 == 0 {
            for gap in [8, 4] {
                let Some(count) = before.word(names.plus(gap)).and_then(|n| usize::try_from(n).ok()) else { continue };
                let whole = count > 0 && count.div_ceil(STEP) == markers.len();
                if whole && agrees(before, (names, markers_at), count, markers, left) {
                    return Ok(Some(Found { number: names.plus(gap), names, count }));
                }
            }
        }
        names = names.plus(1);
    }
    Ok(None)
}

/// Returns whether every 256th name begins where its marker says, and the last ends where the markers begin.
fn agrees(before: &Before<'_>, (names, end): (usize, usize), count: usize, markers: &[u32], left: &mut Left) -> bool {
    let Some(packed) = before.from(names).and_then(|b| b.get(..names.minus(end))) else { return false };
    let mut at = 0_usize;
    for n in 0..count {
        if n.is_multiple_of(STEP) && markers.get(n.checked_div(STEP).unwrap_or(0)).map(|m| *m as usize) != Some(at) {
            return false;
        }
        left.counted = left.counted.saturating_sub(1);
        let name = packed.get(at..).and_then(split).filter(|(name, _)| !name.is_empty());
        let Some((_, whole)) = name.filter(|_| left.counted > 0) else { return false };
        at = at.plus(whole);
    }
    packed.len().minus(at) < 8
}

/// Returns where offsets and their base are in the orders of all versions.
fn orders(kernel: &Kernel<'_>, number: u64, count: usize, token_index: u64) -> Result<Vec<Places>> {
    let word = kernel.word();
    let align = |n: u64, to: u64| n.checked_next_multiple_of(to).unwrap_or(n);
    let size = (count as u64).times(4);
    let mut out = Vec::new();
    let before = number.wrapping_sub(word);
    if let Some(b) = kernel.pointer(before)? {
        out.push(Places { offsets: before.wrapping_sub(align(size, word)), base: Some(b) });
    }
    let after = token_index.wrapping_add(TOKENS.times(2) as u64);
    for offsets in [align(after, 8), align(after, 4)] {
        for step in [word, 4] {
            if let Some(b) = kernel.pointer(align(offsets.wrapping_add(size), step))? {
                out.push(Places { offsets, base: Some(b) });
            }
        }
        out.push(Places { offsets, base: None });
    }
    // some of these are often the same
    let mut distinct: Vec<Places> = Vec::new();
    for p in out {
        if !distinct.contains(&p) {
            distinct.push(p);
        }
    }
    Ok(distinct)
}
