//! `linux`: what a Linux guest says of itself in its memory, without debug symbols.

use std::io::Write;

use clap::{Args as ClapArgs, Subcommand};

use super::exit::{Failure, Outcome, say};
use super::near::did_you_mean;
use super::open;
use super::shared::InputArgs;
use crate::error::{Error, ErrorKind};
use crate::image::SaveImage;
use crate::inspect::guest_note;
use crate::memory::GuestMemory;
use crate::os::linux::kallsyms::Symbols;
use crate::os::linux::kernel::Kernel;
use crate::os::linux::vmcoreinfo::{self, Found};
use crate::render;
use crate::render::state_json::FindingJson;
use crate::render::sym_json::{SymDocument, SymbolJson};
use crate::render::tree::Role;
use crate::text::quoted;

/// Arguments of `linux`.
#[derive(Debug, ClapArgs)]
pub struct LinuxArgs {
    #[command(subcommand)]
    pub question: Question,
}

/// What is asked of the guest.
#[derive(Debug, Subcommand)]
pub enum Question {
    /// Find kernel symbols by name or address, or list all of them.
    Sym(SymArgs),
}

/// Arguments of `linux sym`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze linux sym vm.mig init_task jiffies
  savevm-analyze linux sym vm.mig 0xffffffff810d519b
  savevm-analyze linux sym vm.mig > System.map

The symbols are those of the running kernel, at the addresses that it has after KASLR. The kernel's own table is read
(kallsyms, Linux 6.0 and later), by the guest's VMCOREINFO. The exit status is 1 if a symbol is not there.")]
pub struct SymArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Names, or addresses that begin with 0x. Without any, all symbols are listed by address.
    #[arg(value_name = "NAME|ADDRESS")]
    pub symbols: Vec<String>,
    /// Do not say how the symbols were found.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print JSON (savevm-analyze schema sym).
    #[arg(long)]
    pub json: bool,
}

impl LinuxArgs {
    /// Returns whether only errors are to be printed.
    pub fn is_quiet(&self) -> bool {
        match &self.question {
            Question::Sym(a) => a.quiet,
        }
    }
}

/// Runs `linux`.
pub fn run(a: &LinuxArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    match &a.question {
        Question::Sym(a) => sym(a, out),
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

fn sym(a: &SymArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let image = open::image(&a.input.file, open::options(&a.input.source)?.keep_memory(u64::MAX))?;
    let (memory, found) = kernel_of(&image, !a.json && !a.quiet)?;
    let kernel = Kernel::new(memory, &found);
    let symbols = Symbols::read(&kernel)?;
    let mut hits = Vec::new();
    let mut absent = Vec::new();
    for wanted in &a.symbols {
        let before = hits.len();
        match address(wanted) {
            Some(at) => hits.extend(symbols.before(at).map(|s| (s, at.saturating_sub(s.address)))),
            None => hits.extend(symbols.named(wanted).map(|s| (s, 0))),
        }
        if hits.len() == before {
            absent.push(wanted.as_str());
        }
    }
    if a.symbols.is_empty() {
        hits.extend(symbols.iter().map(|s| (s, 0)));
    }
    if a.json {
        let mut doc = SymDocument::new(image.machine(), &found, symbols.form().0);
        doc.symbols = hits.iter().map(|(s, offset)| SymbolJson::new(s, *offset)).collect();
        doc.not_found.clone_from(&absent);
        let walk = image.walk();
        doc.complete = walk.stopped.is_none();
        doc.diagnostics = walk.found.list().iter().map(FindingJson::from).collect();
        doc.diagnostics.extend(walk.stopped.iter().map(FindingJson::from));
        render::pretty(&mut *out, &doc)?;
    } else {
        for (s, offset) in &hits {
            write!(out, "{:016x} {} {}", s.address, s.kind, s.name())?;
            match offset {
                0 => writeln!(out)?,
                n => writeln!(out, "+{n:#x}")?,
            }
        }
    }
    out.flush()?;
    for name in &absent {
        if address(name).is_some() {
            say(Role::Problem, "error", &format!("no kernel symbol is at or shortly before {name}"));
            continue;
        }
        let near = did_you_mean(name, symbols.iter().map(|s| s.exact()));
        let what = format!("the kernel has no symbol {}; {near}", quoted(name));
        say(Role::Problem, "error", what.trim_end_matches([' ', ';']));
    }
    let verdict = open::verdict(&image, &[]);
    Ok(if absent.is_empty() { verdict } else { verdict.worse(Outcome::No) })
}

/// Reads an address in hexadecimal with `0x`.
fn address(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
