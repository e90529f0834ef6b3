//! Integers in the byte order of a target.

/// A byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The least significant byte is first.
    Little,
    /// The most significant byte is first.
    Big,
}

/// Bytes that grow at the end.
#[derive(Clone, Debug)]
pub(super) struct Bytes {
    order: Order,
    pub(super) out: Vec<u8>,
}

impl Bytes {
    pub(super) fn new(order: Order) -> Self {
        Self { order, out: Vec::new() }
    }

    pub(super) fn len(&self) -> u64 {
        self.out.len() as u64
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn u16(&mut self, v: u16) {
        match self.order {
            Order::Little => self.raw(&v.to_le_bytes()),
            Order::Big => self.raw(&v.to_be_bytes()),
        }
    }

    pub(super) fn u32(&mut self, v: u32) {
        match self.order {
            Order::Little => self.raw(&v.to_le_bytes()),
            Order::Big => self.raw(&v.to_be_bytes()),
        }
    }

    pub(super) fn u64(&mut self, v: u64) {
        match self.order {
            Order::Little => self.raw(&v.to_le_bytes()),
            Order::Big => self.raw(&v.to_be_bytes()),
        }
    }

    /// Adds a number that has 64 bits in a wide file and 32 in a narrow one.
    pub(super) fn word(&mut self, v: u64, wide: bool) {
        if wide { self.u64(v) } else { self.u32(low32(v)) }
    }

    /// Adds zeros up to a multiple of `to` bytes.
    pub(super) fn pad(&mut self, to: usize) {
        self.out.resize(self.out.len().next_multiple_of(to.max(1)), 0);
    }
}

/// A structure of a fixed size, whose fields are set by their offset.
#[derive(Clone, Debug)]
pub(super) struct Record {
    order: Order,
    pub(super) bytes: Vec<u8>,
}

impl Record {
    pub(super) fn new(order: Order, len: usize) -> Self {
        Self { order, bytes: vec![0; len] }
    }

    /// Takes bytes whose fields are changed.
    pub(super) fn of(order: Order, bytes: Vec<u8>) -> Self {
        Self { order, bytes }
    }

    pub(super) fn raw(&mut self, at: usize, bytes: &[u8]) {
        let place = self.bytes.get_mut(at..).and_then(|b| b.get_mut(..bytes.len()));
        debug_assert!(place.is_some(), "a field at {at} of {} bytes", bytes.len());
        if let Some(place) = place {
            place.copy_from_slice(bytes);
        }
    }

    pub(super) fn u16(&mut self, at: usize, v: u64) {
        let v = u16::try_from(v & 0xffff).unwrap_or(0);
        match self.order {
            Order::Little => self.raw(at, &v.to_le_bytes()),
            Order::Big => self.raw(at, &v.to_be_bytes()),
        }
    }

    pub(super) fn u32(&mut self, at: usize, v: u64) {
        let v = low32(v);
        match self.order {
            Order::Little => self.raw(at, &v.to_le_bytes()),
            Order::Big => self.raw(at, &v.to_be_bytes()),
        }
    }

    pub(super) fn u64(&mut self, at: usize, v: u64) {
        match self.order {
            Order::Little => self.raw(at, &v.to_le_bytes()),
            Order::Big => self.raw(at, &v.to_be_bytes()),
        }
    }

    /// Sets numbers of 64 bits that follow each other.
    pub(super) fn row64(&mut self, at: usize, values: impl IntoIterator<Item = u64>) {
        for (at, v) in (at..).step_by(8).zip(values) {
            self.u64(at, v);
        }
    }

    /// Sets numbers of 32 bits that follow each other.
    pub(super) fn row32(&mut self, at: usize, values: impl IntoIterator<Item = u64>) {
        for (at, v) in (at..).step_by(4).zip(values) {
            self.u32(at, v);
        }
    }
}

pub(super) fn low32(v: u64) -> u32 {
    u32::try_from(v & 0xffff_ffff).unwrap_or(0)
}
