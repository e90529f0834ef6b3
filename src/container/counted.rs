//! Readers that count what is read from them.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::budget::Budget;

/// A pipe whose bytes are credited to a budget as they are read.
pub(super) struct Credited {
    pub inner: Box<dyn Read + Send>,
    pub budget: Budget,
}

impl Read for Credited {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.budget.credit(n as u64);
        Ok(n)
    }
}

/// A packed file: how long it is, and how much of it has been read.
///
/// The length of what it holds is only known at the end, so progress is counted in the file's own bytes.
#[derive(Clone, Debug)]
pub struct PackedFile {
    size: u64,
    read: Arc<AtomicU64>,
}

impl PackedFile {
    pub(super) fn new(size: u64) -> Self {
        Self { size, read: Arc::default() }
    }

    pub(super) fn counting<R: Read>(&self, inner: R) -> Counting<R> {
        Counting { inner, read: Arc::clone(&self.read) }
    }

    /// Returns the length of the file in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns how many bytes of the file have been read.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

pub(super) struct Counting<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
