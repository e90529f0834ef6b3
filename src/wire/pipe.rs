//! A pipe as a source.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use super::Source;
use super::positioned::positioned_read;
use crate::error::cause_in_words;
use crate::limits::{MAX_PIPE_BYTES, MAX_PIPE_MEMORY};
use crate::offset::Sure;

/// A pipe: read once, forwards; bytes that were not released can be read again.
///
/// Kept are the bytes between the released offset and the furthest byte requested, at most [`MAX_PIPE_BYTES`]. Up to
/// [`MAX_PIPE_MEMORY`] of them are in memory, the rest in an unnamed temporary file.
pub struct PipeSource {
    state: Mutex<Pipe>,
}

struct Pipe {
    input: Box<dyn Read + Send>,
    /// Pieces of [`CHUNK`] bytes in order; only the last may be shorter. The first begins at `start`.
    chunks: VecDeque<Chunk>,
    start: u64,
    /// One past the last byte that was read from the pipe.
    end: u64,
    ended: bool,
    /// From here on, bytes were read and not kept.
    drained_from: Option<u64>,
    /// The input's error. It is permanent: if a later read succeeded, its bytes would have the wrong position.
    failed: Option<io::Error>,
    in_memory: u64,
    spilt: Option<File>,
    tmpdir: Option<PathBuf>,
}

/// Whether a chunk is kept, to be read again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Yes,
    No,
}

enum Chunk {
    Memory(Vec<u8>),
    /// Bytes in the temporary file, at their offset in the pipe.
    Spilt(usize),
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Self::Memory(b) => b.len(),
            Self::Spilt(n) => *n,
        }
    }
}

/// Returns a copy of an error.
fn again(e: &io::Error) -> io::Error {
    e.raw_os_error().map_or_else(|| io::Error::new(e.kind(), e.to_string()), io::Error::from_raw_os_error)
}

/// The capacity of a pipe.
const CHUNK: usize = 64 << 10;

impl PipeSource {
    /// Wraps a reader that cannot seek.
    #[must_use]
    pub fn new(input: Box<dyn Read + Send>) -> Self {
        Self {
            state: Mutex::new(Pipe {
                input,
                chunks: VecDeque::new(),
                start: 0,
                end: 0,
                ended: false,
                drained_from: None,
                failed: None,
                in_memory: 0,
                spilt: None,
                tmpdir: None,
            }),
        }
    }

    /// Sets the directory for a temporary file, if one is needed.
    #[must_use]
    pub fn with_tmpdir(self, dir: Option<PathBuf>) -> Self {
        self.lock().tmpdir = dir;
        self
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pipe> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Pipe {
    /// Reads one more chunk and keeps it; `false` at the end of the pipe.
    fn pull(&mut self) -> io::Result<bool> {
        self.pull_and(Keep::Yes)
    }

    fn pull_and(&mut self, keep: Keep) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if let Some(e) = &self.failed {
            return Err(again(e));
        }
        if keep == Keep::Yes && self.end.minus(self.start) >= MAX_PIPE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                "the pipe holds more device state than may be kept; save the stream to a file and run the command on that",
            ));
        }
        let mut chunk = vec![0; CHUNK];
        let mut n = 0;
        while let Some(rest) = chunk.get_mut(n..).filter(|r| !r.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(k) => n = n.plus(k),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.failed = Some(e);
                    break;
                }
            }
        }
        chunk.truncate(n);
        if keep == Keep::No {
            self.drained_from.get_or_insert(self.end);
        } else if n > 0 {
            let chunk = self.put(chunk)?;
            self.chunks.push_back(chunk);
        }
        self.end = self.end.plus(n as u64);
        match &self.failed {
            Some(e) if n == 0 => Err(again(e)),
            _ => Ok(n > 0),
        }
    }

    /// Keeps a chunk that begins at `end`.
    fn put(&mut self, bytes: Vec<u8>) -> io::Result<Chunk> {
        if self.in_memory < MAX_PIPE_MEMORY {
            self.in_memory = self.in_memory.plus(bytes.len() as u64);
            return Ok(Chunk::Memory(bytes));
        }
        let file = match &mut self.spilt {
            Some(f) => f,
            none => none.insert(match &self.tmpdir {
                Some(d) => tempfile::tempfile_in(d)?,
                None => tempfile::tempfile()?,
            }),
        };
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(&bytes)?;
        Ok(Chunk::Spilt(bytes.len()))
    }
}

