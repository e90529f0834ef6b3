//! `info`: what is in the file.

use std::io::Write;

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome};
use super::open;
use super::shared::InputArgs;
use crate::render;
use crate::render::info::tables;
use crate::render::info_json::InfoDocument;
use crate::text;

/// Arguments of `info`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze info vm.mig
  savevm-analyze info vm.mig --json | jq .sections[].name")]
pub struct InfoArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Print JSON (schemas/output/info.schema.json).
    #[arg(long)]
    pub json: bool,
    /// Print the domain's XML of a libvirt save image, which may hold passwords, and nothing else.
    #[arg(long, conflicts_with = "json")]
    pub xml: bool,
}

/// Runs `info`.
pub fn run(a: &InfoArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    if a.xml {
        return xml(a, out);
    }
    let (image, stats) = open::whole(&a.input.file, &a.input.source)?;
    if a.json {
        render::pretty(out, &InfoDocument::new(&image, &stats))?;
    } else {
        tables(out, &image, &stats, &super::style::paint)?;
    }
    Ok(open::verdict(&image, &[]))
}

/// Prints the XML of a libvirt save image; the stream behind it is not looked at.
fn xml(a: &InfoArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let container = open::container(&a.input.file, &a.input.source)?;
    match container.libvirt() {
        Some(i) => {
            writeln!(out, "{}", text::xml(&i.xml).trim_end())?;
            Ok(Outcome::Complete)
        }
        None => Err(Failure::Usage(format!("expected a libvirt save image, found: {}", container.name()))),
    }
}
