//! Files that get their names only when they are whole.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use super::image_file::{ImageFile, MAX_OPEN};
use super::naming::{self, Directory};
use super::unfinished::Unfinished;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::offset::Sure;
use crate::text::shown;

/// Bytes of a name that stay in front of the random part of a temporary name; file systems take 255 in all.
const MAX_STEM: usize = 230;
/// Temporary names that are tried; one is enough, but for luck.
const TRIES: u32 = 100;

/// How output files are made.
#[derive(Clone, Debug, Default)]
pub struct FileRules {
    /// Whether files that exist are replaced.
    pub force: bool,
    /// Whether only the owner may read the files: they hold guest memory.
    pub private: bool,
    /// Whether to leave it to the system when the files reach the disk.
    pub no_sync: bool,
    /// Where the files are listed until they are finished.
    pub unfinished: Unfinished,
}

/// Output files, each under a temporary name, `NAME.XXXXXX.partial`, until all are whole.
///
/// Files that are neither finished nor kept are removed when the set is dropped.
#[derive(Debug, Default)]
pub struct ImageFiles {
    rules: FileRules,
    files: Vec<Pending>,
    by_path: HashMap<PathBuf, usize>,
}

#[derive(Debug)]
struct Pending {
    path: PathBuf,
    partial: PathBuf,
    forgotten: bool,
}

/// Whether the files hold all they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// They do; they get their names.
    Yes,
    /// They do not; they keep their temporary names.
    No,
}

/// A file after the end of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// The name that it was made for.
    pub path: PathBuf,
    /// The name under which it is.
    pub now: PathBuf,
}

impl ImageFiles {
    /// Creates an empty set.
    #[must_use]
    pub fn new(rules: FileRules) -> Self {
        Self { rules, files: Vec::new(), by_path: HashMap::new() }
    }

    /// Creates the temporary file for `path`, with a length but no data.
    ///
    /// # Errors
    /// `Io` when it exists and may not be overwritten, or cannot be created.
    pub fn create(&mut self, path: &Path, len: u64) -> Result<File> {
        self.allow(path)?;
        let (file, partial) = self.create_partial(path)?;
        self.by_path.insert(path.to_owned(), self.files.len());
        let shown = shown(&partial).to_string();
        self.files.push(Pending { path: path.to_owned(), partial, forgotten: false });
        if let Err(e) = file.set_len(len) {
            self.forget(path)?;
            return Err(cannot_write(format!("cannot set the size of {shown} to {len} bytes"), e));
        }
        Ok(file)
    }

    /// Creates an output for [`super::PageImages`]. Only the first of them are held open.
    ///
    /// # Errors
    /// Same as [`ImageFiles::create`].
    pub fn create_image(&mut self, path: &Path, len: u64) -> Result<ImageFile> {
        let file = self.create(path, len)?;
        let open = (self.files.len() <= MAX_OPEN).then_some(file);
        let partial = self.files.last().map(|f| f.partial.as_path()).unwrap_or(path);
        Ok(ImageFile::named(partial, open))
    }

