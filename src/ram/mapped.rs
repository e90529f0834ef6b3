//! mapped-ram: which pages of a block are in the file, and where.
//!
//! Bit i of the bitmap is set if page i is present; the file's bytes for a clear bit may be stale data from an
//! earlier pass over memory. The bitmap is an array of the writing host's `unsigned long`, so on a big-endian host
//! the bytes of each word are reversed; nothing in the file says which (`ram_save_file_bmap` in `migration/ram.c`).

use super::{MappedRam, RamBlock};
use crate::error::{Error, Result};
use crate::offset::{FileOffset, RamOffset, StreamOffset, Sure, pieces};
use crate::text::Name;
use crate::wire::Source;

/// Pages of a block that follow each other in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappedRun {
    /// The index of the block in the list.
    pub block: usize,
    /// Where the run begins in the block.
    pub offset: RamOffset,
    /// Its length.
    pub bytes: u64,
    /// Its offset in the stream.
    pub at: StreamOffset,
}

/// Bytes of a bitmap that are read at a time; a multiple of the word.
const CHUNK: usize = 64 << 10;
/// Number of words examined to determine the byte order.
const SAMPLE_WORDS: usize = 4096;

fn io(e: std::io::Error, at: u64) -> Error {
    Error::io("cannot read the stream", e).at(StreamOffset(at))
}

/// The bitmap of a block: which of its pages are in the file, and where.
#[derive(Clone, Copy, Debug)]
pub struct MappedBitmap {
    /// Offset of the bitmap in the stream.
    bitmap: u64,
    /// Offset of page 0 in the stream.
    first_page: u64,
    page_size: u64,
    pages: u64,
    big_endian: bool,
}

impl MappedBitmap {
    /// Finds the bitmap of a block, and determines its byte order.
    ///
    /// # Errors
    /// `Corrupt` when its header points before the stream; those of reading.
    pub fn open(source: &dyn Source, stream_start: FileOffset, b: &RamBlock, m: MappedRam) -> Result<Self> {
        let outside =
            || Error::corrupt(StreamOffset(0), format!("mapped-ram header of {}: offsets before the stream", b.name));
        let pages = b.len.checked_div(m.page_size).unwrap_or_default();
        let bitmap = m.bitmap_offset.0.checked_sub(stream_start.0).ok_or_else(outside)?;
        let first_page = m.pages_offset.0.checked_sub(stream_start.0).ok_or_else(outside)?;
        let mut out = Self { bitmap, first_page, page_size: m.page_size, pages, big_endian: false };
        out.big_endian = out.is_big_endian(source)?;
        Ok(out)
    }

    /// Returns the length of the bitmap.
    fn bytes(&self) -> u64 {
        self.pages.div_ceil(64).times(8)
    }

    /// Returns the offset of a page in the stream, or `None` for a page that is not in the file, which is zero.
    ///
    /// # Errors
    /// Those of reading, and `Truncated` when the bitmap is not all there.
    pub fn page(&self, source: &dyn Source, page: u64) -> Result<Option<StreamOffset>> {
        if page >= self.pages {
            return Ok(None);
        }
        let at = self.bitmap.plus((page >> 6) << 3);
        let mut word = [0; 8];
        if source.read_full(at, &mut word).map_err(|e| io(e, at))? < word.len() {
            return Err(Error::truncated(StreamOffset(at), "expected the bitmap of a RAM block, found the end"));
        }
        let set = word_of(&word, self.big_endian) >> (page & 63) & 1 != 0;
        Ok(set.then(|| self.place(page)))
    }

    fn place(&self, page: u64) -> StreamOffset {
        StreamOffset(self.first_page.saturating_add(page.saturating_mul(self.page_size)))
    }

