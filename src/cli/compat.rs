//! `compat`: will a target load what was saved?

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::args::HowArgs;
use super::exit::{Failure, Outcome};
use super::open;
use crate::compat::{self, Dump, Known, Side, StreamFacts};
use crate::error::Error;
use crate::image::{OpenOptions, SaveImage};

/// Arguments of `compat`.
#[derive(Debug, ClapArgs)]
pub struct CompatArgs {
    /// The stream that is to be loaded, or a -dump-vmstate file of the QEMU that writes it; `-` is standard input.
    #[arg(value_name = "SAVED")]
    pub saved: PathBuf,
    /// The QEMU that is to load it: a -dump-vmstate file, or a stream that it wrote for the same machine.
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,
    /// A stream that the target wrote for the same machine, beside its -dump-vmstate file.
    #[arg(long, value_name = "FILE")]
    pub target_stream: Option<PathBuf>,
    #[command(flatten)]
    pub how: HowArgs,
    #[arg(long)]
    pub format: Option<String>,
}

/// Opens a side: JSON is a dump, anything else a state.
fn side(file: &Path, how: &HowArgs, side: &mut Side) -> Result<(), Failure> {
    let shown = file.display();
    let mut head = [0; 1];
    let is_json = file.as_os_str() != "-"
        && std::fs::File::open(file)
            .and_then(|mut f| std::io::Read::read(&mut f, &mut head))
            .map_err(|e| Error::io(format!("cannot open {shown}"), e))
            .map(|n| n == 1 && head == *b"{")?;
    if is_json {
        let text = std::fs::read(file).map_err(|e| Error::io(format!("cannot read {shown}"), e))?;
        side.dump = Some(Dump::read(&text).map_err(|e| e.within(shown.to_string()))?);
        return Ok(());
    }
    let image = SaveImage::open(file, OpenOptions { full: true, ..open::options(how)? })?;
    side.stream = Some(StreamFacts::of(&image)?);
    Ok(())
}

/// Runs `compat`.
pub fn run(a: &CompatArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let (mut saved, mut target) = (Side::default(), Side::default());
    side(&a.saved, &a.how, &mut saved)?;
    side(&a.target, &a.how, &mut target)?;
    if let Some(t) = &a.target_stream {
        side(t, &a.how, &mut target)?;
    }
    let report = compat::compare(&saved, &target, Known::default());
    for d in &report.differences {
        writeln!(
            out,
            "{}\t{}\t{}\t{}\t{}\t{}",
            d.weight.name(),
            d.rule.id,
            d.subject,
            d.message,
            d.before.as_ref().map_or("", |a| &a.text),
            d.after.as_ref().map_or("", |a| &a.text)
        )?;
    }
    for f in &report.faults {
        writeln!(out, "fault\t\t\t{f}")?;
    }
    Ok(if report.fails() { Outcome::No } else { Outcome::Complete })
}
