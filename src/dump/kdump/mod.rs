//! The kdump-compressed format, which crash, makedumpfile, drgn and libkdumpfile read.
//!
//! A file has a header, notes, a bitmap of the pages that it holds, a descriptor for each page, and the pages, each packed by itself.
//! The structures are those of makedumpfile (`IMPLEMENTATION`, "kdump-compressed format"); QEMU writes them in `dump/dump.c`.

mod codec;
mod flattened;
mod header;
mod pack;
mod pages;

pub use codec::Codec;
pub use flattened::Flattened;

use super::bytes::Bytes;
use super::guest::Guest;
use super::write::{Lost, Output, sent};
use crate::error::{Error, ErrorKind, Result};
use crate::machine::{BAR, FIRMWARE, Region};
use crate::memory::GuestMemory;
use crate::offset::{Sure, total};
use header::Sizes;
use pack::{Chunk, Form};
use pages::PageList;

/// Bytes that are gathered before they are written.
const GATHERED: usize = 1 << 20;
/// The longest bitmap that is written: memory up to 32 TiB with pages of 4 KiB.
const MAX_BITMAP: u64 = 1 << 30;

/// How a dump is written.
#[derive(Clone, Copy, Debug)]
pub struct KdumpOptions {
    /// How pages are packed.
    pub codec: Codec,
    /// The size of a block in bytes, a power of two.
    pub block_size: u64,
    /// Threads that pack pages.
    pub threads: usize,
    /// Whether ROMs and the memory of devices above main memory belong to the file, as QEMU has it. `makedumpfile` cannot filter such a
    /// file: it seeks the second bitmap by the end of the guest's own map of memory.
    pub everything: bool,
}

/// Writes a dump; `progress` is called with the bytes of memory that are done.
///
/// # Errors
/// `Unsupported` when memory lies too far apart for the format; those of the output. Memory that cannot be read is in the result.
pub fn write(
    guest: &Guest,
    how: KdumpOptions,
    memory: &GuestMemory,
    out: &mut dyn Output,
    progress: &mut dyn FnMut(u64),
) -> Result<Lost> {
    let regions = if how.everything { &guest.memory } else { up_to_main_memory(&guest.memory) };
    let all = PageList::new(regions, how.block_size);
    // what the stream never sent is memory, but not in the dump
    let mut missing = 0_u64;
    let ranges = regions.iter().flat_map(|r| {
        let ranges = sent(memory, r);
        let there = total(ranges.iter().map(|s| s.end.minus(s.start)));
        missing.tally(r.bytes.minus(there));
        ranges.into_iter().map(|s| r.gpa.plus(s.start).0..r.gpa.plus(s.end).0)
    });
    let pages = PageList::of_ranges(regions, how.block_size, ranges);
    let sizes = Sizes::of(guest, how.block_size, &all, pages.len());
    if sizes.bitmap > MAX_BITMAP {
        let what = format!(
            "memory ends at {:#x}, for which a kdump file needs a bitmap of {} bytes",
            guest.end(),
            sizes.bitmap
        );
        return Err(Error::new(ErrorKind::Unsupported, what).hint("write --format elf instead"));
    }
    out.write_at(0, &header::main(guest, how.codec, &sizes))?;
    out.write_at(how.block_size, &header::sub(guest, &sizes))?;
    for (list, first) in [(&all, sizes.bitmap_at), (&pages, sizes.bitmap_at.plus(sizes.bitmap))] {
        list.bitmap(&mut |at, bytes| out.write_at(first.plus(at), bytes))?;
    }
    let mut body = Body::new(guest, how, &sizes, out);
    // all pages of zeros share one
    body.data(&vec![0; usize::try_from(how.block_size).unwrap_or(0)])?;
    let mut done = 0_u64;
    let mut lost = pack::all(&pages, how, memory, &mut |chunk| {
        body.chunk(&chunk)?;
        done = done.plus((chunk.forms.len() as u64).times(how.block_size));
        progress(done);
        Ok(())
    })?;
    body.finish()?;
    lost.unsent = missing;
    Ok(lost)
}

/// Leaves out what lies above main memory.
fn up_to_main_memory(regions: &[Region]) -> &[Region] {
    let last = regions.iter().rposition(|r| r.why != FIRMWARE && r.why != BAR);
    last.and_then(|n| regions.get(..=n)).unwrap_or(regions)
}

/// Descriptors and pages on their way to the file.
struct Body<'a> {
    out: &'a mut dyn Output,
    codec: Codec,
    block_size: u64,
    descriptors: Bytes,
    descriptors_at: u64,
    zero_at: u64,
    data: Vec<u8>,
    data_at: u64,
}

impl<'a> Body<'a> {
    fn new(guest: &Guest, how: KdumpOptions, sizes: &Sizes, out: &'a mut dyn Output) -> Self {
        Self {
            out,
            codec: how.codec,
            block_size: how.block_size,
            descriptors: Bytes::new(guest.target.order),
            descriptors_at: sizes.descriptors_at,
            zero_at: sizes.data_at,
            data: Vec::new(),
            data_at: sizes.data_at,
        }
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.data.extend_from_slice(bytes);
        if self.data.len() >= GATHERED { self.flush_data() } else { Ok(()) }
    }

    fn flush_data(&mut self) -> Result<()> {
        self.out.write_at(self.data_at, &self.data)?;
        self.data_at = self.data_at.plus(self.data.len() as u64);
        self.data.clear();
        Ok(())
    }

    fn flush_descriptors(&mut self) -> Result<()> {
        self.out.write_at(self.descriptors_at, &self.descriptors.out)?;
        self.descriptors_at = self.descriptors_at.plus(self.descriptors.len());
        self.descriptors.out.clear();
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk) -> Result<()> {
        let mut at = self.data_at.plus(self.data.len() as u64);
        for form in &chunk.forms {
            let (offset, size, flags) = match *form {
                Form::Zero => (self.zero_at, self.block_size, 0),
                Form::Raw => (at, self.block_size, 0),
                Form::Packed(size) => (at, u64::from(size), self.codec.flag()),
            };
            if !matches!(form, Form::Zero) {
                at = at.plus(size);
            }
            self.descriptors.u64(offset);
            self.descriptors.u32(super::bytes::low32(size));
            self.descriptors.u32(flags);
            // flags of the kernel's page structure, which QEMU does not know either
            self.descriptors.u64(0);
        }
        self.data(&chunk.data)?;
        if self.descriptors.out.len() >= GATHERED { self.flush_descriptors() } else { Ok(()) }
    }

    fn finish(mut self) -> Result<()> {
        self.flush_descriptors()?;
        self.flush_data()
    }
}
