//! Packing pages, in threads.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::KdumpOptions;
use super::codec::Packer;
use super::pages::PageList;
use crate::dump::write::{Lost, PIECE, RangeReader};
use crate::error::Result;
use crate::memory::GuestMemory;
use crate::offset::Sure;

/// Chunks of a thread that wait to be written.
const QUEUE: usize = 4;
const MAX_THREADS: usize = 64;

/// How a page is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// All zeros.
    Zero,
    /// As it is.
    Raw,
    /// Packed, with its size.
    Packed(u32),
}

/// Pages that follow each other, packed.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) forms: Vec<Form>,
    pub(super) data: Vec<u8>,
    lost: Lost,
}

/// Packs all pages and hands them over in their order.
pub(super) fn all(
    pages: &PageList<'_>,
    how: KdumpOptions,
    memory: &GuestMemory,
    f: &mut dyn FnMut(Chunk) -> Result<()>,
) -> Result<Lost> {
    let per_chunk = PIECE.checked_div(how.block_size).unwrap_or(1).max(1);
    let chunks = pages.len().div_ceil(per_chunk);
    let threads = how.threads.clamp(1, MAX_THREADS);
    let mut lost = Lost::default();
    std::thread::scope(|scope| {
        let mut workers: Vec<Option<Receiver<Chunk>>> = Vec::new();
        for first in (0_u64..).take(threads) {
            let (give, take) = sync_channel(QUEUE);
            let work =
                move || worker(pages, how, memory, Numbers { first, step: threads as u64, chunks, per_chunk }, &give);
            let started = std::thread::Builder::new().name("pack".to_owned()).spawn_scoped(scope, work);
            // where no thread can be started, its chunks are packed here
            workers.push(started.is_ok().then_some(take));
        }
        let mut here = None;
        for n in 0..chunks {
            let turn = usize::try_from(n.checked_rem(threads as u64).unwrap_or(0)).unwrap_or(0);
            let packed = match workers.get(turn).and_then(Option::as_ref) {
                Some(worker) => worker.recv().ok(),
                None => None,
            };
            let mut chunk = packed.unwrap_or_else(|| {
                let own = here.get_or_insert_with(|| Own::new(how, memory));
                own.chunk(pages, n, per_chunk)
            });
            lost.add(std::mem::take(&mut chunk.lost));
            f(chunk)?;
        }
        Ok(lost)
    })
}

/// The chunks of a thread.
#[derive(Clone, Copy)]
struct Numbers {
    first: u64,
    step: u64,
    chunks: u64,
    per_chunk: u64,
}

fn worker(pages: &PageList<'_>, how: KdumpOptions, memory: &GuestMemory, n: Numbers, give: &SyncSender<Chunk>) {
    let mut own = Own::new(how, memory);
    let mut number = n.first;
    while number < n.chunks {
        // nobody waits for more after an error
        if give.send(own.chunk(pages, number, n.per_chunk)).is_err() {
            return;
        }
        number = number.plus(n.step);
    }
}

/// What a thread needs.
struct Own<'m> {
    reader: RangeReader<'m>,
    packer: Packer,
    page: Vec<u8>,
}

impl<'m> Own<'m> {
    fn new(how: KdumpOptions, memory: &'m GuestMemory) -> Self {
        let page = vec![0; usize::try_from(how.block_size).unwrap_or(0)];
        Self { reader: RangeReader::new(memory), packer: Packer::new(how.codec), page }
    }

    fn chunk(&mut self, pages: &PageList<'_>, number: u64, per_chunk: u64) -> Chunk {
        let mut out = Chunk::default();
        let first = number.times(per_chunk);
        for n in first..first.plus(per_chunk).min(pages.len()) {
            let Some(address) = pages.address(n) else { break };
            let form = if self.read(pages, address) {
                match self.packer.pack(&self.page, &mut out.data) {
                    Some(size) => Form::Packed(size),
                    None => {
                        out.data.extend_from_slice(&self.page);
                        Form::Raw
                    }
                }
            } else {
                Form::Zero
            };
            out.forms.push(form);
        }
        out.lost = std::mem::take(&mut self.reader.lost);
        out
    }

    /// Reads a page, which may have memory of several regions or of none in parts. Returns whether anything in it is not zero.
    fn read(&mut self, pages: &PageList<'_>, address: u64) -> bool {
        let end = address.plus(pages.block);
        let from = pages.regions.partition_point(|r| r.end().0 <= address);
        let here = pages.regions.get(from..).unwrap_or_default().iter().take_while(|r| r.gpa.0 < end);
        let mut any = false;
        let mut filled = false;
        for r in here {
            let start = r.gpa.0.max(address);
            let stop = r.end().0.min(end);
            // the regions of a hostile machine may overlap, and end before the page
            let Some(len) = stop.checked_sub(start) else { continue };
            let whole = start == address && stop == end;
            if !whole && !filled {
                self.page.fill(0);
                filled = true;
            }
            let at = usize::try_from(start.minus(address)).unwrap_or(usize::MAX);
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if let Some(place) = self.page.get_mut(at..).and_then(|p| p.get_mut(..len)) {
                any |= self.reader.read(r, start.minus(r.gpa.0), place);
            }
        }
        any
    }
}
