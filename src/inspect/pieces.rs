//! A range of guest memory in pieces, with those that are missing.

use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};
use crate::paging::AddressSpace;

/// Bytes of one piece.
const PIECE: u64 = 4096;

/// A piece of a range of memory.
#[derive(Debug)]
#[non_exhaustive]
pub struct Piece {
    /// Its address.
    pub at: u64,
    /// Its length.
    pub bytes: u64,
    /// Its guest-physical address, if it has one.
    pub phys: Option<Gpa>,
    /// Its content, or why that is missing.
    pub content: Result<Vec<u8>>,
}

/// Reads `length` bytes of guest-physical memory, or of virtual memory in a space, in pieces of at most a page; a piece that is missing may be
/// larger.
///
/// # Errors
/// `Io`, and those of `each`. What is missing is no error.
pub fn pieces<E: From<Error>>(
    mem: &dyn PhysicalMemory,
    space: Option<&AddressSpace>,
    address: u64,
    length: u64,
    each: &mut dyn FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    let ranges = mem.ranges();
    let mut done = 0_u64;
    // neighbours that are missing are one piece
    let mut missing: Option<Piece> = None;
    while done < length {
        let at = address.wrapping_add(done);
        let left = length.minus(done);
        let (phys, same, fault) = match space.map(|s| s.walk(mem, at)) {
            None => (Some(Gpa(at)), u64::MAX, None),
            Some(w) => match w.outcome {
                Ok(t) => (Some(t.address), t.left, None),
                Err(e) => (None, w.same, Some(e)),
            },
        };
        let here = phys.and_then(|p| ranges.iter().find(|r| r.contains(&p.0)));
        let (bytes, content) = match (phys, fault, here) {
            (_, Some(e), _) => (same, Err(e)),
            (Some(p), None, Some(range)) => {
                let to_page = PIECE.minus(at.checked_rem(PIECE).unwrap_or(0));
                let bytes = to_page.min(left).min(same).min(range.end.minus(p.0));
                let mut buf = vec![0; usize::try_from(bytes).unwrap_or(0)];
                (bytes, mem.read(p, &mut buf).map(|()| buf))
            }
            (p, ..) => {
                let p = p.unwrap_or_default();
                let next = ranges.iter().map(|r| r.start).find(|s| *s > p.0).unwrap_or(u64::MAX);
                let what = format!("the machine has no memory at {p}");
                (same.min(next.minus(p.0)), Err(Error::new(ErrorKind::Missing, what)))
            }
        };
        let bytes = bytes.min(left).max(1);
        if let Err(e) = &content
            && e.kind() == ErrorKind::Io
        {
            return content.map(|_| ()).map_err(E::from);
        }
        done = done.plus(bytes);
        let piece = Piece { at, bytes, phys, content };
        match &mut missing {
            Some(open) if continues(open, &piece) => open.bytes = open.bytes.plus(bytes),
            _ => {
                missing.take().map_or(Ok(()), &mut *each)?;
                match piece.content {
                    Err(_) => missing = Some(piece),
                    Ok(_) => each(piece)?,
                }
            }
        }
    }
    missing.map_or(Ok(()), each)
}

/// Returns whether a piece is missing for the reason for which the one before it is.
fn continues(before: &Piece, piece: &Piece) -> bool {
    let kind = |p: &Piece| p.content.as_ref().err().map(Error::kind);
    let next = before.phys.map(|p| p.plus(before.bytes));
    kind(piece).is_some() && kind(piece) == kind(before) && piece.phys == next
}