    /// Creates an empty file under a unique temporary name.
    fn create_partial(&self, path: &Path) -> Result<(File, PathBuf)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        if self.rules.private {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let mut tries = 0_u32;
        loop {
            let partial = temporary_name(path);
            match self.rules.unfinished.create(&partial, &options) {
                Ok(file) => return Ok((file, partial)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => tries.tally(1),
                Err(e) => return Err(cannot_write(format!("cannot create {}", shown(&partial)), e)),
            }
        }
    }

    /// Returns whether a file may come to be at `path`.
    ///
    /// # Errors
    /// `Io` when it exists and may not be overwritten.
    pub fn allow(&self, path: &Path) -> Result<()> {
        if !self.rules.force && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        Ok(())
    }

    /// Removes a file that turned out to have no content of its own.
    ///
    /// # Errors
    /// `Io` when it cannot be removed.
    pub fn forget(&mut self, path: &Path) -> Result<()> {
        let Some(f) = self.by_path.remove(path).and_then(|i| self.files.get_mut(i)) else { return Ok(()) };
        f.forgotten = true;
        self.rules
            .unfinished
            .delete(&f.partial)
            .map_err(|e| Error::io(format!("cannot remove {}", shown(&f.partial)), e))
    }

    /// Ends the work: whole files reach the disk and get their names, others keep their temporary names. Empty files that
    /// are not whole are removed.
    ///
    /// # Errors
    /// `Io` when a file cannot be made safe on the disk, or when a name is taken. The files that have no name yet keep
    /// their temporary names, which the hint gives.
    pub fn finish(mut self, whole: Whole) -> Result<Vec<Finished>> {
        let files: Vec<Pending> = std::mem::take(&mut self.files).into_iter().filter(|f| !f.forgotten).collect();
        if whole == Whole::No {
            return Ok(self.keep(files));
        }
        let mut named = Vec::with_capacity(files.len());
        match self.give_names(&files, &mut named) {
            Ok(()) => Ok(named),
            Err(e) => {
                let left = self.keep(files.into_iter().skip(named.len()).collect());
                Err(match left.as_slice() {
                    [] => e,
                    [one] => e.hint(format!("what was written is in {}", shown(&one.now))),
                    [one, rest @ ..] => {
                        e.hint(format!("what was written is in {} and {} more files", shown(&one.now), rest.len()))
                    }
                })
            }
        }
    }

    /// Leaves files under their temporary names.
    fn keep(&self, files: Vec<Pending>) -> Vec<Finished> {
        let mut out = Vec::with_capacity(files.len());
        for f in files {
            if f.partial.metadata().is_ok_and(|m| m.len() == 0) {
                let _ = self.rules.unfinished.delete(&f.partial);
                continue;
            }
            self.rules.unfinished.keep(&f.partial);
            out.push(Finished { path: f.path, now: f.partial });
        }
        out
    }

    fn give_names(&self, files: &[Pending], named: &mut Vec<Finished>) -> Result<()> {
        if !self.rules.no_sync {
            naming::sync_files(files.iter().map(|f| f.partial.as_path()))?;
        }
        let parents: BTreeSet<&Path> = files.iter().map(|f| naming::parent(&f.path)).collect();
        // two runs into one directory name their files one after the other
        let directories = parents.into_iter().map(Directory::lock).collect::<Result<Vec<_>>>()?;
        for f in files {
            self.rules.unfinished.rename(&f.partial, &f.path, self.rules.force).map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => exists(&f.path),
                _ => Error::io(format!("cannot rename {} to {}", shown(&f.partial), shown(&f.path)), e),
            })?;
            named.push(Finished { path: f.path.clone(), now: f.path.clone() });
        }
        if !self.rules.no_sync {
            directories.iter().try_for_each(Directory::sync)?;
        }
        Ok(())
    }
}

impl Drop for ImageFiles {
    fn drop(&mut self) {
        for f in self.files.iter().filter(|f| !f.forgotten) {
            let _ = self.rules.unfinished.delete(&f.partial);
        }
    }
}

fn exists(path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{} already exists", shown(path))).hint(Remedy::Overwrite)
}

/// Returns the error for an output that cannot be written.
pub(super) fn cannot_write(what: String, e: io::Error) -> Error {
    let limited = e.kind() == io::ErrorKind::FileTooLarge;
    let error = Error::io(what, e);
    if limited {
        error.hint("the file system or the file size limit (ulimit -f) does not allow a larger file")
    } else {
        error
    }
}

