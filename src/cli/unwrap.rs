//! `unwrap`: the bare migration stream of any wrapper.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome};
use super::shared::InputArgs;
use super::{extract, interrupt, open, say};
use crate::container::Container;
use crate::error::{Error, ErrorKind};
use crate::image::{OpenOptions, SaveImage};
use crate::offset::Sure;
use crate::sink::{FileRules, ImageFiles, Whole};
use crate::text::shown;

/// Bytes that are copied at a time.
const PIECE: usize = 1 << 20;

/// Arguments of `unwrap`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze unwrap vm.save -o vm.mig            the stream of a libvirt save image
  savevm-analyze unwrap disk.qcow2@before -o vm.mig  the stream of a snapshot
  savevm-analyze unwrap vm.save -o - | qemu-system-x86_64 ... -incoming exec:cat

Bytes after the stream are left out. Only its owner can read the file.")]
pub struct UnwrapArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// New file to write, or `-` for standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Print errors only, and not the length of the file.
    #[arg(short, long)]
    pub quiet: bool,
    /// Keep the bytes after the stream.
    #[arg(long)]
    pub trailing: bool,
    /// Overwrite a file that exists.
    #[arg(long)]
    pub force: bool,
    /// Do not wait until the file is on disk.
    #[arg(long)]
    pub no_sync: bool,
}

/// Runs `unwrap`.
pub fn run(a: &UnwrapArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let to_stdout = a.output.as_os_str() == "-";
    if to_stdout && say::stdout_is_terminal() {
        return Err(Failure::Usage("refusing to write a stream to a terminal; redirect standard output".to_owned()));
    }
    let rules = FileRules { force: a.force, private: true, no_sync: a.no_sync, unfinished: interrupt::unfinished() };
    let mut files = ImageFiles::new(rules);
    let (first, end) = stream(a)?;
    // where the end is not known yet, everything is copied and what follows the stream is cut off
    let file = extract::temporary(a.input.source.tmpdir.as_deref());
    let mut bare = match to_stdout {
        true => file.map_err(|e| Error::io("cannot create a temporary file", e))?,
        false => {
            files.allow(&a.output)?;
            files.create(&a.output, 0)?
        }
    };
    let copied = copy(&first, end, &mut bare)?;
    let image = OpenOptions::new().full(end.is_none()).container(reopened(&bare)?)?;
    let whole = image.fault().is_none() && first.source.trouble().is_none() && first.faults().is_empty();
    let length = match image.walk().trailing {
        Some(t) if !a.trailing => copied.minus(t.len()),
        _ => copied,
    };
    bare.set_len(length).map_err(|e| Error::io("cannot cut the copy", e))?;
    if to_stdout {
        extract::pour(bare, out)?;
    } else {
        drop(bare);
        for f in files.finish(if whole { Whole::Yes } else { Whole::No })? {
            if !a.quiet {
                writeln!(out, "{length}  {}", shown(&f.now))?;
            }
        }
    }
    out.flush()?;
    if let Some(why) = first.source.trouble() {
        return Err(Failure::Partial(Box::new(Error::new(ErrorKind::Io, why).into())));
    }
    let outcome = open::verdict(&image, &first.faults());
    Ok(if whole { outcome } else { Outcome::Partial })
}

/// Opens the wrappers; returns where the stream ends, if that can be known without reading all of it.
fn stream(a: &UnwrapArgs) -> Result<(Container, Option<u64>), Failure> {
    let container = open::container(&a.input.file, &a.input.source)?;
    if container.source.is_transient() {
        return Ok((container, None));
    }
    let image = OpenOptions::new().container(container.clone())?;
    refuse_mapped(&image)?;
    let trailing = image.walk().trailing.filter(|_| !a.trailing).map_or(0, |t| t.len());
    Ok((container, Some(image.size().minus(trailing))))
}

/// The headers of a mapped-ram stream hold offsets in its file: the stream alone is of use only at the same offset.
fn refuse_mapped(image: &SaveImage) -> Result<(), Failure> {
    let start = image.container().stream_start.0;
    if start == 0 || image.ram_blocks().iter().all(|b| b.mapped.is_none()) {
        return Ok(());
    }
    let what = "a mapped-ram stream holds offsets in its file, and cannot be moved to the beginning of another";
    let hint = format!("QEMU loads it from this file with `migrate-incoming file:PATH,offset={start:#x}`");
    Err(Error::new(ErrorKind::Unsupported, what).hint(hint).into())
}

/// Copies the stream, up to its end if that is known; returns the number of bytes.
fn copy(from: &Container, end: Option<u64>, to: &mut std::fs::File) -> Result<u64, Failure> {
    let mut buf = vec![0; PIECE];
    let mut at = 0_u64;
    loop {
        let left = end.map_or(PIECE as u64, |e| e.minus(at));
        let n = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let piece = buf.get_mut(..n).unwrap_or_default();
        let got = from.source.read_full(at, piece).map_err(|e| Error::io("cannot read the stream", e))?;
        to.write_all(piece.get(..got).unwrap_or_default()).map_err(|e| Error::io("cannot write the stream", e))?;
        at += got as u64;
        from.source.release(at);
        if got < n || n == 0 {
            return Ok(at);
        }
    }
}

/// Opens the copy, to find the end of the stream in it.
fn reopened(file: &std::fs::File) -> Result<Container, Failure> {
    let again = file.try_clone().and_then(|f| crate::wire::FileSource::new(f, 0));
    let failed = |e: io::Error| Error::io("cannot read the copy", e);
    Ok(Container::raw(std::sync::Arc::new(again.map_err(failed)?)))
}
