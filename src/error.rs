//! The one error of the library: what was expected, what was found, and where.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use crate::offset::{FileOffset, StreamOffset};
use crate::text::{Name, line};

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused an operation on a file.
    Io,
    /// The input is not saved machine state.
    NotASaveImage,
    /// The input is recognised, but its format or feature cannot be read.
    Unsupported,
    /// The input does not hold what was asked for, such as a page that was not sent.
    Missing,
    /// The input ends before the thing that was being read.
    Truncated,
    /// The input contradicts itself or the format.
    Corrupt,
    /// A description is needed and there is none.
    SchemaMissing,
    /// The description and the bytes disagree.
    SchemaMismatch,
    /// The input asks for more than [`crate::limits`] allows.
    LimitExceeded,
}

impl ErrorKind {
    /// Returns the stable name that JSON output uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::NotASaveImage => "not-a-save-image",
            Self::Unsupported => "unsupported",
            Self::Missing => "missing",
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
            Self::SchemaMissing => "schema-missing",
            Self::SchemaMismatch => "schema-mismatch",
            Self::LimitExceeded => "limit-exceeded",
        }
    }
}

/// What the user of a library or of a program can try after an error. A program names its own option for each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Choose one of these snapshots of a qcow2 image.
    ChooseSnapshot(Vec<SnapshotChoice>),
    /// Extract the RAM blocks one by one, or supply their guest-physical addresses.
    PlaceBlocks,
    /// Extract the RAM blocks one by one.
    ExtractBlocks,
    /// Supply the offset of the stream in the file, which seems to be this one if there is one.
    SupplyOffset(Option<u64>),
    /// Supply a description of the devices.
    SupplySchema,
    /// Raise the limit on memory.
    RaiseMemoryLimit,
    /// Allow that the file is replaced.
    Overwrite,
    /// Anything else, in words.
    Other(String),
}

/// A snapshot that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotChoice {
    /// Its id.
    pub id: Name,
    /// Its name.
    pub name: Name,
    /// Bytes of machine state; 0 for a snapshot of the disk only.
    pub state_bytes: u64,
    /// When it was taken, in seconds since 1970.
    pub date_sec: u32,
}

impl From<&str> for Remedy {
    fn from(text: &str) -> Self {
        Self::Other(printable(text))
    }
}

