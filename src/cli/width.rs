//! How wide output may be.

use super::say;

/// The width without a terminal.
pub const PLAIN: usize = 80;
const NARROWEST: usize = 40;
const WIDEST: usize = 400;

/// Returns the width in columns: the one that was given, COLUMNS, that of the terminal, or 80.
pub fn columns(given: Option<usize>) -> usize {
    let from_environment = || std::env::var("COLUMNS").ok().and_then(|t| t.parse().ok());
    let of_terminal = || say::stdout_is_terminal().then(terminal_size::terminal_size).flatten();
    let of_terminal = || of_terminal().map(|(w, _)| usize::from(w.0));
    given.or_else(from_environment).or_else(of_terminal).unwrap_or(PLAIN).clamp(NARROWEST, WIDEST)
}

/// Returns the width of a table that other programs may read: without a terminal and without COLUMNS nothing is shortened.
pub fn of_table() -> usize {
    if say::stdout_is_terminal() || std::env::var_os("COLUMNS").is_some() { columns(None) } else { usize::MAX }
}
