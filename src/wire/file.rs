//! A file as a source.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::OnceLock;
use std::time::SystemTime;

use super::Source;
use super::positioned::positioned_read;
use crate::error::cause_in_words;
use crate::offset::Sure;

/// A file, read with positioned reads from a base offset onwards.
///
/// Its size is the size when it was opened. If the file later ends before that, reading the missing bytes is an
/// error, not an end.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    base: u64,
    size: u64,
    /// Time of the last change of a regular file.
    modified: Option<SystemTime>,
    /// The first read that failed.
    failed: OnceLock<String>,
}

impl FileSource {
    /// Wraps a seekable file whose stream begins `base` bytes in.
    ///
    /// # Errors
    /// The system's errors, and `InvalidInput` when the file is shorter than `base`.
    pub fn new(mut file: File, base: u64) -> io::Result<Self> {
        // the time comes first, so that a change in between is seen
        let modified = modified(&file);
        let end = file.seek(SeekFrom::End(0))?;
        let size = end.checked_sub(base).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(Self { file, base, size, modified, failed: OnceLock::new() })
    }

    /// Returns the error of the first failed read.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    fn note(&self, e: io::Error) -> io::Error {
        let _ = self.failed.set(cause_in_words(&e));
        e
    }

    /// The error for bytes that existed when the file was opened.
    fn shorter(&self) -> io::Error {
        let before = self.base.plus(self.size);
        let now = self.file.metadata().map_or_else(|_| "fewer".to_owned(), |m| m.len().to_string());
        let what = format!("the file became shorter while it was read: expected {before} bytes, found {now}");
        io::Error::new(io::ErrorKind::UnexpectedEof, what)
    }
}

fn modified(file: &File) -> Option<SystemTime> {
    file.metadata().ok().filter(std::fs::Metadata::is_file).and_then(|m| m.modified().ok())
}

impl Source for FileSource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.size.checked_sub(offset) else { return Ok(0) };
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..n).filter(|b| !b.is_empty()) else { return Ok(0) };
        let at = self.base.plus(offset);
        loop {
            match positioned_read(&self.file, buf, at) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return Err(self.note(self.shorter())),
                r => return r.map_err(|e| self.note(e)),
            }
        }
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn trouble(&self) -> Option<String> {
        if let Some(e) = self.failure() {
            return Some(format!("cannot read the stream: {e}"));
        }
        let before = self.modified?;
        let meta = self.file.metadata().ok()?;
        let size = self.base.plus(self.size);
        if meta.len() != size {
            return Some(format!("the file had {size} bytes when it was opened but has {} now", meta.len()));
        }
        let same = meta.modified().is_ok_and(|now| now == before);
        (!same).then(|| "the file was written to while it was read".to_owned())
    }

    fn as_file(&self) -> Option<(&File, u64)> {
        Some((&self.file, self.base))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn bytes_that_a_file_has_lost_are_an_error_and_no_end() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 100]).unwrap();
        let s = FileSource::new(file.try_clone().unwrap(), 10).unwrap();
        let mut b = [0; 60];
        assert_eq!((s.read_at(40, &mut b).unwrap(), s.trouble()), (50, None));
        file.set_len(60).unwrap();
        assert_eq!(s.read_at(40, &mut b).unwrap(), 10);
        let e = s.read_full(40, &mut b).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
        assert!(e.to_string().contains("expected 100 bytes, found 60"), "{e}");
        assert_eq!(s.read_at(90, &mut b).unwrap(), 0, "its end was and is the end");
        assert!(s.trouble().is_some());
    }

    #[test]
    fn what_is_appended_to_a_file_does_not_belong_to_it() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 10]).unwrap();
        let s = FileSource::new(file.try_clone().unwrap(), 0).unwrap();
        file.write_all(&[8; 10]).unwrap();
        let mut b = [0; 20];
        assert_eq!((s.read_full(0, &mut b).unwrap(), s.trouble().is_some()), (10, true));
    }
}
