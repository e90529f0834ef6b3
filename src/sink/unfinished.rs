//! The list of unfinished files, which whoever ends the process early removes.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::naming;
use crate::offset::Sure;

/// The unfinished files of a process. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Unfinished(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    paths: HashSet<PathBuf>,
    /// Whether the process is ending: no more files are created or renamed.
    ending: bool,
}

impl List {
    fn go_on(&self) -> io::Result<()> {
        if self.ending { Err(io::Error::from(io::ErrorKind::Interrupted)) } else { Ok(()) }
    }
}

impl Unfinished {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn create(&self, partial: &Path, options: &OpenOptions) -> io::Result<File> {
        let mut list = self.lock();
        list.go_on()?;
        let file = options.open(partial)?;
        list.paths.insert(partial.to_owned());
        Ok(file)
    }

    pub(super) fn rename(&self, partial: &Path, path: &Path, force: bool) -> io::Result<()> {
        let mut list = self.lock();
        list.go_on()?;
        naming::rename(partial, path, force)?;
        list.paths.remove(partial);
        Ok(())
    }

    pub(super) fn delete(&self, partial: &Path) -> io::Result<()> {
        let mut list = self.lock();
        if list.paths.remove(partial) { std::fs::remove_file(partial) } else { Ok(()) }
    }

    pub(super) fn keep(&self, partial: &Path) {
        self.lock().paths.remove(partial);
    }

    /// Removes all unfinished files, and lets none be created or renamed any more. Returns how many were removed, and the
    /// paths of those that could not be.
    #[must_use]
    pub fn remove_all(&self) -> (usize, Vec<PathBuf>) {
        let mut list = self.lock();
        list.ending = true;
        let paths = std::mem::take(&mut list.paths);
        let all = paths.len();
        let mut left: Vec<PathBuf> = paths.into_iter().filter(|p| std::fs::remove_file(p).is_err()).collect();
        left.sort();
        (all.minus(left.len()), left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_removes_what_is_listed_and_lets_nothing_begin() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: &str| dir.path().join(n);
        let list = Unfinished::default();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        for name in ["a", "b", "kept", "named", "gone"] {
            list.create(&path(name), &options).unwrap();
        }
        list.keep(&path("kept"));
        list.rename(&path("named"), &path("name"), false).unwrap();
        std::fs::remove_file(path("gone")).unwrap();
        assert_eq!(list.remove_all(), (2, vec![path("gone")]));
        assert!(!path("a").exists() && path("kept").exists() && path("name").exists());
        assert!(list.create(&path("c"), &options).is_err());
        assert!(list.rename(&path("kept"), &path("d"), false).is_err());
    }
}
