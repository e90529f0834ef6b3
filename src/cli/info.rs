//! `info`: what is in the file.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome};
use super::many::{Answer, InputsArgs, each};
use super::shared::QuietArgs;
use super::{open, style, width};
use crate::error::{ErrorKind, Remedy, SnapshotChoice};
use crate::inspect::{self, Overview};
use crate::os::linux::find::locate;
use crate::os::linux::guest::Guest;
use crate::os::{linux, other};
use crate::render;
use crate::render::human;
use crate::render::info::{InfoOptions, tables};
use crate::render::info_json::InfoDocument;
use crate::render::linux::guest_json::GuestDocument;
use crate::text;

/// Arguments of `info`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze info vm.mig
  savevm-analyze info -v vm.mig
  savevm-analyze info disk.qcow2               the snapshots of an image
  savevm-analyze info disk.qcow2@before
  savevm-analyze info --guest vm.mig           what runs in it
  savevm-analyze info vm.mig --json | jq .sections[].name
  savevm-analyze info *.save --json            one line of JSON per file")]
pub struct InfoArgs {
    #[command(flatten)]
    pub input: InputsArgs,
    #[command(flatten)]
    pub warnings: QuietArgs,
    /// Print the memory map, the commands and every section too.
    #[arg(short, long)]
    pub verbose: bool,
    /// Columns that a line may take. Without it: COLUMNS, the width of the terminal, or 80.
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,
    /// Print what runs in the guest instead: the kernel, the host name, the time, the load, the number of processes.
    ///
    /// Of other guests than Linux only a name is known.
    #[arg(long, conflicts_with_all = ["verbose", "width", "xml"])]
    pub guest: bool,
    /// Print JSON (savevm-analyze schema info, or info-guest).
    #[arg(long, conflicts_with_all = ["verbose", "width"])]
    pub json: bool,
    /// Print the domain XML of a libvirt save image, which may hold passwords, and nothing else.
    #[arg(long, conflicts_with_all = ["json", "verbose", "width"])]
    pub xml: bool,
}

/// Runs `info`.
pub fn run(a: &InfoArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    each(&a.input.files, !a.json, out, &mut |file, answer| one(a, file, answer))
}

fn one(a: &InfoArgs, file: &Path, answer: &mut Answer<'_>) -> Result<Outcome, Failure> {
    if a.xml {
        return xml(a, file, answer.out);
    }
    if a.guest {
        return guest(a, file, answer);
    }
    let (image, stats) = match open::whole(file, &a.input.source) {
        Ok(both) => both,
        Err(Failure::Library(e)) if !a.json => match e.remedy() {
            Some(Remedy::ChooseSnapshot(all)) => return snapshots(file, all, answer.out),
            _ => return Err(e.into()),
        },
        Err(f) => return Err(f),
    };
    let overview = Overview::of(&image, &stats)?;
    if a.json {
        answer.document(&InfoDocument::new(&image, &stats, &overview))?;
    } else {
        let file_bytes = if open::is_file(file) { open::place(file).0.metadata().ok().map(|m| m.len()) } else { None };
        let o = InfoOptions {
            width: width::columns(a.width),
            verbose: a.verbose,
            file_bytes,
            more: " (-v lists them)",
            paint: &style::paint,
        };
        tables(answer.out, &image, &stats, &overview, &o)?;
    }
    Ok(open::verdict(&image, &[]))
}

/// Prints what runs in the guest.
fn guest(a: &InfoArgs, file: &Path, answer: &mut Answer<'_>) -> Result<Outcome, Failure> {
    let image = open::image(file, open::options(&a.input.source)?.keep_memory(u64::MAX))?;
    let memory = image.memory()?;
    memory.map()?;
    let hints = inspect::linux_hints(&image)?;
    let located = match locate(memory, &hints) {
        Err(e) if e.kind() != ErrorKind::Io => {
            // what it is instead is better than what it is not
            let Some(system) = other::seen(memory)? else { return Err(e.into()) };
            if a.json {
                answer.document(&GuestDocument::other(&image, system))?;
            } else {
                writeln!(answer.out, "system  {system}")?;
            }
            return Ok(open::verdict(&image, &[]));
        }
        found => found?,
    };
    let found = located.found.clone();
    let mut problems = Vec::new();
    let (summary, steps) = match Guest::new(located) {
        Ok(guest) => (linux::summary(&guest)?, guest.steps().to_vec()),
        Err(e) if e.kind() == ErrorKind::Io => return Err(e.into()),
        // without types, there are still the names
        Err(e) => {
            problems.push(e.to_string());
            (linux::names(memory, found.as_ref().map(|f| &f.info)), Vec::new())
        }
    };
    if a.json {
        answer.document(&GuestDocument::linux(&image, &summary, &steps, &problems))?;
    } else {
        render::linux::guest::summary(answer.out, &summary, &style::paint)?;
    }
    Ok(open::verdict(&image, &problems))
}

/// Lists the snapshots of an image, of which one must be chosen for more.
fn snapshots(file: &Path, all: &[SnapshotChoice], out: &mut dyn Write) -> Result<Outcome, Failure> {
    let date = |s: &SnapshotChoice| {
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(s.date_sec.into())).unwrap_or(UNIX_EPOCH);
        humantime::format_rfc3339_seconds(time).to_string()
    };
    writeln!(out, "{} snapshots in a qcow2 image", all.len())?;
    let width = all.iter().map(|s| s.name.to_string().chars().count()).max().unwrap_or(0);
    for s in all {
        let state = if s.state_bytes == 0 { "disk only".to_owned() } else { human::size(s.state_bytes) };
        let name = s.name.to_string();
        let pad = human::padding(&name, width);
        writeln!(out, "  {:>4}  {name}{pad}  {state:>10}  {}", s.id.to_string(), date(s))?;
    }
    let path = text::shown(file);
    if let Some(first) = all.iter().find(|s| s.state_bytes > 0) {
        writeln!(out, "\nsavevm-analyze info {path}@{} shows one of them", first.name)?;
    }
    Ok(Outcome::Complete)
}

/// Prints the XML of a libvirt save image, without reading the stream.
fn xml(a: &InfoArgs, file: &Path, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let container = open::container(file, &a.input.source)?;
    match container.libvirt() {
        Some(i) => {
            writeln!(out, "{}", text::xml(&i.xml).trim_end())?;
            Ok(Outcome::Complete)
        }
        None => Err(Failure::Usage(format!("expected a libvirt save image, found: {}", container.name()))),
    }
}
