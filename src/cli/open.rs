//! Opening the input of a command, and saying what is missing from its answer.

use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::exit::{self, Failure, Outcome, say};
use super::interrupt;
use super::shared::SourceArgs;
use crate::container::{self, Container};
use crate::diag::Level;
use crate::error::{Error, ErrorKind};
use crate::image::{OpenOptions, SaveImage};
use crate::inspect::{self, Problem};
use crate::limits::MAX_VMDESC_BYTES;
use crate::ram::PageStats;
use crate::render::tree::Role;
use crate::schema::{self, Schema};
use crate::sink::{FileRules, ImageFiles, Whole};
use crate::text::shown;

/// Opens an input for a question about devices.
pub fn devices(file: &Path, source: &SourceArgs) -> Result<SaveImage, Failure> {
    Ok(image(file, options(source)?)?)
}

/// Returns `true` if an input can be read twice.
pub fn is_file(path: &Path) -> bool {
    path.as_os_str() != "-" && place(path).0.metadata().is_ok_and(|m| crate::container::is_seekable(&m))
}

/// Splits `FILE@SNAPSHOT`, unless a file has the whole name.
pub fn place(input: &Path) -> (PathBuf, Option<String>) {
    let whole = || (input.to_owned(), None);
    if input.symlink_metadata().is_ok() {
        return whole();
    }
    let Some((file, snapshot)) = input.to_str().and_then(|t| t.rsplit_once('@')) else { return whole() };
    let file = PathBuf::from(file);
    if snapshot.is_empty() || file.metadata().is_err() { whole() } else { (file, Some(snapshot.to_owned())) }
}

/// Adds the name of the input to an error that does not have it.
pub fn named(e: Error, input: &Path) -> Error {
    let name = shown(input).to_string();
    if e.message().contains(&name) || e.path().is_some_and(|p| p.contains(&name)) { e } else { e.within(name) }
}

/// Opens an input for a question about every byte.
pub fn whole(file: &Path, source: &SourceArgs) -> Result<(SaveImage, PageStats), Failure> {
    let options = options(source)?;
    let mut stats = PageStats::counting(&source.settings().budget);
    let image = image(file, options.pages(&mut stats))?;
    Ok((image, stats))
}

/// Opens `FILE`, `FILE@SNAPSHOT`, or standard input for `-`.
pub fn image(input: &Path, options: OpenOptions<'_>) -> Result<SaveImage, Error> {
    if input.as_os_str() == "-" {
        return options.from_reader(std::io::stdin()).map_err(|e| named(e, Path::new("standard input")));
    }
    let (file, snapshot) = place(input);
    let options = match snapshot {
        Some(_) if options.has_snapshot() => return Err(two_snapshots(input)),
        Some(s) => options.snapshot(s),
        None => options,
    };
    options.open(file).map_err(|e| named(e, input))
}

fn two_snapshots(input: &Path) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{} and --snapshot both choose a snapshot", shown(input)))
}

/// Opens the wrappers of a file, or of standard input for `-`.
pub fn container(file: &Path, source: &SourceArgs) -> Result<Container, Error> {
    let mut settings = source.settings();
    if file.as_os_str() == "-" {
        return container::from_reader(Box::new(std::io::stdin()), &settings)
            .map_err(|e| named(e, Path::new("standard input")));
    }
    let (path, snapshot) = place(file);
    if snapshot.is_some() && settings.snapshot.is_some() {
        return Err(two_snapshots(file));
    }
    settings.snapshot = snapshot.or(settings.snapshot);
    container::open(&path, &settings).map_err(|e| named(e, file))
}

/// Returns the library's options for the arguments.
pub fn options<'a>(source: &SourceArgs) -> Result<OpenOptions<'a>, Error> {
    let schema = external_schema(source.schema.as_deref())?;
    Ok(OpenOptions::new().external_schema(schema).settings(source.settings()))
}