impl From<String> for Remedy {
    fn from(text: String) -> Self {
        Self::Other(printable(text))
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChooseSnapshot(all) => {
                let words: Vec<String> = all
                    .iter()
                    .filter(|s| s.state_bytes > 0)
                    .take(20)
                    .map(|s| format!("{} (id {}, {} bytes of state)", s.name, s.id, s.state_bytes))
                    .collect();
                write!(f, "choose a snapshot by name or id: {}", words.join(", "))
            }
            Self::PlaceBlocks => f.write_str("extract the RAM blocks one by one, or supply their addresses"),
            Self::ExtractBlocks => f.write_str("extract the RAM blocks one by one"),
            Self::SupplyOffset(Some(n)) => write!(f, "a migration stream seems to begin at {n:#x}: supply that offset"),
            Self::SupplyOffset(None) => {
                f.write_str("QEMU's `file:PATH,offset=N` leaves zeros before the stream: supply that offset")
            }
            Self::SupplySchema => f.write_str("supply a description of the devices"),
            Self::RaiseMemoryLimit => f.write_str("raise the limit on memory"),
            Self::Overwrite => f.write_str("remove the file, or allow that it is replaced"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// An operation that failed: message, offset, path and cause, in one boxed word.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    stream: Option<StreamOffset>,
    file: Option<FileOffset>,
    /// Innermost frame first; printed outermost first.
    path: Vec<String>,
    remedy: Option<Remedy>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Returns text on one line with invisible characters escaped; names from the input are already escaped.
fn printable(text: impl Into<String>) -> String {
    let text = text.into();
    match line(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    }
}

impl Error {
    /// Creates an error without a position.
    #[cold]
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: printable(message),
            stream: None,
            file: None,
            path: Vec::new(),
            remedy: None,
            source: None,
        }))
    }

    /// Creates a [`ErrorKind::Corrupt`] error at a stream offset.
    #[cold]
    #[must_use]
    pub fn corrupt(at: StreamOffset, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message).at(at)
    }

    /// Creates a [`ErrorKind::Truncated`] error at a stream offset.
    #[cold]
    #[must_use]
    pub fn truncated(at: StreamOffset, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Truncated, message).at(at)
    }

    /// Creates an [`ErrorKind::Io`] error with its cause.
    #[cold]
    #[must_use]
    pub fn io(message: impl Into<String>, cause: std::io::Error) -> Self {
        let mut e = Self::new(ErrorKind::Io, message);
        e.0.source = Some(Box::new(cause));
        e
    }

    /// Sets the stream offset, unless one is set already.
    #[must_use]
    pub fn at(mut self, at: StreamOffset) -> Self {
        self.0.stream.get_or_insert(at);
        self
    }

    /// Sets the file offset, unless one is set already.
    #[must_use]
    pub fn at_file(mut self, at: FileOffset) -> Self {
        self.0.file.get_or_insert(at);
        self
    }

    /// Adds an outer frame to the path (section, then vmsd, then field, from the inside outwards).
    #[must_use]
    pub fn within(mut self, frame: impl Into<String>) -> Self {
        self.0.path.push(printable(frame));
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, remedy: impl Into<Remedy>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message without position and path.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the stream offset, if known.
    #[must_use]
    pub fn stream_offset(&self) -> Option<StreamOffset> {
        self.0.stream
    }

    /// Returns the file offset, if known.
    #[must_use]
    pub fn file_offset(&self) -> Option<FileOffset> {
        self.0.file
    }

    /// Returns the path, outermost frame first, or `None` if there is none.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        if self.0.path.is_empty() {
            return None;
        }
        Some(self.0.path.iter().rev().map(String::as_str).collect::<Vec<_>>().join(" > "))
    }

    /// Returns what the user can do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&Remedy> {
        self.0.remedy.as_ref()
    }

    /// Returns what the user can try, in words that name no option of a program.
    #[must_use]
    pub fn hint_text(&self) -> Option<String> {
        self.0.remedy.as_ref().map(ToString::to_string)
    }
}

impl From<std::io::Error> for Error {
    /// Creates an [`ErrorKind::Io`] error.
    fn from(cause: std::io::Error) -> Self {
        Self::io("input or output failed", cause)
    }
}

/// Returns the text of a cause without the number of the system's error, which is of no use to people.
#[must_use]
pub fn cause_in_words(cause: &dyn StdError) -> String {
    let text = cause.to_string();
    match text.rfind(" (os error ").and_then(|i| text.get(..i)) {
        Some(words) => words.to_owned(),
        None => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(cause) = &self.0.source {
            write!(f, ": {}", line(&cause_in_words(cause.as_ref())))?;
        }
        let mut place = Vec::new();
        if let Some(o) = self.0.stream {
            place.push(format!("stream {o}"));
        }
        if let Some(o) = self.0.file
            && self.0.stream.is_none_or(|s| s.0 != o.0)
        {
            place.push(format!("file {o}"));
        }
        if let Some(p) = self.path() {
            place.push(format!("in {p}"));
        }
        if !place.is_empty() {
            write!(f, " ({})", place.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|s| s.as_ref() as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_gives_message_offsets_and_path() {
        let e = Error::corrupt(StreamOffset(0x1f3a), "section footer: expected id 12, found 0")
            .at_file(FileOffset(0x51f3a))
            .within("timer (0)");
        assert_eq!(
            e.to_string(),
            "section footer: expected id 12, found 0 (stream 0x1f3a, file 0x51f3a, in timer (0))"
        );
    }

    #[test]
    fn same_offset_in_stream_and_file_is_said_once() {
        let e = Error::truncated(StreamOffset(16), "unexpected end").at_file(FileOffset(16));
        assert_eq!(e.to_string(), "unexpected end (stream 0x10)");
    }

    #[test]
    fn path_reads_from_the_outside_in() {
        let e = Error::new(ErrorKind::Corrupt, "x").within("fields").within("cpu").within("cpu (0)");
        assert_eq!(e.path().as_deref(), Some("cpu (0) > cpu > fields"));
    }
}
