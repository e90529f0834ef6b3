//! Reads and writes at a position, which leave the position of the file alone.

use std::fs::File;
use std::io;

use crate::offset::Sure;

/// Writes all bytes at a position.
///
/// # Errors
/// The system's own.
pub fn write_all_at(file: &File, mut data: &[u8], mut at: u64) -> io::Result<()> {
    while !data.is_empty() {
        match positioned_write(file, data, at) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(n) => {
                data = data.get(n..).unwrap_or_default();
                at = at.plus(n as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Fills the buffer from a sparse file of our own, whose bytes after its end are zero. Never for an input: there the end is
/// a fault, which [`read_up_to_end`] reports.
///
/// # Errors
/// The system's own.
pub fn read_sparse_at(file: &File, buf: &mut [u8], at: u64) -> io::Result<()> {
    let n = read_up_to_end(file, buf, at)?;
    buf.get_mut(n..).unwrap_or_default().fill(0);
    Ok(())
}

/// Fills the buffer as far as the file goes and returns the number of bytes.
///
/// # Errors
/// The system's own.
pub fn read_up_to_end(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0_usize;
    while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
        match positioned_read(file, rest, at.plus(done as u64)) {
            Ok(0) => break,
            Ok(n) => done = done.plus(n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

#[cfg(unix)]
fn positioned_write(file: &File, data: &[u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, data, at)
}

/// Reads once at a position.
///
/// # Errors
/// The system's own.
#[cfg(unix)]
pub(super) fn positioned_read(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, at)
}

#[cfg(windows)]
fn positioned_write(file: &File, data: &[u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, data, at)
}

#[cfg(windows)]
pub(super) fn positioned_read(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, at)
}
