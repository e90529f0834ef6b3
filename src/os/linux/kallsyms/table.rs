//! Names and addresses, unpacked from the parts of the table.

use super::super::kernel::Kernel;
use super::{Entry, Form};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

/// Symbols of a kernel; real ones have 60,000 to 250,000.
pub(super) const MAX_SYMBOLS: u64 = 1 << 20;
/// Bytes of packed names of a symbol, and of all of them.
const MAX_NAME: usize = 1 << 10;
pub(super) const MAX_NAMES: usize = 24 << 20;
/// Bytes of all names; real ones have 20 to 30 each.
const MAX_TEXT: usize = 48 << 20;
pub(super) const TOKENS: usize = 256;
/// Bytes of the table of tokens: places in it have 16 bits. Real ones have about 1 KiB.
const MAX_TOKENS: u64 = 64 << 10;
/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// Where the parts of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub count: u64,
    pub names: u64,
    pub token_table: u64,
    pub token_index: u64,
    pub places: Places,
}

/// Where the offsets of symbols are, and what they are relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub offsets: u64,
    /// `None` if offsets are relative to their own place.
    pub base: Option<u64>,
}

impl Places {
    /// Returns the forms that offsets may have.
    pub(super) fn forms(self) -> &'static [Form] {
        match self.base {
            Some(_) => &[Form::AbsolutePerCpu, Form::Relative],
            None => &[Form::PlaceRelative, Form::Relative],
        }
    }

    /// Returns the address of symbol `n`, whose offset is `offset`.
    pub(super) fn address(self, form: Form, n: usize, offset: u32) -> u64 {
        let signed = i64::from(offset.cast_signed()).cast_unsigned();
        let base = self.base.unwrap_or(0);
        match form {
            Form::AbsolutePerCpu if offset.cast_signed() >= 0 => u64::from(offset),
            Form::AbsolutePerCpu => base.wrapping_sub(1).wrapping_sub(signed),
            Form::Relative => base.wrapping_add(u64::from(offset)),
            Form::PlaceRelative => self.offsets.wrapping_add((n as u64).times(4)).wrapping_add(signed),
        }
    }
}

/// Checks the number of symbols.
pub(super) fn check_count(count: u64) -> Result<()> {
    if count == 0 || count > MAX_SYMBOLS {
        let what = format!("expected 1 to {MAX_SYMBOLS} symbols, found {count}");
        return Err(Error::new(ErrorKind::Corrupt, what));
    }
    Ok(())
}

/// Reads the offsets.
pub(super) fn offsets(kernel: &Kernel<'_>, at: u64, count: u64) -> Result<Vec<u32>> {
    let mut bytes = vec![0; usize::try_from(count.times(4)).unwrap_or(0)];
    kernel.read(at, &mut bytes)?;
    let words = bytes.as_chunks::<4>().0.iter();
    Ok(match kernel.is_big_endian() {
        true => words.map(|w| u32::from_be_bytes(*w)).collect(),
        false => words.map(|w| u32::from_le_bytes(*w)).collect(),
    })
}

/// The texts of all tokens.
pub(super) struct Tokens(Vec<String>);

impl Tokens {
    /// Reads the texts of the tokens by their index.
    pub(super) fn read(kernel: &Kernel<'_>, table: u64, index: u64) -> Result<Self> {
        let mut places = [0; TOKENS * 2];
        kernel.read(index, &mut places)?;
        let starts: Vec<u64> = (0..TOKENS).map(|n| kernel.number_in(&places, n.times(2), 2)).collect();
        if starts.first() != Some(&0) || !starts.is_sorted() {
            return Err(Error::new(ErrorKind::Corrupt, "expected an index of tokens that ascends from 0"));
        }
        let last = starts.last().copied().unwrap_or(0);
        let mut bytes = Vec::new();
        // the last token ends with a NUL
        let mut end = last.plus(1);
        while bytes.get(usize::try_from(last).unwrap_or(0)..).is_none_or(|b: &[u8]| !b.contains(&0)) {
            if end > MAX_TOKENS {
                return Err(Error::new(ErrorKind::Corrupt, format!("expected tokens of at most {MAX_TOKENS} bytes")));
            }
            bytes.resize(usize::try_from(end).unwrap_or(0), 0);
            kernel.read(table, &mut bytes)?;
            end = end.saturating_mul(2).clamp(end.plus(16), MAX_TOKENS.plus(16).max(end.plus(16)));
        }
        Ok(Self::new(&bytes, &starts))
    }

    /// Creates the texts from a table of tokens, in which each ends with a NUL.
    pub(super) fn new(table: &[u8], starts: &[u64]) -> Self {
        let token = |from: &u64| {
            let rest = usize::try_from(*from).ok().and_then(|f| table.get(f..)).unwrap_or_default();
            let end = memchr::memchr(0, rest).unwrap_or(rest.len());
            String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned()
        };
        Self(starts.iter().map(token).collect())
    }
}

/// Returns the tokens of the name at the start of `packed`, and how many bytes these and their number have; `None` beyond the end.
pub(super) fn split(packed: &[u8]) -> Option<(&[u8], usize)> {
    let (len, head) = match packed {
        [low @ 0x80..=0xff, high, ..] => (usize::from(*low & 0x7f) | usize::from(*high) << 7, 2),
        [len, ..] => (usize::from(*len), 1),
        [] => return None,
    };
    let whole = head.plus(len);
    Some((packed.get(head..whole)?, whole))
}

