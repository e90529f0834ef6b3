//! `read`: guest memory at a physical or virtual address.

use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome};
use super::shared::{InputArgs, QuietArgs, number};
use super::{interrupt, open, say, style};
use crate::error::{Error, ErrorKind};
use crate::image::SaveImage;
use crate::inspect::{Cpus, Piece, pieces};
use crate::memory::GuestMemory;
use crate::offset::Sure;
use crate::paging::AddressSpace;
use crate::render;
use crate::render::hexdump::HexDump;
use crate::render::read_json::{PieceJson, ReadDocument, TranslationJson};
use crate::render::state_json::FindingJson;
use crate::sink::{FileRules, ImageFiles, Whole};
use crate::text::shown;

/// What is read if no length is given.
const DEFAULT: u64 = 256;

/// What a JSON document may have.
const MAX_JSON: u64 = 16 << 20;

/// Missing pieces that are named one by one.
const MAX_NAMED: usize = 20;

/// Arguments of `read`.
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("place").required(true))]
#[command(after_help = "\
Examples:
  savevm-analyze read vm.mig --phys 0x7c00 --length 512
  savevm-analyze read vm.mig --virt 0xffffffff81000000 --length 64
  savevm-analyze read vm.mig --virt 0xffffffff81000000 --translate
  savevm-analyze read vm.mig --phys 0 --length 1M -o low.bin

Numbers are decimal, 0x and hexadecimal, or have a unit K, M, G; an address may also be 16 hexadecimal digits. Missing pages are zeros in a file; the exit status is then 3.")]
pub struct ReadArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub warnings: QuietArgs,
    /// Guest-physical address.
    #[arg(short, long, value_name = "ADDRESS", value_parser = place, group = "place")]
    pub phys: Option<u64>,
    /// Virtual address, translated by the page tables of a CPU.
    #[arg(long, value_name = "ADDRESS", value_parser = place, group = "place")]
    pub virt: Option<u64>,
    /// CPU whose page tables translate the address. Default: the first one that maps it.
    #[arg(long, value_name = "N", requires = "virt")]
    pub cpu: Option<u32>,
    /// Number of bytes, such as 64 or 4K [default: 256].
    #[arg(short = 'n', long, value_name = "N", value_parser = number)]
    pub length: Option<u64>,
    /// Print each step of the translation; the memory too if there is a --length.
    #[arg(short, long, requires = "virt", conflicts_with_all = ["output", "json"])]
    pub translate: bool,
    /// New file to write the bytes to, or `-` for standard output.
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    pub output: Option<PathBuf>,
    /// Overwrite a file that exists.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Print JSON (savevm-analyze schema read).
    #[arg(long)]
    pub json: bool,
}

/// Reads an address: a number, or 16 hexadecimal digits as kernels print them.
fn place(text: &str) -> Result<u64, String> {
    let bare = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    number(text).or_else(|e| u64::from_str_radix(text, 16).ok().filter(|_| bare).ok_or(e))
}

/// What is read, and how.
struct Question<'a> {
    memory: &'a GuestMemory,
    address: u64,
    length: u64,
    space: Option<(u32, AddressSpace)>,
}

impl Question<'_> {
    fn each(&self, f: &mut dyn FnMut(Piece) -> Result<(), Failure>) -> Result<(), Failure> {
        pieces(self.memory, self.space.as_ref().map(|(_, s)| s), self.address, self.length, f)
    }
}

/// What could not be read.
#[derive(Default)]
struct Lost {
    found: u64,
    missing: u64,
    said: Vec<String>,
}

impl Lost {
    fn note(&mut self, p: &Piece) {
        match &p.content {
            Ok(_) => self.found.tally(p.bytes),
            Err(e) => {
                self.missing.tally(p.bytes);
                if self.said.len() <= MAX_NAMED {
                    // where it is in guest-physical memory is clear from the address
                    let why = if p.phys.is_some() { e.message().to_owned() } else { e.to_string() };
                    self.said.push(format!("{} bytes at {:#x} are missing: {why}", p.bytes, p.at));
                }
            }
        }
    }

