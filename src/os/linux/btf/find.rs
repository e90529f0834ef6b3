//! Where the kernel has its BTF.

use std::ops::Range;

use super::{HEADER, MAX_BYTES, Types, parts};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;
use crate::os::linux::kernel::Kernel;

/// Bytes that are searched at a time.
const PIECE: usize = 1 << 20;
/// Bytes of the image that are searched.
const MAX_SEARCH: u64 = 1 << 30;
/// Headers that are looked at; what looks like one is there some times.
const MAX_HEADERS: usize = 64;
/// The BTF of a kernel has more types than that, the parts of it that are in some tests do not.
const MIN_BYTES: usize = 1 << 18;

/// How BTF was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// By the symbol `__start_BTF`.
    Symbol,
    /// By a search of the kernel's image.
    Search,
}

/// Where BTF is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The address in the kernel.
    pub at: u64,
    /// Its size.
    pub bytes: u64,
    /// How it was found.
    pub by: By,
}

/// Finds the BTF of a kernel: at an address that symbols give, or else by a search of the ranges of its image, as they are mapped.
///
/// # Errors
/// `Missing` if there is none; `Io`.
pub fn place(kernel: &Kernel<'_>, start: Option<u64>, image: &[Range<u64>]) -> Result<Place> {
    if let Some(at) = start
        && let Some(bytes) = size_at(kernel, at)?
    {
        return Ok(Place { at, bytes, by: By::Symbol });
    }
    let mut left = MAX_SEARCH;
    let mut headers = MAX_HEADERS;
    let magic: &[u8] = if kernel.is_big_endian() { &[0xeb, 0x9f, 1, 0, 0, 0, 0] } else { &[0x9f, 0xeb, 1, 0] };
    for range in image {
        let mut at = range.start;
        let mut piece = Vec::new();
        while at < range.end && left > 0 {
            let n = PIECE.min(usize::try_from(range.end.minus(at)).unwrap_or(PIECE));
            piece.resize(n, 0);
            left = left.saturating_sub(n as u64);
            let read = kernel.read(at, &mut piece);
            if !present(read)? {
                at = at.saturating_add(n as u64);
                continue;
            }
            for hit in memchr::memmem::find_iter(&piece, magic) {
                let here = at.saturating_add(hit as u64);
                if headers == 0 {
                    break;
                }
                if here & 3 != 0 {
                    continue;
                }
                headers = headers.minus(1);
                if let Some(bytes) = size_at(kernel, here)? {
                    return Ok(Place { at: here, bytes, by: By::Search });
                }
            }
            // a header may begin in one piece and end in the next
            at = at.saturating_add(n as u64);
            if at < range.end {
                at = at.minus(HEADER as u64);
            }
        }
    }
    let what = "no types (BTF) were found in the kernel's image: it was built without CONFIG_DEBUG_INFO_BTF, or the pages are not in the stream";
    let e = Error::new(ErrorKind::Missing, what);
    Err(e.hint("dmesg, linux sym and symbols --system-map need no types"))
}

/// Returns the size of what begins at an address, if it is a kernel's BTF.
fn size_at(kernel: &Kernel<'_>, at: u64) -> Result<Option<u64>> {
    let mut head = [0; HEADER];
    if !present(kernel.read(at, &mut head))? {
        return Ok(None);
    }
    let size = parts(&head, kernel.is_big_endian()).ok().map(|(_, size)| size);
    Ok(size.filter(|n| *n >= MIN_BYTES).map(|n| n as u64))
}

fn present(r: Result<()>) -> Result<bool> {
    match r {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::Io => Err(e),
        Err(_) => Ok(false),
    }
}

impl Types {
    /// Reads the BTF at a place.
    ///
    /// # Errors
    /// As [`Types::new`], and those of the memory.
    pub fn read(kernel: &Kernel<'_>, place: Place, word: u64) -> Result<Self> {
        let size = usize::try_from(place.bytes.min(MAX_BYTES)).unwrap_or(0);
        let mut bytes = vec![0; size];
        kernel.read(place.at, &mut bytes).map_err(|e| e.within("BTF"))?;
        Self::new(bytes, kernel.is_big_endian(), word)
    }
}
