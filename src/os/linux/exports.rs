//! Symbols that the kernel exports to modules (`include/linux/export.h`): among them are variables that kernels without
//! `CONFIG_KALLSYMS_ALL` have in no other table.
//!
//! An entry has the places of the value, of the name and of a namespace, each relative to its own place. Entries are searched for by
//! the name of a variable that every kernel exports, and proved by the addresses of functions that the table of symbols has too.

use std::ops::Range;

use super::kallsyms::Symbols;
use super::kernel::Kernel;
use crate::error::{ErrorKind, Result};
use crate::offset::Sure;

/// A name that is searched for.
const WANTED: &[u8] = b"\0init_task\0";
/// Bytes that are read at a time, and in all.
const PIECE: usize = 1 << 20;
const MAX_SEARCH: u64 = 1 << 28;
/// Places of the name: types have it too.
const MAX_HITS: usize = 16;
/// Exported symbols; a kernel has 20,000 to 40,000.
const MAX_EXPORTS: usize = 1 << 18;
/// Bytes of a name.
const MAX_NAME: usize = 256;
/// Bytes from one name to another one.
const MAX_DISTANCE: u64 = 16 << 20;
/// Functions whose addresses must agree.
const MIN_AGREE: usize = 8;

/// An exported symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Export {
    pub name: String,
    pub address: u64,
    /// `T` for code, `D` for data.
    pub kind: char,
}

/// Finds the exported symbols in the mapped image of a kernel; none if they cannot be proved.
///
/// # Errors
/// `Io`.
pub(super) fn find(kernel: &Kernel<'_>, image: &[Range<u64>], symbols: &Symbols) -> Result<Vec<Export>> {
    let mut names = Vec::new();
    pieces(kernel, image, &mut |at, piece| {
        names.extend(memchr::memmem::find_iter(piece, WANTED).map(|n| at.wrapping_add(n as u64).wrapping_add(1)));
    })?;
    names.dedup();
    names.truncate(MAX_HITS);
    if names.is_empty() {
        return Ok(Vec::new());
    }
    // entries whose name is one of these
    let mut entries = Vec::new();
    let (low, high) = (names.iter().min().copied().unwrap_or(0), names.iter().max().copied().unwrap_or(0));
    let big = kernel.is_big_endian();
    pieces(kernel, image, &mut |at, piece| {
        let first = usize::try_from(at.wrapping_neg() & 3).unwrap_or(0);
        for (n, word) in piece.get(first..).unwrap_or_default().as_chunks::<4>().0.iter().enumerate() {
            let by = if big { i32::from_be_bytes(*word) } else { i32::from_le_bytes(*word) };
            let here = at.wrapping_add(first as u64).wrapping_add((n as u64).times(4));
            let target = here.wrapping_add_signed(by.into());
            if (low..=high).contains(&target) && names.contains(&target) && entries.len() < MAX_HITS {
                entries.push(here.wrapping_sub(4));
            }
        }
    })?;
    for entry in entries {
        for stride in [12, 8] {
            let mut found = table(kernel, entry, stride)?;
            if proved(&mut found, symbols) {
                return Ok(found.into_iter().map(|(name, address)| export(name, address, symbols)).collect());
            }
        }
    }
    Ok(Vec::new())
}

fn export(name: String, address: u64, symbols: &Symbols) -> Export {
    // code begins at the start of a symbol, which variables of such kernels are not
    let code = symbols.before(address).is_some_and(|s| s.address == address && matches!(s.kind, 't' | 'T' | 'w' | 'W'));
    Export { name, address, kind: if code { 'T' } else { 'D' } }
}

/// Takes away what has another address in the table of symbols; returns whether nearly all that is in both agrees.
fn proved(found: &mut Vec<(String, u64)>, symbols: &Symbols) -> bool {
    let (mut agree, mut differ) = (0_usize, 0_usize);
    found.retain(|(name, address)| {
        let mut known = symbols.named(name).peekable();
        if known.peek().is_none() {
            return true;
        }
        let same = known.any(|s| s.address == *address);
        if same {
            agree.tally(1)
        } else {
            differ.tally(1)
        }
        same
    });
    agree >= MIN_AGREE && differ.times(20) <= agree
}

/// Reads the entries around one.
fn table(kernel: &Kernel<'_>, entry: u64, stride: u64) -> Result<Vec<(String, u64)>> {
    let mut out = Vec::new();
    let Some((first, name_at)) = read(kernel, entry)? else { return Ok(out) };
    out.push(first);
    for forward in [true, false] {
        let mut at = entry;
        while out.len() < MAX_EXPORTS {
            // two tables follow each other, with some padding between them
            let mut next = None;
            for gap in [0, 4, 8] {
                let by = stride.plus(gap);
                let here = if forward { at.wrapping_add(by) } else { at.wrapping_sub(by) };
                if let Some((e, n)) = read(kernel, here)?
                    && n.abs_diff(name_at) < MAX_DISTANCE
                {
                    next = Some((here, e));
                    break;
                }
            }
            let Some((here, e)) = next else { break };
            at = here;
            out.push(e);
        }
    }
    Ok(out)
}

/// Reads an entry: the name and the address, and where the name is; `None` if it is not one.
fn read(kernel: &Kernel<'_>, at: u64) -> Result<Option<((String, u64), u64)>> {
    let mut entry = [0; 8];
    if !present(kernel.read(at, &mut entry))? {
        return Ok(None);
    }
    let by = |n: usize| i64::from(u32::try_from(kernel.number_in(&entry, n, 4)).unwrap_or(0).cast_signed());
    let (address, name_at) = (at.wrapping_add_signed(by(0)), at.wrapping_add(4).wrapping_add_signed(by(4)));
    // a name may be the end of a longer one
    let mut name = Vec::new();
    let page = usize::try_from(4096_u64.minus(name_at & 4095)).unwrap_or(1);
    for len in [page.min(MAX_NAME), MAX_NAME] {
        let mut piece = vec![0; len];
        if present(kernel.read(name_at, &mut piece))? {
            name = piece;
        }
        if name.contains(&0) || page >= MAX_NAME {
            break;
        }
    }
    let Some(end) = name.iter().position(|b| *b == 0).filter(|n| *n > 1) else { return Ok(None) };
    let name = name.get(..end).unwrap_or_default();
    let plain = name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$'));
    let text = String::from_utf8_lossy(name).into_owned();
    Ok(plain.then_some(((text, address), name_at)))
}

/// Calls `each` for all pieces of the image, which overlap a little.
fn pieces(kernel: &Kernel<'_>, image: &[Range<u64>], each: &mut dyn FnMut(u64, &[u8])) -> Result<()> {
    let mut left = MAX_SEARCH;
    let mut piece = vec![0; PIECE];
    for range in image {
        let mut at = range.start;
        while at < range.end && left > 0 {
            let n = PIECE.min(usize::try_from(range.end.minus(at)).unwrap_or(PIECE));
            left = left.saturating_sub(n as u64);
            let Some(part) = piece.get_mut(..n) else { break };
            if present(kernel.read(at, part))? {
                each(at, part);
            }
            at = at.saturating_add(n as u64);
            if at < range.end {
                at = at.minus(WANTED.len() as u64);
            }
        }
    }
    Ok(())
}

fn present(r: Result<()>) -> Result<bool> {
    match r {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::Io => Err(e),
        Err(_) => Ok(false),
    }
}
