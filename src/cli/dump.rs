//! The flags of analyze-migration.py.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::args::{DumpArgs, DumpWhat};
use super::exit::{Failure, Outcome, say};
use super::open;
use crate::error::{Error, ErrorKind};
use crate::image::SaveImage;
use crate::render::tree::Role;
use crate::render::upstream::StateDocument;
use crate::render::{self};

/// Runs the top-level flags.
pub fn run(a: &DumpArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let file = a.file.as_deref().or(a.path.as_deref()).unwrap_or(Path::new("-"));
    let image = open::devices(file, a.schema.as_deref())?;
    if a.extract {
        return extract(a, &image);
    }
    match a.dump {
        DumpWhat::Desc => {
            description(&image, out)?;
            Ok(open::verdict(&image, &[]))
        }
        DumpWhat::State => state(&image, a.memory, file, out),
    }
}

fn state(image: &SaveImage, memory: bool, file: &Path, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let pages = if memory { Some(super::memory::Pages::read(file, image)?) } else { None };
    let document = StateDocument::new(image, pages.as_ref().map(|p| p as _));
    render::pretty(out, &document)?;
    Ok(open::verdict(image, &document.problems()))
}

fn description(image: &SaveImage, out: &mut dyn Write) -> Result<(), Failure> {
    match &image.walk().description {
        Some(d) => Ok(render::pretty(out, &d.json)?),
        None => Err(Error::new(ErrorKind::SchemaMissing, "the stream has no description (JSON behind its end)")
            .hint("machine types before 2.3, -machine suppress-vmdesc=on, Xen and postcopy leave it out")
            .into()),
    }
}

fn extract(a: &DumpArgs, image: &SaveImage) -> Result<Outcome, Failure> {
    let write = |name: &str, f: &mut dyn FnMut(&mut dyn Write) -> Result<(), Failure>| -> Result<(), Failure> {
        let path = a.output.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).create_new(!a.force).open(&path).map_err(
            |e| match e.kind() {
                io::ErrorKind::AlreadyExists => {
                    Failure::Usage(format!("{} exists; --force overwrites it", path.display()))
                }
                _ => Error::io(format!("cannot create {}", path.display()), e).into(),
            },
        )?;
        let mut w = io::BufWriter::new(file);
        f(&mut w)?;
        w.flush().map_err(|e| Error::io(format!("cannot write {}", path.display()), e))?;
        println!("{name}");
        Ok(())
    };
    if image.walk().description.is_some() {
        write("desc.json", &mut |w| description(image, w))?;
    }
    let document = StateDocument::new(image, None);
    write("state.json", &mut |w| Ok(render::pretty(w, &document)?))?;
    let outcome = open::verdict(image, &document.problems());
    say(Role::Name, "note", "memory is not extracted yet: -x writes desc.json and state.json");
    Ok(outcome)
}
