//! Files that appear under their names only when they are whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::text::shown;

/// Output files, each under a name with `.partial` until it is whole.
#[derive(Debug, Default)]
pub struct ImageFiles {
    files: Vec<(PathBuf, PathBuf)>,
    force: bool,
}

/// Whether the files hold all they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// They do; they get their names.
    Yes,
    /// They do not; they stay `.partial`.
    No,
}

impl ImageFiles {
    /// Makes an empty set; `force` lets files be overwritten that exist.
    #[must_use]
    pub fn new(force: bool) -> Self {
        Self { files: Vec::new(), force }
    }

    /// Creates the file that will become `path`, of a length, all hole.
    ///
    /// # Errors
    /// `Io` when it exists and may not be overwritten, or cannot be created.
    pub fn create(&mut self, path: &Path, len: u64) -> Result<File> {
        self.allow(path)?;
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |what: &str, e: io::Error| Error::io(format!("cannot {what} {}", shown(&partial)), e);
        // what an earlier run left behind is ours to replace, but a link is never followed
        if partial.symlink_metadata().is_ok() {
            std::fs::remove_file(&partial).map_err(|e| failed("replace", e))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&partial)
            .map_err(|e| failed("create", e))?;
        self.files.push((path.to_owned(), partial.clone()));
        file.set_len(len).map_err(|e| failed(&format!("make a file of {len} bytes of"), e))?;
        Ok(file)
    }

    /// Tells whether a file may come to be at `path`.
    ///
    /// # Errors
    /// `Io` when it exists and may not be overwritten.
    pub fn allow(&self, path: &Path) -> Result<()> {
        if !self.force && path.symlink_metadata().is_ok() {
            return Err(Error::new(ErrorKind::Io, format!("{} exists", shown(path))).hint("--force overwrites it"));
        }
        Ok(())
    }

    /// Removes what was created.
    pub fn abandon(self) {
        for (_, partial) in self.files {
            let _ = std::fs::remove_file(partial);
        }
    }

    /// Removes a file that turned out to have no content of its own.
    ///
    /// # Errors
    /// `Io` when it cannot be removed.
    pub fn forget(&mut self, path: &Path) -> Result<()> {
        let Some(i) = self.files.iter().position(|(p, _)| p == path) else { return Ok(()) };
        let (_, partial) = self.files.remove(i);
        std::fs::remove_file(&partial).map_err(|e| Error::io(format!("cannot remove {}", shown(&partial)), e))
    }

    /// Gives whole files their names; returns the names under which the files now are.
    ///
    /// # Errors
    /// `Io` when a name cannot be given.
    pub fn finish(self, whole: Whole) -> Result<Vec<PathBuf>> {
        let mut out = Vec::new();
        for (path, partial) in self.files {
            if whole == Whole::No {
                out.push(partial);
                continue;
            }
            std::fs::rename(&partial, &path)
                .map_err(|e| Error::io(format!("cannot rename {} to {}", shown(&partial), shown(&path)), e))?;
            out.push(path);
        }
        Ok(out)
    }
}
