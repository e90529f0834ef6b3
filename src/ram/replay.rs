//! Page records that are applied to the content of a page: on the way, and once more from their place in the stream.

use super::{Page, RamContext, apply_xbzrle, inflate};
use crate::error::{Error, Result};
use crate::names::ram_flag as flag;
use crate::offset::{StreamOffset, Sure};
use crate::wire::{Cursor, Source};

/// Applies page records to pages; keeps what decompression needs.
#[derive(Default)]
pub struct Replay {
    zlib: Option<flate2::Decompress>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replay")
    }
}

impl Replay {
    /// Makes `content` what it is after a record. An XBZRLE record changes the content; all others replace it.
    ///
    /// # Errors
    /// What is wrong with the encoding of the page, in words; the content is then of no use.
    pub fn apply(&mut self, page: Page<'_>, content: &mut [u8]) -> std::result::Result<(), String> {
        match page {
            Page::Fill(byte) => content.fill(byte),
            Page::Normal(data) if data.len() == content.len() => content.copy_from_slice(data),
            Page::Normal(data) => return Err(format!("expected {} bytes, found {}", content.len(), data.len())),
            Page::Xbzrle(difference) => apply_xbzrle(difference, content)?,
            Page::Compressed(z) => {
                let zlib = self.zlib.get_or_insert_with(|| flate2::Decompress::new(true));
                content.copy_from_slice(&inflate(zlib, z, content.len())?);
            }
        }
        Ok(())
    }

    /// Reads the page record at a place in the stream once more, and applies it.
    ///
    /// # Errors
    /// `Io` and `Truncated`; `Corrupt` when there is no page record, or a page that cannot be decoded.
    pub fn again(&mut self, source: &dyn Source, ctx: &RamContext, at: StreamOffset, content: &mut [u8]) -> Result<()> {
        let mut c = Cursor::new(source, at);
        let flags = c.be64()? & ctx.target_page.minus(1);
        if ctx.version != 3 && flags & flag::CONTINUE == 0 {
            let n = c.u8()?;
            c.skip(n.into())?;
        }
        let changed = || Error::corrupt(at, "expected the page record that was here before, found something else");
        let done = match flags & !flag::CONTINUE {
            flag::PAGE => {
                let page = c.take(content.len())?;
                self.apply(Page::Normal(page), content)
            }
            flag::ZERO => {
                let fill = c.u8()?;
                self.apply(Page::Fill(fill), content)
            }
            flag::XBZRLE => {
                c.skip(1)?;
                let n = usize::from(c.be16()?);
                if n > content.len() {
                    return Err(changed());
                }
                self.apply(Page::Xbzrle(c.take(n)?), content)
            }
            flag::COMPRESS_PAGE => {
                let n = usize::try_from(c.be32()?).unwrap_or(usize::MAX);
                if n > content.len().times(2) {
                    return Err(changed());
                }
                self.apply(Page::Compressed(c.take(n)?), content)
            }
            _ => return Err(changed()),
        };
        done.map_err(|why| Error::corrupt(at, why))
    }
}

/// Returns the error for pages that cannot be read; a file that became shorter has lost them.
#[must_use]
pub fn unreadable(e: std::io::Error, at: u64) -> Error {
    let at = StreamOffset(at);
    match e.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::truncated(at, format!("cannot read the pages: {e}")),
        _ => Error::io("cannot read the stream", e).at(at),
    }
}

/// Returns `true` if all bytes are zero, in a way that compilers turn into wide comparisons.
#[must_use]
pub fn is_zero(data: &[u8]) -> bool {
    let mut chunks = data.chunks_exact(128);
    chunks.all(|c| c.iter().fold(0, |a, b| a | b) == 0) && chunks.remainder().iter().all(|b| *b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_pages_are_found() {
        for n in [0, 1, 127, 128, 129, 4096] {
            let mut v = vec![0; n];
            assert!(is_zero(&v));
            if let Some(last) = v.last_mut() {
                *last = 1;
                assert!(!is_zero(&v));
            }
        }
    }
}
