//! The thread that writes.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use super::copy;
use crate::error::{Error, ErrorKind, Result};
use crate::ram::{apply_xbzrle, inflate};

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
    /// Copy from a file inside the kernel.
    Copy { output: usize, at: u64, from: Arc<File>, from_at: u64, bytes: u64 },
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

/// The near end of the thread.
pub(super) struct Writer {
    queue: Option<SyncSender<Op>>,
    spare: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Result<Done>>>,
}

impl Writer {
    /// Starts a thread that owns the outputs.
    pub(super) fn start(outputs: Vec<File>) -> Self {
        let (queue, ops) = sync_channel(QUEUE);
        let (give_back, spare) = channel();
        let thread = std::thread::spawn(move || work(&outputs, &ops, &give_back));
        Self { queue: Some(queue), spare, thread: Some(thread) }
    }

    /// Returns an empty buffer, a used one where there is one.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let mut b = self.spare.try_recv().unwrap_or_default();
        b.clear();
        b
    }

    /// Hands something over; waits while the thread is behind.
    pub(super) fn send(&mut self, op: Op) -> Result<()> {
        let sent = self.queue.as_ref().is_some_and(|q| q.send(op).is_ok());
        if sent {
            return Ok(());
        }
        // the thread has stopped, and knows why
        match self.finish() {
            Err(e) => Err(e),
            Ok(_) => Err(Error::new(ErrorKind::Io, "the writing thread has stopped")),
        }
    }

    /// Waits for the thread to write what it was given.
    pub(super) fn finish(&mut self) -> Result<Done> {
        self.queue = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(r)) => r,
            Some(Err(_)) => Err(Error::new(ErrorKind::Io, "the writing thread has failed")),
            None => Ok(Done::default()),
        }
    }
}

fn work(outputs: &[File], ops: &Receiver<Op>, give_back: &Sender<Vec<u8>>) -> Result<Done> {
    let mut done = Done::default();
    let mut zlib = flate2::Decompress::new(true);
    for op in ops {
        let (output, at) = match &op {
            Op::Write { output, at, .. }
            | Op::Zero { output, at, .. }
            | Op::Xbzrle { output, at, .. }
            | Op::Compressed { output, at, .. }
            | Op::Copy { output, at, .. } => (*output, *at),
        };
        let Some(file) = outputs.get(output) else { continue };
        let failed = |e: io::Error| Error::io(format!("cannot write the memory image at {at:#x}"), e);
        let result = match op {
            Op::Write { data, .. } => {
                copy::write_all_at(file, &data, at).map_err(failed)?;
                let _ = give_back.send(data);
                continue;
            }
            Op::Zero { bytes, .. } => {
                copy::zero(file, at, bytes).map_err(failed)?;
                continue;
            }
            Op::Copy { from, from_at, bytes, .. } => {
                copy::copy_range(&from, from_at, file, at, bytes).map_err(failed)?;
                continue;
            }
            Op::Xbzrle { page, data, .. } => {
                let mut content = vec![0; page];
                copy::read_exact_at(file, &mut content, at).map_err(failed)?;
                apply_xbzrle(&data, &mut content).map(|()| content)
            }
            Op::Compressed { page, data, .. } => inflate(&mut zlib, &data, page),
        };
        match result {
            Ok(content) => copy::write_all_at(file, &content, at).map_err(failed)?,
            Err(why) => {
                done.bad_count = done.bad_count.saturating_add(1);
                if done.bad.len() < MAX_BAD {
                    done.bad.push(BadPage { output, at, why });
                }
            }
        }
    }
    Ok(done)
}
