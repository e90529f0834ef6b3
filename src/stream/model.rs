//! What a walk finds: records, sections, gaps.

use std::sync::Arc;

use super::configuration::Configuration;
use super::frame::SectionHeader;
use super::tail::Description;
use crate::budget::Budget;
use crate::diag::Diagnostics;
use crate::error::{Error, Result};
use crate::names::{Command, RecordType};
use crate::offset::{StreamOffset, StreamRange};
use crate::schema::Schema;
use crate::value::Blob;
use crate::wire::Cursor;

/// How much of a stream a walk looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Only what questions about devices need: at the first PART, the walk jumps to the device sections at the end of
    /// a file, if at least `pass_over` bytes lie between. For shorter distances, reading is as fast, and safer.
    Devices {
        /// A length in bytes.
        pass_over: u64,
    },
    /// Every record.
    Full,
}

/// How a stream is walked.
#[derive(Clone, Debug)]
pub struct WalkOptions<'a> {
    /// How much is looked at.
    pub depth: Depth,
    /// A description from elsewhere, for a stream without one.
    pub external_schema: Option<&'a Schema>,
    /// The memory that may be used.
    pub budget: Budget,
}

/// What is known when a section begins.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The configuration section.
    pub configuration: Option<Configuration>,
    /// The two numbers of a POSTCOPY_ADVISE command: the OR of the blocks' page sizes, and the target page size.
    pub advise: Option<(u64, u64)>,
}

/// Reads payloads that no description covers.
pub trait Payloads {
    /// Returns whether there is a reader for the section, and makes it ready.
    fn open(&mut self, c: &mut Cursor<'_>, header: &SectionHeader, context: &Context, found: &mut Diagnostics) -> bool;

    /// Reads one payload and leaves the cursor on the first byte after it.
    ///
    /// # Errors
    /// Those of the reader.
    fn read(&mut self, c: &mut Cursor<'_>, id: u32, kind: RecordType, found: &mut Diagnostics) -> Result<()>;

    /// Takes notice of a command.
    ///
    /// # Errors
    /// Those of the reader; the walk notes them and goes on.
    fn command(&mut self, _command: Command, _payload: &[u8], _at: StreamOffset) -> Result<()> {
        Ok(())
    }
}

/// How the end of a section's payload was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndFound {
    /// By the sizes in the description; footer or next header confirm it.
    Description,
    /// By a reader that knows the payload.
    Reader,
    /// By searching the footer.
    Footer,
    /// By searching the next plausible header: a guess.
    NextHeader,
    /// Not at all: the stream is truncated or damaged here.
    Nowhere,
}

/// A section, or all sections of a live handler.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Section {
    /// The first header.
    pub header: SectionHeader,
    /// The payload of the first section.
    pub payload: StreamRange,
    /// Whether footers follow the payloads.
    pub footer: bool,
    /// How the end of the payload was found.
    pub end: EndFound,
    /// The index of the device in the description.
    pub device: Option<usize>,
    /// Number of START, PART, END or FULL sections.
    pub parts: u64,
    /// Bytes of all of them, headers and footers included.
    pub bytes: u64,
    /// Whether the handler's END was received; true for FULL sections.
    pub ended: bool,
    /// The payload of a FULL section, where the source cannot be read again.
    pub kept: Option<Blob>,
}

/// A command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommandRecord {
    /// Which command.
    pub command: Command,
    /// The record's bytes.
    pub range: StreamRange,
    /// Its payload, or the first bytes of it.
    pub payload: Vec<u8>,
    /// For PACKAGED, the bytes of the package, which are walked like the rest.
    pub package: Option<StreamRange>,
}

/// Bytes that are not part of any record that was understood.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gap {
    /// The bytes.
    pub range: StreamRange,
    /// Why.
    pub why: String,
    /// Whether the walk passed them over on purpose, because the question does not need them.
    pub intended: bool,
}

/// What a walk found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Walk {
    /// The file header.
    pub header: Option<StreamRange>,
    /// The configuration section.
    pub configuration: Option<Configuration>,
    /// The commands in stream order.
    pub commands: Vec<CommandRecord>,
    /// The sections in the order of their first header.
    pub sections: Vec<Section>,
    /// Whether sections have footers; `None` before the first section.
    pub footers: Option<bool>,
    /// The byte that ends the records.
    pub eof: Option<StreamOffset>,
    /// The description.
    pub description: Option<Arc<Description>>,
    /// The bytes after the stream.
    pub trailing: Option<StreamRange>,
    /// Bytes without a meaning.
    pub gaps: Vec<Gap>,
    /// Why the walk did not reach the end, when it did not.
    pub stopped: Option<Error>,
    /// What was found on the way.
    pub found: Diagnostics,
    /// Bytes accounted for by records.
    pub accounted: u64,
}

impl Walk {
    /// Returns `true` if the walk did not reach the end of the stream: it was stopped, or the records have no end.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.stopped.is_some() || self.eof.is_none()
    }
}
