//! The sink that makes images.

use std::fs::File;
use std::sync::Arc;

use super::image_file::ImageFile;
use super::plan::Plan;
use super::writer::{Op, Writer};
use crate::budget::Budget;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::{RamOffset, Sure, pieces};
use crate::ram::{BlockList, MappedRun, Page, PageAt, PageSet, PageSink, is_zero, unreadable};
use crate::text::Name;
use crate::wire::Source;

/// Bytes that are gathered before they are written.
const RUN: usize = 256 << 10;
/// Runs of a mapped-ram file from this length on are copied inside the kernel.
const KERNEL_COPY: u64 = 64 << 10;

/// Decides, when the blocks are known, where they go, and opens the outputs.
pub type Planner<'p> = Box<dyn FnMut(&BlockList<'_>) -> Result<(Plan, Vec<ImageFile>)> + 'p>;

/// Writes the pages of a stream into images.
pub struct PageImages<'p> {
    planner: Planner<'p>,
    plan: Plan,
    blocks: Vec<Progress>,
    target_page: u64,
    run: Run,
    writer: Option<Writer>,
    copy_from: Option<Arc<File>>,
    /// The first error; nothing is written after it.
    failed: Option<Error>,
    budget: Budget,
}

/// Bytes on their way to one place.
#[derive(Default)]
struct Run {
    output: usize,
    at: u64,
    data: Vec<u8>,
}

struct Progress {
    name: Name,
    len: u64,
    /// Pages received at least once and not discarded since.
    seen: PageSet,
    /// Pages whose place holds something else than zeros.
    written: PageSet,
    mapped: bool,
    absent: bool,
}

/// The outcome for a block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockReport {
    /// Its name.
    pub name: Name,
    /// Its length.
    pub len: u64,
    /// Bytes of it that the stream never said anything about; they are zero in the image.
    pub never_sent: u64,
    /// Whether the stream left it out on purpose (`x-ignore-shared`): it has no image.
    pub absent: bool,
}

/// The outcome for all blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageReport {
    /// Every block of the stream.
    pub blocks: Vec<BlockReport>,
    /// Pages that could not be decoded: output, offset, reason; and how many more there are.
    pub bad_pages: Vec<(usize, u64, String)>,
    /// Their number.
    pub bad_count: u64,
}

