//! `extract`, `--extract-ram` and the memory of `-x`.

mod conclude;
mod dump;
mod dump_output;
mod formats;
mod kernel;
mod range;

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::exit::{self, Failure, Outcome};
use super::near::did_you_mean;
use super::progress::Progress;
use super::shared::{ProgressHow, SourceArgs, mapping, number};
use super::{interrupt, open, say};
use crate::error::{Error, ErrorKind, Result};
use crate::machine::{self, MapFacts, MemoryMap};
use crate::ram::{BlockList, RamBlock};
use crate::sink::{FileRules, ImageFile, ImageFiles, PageImages, Plan, file_names};
use crate::text::{self, quoted, shown};
pub use conclude::pour;
use conclude::{conclude, keep_partial};
pub use formats::ImageFormat;
use formats::{ElfLayoutArg, Way};

/// Arguments of `extract`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze extract vm.mig -o memory/                     one file per RAM block
  savevm-analyze extract vm.mig --block pc.ram -o ram.img      that block into a new file
  savevm-analyze extract vm.mig --block pc.ram -o - | sha256sum
  savevm-analyze extract vm.mig --format phys -o vm.phys       indexed by physical address
  savevm-analyze extract vm.mig --format phys --begin 0x100000 --length 16M -o kernel.bin
  savevm-analyze extract vm.mig --format elf -o vm.elf         for gdb, crash, drgn, volatility3
  savevm-analyze extract vm.mig --format kdump-zstd -o vm.kdump
  (qemu) migrate \"exec:savevm-analyze extract - -o /var/tmp/vm --also-state /var/tmp/vm.json\"

A file is called NAME.XXXXXX.partial, with six random characters, until it is complete. A signal such
as SIGINT removes unfinished files. Only their owner can read the files.")]
pub struct ExtractArgs {
    /// Saved state: FILE, FILE@SNAPSHOT, or `-` for standard input.
    #[arg(value_name = "FILE", required_unless_present = "list_formats")]
    pub file: Option<PathBuf>,
    /// Output: a directory (raw), a file (other formats, or raw with one --block), or `-` for standard output.
    #[arg(short, long, value_name = "OUT", required_unless_present_any = ["list_formats", "list"])]
    pub output: Option<PathBuf>,
    /// What to write.
    #[arg(long, value_enum, default_value_t)]
    pub format: ImageFormat,
    /// Only this RAM block (raw). Can be repeated.
    #[arg(long, value_name = "NAME")]
    pub block: Vec<String>,
    /// The first guest-physical address (phys, elf); in a phys file it becomes byte 0.
    #[arg(long, value_name = "ADDRESS", value_parser = number)]
    pub begin: Option<u64>,
    /// Number of bytes from there (phys, elf), such as 64K, 16M or 0x1000.
    #[arg(long, value_name = "BYTES", value_parser = number)]
    pub length: Option<u64>,
    /// Layout of a core dump.
    #[arg(long, value_enum, default_value_t, value_name = "LAYOUT", hide_short_help = true)]
    pub layout: ElfLayoutArg,
    /// List memory by virtual address, as the page tables of the first CPU map it (elf), so that gdb reads virtual addresses.
    #[arg(long)]
    pub paging: bool,
    /// Write pieces with their offsets, as makedumpfile does, so that the file can go down a pipe (kdump).
    #[arg(long, hide_short_help = true)]
    pub flattened: bool,
    /// Leave out firmware (phys): it lies just below 4 GiB on a PC, and makes the file appear that large.
    #[arg(long, hide_short_help = true)]
    pub no_firmware: bool,
    /// Address of a RAM block, if the stream does not record it. Can be repeated.
    #[arg(long, value_name = "BLOCK=ADDRESS", value_parser = mapping)]
    pub map: Vec<(String, u64)>,
    /// Write the device state to a file in the same pass.
    #[arg(long, value_name = "FILE")]
    pub also_state: Option<PathBuf>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Overwrite existing files.
    #[arg(long)]
    pub force: bool,
    /// Do not wait until the files are on disk.
    #[arg(long)]
    pub no_sync: bool,
    /// Show progress: a bar on a terminal, JSON lines, or nothing.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub progress: ProgressHow,
    /// Print errors only.
    #[arg(short, long)]
    pub quiet: bool,
    /// List the RAM blocks, and write nothing.
    #[arg(long, conflicts_with_all = ["output", "block", "begin", "length", "map", "also_state"])]
    pub list: bool,
    /// List the formats; with FILE, which of them can be written for it, and why others cannot.
    #[arg(long)]
    pub list_formats: bool,
}

