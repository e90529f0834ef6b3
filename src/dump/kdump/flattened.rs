//! The flattened form: a file in pieces with their offsets, so that it can go down a pipe.

use super::super::write::Output;
use crate::error::Result;
use crate::offset::Sure;

/// Where the pieces begin.
const HEAD: usize = 4096;
const SIGNATURE: &[u8; 16] = b"makedumpfile\0\0\0\0";

/// Writes each piece with its offset and size in front, in order (makedumpfile's `makedumpfile_header` and
/// `makedumpfile_data_header`). All numbers are big-endian.
pub struct Flattened<'o> {
    out: &'o mut dyn Output,
    at: u64,
}

impl std::fmt::Debug for Flattened<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flattened").field("at", &self.at).finish()
    }
}

impl<'o> Flattened<'o> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin(out: &'o mut dyn Output) -> Result<Self> {
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(SIGNATURE);
        // type and version
        head.extend_from_slice(&1_u64.to_be_bytes());
        head.extend_from_slice(&1_u64.to_be_bytes());
        head.resize(HEAD, 0);
        out.write_at(0, &head)?;
        Ok(Self { out, at: HEAD as u64 })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_at(self.at, bytes)?;
        self.at = self.at.plus(bytes.len() as u64);
        Ok(())
    }

    /// Writes the end, and returns the size of the file.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> Result<u64> {
        self.put(&[0xff; 16])?;
        Ok(self.at)
    }
}

impl Output for Flattened<'_> {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let mut head = at.to_be_bytes().to_vec();
        head.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.put(&head)?;
        self.put(bytes)
    }
}
