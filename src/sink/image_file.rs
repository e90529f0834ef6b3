//! Outputs with positioned writes; only some of them are open at a time.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Outputs that are open at a time. A stream may list tens of thousands of blocks, and a process may open far fewer files.
pub(super) const MAX_OPEN: usize = 64;

/// An output: a file that is open, or one that can be opened again.
#[derive(Debug)]
pub struct ImageFile {
    path: Option<PathBuf>,
    file: Option<File>,
}

impl From<File> for ImageFile {
    fn from(file: File) -> Self {
        Self { path: None, file: Some(file) }
    }
}

impl ImageFile {
    /// Writes bytes at a position, if the file is open.
    ///
    /// # Errors
    /// The system's own.
    pub fn write_at(&self, data: &[u8], at: u64) -> io::Result<()> {
        match &self.file {
            Some(f) => crate::wire::write_all_at(f, data, at),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Wraps a file that is opened again by its name when it was closed in between.
    pub(super) fn named(path: &Path, file: Option<File>) -> Self {
        Self { path: Some(path.to_owned()), file }
    }
}

/// The outputs of a writer.
pub(super) struct Handles {
    files: Vec<ImageFile>,
    /// Outputs that are open and can be closed, the one that was used last at the end.
    recent: Vec<usize>,
}

impl Handles {
    pub(super) fn new(files: Vec<ImageFile>) -> Self {
        let closable = |f: &ImageFile| f.path.is_some() && f.file.is_some();
        let recent = files.iter().enumerate().filter(|(_, f)| closable(f)).map(|(i, _)| i).collect();
        Self { files, recent }
    }

    /// Returns an output, which is opened again when it was closed; `None` when there is no such output.
    pub(super) fn get(&mut self, output: usize) -> io::Result<Option<&File>> {
        let current = self.recent.last() == Some(&output);
        let closable = self.files.get(output).and_then(|f| f.path.as_deref());
        if let (Some(path), false) = (closable, current) {
            let path = path.to_owned();
            self.recent.retain(|i| *i != output);
            self.make_room();
            if let Some(f) = self.files.get_mut(output).filter(|f| f.file.is_none()) {
                f.file = Some(open_again(&path)?);
            }
            self.recent.push(output);
        }
        Ok(self.files.get(output).and_then(|f| f.file.as_ref()))
    }

    /// Closes the output that was not used for the longest time.
    fn make_room(&mut self) {
        while self.recent.len() >= MAX_OPEN {
            let oldest = self.recent.remove(0);
            if let Some(f) = self.files.get_mut(oldest) {
                f.file = None;
            }
        }
    }
}

/// Opens an unfinished file of ours; a link in its place is never followed.
fn open_again(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW.bits();
        options.custom_flags(flags.cast_signed());
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::write_all_at;

    #[test]
    fn few_outputs_are_open_at_a_time_and_all_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = |i: usize| dir.path().join(i.to_string());
        let count = MAX_OPEN * 3;
        let files = (0..count).map(|i| {
            let file = File::create_new(path(i)).unwrap();
            ImageFile::named(&path(i), (i < MAX_OPEN).then_some(file))
        });
        let mut handles = Handles::new(files.collect());
        for round in 0..2_u64 {
            for i in 0..count {
                let file = handles.get(i).unwrap().unwrap();
                write_all_at(file, &[u8::try_from(i).unwrap()], round).unwrap();
                assert!(handles.files.iter().filter(|f| f.file.is_some()).count() <= MAX_OPEN);
            }
        }
        assert!(handles.get(count).unwrap().is_none());
        for i in 0..count {
            assert_eq!(std::fs::read(path(i)).unwrap(), [u8::try_from(i).unwrap(); 2]);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_in_place_of_an_output_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("victim"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path().join("victim"), dir.path().join("output")).unwrap();
        let mut handles = Handles::new(vec![ImageFile::named(&dir.path().join("output"), None)]);
        assert!(handles.get(0).is_err());
    }
}
