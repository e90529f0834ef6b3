//! The end of an extraction: files get their names, and what is missing is said.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::{Decided, Job};
use crate::cli::exit::{self, Failure, Outcome, say};
use crate::cli::{open, say};
use crate::error::{Error, ErrorKind};
use crate::image::SaveImage;
use crate::machine::{self, MapFacts, MemoryMap};
use crate::ram::RamBlock;
use crate::render::human;
use crate::render::tree::Role;
use crate::render::upstream::StateDocument;
use crate::sink::{Finished, ImageReport, Whole};
use crate::text::{Name, shown};

/// After a failure: keeps the files under their `.partial` names.
pub(super) fn keep_partial(d: Decided, quiet: bool) -> std::result::Result<(), Failure> {
    let left = d.files.map(|f| f.finish(Whole::No)).transpose()?.unwrap_or_default();
    for file in left.iter().filter(|_| !quiet) {
        say(Role::Name, "note", &format!("partial data is in {}", shown(&file.now)));
    }
    Ok(())
}

/// Renames the files, reports missing memory, and writes the requested documents.
pub(super) fn conclude(
    job: &Job<'_>,
    image: &SaveImage,
    facts: &MapFacts,
    mut d: Decided,
    report: &ImageReport,
    out: &mut dyn Write,
) -> std::result::Result<Outcome, Failure> {
    let to_stdout = job.output.as_os_str() == "-";
    let walk = image.walk();
    let unread = walk.stopped.as_ref().is_some_and(|e| e.kind() == ErrorKind::Io);
    let mut whole = walk.eof.is_some() && report.bad_count == 0 && walk.gaps.is_empty() && !unread;
    let mut lost = Vec::new();
    // the writer read on after the walk
    if let Some(why) = image.container().source.trouble().filter(|_| walk.stopped.is_none()) {
        whole = false;
        lost.push(why);
    }
    for (output, at, why) in &report.bad_pages {
        let name = d.outputs.get(*output).map_or_else(String::new, |(p, _)| shown(p).to_string());
        lost.push(format!("{name}: the page at {at:#x} is not sound: {why}"));
    }
    if report.bad_count > report.bad_pages.len() as u64 {
        lost.push(format!("{} pages in all are not sound", human::count(report.bad_count)));
    }
    if let Some(l) = &d.layout
        && !open::is_file(job.file)
    {
        whole &= same_map(image, facts, l, job.no_firmware, &mut lost);
    }
    let flushes = image.ram().map_or(0, |r| r.counts().multifd_flushes);
    let shared = image.ram().is_some_and(|r| r.context().ignore_shared);
    let complete = image.walk().eof.is_some();
    let mut absent = HashSet::new();
    for (i, b) in report.blocks.iter().enumerate() {
        let left_out = b.absent || (shared && complete && b.never_sent == b.len && b.len > 0);
        if left_out {
            say(
                Role::Name,
                "note",
                &format!("{} is not in the stream (x-ignore-shared), so there is no image of it", b.name),
            );
            absent.insert(i);
        } else if b.never_sent > 0 {
            let missing = human::size(b.never_sent);
            if !complete {
                lost.push(format!("{}: {missing} of {} missing from the stream", b.name, human::size(b.len)));
            } else if flushes > 0 {
                whole = false;
                lost.push(format!("{}: {missing} of {} went through multifd channels", b.name, human::size(b.len)));
            } else if !job.quiet {
                say(Role::Name, "note", &format!("{}: {missing} not in the stream, zero in the image", b.name));
            }
        }
    }
    if !complete && lost.is_empty() && !report.blocks.is_empty() && !job.quiet {
        say(
            Role::Name,
            "note",
            "every page was received once, but the stream is truncated, so later updates may be missing",
        );
    }
    // output that cannot be written does not keep the files from being finished
    let mut printed = match d.stdout.take() {
        Some(file) => pour(file, out),
        None => Ok(()),
    };
    let mut named = true;
    if let Some(mut files) = d.files.take() {
        for (path, block) in &d.outputs {
            if block.is_some_and(|i| absent.contains(&i)) {
                files.forget(path)?;
            }
        }
        match files.finish(if whole { Whole::Yes } else { Whole::No }) {
            Ok(finished) if !to_stdout && !job.quiet => {
                printed = printed.and_then(|()| Ok(list(&d, &finished, report, out)?));
            }
            Ok(_) => {}
            Err(e) => {
                named = false;
                exit::error(&e);
            }
        }
    }
    if let Some(l) = d.layout.as_ref().filter(|_| !job.quiet) {
        printed = printed.and_then(|()| Ok(map(l, image.ram_blocks(), to_stdout, out)?));
    }
    printed = printed.and_then(|()| Ok(out.flush()?));
    let mut problems = lost;
    // the names of the documents belong to whoever has those of the images
    whole &= named && documents(job, image, &mut problems);
    let verdict = open::verdict(image, &problems);
    let outcome = if whole { verdict } else { Outcome::Partial };
    match printed {
        Ok(()) => Ok(outcome),
        Err(f) if outcome == Outcome::Complete && (to_stdout || f.is_closed_pipe()) => Err(f),
        Err(f) if f.is_closed_pipe() => Ok(Outcome::Partial),
        Err(f) => Err(Failure::Partial(Box::new(f))),
    }
}

