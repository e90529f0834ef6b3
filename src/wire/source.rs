//! Where bytes come from.

use std::fs::File;
use std::io;

use crate::offset::Sure;

/// Random access to bytes. Offsets are those of the stream: 0 is its first byte.
pub trait Source: Send + Sync {
    /// Reads from `offset` into `buf` and returns how many bytes were read; 0 only at the end (or for an empty `buf`).
    ///
    /// # Errors
    /// The system's errors, and `Unsupported` for bytes of a pipe that were released.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Returns the number of bytes, or `None` for a pipe whose end has not been reached.
    fn size(&self) -> Option<u64>;

    /// Promises not to read below `offset` again.
    fn release(&self, _offset: u64) {}

    /// Returns whether released bytes can no longer be read.
    fn is_transient(&self) -> bool {
        false
    }

    /// Returns the lowest offset that can be read.
    fn first_kept(&self) -> u64 {
        0
    }

    /// Returns the underlying file and the position of the source in it, for copying inside the kernel.
    fn as_file(&self) -> Option<(&File, u64)> {
        None
    }

    /// Returns why results from this source cannot be trusted: a read failed, even if the reader ignored it, or the
    /// file is being written to.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Reads a pipe up to its end, keeping what is read, and returns the size.
    ///
    /// # Errors
    /// The system's errors, and `OutOfMemory` when the pipe holds more than may be kept.
    fn exhaust(&self) -> io::Result<u64> {
        self.size().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
    }

    /// Reads a pipe up to its end, and returns the size. Bytes before `from` that were not released can still be read, later ones
    /// only if they had been read before.
    ///
    /// # Errors
    /// The system's errors.
    fn drain(&self, _from: u64) -> io::Result<u64> {
        self.exhaust()
    }

    /// Fills `buf` from `offset` as far as the source goes and returns the number of bytes read.
    ///
    /// # Errors
    /// Same as [`Source::read_at`].
    fn read_full(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
            let n = self.read_at(offset.plus(done as u64), rest)?;
            if n == 0 {
                break;
            }
            done = done.plus(n);
        }
        Ok(done)
    }
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
