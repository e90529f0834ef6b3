//! Core dumps: for gdb, crash, drgn, and others that read what `dump-guest-memory` writes.

use std::fs::File;
use std::io::Write;
use std::num::NonZero;

use super::ExtractArgs;
use super::dump_output::{InOrder, Sparse};
use super::formats::{DumpKind, ElfLayoutArg};
use crate::cli::exit::{Failure, Outcome, say};
use crate::cli::progress::Progress;
use crate::cli::{interrupt, open, say};
use crate::dump::kdump::{self, Flattened, KdumpOptions};
use crate::dump::windows;
use crate::dump::{self, ElfOptions, ElfPlan, Guest, Lost, Output, WrittenMemory};
use crate::error::{Error, ErrorKind};
use crate::image::SaveImage;
use crate::inspect::{self, DumpContent};
use crate::memory::MarkedPages;
use crate::offset;
use crate::os::linux::vmcoreinfo;
use crate::ram::{BlockList, Both};
use crate::render::human;
use crate::render::tree::Role;
use crate::sink::{FileRules, ImageFile, ImageFiles, ImageReport, PageImages, Plan, Whole};
use crate::text::shown;

/// Room for a `VMCOREINFO` note that is found after memory is written: head, name, a page of text, and an empty note after it.
const NOTE_ROOM: u64 = 12 + 12 + 4096 + 12;

/// Writes a dump.
pub fn run(a: &ExtractArgs, kind: DumpKind, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let (Some(file), Some(output)) = (&a.file, &a.output) else {
        return Err(Failure::Usage("expected FILE and --output".to_owned()));
    };
    let to_stdout = output.as_os_str() == "-";
    if to_stdout && say::stdout_is_terminal() {
        return Err(Failure::Usage("refusing to write a core dump to a terminal; redirect standard output".to_owned()));
    }
    let rules = FileRules { force: a.force, private: true, no_sync: a.no_sync, unfinished: interrupt::unfinished() };
    let mut files = ImageFiles::new(rules);
    if !to_stdout {
        files.allow(output)?;
    }
    let progress = Progress::start(a.progress);
    let one_pass = kind == DumpKind::Elf && !to_stdout && open::is_file(file) && a.can_be_written_in_one_pass();
    let made =
        if one_pass { in_one_pass(a, &mut files, &progress) } else { from_memory(a, kind, &mut files, &progress, out) };
    let done = match made {
        Ok(d) => d,
        Err(f) => {
            progress.fail(f.text());
            return Err(f);
        }
    };
    let (whole, outcome) = conclude(a, &done);
    let finished = files.finish(if whole { Whole::Yes } else { Whole::No })?;
    match whole {
        true => progress.finish(),
        false => progress.fail("the dump is not complete".to_owned()),
    }
    for f in finished.iter().filter(|_| !a.quiet && !to_stdout) {
        writeln!(out, "{}", shown(&f.now))?;
    }
    out.flush()?;
    Ok(outcome)
}

/// A dump that was written.
struct Done {
    image: SaveImage,
    content: DumpContent,
    lost: Lost,
}

/// Says what is missing from a dump; returns whether it is whole, and the exit status.
fn conclude(a: &ExtractArgs, done: &Done) -> (bool, Outcome) {
    let image = &done.image;
    let mut problems: Vec<String> = done.lost.bad.clone();
    if done.lost.bad_count > problems.len() as u64 {
        problems.push(format!("{} pages in all are not sound", human::count(done.lost.bad_count)));
    }
    problems.extend(done.lost.unreadable.iter().map(ToString::to_string));
    problems.extend(done.content.errors.iter().map(ToString::to_string));
    let cut = image.fault().is_some() || image.walk().eof.is_none() || open::unread(image).is_some();
    let flushes = image.ram().map_or(0, |r| r.counts().multifd_flushes);
    let unsent = done.lost.unsent;
    let shared = unsent > 0 && image.ram().is_some_and(|r| r.context().ignore_shared);
    if unsent > 0 {
        let size = human::size(unsent);
        if shared {
            problems
                .push(format!("{size} of memory not in the stream (x-ignore-shared): it is in the file that backs it"));
        } else if cut {
            problems.push(format!("{size} of memory missing from the stream"));
        } else if flushes > 0 {
            problems.push(format!("{size} of memory went through multifd channels"));
        } else if !a.quiet {
            say(Role::Name, "note", &format!("{size} of memory not in the stream, zero in the dump"));
        }
    }
    for r in done.content.remarks.iter().filter(|_| !a.quiet) {
        say(Role::Name, "note", r);
    }
    let whole =
        !cut && done.lost.is_nothing() && image.walk().gaps.is_empty() && (unsent == 0 || flushes == 0) && !shared;
    let verdict = open::verdict(image, &problems);
    (whole, if whole { verdict } else { Outcome::Partial })
}

