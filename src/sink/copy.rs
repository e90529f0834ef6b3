//! Bytes into files: positioned writes, holes, copies inside the kernel.

use std::fs::File;
use std::io;

/// Bytes that are moved at a time where the kernel does not help.
const CHUNK: usize = 1 << 20;

/// Writes all bytes at a position.
pub(super) fn write_all_at(file: &File, mut data: &[u8], mut at: u64) -> io::Result<()> {
    while !data.is_empty() {
        match positioned_write(file, data, at) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(n) => {
                data = data.get(n..).unwrap_or_default();
                at = at.saturating_add(n as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads exactly as many bytes as the buffer takes; what lies behind the end of the file is zero.
pub(super) fn read_exact_at(file: &File, mut buf: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match positioned_read(file, buf, at) {
            Ok(0) => {
                buf.fill(0);
                return Ok(());
            }
            Ok(n) => {
                buf = buf.get_mut(n..).unwrap_or_default();
                at = at.saturating_add(n as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Makes a range zero: a hole where the file system can, zeros elsewhere.
pub(super) fn zero(file: &File, at: u64, bytes: u64) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        if fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, bytes).is_ok() {
            return Ok(());
        }
    }
    let zeros = vec![0; usize::try_from(bytes).unwrap_or(CHUNK).min(CHUNK)];
    let mut done = 0;
    while done < bytes {
        let n = usize::try_from(bytes.saturating_sub(done)).unwrap_or(CHUNK).min(zeros.len());
        write_all_at(file, zeros.get(..n).unwrap_or_default(), at.saturating_add(done))?;
        done = done.saturating_add(n as u64);
    }
    Ok(())
}

/// Copies a range between files: shares the blocks where the file system can (FICLONERANGE), else copies inside the
/// kernel (copy_file_range), else through memory.
pub(super) fn copy_range(from: &File, from_at: u64, to: &File, at: u64, bytes: u64) -> io::Result<()> {
    let mut done = 0;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let (mut src, mut dst) = (from_at, at);
        while done < bytes {
            let n = usize::try_from(bytes.saturating_sub(done)).unwrap_or(usize::MAX).min(1 << 30);
            // on file systems with shared blocks this shares them when the range is aligned
            match rustix::fs::copy_file_range(from, Some(&mut src), to, Some(&mut dst), n) {
                Ok(0) => break,
                Ok(k) => done = done.saturating_add(k as u64),
                Err(rustix::io::Errno::INTR) => {}
                // another file system, an old kernel, a file that cannot: memory does it
                Err(rustix::io::Errno::NOSPC) => return Err(io::Error::from(rustix::io::Errno::NOSPC)),
                Err(_) => break,
            }
        }
    }
    let mut buf = vec![0; CHUNK];
    while done < bytes {
        let n = usize::try_from(bytes.saturating_sub(done)).unwrap_or(CHUNK).min(CHUNK);
        let chunk = buf.get_mut(..n).unwrap_or_default();
        read_exact_at(from, chunk, from_at.saturating_add(done))?;
        write_all_at(to, chunk, at.saturating_add(done))?;
        done = done.saturating_add(n as u64);
    }
    Ok(())
}

#[cfg(unix)]
fn positioned_write(file: &File, data: &[u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, data, at)
}

#[cfg(unix)]
fn positioned_read(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, at)
}

#[cfg(windows)]
fn positioned_write(file: &File, data: &[u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, data, at)
}

#[cfg(windows)]
fn positioned_read(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, at)
}
