//! The command line.

mod args;
mod check;
mod compat;
mod cpu;
mod devices;
mod diff;
mod dump;
mod exit;
mod extract;
mod info;
mod memory;
mod open;
mod progress;
mod report;
mod state;
mod style;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;

use crate::text;
use args::{Args, Command};
use exit::{Failure, Outcome};

/// Runs the command line and returns its exit status.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::parse_line(std::env::args_os()) {
        Ok(a) => a,
        Err(e) => {
            let outcome = if e.use_stderr() { Outcome::Unusable } else { Outcome::Complete };
            print_usage(e);
            return outcome.into();
        }
    };
    style::init(args.color);
    let mut out = io::BufWriter::with_capacity(128 << 10, io::stdout().lock());
    let result = run(args, &mut out).and_then(|o| {
        out.flush()?;
        Ok(o)
    });
    match result {
        Ok(outcome) => outcome.into(),
        Err(f) if f.is_closed_pipe() => Outcome::Complete.into(),
        Err(f) => {
            let _ = out.flush();
            f.print();
            Outcome::Unusable.into()
        }
    }
}

/// Prints what is wrong with the arguments, or the help that was asked for. Arguments may hold what a terminal obeys: the same is wrong
/// with their visible form.
fn print_usage(e: clap::Error) {
    let visible = std::env::args_os().map(|a| OsString::from(text::shown(a).to_string()));
    let e = Args::parse_line(visible).err().unwrap_or(e);
    match text::lines(&e.render().to_string()) {
        Cow::Owned(escaped) => eprint!("{escaped}"),
        Cow::Borrowed(_) => drop(e.print()),
    }
}

fn run(args: Args, out: &mut dyn Write) -> Result<Outcome, Failure> {
    match args.command {
        Some(Command::Info(a)) => info::run(&a, out),
        Some(Command::State(a)) => state::run(&a, out),
        Some(Command::Cpu(a)) => cpu::run(&a, out),
        Some(Command::Diff(a)) => diff::run(&a, out),
        Some(Command::Check(a)) => check::run(&a, out),
        Some(Command::Pci(a)) => devices::pci(&a, out),
        Some(Command::Virtio(a)) => devices::virtio(&a, out),
        Some(Command::Extract(a)) => extract::run(&a, out),
        Some(Command::Compat(a)) => compat::run(&a, out),
        None if args.dump.file.is_some() || args.dump.path.is_some() => dump::run(&args.dump, out),
        None => {
            Args::command().print_help()?;
            Ok(Outcome::Unusable)
        }
    }
}

/// Returns the definition of the command line, for those who test and document it.
#[must_use]
pub fn command() -> clap::Command {
    Args::command()
}
