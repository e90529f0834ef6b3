//! `linux`: what a Linux guest says of itself in its memory, without debug symbols.

mod bt;
mod files;
mod lsmod;
mod net;
mod print;
mod ps;
mod sym;
mod types;

use std::io::Write;

use clap::{Args as ClapArgs, Subcommand};

use super::exit::{Failure, Outcome, say};
use super::open;
use super::shared::InputArgs;
use crate::error::Error;
use crate::image::SaveImage;
use crate::inspect;
use crate::os::linux::find::locate;
use crate::os::linux::guest::Guest;
use crate::render::tree::Role;

/// Arguments of `linux`.
#[derive(Debug, ClapArgs)]
pub struct LinuxArgs {
    #[command(subcommand)]
    pub question: Question,
}

/// What is asked of the guest.
#[derive(Debug, Subcommand)]
pub enum Question {
    /// List processes and threads.
    Ps(ps::PsArgs),
    /// List loaded modules.
    Lsmod(lsmod::LsmodArgs),
    /// List network interfaces and sockets.
    Net(net::NetArgs),
    /// List open files, or mounts.
    Files(files::FilesArgs),
    /// Print the stacks of CPUs and threads.
    Bt(bt::BtArgs),
    /// Find kernel symbols by name or address, or list all of them.
    Sym(sym::SymArgs),
    /// Print types of the kernel in C, with the offset of each member.
    Type(types::TypeArgs),
    /// Print variables, members and lists of the kernel.
    Print(print::PrintArgs),
}

impl LinuxArgs {
    /// Returns whether only errors are to be printed.
    pub fn is_quiet(&self) -> bool {
        match &self.question {
            Question::Ps(a) => a.how.quiet,
            Question::Lsmod(a) => a.how.quiet,
            Question::Net(a) => a.how.quiet,
            Question::Files(a) => a.how.quiet,
            Question::Bt(a) => a.how.quiet,
            Question::Sym(a) => a.how.quiet,
            Question::Type(a) => a.how.quiet,
            Question::Print(a) => a.how.quiet,
        }
    }
}

/// What every question takes.
#[derive(Debug, ClapArgs)]
pub struct How {
    /// Do not say how the kernel was found.
    #[arg(short, long)]
    pub quiet: bool,
    /// Say how the kernel, its symbols and its types were found, and how sure that is.
    #[arg(long, conflicts_with = "quiet")]
    pub explain: bool,
    /// Print JSON (savevm-analyze schema linux-COMMAND).
    #[arg(long)]
    pub json: bool,
}

/// Runs `linux`.
pub fn run(a: &LinuxArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    match &a.question {
        Question::Ps(a) => ps::run(a, out),
        Question::Lsmod(a) => lsmod::run(a, out),
        Question::Net(a) => net::run(a, out),
        Question::Files(a) => files::run(a, out),
        Question::Bt(a) => bt::run(a, out),
        Question::Sym(a) => sym::run(a, out),
        Question::Type(a) => types::run(a, out),
        Question::Print(a) => print::run(a, out),
    }
}

/// Opens an input with its memory, and finds what is known of a Linux guest beside it.
pub fn opened(input: &InputArgs) -> Result<SaveImage, Failure> {
    let image = open::image(&input.file, open::options(&input.source)?.keep_memory(u64::MAX))?;
    image.memory()?.map()?;
    Ok(image)
}

/// Says how the kernel was found: in one line, or in all its steps.
pub fn say_steps(how: &How, steps: &[String]) {
    let lines = match (how.explain, how.json || how.quiet) {
        (true, _) => steps,
        (false, true) => &[],
        (false, false) => steps.get(..1).unwrap_or_default(),
    };
    for line in lines {
        say(Role::Name, "note", line.trim_end_matches('.'));
    }
}

/// Opens an input, finds the kernel, its symbols and its types, and asks a question of the guest.
fn ask<T>(
    input: &InputArgs,
    how: &How,
    question: impl FnOnce(&SaveImage, &Guest<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let image = opened(input)?;
    let located = locate(image.memory()?, &inspect::linux_hints(&image)?)?;
    let steps = located.steps.clone();
    let guest = Guest::new(located);
    match &guest {
        Ok(g) => say_steps(how, g.steps()),
        // what was found before is told in any case
        Err(_) => say_steps(how, &steps),
    }
    question(&image, &guest?)
}

/// Reports what could not be read, and returns the outcome.
fn outcome(out: &mut dyn Write, image: &SaveImage, problems: &[Error], nothing: bool) -> Result<Outcome, Failure> {
    out.flush()?;
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let outcome = open::verdict(image, &problems);
    Ok(if nothing && !problems.is_empty() { Outcome::Unusable } else { outcome })
}