/// What is to be written, and where.
pub struct Job<'a> {
    pub file: &'a Path,
    pub source: &'a SourceArgs,
    pub format: ImageFormat,
    pub output: &'a Path,
    /// Whether the output is a directory in any case.
    pub into_directory: bool,
    pub blocks: &'a [String],
    pub begin: u64,
    pub length: Option<u64>,
    pub no_firmware: bool,
    pub map: &'a [(String, u64)],
    pub also_state: Option<&'a Path>,
    pub also_description: Option<&'a Path>,
    pub force: bool,
    pub no_sync: bool,
    pub progress: ProgressHow,
    pub quiet: bool,
}

impl Job<'_> {
    /// Returns `true` if the output is a file with one RAM block: one was chosen, and the path is not that of a directory.
    fn is_one_file(&self) -> bool {
        let ends = self.output.as_os_str().as_encoded_bytes().last().copied();
        let is_directory = ends.is_some_and(|b| std::path::is_separator(char::from(b))) || self.output.is_dir();
        !self.into_directory && self.format == ImageFormat::Raw && self.blocks.len() == 1 && !is_directory
    }

    /// Files with guest memory are for their owner.
    pub fn rules(&self) -> FileRules {
        FileRules { force: self.force, private: true, no_sync: self.no_sync, unfinished: interrupt::unfinished() }
    }
}

impl ExtractArgs {
    /// Returns whether an ELF file can be written while the stream is read: all its offsets are known before memory, and it has whole
    /// pages.
    fn can_be_written_in_one_pass(&self) -> bool {
        let whole = |n: Option<u64>| n.is_none_or(|n| n.is_multiple_of(64 << 10));
        self.layout == ElfLayoutArg::Standard && !self.paging && whole(self.begin) && whole(self.length)
    }
}

/// Runs `extract`.
pub fn run(a: &ExtractArgs, out: &mut dyn Write) -> std::result::Result<Outcome, Failure> {
    if a.list_formats {
        return formats::list(a, out);
    }
    if let (true, Some(file)) = (a.list, &a.file) {
        return list_blocks(file, &a.source, out);
    }
    let (Some(file), Some(output)) = (&a.file, &a.output) else {
        return Err(Failure::Usage("expected FILE and --output".to_owned()));
    };
    formats::check(a)?;
    if let Way::Dump(kind) = a.format.row().way {
        return dump::run(a, kind, out);
    }
    let job = Job {
        file,
        source: &a.source,
        format: a.format,
        output,
        into_directory: false,
        blocks: &a.block,
        begin: a.begin.unwrap_or(0),
        length: a.length,
        no_firmware: a.no_firmware,
        map: &a.map,
        also_state: a.also_state.as_deref(),
        also_description: None,
        force: a.force,
        no_sync: a.no_sync,
        progress: a.progress,
        quiet: a.quiet,
    };
    if range::is_needed(&job, 4096) {
        return range::write(&job, out);
    }
    images(&job, out)
}

/// Prints the RAM blocks with their lengths.
fn list_blocks(file: &Path, source: &SourceArgs, out: &mut dyn Write) -> std::result::Result<Outcome, Failure> {
    let image = open::devices(file, source)?;
    let blocks = image.ram_blocks();
    let width = blocks.iter().map(|b| b.name.to_string().chars().count()).max().unwrap_or(0);
    for b in blocks {
        let absent = if b.mapped.is_some_and(|m| m.is_absent()) { "  not saved" } else { "" };
        let name = b.name.to_string();
        let pad = " ".repeat(width.saturating_sub(name.chars().count()));
        writeln!(out, "{name}{pad}  {:>12}  {:#x}{absent}", b.len, b.len)?;
    }
    Ok(open::verdict(&image, &[]))
}

/// The pieces of the blocks, and the outputs, each with its block where it holds just one.
type Planned = (Plan, Vec<(PathBuf, Option<usize>)>);