/// Writes a small file that must not exist yet, unless it may be overwritten.
pub fn write_new(
    path: &Path,
    force: bool,
    f: &mut dyn FnMut(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    write_file(path, FileRules { force, unfinished: interrupt::unfinished(), ..FileRules::default() }, f)
}

/// Writes a small file. What cannot be finished is removed.
pub fn write_file(
    path: &Path,
    rules: FileRules,
    f: &mut dyn FnMut(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |e| Error::io(format!("cannot write {}", shown(path)), e);
    let mut files = ImageFiles::new(rules);
    let mut w = BufWriter::new(files.create(path, 0)?);
    f(&mut w).map_err(|f| match f {
        Failure::Output(e) => failed(e).into(),
        f => f,
    })?;
    w.flush().map_err(failed)?;
    files.finish(Whole::Yes)?;
    Ok(())
}

/// Returns the system's error that kept the input from being read to its end, if there was one; no comparison is valid then.
pub fn unread(image: &SaveImage) -> Option<Error> {
    let stopped = image.walk().stopped.as_ref().filter(|e| e.kind() == ErrorKind::Io).map(ToString::to_string);
    stopped.or_else(|| image.container().source.trouble()).map(|why| Error::new(ErrorKind::Io, why))
}

/// Reads the description that `--schema` names: a stream's own, or JSON in a file.
fn external_schema(file: Option<&Path>) -> Result<Option<Arc<Schema>>, Error> {
    let Some(file) = file else { return Ok(None) };
    let shown = shown(file);
    let mut head = Vec::new();
    std::fs::File::open(file)
        .and_then(|f| f.take(1).read_to_end(&mut head))
        .map_err(|e| Error::io(format!("cannot open {shown}"), e))?;
    if head == b"{" {
        let cannot = |e| Error::io(format!("cannot read {shown}"), e);
        let mut text = Vec::new();
        let opened = std::fs::File::open(file).map_err(cannot)?;
        opened.take(MAX_VMDESC_BYTES + 1).read_to_end(&mut text).map_err(cannot)?;
        if text.len() as u64 > MAX_VMDESC_BYTES {
            let what = format!("{shown} has more than {MAX_VMDESC_BYTES} bytes of JSON");
            return Err(Error::new(ErrorKind::LimitExceeded, what));
        }
        let schema = schema::read(&text).map_err(|e| e.within(shown.to_string()))?;
        return Ok(Some(Arc::new(schema)));
    }
    let image = image(file, OpenOptions::new()).map_err(|e| e.within(shown.to_string()))?;
    match &image.walk().description {
        Some(d) => Ok(Some(Arc::new(d.schema.clone()))),
        None => Err(Error::new(ErrorKind::SchemaMissing, format!("{shown} has no description"))),
    }
}

/// Prints to standard error what is missing from an answer about the whole state, and returns the exit status. `problems` are
/// those of the answer itself.
pub fn verdict(image: &SaveImage, problems: &[String]) -> Outcome {
    let mut worst = Level::Note;
    let mut print = |level: Level, text: &str| {
        worst = worst.max(level);
        match level {
            Level::Note => {}
            Level::Warning => say(Role::Name, level.name(), text),
            Level::Error => say(Role::Problem, level.name(), text),
        }
    };
    for p in problems {
        print(Level::Error, p);
    }
    let mut stopped = None;
    for p in inspect::problems(image) {
        let text = match &p {
            Problem::Finding(d) => described(d),
            Problem::NoDescription { device_sections } => format!(
                "the stream has no description, so {device_sections} device sections are shown as bytes; use --schema with a stream from the same machine type and QEMU version"
            ),
            Problem::Stopped(e) => {
                stopped = Some(*e);
                exit::error(e);
                if e.kind() == ErrorKind::Truncated {
                    say(Role::Name, "note", "the stream is truncated; only data before the truncation is shown");
                }
                continue;
            }
            Problem::WrapperRemark(_)
            | Problem::WrapperPartial
            | Problem::WrapperFault(_)
            | Problem::WrapperFaultAfterEnd(_) => p.of_wrapper().map_or_else(String::new, |d| d.message),
        };
        print(p.grade().in_answers(), &text);
    }
    if worst == Level::Error || stopped.is_some() { Outcome::Partial } else { Outcome::Complete }
}

/// Returns a finding in words, with its place.
pub fn described(d: &crate::diag::Diagnostic) -> String {
    let mut out = d.message.clone();
    if let Some(p) = &d.path {
        out = format!("{p}: {out}");
    }
    if let Some(r) = d.range {
        out += &format!(" (stream {})", r.start);
    }
    out
}
