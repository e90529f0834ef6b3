//! Which target page size a stream has, where neither the description nor the configuration tells.

use super::records::{RamContext, RamReader};
use super::{MappedRun, Page, PageAt, PageSink};
use crate::error::Result;
use crate::offset::StreamOffset;
use crate::wire::{Cursor, Source};

/// Page sizes of QEMU's targets, the most common first (`target/*/cpu-param.h`).
const CANDIDATES: [u64; 6] = [4096, 1024, 8192, 16384, 65536, 256];

/// How far behind the end of one payload the next is looked for.
const NEAR: usize = 64 << 10;

/// Records that are looked at for each candidate.
const LOOK: usize = 512;

/// Reads the first records of a RAM payload with each page size and returns the first that makes sense of them.
///
/// With a wrong size either the flags are not flags or the addresses of neighbouring pages are not one page apart. A
/// payload that ends before any page gives the first size with which its block list adds up.
#[must_use]
pub fn guess_page_size(source: &dyn Source, payload: StreamOffset, section_id: u32, ctx: &RamContext) -> Option<u64> {
    let mut fallback = None;
    for p in CANDIDATES {
        let mut r = RamReader::new(RamContext { target_page: p, ..*ctx }, None);
        let mut c = Cursor::new(source, payload);
        let mut step = Steps { last: None, smallest: u64::MAX, pages: 0 };
        let mut sound = true;
        for _ in 0..LOOK {
            match r.record(&mut c, &mut step, false) {
                Ok(true) => {}
                Ok(false) if next_part(&mut c, section_id) => {}
                Ok(false) => break,
                Err(_) => {
                    sound = false;
                    break;
                }
            }
        }
        if !sound || r.blocks().iter().any(|b| b.len.checked_rem(p) != Some(0)) {
            continue;
        }
        if step.pages < 3 {
            fallback = fallback.or(Some(p));
        } else if step.smallest == p {
            return Some(p);
        }
    }
    fallback
}

/// Goes to the payload of the section's next PART: behind the footer, and behind what other handlers wrote between.
fn next_part(c: &mut Cursor<'_>, section_id: u32) -> bool {
    let mut head = [2, 0, 0, 0, 0];
    if let Some(id) = head.get_mut(1..) {
        id.copy_from_slice(&section_id.to_be_bytes());
    }
    let mut n = NEAR;
    // as many bytes as there are
    while n > head.len() && c.peek(n).is_err() {
        n >>= 1;
    }
    let Some(at) = c.peek(n).ok().and_then(|w| w.windows(head.len()).position(|w| w == head)) else { return false };
    c.skip(at.saturating_add(head.len()) as u64).is_ok()
}

struct Steps {
    last: Option<(usize, u64)>,
    smallest: u64,
    pages: u64,
}

impl PageSink for Steps {
    fn page(&mut self, at: PageAt, _: Page<'_>) -> Result<()> {
        self.pages = self.pages.saturating_add(1);
        if let Some((block, offset)) = self.last
            && block == at.block
        {
            let d = at.offset.0.abs_diff(offset);
            if d > 0 {
                self.smallest = self.smallest.min(d);
            }
        }
        self.last = Some((at.block, at.offset.0));
        Ok(())
    }

    fn mapped(&mut self, _: MappedRun, _: &dyn Source) -> Result<()> {
        Ok(())
    }

    fn wants_data(&self) -> bool {
        false
    }
}
