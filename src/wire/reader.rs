//! Reads a section that is in memory.

use byteorder::{BigEndian, ByteOrder};

use crate::error::{Error, Result};
use crate::offset::{StreamOffset, StreamRange, Sure};

/// A slice of a section with a read position; knows the stream offset at which the slice begins.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    pos: usize,
    base: u64,
}

impl<'a> Reader<'a> {
    /// Wraps bytes that begin at `base` of the stream.
    #[must_use]
    pub fn new(data: &'a [u8], base: StreamOffset) -> Self {
        Self { data, pos: 0, base: base.0 }
    }

    /// Returns the stream offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> StreamOffset {
        StreamOffset(self.base.plus(self.pos as u64))
    }

    /// Returns the index of the next byte in the slice.
    #[must_use]
    pub fn position(&self) -> usize {
        self.pos
    }

    /// Returns the number of bytes left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.data.len().minus(self.pos)
    }

    /// Returns the range from a position returned by [`Reader::offset`] to the current one.
    #[must_use]
    pub fn since(&self, start: StreamOffset) -> StreamRange {
        StreamRange::new(start.0, self.offset().0)
    }

    /// Looks at the next `n` bytes without moving.
    ///
    /// # Errors
    /// `Truncated` when there are fewer; this holds for all readers below.
    pub fn peek(&self, n: usize) -> Result<&'a [u8]> {
        self.pos.checked_add(n).and_then(|end| self.data.get(self.pos..end)).ok_or_else(|| {
            Error::truncated(
                self.offset(),
                format!("expected {n} bytes, found {} before the end of the data", self.remaining()),
            )
        })
    }

    /// Returns the next `n` bytes.
    ///
    /// # Errors
    /// Same as [`Reader::peek`].
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let s = self.peek(n)?;
        self.pos = self.pos.plus(n);
        Ok(s)
    }

    /// Returns a reader of the next `n` bytes and moves past them.
    ///
    /// # Errors
    /// Same as [`Reader::peek`].
    pub fn sub(&mut self, n: usize) -> Result<Reader<'a>> {
        let base = self.offset();
        Ok(Reader::new(self.take(n)?, base))
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// Same as [`Reader::peek`].
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    /// Reads a big-endian unsigned integer of 0 to 8 bytes.
    ///
    /// # Errors
    /// Same as [`Reader::peek`]; `Corrupt` for more than 8 bytes.
    pub fn uint(&mut self, n: usize) -> Result<u64> {
        let at = self.offset();
        match n {
            0 => Ok(0),
            1..=8 => Ok(BigEndian::read_uint(self.take(n)?, n)),
            _ => Err(Error::corrupt(at, format!("expected an integer of at most 8 bytes, found {n} bytes"))),
        }
    }

    /// Reads a big-endian two's complement integer of 0 to 8 bytes.
    ///
    /// # Errors
    /// Same as [`Reader::uint`].
    pub fn int(&mut self, n: usize) -> Result<i64> {
        let at = self.offset();
        match n {
            0 => Ok(0),
            1..=8 => Ok(BigEndian::read_int(self.take(n)?, n)),
            _ => Err(Error::corrupt(at, format!("expected an integer of at most 8 bytes, found {n} bytes"))),
        }
    }

    /// Reads a big-endian 16-bit integer.
    ///
    /// # Errors
    /// Same as [`Reader::peek`].
    pub fn be16(&mut self) -> Result<u16> {
        Ok(BigEndian::read_u16(self.take(2)?))
    }

    /// Reads a big-endian 32-bit integer.
    ///
    /// # Errors
    /// Same as [`Reader::peek`].
    pub fn be32(&mut self) -> Result<u32> {
        Ok(BigEndian::read_u32(self.take(4)?))
    }

    /// Reads a big-endian 64-bit integer.
    ///
    /// # Errors
    /// Same as [`Reader::peek`].
    pub fn be64(&mut self) -> Result<u64> {
        Ok(BigEndian::read_u64(self.take(8)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_readers_keep_the_stream_offset() {
        let data = [0, 1, 2, 3, 4, 5];
        let mut r = Reader::new(&data, StreamOffset(0x100));
        r.u8().unwrap();
        let mut s = r.sub(3).unwrap();
        assert_eq!(s.offset(), StreamOffset(0x101));
        assert_eq!(s.be16().unwrap(), 0x0102);
        let e = s.be16().unwrap_err();
        assert_eq!(e.stream_offset(), Some(StreamOffset(0x103)));
        assert_eq!(r.offset(), StreamOffset(0x104));
    }

    #[test]
    fn integers_of_every_width() {
        let data = [0xff, 0xfe, 0x00, 0x01, 0x02];
        assert_eq!(Reader::new(&data, StreamOffset(0)).int(2).unwrap(), -2);
        assert_eq!(Reader::new(&data, StreamOffset(0)).uint(3).unwrap(), 0xff_fe00);
        assert!(Reader::new(&data, StreamOffset(0)).uint(9).is_err());
        assert!(Reader::new(&data, StreamOffset(0)).uint(6).is_err());
    }
}