/// Names with their types before them.
pub(super) struct Names {
    pub text: String,
    /// Where each name is in the text, and its length.
    pub places: Vec<(u32, u32)>,
}

impl Names {
    /// Reads and unpacks all names.
    pub(super) fn read(kernel: &Kernel<'_>, at: u64, count: u64, tokens: &Tokens) -> Result<Self> {
        let mut packed = Packed { kernel, at, bytes: Vec::new(), next: 0, total: 0, ended: false };
        let room = usize::try_from(count.min(MAX_SYMBOLS)).unwrap_or(0);
        let mut names = Self { text: String::new(), places: Vec::with_capacity(room) };
        for n in 0..count {
            let rest = packed.ahead(MAX_NAME)?;
            let whole = names.add(n, count, rest, tokens)?;
            packed.next.tally(whole);
        }
        Ok(names)
    }

    /// Unpacks all names, which are in memory of our own.
    pub(super) fn unpack(mut packed: &[u8], count: u64, tokens: &Tokens) -> Result<Self> {
        let mut names = Self { text: String::new(), places: Vec::new() };
        for n in 0..count {
            let whole = names.add(n, count, packed, tokens)?;
            packed = packed.get(whole..).unwrap_or_default();
        }
        Ok(names)
    }

    /// Unpacks one name; returns its size.
    fn add(&mut self, n: u64, count: u64, packed: &[u8], tokens: &Tokens) -> Result<usize> {
        let corrupt = |what: String| Error::new(ErrorKind::Corrupt, what);
        if packed.is_empty() {
            return Err(corrupt(format!("expected {count} names, found the end after {n}")));
        }
        let named = split(packed).filter(|(name, _)| !name.is_empty() && name.len() < MAX_NAME.minus(2));
        let (name, whole) = named.ok_or_else(|| corrupt(format!("name {n}: expected 1 to {MAX_NAME} tokens")))?;
        let begun = self.text.len();
        for token in name {
            if let Some(t) = tokens.0.get(usize::from(*token)) {
                self.text.push_str(t);
            }
            // tokens of many bytes make long names of short ones
            if self.text.len() > MAX_TEXT {
                return Err(corrupt(format!("name {n}: expected at most {MAX_TEXT} bytes of names")));
            }
        }
        if self.text.len() == begun {
            return Err(corrupt(format!("name {n}: expected text, found none")));
        }
        let fit = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
        self.places.push((fit(begun), fit(self.text.len().minus(begun))));
        Ok(whole)
    }

    /// Returns the exact name of a symbol, without its type.
    fn exact(&self, (at, len): (u32, u32)) -> &str {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let whole = self.text.get(from..).and_then(|t| t.get(..usize::try_from(len).unwrap_or(0))).unwrap_or_default();
        let mut letters = whole.chars();
        letters.next();
        letters.as_str()
    }

    /// Calls `each` for every symbol whose name has a certain length, with its number.
    pub(super) fn of_lengths<'a>(&'a self, lengths: &[usize], each: &mut dyn FnMut(usize, &'a str)) {
        let longest = lengths.iter().max().copied().unwrap_or(0);
        let mut wanted = vec![false; longest.plus(1)];
        for n in lengths {
            if let Some(w) = wanted.get_mut(*n) {
                *w = true;
            }
        }
        for (n, place) in self.places.iter().enumerate() {
            // the type is one character
            let len = usize::try_from(place.1.saturating_sub(1)).unwrap_or(usize::MAX);
            if wanted.get(len).copied().unwrap_or(false) {
                each(n, self.exact(*place));
            }
        }
    }

    /// Returns the entries of all symbols.
    pub(super) fn entries(&self, places: Places, form: Form, offsets: &[u32]) -> Vec<Entry> {
        let both = self.places.iter().zip(offsets).enumerate();
        both.map(|(n, ((at, len), offset))| Entry {
            address: places.address(form, n, *offset),
            at: *at,
            len: *len,
            exported: false,
        })
        .collect()
    }
}

/// The packed names, read piece by piece.
struct Packed<'k> {
    kernel: &'k Kernel<'k>,
    at: u64,
    bytes: Vec<u8>,
    next: usize,
    total: usize,
    ended: bool,
}

impl Packed<'_> {
    /// Returns at least so many bytes, if there are that many.
    fn ahead(&mut self, wanted: usize) -> Result<&[u8]> {
        while self.bytes.len().minus(self.next) < wanted && !self.ended {
            self.bytes.drain(..self.next);
            self.next = 0;
            let to_border = PIECE.minus(usize::try_from(self.at).unwrap_or(0) & (PIECE - 1));
            let (piece, whole) = self.kernel.read_some(self.at, to_border)?;
            // the table may end with the last page
            if let Some(e) = whole.err().filter(|_| piece.is_empty() && self.bytes.is_empty()) {
                return Err(e);
            }
            self.total.tally(piece.len());
            self.ended = piece.len() < to_border || self.total > MAX_NAMES;
            self.at = self.at.wrapping_add(piece.len() as u64);
            self.bytes.extend_from_slice(&piece);
        }
        Ok(self.bytes.get(self.next..).unwrap_or_default())
    }
}
