//! The only code that writes to standard error and opens standard output.
//!
//! A message that cannot be written is lost, and has no other effect: the exit status gives the result. Output that cannot be
//! written is an error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{remedy, style};
use crate::error::Error;
use crate::render::tree::Role;
use crate::text;

/// Whether warnings and notes are left out.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Prints only errors from now on.
pub fn only_errors() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Prints a remark to standard error.
pub fn say(role: Role, what: &str, message: &str) {
    if matches!(what, "warning" | "note") && QUIET.load(Ordering::Relaxed) {
        return;
    }
    line(&format!("{}: {}", style::paint_stderr(role, what), text::line(message)));
}

/// Prints an error with its hint to standard error.
pub fn error(e: &Error) {
    say(Role::Problem, "error", &e.to_string());
    if let Some(r) = e.remedy() {
        say(Role::Name, "hint", &remedy::words(r));
    }
}

/// Prints a line to standard error.
pub fn line(text: &str) {
    raw(&format!("{text}\n"));
}

/// Prints text to standard error as it is.
pub fn raw(text: &str) {
    let _ = stderr().lock().write_all(text.as_bytes());
}

/// Prints what the parser of arguments says, in colour on a terminal.
pub fn usage(e: &clap::Error) -> io::Result<()> {
    let text = e.render();
    if let Cow::Owned(escaped) = text::lines(&text.to_string()) {
        // what is invisible even so comes from the arguments, and no colour is worth it
        raw(&escaped);
        return Ok(());
    }
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let show = |terminal: bool| if terminal && !plain { text.ansi().to_string() } else { text.to_string() };
    if e.use_stderr() {
        raw(&show(stderr_is_terminal()));
        return Ok(());
    }
    let mut out = output();
    out.write_all(show(stdout_is_terminal()).as_bytes())?;
    out.flush()
}

/// Prints the help of a command.
pub fn help(command: &mut clap::Command, out: &mut dyn Write) -> io::Result<()> {
    let text = command.render_help();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || !stdout_is_terminal();
    if plain { write!(out, "{text}") } else { write!(out, "{}", text.ansi()) }
}

/// Opens standard output.
pub fn output() -> impl Write {
    io::BufWriter::with_capacity(128 << 10, stdout().lock())
}

/// Returns whether standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    stdout().is_terminal()
}

/// Returns whether standard error is a terminal.
pub fn stderr_is_terminal() -> bool {
    stderr().is_terminal()
}

#[allow(clippy::disallowed_methods, reason = "this is the one place")]
fn stdout() -> io::Stdout {
    io::stdout()
}

#[allow(clippy::disallowed_methods, reason = "this is the one place")]
fn stderr() -> io::Stderr {
    io::stderr()
}
