//! `extract`, `--extract-ram` and the memory of `-x`.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};

use super::exit::{self, Failure, Outcome, say};
use super::progress::Progress;
use super::shared::{ProgressHow, SourceArgs, mapping, number};
use super::{interrupt, open, say};
use crate::error::{Error, ErrorKind, Result};
use crate::image::SaveImage;
use crate::machine::{self, MapFacts, MemoryMap};
use crate::ram::{BlockList, RamBlock};
use crate::render::human;
use crate::render::tree::Role;
use crate::render::upstream::StateDocument;
use crate::sink::{FileRules, Finished, ImageFile, ImageFiles, ImageReport, PageImages, Plan, Whole, file_names};
use crate::text::{self, Name, quoted, shown};

/// What `extract` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ImageFormat {
    /// One sparse file per RAM block; the output is a directory.
    #[default]
    Raw,
    /// One sparse file whose byte x is the guest-physical address x.
    Phys,
}

/// Arguments of `extract`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze extract vm.mig -o memory/                     one file per RAM block
  savevm-analyze extract vm.mig --block pc.ram -o - | sha256sum
  savevm-analyze extract vm.mig --format phys -o vm.phys       byte x is physical address x
  savevm-analyze extract vm.mig --format phys --begin 0x100000 --length 16M -o kernel.bin
  (qemu) migrate \"exec:savevm-analyze extract - -o /var/tmp/vm --also-state /var/tmp/vm.json\"

A file is called NAME.XXXXXX.partial, with six random characters, until it is whole; a signal such
as SIGINT removes unfinished files. Only the owner may read what is written.")]
pub struct ExtractArgs {
    /// The saved state; `-` is standard input.
    #[arg(value_name = "FILE", required_unless_present = "list_formats")]
    pub file: Option<PathBuf>,
    /// Where to write: a directory for raw, a file for phys, `-` for standard output.
    #[arg(short, long, value_name = "OUT", required_unless_present = "list_formats")]
    pub output: Option<PathBuf>,
    /// What to write.
    #[arg(long, value_enum, default_value_t)]
    pub format: ImageFormat,
    /// Only this RAM block (raw). May be given several times.
    #[arg(long, value_name = "NAME")]
    pub block: Vec<String>,
    /// The first guest-physical address (phys); it becomes byte 0 of the file.
    #[arg(long, value_name = "ADDRESS", value_parser = number)]
    pub begin: Option<u64>,
    /// How many bytes from there (phys), such as 64K, 16M or 0x1000.
    #[arg(long, value_name = "BYTES", value_parser = number)]
    pub length: Option<u64>,
    /// Put a RAM block at an address (phys), where the stream does not say. May be given several times.
    #[arg(long, value_name = "BLOCK=ADDRESS", value_parser = mapping)]
    pub map: Vec<(String, u64)>,
    /// Write the state of the devices to a file in the same pass.
    #[arg(long, value_name = "FILE")]
    pub also_state: Option<PathBuf>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Overwrite files that exist.
    #[arg(long)]
    pub force: bool,
    /// Do not wait until the files are on the disk.
    #[arg(long)]
    pub no_sync: bool,
    /// Show progress: a bar on a terminal, JSON lines, or nothing.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub progress: ProgressHow,
    /// Say nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
    /// List the formats.
    #[arg(long)]
    pub list_formats: bool,
}

/// What is to be written, and where.
pub struct Job<'a> {
    pub file: &'a Path,
    pub source: &'a SourceArgs,
    pub format: ImageFormat,
    pub output: &'a Path,
    pub blocks: &'a [String],
    pub begin: u64,
    pub length: Option<u64>,
    pub map: &'a [(String, u64)],
    pub also_state: Option<&'a Path>,
    pub also_description: Option<&'a Path>,
    pub force: bool,
    pub no_sync: bool,
    pub progress: ProgressHow,
    pub quiet: bool,
}

impl Job<'_> {
    /// Files with guest memory are for their owner.
    fn rules(&self) -> FileRules {
        FileRules { force: self.force, private: true, no_sync: self.no_sync, unfinished: interrupt::unfinished() }
    }
}

