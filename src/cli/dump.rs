//! The flags of analyze-migration.py.

use std::io::{Read, Write};
use std::path::Path;

use super::exit::{Failure, Outcome};
use super::extract::ImageFormat;
use super::extract::Job;
use super::memory::Pages;
use super::open;
use super::root::{DumpArgs, DumpWhat};
use super::shared::ProgressHow;
use crate::error::{Error, ErrorKind};
use crate::image::SaveImage;
use crate::render;
use crate::render::upstream::StateDocument;

/// Runs the top-level flags.
pub fn run(a: &DumpArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let file = a.file.as_deref().or(a.path.as_deref()).unwrap_or(Path::new("-"));
    if a.extract_ram {
        return super::extract::images(&job(a, file, a.also_state.as_deref()), out);
    }
    if a.extract {
        return extract(a, file, out);
    }
    if a.memory && a.dump == DumpWhat::State {
        let (pages, image) = Pages::read(file, &a.source)?;
        return state(&image, Some(&pages), out);
    }
    let image = open::devices(file, &a.source)?;
    match a.dump {
        DumpWhat::Desc => {
            description(&image, out)?;
            Ok(open::verdict(&image, &[]))
        }
        DumpWhat::State => state(&image, None, out),
    }
}

fn job<'a>(a: &'a DumpArgs, file: &'a Path, also_state: Option<&'a Path>) -> Job<'a> {
    Job {
        file,
        source: &a.source,
        format: ImageFormat::Raw,
        output: &a.output,
        into_directory: true,
        blocks: &a.block,
        begin: 0,
        length: None,
        no_firmware: false,
        map: &[],
        also_state,
        also_description: None,
        force: a.force,
        no_sync: a.no_sync,
        progress: ProgressHow::Auto,
        quiet: false,
    }
}

fn state(image: &SaveImage, pages: Option<&Pages>, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let document = StateDocument::new(image, pages.map(|p| p as _));
    render::pretty(out, &document)?;
    Ok(open::verdict(image, &document.problems()))
}

fn description(image: &SaveImage, out: &mut dyn Write) -> Result<(), Failure> {
    match image.description()? {
        Some(d) => Ok(render::pretty(out, &d)?),
        None => Err(Error::new(ErrorKind::SchemaMissing, "the stream has no description (the JSON after its end)")
            .hint("machine types before 2.3, -machine suppress-vmdesc=on, Xen and postcopy omit it")
            .into()),
    }
}

/// Writes desc.json, state.json and the memory. A directory that has both documents is the output of an earlier `-x`, whose files
/// are replaced, each only when the new one is complete; in any other directory nothing is replaced.
fn extract(a: &DumpArgs, file: &Path, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let (description, state) = (a.output.join("desc.json"), a.output.join("state.json"));
    let again = is_document(&description) && is_document(&state);
    let job = job(a, file, Some(&state));
    let job = Job { also_description: Some(&description), force: job.force || again, ..job };
    super::extract::images(&job, out)
}

/// Returns whether a path is that of a regular file which begins as a JSON document does.
fn is_document(path: &Path) -> bool {
    let mut first = [0];
    let is_file = path.symlink_metadata().is_ok_and(|m| m.is_file());
    is_file && std::fs::File::open(path).is_ok_and(|mut f| f.read_exact(&mut first).is_ok() && first == *b"{")
}
