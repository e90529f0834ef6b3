//! The command line.

mod check;
mod compat;
mod cpu;
mod devices;
mod diff;
mod dmesg;
mod dump;
mod exit;
mod extract;
mod info;
mod interrupt;
mod linux;
mod many;
mod memory;
mod near;
mod open;
mod progress;
mod read;
mod remedy;
mod report;
mod root;
mod say;
mod shared;
mod state;
mod style;
mod symbols;
mod tell;
mod unwrap;
mod width;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;

use crate::text;
use exit::{Failure, Outcome};
use root::{Args, Command};

/// Runs the command line and returns its exit status.
#[must_use]
pub fn main() -> ExitCode {
    interrupt::report_file_size_limit();
    interrupt::report_refused_memory();
    if let Some((word, command)) = root::mistyped(std::env::args_os()) {
        let what = format!("no command and no file is called {}; did you mean {command}?", text::quoted(&word));
        return end(Err(Failure::Usage(what)));
    }
    let args = match Args::parse_line(std::env::args_os()) {
        Ok(a) => a,
        Err(e) => {
            let outcome = if e.use_stderr() { Outcome::Unusable } else { Outcome::Complete };
            return end(print_usage(e).map(|()| outcome));
        }
    };
    style::init(args.color, (say::stdout_is_terminal(), say::stderr_is_terminal()));
    if args.is_quiet() {
        say::only_errors();
    }
    let mut out = say::output();
    let result = run(args, &mut out);
    // what was said before a failure is output too
    let flushed = out.flush().map_err(Failure::from);
    end(result.and_then(|outcome| flushed.map(|()| outcome)))
}

/// Says why there is no answer, if there is none, and returns the exit status.
fn end(result: Result<Outcome, Failure>) -> ExitCode {
    match result {
        Ok(outcome) => outcome.into(),
        Err(f) if f.is_closed_pipe() => Outcome::Complete.into(),
        Err(f) => {
            f.print();
            f.outcome().into()
        }
    }
}

/// Prints what is wrong with the arguments, or the help that was asked for. Arguments may hold what a terminal obeys: the same is wrong
/// with their visible form.
fn print_usage(e: clap::Error) -> Result<(), Failure> {
    let visible = std::env::args_os().map(|a| OsString::from(text::shown(a).to_string()));
    let e = Args::parse_line(visible).err().unwrap_or(e);
    Ok(say::usage(&e)?)
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
        Some(Command::Dmesg(a)) => dmesg::run(&a, out),
        Some(Command::Linux(a)) => linux::run(&a, out),
        Some(Command::Symbols(a)) => symbols::run(&a, out),
        Some(Command::Read(a)) => read::run(&a, out),
        Some(Command::Compat(a)) => compat::run(&a, out),
        Some(Command::Unwrap(a)) => unwrap::run(&a, out),
        Some(Command::Completions(a)) => tell::completions(&a, Args::command(), out),
        Some(Command::Man(a)) => tell::man(&a, Args::command(), out),
        Some(Command::Schema(a)) => tell::schema(&a, out),
        None if args.dump.file.is_some() || args.dump.path.is_some() => dump::run(&args.dump, out),
        None => {
            say::help(&mut Args::command(), out)?;
            Ok(Outcome::Unusable)
        }
    }
}

/// Returns the definition of the command line, for those who test and document it.
#[must_use]
pub fn command() -> clap::Command {
    Args::command()
}
