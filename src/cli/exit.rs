//! Exit statuses and final error output.

use std::io;
use std::process::ExitCode;

pub use super::say::{error, say};
use crate::error::Error;
use crate::render::tree::Role;

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer is complete: 0.
    Complete,
    /// The answer is no: 1.
    No,
    /// Nothing usable: 2.
    Unusable,
    /// The answer is partial; standard error says why: 3.
    Partial,
}

impl Outcome {
    /// Returns the worse of two: nothing usable, then partial, then no, then complete.
    pub fn worse(self, other: Self) -> Self {
        let rank = |o: Self| match o {
            Self::Complete => 0,
            Self::No => 1,
            Self::Partial => 2,
            Self::Unusable => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// Returns the exit status.
    pub const fn status(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::No => 1,
            Self::Unusable => 2,
            Self::Partial => 3,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(o: Outcome) -> Self {
        Self::from(o.status())
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// An error from the library.
    Library(Error),
    /// Output could not be written.
    Output(io::Error),
    /// A part of the work failed; the rest can be used.
    Partial(Box<Failure>),
    /// A wrong combination of arguments.
    Usage(String),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Library(e)
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::Output(e)
    }
}

impl Failure {
    /// Returns the exit status.
    pub fn outcome(&self) -> Outcome {
        if matches!(self, Self::Partial(_)) { Outcome::Partial } else { Outcome::Unusable }
    }

    /// Returns `true` if output could not be written.
    pub fn is_output(&self) -> bool {
        matches!(self, Self::Output(_))
    }

    /// Returns whether the reader of our output has closed it, which is not a failure.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Returns the failure in words.
    pub fn text(&self) -> String {
        match self {
            Self::Library(e) => e.to_string(),
            Self::Output(e) => format!("cannot write the output: {e}"),
            Self::Partial(f) => f.text(),
            Self::Usage(m) => m.clone(),
        }
    }

    /// Prints the failure to standard error.
    pub fn print(&self) {
        match self {
            Self::Library(e) => error(e),
            Self::Output(e) => say(Role::Problem, "error", &format!("cannot write the output: {e}")),
            Self::Partial(f) => f.print(),
            Self::Usage(m) => say(Role::Problem, "error", m),
        }
    }
}
