//! What a file is, by its content, and how its stream is reached.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod signature;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

pub use signature::{Answer, Signature, identify};

use crate::error::{Error, ErrorKind, Result};
use crate::offset::FileOffset;
use crate::wire::{FileSource, PipeSource, Source};

/// An input whose stream can be read.
#[derive(Clone)]
pub struct Container {
    /// What wraps the stream.
    pub kind: ContainerKind,
    /// Where the stream begins in the file.
    pub stream_start: FileOffset,
    /// The stream's bytes.
    pub source: Arc<dyn Source>,
}

/// What wraps a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerKind {
    /// Nothing: a file that begins with the stream.
    Raw,
    /// Nothing: the stream comes through a pipe.
    Pipe,
}

impl ContainerKind {
    /// Returns what output calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw stream",
            Self::Pipe => "raw stream from a pipe",
        }
    }
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Container({}, stream at {})", self.kind.name(), self.stream_start)
    }
}

/// Opens a file.
///
/// # Errors
/// `Io`; `NotASaveImage` and `Unsupported`, with the name of what the file is instead.
pub fn open_file(path: &Path) -> Result<Container> {
    let shown = path.display();
    let file = File::open(path).map_err(|e| Error::io(format!("cannot open {shown}"), e))?;
    let meta = file.metadata().map_err(|e| Error::io(format!("cannot look at {shown}"), e))?;
    if meta.is_dir() {
        return Err(Error::new(ErrorKind::NotASaveImage, format!("{shown}: expected a file, found a directory")));
    }
    if !is_seekable(&meta) {
        return from_reader(Box::new(file));
    }
    let source = FileSource::new(file, 0).map_err(|e| Error::io(format!("cannot read {shown}"), e))?;
    let mut head = [0; signature::HEAD];
    let n = source.read_full(0, &mut head).map_err(|e| Error::io(format!("cannot read {shown}"), e))?;
    signature::must_be_stream(head.get(..n).unwrap_or_default())?;
    Ok(Container { kind: ContainerKind::Raw, stream_start: FileOffset(0), source: Arc::new(source) })
}

/// Opens standard input: as a file when it is one, as a pipe otherwise.
///
/// # Errors
/// As [`open_file`].
pub fn open_stdin() -> Result<Container> {
    from_reader(Box::new(io::stdin()))
}

/// Opens a reader that cannot seek.
///
/// # Errors
/// As [`open_file`].
pub fn from_reader(reader: Box<dyn Read + Send>) -> Result<Container> {
    let source = PipeSource::new(reader);
    let mut head = [0; signature::HEAD];
    let n = source.read_full(0, &mut head).map_err(|e| Error::io("cannot read standard input", e))?;
    signature::must_be_stream(head.get(..n).unwrap_or_default())?;
    Ok(Container { kind: ContainerKind::Pipe, stream_start: FileOffset(0), source: Arc::new(source) })
}

#[cfg(unix)]
fn is_seekable(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let t = meta.file_type();
    t.is_file() || t.is_block_device()
}

#[cfg(not(unix))]
fn is_seekable(meta: &std::fs::Metadata) -> bool {
    meta.is_file()
}