/// Collects what the dump says besides memory, and cuts memory to the range that was asked for.
fn content(a: &ExtractArgs, image: &SaveImage) -> Result<DumpContent, Failure> {
    if image.ram().is_none() && image.fault().is_none() {
        let e = Error::new(ErrorKind::Missing, "the state holds no guest memory");
        return Err(e.hint("a state of devices only, as xen-save-devices-state writes it, has none").into());
    }
    let blocks = image.ram_blocks();
    if let Some((name, _)) = a.map.iter().find(|(name, _)| blocks.iter().all(|b| b.name != *name)) {
        return Err(super::no_such_block(name, blocks).into());
    }
    let mut content = DumpContent::of(image, &a.map)?;
    if a.begin.is_some() || a.length.is_some() {
        let begin = a.begin.unwrap_or(0);
        content.guest.memory = dump::elf::cut(&content.guest.memory, begin, a.length.unwrap_or(u64::MAX))?;
    }
    Ok(content)
}

/// Writes an ELF file while the stream is read once.
fn in_one_pass(a: &ExtractArgs, files: &mut ImageFiles, progress: &Progress) -> Result<Done, Failure> {
    let (Some(file), Some(output)) = (&a.file, &a.output) else { return Err(Failure::Usage(String::new())) };
    let quick = open::devices(file, &a.source)?;
    let mut content = content(a, &quick)?;
    drop(quick);
    let options = ElfOptions { room: NOTE_ROOM, ..ElfOptions::default() };
    let plan = dump::elf::plan(&content.guest, &options)?;
    let written = files.create(output, plan.len)?;
    let mut handle = Some(again(&written)?);
    let pieces: Vec<_> = plan.memory.iter().map(|p| (p.region, p.at)).collect();
    let planner = Box::new(|list: &BlockList<'_>| {
        let second = || Error::new(ErrorKind::Unsupported, "a second list of RAM blocks");
        let handle = handle.take().ok_or_else(second)?;
        Ok((Plan::placed(list.blocks, pieces.iter().copied(), plan.len), vec![ImageFile::from(handle)]))
    });
    let mut images = PageImages::new(planner, &a.source.settings().budget);
    let mut places = MarkedPages::new(vmcoreinfo::may_begin);
    let container = progress.watch(open::container(file, &a.source)?);
    let mut sink = Both(&mut images, &mut places);
    let opened = open::options(&a.source)?.pages(&mut sink).container(container);
    let report = images.finish();
    drop(images);
    let (report, image) = (report?, opened?);
    let memory = WrittenMemory::new(again(&written)?, plan.memory.clone(), places.ranges());
    super::kernel::look(a, &image, &memory, &mut content)?;
    // memory is in its place already
    if let Some(note) = content.guest.vmcoreinfo.take_if(|n| n.len() as u64 > NOTE_ROOM) {
        let what = format!("VMCOREINFO has {} bytes, for which there is no room; it is left out", note.len());
        content.remarks.push(what);
    }
    let plan = dump::elf::plan(&content.guest, &options)?;
    ImageFile::from(written)
        .write_at(&plan.head, 0)
        .map_err(|e| Error::io(format!("cannot write {}", shown(output)), e))?;
    let lost = lost(&report, &content.guest);
    Ok(Done { image, content, lost })
}

/// Writes a dump of a known length to a pipe.
fn in_order(
    out: &mut dyn Write,
    len: u64,
    write: &mut dyn FnMut(&mut dyn Output) -> Result<Lost, Error>,
) -> Result<Lost, Error> {
    let mut output = InOrder::new(out);
    let lost = write(&mut output)?;
    output.finish(len)?;
    Ok(lost)
}

/// Writes a dump in its flattened form.
fn flattened(
    output: &mut dyn Output,
    write: &mut dyn FnMut(&mut dyn Output) -> Result<Lost, Error>,
) -> Result<Lost, Error> {
    let mut pieces = Flattened::begin(output)?;
    let lost = write(&mut pieces)?;
    pieces.finish()?;
    Ok(lost)
}

