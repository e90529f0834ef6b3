//! `info`: what is in the file.

use std::io::Write;

use super::args::InfoArgs;
use super::exit::{Failure, Outcome};
use super::open;
use crate::render;
use crate::render::info::tables;
use crate::render::info_json::InfoDocument;

/// Runs `info`.
pub fn run(a: &InfoArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let (image, stats) = open::whole(&a.input.file, a.input.schema.as_deref())?;
    if a.json {
        render::pretty(out, &InfoDocument::new(&image, &stats))?;
    } else {
        tables(out, &image, &stats, &super::style::paint)?;
    }
    Ok(open::verdict(&image, &[]))
}
