//! Writes a planned dump.

use super::plan::WindowsPlan;
use crate::dump::write::{Lost, Output, PIECE, RangeReader};
use crate::error::Result;
use crate::memory::GuestMemory;
use crate::offset::{Gpa, Sure};

/// No patch is longer: they are registers of a processor.
const MAX_PATCH: u64 = 4096;

/// Writes a dump; `progress` is called with the bytes of the file that are done.
///
/// # Errors
/// Those of the output. Memory that cannot be read is in the result.
pub fn write(
    plan: &WindowsPlan,
    memory: &GuestMemory,
    out: &mut dyn Output,
    progress: &mut dyn FnMut(u64),
) -> Result<Lost> {
    out.write_at(0, &plan.head)?;
    let mut reader = RangeReader::new(memory);
    let mut buf = Vec::new();
    for p in &plan.memory {
        let mut done = 0;
        while done < p.region.bytes {
            let n = PIECE.min(p.region.bytes.minus(done));
            buf.resize(usize::try_from(n).unwrap_or(0), 0);
            let any = reader.read(&p.region, done, &mut buf);
            let patched = patch(plan, p.region.gpa.plus(done), &mut buf);
            if any || patched {
                out.write_at(p.at.plus(done), &buf)?;
            }
            done = done.plus(n);
            progress(p.at.plus(done));
        }
    }
    progress(plan.len);
    Ok(reader.lost)
}

/// Replaces what is patched of the memory from `at` on; returns whether anything is.
fn patch(plan: &WindowsPlan, at: Gpa, buf: &mut [u8]) -> bool {
    let end = at.plus(buf.len() as u64);
    let mut any = false;
    for (start, bytes) in plan.patches.range(at.back(MAX_PATCH, Gpa(0))..end) {
        let (skip, to) = (at.0.saturating_sub(start.0), start.0.saturating_sub(at.0));
        let from = usize::try_from(skip).ok().and_then(|n| bytes.get(n..)).unwrap_or_default();
        let place = usize::try_from(to).ok().and_then(|n| buf.get_mut(n..)).unwrap_or_default();
        let n = from.len().min(place.len());
        if let (Some(place), Some(from)) = (place.get_mut(..n), from.get(..n)) {
            place.copy_from_slice(from);
            any |= n > 0;
        }
    }
    any
}
