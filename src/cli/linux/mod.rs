//! `linux`: what a Linux guest says of itself in its memory, without debug symbols.

mod bt;
mod files;
mod lsmod;
mod net;
mod ps;
mod sym;

use std::io::Write;

use clap::{Args as ClapArgs, Subcommand};

use super::exit::{Failure, Outcome, say};
use super::open;
use super::shared::InputArgs;
use crate::error::{Error, ErrorKind};
use crate::image::SaveImage;
use crate::inspect::guest_note;
use crate::memory::GuestMemory;
use crate::os::linux::guest::Guest;
use crate::os::linux::kernel::Kernel;
use crate::os::linux::vmcoreinfo::{self, Found};
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
        }
    }
}

/// What every question takes.
#[derive(Debug, ClapArgs)]
pub struct How {
    /// Do not say how the kernel was found.
    #[arg(short, long)]
    pub quiet: bool,
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
    }
}

/// Finds the VMCOREINFO of a Linux guest, and says how it was found if it is to be said.
pub fn kernel_of(image: &SaveImage, say_how: bool) -> Result<(&GuestMemory, Found), Failure> {
    let memory = image.memory()?;
    memory.map()?;
    let Some(found) = vmcoreinfo::find(memory, guest_note(image)?)? else {
        let what = "no VMCOREINFO in guest memory: the guest is not Linux, has not booted yet, or its kernel has no kexec support";
        return Err(Error::new(ErrorKind::Missing, what).into());
    };
    if say_how {
        say(Role::Name, "note", &found.says());
    }
    Ok((memory, found))
}

/// Opens an input, finds the kernel, its symbols and its types, and asks a question of the guest.
fn ask<T>(
    input: &InputArgs,
    how: &How,
    question: impl FnOnce(&SaveImage, &Guest<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let image = open::image(&input.file, open::options(&input.source)?.keep_memory(u64::MAX))?;
    let (memory, found) = kernel_of(&image, !how.json && !how.quiet)?;
    let guest = Guest::new(Kernel::new(memory, &found))?;
    question(&image, &guest)
}

/// Reports what could not be read, and returns the outcome.
fn outcome(out: &mut dyn Write, image: &SaveImage, problems: &[Error], nothing: bool) -> Result<Outcome, Failure> {
    out.flush()?;
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let outcome = open::verdict(image, &problems);
    Ok(if nothing && !problems.is_empty() { Outcome::Unusable } else { outcome })
}
