//! Names and addresses, unpacked from the parts of the table.

use std::ops::Range;

use super::super::kernel::Kernel;
use super::{Entry, Form, How, Symbols};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

/// Symbols of a kernel; real ones have 60,000 to 250,000.
pub(super) const MAX_SYMBOLS: u64 = 4 << 20;
/// Bytes of packed names of a symbol, and of all of them.
const MAX_NAME: usize = 1 << 10;
const MAX_NAMES: usize = 64 << 20;
/// Bytes of all names; C++-like Rust symbols have some 100 each.
const MAX_TEXT: usize = 256 << 20;
pub(super) const TOKENS: usize = 256;
/// Bytes of the table of tokens that are read; real ones have about 1 KiB.
const MAX_TOKENS: u64 = 64 << 10;
/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;
/// Symbols whose addresses VMCOREINFO gives, by which the form of addresses is recognised.
const KNOWN: [&str; 5] = ["_stext", "init_uts_ns", "swapper_pg_dir", "prb", "node_online_map"];
/// The start of the text at `linux_banner`.
const BANNER: &[u8] = b"Linux version ";

/// Where the parts of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub count: u64,
    pub names: u64,
    pub token_table: u64,
    pub token_index: u64,
    pub offsets: u64,
    /// What offsets are relative to; `None` if that is their own place.
    pub base: Option<u64>,
}

/// Reads a table, and finds the form of its addresses: that in which symbols have the addresses that VMCOREINFO gives, or, without it,
/// in which the kernel's banner is where its symbol says, in the mapped image.
pub(super) fn read(kernel: &Kernel<'_>, parts: &Parts, how: How, image: &[Range<u64>]) -> Result<Symbols> {
    if parts.count == 0 || parts.count > MAX_SYMBOLS {
        let what = format!("expected 1 to {MAX_SYMBOLS} symbols, found {}", parts.count);
        return Err(Error::new(ErrorKind::Corrupt, what));
    }
    let tokens = tokens(kernel, parts.token_table, parts.token_index)?;
    let (text, names) = names(kernel, parts.names, parts.count, &tokens)?;
    let mut offsets = vec![0; usize::try_from(parts.count.times(4)).unwrap_or(0)];
    kernel.read(parts.offsets, &mut offsets)?;
    let address = |form: Form, n: usize| {
        let v = u32::try_from(kernel.number_in(&offsets, n.times(4), 4)).unwrap_or(0);
        let signed = i64::from(v.cast_signed()).cast_unsigned();
        let base = parts.base.unwrap_or(0);
        match form {
            Form::AbsolutePerCpu if v.cast_signed() >= 0 => u64::from(v),
            Form::AbsolutePerCpu => base.wrapping_sub(1).wrapping_sub(signed),
            Form::Relative => base.wrapping_add(u64::from(v)),
            Form::PlaceRelative => parts.offsets.wrapping_add((n as u64).times(4)).wrapping_add(signed),
        }
    };
    let exact = |(at, len): (u32, u32)| {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        text.get(from..).and_then(|t| t.get(1..usize::try_from(len).unwrap_or(0))).unwrap_or_default()
    };
    let forms: &[Form] = if parts.base.is_some() {
        &[Form::AbsolutePerCpu, Form::Relative]
    } else {
        &[Form::PlaceRelative, Form::Relative]
    };
    let place = |name: &str| names.iter().position(|n| exact(*n) == name);
    let told = |name: &str| kernel.info().and_then(|i| i.symbol(name));
    let known: Vec<(usize, u64)> =
        KNOWN.iter().filter_map(|n| Some((*n, told(n)?))).filter_map(|(n, t)| Some((place(n)?, t))).collect();
    let (form, hits) = if known.is_empty() {
        let banner = place("linux_banner");
        let is = |form: &Form| match banner {
            Some(n) => shows_banner(kernel, address(*form, n)),
            // without variables there is still the order of the table, and the start of the code
            None => Ok(place("_stext").is_some_and(|n| in_image(image, address(*form, n)))
                && ascends(names.len(), &|n| address(*form, n))),
        };
        let mut found = None;
        for form in forms {
            if found.is_none() && is(form)? {
                found = Some(*form);
            }
        }
        let what = "the kernel's banner is not where its symbol says";
        (found.ok_or_else(|| Error::new(ErrorKind::Corrupt, what))?, 1)
    } else {
        let score = |form: &Form| known.iter().filter(|(n, told)| address(*form, *n) == *told).count();
        let best = forms.iter().copied().map(|f| (f, score(&f))).max_by_key(|(_, n)| *n);
        best.filter(|(_, n)| *n > 0).ok_or_else(|| {
            let what = format!("none of {} symbols has the address that VMCOREINFO gives", known.len());
            Error::new(ErrorKind::Corrupt, what)
        })?
    };
    let entries = names.iter().enumerate();
    let entries =
        entries.map(|(n, (at, len))| Entry { address: address(form, n), at: *at, len: *len, exported: false });
    Ok(Symbols::new(text, entries.collect(), (form, hits, how)))
}