/// What the planner decides when it sees the blocks.
#[derive(Default)]
pub struct Decided {
    files: Option<ImageFiles>,
    /// The file of each output, its block for raw images, and the file itself again for standard output.
    outputs: Vec<(PathBuf, Option<usize>)>,
    stdout: Option<File>,
    layout: Option<MemoryMap>,
    /// The range does not consist of whole pages.
    unaligned: bool,
}

/// Writes the images of a job.
pub fn images(job: &Job<'_>, out: &mut dyn Write) -> std::result::Result<Outcome, Failure> {
    let to_stdout = job.output.as_os_str() == "-";
    if to_stdout && say::stdout_is_terminal() {
        return Err(Failure::Usage(
            "refusing to write a memory image to a terminal; redirect standard output".to_owned(),
        ));
    }
    let mut facts = MapFacts { given: job.map.to_vec(), ..MapFacts::default() };
    // the state is written last: after a pipe has run dry there is no second try
    if let Some(path) = job.also_state {
        ImageFiles::new(job.rules()).allow(path)?;
    }
    // the device state, which the memory map depends on, comes after RAM; a file can be read twice
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
        Err(_) if decided.unaligned && open::is_file(job.file) => return range::write(job, out),
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
    let (plan, outputs) = match job.format.row().way {
        Way::Images(plan) => plan(job, facts, list, d)?,
        Way::Dump(_) => return Err(Error::new(ErrorKind::Unsupported, "a core dump is no image of memory")),
    };
    let mut handles = Vec::new();
    if to_stdout {
        let file =
            temporary(job.source.tmpdir.as_deref()).map_err(|e| Error::io("cannot create a temporary file", e))?;
        let len = plan.outputs.first().copied().unwrap_or(0);
        file.set_len(len).map_err(|e| Error::io("cannot create a temporary file", e))?;
        d.stdout = Some(file.try_clone().map_err(|e| Error::io("cannot create a temporary file", e))?);
        handles.push(ImageFile::from(file));
    } else {
        if job.format == ImageFormat::Raw && !job.is_one_file() {
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

fn plan_raw(job: &Job<'_>, _: &MapFacts, list: &BlockList<'_>, _: &mut Decided) -> Result<Planned> {
    let chosen = chosen_blocks(job.blocks, list.blocks, job.output.as_os_str() == "-")?;
    let plan = Plan::raw(list.blocks, &chosen);
    if let (true, [one]) = (job.is_one_file(), chosen.as_slice()) {
        return Ok((plan, vec![(job.output.to_owned(), Some(*one))]));
    }
    let names: Vec<&str> = list.blocks.iter().map(|b| b.name.exact()).collect();
    let names = file_names(&names);
    let path = |i: usize| job.output.join(names.get(i).map_or("_", String::as_str));
    Ok((plan, chosen.iter().map(|i| (path(*i), Some(*i))).collect()))
}

fn plan_physical(job: &Job<'_>, facts: &MapFacts, list: &BlockList<'_>, d: &mut Decided) -> Result<Planned> {
    let unknown = job.map.iter().find(|(name, _)| list.blocks.iter().all(|b| b.name != *name));
    if let Some((name, _)) = unknown {
        return Err(no_such_block(name, list.blocks));
    }
    if range::is_needed(job, list.target_page) {
        d.unaligned = true;
        let what = format!("--begin and --length are no multiples of the target page size, {}", list.target_page);
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    let mut layout = machine::layout(list.machine, list.blocks, facts)?;
    if job.no_firmware {
        layout.leave_out_firmware();
    }
    let plan = Plan::physical(list.blocks, &layout.regions, job.begin, job.length);
    d.layout = Some(layout);
    Ok((plan, vec![(job.output.to_owned(), None)]))
}

/// Creates a file without a name, which disappears with the process.
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
            format!("standard output takes one RAM block, found {}", chosen.len()),
        )
        .hint(format!("choose with --block: {}", names(blocks))));
    }
    Ok(chosen)
}

fn no_such_block(name: &str, blocks: &[RamBlock]) -> Error {
    let near = did_you_mean(name, blocks.iter().map(|b| b.name.exact()));
    Error::new(ErrorKind::Unsupported, format!("the stream has no RAM block {}", quoted(name)))
        .hint(format!("{near}its blocks are: {}", names(blocks)))
}

fn names(blocks: &[RamBlock]) -> String {
    text::list(blocks.iter().map(|b| &b.name))
}
