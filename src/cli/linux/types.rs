//! `linux type`: the types of the kernel.

use std::io::Write;

use clap::Args as ClapArgs;

use super::super::exit::{Failure, Outcome, say};
use super::super::near::did_you_mean;
use super::super::shared::InputArgs;
use super::super::{open, style, width};
use super::{How, ask};
use crate::os::linux::btf::{Kind, NoAnswer, TypeId, Types};
use crate::render;
use crate::render::linux::head_json::Head;
use crate::render::linux::type_c::{self, TypeOptions};
use crate::render::linux::type_json::TypeDocument;
use crate::render::tree::Role;
use crate::text::Name;

/// Arguments of `linux type`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze linux type vm.mig task_struct
  savevm-analyze linux type vm.mig 'struct page' pid_t vfs_read
  savevm-analyze linux type vm.mig task_struct.se.run_node      a member: where it is, and its type
  savevm-analyze linux type vm.mig task_struct+0x3a8            the member at an offset
  savevm-analyze linux type vm.mig list_head --json | jq '.types[].members'

The types are those that the kernel has in memory (BTF). A comment after each member has its offset and its size in bytes;
0x18:3 2b are two bits from bit 3 of the byte at 0x18 on. Without NAME, the names of all types are listed. The exit status is 1
if a type is not there.")]
pub struct TypeArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Types, members (NAME.MEMBER), or offsets (NAME+0x10). Without any, the names of all types are listed.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub how: How,
}

/// Runs `linux type`.
pub fn run(a: &TypeArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    ask(&a.input, &a.how, |image, guest| {
        let types = guest.types();
        if a.names.is_empty() && !a.how.json {
            list(out, types)?;
            out.flush()?;
            return Ok(open::verdict(image, &[]));
        }
        let mut doc = TypeDocument::new(Head::new(image, guest, &[]));
        let o = TypeOptions { width: width::columns(None), paint: &style::paint };
        let mut said = Vec::new();
        let mut printed = false;
        for name in &a.names {
            match types.ask(name) {
                Err(e) => {
                    doc.not_found.push(name.as_str().into());
                    said.push(in_words(types, &e));
                }
                Ok(answer) if a.how.json => doc.add(name, types, &answer),
                Ok(answer) => {
                    if printed {
                        writeln!(out)?;
                    }
                    type_c::print(out, types, &answer, &o)?;
                    printed = true;
                }
            }
        }
        if a.how.json {
            render::pretty(&mut *out, &doc)?;
        }
        out.flush()?;
        said.iter().for_each(|text| say(Role::Problem, "error", text));
        let verdict = open::verdict(image, &[]);
        Ok(if said.is_empty() { verdict } else { verdict.worse(Outcome::No) })
    })
}

/// Lists the names of all types, each once.
fn list(out: &mut dyn Write, types: &Types) -> Result<(), Failure> {
    let is_listed = |k: &Kind<'_>| {
        matches!(
            k,
            Kind::Composite(_)
                | Kind::Enumeration { .. }
                | Kind::Typedef { .. }
                | Kind::Integer(_)
                | Kind::Float { .. }
        )
    };
    let keyword = |k: &Kind<'_>| match k {
        Kind::Composite(c) if c.is_union => "union ",
        Kind::Composite(_) => "struct ",
        Kind::Enumeration { .. } => "enum ",
        _ => "",
    };
    let all = types.iter().filter(|(_, k)| is_listed(k) && !k.name().is_empty());
    let mut names: Vec<(&str, &str)> = all.map(|(_, k)| (keyword(&k), k.name())).collect();
    names.sort_unstable();
    names.dedup();
    for (keyword, name) in names {
        writeln!(out, "{keyword}{}", Name::from(name))?;
    }
    Ok(())
}

/// Says why there is no answer, and what may have been meant.
fn in_words(types: &Types, e: &NoAnswer) -> String {
    let near = match e {
        NoAnswer::Type(name) => {
            let name = name.to_string();
            let bare = name.rsplit(' ').next().unwrap_or_default();
            let mut names: Vec<&str> = types.iter().map(|(_, k)| k.name()).collect();
            names.sort_unstable();
            names.dedup();
            did_you_mean(bare, names)
        }
        NoAnswer::Member { of, member, .. } => {
            let names = member_names(types, *of);
            did_you_mean(&member.to_string(), names.iter().map(String::as_str))
        }
        _ => String::new(),
    };
    let text = format!("{e}; {}", Name::from(near));
    text.trim_end_matches([' ', ';']).to_owned()
}

/// Returns the names of the members of a structure, those of inner ones without a name included.
pub fn member_names(types: &Types, of: TypeId) -> Vec<String> {
    types.member_names(of).iter().map(ToString::to_string).collect()
}
