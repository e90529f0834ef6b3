//! Where the kernel has its BTF.

use std::ops::Range;

use super::{HEADER, MAX_BYTES, Types, parts};
use crate::error::{Error, ErrorKind, Result};
use crate::os::linux::kernel::Kernel;
use crate::os::linux::pieces::pieces;

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
    let magic: &[u8] = if kernel.is_big_endian() { &[0xeb, 0x9f, 1, 0, 0, 0, 0] } else { &[0x9f, 0xeb, 1, 0] };
    let mut headers = Vec::new();
    pieces(kernel, image, HEADER, &mut |at, piece| {
        let hits = memchr::memmem::find_iter(piece, magic).map(|n| at.saturating_add(n as u64));
        // types begin at a multiple of four
        headers.extend(hits.filter(|h| h & 3 == 0).take(MAX_HEADERS.saturating_sub(headers.len())));
        headers.len() < MAX_HEADERS
    })?;
    for at in headers {
        if let Some(bytes) = size_at(kernel, at)? {
            return Ok(Place { at, bytes, by: By::Search });
        }
    }
    let what = "no types (BTF) were found in the kernel's image: it was built without CONFIG_DEBUG_INFO_BTF, or the pages are not in the stream";
    let e = Error::new(ErrorKind::Missing, what);
    Err(e.hint("dmesg, linux sym and symbols --system-map need no types"))
}

/// Returns the size of what begins at an address, if it is a kernel's BTF.
fn size_at(kernel: &Kernel<'_>, at: u64) -> Result<Option<u64>> {
    let mut head = [0; HEADER];
    if !kernel.has(at, &mut head)? {
        return Ok(None);
    }
    let size = parts(&head, kernel.is_big_endian()).ok().map(|(_, size)| size);
    Ok(size.filter(|n| *n >= MIN_BYTES).map(|n| n as u64))
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
