//! Where bytes come from: a file, memory, or a pipe.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Mutex;

use crate::limits::MAX_PIPE_BYTES;

/// Bytes at positions. Offsets are those of the stream: 0 is its first byte.
pub trait Source: Send + Sync {
    /// Reads from `offset` into `buf` and returns how many bytes were read; 0 only at the end (or for an empty `buf`).
    ///
    /// # Errors
    /// The system's own, and `Unsupported` for bytes of a pipe that were released.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Returns the number of bytes, or `None` while a pipe's end has not been seen.
    fn size(&self) -> Option<u64>;

    /// Promises not to read below `offset` again.
    fn release(&self, _offset: u64) {}

    /// Tells whether released bytes are gone.
    fn is_transient(&self) -> bool {
        false
    }

    /// Returns the file behind the source, and where in it the source begins, for those who copy inside the kernel.
    fn as_file(&self) -> Option<(&File, u64)> {
        None
    }

    /// Reads a pipe up to its end, keeping what is read, and returns the size.
    ///
    /// # Errors
    /// The system's own, and `OutOfMemory` when the pipe holds more than may be kept.
    fn exhaust(&self) -> io::Result<u64> {
        self.size().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
    }

    /// Fills `buf` from `offset` as far as the source goes and returns the number of bytes.
    ///
    /// # Errors
    /// As [`Source::read_at`].
    fn read_full(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            let n = self.read_at(offset.saturating_add(done as u64), rest)?;
            if n == 0 {
                break;
            }
            done = done.saturating_add(n);
        }
        Ok(done)
    }
}

/// A file, read with positioned reads from a base offset onwards.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    base: u64,
    size: u64,
}

impl FileSource {
    /// Wraps a seekable file whose stream begins `base` bytes in.
    ///
    /// # Errors
    /// The system's own, and `InvalidInput` when the file is shorter than `base`.
    pub fn new(mut file: File, base: u64) -> io::Result<Self> {
        let end = file.seek(SeekFrom::End(0))?;
        let size = end.checked_sub(base).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(Self { file, base, size })
    }
}

impl Source for FileSource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= self.size {
            return Ok(0);
        }
        let at = self.base.saturating_add(offset);
        loop {
            match positioned_read(&self.file, at, buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                r => return r,
            }
        }
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn as_file(&self) -> Option<(&File, u64)> {
        Some((&self.file, self.base))
    }
}

#[cfg(unix)]
fn positioned_read(file: &File, at: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, at)
}

#[cfg(windows)]
fn positioned_read(file: &File, at: u64, buf: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, at)
}

/// Bytes in memory.
#[derive(Clone, Debug)]
pub struct MemorySource(Vec<u8>);

impl MemorySource {
    /// Wraps a buffer.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Source for MemorySource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let Some(rest) = usize::try_from(offset).ok().and_then(|o| self.0.get(o..)) else { return Ok(0) };
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

/// A pipe: read once, forwards; what was not released stays in memory for a second look.
///
/// Memory use is what lies between the released offset and the furthest byte that was asked for, and never more than
/// [`MAX_PIPE_BYTES`].
pub struct PipeSource {
    state: Mutex<Pipe>,
}

struct Pipe {
    input: Box<dyn Read + Send>,
    /// Chunks in order; the first begins at `start`.
    chunks: VecDeque<Vec<u8>>,
    start: u64,
    /// One past the last byte that was read from the pipe.
    end: u64,
    ended: bool,
}

/// As much as a pipe holds.
const CHUNK: usize = 64 << 10;

impl PipeSource {
    /// Wraps a reader that cannot seek.
    #[must_use]
    pub fn new(input: Box<dyn Read + Send>) -> Self {
        Self { state: Mutex::new(Pipe { input, chunks: VecDeque::new(), start: 0, end: 0, ended: false }) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pipe> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Pipe {
    /// Reads one more chunk; `false` at the end of the pipe.
    fn pull(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.end.saturating_sub(self.start) >= MAX_PIPE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                "the pipe holds more device state than may be kept in memory; save it to a file and read that",
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
                Ok(k) => n = n.saturating_add(k),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        chunk.truncate(n);
        self.end = self.end.saturating_add(n as u64);
        if n > 0 {
            self.chunks.push_back(chunk);
        }
        Ok(n > 0)
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
        if offset < p.start {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this part of the pipe has gone by; save the stream to a file for a question that looks twice",
            ));
        }
        let mut skip = usize::try_from(offset.saturating_sub(p.start)).unwrap_or(usize::MAX);
        for c in &p.chunks {
            let Some(rest) = c.get(skip..).filter(|r| !r.is_empty()) else {
                skip = skip.saturating_sub(c.len());
                continue;
            };
            let n = rest.len().min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
                to.copy_from_slice(from);
            }
            return Ok(n);
        }
        Ok(0)
    }

    fn size(&self) -> Option<u64> {
        let p = self.lock();
        p.ended.then_some(p.end)
    }

    fn release(&self, offset: u64) {
        let mut p = self.lock();
        while let Some(first) = p.chunks.front() {
            let end = p.start.saturating_add(first.len() as u64);
            if end > offset {
                break;
            }
            p.start = end;
            p.chunks.pop_front();
        }
    }

    fn is_transient(&self) -> bool {
        true
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
    fn a_read_across_chunks_is_filled() {
        let bytes: Vec<u8> = (0..CHUNK * 2).map(|i| (i % 253) as u8).collect();
        let p = PipeSource::new(Box::new(io::Cursor::new(bytes.clone())));
        let mut b = vec![0; 100];
        assert_eq!(p.read_full(CHUNK as u64 - 50, &mut b).unwrap(), 100);
        assert_eq!(b[..], bytes[CHUNK - 50..CHUNK + 50]);
    }
}