    /// Says what is missing to standard error; returns the exit status.
    fn verdict(mut self, image: &SaveImage) -> Outcome {
        if self.said.len() > MAX_NAMED {
            self.said.truncate(MAX_NAMED);
            self.said.push(format!("{} bytes are missing in all", self.missing));
        }
        let outcome = open::verdict(image, &self.said);
        if self.found == 0 { Outcome::Unusable } else { outcome }
    }
}

/// Runs `read`.
pub fn run(a: &ReadArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let (address, length) = (a.virt.or(a.phys).unwrap_or(0), a.length.unwrap_or(DEFAULT));
    if length == 0 || address.checked_add(length.minus(1)).is_none() {
        let what = format!("expected a length of at least 1 that ends below 2^64, found {length:#x} at {address:#x}");
        return Err(Failure::Usage(what));
    }
    if a.json && length > MAX_JSON {
        return Err(Failure::Usage("--json prints at most 16 MiB; use -o for more".to_owned()));
    }
    if a.output.as_ref().is_some_and(|o| o.as_os_str() == "-") && say::stdout_is_terminal() {
        return Err(Failure::Usage("refusing to write bytes to a terminal; redirect standard output".to_owned()));
    }
    let image = open::image(&a.input.file, open::options(&a.input.source)?.keep_memory(u64::MAX))?;
    let memory = image.memory()?;
    memory.map()?;
    let space = match a.virt {
        Some(virt) => Some(space(&image, memory, virt, a.cpu)?),
        None => None,
    };
    let q = Question { memory, address, length, space };
    if a.json {
        return json(&image, &q, out);
    }
    if a.translate
        && let Some((cpu, space)) = &q.space
    {
        let walk = space.walk(memory, address);
        render::paging::walk(out, space, *cpu, address, &walk, &style::paint)?;
        let missing = walk.steps.last().is_some_and(|s| matches!(s.meaning, crate::paging::Meaning::Absent(_)));
        match walk.outcome {
            Ok(_) if a.length.is_none() => return Ok(open::verdict(&image, &[])),
            Ok(_) => writeln!(out)?,
            Err(_) if missing => return Ok(open::verdict(&image, &[]).worse(Outcome::No)),
            Err(_) => return Ok(open::verdict(&image, &[]).worse(Outcome::Unusable)),
        }
    }
    let mut lost = Lost::default();
    match &a.output {
        Some(path) if path.as_os_str() == "-" => q.each(&mut |p| {
            lost.note(&p);
            match &p.content {
                Ok(b) => out.write_all(b)?,
                Err(_) => zeros(out, p.bytes)?,
            }
            Ok(())
        })?,
        Some(path) => to_file(a, path, &q, &mut lost, out)?,
        None => {
            let end = address.wrapping_add(length);
            let mut dump = HexDump::new(out, &style::paint, address.saturating_add(length));
            q.each(&mut |p| {
                lost.note(&p);
                match &p.content {
                    Ok(b) => dump.bytes(p.at, b)?,
                    Err(e) => dump.missing(p.at, p.bytes, e.message())?,
                }
                Ok(())
            })?;
            dump.finish(end)?;
        }
    }
    out.flush()?;
    Ok(lost.verdict(&image))
}

fn zeros(out: &mut dyn Write, mut bytes: u64) -> std::io::Result<()> {
    while bytes > 0 {
        let n = bytes.min(1 << 16);
        out.write_all(&vec![0; usize::try_from(n).unwrap_or(0)])?;
        bytes -= n;
    }
    Ok(())
}

