//! `linux lsmod`: loaded modules.

use std::io::Write;

use clap::Args as ClapArgs;

use super::super::exit::{Failure, Outcome};
use super::super::shared::InputArgs;
use super::super::{style, width};
use super::{How, ask, outcome};
use crate::os::linux::modules;
use crate::render;
use crate::render::linux::head_json::Head;
use crate::render::linux::lsmod;
use crate::render::linux::lsmod_json::LsmodDocument;

/// Arguments of `linux lsmod`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze linux lsmod vm.mig
  savevm-analyze linux lsmod vm.mig --json | jq '.modules[].name'

The module that was loaded last comes first, as lsmod has it. USED is how often a module is used; the modules that use it follow.")]
pub struct LsmodArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub how: How,
}

/// Runs `linux lsmod`.
pub fn run(a: &LsmodArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    ask(&a.input, &a.how, |image, guest| {
        let found = modules::modules(guest)?;
        if a.how.json {
            let head = Head::new(image, guest, &found.problems);
            render::pretty(&mut *out, &LsmodDocument::new(head, &found.list))?;
        } else {
            lsmod::print(out, &found.list, width::of_table(), &style::paint)?;
        }
        outcome(out, image, &found.problems, found.list.is_empty())
    })
}
