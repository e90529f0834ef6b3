//! Determines a stream's target page size if neither the description nor the configuration gives it.

use super::context::RamContext;
use super::records::RamReader;
use super::{MappedRun, Page, PageAt, PageSink};
use crate::error::Result;
use crate::offset::{StreamOffset, Sure};
use crate::wire::{Cursor, Source};

/// Page sizes of QEMU's targets, the most common first (`target/*/cpu-param.h`).
const CANDIDATES: [u64; 6] = [4096, 1024, 8192, 16384, 65536, 256];

/// How far after the end of one payload the next is searched for.
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
        let mut jumped = false;
        for _ in 0..LOOK {
            match r.record(&mut c, &mut step) {
                Ok(true) => jumped = false,
                Ok(false) if next_part(&mut c, section_id) => jumped = true,
                Ok(false) => break,
                // after the last part, the bytes of a device looked like the header of another part
                Err(_) if jumped => break,
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

/// Moves to the payload of the section's next PART: after the footer, and after the sections of other handlers in
/// between.
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
    c.skip(at.plus(head.len()) as u64).is_ok()
}

struct Steps {
    last: Option<(usize, u64)>,
    smallest: u64,
    pages: u64,
}

impl PageSink for Steps {
    fn page(&mut self, at: PageAt, _: Page<'_>) -> Result<()> {
        self.pages.tally(1);
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

    fn wants(&self, _: PageAt, _: super::Form) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::FileOffset;
    use crate::wire::MemorySource;

    #[test]
    fn device_data_that_looks_like_a_part_is_no_proof_against_a_size() {
        // as in the stream of a lm3s6965evb, with pages of 1 KiB
        let mut b = 0x2004_u64.to_be_bytes().to_vec();
        b.extend(b"\x05flash\0\0\0\0\0\0\x20\0");
        b.extend(0x10_u64.to_be_bytes());
        b.extend(b"\x7e\0\0\0\x02\x02\0\0\0\x02");
        b.extend(0x02_u64.to_be_bytes());
        b.extend(b"\x05flash\0");
        for page in 1..8_u64 {
            b.extend((page << 10 | 0x22).to_be_bytes());
            b.push(0);
        }
        b.extend(0x10_u64.to_be_bytes());
        b.extend(b"\x7e\0\0\0\x02\x04 a device with \x02\0\0\0\x02 and what follows it");
        let source = MemorySource::new(b);
        let ctx = RamContext {
            version: 4,
            target_page: 4096,
            ignore_shared: false,
            mapped_ram: false,
            page_size_mask: None,
            stream_start: FileOffset(0),
        };
        assert_eq!(guess_page_size(&source, StreamOffset(0), 2, &ctx), Some(1024));
    }
}