/// Writes a sparse file, which only its owner may read.
fn to_file(
    a: &ReadArgs,
    path: &std::path::Path,
    q: &Question<'_>,
    lost: &mut Lost,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let rules =
        FileRules { force: a.force, private: true, unfinished: interrupt::unfinished(), ..FileRules::default() };
    let mut files = ImageFiles::new(rules);
    let mut file = files.create(path, q.length)?;
    let failed = |e| Error::io(format!("cannot write {}", shown(path)), e);
    file.set_len(q.length).map_err(failed)?;
    q.each(&mut |p| {
        lost.note(&p);
        match &p.content {
            Ok(b) => file.write_all(b).map_err(failed)?,
            Err(_) => {
                file.seek(SeekFrom::Start(p.at.wrapping_sub(q.address).plus(p.bytes))).map_err(failed)?;
            }
        }
        Ok(())
    })?;
    drop(file);
    for f in files.finish(if lost.missing == 0 { Whole::Yes } else { Whole::No })? {
        writeln!(out, "{}  {}", q.length, shown(&f.now))?;
    }
    Ok(())
}

/// Returns the address space of a CPU: the given one, the first that maps the address, or the first one.
fn space(
    image: &SaveImage,
    memory: &GuestMemory,
    address: u64,
    wanted: Option<u32>,
) -> Result<(u32, AddressSpace), Failure> {
    let found = Cpus::find(image)?;
    let there: Vec<u32> = found.sections().map(crate::image::Device::instance_id).collect();
    if let Some(n) = wanted.filter(|n| !there.contains(n)) {
        let list: Vec<String> = there.iter().map(ToString::to_string).collect();
        let list = if list.is_empty() { "there are none".to_owned() } else { list.join(", ") };
        return Err(Failure::Usage(format!("no CPU {n}; the CPUs are: {list}")));
    }
    let mut first = None;
    for device in found.sections().filter(|d| wanted.is_none_or(|n| d.instance_id() == n)) {
        let cpu = found.decode(device);
        let unknown = || Error::new(ErrorKind::Unsupported, "the page tables of this architecture cannot be read");
        let space = cpu.ok_or_else(unknown).and_then(|c| AddressSpace::of_cpu(&c));
        match space {
            Ok(s) if s.translate(memory, address).is_ok() => return Ok((device.instance_id(), s)),
            other => {
                first.get_or_insert((device.instance_id(), other));
            }
        }
    }
    match first {
        Some((n, Ok(space))) => Ok((n, space)),
        Some((n, Err(e))) => Err(e.within(format!("CPU {n}")).hint("read guest-physical memory with --phys").into()),
        None => {
            Err(Error::new(ErrorKind::Missing, "the state has no processors, so that no address can be translated")
                .into())
        }
    }
}

fn json(image: &SaveImage, q: &Question<'_>, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let mut doc = ReadDocument::new(image.machine(), q.address, q.length);
    let walk = q.space.as_ref().map(|(_, s)| s.walk(q.memory, q.address));
    if let (Some((cpu, space)), Some(walk)) = (&q.space, &walk) {
        doc.translation = Some(TranslationJson::new(space, *cpu, walk));
    }
    let mut lost = Lost::default();
    q.each(&mut |p| {
        lost.note(&p);
        PieceJson::add(&mut doc.pieces, &p);
        Ok(())
    })?;
    let walk = image.walk();
    doc.complete = lost.missing == 0 && walk.stopped.is_none();
    doc.diagnostics = walk.found.list().iter().map(FindingJson::from).collect();
    doc.diagnostics.extend(walk.stopped.iter().map(FindingJson::from));
    render::pretty(&mut *out, &doc)?;
    out.flush()?;
    Ok(lost.verdict(image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers_or_what_kernels_print() {
        assert_eq!((place("0x1000"), place("4K"), place("4096")), (Ok(4096), Ok(4096), Ok(4096)));
        assert_eq!(place("ffffffff81000000"), Ok(0xffff_ffff_8100_0000));
        // decimal, as everywhere
        assert_eq!(place("1000000000000000"), Ok(1_000_000_000_000_000));
        for bad in ["ffff", "ffffffff8100000g", "fffffffff81000000"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
