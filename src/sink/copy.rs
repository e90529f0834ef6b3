//! Bytes into files: positioned writes, holes, copies inside the kernel.

use std::fs::File;
use std::io;

use crate::offset::{Sure, pieces};
use crate::wire::{read_up_to_end, write_all_at};

/// Bytes that are moved at a time where the kernel does not help.
const CHUNK: usize = 1 << 20;

/// Why a range could not be copied.
#[derive(Debug)]
pub(super) enum CopyFault {
    /// The source cannot be read at this offset.
    Read(io::Error, u64),
    /// The source ends at this offset, inside the range.
    End(u64),
    /// The output cannot be written.
    Write(io::Error),
}

/// Fills a range with zeros: a hole where the file system can, zeros elsewhere.
pub(super) fn zero(file: &File, at: u64, bytes: u64) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        if fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, bytes).is_ok() {
            return Ok(());
        }
    }
    let zeros = vec![0; usize::try_from(bytes).unwrap_or(CHUNK).min(CHUNK)];
    for (start, n) in pieces(bytes, zeros.len()) {
        write_all_at(file, zeros.get(..n).unwrap_or_default(), at.plus(start))?;
    }
    Ok(())
}

/// Copies a range between files: shares the blocks where the file system can, else copies inside the kernel
/// (copy_file_range), else through memory.
///
/// # Errors
/// [`CopyFault::End`] when the source has fewer bytes than the range; missing bytes are never replaced.
pub(super) fn copy_range(
    from: &File,
    from_at: u64,
    to: &File,
    at: u64,
    bytes: u64,
) -> std::result::Result<(), CopyFault> {
    let mut done = 0;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let (mut src, mut dst) = (from_at, at);
        while done < bytes {
            let n = usize::try_from(bytes.minus(done)).unwrap_or(usize::MAX).min(1 << 30);
            match rustix::fs::copy_file_range(from, Some(&mut src), to, Some(&mut dst), n) {
                // the end, or a file system that cannot; reading finds out which
                Ok(0) => break,
                Ok(k) => done = done.plus(k as u64),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::NOSPC) => return Err(CopyFault::Write(rustix::io::Errno::NOSPC.into())),
                // another file system, an old kernel, a file that cannot: memory does it
                Err(_) => break,
            }
        }
    }
    let mut buf = Vec::new();
    for (start, n) in pieces(bytes.minus(done), CHUNK) {
        buf.resize(n, 0);
        let start = done.plus(start);
        let here = from_at.plus(start);
        let got = read_up_to_end(from, &mut buf, here).map_err(|e| CopyFault::Read(e, here))?;
        if got < n {
            return Err(CopyFault::End(here.plus(got as u64)));
        }
        write_all_at(to, &buf, at.plus(start)).map_err(CopyFault::Write)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::read_sparse_at;

    #[test]
    fn a_source_that_ends_inside_a_range_is_a_fault() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        to.set_len(3 << 20).unwrap();
        write_all_at(&from, &vec![7; (1 << 20) + 5], 0).unwrap();
        copy_range(&from, 0, &to, 0, 1 << 20).unwrap();
        match copy_range(&from, 4096, &to, 4096, 2 << 20) {
            Err(CopyFault::End(at)) => assert_eq!(at, (1 << 20) + 5),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn our_own_sparse_file_reads_as_zeros_after_its_end() {
        let file = tempfile::tempfile().unwrap();
        write_all_at(&file, &[1, 2], 0).unwrap();
        let mut buf = [9; 4];
        read_sparse_at(&file, &mut buf, 0).unwrap();
        assert_eq!(buf, [1, 2, 0, 0]);
    }
}
