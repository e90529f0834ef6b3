//! Where dumps are written: files with holes, and pipes.

use std::fs::File;
use std::io::Write;

use crate::dump::Output;
use crate::error::{Error, Result};
use crate::offset::Sure;
use crate::wire::write_all_at;

/// A file in which what is not written is a hole.
pub struct Sparse {
    file: File,
}

impl Sparse {
    pub fn new(file: File) -> Self {
        Self { file }
    }
}

impl Output for Sparse {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        write_all_at(&self.file, bytes, at).map_err(|e| Error::io("cannot write the dump", e))
    }
}

/// A pipe, which gets zeros where nothing is written.
pub struct InOrder<'w> {
    out: &'w mut dyn Write,
    at: u64,
}

impl<'w> InOrder<'w> {
    pub fn new(out: &'w mut dyn Write) -> Self {
        Self { out, at: 0 }
    }

    /// Writes the zeros up to the end.
    pub fn finish(&mut self, len: u64) -> Result<()> {
        self.zeros(len)
    }

    fn zeros(&mut self, to: u64) -> Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.at < to {
            let n = usize::try_from(to.minus(self.at)).unwrap_or(usize::MAX).min(ZEROS.len());
            self.raw(ZEROS.get(..n).unwrap_or_default())?;
        }
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| Error::io("cannot write to standard output", e))?;
        self.at = self.at.plus(bytes.len() as u64);
        Ok(())
    }
}

impl Output for InOrder<'_> {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        debug_assert!(at >= self.at, "a pipe is written in order");
        self.zeros(at)?;
        self.raw(bytes)
    }
}
