//! Exit status and the last words.

use std::io;
use std::process::ExitCode;

use super::style;
use crate::error::Error;
use crate::render::tree::Role;
use crate::text::line;

/// What the exit status says.
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

impl From<Outcome> for ExitCode {
    fn from(o: Outcome) -> Self {
        match o {
            Outcome::Complete => Self::SUCCESS,
            Outcome::No => Self::from(1),
            Outcome::Unusable => Self::from(2),
            Outcome::Partial => Self::from(3),
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// The library's word.
    Library(Error),
    /// Output could not be written.
    Output(io::Error),
    /// The arguments make no sense together.
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
    /// Tells whether the reader of our output has gone, which is no failure.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Prints the failure to standard error.
    pub fn print(&self) {
        match self {
            Self::Library(e) => error(e),
            Self::Output(e) => say(Role::Problem, "error", &format!("cannot write the output: {e}")),
            Self::Usage(m) => say(Role::Problem, "error", m),
        }
    }
}

/// Prints an error with its hint to standard error.
pub fn error(e: &Error) {
    say(Role::Problem, "error", &e.to_string());
    if let Some(h) = e.hint_text() {
        say(Role::Name, "hint", h);
    }
}

/// Prints a remark to standard error.
pub fn say(role: Role, what: &str, message: &str) {
    eprintln!("{}: {}", style::paint_stderr(role, what), line(message));
}
