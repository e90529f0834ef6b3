//! `info`: what is in the file.

use std::io::Write;

use super::args::InfoArgs;
use super::exit::{Failure, Outcome};
use super::open;
use crate::render;
use crate::render::info::tables;
use crate::render::info_json::InfoDocument;
use crate::text;

/// Runs `info`.
pub fn run(a: &InfoArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    if a.xml {
        return xml(a, out);
    }
    let (image, stats) = open::whole(&a.input.file, &a.input.how)?;
    if a.json {
        render::pretty(out, &InfoDocument::new(&image, &stats))?;
    } else {
        tables(out, &image, &stats, &super::style::paint)?;
    }
    Ok(open::verdict(&image, &[]))
}

/// Prints the XML of a libvirt save image; the stream behind it is not looked at.
fn xml(a: &InfoArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let container = crate::container::open(&a.input.file, &a.input.how.settings())?;
    match container.libvirt() {
        Some(i) => {
            writeln!(out, "{}", text::xml(&i.xml).trim_end())?;
            Ok(Outcome::Complete)
        }
        None => Err(Failure::Usage(format!("expected a libvirt save image, found: {}", container.name()))),
    }
}
