//! Finds the header in guest memory.

use super::header::{Header, PAGE, Width};
use super::kernel::{Debugger, Kernel, readable};
use crate::dump::Processor;
use crate::error::Result;
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};

/// The head of an ELF note, and the name `VMCOREINFO` with its padding.
const HEAD: usize = 24;
const NAME: &[u8; 12] = b"VMCOREINFO\0\0";

/// Sizes of notes that hold a header: of 32 and of 64 bits.
pub const NOTE_SIZES: [u32; 2] = [4120, 8216];

/// Pages that are searched: 16 TiB of guest memory.
const MAX_PAGES: u64 = 1 << 32;

/// Headers that are examined; a real guest has one.
const MAX_CANDIDATES: usize = 64;

/// Finds the header: where the guest registered it (`registered`: address and size of the note), or else by a search for such a note. What is
/// found by a search counts only if the kernel's debugger data is where it says.
///
/// # Errors
/// `Io`; a page that is not in the stream is no error.
pub fn find(
    mem: &dyn PhysicalMemory,
    registered: Option<(Gpa, u32)>,
    first: Option<&Processor<'_>>,
) -> Result<Option<Header>> {
    if let Some((at, size)) = registered.filter(|(_, size)| NOTE_SIZES.contains(size))
        && let Some(header) = note_at(mem, at, true)?
        && header.layout().bytes.plus(HEAD) as u64 == u64::from(size)
    {
        return Ok(Some(header));
    }
    let (mut pages, mut candidates) = (0_u64, 0_usize);
    for range in mem.ranges() {
        let mut at = range.start.checked_next_multiple_of(PAGE).unwrap_or(range.end);
        while at < range.end && pages < MAX_PAGES && candidates < MAX_CANDIDATES {
            let here = Gpa(at);
            at = at.saturating_add(PAGE);
            pages = pages.saturating_add(1);
            let Some(header) = note_at(mem, here, false)? else { continue };
            candidates = candidates.saturating_add(1);
            if Debugger::find(&Kernel::new(mem, &header, first), &header)?.is_some() {
                return Ok(Some(header));
            }
        }
    }
    Ok(None)
}

/// Reads a note that holds a header; `None` if it is none, or is not in the stream as a whole.
fn note_at(mem: &dyn PhysicalMemory, at: Gpa, registered: bool) -> Result<Option<Header>> {
    let mut head = [0; HEAD + 8];
    if !readable(mem.read(at, &mut head))? || head.get(12..HEAD) != Some(NAME) {
        return Ok(None);
    }
    let Some(width) = head.get(HEAD..).and_then(Width::of) else { return Ok(None) };
    let len = u32::try_from(width.header_bytes()).unwrap_or(u32::MAX);
    let sizes = [11_u32.to_le_bytes(), len.to_le_bytes()].concat();
    if !head.starts_with(&sizes) {
        return Ok(None);
    }
    let mut bytes = vec![0; width.header_bytes()];
    let start = at.plus(HEAD as u64);
    if !readable(mem.read(start, &mut bytes))? {
        return Ok(None);
    }
    Ok(Header::new(bytes, start, registered))
}