fn again(file: &File) -> Result<File, Error> {
    file.try_clone().map_err(|e| Error::io("cannot open the output a second time", e))
}

/// Translates the report of the images: only blocks that are in the dump count.
fn lost(report: &ImageReport, guest: &Guest) -> Lost {
    let in_dump = |i: usize| guest.memory.iter().any(|r| r.block == i);
    let blocks = report.blocks.iter().enumerate().filter(|(i, _)| in_dump(*i));
    let unsent = offset::total(blocks.map(|(_, b)| if b.absent { b.len } else { b.never_sent }));
    let bad =
        report.bad_pages.iter().map(|(_, at, why)| format!("the page at {at:#x} of the file is not sound: {why}"));
    Lost::new(unsent, bad.collect(), report.bad_count)
}

/// Writes any dump from an index of memory: to standard output, from a pipe, or in a format that needs pages in order.
fn from_memory(
    a: &ExtractArgs,
    kind: DumpKind,
    files: &mut ImageFiles,
    progress: &Progress,
    out: &mut dyn Write,
) -> Result<Done, Failure> {
    let (Some(file), Some(output)) = (&a.file, &a.output) else { return Err(Failure::Usage(String::new())) };
    let container = progress.watch(open::container(file, &a.source)?);
    if container.source.is_transient() && !a.quiet {
        let place = a.source.tmpdir.as_deref().map_or_else(std::env::temp_dir, Into::into);
        let what = format!(
            "the input cannot be read twice, so guest memory is kept in a temporary file in {} (--tmpdir)",
            shown(&place)
        );
        say(Role::Name, "note", &what);
    }
    let image = open::options(&a.source)?.full(true).keep_memory(u64::MAX).container(container)?;
    let mut content = content(a, &image)?;
    let memory = image.memory()?;
    if kind != DumpKind::WinDmp {
        super::kernel::look(a, &image, memory, &mut content)?;
        progress.begin(offset::total(content.guest.memory.iter().map(|r| r.bytes)));
    }
    let to_stdout = output.as_os_str() == "-";
    let mut advance = |n: u64| progress.advance(n);
    let lost = match kind {
        DumpKind::Elf => {
            let mappings = super::kernel::mappings(a, &image, memory, &content)?;
            let options = ElfOptions { layout: a.layout.into(), mappings: mappings.as_deref(), room: 0 };
            let plan: ElfPlan = dump::elf::plan(&content.guest, &options)?;
            let mut write = |output: &mut dyn Output| dump::write_elf(&plan, memory, output, &mut advance);
            match to_stdout {
                true => in_order(out, plan.len, &mut write)?,
                false => write(&mut Sparse::new(files.create(output, plan.len)?))?,
            }
        }
        DumpKind::WinDmp => {
            let plan = inspect::windows_dump(&image, &content.guest, memory)?;
            progress.begin(plan.len);
            let mut write = |output: &mut dyn Output| windows::write(&plan, memory, output, &mut advance);
            let lost = match to_stdout {
                true => in_order(out, plan.len, &mut write)?,
                false => write(&mut Sparse::new(files.create(output, plan.len)?))?,
            };
            content.remarks.extend(plan.remarks);
            content.errors.extend(plan.problems);
            lost
        }
        DumpKind::Kdump(codec) => {
            let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
            let everything = a.layout != ElfLayoutArg::Standard;
            let block_size = if everything { content.guest.target.block_size } else { content.guest.block_size() };
            let how = KdumpOptions { codec, block_size, threads, everything };
            let mut write = |output: &mut dyn Output| kdump::write(&content.guest, how, memory, output, &mut advance);
            match (a.flattened, to_stdout) {
                (true, true) => flattened(&mut InOrder::new(out), &mut write)?,
                (true, false) => flattened(&mut Sparse::new(files.create(output, 0)?), &mut write)?,
                (false, false) => write(&mut Sparse::new(files.create(output, 0)?))?,
                (false, true) => {
                    let failed = |e| Error::io("cannot create a temporary file", e);
                    let file = super::temporary(a.source.tmpdir.as_deref()).map_err(failed)?;
                    let lost = write(&mut Sparse::new(again(&file)?))?;
                    super::pour(file, out)?;
                    lost
                }
            }
        }
    };
    Ok(Done { image, content, lost })
}
