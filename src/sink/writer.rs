//! The thread that writes.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::copy::{self, CopyFault};
use super::image_file::{Handles, ImageFile};
use super::image_files::cannot_write;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::{FileOffset, StreamOffset, Sure};
use crate::ram::{Page, Replay};
use crate::wire::{read_sparse_at, write_all_at};

/// Something to do to an output, in the order in which it is sent.
pub(super) enum Op {
    /// Write bytes.
    Write { output: usize, at: u64, data: Vec<u8> },
    /// Make a range zero that holds something else.
    Zero { output: usize, at: u64, bytes: u64 },
    /// Apply a difference to a page.
    Xbzrle { output: usize, at: u64, page: usize, data: Vec<u8> },
    /// Write a page that zlib packed.
    Compressed { output: usize, at: u64, page: usize, data: Vec<u8> },
    /// Copy from a file, whose stream begins at `base`, inside the kernel.
    Copy { output: usize, at: u64, from: Arc<File>, base: u64, from_at: u64, bytes: u64 },
}

/// Buffers on the way to the thread at a time; with a run each, this and two in use bound the memory.
const QUEUE: usize = 16;
/// Bad pages that are told apart.
const MAX_BAD: usize = 100;

/// A page that could not be decoded.
pub(super) struct BadPage {
    pub(super) output: usize,
    pub(super) at: u64,
    pub(super) why: String,
}

/// What the thread leaves.
#[derive(Default)]
pub(super) struct Done {
    pub(super) bad: Vec<BadPage>,
    pub(super) bad_count: u64,
}

/// Carries operations out: in a thread of its own, or at once where no thread can be started.
pub(super) enum Writer {
    /// The near end of the thread.
    Thread { queue: Option<SyncSender<Op>>, spare: Receiver<Vec<u8>>, thread: Option<JoinHandle<Result<Done>>> },
    /// No thread can be started.
    Here(Box<Work>),
}

impl Writer {
    /// Starts a thread that owns the outputs.
    pub(super) fn start(outputs: Vec<ImageFile>) -> Self {
        let (queue, ops) = sync_channel(QUEUE);
        let (give_back, spare) = channel();
        // a thread that cannot be started must not take the outputs with it
        let outputs = Arc::new(Mutex::new(Some(outputs)));
        let theirs = Arc::clone(&outputs);
        let thread = std::thread::Builder::new()
            .name("write".to_owned())
            .spawn(move || Work::new(take(&theirs)).until_end(&ops, &give_back));
        match thread {
            Ok(thread) => Self::Thread { queue: Some(queue), spare, thread: Some(thread) },
            Err(_) => Self::Here(Box::new(Work::new(take(&outputs)))),
        }
    }

    /// Returns an empty buffer, reusing an old one if possible.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let Self::Thread { spare, .. } = self else { return Vec::new() };
        let mut b = spare.try_recv().unwrap_or_default();
        b.clear();
        b
    }

    /// Sends an operation; waits if the thread is too slow.
    pub(super) fn send(&mut self, op: Op) -> Result<()> {
        let sent = match self {
            Self::Here(work) => return work.apply(op).map(|_| ()),
            Self::Thread { queue, .. } => queue.as_ref().is_some_and(|q| q.send(op).is_ok()),
        };
        if sent {
            return Ok(());
        }
        // the thread has stopped, and knows why
        match self.finish() {
            Err(e) => Err(e),
            Ok(_) => Err(Error::new(ErrorKind::Io, "the writing thread has stopped")),
        }
    }

    /// Waits until all is written.
    pub(super) fn finish(&mut self) -> Result<Done> {
        match self {
            Self::Here(work) => Ok(std::mem::take(&mut work.done)),
            Self::Thread { queue, thread, .. } => {
                *queue = None;
                match thread.take().map(JoinHandle::join) {
                    Some(Ok(r)) => r,
                    Some(Err(_)) => Err(Error::new(ErrorKind::Io, "the writing thread has failed")),
                    None => Ok(Done::default()),
                }
            }
        }
    }
}

fn take(outputs: &Mutex<Option<Vec<ImageFile>>>) -> Vec<ImageFile> {
    outputs.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// The outputs, and what is needed to write them.
pub(super) struct Work {
    outputs: Handles,
    replay: Replay,
    done: Done,
}

impl Work {
    fn new(outputs: Vec<ImageFile>) -> Self {
        Self { outputs: Handles::new(outputs), replay: Replay::default(), done: Done::default() }
    }

    fn until_end(mut self, ops: &Receiver<Op>, give_back: &Sender<Vec<u8>>) -> Result<Done> {
        for op in ops {
            if let Some(used) = self.apply(op)? {
                let _ = give_back.send(used);
            }
        }
        Ok(self.done)
    }

    /// Carries out one operation; returns the buffer that can be used again.
    fn apply(&mut self, op: Op) -> Result<Option<Vec<u8>>> {
        let (output, at) = match &op {
            Op::Write { output, at, .. }
            | Op::Zero { output, at, .. }
            | Op::Xbzrle { output, at, .. }
            | Op::Compressed { output, at, .. }
            | Op::Copy { output, at, .. } => (*output, *at),
        };
        let failed = |e: io::Error| cannot_write(format!("cannot write the memory image at {at:#x}"), e);
        let Some(file) = self.outputs.get(output).map_err(failed)? else { return Ok(None) };
        let page = match op {
            Op::Write { data, .. } => {
                write_all_at(file, &data, at).map_err(failed)?;
                return Ok(Some(data));
            }
            Op::Zero { bytes, .. } => {
                copy::zero(file, at, bytes).map_err(failed)?;
                return Ok(None);
            }
            Op::Copy { from, base, from_at, bytes, .. } => {
                copy::copy_range(&from, from_at, file, at, bytes).map_err(|fault| not_copied(fault, base, at))?;
                return Ok(None);
            }
            Op::Xbzrle { page, data, .. } => {
                let mut content = vec![0; page];
                read_sparse_at(file, &mut content, at).map_err(failed)?;
                self.replay.apply(Page::Xbzrle(&data), &mut content).map(|()| content)
            }
            Op::Compressed { page, data, .. } => {
                let mut content = vec![0; page];
                self.replay.apply(Page::Compressed(&data), &mut content).map(|()| content)
            }
        };
        match page {
            Ok(content) => write_all_at(file, &content, at).map_err(failed)?,
            Err(why) => self.done.add(BadPage { output, at, why }),
        }
        Ok(None)
    }
}

impl Done {
    fn add(&mut self, page: BadPage) {
        self.bad_count.tally(1);
        if self.bad.len() < MAX_BAD {
            self.bad.push(page);
        }
    }
}

/// Returns the error for a range that could not be copied: the input's faults with their place there.
fn not_copied(fault: CopyFault, base: u64, at: u64) -> Error {
    let input = |e: Error, at: u64| e.at(StreamOffset(at.minus(base))).at_file(FileOffset(at));
    match fault {
        CopyFault::Write(e) => cannot_write(format!("cannot write the memory image at {at:#x}"), e),
        CopyFault::Read(e, at) => input(Error::io("cannot read the stream", e), at),
        CopyFault::End(at) => {
            let what =
                "expected pages of a mapped-ram file, found the end of the file: it became shorter while it was read";
            input(Error::new(ErrorKind::Truncated, what), at)
        }
    }
}
