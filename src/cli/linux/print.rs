//! `linux print`: variables, members and lists of the kernel.

use std::io::Write;

use clap::Args as ClapArgs;

use super::super::exit::{Failure, Outcome, say};
use super::super::near::did_you_mean;
use super::super::shared::InputArgs;
use super::super::{open, style, width};
use super::types::member_names;
use super::{How, ask};
use crate::os::linux::guest::Guest;
use crate::os::linux::print::{self, Expression, Fault, Limits, Near};
use crate::render;
use crate::render::linux::head_json::Head;
use crate::render::linux::print::print;
use crate::render::linux::print_json::{ExpressionJson, PrintDocument};
use crate::render::tree::Role;
use crate::text::Name;

/// Arguments of `linux print`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze linux print vm.mig init_task.comm jiffies 'avenrun[0..3]'
  savevm-analyze linux print vm.mig '*init_task.mm' --depth 1
  savevm-analyze linux print vm.mig runqueues@cpu0.curr.comm
  savevm-analyze linux print vm.mig 'list(init_task.tasks, struct task_struct, tasks).comm'
  savevm-analyze linux print vm.mig 'struct task_struct@0xffff888003a58000.mm.pgd'

Expressions:
  NAME  NAME@cpu0           a variable; a per-CPU variable of a CPU
  TYPE@ADDRESS  TYPE@NAME   memory as a value of a type, for variables whose type the kernel does not have
  X.member  X->member       the same: a pointer to a structure is followed
  X[3]  X[0..4]             an element; elements 0 to 3
  *X  &X  (X)               what a pointer points to; the address; parentheses
  list(HEAD, STRUCT, MEMBER)   each structure of a list (list_head, hlist_head)

Numbers are decimal and pointers hexadecimal, with the symbol that they point to. The exit status is 1 if an expression has no
value.")]
pub struct PrintArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// What to print.
    #[arg(value_name = "EXPR", required = true)]
    pub expressions: Vec<String>,
    /// Levels of structures and arrays to print, 0 to 32.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=32))]
    pub depth: u8,
    /// Elements to print of an array.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub limit: u32,
    #[command(flatten)]
    pub how: How,
}

/// Runs `linux print`.
pub fn run(a: &PrintArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let read =
        |text: &String| print::parse(text).map_err(|e| Failure::Usage(format!("{:?}: {e}", Name::from(text.as_str()))));
    let expressions = a.expressions.iter().map(read).collect::<Result<Vec<Expression>, Failure>>()?;
    let limits = Limits::new(a.depth.into(), a.limit.into());
    let columns = width::columns(None);
    ask(&a.input, &a.how, |image, guest| {
        let mut said = Vec::new();
        let mut documents = Vec::new();
        let mut problems = Vec::new();
        for (text, e) in a.expressions.iter().zip(&expressions) {
            let (items, error) = match print::evaluate(guest, e) {
                Err(fault) => {
                    let why = in_words(guest, text, &fault);
                    said.push(why.clone());
                    (Vec::new(), Some(why))
                }
                Ok(found) => {
                    let why = found.problem.as_ref().map(ToString::to_string);
                    problems.extend(found.problem);
                    (found.items, why)
                }
            };
            if a.how.json {
                documents.push(ExpressionJson::new(text, &items, limits, error));
            } else {
                items.iter().try_for_each(|i| print(out, i, limits, columns, &style::paint))?;
            }
        }
        if a.how.json {
            render::pretty(&mut *out, &PrintDocument::new(Head::new(image, guest, &problems), documents))?;
        }
        out.flush()?;
        said.iter().for_each(|text| say(Role::Problem, "error", text));
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let verdict = open::verdict(image, &problems);
        Ok(if said.is_empty() { verdict } else { verdict.worse(Outcome::No) })
    })
}

/// Says why an expression has no value, and what may have been meant.
fn in_words(guest: &Guest<'_>, text: &str, fault: &Fault) -> String {
    let near = match &fault.near {
        Near::Nothing => String::new(),
        Near::Member(of, name) => {
            let names = member_names(guest.types(), *of);
            did_you_mean(&name.to_string(), names.iter().map(String::as_str))
        }
        Near::Symbol(name) => did_you_mean(&name.to_string(), guest.symbols().iter().map(|s| s.exact())),
        Near::Type(name) => {
            let name = name.to_string();
            let bare = name.rsplit(' ').next().unwrap_or_default();
            did_you_mean(bare, guest.types().iter().map(|(_, k)| k.name()))
        }
    };
    // the part of a long expression that is wrong
    let part = text.get(fault.at.clone()).map_or("", str::trim);
    let whole = format!("{:?}: {}", Name::from(text), fault.error.message());
    let place =
        if part == text.trim() || part.is_empty() { String::new() } else { format!(" (at {:?})", Name::from(part)) };
    let hint = fault.error.hint_text().map_or_else(String::new, |h| format!("; {h}"));
    let near = if near.is_empty() { near } else { format!("; {}", Name::from(near.trim_end())) };
    format!("{whole}{place}{hint}{near}")
}
