//! The mapped image of a kernel, piece by piece.

use std::ops::Range;

use super::kernel::Kernel;
use crate::error::Result;
use crate::offset::Sure;

/// Bytes that are read at a time, and in all.
const PIECE: usize = 1 << 20;
const MAX_BYTES: u64 = 1 << 28;

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
            } else if !there(kernel, at, part, each)? {
                return Ok(());
            }
            at = if end < range.end { end.minus(overlap as u64) } else { end };
        }
    }
    Ok(())
}

/// Calls `each` for what is in memory of a piece, of which some pages are not; returns whether to go on.
fn there(kernel: &Kernel<'_>, at: u64, piece: &mut [u8], each: &mut dyn FnMut(u64, &[u8]) -> bool) -> Result<bool> {
    // where the pages that follow each other begin
    let (mut run, mut done) = (0_usize, 0_usize);
    while done < piece.len() {
        let here = at.wrapping_add(done as u64);
        let page = usize::try_from(4096_u64.minus(here & 4095)).unwrap_or(1).min(piece.len().minus(done));
        let next = done.plus(page);
        if !kernel.has(here, piece.get_mut(done..next).unwrap_or_default())? {
            if run < done && !each(at.wrapping_add(run as u64), piece.get(run..done).unwrap_or_default()) {
                return Ok(false);
            }
            run = next;
        }
        done = next;
    }
    Ok(run == done || each(at.wrapping_add(run as u64), piece.get(run..done).unwrap_or_default()))
}
