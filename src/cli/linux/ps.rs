//! `linux ps`: processes and threads.

use std::io::Write;

use clap::Args as ClapArgs;

use super::super::exit::{Failure, Outcome};
use super::super::shared::InputArgs;
use super::super::{style, width};
use super::{How, ask, outcome};
use crate::os::linux::tasks;
use crate::render;
use crate::render::linux::head_json::Head;
use crate::render::linux::ps::{self, PsOptions};
use crate::render::linux::ps_json::PsDocument;

/// Arguments of `linux ps`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze linux ps vm.mig
  savevm-analyze linux ps vm.mig --tree
  savevm-analyze linux ps vm.mig --threads --json | jq '.tasks[] | select(.state == \"D\")'

S is the state: R runs or wants to run, S sleeps, D waits and cannot be interrupted, I is an idle thread of the kernel, T is
stopped, t is traced, Z is a zombie. An asterisk marks a task that a CPU was running. START is the time since boot. Threads of
the kernel are in brackets, and so are processes whose arguments are not in memory.")]
pub struct PsArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// List the threads of each process too.
    #[arg(short, long)]
    pub threads: bool,
    /// Print processes below those that started them.
    #[arg(long, conflicts_with = "json")]
    pub tree: bool,
    #[command(flatten)]
    pub how: How,
}

/// Runs `linux ps`.
pub fn run(a: &PsArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    ask(&a.input, &a.how, |image, guest| {
        let found = tasks::tasks(guest, a.threads)?;
        if a.how.json {
            let head = Head::new(image, guest, &found.problems);
            render::pretty(&mut *out, &PsDocument::new(head, &found.list))?;
        } else {
            let o = PsOptions { threads: a.threads, tree: a.tree, width: width::of_table(), paint: &style::paint };
            ps::print(out, &found.list, &o)?;
        }
        outcome(out, image, &found.problems, found.list.is_empty())
    })
}
