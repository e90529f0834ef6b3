//! Bytes of a section, shared rather than copied.

use std::fmt;
use std::sync::Arc;

use crate::offset::Sure;

/// A piece of a section that is in memory; cloning it copies no bytes.
#[derive(Clone, Default)]
pub struct Blob {
    data: Arc<Vec<u8>>,
    start: usize,
    len: usize,
}

impl Blob {
    /// Takes a whole buffer.
    #[must_use]
    pub fn new(data: Vec<u8>) -> Self {
        let len = data.len();
        Self { data: Arc::new(data), start: 0, len }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.data.get(self.start..).and_then(|b| b.get(..self.len)).unwrap_or_default()
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns this piece and the next as one, or `None` if the next does not follow it in the same buffer.
    pub(crate) fn joined(&self, next: &Self) -> Option<Self> {
        let follows = Arc::ptr_eq(&self.data, &next.data) && self.start.checked_add(self.len)? == next.start;
        let len = self.len.checked_add(next.len)?;
        follows.then(|| Self { data: Arc::clone(&self.data), start: self.start, len })
    }

    /// Returns the piece of `len` bytes from `start`, limited to the available bytes.
    #[must_use]
    pub fn slice(&self, start: usize, len: usize) -> Self {
        let start = start.min(self.len);
        let len = len.min(self.len.saturating_sub(start));
        Self { data: Arc::clone(&self.data), start: self.start.plus(start), len }
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Blob {}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_cut_to_what_there_is() {
        let b = Blob::new(vec![1, 2, 3, 4]);
        assert_eq!(b.slice(1, 2).as_slice(), [2, 3]);
        assert_eq!(b.slice(1, 2).slice(1, 9).as_slice(), [3]);
        assert_eq!(b.slice(9, 1).as_slice(), [] as [u8; 0]);
    }
}