/// Runs `extract`.
pub fn run(a: &ExtractArgs, out: &mut dyn Write) -> std::result::Result<Outcome, Failure> {
    if a.list_formats {
        writeln!(out, "raw   one sparse file per RAM block")?;
        writeln!(out, "phys  one sparse file whose byte x is the guest-physical address x")?;
        return Ok(Outcome::Complete);
    }
    let (Some(file), Some(output)) = (&a.file, &a.output) else {
        return Err(Failure::Usage("expected FILE and --output".to_owned()));
    };
    let physical = a.format == ImageFormat::Phys;
    if physical && !a.block.is_empty() {
        return Err(Failure::Usage("--block goes with --format raw".to_owned()));
    }
    if !physical && (a.begin.is_some() || a.length.is_some() || !a.map.is_empty()) {
        return Err(Failure::Usage("--begin, --length and --map go with --format phys".to_owned()));
    }
    let job = Job {
        file,
        source: &a.source,
        format: a.format,
        output,
        blocks: &a.block,
        begin: a.begin.unwrap_or(0),
        length: a.length,
        map: &a.map,
        also_state: a.also_state.as_deref(),
        also_description: None,
        force: a.force,
        no_sync: a.no_sync,
        progress: a.progress,
        quiet: a.quiet,
    };
    images(&job, out)
}

/// What the planner decides when it sees the blocks.
#[derive(Default)]
struct Decided {
    files: Option<ImageFiles>,
    /// The file of each output, its block for raw images, and the file itself again for standard output.
    outputs: Vec<(PathBuf, Option<usize>)>,
    stdout: Option<File>,
    layout: Option<MemoryMap>,
}

/// Writes the images of a job.
pub fn images(job: &Job<'_>, out: &mut dyn Write) -> std::result::Result<Outcome, Failure> {
    let to_stdout = job.output.as_os_str() == "-";
    if to_stdout && say::stdout_is_terminal() {
        return Err(Failure::Usage("a memory image on a terminal is of no use: redirect standard output".to_owned()));
    }
    let mut facts = MapFacts { given: job.map.to_vec(), ..MapFacts::default() };
    // the state is written last: after a pipe has run dry there is no second try
    if let Some(path) = job.also_state {
        ImageFiles::new(job.rules()).allow(path)?;
    }
    // what the devices say of the map stands behind the memory; a file can be looked at twice
    if job.format == ImageFormat::Phys && open::is_file(job.file) {
        let quick = open::devices(job.file, job.source)?;
        facts = MapFacts { given: facts.given, ..quick.map_facts() };
    }
    let decided = RefCell::new(Decided::default());
    let planner = Box::new(|list: &BlockList<'_>| plan(job, &facts, list, &mut decided.borrow_mut()));
    let mut sink = PageImages::new(planner, &job.source.settings().budget);
    let progress = Progress::start(job.progress);
    let container = progress.watch(open::container(job.file, job.source)?);
    let opened = open::options(job.source)?.pages(&mut sink).container(container);
    let written = sink.finish();
    drop(sink);
    progress.finish();
    let decided = decided.into_inner();
    let report = match written {
        Ok(r) => r,
        // nothing was begun
        Err(e) if decided.files.is_none() => return Err(e.into()),
        Err(e) => {
            exit::error(&e);
            keep_partial(decided, job.quiet)?;
            return Ok(Outcome::Partial);
        }
    };
    let image = opened?;
    if image.ram().is_none() && image.fault().is_none() {
        let e = Error::new(ErrorKind::Missing, "the state holds no guest memory");
        return Err(e.hint("a state of devices only, as xen-save-devices-state writes it, has none").into());
    }
    conclude(job, &image, &facts, decided, &report, out)
}

/// Opens the outputs for the blocks of the stream.
fn plan(job: &Job<'_>, facts: &MapFacts, list: &BlockList<'_>, d: &mut Decided) -> Result<(Plan, Vec<ImageFile>)> {
    let mut files = ImageFiles::new(job.rules());
    let to_stdout = job.output.as_os_str() == "-";
    let (plan, outputs) = match job.format {
        ImageFormat::Raw => {
            let chosen = chosen_blocks(job.blocks, list.blocks, to_stdout)?;
            let plan = Plan::raw(list.blocks, &chosen);
            let names: Vec<&str> = list.blocks.iter().map(|b| b.name.exact()).collect();
            let names = file_names(&names);
            let path = |i: usize| job.output.join(names.get(i).map_or("_", String::as_str));
            (plan, chosen.iter().map(|i| (path(*i), Some(*i))).collect::<Vec<_>>())
        }
        ImageFormat::Phys => {
            let unknown = job.map.iter().find(|(name, _)| list.blocks.iter().all(|b| b.name != *name));
            if let Some((name, _)) = unknown {
                return Err(no_such_block(name, list.blocks));
            }
            let page = list.target_page;
            if !job.begin.is_multiple_of(page) || !job.length.unwrap_or(0).is_multiple_of(page) {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("--begin and --length: expected multiples of the target page size, {page} bytes"),
                ));
            }
            let layout = machine::layout(list.machine, list.blocks, facts)?;
            let plan = Plan::physical(list.blocks, &layout.regions, job.begin, job.length);
            d.layout = Some(layout);
            (plan, vec![(job.output.to_owned(), None)])
        }
    };
    let mut handles = Vec::new();
    if to_stdout {
        let file = temporary(job.source.tmpdir.as_deref()).map_err(|e| Error::io("cannot make a temporary file", e))?;
        let len = plan.outputs.first().copied().unwrap_or(0);
        file.set_len(len).map_err(|e| Error::io("cannot make a temporary file", e))?;
        d.stdout = Some(file.try_clone().map_err(|e| Error::io("cannot make a temporary file", e))?);
        handles.push(ImageFile::from(file));
    } else {
        if job.format == ImageFormat::Raw {
            std::fs::create_dir_all(job.output)
                .map_err(|e| Error::io(format!("cannot create the directory {}", shown(job.output)), e))?;
        }
        for (path, _) in &outputs {
            files.allow(path)?;
        }
        for ((path, _), len) in outputs.iter().zip(&plan.outputs) {
            handles.push(files.create_image(path, *len)?);
        }
    }
    d.files = Some(files);
    d.outputs = outputs;
    Ok((plan, handles))
}

