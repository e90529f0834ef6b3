//! Sections of live handlers: START, PART and END payloads that no description covers.

use crate::diag::Diagnostics;
use crate::error::Result;
use crate::names::RecordType;
use crate::text::Name;
use crate::wire::Cursor;

/// Reads the payloads of one live handler, one after the other, keeping what later ones need of earlier ones.
pub trait LiveSection {
    /// Reads one payload and leaves the cursor on the first byte after it.
    ///
    /// `kind` is START, PART, END, or FULL for a handler that also saves in one go.
    ///
    /// # Errors
    /// `Truncated`, `Corrupt` and `Unsupported`, at the offset of the value that is wrong. The caller then searches the
    /// footer, so that only this payload is lost.
    fn read(&mut self, c: &mut Cursor<'_>, kind: RecordType, found: &mut Diagnostics) -> Result<()>;

    /// Returns what has been learned so far, for tables and JSON.
    fn facts(&self) -> Vec<Fact>;
}

/// Something learned about a live section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// A stable name in snake case, with the unit if there is one.
    pub name: &'static str,
    /// The value.
    pub value: FactValue,
}

/// The value of a [`Fact`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FactValue {
    /// A count.
    Count(u64),
    /// A size in bytes.
    Bytes(u64),
    /// Text.
    Text(Name),
    /// Several texts.
    List(Vec<Name>),
}

/// A row in a table of live handlers.
#[non_exhaustive]
pub struct LiveKind {
    /// What the section is, in a few words.
    pub what: &'static str,
    /// Tells by the section's name whether it is one of these.
    pub matches: fn(idstr: &str) -> bool,
    /// The versions of the section that the reader knows.
    pub versions: &'static [u32],
    /// Creates a reader for one section.
    pub make: fn() -> Box<dyn LiveSection>,
}
