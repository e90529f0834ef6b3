//! Gives complete files their names: the content is synced to disk, the file is renamed without accidentally
//! replacing another, and the directory is synced.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};
use crate::text::shown;

/// From this many files on, the file system is asked once instead of file by file.
const MANY: usize = 64;

/// Returns the directory of a path.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until the content of files is on the disk.
pub(super) fn sync_files<'a>(paths: impl ExactSizeIterator<Item = &'a Path>) -> Result<()> {
    let many = paths.len() > MANY;
    for path in paths {
        let file = File::open(path).map_err(|e| Error::io(format!("cannot open {}", shown(path)), e))?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if many && rustix::fs::syncfs(&file).is_ok() {
            return Ok(());
        }
        let _ = many;
        sync(&file).map_err(|e| Error::io(format!("cannot write {} to the disk", shown(path)), e))?;
    }
    Ok(())
}

/// Some file systems do not support syncing; that is not an error.
fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        done => done,
    }
}

/// A directory in which one process at a time names its files.
pub(super) struct Directory {
    file: File,
    shown: String,
}

impl Directory {
    /// Opens and locks a directory, waiting for other runs that name files in it. On file systems without locks, it
    /// does not wait.
    pub(super) fn lock(path: &Path) -> Result<Self> {
        let shown = shown(path).to_string();
        let file = File::open(path).map_err(|e| Error::io(format!("cannot open {shown}"), e))?;
        #[cfg(unix)]
        while let Err(rustix::io::Errno::INTR) = rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive) {}
        Ok(Self { file, shown })
    }

    /// Waits until the names in the directory are on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        sync(&self.file).map_err(|e| Error::io(format!("cannot write the names in {} to the disk", self.shown), e))
    }
}

/// Renames a file; without `force`, never over another.
pub(super) fn rename(from: &Path, to: &Path, force: bool) -> io::Result<()> {
    if force {
        return std::fs::rename(from, to);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // an old kernel, or a file system without it
            Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => {}
            Err(e) => return Err(e.into()),
        }
    }
    link_and_remove(from, to)
}

/// Renames with a hard link, if the system has no rename that refuses to replace.
fn link_and_remove(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        // no second names either: a look before is the best there is
        Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => std::fs::rename(from, to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_replaces_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for way in [|a: &Path, b: &Path| rename(a, b, false), link_and_remove] {
            std::fs::write(&a, "a").unwrap();
            std::fs::write(&b, "b").unwrap();
            assert_eq!(way(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(&b).unwrap(), b"b");
            std::fs::remove_file(&b).unwrap();
            way(&a, &b).unwrap();
            assert!(!a.exists() && std::fs::read(&b).unwrap() == b"a");
        }
        std::fs::write(&a, "new").unwrap();
        rename(&a, &b, true).unwrap();
        assert_eq!(std::fs::read(&b).unwrap(), b"new");
    }
}
