//! Findings that did not stop the work: severity, stable code, place and message.

use crate::error::Error;
use crate::limits::MAX_DIAGNOSTICS;
use crate::offset::{StreamRange, Sure};

/// The severity of a [`Diagnostic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Worth knowing; the result is complete.
    Note,
    /// Something unusual was worked around; the result is complete.
    Warning,
    /// Something is missing from the result.
    Error,
}

impl Level {
    /// Returns the name that output uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Its severity.
    pub level: Level,
    /// A stable code for machines, such as `vmdesc-size`.
    pub code: &'static str,
    /// The bytes it is about, if any.
    pub range: Option<StreamRange>,
    /// The section, or the path inside it, if any.
    pub path: Option<String>,
    /// What was found.
    pub message: String,
}

impl Diagnostic {
    /// Creates a finding without a place.
    #[must_use]
    pub fn new(level: Level, code: &'static str, message: impl Into<String>) -> Self {
        Self { level, code, range: None, path: None, message: message.into() }
    }

    /// Returns the same with the bytes that it is about.
    #[must_use]
    pub fn at(self, range: StreamRange) -> Self {
        Self { range: Some(range), ..self }
    }

    /// Returns the same with the section, or the path inside it.
    #[must_use]
    pub fn within(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }
}

/// The findings of one run, bounded in number.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    dropped: u64,
    errors: u64,
}

impl Diagnostics {
    /// Adds a finding.
    pub fn push(&mut self, d: Diagnostic) {
        if d.level == Level::Error {
            self.errors.tally(1);
        }
        if self.list.len() < MAX_DIAGNOSTICS {
            self.list.push(d);
        } else {
            self.dropped.tally(1);
        }
    }

    /// Adds an error after which the work went on.
    pub fn survived(&mut self, code: &'static str, e: &Error) {
        self.push(Diagnostic {
            level: Level::Error,
            code,
            range: e.stream_offset().map(|o| StreamRange::with_len(o.0, 0)),
            path: e.path(),
            message: e.message().to_owned(),
        });
    }

    /// Returns the findings in the order in which they were added.
    #[must_use]
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Returns how many findings were counted but not kept.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns whether anything is missing from the result.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }
}