impl Source for PipeSource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut p = self.lock();
        while offset >= p.end {
            if !p.pull()? {
                return Ok(0);
            }
        }
        if offset < p.start || p.drained_from.is_some_and(|d| offset >= d && offset < p.end) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "these bytes were already discarded from the pipe; save the stream to a file and run the command on that",
            ));
        }
        let skip = usize::try_from(offset.minus(p.start)).unwrap_or(usize::MAX);
        let (index, skip) = (skip.checked_div(CHUNK).unwrap_or(0), skip.checked_rem(CHUNK).unwrap_or(0));
        match p.chunks.get(index) {
            Some(Chunk::Memory(c)) => {
                let rest = c.get(skip..).unwrap_or_default();
                let n = rest.len().min(buf.len());
                if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
                    to.copy_from_slice(from);
                }
                Ok(n)
            }
            Some(Chunk::Spilt(len)) => {
                let n = len.minus(skip).min(buf.len());
                match (&p.spilt, buf.get_mut(..n)) {
                    (Some(f), Some(to)) => positioned_read(f, to, offset),
                    _ => Ok(0),
                }
            }
            None => Ok(0),
        }
    }

    fn size(&self) -> Option<u64> {
        let p = self.lock();
        p.ended.then_some(p.end)
    }

    fn release(&self, offset: u64) {
        let mut p = self.lock();
        while let Some(first) = p.chunks.front() {
            let end = p.start.plus(first.len() as u64);
            if end > offset {
                break;
            }
            p.start = end;
            if let Some(Chunk::Memory(gone)) = p.chunks.pop_front() {
                p.in_memory = p.in_memory.minus(gone.len() as u64);
            }
        }
        // the disk space is freed once none of it is needed
        if p.spilt.is_some() && p.chunks.iter().all(|c| matches!(c, Chunk::Memory(_))) {
            p.spilt = None;
        }
    }

    fn drain(&self, from: u64) -> io::Result<u64> {
        loop {
            let mut p = self.lock();
            let keep = if p.end < from { Keep::Yes } else { Keep::No };
            if !p.pull_and(keep)? {
                return Ok(p.end);
            }
        }
    }

    fn is_transient(&self) -> bool {
        true
    }

    fn first_kept(&self) -> u64 {
        self.lock().start
    }

    fn trouble(&self) -> Option<String> {
        self.lock().failed.as_ref().map(|e| format!("cannot read the stream: {}", cause_in_words(e)))
    }

    fn exhaust(&self) -> io::Result<u64> {
        let mut p = self.lock();
        while p.pull()? {}
        Ok(p.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gives_what_was_not_released_again() {
        let bytes: Vec<u8> = (0..CHUNK * 3 + 5).map(|i| (i % 251) as u8).collect();
        let p = PipeSource::new(Box::new(io::Cursor::new(bytes.clone())));
        let mut b = [0; 4];
        assert_eq!(p.read_at(CHUNK as u64 * 2, &mut b).unwrap(), 4);
        assert_eq!(b[..], bytes[CHUNK * 2..CHUNK * 2 + 4]);
        assert_eq!(p.read_at(3, &mut b).unwrap(), 4);
        assert_eq!(b[..], bytes[3..7]);
        assert_eq!(p.size(), None);
        p.release(CHUNK as u64 + 1);
        assert!(p.read_at(3, &mut b).is_err());
        assert_eq!(p.read_at(CHUNK as u64, &mut b).unwrap(), 4);
        assert_eq!(p.exhaust().unwrap(), bytes.len() as u64);
        assert_eq!(p.size(), Some(bytes.len() as u64));
        assert_eq!(p.read_at(bytes.len() as u64, &mut b).unwrap(), 0);
    }

    #[test]
    fn what_is_too_much_for_memory_goes_to_a_file() {
        let whole = MAX_PIPE_MEMORY + 3 * CHUNK as u64 + 7;
        let dir = std::env::temp_dir();
        let input = (0_u64..).flat_map(u64::to_le_bytes);
        struct Numbers<I>(I);
        impl<I: Iterator<Item = u8>> Read for Numbers<I> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let n = buf.len();
                buf.iter_mut().zip(&mut self.0).for_each(|(b, n)| *b = n);
                Ok(n)
            }
        }
        let p = PipeSource::new(Box::new(Numbers(input).take(whole))).with_tmpdir(Some(dir));
        assert_eq!(p.exhaust().unwrap(), whole);
        let number = |at: u64| {
            let mut b = [0; 8];
            assert_eq!(p.read_full(at, &mut b).unwrap(), 8);
            u64::from_le_bytes(b)
        };
        for at in [0, 8, MAX_PIPE_MEMORY - 8, MAX_PIPE_MEMORY, MAX_PIPE_MEMORY + CHUNK as u64, whole - 15] {
            assert_eq!(number(at / 8 * 8), at / 8);
        }
        assert!(p.lock().spilt.is_some());
        p.release(whole - 7);
        assert!(p.lock().spilt.is_some(), "the last piece is still there");
        p.release(whole);
        assert!(p.lock().spilt.is_none());
    }

    #[test]
    fn a_pipe_that_fails_once_gives_the_bytes_before_and_then_fails() {
        struct Once(u8);
        impl Read for Once {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => {
                        buf[..3].fill(7);
                        Ok(3)
                    }
                    2 => Err(io::Error::from_raw_os_error(5)),
                    _ => Ok(0),
                }
            }
        }
        let p = PipeSource::new(Box::new(Once(0)));
        let mut b = [0; 8];
        assert_eq!((p.read_at(0, &mut b).unwrap(), p.size()), (3, None));
        for _ in 0..2 {
            assert_eq!(p.read_at(3, &mut b).unwrap_err().raw_os_error(), Some(5));
            assert!(p.exhaust().is_err() && p.size().is_none() && p.trouble().is_some());
        }
    }

    #[test]
    fn a_drained_pipe_keeps_what_it_had() {
        let bytes: Vec<u8> = (0..CHUNK * 5).map(|i| (i % 251) as u8).collect();
        let p = PipeSource::new(Box::new(io::Cursor::new(bytes.clone())));
        let mut b = [0; 4];
        p.read_at(CHUNK as u64 + 9, &mut b).unwrap();
        assert_eq!(p.drain(CHUNK as u64 + 13).unwrap(), bytes.len() as u64);
        assert_eq!((p.read_at(CHUNK as u64 + 9, &mut b).unwrap(), &b[..]), (4, &bytes[CHUNK + 9..CHUNK + 13]));
        assert!(p.read_at(CHUNK as u64 * 3, &mut b).is_err());
        assert_eq!(p.read_at(bytes.len() as u64, &mut b).unwrap(), 0);
    }

    #[test]
    fn a_drained_pipe_keeps_nothing_more() {
        let p = PipeSource::new(Box::new(io::repeat(1).take(MAX_PIPE_MEMORY * 2)));
        assert_eq!(p.drain(0).unwrap(), MAX_PIPE_MEMORY * 2);
        assert!(p.lock().spilt.is_none() && p.lock().in_memory == 0);
    }

    #[test]
    fn a_read_across_chunks_is_filled() {
        let bytes: Vec<u8> = (0..CHUNK * 2).map(|i| (i % 253) as u8).collect();
        let p = PipeSource::new(Box::new(io::Cursor::new(bytes.clone())));
        let mut b = vec![0; 100];
        assert_eq!(p.read_full(CHUNK as u64 - 50, &mut b).unwrap(), 100);
        assert_eq!(b[..], bytes[CHUNK - 50..CHUNK + 50]);
    }
}
