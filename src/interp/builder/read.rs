//! The readers of numbers and bytes: each takes bytes and adds one node.

use super::Builder;
use crate::error::Result;
use crate::offset::{StreamOffset, Sure};
use crate::value::{FieldType, Node, Value};

impl<'a> Builder<'a> {
    fn leaf(&mut self, name: &str, ty: &str, start: StreamOffset, value: Value) -> Result<()> {
        let range = self.reader.since(start);
        self.push(Node::new(name, FieldType::new(ty), range, value))
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// As [`Builder::peek`] and [`Builder::push`]; this holds for all readers below.
    pub fn u8(&mut self, name: &str) -> Result<u8> {
        let start = self.offset();
        let v = self.reader.u8()?;
        self.leaf(name, "uint8", start, Value::Uint(v.into()))?;
        Ok(v)
    }

    /// Reads a byte that is 0 or 1.
    ///
    /// # Errors
    /// Same as [`Builder::u8`].
    pub fn bool(&mut self, name: &str) -> Result<bool> {
        let start = self.offset();
        let v = self.reader.u8()? != 0;
        self.leaf(name, "bool", start, Value::Bool(v))?;
        Ok(v)
    }

    /// Reads a big-endian 16-bit integer.
    ///
    /// # Errors
    /// Same as [`Builder::u8`].
    pub fn be16(&mut self, name: &str) -> Result<u16> {
        let start = self.offset();
        let v = self.reader.be16()?;
        self.leaf(name, "uint16", start, Value::Uint(v.into()))?;
        Ok(v)
    }

    /// Reads a big-endian 32-bit integer.
    ///
    /// # Errors
    /// Same as [`Builder::u8`].
    pub fn be32(&mut self, name: &str) -> Result<u32> {
        let start = self.offset();
        let v = self.reader.be32()?;
        self.leaf(name, "uint32", start, Value::Uint(v.into()))?;
        Ok(v)
    }

    /// Reads a big-endian 64-bit integer.
    ///
    /// # Errors
    /// Same as [`Builder::u8`].
    pub fn be64(&mut self, name: &str) -> Result<u64> {
        let start = self.offset();
        let v = self.reader.be64()?;
        self.leaf(name, "uint64", start, Value::Uint(v))?;
        Ok(v)
    }

    /// Reads a big-endian signed integer of `n` bytes.
    ///
    /// # Errors
    /// Same as [`Builder::u8`].
    pub fn int(&mut self, name: &str, n: usize) -> Result<i64> {
        let start = self.offset();
        let v = self.reader.int(n)?;
        let ty = match n {
            1 => "int8",
            2 => "int16",
            4 => "int32",
            _ => "int64",
        };
        self.leaf(name, ty, start, Value::Int(v))?;
        Ok(v)
    }

    /// Reads a 32-bit or 64-bit integer in the byte order of the host that wrote the stream, which the caller must
    /// know; the type records the byte order.
    ///
    /// # Errors
    /// Same as [`Builder::u8`].
    pub fn host_uint(&mut self, name: &str, n: usize, little: bool) -> Result<u64> {
        let start = self.offset();
        let raw = self.reader.uint(n)?;
        let unused = 8_usize.minus(n).times(8);
        let shift = u32::try_from(unused).unwrap_or_default();
        let v = if little { raw.swap_bytes().checked_shr(shift).unwrap_or_default() } else { raw };
        let ty = match (n, little) {
            (4, true) => "uint32 little-endian",
            (4, false) => "uint32",
            (_, true) => "uint64 little-endian",
            (_, false) => "uint64",
        };
        self.leaf(name, ty, start, Value::Uint(v))?;
        Ok(v)
    }

    /// Reads `n` raw bytes.
    ///
    /// # Errors
    /// Same as [`Builder::u8`].
    pub fn bytes(&mut self, name: &str, n: usize) -> Result<&'a [u8]> {
        let start = self.offset();
        let blob = self.blob.slice(self.blob_start.plus(self.reader.position()), n);
        let v = self.reader.take(n)?;
        self.leaf(name, "buffer", start, Value::Bytes(blob))?;
        Ok(v)
    }

    /// Reads `count` big-endian unsigned integers of `width` bytes as an array.
    ///
    /// # Errors
    /// Same as [`Builder::u8`].
    pub fn uints(&mut self, name: &str, count: usize, width: usize) -> Result<()> {
        let ty = match width {
            1 => "uint8",
            2 => "uint16",
            4 => "uint32",
            _ => "uint64",
        };
        self.array_of(name, &FieldType::new(ty), count, |b| {
            let start = b.offset();
            let v = b.reader.uint(width)?;
            b.leaf(name, ty, start, Value::Uint(v))
        })
    }
}
