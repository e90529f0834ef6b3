//! The mapped image of a kernel, piece by piece.

use std::ops::Range;

use super::kernel::Kernel;
use crate::error::Result;
use crate::offset::Sure;

/// Bytes that are read at a time, and in all.
const PIECE: usize = 1 << 20;
const MAX_BYTES: u64 = 1 << 29;

/// Calls `each` with the address and the bytes of all pieces that are in memory, until it returns false. A piece begins with the last
/// `overlap` bytes of the one before, for what is on both sides of a border. Pages that are not in memory are left out.
///
/// # Errors
/// `Io`.
pub(super) fn pieces(
    kernel: &Kernel<'_>,
    image: &[Range<u64>],
    overlap: usize,
    each: &mut dyn FnMut(u64, &[u8]) -> bool,
) -> Result<()> {
    let mut left = MAX_BYTES;
    let mut piece = vec![0; PIECE];
    for range in image {
        let mut at = range.start;
        while at < range.end && left > 0 {
            let n = PIECE.min(usize::try_from(range.end.minus(at)).unwrap_or(PIECE));
            let end = at.saturating_add(n as u64);
            left = left.saturating_sub(n as u64);
            let Some(part) = piece.get_mut(..n) else { break };
            if kernel.has(at, part)? {
                if !each(at, part) {
                    return Ok(());
                }
            } else if !there(kernel, at..end, each)? {
                return Ok(());
            }
            at = if end < range.end { end.minus(overlap as u64) } else { end };
        }
    }
    Ok(())
}

/// Calls `each` for what is in memory of a range, of which some pages are not; returns whether to go on.
fn there(kernel: &Kernel<'_>, range: Range<u64>, each: &mut dyn FnMut(u64, &[u8]) -> bool) -> Result<bool> {
    let mut at = range.start;
    while at < range.end {
        let (some, _) = kernel.read_some(at, usize::try_from(range.end.minus(at)).unwrap_or(0))?;
        if !some.is_empty() && !each(at, &some) {
            return Ok(false);
        }
        at = (at.saturating_add(some.len() as u64) & !4095).saturating_add(4096);
    }
    Ok(true)
}
