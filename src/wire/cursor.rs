//! Walks a [`Source`] forwards.

use byteorder::{BigEndian, ByteOrder};

use super::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::{StreamOffset, Sure};
use crate::text::Name;

/// The smallest and the largest read from the source. The window grows while the walk is sequential, so that looking
/// at a few headers reads little and a pass over guest memory reads large pieces.
const MIN_WINDOW: usize = 4 << 10;
const MAX_WINDOW: usize = 256 << 10;
/// A skip up to this long still counts as sequential: on a warm page cache, reading on is cheaper than a second call.
const NEAR: u64 = 64 << 10;

/// A position in a source, with a window of buffered bytes after it.
pub struct Cursor<'a> {
    source: &'a dyn Source,
    pos: u64,
    window: Vec<u8>,
    window_start: u64,
    window_len: usize,
    grow: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at a stream offset.
    #[must_use]
    pub fn new(source: &'a dyn Source, at: StreamOffset) -> Self {
        Self { source, pos: at.0, window: Vec::new(), window_start: 0, window_len: 0, grow: MIN_WINDOW }
    }

    /// Returns the offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> StreamOffset {
        StreamOffset(self.pos)
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> &'a dyn Source {
        self.source
    }

    /// Goes to any offset.
    pub fn seek(&mut self, to: StreamOffset) {
        self.pos = to.0;
    }

    /// Promises not to read bytes before the current position again.
    pub fn release_behind(&self) {
        self.source.release(self.pos);
    }

    fn truncated(&self, wanted: &str) -> Error {
        let end = self.source.size().unwrap_or(self.pos);
        Error::truncated(StreamOffset(self.pos), format!("expected {wanted}, found the end of the stream at {end:#x}"))
    }

    /// Makes `n` bytes available without moving and returns them.
    ///
    /// # Errors
    /// `Truncated` when the source ends first, `LimitExceeded` when `n` is larger than any window, `Io`.
    pub fn peek(&mut self, n: usize) -> Result<&[u8]> {
        let have = usize::try_from(self.pos.wrapping_sub(self.window_start)).unwrap_or(usize::MAX);
        if have <= self.window_len && self.window_len.minus(have) >= n {
            return Ok(self.window.get(have..).and_then(|b| b.get(..n)).unwrap_or_default());
        }
        self.refill(n)?;
        if self.window_len < n {
            return Err(self.truncated(&format!("{n} bytes")));
        }
        Ok(self.window.get(..n).unwrap_or_default())
    }

    #[cold]
    fn refill(&mut self, n: usize) -> Result<()> {
        if n > MAX_WINDOW {
            return Err(
                Error::new(ErrorKind::LimitExceeded, format!("{n} bytes requested at once")).at(StreamOffset(self.pos))
            );
        }
        let window_end = self.window_start.plus(self.window_len as u64);
        let sequential =
            self.window_len > 0 && self.pos >= self.window_start && self.pos.minus(window_end.min(self.pos)) <= NEAR;
        self.grow = if sequential { self.grow.times(2).min(MAX_WINDOW) } else { MIN_WINDOW };
        let want = n.max(self.grow);
        if self.window.len() < want {
            self.window.resize(want, 0);
        }
        // bytes already in the window are kept: pipes and compressed sources pay for a second read
        let mut kept = 0;
        if let Ok(have) = usize::try_from(self.pos.wrapping_sub(self.window_start))
            && have < self.window_len
        {
            self.window.copy_within(have..self.window_len, 0);
            kept = self.window_len.minus(have);
        }
        self.window_start = self.pos;
        self.window_len = kept;
        while self.window_len < n {
            let at = self.pos.plus(self.window_len as u64);
            let Some(rest) = self.window.get_mut(self.window_len..want) else { break };
            let k = self
                .source
                .read_at(at, rest)
                .map_err(|e| Error::io("cannot read the stream", e).at(StreamOffset(at)))?;
            if k == 0 {
                break;
            }
            self.window_len = self.window_len.plus(k);
        }
        Ok(())
    }

    /// Returns the next `n` bytes (at most 256 KiB) and moves past them.
    ///
    /// # Errors
    /// Same as [`Cursor::peek`].
    pub fn take(&mut self, n: usize) -> Result<&[u8]> {
        self.peek(n)?;
        let have = usize::try_from(self.pos.wrapping_sub(self.window_start)).unwrap_or(usize::MAX);
        self.pos = self.pos.plus(n as u64);
        Ok(self.window.get(have..).and_then(|b| b.get(..n)).unwrap_or_default())
    }

    /// Returns the next `n` bytes in a buffer of their own; `n` may be up to `limit`.
    ///
    /// # Errors
    /// `Truncated`, `LimitExceeded`, `Io`. No memory is allocated for bytes that do not exist.
    pub fn take_vec(&mut self, n: u64, limit: u64, what: &str) -> Result<Vec<u8>> {
        if n > limit {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("{what}: expected at most {limit} bytes, found {n}"),
            )
            .at(self.offset()));
        }
        let mut out = Vec::new();
        let mut left = usize::try_from(n).unwrap_or(usize::MAX);
        if let Some(size) = self.source.size() {
            if size.checked_sub(self.pos).is_none_or(|left| left < n) {
                return Err(self.truncated(&format!("{what} of {n} bytes")));
            }
            out.reserve_exact(left);
        }
        while left > 0 {
            let chunk = self.take(left.min(MAX_WINDOW))?;
            out.extend_from_slice(chunk);
            left = left.minus(chunk.len());
        }
        Ok(out)
    }

    /// Returns the next `n` bytes in a buffer of their own, or fewer if the source ends first.
    ///
    /// # Errors
    /// `Io` when reading fails.
    pub fn take_up_to(&mut self, n: u64) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut left = usize::try_from(n).unwrap_or(usize::MAX);
        while left > 0 && !self.at_end()? {
            let have = usize::try_from(self.pos.wrapping_sub(self.window_start)).unwrap_or(usize::MAX);
            let chunk = self.take(self.window_len.saturating_sub(have).clamp(1, left.min(MAX_WINDOW)))?;
            out.extend_from_slice(chunk);
            left = left.minus(chunk.len());
        }
        Ok(out)
    }

    /// Moves `n` bytes on, which must exist.
    ///
    /// # Errors
    /// `Truncated` when the source ends first; `Io`.
    pub fn skip(&mut self, n: u64) -> Result<()> {
        let to = self.pos.checked_add(n).ok_or_else(|| self.truncated(&format!("{n} bytes")))?;
        let window_end = self.window_start.plus(self.window_len as u64);
        if to <= window_end && self.pos >= self.window_start {
            self.pos = to;
            return Ok(());
        }
        match self.source.size() {
            Some(size) if to > size => Err(self.truncated(&format!("{n} bytes"))),
            Some(_) => {
                self.pos = to;
                Ok(())
            }
            None => {
                let mut left = n;
                while left > 0 {
                    let k = left.min(MAX_WINDOW as u64);
                    self.take(usize::try_from(k).unwrap_or(MAX_WINDOW))?;
                    left = left.minus(k);
                }
                Ok(())
            }
        }
    }

    /// Returns whether the source has ended at this position.
    ///
    /// # Errors
    /// `Io` when reading fails.
    pub fn at_end(&mut self) -> Result<bool> {
        match self.peek(1) {
            Ok(_) => Ok(false),
            Err(e) if e.kind() == ErrorKind::Truncated => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// Same as [`Cursor::peek`]; this holds for all readers below.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    /// Looks at the next byte without moving.
    ///
    /// # Errors
    /// Same as [`Cursor::peek`].
    pub fn peek_u8(&mut self) -> Result<u8> {
        Ok(self.peek(1)?.first().copied().unwrap_or_default())
    }

    /// Reads a big-endian 16-bit integer.
    ///
    /// # Errors
    /// Same as [`Cursor::peek`].
    pub fn be16(&mut self) -> Result<u16> {
        Ok(BigEndian::read_u16(self.take(2)?))
    }

    /// Reads a big-endian 32-bit integer.
    ///
    /// # Errors
    /// Same as [`Cursor::peek`].
    pub fn be32(&mut self) -> Result<u32> {
        Ok(BigEndian::read_u32(self.take(4)?))
    }

    /// Reads a big-endian 64-bit integer.
    ///
    /// # Errors
    /// Same as [`Cursor::peek`].
    #[inline]
    pub fn be64(&mut self) -> Result<u64> {
        Ok(BigEndian::read_u64(self.take(8)?))
    }

    /// Reads a length byte and that many bytes: section names, RAMBlock names, capability names. Invalid UTF-8
    /// becomes replacement characters.
    ///
    /// # Errors
    /// Same as [`Cursor::peek`].
    pub fn counted_str(&mut self) -> Result<Name> {
        let n = usize::from(self.u8()?);
        Ok(Name::from_bytes(self.take(n)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MemorySource, PipeSource};
    use super::*;

    #[test]
    fn reads_integers_and_counted_strings() {
        let s = MemorySource::new(b"\x01\x02\x03\x04\x03ram\xff".to_vec());
        let mut c = Cursor::new(&s, StreamOffset(0));
        assert_eq!(c.be32().unwrap(), 0x0102_0304);
        assert_eq!(c.counted_str().unwrap(), "ram");
        assert_eq!(c.offset(), StreamOffset(8));
        assert_eq!(c.u8().unwrap(), 0xff);
        assert!(c.at_end().unwrap());
    }

    #[test]
    fn truncation_names_the_offset_where_the_value_starts() {
        let s = MemorySource::new(vec![0; 6]);
        let mut c = Cursor::new(&s, StreamOffset(0));
        c.skip(4).unwrap();
        let e = c.be64().unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Truncated);
        assert_eq!(e.stream_offset(), Some(StreamOffset(4)));
        assert_eq!(c.offset(), StreamOffset(4), "a failed read does not move");
        assert!(c.skip(3).is_err());
        assert!(c.skip(u64::MAX).is_err());
    }

    #[test]
    fn a_length_that_the_source_does_not_have_allocates_nothing() {
        let s = MemorySource::new(vec![0; 10]);
        let mut c = Cursor::new(&s, StreamOffset(0));
        assert_eq!(c.take_vec(1 << 29, 1 << 30, "section").unwrap_err().kind(), ErrorKind::Truncated);
        assert_eq!(c.take_vec(1 << 31, 1 << 30, "section").unwrap_err().kind(), ErrorKind::LimitExceeded);
        assert_eq!(c.take_vec(10, 10, "section").unwrap().len(), 10);
    }

    #[test]
    fn skipping_in_a_pipe_reads_it() {
        let p = PipeSource::new(Box::new(std::io::Cursor::new(vec![7; 3 << 20])));
        let mut c = Cursor::new(&p, StreamOffset(0));
        c.skip((3 << 20) - 1).unwrap();
        assert_eq!(c.u8().unwrap(), 7);
        assert_eq!(c.skip(1).unwrap_err().kind(), ErrorKind::Truncated);
    }
}