impl<'p> PageImages<'p> {
    /// Creates a sink that asks `planner` once the blocks are known.
    #[must_use]
    pub fn new(planner: Planner<'p>, budget: &Budget) -> Self {
        Self {
            budget: budget.clone(),
            planner,
            plan: Plan::default(),
            blocks: Vec::new(),
            target_page: 4096,
            run: Run::default(),
            writer: None,
            copy_from: None,
            failed: None,
        }
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// What the planner said, or what went wrong with writing: here in full, while the walk of the stream is only told
    /// that there is nowhere to write.
    pub fn finish(&mut self) -> Result<ImageReport> {
        let flushed = self.flush();
        // the writer is waited for after an error too, so that a partial image holds everything before the error
        let done = match &mut self.writer {
            Some(w) => w.finish(),
            None => Ok(super::writer::Done::default()),
        };
        if let Some(e) = self.failed.take() {
            return Err(e);
        }
        flushed?;
        let done = done?;
        let page = self.target_page;
        Ok(ImageReport {
            blocks: self
                .blocks
                .iter()
                .map(|b| BlockReport {
                    name: b.name.clone(),
                    len: b.len,
                    never_sent: if b.mapped { 0 } else { b.len.saturating_sub(b.seen.len().saturating_mul(page)) },
                    absent: b.absent,
                })
                .collect(),
            bad_pages: done.bad.into_iter().map(|b| (b.output, b.at, b.why)).collect(),
            bad_count: done.bad_count,
        })
    }

    /// Keeps the first error for [`PageImages::finish`].
    fn guard(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.failed.is_some() {
            return Err(nowhere());
        }
        work(self).map_err(|e| {
            // errors of the input are reported by the walk
            if matches!(e.kind(), ErrorKind::Truncated | ErrorKind::Corrupt) {
                return e;
            }
            self.failed.get_or_insert(e);
            nowhere()
        })
    }

    fn send(&mut self, op: Op) -> Result<()> {
        let Some(w) = &mut self.writer else { return Ok(()) };
        w.send(op).map_err(|e| {
            // also where it is a fault of the input: the writer has stopped, and the walk must not go on without it
            self.failed = Some(e);
            nowhere()
        })
    }

    fn flush(&mut self) -> Result<()> {
        if self.run.data.is_empty() {
            return Ok(());
        }
        let next = self.writer.as_ref().map(Writer::buffer).unwrap_or_default();
        let run = std::mem::replace(&mut self.run, Run { data: next, ..Run::default() });
        self.send(Op::Write { output: run.output, at: run.at, data: run.data })
    }

    /// Adds bytes to the run, or begins a new one.
    fn put(&mut self, output: usize, at: u64, bytes: &[u8]) -> Result<()> {
        let end = self.run.at.plus(self.run.data.len() as u64);
        let follows = self.run.output == output && end == at && self.run.data.len() < RUN;
        if !follows {
            self.flush()?;
            self.run.output = output;
            self.run.at = at;
            if self.run.data.capacity() < RUN {
                self.run.data.reserve_exact(RUN.minus(self.run.data.len()));
            }
        }
        self.run.data.extend_from_slice(bytes);
        Ok(())
    }

    fn place(&self, block: usize, offset: RamOffset, bytes: u64) -> Vec<(usize, u64, u64, u64)> {
        let mut out = Vec::with_capacity(1);
        self.plan.pieces(block, offset, bytes, &mut |o, at, from, n| out.push((o, at, from, n)));
        out
    }

    /// Writes a page with something in it.
    fn content(&mut self, at: PageAt, data: &[u8]) -> Result<()> {
        for (output, to, from, n) in self.place(at.block, at.offset, data.len() as u64) {
            let (from, n) = (usize::try_from(from).unwrap_or(usize::MAX), usize::try_from(n).unwrap_or(usize::MAX));
            let piece = data.get(from..).and_then(|b| b.get(..n)).unwrap_or_default();
            self.put(output, to, piece)?;
        }
        Ok(())
    }

    /// Makes pages zero that may hold something else.
    fn clear(&mut self, block: usize, offset: RamOffset, bytes: u64) -> Result<()> {
        self.flush()?;
        for (output, at, _, bytes) in self.place(block, offset, bytes) {
            self.send(Op::Zero { output, at, bytes })?;
        }
        Ok(())
    }
}

/// The error given to the walk after writing has failed; the cause is returned by [`PageImages::finish`].
fn nowhere() -> Error {
    Error::new(ErrorKind::Io, "the memory images could not be written")
}

impl PageImages<'_> {
    fn plan(&mut self, list: &BlockList<'_>) -> Result<()> {
        if self.writer.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a second list of RAM blocks (COLO): only the first state is extracted",
            ));
        }
        self.target_page = list.target_page;
        let (plan, files) = (self.planner)(list)?;
        self.plan = plan;
        self.writer = Some(Writer::start(files));
        self.blocks = list
            .blocks
            .iter()
            .map(|b| Progress {
                name: b.name.clone(),
                len: b.len,
                mapped: b.mapped.is_some_and(|m| !m.is_absent()),
                absent: b.mapped.is_some_and(|m| m.is_absent()),
                seen: PageSet::new(&self.budget),
                written: PageSet::new(&self.budget),
            })
            .collect();
        Ok(())
    }

    fn write(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        let Some(b) = self.blocks.get_mut(at.block) else { return Ok(()) };
        let number = at.offset.0.checked_div(self.target_page).unwrap_or_default();
        b.seen.insert(number)?;
        if self.plan.blocks.get(at.block).is_none_or(Vec::is_empty) {
            return Ok(());
        }
        match page {
            Page::Normal(data) if !is_zero(data) => {
                b.written.insert(number)?;
                self.content(at, data)
            }
            Page::Normal(_) | Page::Fill(0) => {
                // a page that is zero again must not keep what it was
                if b.written.remove(number) { self.clear(at.block, at.offset, self.target_page) } else { Ok(()) }
            }
            Page::Fill(byte) => {
                b.written.insert(number)?;
                let data = vec![byte; usize::try_from(self.target_page).unwrap_or(4096)];
                self.content(at, &data)
            }
            Page::Xbzrle(data) => {
                b.written.insert(number)?;
                self.flush()?;
                let page = usize::try_from(self.target_page).unwrap_or(4096);
                for (output, at, ..) in self.place(at.block, at.offset, self.target_page) {
                    self.send(Op::Xbzrle { output, at, page, data: data.to_vec() })?;
                }
                Ok(())
            }
            Page::Compressed(data) => {
                b.written.insert(number)?;
                self.flush()?;
                let page = usize::try_from(self.target_page).unwrap_or(4096);
                for (output, at, ..) in self.place(at.block, at.offset, self.target_page) {
                    self.send(Op::Compressed { output, at, page, data: data.to_vec() })?;
                }
                Ok(())
            }
        }
    }

    fn copy(&mut self, run: MappedRun, source: &dyn Source) -> Result<()> {
        if let (None, Some((file, _))) = (&self.copy_from, source.as_file()) {
            self.copy_from = file.try_clone().ok().map(Arc::new);
        }
        let base = source.as_file().map(|(_, base)| base);
        let mut buf = Vec::new();
        for (output, at, from, bytes) in self.place(run.block, run.offset, run.bytes) {
            let from = run.at.0.plus(from);
            if let (Some(file), Some(base), true) = (&self.copy_from, base, bytes >= KERNEL_COPY) {
                let (file, from_at) = (Arc::clone(file), base.plus(from));
                // bytes that the file does not have are a cut, not zeros
                if source.size().is_some_and(|s| s.saturating_sub(from) < bytes) {
                    return Err(Error::truncated(
                        run.at,
                        "expected the pages of a mapped-ram file, found the end of the file",
                    ));
                }
                self.flush()?;
                self.send(Op::Copy { output, at, from: file, base, from_at, bytes })?;
                continue;
            }
            for (start, n) in pieces(bytes, RUN) {
                buf.resize(n, 0);
                let here = from.plus(start);
                let got = source.read_full(here, &mut buf).map_err(|e| unreadable(e, here))?;
                if got < n {
                    let here = crate::offset::StreamOffset(here.plus(got as u64));
                    return Err(Error::truncated(
                        here,
                        "expected the pages of a mapped-ram file, found the end of the file",
                    ));
                }
                self.put(output, at.plus(start), &buf)?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, block: usize, start: RamOffset, bytes: u64) -> Result<()> {
        let Some(b) = self.blocks.get_mut(block) else { return Ok(()) };
        let page = self.target_page.max(1);
        let first = start.0.checked_div(page).unwrap_or_default();
        let end = start.0.saturating_add(bytes.min(b.len)).min(b.len);
        let last = end.div_ceil(page);
        b.seen.remove_range(first, last);
        // the rest of the range holds zeros already
        if b.written.remove_range(first, last) == 0 {
            return Ok(());
        }
        self.clear(block, start, end.saturating_sub(start.0))
    }
}

impl PageSink for PageImages<'_> {
    fn blocks(&mut self, list: &BlockList<'_>) -> Result<()> {
        self.guard(|s| s.plan(list))
    }

    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        self.guard(|s| s.write(at, page))
    }

    fn mapped(&mut self, run: MappedRun, source: &dyn Source) -> Result<()> {
        self.guard(|s| s.copy(run, source))
    }

    fn discard(&mut self, block: usize, start: RamOffset, bytes: u64) -> Result<()> {
        self.guard(|s| s.forget(block, start, bytes))
    }
}