/// Returns `NAME.XXXXXX.partial`, with random characters in the middle.
fn temporary_name(path: &Path) -> PathBuf {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = RandomState::new().hash_one(0);
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    if name.len() > MAX_STEM {
        let text = name.to_string_lossy().into_owned();
        let end = (0..=MAX_STEM).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        name = OsString::from(text.get(..end).unwrap_or_default());
    }
    let mut middle = String::from(".");
    for _ in 0..6 {
        let i = usize::try_from(random & 31).unwrap_or(0);
        middle.push(char::from(LETTERS.get(i).copied().unwrap_or(b'a')));
        random >>= 5;
    }
    name.push(middle);
    name.push(".partial");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn rules(force: bool) -> FileRules {
        FileRules { force, private: true, ..FileRules::default() }
    }

    fn listing(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn two_runs_into_one_directory_do_not_share_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pc.ram");
        let (mut a, mut b) = (ImageFiles::new(rules(false)), ImageFiles::new(rules(false)));
        a.create(&path, 4).unwrap().write_all(b"aaaa").unwrap();
        b.create(&path, 4).unwrap().write_all(b"bbbb").unwrap();
        assert_eq!(listing(dir.path()).len(), 2);
        b.finish(Whole::Yes).unwrap();
        let e = a.finish(Whole::Yes).unwrap_err();
        assert!(e.to_string().contains("exists"), "{e}");
        assert_eq!(std::fs::read(&path).unwrap(), b"bbbb");
        let left = listing(dir.path());
        assert!(
            left.len() == 2 && left[1].ends_with(".partial") && e.hint_text().unwrap().contains(&left[1]),
            "{left:?}"
        );
    }

    #[test]
    fn force_replaces_and_the_last_to_finish_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pc.ram");
        std::fs::write(&path, "old").unwrap();
        assert!(ImageFiles::new(rules(false)).create(&path, 1).is_err());
        let (mut a, mut b) = (ImageFiles::new(rules(true)), ImageFiles::new(rules(true)));
        a.create(&path, 1).unwrap().write_all(b"a").unwrap();
        b.create(&path, 1).unwrap().write_all(b"b").unwrap();
        b.finish(Whole::Yes).unwrap();
        a.finish(Whole::Yes).unwrap();
        assert_eq!((std::fs::read(&path).unwrap(), listing(dir.path()).len()), (b"a".to_vec(), 1));
    }

    #[test]
    fn what_is_not_finished_is_removed_and_older_files_are_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let old = ["pc.ram.partial", "pc.ram.abcdef.partial"];
        old.iter().for_each(|n| std::fs::write(dir.path().join(n), "of an older run").unwrap());
        let mut files = ImageFiles::new(rules(false));
        files.create(&dir.path().join("pc.ram"), 8).unwrap();
        files.create(&dir.path().join("vga.vram"), 8).unwrap();
        drop(files);
        assert_eq!(listing(dir.path()), [old[1], old[0]]);
    }

    #[test]
    fn an_unfinished_file_is_kept_unless_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = ImageFiles::new(rules(false));
        files.create(&dir.path().join("full"), 8).unwrap();
        files.create(&dir.path().join("empty"), 0).unwrap();
        files.create(&dir.path().join("forgotten"), 8).unwrap();
        files.forget(&dir.path().join("forgotten")).unwrap();
        let kept = files.finish(Whole::No).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].path, dir.path().join("full"));
        assert!(listing(dir.path()).len() == 1 && kept[0].now.exists());
    }

    #[test]
    #[cfg(unix)]
    fn guest_memory_is_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pc.ram");
        let mut files = ImageFiles::new(rules(false));
        let file = files.create(&path, 8).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        files.finish(Whole::Yes).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_temporary_name_fits_and_differs_each_time() {
        let path = Path::new("dir").join("é".repeat(127));
        let (a, b) = (temporary_name(&path), temporary_name(&path));
        assert_ne!(a, b);
        assert!(a.file_name().unwrap().len() <= 255 && a.parent() == Some(Path::new("dir")));
        assert!(temporary_name(Path::new("pc.ram")).to_str().unwrap().starts_with("pc.ram."));
    }
}