    /// Calls `f` with every run of pages that are in the file, in order; the block is named by its index and its name.
    ///
    /// # Errors
    /// Those of reading, `Truncated` when the bitmap is not all there, and those of `f`.
    pub fn runs(
        &self,
        source: &dyn Source,
        block: usize,
        name: &Name,
        f: &mut dyn FnMut(MappedRun) -> Result<()>,
    ) -> Result<()> {
        let (pages, bytes) = (self.pages, self.bytes());
        let mut open: Option<(u64, u64)> = None;
        let mut emit = |from: u64, to: u64| {
            f(MappedRun {
                block,
                offset: RamOffset(from.times(self.page_size)),
                bytes: to.minus(from).times(self.page_size),
                at: self.place(from),
            })
        };
        let mut buf = vec![0; CHUNK];
        for (start, want) in pieces(bytes, CHUNK) {
            let at = self.bitmap.plus(start);
            let chunk = buf.get_mut(..want).unwrap_or_default();
            let n = source.read_full(at, chunk).map_err(|e| io(e, at))?;
            if n < want {
                return Err(Error::truncated(
                    StreamOffset(at),
                    format!("bitmap of {name}: expected {bytes} bytes, found fewer"),
                ));
            }
            for (i, word) in chunk.chunks_exact(8).enumerate() {
                let first = start.plus((i as u64).times(8)).times(8);
                let word = word_of(word, self.big_endian);
                if word == 0 && open.is_none() {
                    continue;
                }
                for bit in 0..64 {
                    let page = first.plus(bit);
                    let set = word >> bit & 1 != 0 && page < pages;
                    match (&mut open, set) {
                        (Some((_, to)), true) => *to = page.plus(1),
                        (None, true) => open = Some((page, page.plus(1))),
                        (Some((from, to)), false) => {
                            emit(*from, *to)?;
                            open = None;
                        }
                        (None, false) => {}
                    }
                }
            }
        }
        match open {
            Some((from, to)) => emit(from, to),
            None => Ok(()),
        }
    }

    /// Determines the byte order of the bitmap's words: bits beyond the last page are clear, and most pages whose bits
    /// are set are not zero. Assumes little-endian if there is no evidence against it.
    fn is_big_endian(&self, source: &dyn Source) -> Result<bool> {
        let (at, bytes) = (self.bitmap, self.bytes());
        let n = usize::try_from(bytes).unwrap_or(usize::MAX).min(SAMPLE_WORDS * 8);
        let mut buf = vec![0; n];
        let got = source.read_full(at, &mut buf).map_err(|e| io(e, at))?;
        let words: Vec<&[u8]> = buf.get(..got).unwrap_or_default().chunks_exact(8).collect();
        // the last word decides, if there are bits beyond the last page
        let beyond = self.pages & 63;
        if beyond != 0 && words.len() as u64 == bytes / 8 {
            let last = words.last().copied().unwrap_or_default();
            let stray = |be| word_of(last, be) >> beyond != 0;
            if stray(false) != stray(true) {
                return Ok(stray(false));
            }
        }
        let mut votes = 0_i32;
        for (i, w) in words.iter().enumerate() {
            let (le, be) = (word_of(w, false), word_of(w, true));
            if le == be {
                continue;
            }
            for (only, vote) in [(le & !be, -1), (be & !le, 1)] {
                let page = (i as u64).times(64).plus(u64::from(only.trailing_zeros()));
                let mut look = [0; 512];
                let from = self.place(page).0;
                let k = source.read_full(from, &mut look).map_err(|e| io(e, from))?;
                if look.get(..k).unwrap_or_default().iter().any(|b| *b != 0) {
                    votes = votes.saturating_add(vote);
                }
            }
            if votes.abs() >= 16 {
                break;
            }
        }
        Ok(votes > 0)
    }
}

fn word_of(bytes: &[u8], big_endian: bool) -> u64 {
    let w: [u8; 8] = bytes.try_into().unwrap_or_default();
    if big_endian { u64::from_be_bytes(w) } else { u64::from_le_bytes(w) }
}
