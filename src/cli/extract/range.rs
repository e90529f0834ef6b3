//! A range of guest-physical memory that begins or ends inside a page: page by page, from an index.

use std::io::Write;

use super::Job;
use crate::cli::exit::{Failure, Outcome, say};
use crate::cli::{open, say};
use crate::error::{Error, ErrorKind};
use crate::image::SaveImage;
use crate::offset::{Gpa, Sure};
use crate::ram::is_zero;
use crate::render::human;
use crate::render::tree::Role;
use crate::sink::{ImageFiles, Whole};
use crate::text::shown;

/// Pages of every target are multiples of this.
const SMALLEST_PAGE: u64 = 256;
/// Bytes that are read at a time; a multiple of every page.
const PIECE: u64 = 1 << 20;

/// Returns `true` if the range does not consist of whole pages of so many bytes.
pub fn is_needed(job: &Job<'_>, page: u64) -> bool {
    !job.begin.is_multiple_of(page) || !job.length.unwrap_or(0).is_multiple_of(page)
}

/// Writes the range.
pub fn write(job: &Job<'_>, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let to_stdout = job.output.as_os_str() == "-";
    if to_stdout && say::stdout_is_terminal() {
        return Err(Failure::Usage(
            "refusing to write a memory image to a terminal; redirect standard output".to_owned(),
        ));
    }
    if job.no_firmware || !job.map.is_empty() {
        let what = "--no-firmware and --map need --begin and --length that are multiples of the target page size";
        return Err(Failure::Usage(what.to_owned()));
    }
    let options = open::options(job.source)?.full(true).keep_memory(u64::MAX);
    let image = open::image(job.file, options)?;
    let map = image.memory()?.map()?;
    let end = map.regions.iter().map(|r| r.end().0).max().unwrap_or(0);
    let length = job.length.unwrap_or_else(|| end.saturating_sub(job.begin));
    let end = job.begin.saturating_add(length).min(end.max(job.begin));
    let mut files = ImageFiles::new(job.rules());
    let file = match to_stdout {
        true => None,
        false => {
            files.allow(job.output)?;
            Some(files.create_image(job.output, end.minus(job.begin))?)
        }
    };
    let mut missing = 0_u64;
    let mut at = job.begin;
    let mut buf = Vec::new();
    while at < end {
        let next = (at | (PIECE - 1)).checked_add(1).map_or(end, |next| next.min(end));
        buf.clear();
        buf.resize(usize::try_from(next.minus(at)).unwrap_or(0), 0);
        missing.tally(read(&image, Gpa(at), &mut buf)?);
        match &file {
            None => out.write_all(&buf)?,
            Some(file) if !is_zero(&buf) => file.write_at(&buf, at.minus(job.begin))?,
            Some(_) => {}
        }
        at = next;
    }
    drop(file);
    let cut = image.fault().is_some() || open::unread(&image).is_some();
    let finished = files.finish(if cut { Whole::No } else { Whole::Yes })?;
    if missing > 0 && !job.quiet {
        say(
            Role::Name,
            "note",
            &format!("{} of the range are not in the state, and are zero in the output", human::size(missing)),
        );
    }
    for f in finished.iter().filter(|_| !job.quiet) {
        writeln!(out, "{}", shown(&f.now))?;
    }
    out.flush()?;
    Ok(open::verdict(&image, &[]))
}

/// Reads a piece; returns how many bytes of it are not there, which are zero.
fn read(image: &SaveImage, at: Gpa, buf: &mut [u8]) -> Result<u64, Error> {
    let memory = image.memory()?;
    if memory.read(at, buf).is_ok() {
        return Ok(0);
    }
    // a hole, or a page that was not sent, somewhere
    let mut missing = 0_u64;
    let step = SMALLEST_PAGE - (at.0 & (SMALLEST_PAGE - 1));
    let (mut done, mut step) = (0_usize, usize::try_from(step).unwrap_or(1));
    while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
        let n = step.min(rest.len());
        let piece = rest.get_mut(..n).unwrap_or_default();
        match memory.read(at.plus(done as u64), piece) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Missing => {
                piece.fill(0);
                missing.tally(n as u64);
            }
            Err(e) => return Err(e),
        }
        done = done.plus(n);
        step = usize::try_from(SMALLEST_PAGE).unwrap_or(256);
    }
    Ok(missing)
}