/// Writes the documents that go with the memory; `false` when one cannot be written.
fn documents(job: &Job<'_>, image: &SaveImage, problems: &mut Vec<String>) -> bool {
    // what could not be read is in no document
    if open::unread(image).is_some() {
        return false;
    }
    let mut all = true;
    let mut done = |written: std::result::Result<(), Failure>| {
        if let Err(f) = written {
            all = false;
            f.print();
        }
    };
    match (job.also_description, image.description()) {
        (None, _) | (_, Ok(None)) => {}
        (_, Err(e)) => done(Err(e.into())),
        (Some(path), Ok(Some(d))) => {
            done(open::write_file(path, job.rules(), &mut |w| Ok(crate::render::pretty(w, &d)?)))
        }
    }
    if let Some(path) = job.also_state {
        let document = StateDocument::new(image, None);
        done(open::write_file(path, job.rules(), &mut |w| Ok(crate::render::pretty(w, &document)?)));
        problems.extend(document.problems());
    }
    all
}

/// Returns whether the memory map that was used agrees with the device state, which is read after RAM.
fn same_map(
    image: &SaveImage,
    facts: &MapFacts,
    used: &MemoryMap,
    firmware_left_out: bool,
    lost: &mut Vec<String>,
) -> bool {
    let later = MapFacts { given: facts.given.clone(), ..image.map_facts() };
    let mut told = machine::layout(image.machine(), image.ram_blocks(), &later);
    if let (Ok(map), true) = (&mut told, firmware_left_out) {
        map.leave_out_firmware();
    }
    let place = |l: &MemoryMap| l.regions.iter().map(|r| (r.gpa, r.bytes, r.block, r.block_offset)).collect::<Vec<_>>();
    let same = told.as_ref().is_ok_and(|t| place(t) == place(used));
    if !same {
        lost.push(
            "the device state (read after RAM) implies a different memory map from the one used; save the stream to a file and extract from it"
                .to_owned(),
        );
    }
    same
}

/// Prints a file from its beginning on.
pub fn pour(mut file: File, out: &mut dyn Write) -> std::result::Result<(), Failure> {
    let failed = |e| Error::io("cannot read the temporary file", e);
    file.rewind().map_err(failed)?;
    let mut buf = vec![0; 1 << 20];
    loop {
        match file.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => out.write_all(buf.get(..n).unwrap_or_default())?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e).into()),
        }
    }
}

fn list(d: &Decided, finished: &[Finished], report: &ImageReport, out: &mut dyn Write) -> io::Result<()> {
    let width = report.blocks.iter().map(|b| b.name.len()).max().unwrap_or(0);
    let blocks: HashMap<&Path, usize> = d.outputs.iter().filter_map(|(p, b)| b.map(|b| (p.as_path(), b))).collect();
    for file in finished {
        let now = shown(&file.now);
        match blocks.get(file.path.as_path()).and_then(|i| report.blocks.get(*i)) {
            Some(b) => writeln!(out, "{:width$}  {:>9}  {now}", b.name, human::size(b.len))?,
            None => writeln!(out, "{now}{}", sizes(&file.now))?,
        }
    }
    Ok(())
}

/// Returns how large a sparse file seems to be, and how much of it is on the disk.
fn sizes(path: &Path) -> String {
    let Ok(meta) = path.metadata() else { return String::new() };
    #[cfg(unix)]
    let on_disk =
        format!(", {} on disk", human::size(std::os::unix::fs::MetadataExt::blocks(&meta).saturating_mul(512)));
    #[cfg(not(unix))]
    let on_disk = String::new();
    format!("  {} apparent{on_disk}", human::size(meta.len()))
}

fn map(l: &MemoryMap, blocks: &[RamBlock], to_stdout: bool, out: &mut dyn Write) -> io::Result<()> {
    let name = |i: usize| blocks.get(i).map_or(Name::empty(), |b| &b.name);
    let mut lines = Vec::new();
    for r in &l.regions {
        lines.push(format!(
            "{:#018x}  {:>9}  {} + {} ({})",
            r.gpa.0,
            human::size(r.bytes),
            name(r.block),
            r.block_offset,
            r.why
        ));
    }
    for (i, why) in &l.unplaced {
        lines.push(format!("not in the image      {}: {why}", name(*i)));
    }
    for line in lines {
        if to_stdout { say::line(&line) } else { writeln!(out, "{line}")? }
    }
    l.remarks.iter().for_each(|r| say(Role::Name, "note", r));
    if l.regions.iter().any(|r| r.why == "guess") {
        say(Role::Name, "hint", "--map BLOCK=ADDRESS places a block elsewhere");
    }
    Ok(())
}