/// Makes a file without a name, which goes with the process.
pub fn temporary(dir: Option<&Path>) -> io::Result<File> {
    match dir {
        Some(d) => tempfile::tempfile_in(d),
        None => tempfile::tempfile(),
    }
}

fn chosen_blocks(wanted: &[String], blocks: &[RamBlock], one: bool) -> Result<Vec<usize>> {
    let present = |i: &usize| !blocks.get(*i).and_then(|b| b.mapped).is_some_and(|m| m.is_absent());
    let mut chosen: Vec<usize> = Vec::new();
    for name in wanted {
        match blocks.iter().position(|b| b.name == *name) {
            Some(i) if chosen.contains(&i) => {}
            Some(i) => chosen.push(i),
            None => return Err(no_such_block(name, blocks)),
        }
    }
    if wanted.is_empty() {
        chosen = (0..blocks.len()).filter(present).collect();
    }
    if one && chosen.len() != 1 {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("standard output takes one RAM block, and there are {}", chosen.len()),
        )
        .hint(format!("choose with --block: {}", names(blocks))));
    }
    Ok(chosen)
}

fn no_such_block(name: &str, blocks: &[RamBlock]) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the stream has no RAM block {}", quoted(name)))
        .hint(format!("its blocks are: {}", names(blocks)))
}

fn names(blocks: &[RamBlock]) -> String {
    text::list(blocks.iter().map(|b| &b.name))
}

/// After a failure: the files stay what they are, and their names say so.
fn keep_partial(d: Decided, quiet: bool) -> std::result::Result<(), Failure> {
    let left = d.files.map(|f| f.finish(Whole::No)).transpose()?.unwrap_or_default();
    for file in left.iter().filter(|_| !quiet) {
        say(Role::Name, "note", &format!("what was written is in {}", shown(&file.now)));
    }
    Ok(())
}

/// Names the files, says what became of the blocks, and writes the state that goes with them.
fn conclude(
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
        whole &= same_map(image, facts, l, &mut lost);
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
                &format!("{} is not in the stream (x-ignore-shared): there is no image of it", b.name),
            );
            absent.insert(i);
        } else if b.never_sent > 0 {
            let missing = human::size(b.never_sent);
            if !complete {
                lost.push(format!("{}: {missing} of {} never came", b.name, human::size(b.len)));
            } else if flushes > 0 {
                whole = false;
                lost.push(format!("{}: {missing} of {} went through multifd channels", b.name, human::size(b.len)));
            } else if !job.quiet {
                say(Role::Name, "note", &format!("{}: {missing} were never sent and are zero in the image", b.name));
            }
        }
    }
    if !complete && lost.is_empty() && !report.blocks.is_empty() && !job.quiet {
        say(Role::Name, "note", "all of memory came, but what changed later may be missing: the stream ends too early");
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

/// Tells whether the map that was used is the one that the devices, which came later, speak for.
fn same_map(image: &SaveImage, facts: &MapFacts, used: &MemoryMap, lost: &mut Vec<String>) -> bool {
    let later = MapFacts { given: facts.given.clone(), ..image.map_facts() };
    let told = machine::layout(image.machine(), image.ram_blocks(), &later);
    let place = |l: &MemoryMap| l.regions.iter().map(|r| (r.gpa, r.bytes, r.block, r.block_offset)).collect::<Vec<_>>();
    let same = told.as_ref().is_ok_and(|t| place(t) == place(used));
    if !same {
        lost.push(
            "the devices, which come behind the memory, speak for another memory map than the default; save the stream to a file and extract from that"
                .to_owned(),
        );
    }
    same
}

fn pour(mut file: File, out: &mut dyn Write) -> std::result::Result<(), Failure> {
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
            None => writeln!(out, "{now}")?,
        }
    }
    Ok(())
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