fn shows_banner(kernel: &Kernel<'_>, at: u64) -> Result<bool> {
    let mut text = [0; BANNER.len()];
    match kernel.read(at, &mut text) {
        Ok(()) => Ok(text == *BANNER),
        Err(e) if e.kind() == ErrorKind::Io => Err(e),
        Err(_) => Ok(false),
    }
}

fn in_image(image: &[Range<u64>], address: u64) -> bool {
    image.iter().any(|r| r.contains(&address))
}

fn ascends(count: usize, address: &dyn Fn(usize) -> u64) -> bool {
    (1..count).all(|n| address(n.minus(1)) <= address(n))
}

/// Reads the text of the tokens.
pub(super) fn tokens(kernel: &Kernel<'_>, table: u64, index: u64) -> Result<Vec<Vec<u8>>> {
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
        end = end.plus(16);
    }
    let token = |from: u64| {
        let rest = usize::try_from(from).ok().and_then(|f| bytes.get(f..)).unwrap_or_default();
        rest.split(|b| *b == 0).next().unwrap_or_default().to_vec()
    };
    Ok(starts.into_iter().map(token).collect())
}

/// Where a name is in the text, with its length.
type Place = (u32, u32);

/// The packed names, read page by page.
struct Packed<'k> {
    kernel: &'k Kernel<'k>,
    at: u64,
    bytes: Vec<u8>,
    next: usize,
    total: usize,
}

impl Packed<'_> {
    /// Returns at least so many bytes, if there are that many.
    fn ahead(&mut self, wanted: usize) -> Result<&[u8]> {
        while self.bytes.len().minus(self.next) < wanted && self.total < MAX_NAMES {
            if self.next > PIECE {
                self.bytes.drain(..self.next);
                self.next = 0;
            }
            let page = 4096_u64.minus(self.at & 4095);
            let mut piece = vec![0; usize::try_from(page).unwrap_or(0)];
            match self.kernel.read(self.at, &mut piece) {
                Ok(()) => {}
                // the table may end with the last page
                Err(e) if e.kind() == ErrorKind::Missing && self.bytes.len() > self.next => break,
                Err(e) => return Err(e),
            }
            self.at = self
                .at
                .checked_add(page)
                .ok_or_else(|| Error::new(ErrorKind::Corrupt, "names at the end of memory"))?;
            self.total.tally(piece.len());
            self.bytes.append(&mut piece);
        }
        Ok(self.bytes.get(self.next..).unwrap_or_default())
    }
}

/// Reads and unpacks all names; each begins with the symbol's type.
pub(super) fn names(kernel: &Kernel<'_>, at: u64, count: u64, tokens: &[Vec<u8>]) -> Result<(String, Vec<Place>)> {
    let corrupt = |what: String| Error::new(ErrorKind::Corrupt, what);
    let mut packed = Packed { kernel, at, bytes: Vec::new(), next: 0, total: 0 };
    let mut text = String::new();
    let mut out = Vec::new();
    for n in 0..count {
        let rest = packed.ahead(MAX_NAME)?;
        let (len, head) = match rest {
            [low @ 0x80..=0xff, high, ..] => (usize::from(*low & 0x7f) | usize::from(*high) << 7, 2),
            [len, ..] => (usize::from(*len), 1),
            [] => return Err(corrupt(format!("expected {count} names, found the end after {n}"))),
        };
        let name = rest.get(head..).and_then(|r| r.get(..len)).filter(|_| len > 0 && len < MAX_NAME.minus(2));
        let name = name.ok_or_else(|| corrupt(format!("name {n}: expected 1 to {MAX_NAME} tokens, found {len}")))?;
        let begun = text.len();
        for token in name.iter().filter_map(|t| tokens.get(usize::from(*t))) {
            text.push_str(&String::from_utf8_lossy(token));
        }
        if text.len() > MAX_TEXT || text.len() == begun {
            return Err(corrupt(format!("name {n}: expected 1 to {MAX_TEXT} bytes of names")));
        }
        let fit = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
        out.push((fit(begun), fit(text.len().minus(begun))));
        packed.next.tally(head.plus(len));
    }
    Ok((text, out))
}
