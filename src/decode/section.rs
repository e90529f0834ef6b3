//! What a decoder is given.

use crate::text::Name;
use crate::value::Node;

/// A device section: its names and its tree.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Section<'a> {
    /// The section's name in the stream, such as `0000:00:02.0/virtio-net`.
    pub idstr: &'a Name,
    /// Its instance.
    pub instance: u32,
    /// The name of its vmsd; empty without a description.
    pub vmsd: &'a Name,
    /// Its tree.
    pub root: &'a Node,
}

/// Numbers in a block of registers; reading beyond its end gives 0, which [`Registers::has`] detects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Registers<'a> {
    pub(super) fn little(bytes: &'a [u8]) -> Self {
        Self { bytes, big_endian: false }
    }

    pub(super) fn new(bytes: &'a [u8], big_endian: bool) -> Self {
        Self { bytes, big_endian }
    }

    pub(super) fn has(self, at: usize, len: usize) -> bool {
        at.checked_add(len).is_some_and(|end| end <= self.bytes.len())
    }

    pub(super) fn bytes(self, at: usize, len: usize) -> &'a [u8] {
        at.checked_add(len).and_then(|end| self.bytes.get(at..end)).unwrap_or_default()
    }

    pub(super) fn array<const N: usize>(self, at: usize) -> [u8; N] {
        self.bytes(at, N).try_into().unwrap_or([0; N])
    }

    pub(super) fn u8(self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }

    pub(super) fn u16(self, at: usize) -> u16 {
        let a = self.array(at);
        if self.big_endian { u16::from_be_bytes(a) } else { u16::from_le_bytes(a) }
    }

    pub(super) fn u32(self, at: usize) -> u32 {
        let a = self.array(at);
        if self.big_endian { u32::from_be_bytes(a) } else { u32::from_le_bytes(a) }
    }

    pub(super) fn u64(self, at: usize) -> u64 {
        let a = self.array(at);
        if self.big_endian { u64::from_be_bytes(a) } else { u64::from_le_bytes(a) }
    }
}

/// Returns the names of the bits that are set.
pub(super) fn names(value: u64, table: &[(u32, &'static str)]) -> Vec<&'static str> {
    table.iter().filter(|(bit, _)| value.checked_shr(*bit).is_some_and(|v| v & 1 != 0)).map(|(_, n)| *n).collect()
}
