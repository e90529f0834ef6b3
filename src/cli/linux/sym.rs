//! `linux sym`: kernel symbols.

use std::io::Write;

use clap::Args as ClapArgs;

use super::super::exit::{Failure, Outcome, say};
use super::super::near::did_you_mean;
use super::super::open;
use super::super::shared::InputArgs;
use super::{How, opened, say_steps};
use crate::inspect;
use crate::os::linux::find::locate;
use crate::os::linux::kernel::spans;
use crate::render;
use crate::render::linux::sym_json::{SymDocument, SymbolJson};
use crate::render::state_json::FindingJson;
use crate::render::tree::Role;
use crate::text::quoted;

/// Arguments of `linux sym`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze linux sym vm.mig init_task jiffies
  savevm-analyze linux sym vm.mig 0xffffffff810d519b
  savevm-analyze linux sym vm.mig > System.map

The symbols are those of the running kernel, at the addresses that it has after KASLR. The kernel's own table is read
(kallsyms), and what it exports to modules where that table has no variables. The exit status is 1 if a symbol is not there.")]
pub struct SymArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Names, or addresses that begin with 0x. Without any, all symbols are listed by address.
    #[arg(value_name = "NAME|ADDRESS")]
    pub symbols: Vec<String>,
    #[command(flatten)]
    pub how: How,
}

/// Runs `linux sym`.
pub fn run(a: &SymArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let image = opened(&a.input)?;
    let located = locate(image.memory()?, &inspect::linux_hints(&image)?)?;
    say_steps(&a.how, &located.steps);
    let symbols = &located.symbols;
    let mut hits = Vec::new();
    let mut absent = Vec::new();
    for wanted in &a.symbols {
        let before = hits.len();
        match address(wanted) {
            // an address outside of the image is in a module, or in nothing that has a name here
            Some(at) if !spans(&located.image, at) => {}
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
    if a.how.json {
        let mut doc = SymDocument::new(image.machine(), &located);
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
            say(Role::Problem, "error", &format!("no symbol of the kernel's image is at or shortly before {name}"));
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
