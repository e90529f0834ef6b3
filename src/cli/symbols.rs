//! `symbols`: the symbols and types of a Linux guest in a file for other tools.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome, say};
use super::linux::opened;
use super::shared::InputArgs;
use super::{interrupt, open, say};
use crate::inspect;
use crate::os::linux::export::{self, Addresses};
use crate::os::linux::find::{Located, locate};
use crate::os::linux::guest::Guest;
use crate::render::tree::Role;
use crate::sink::{FileRules, ImageFiles};

/// Arguments of `symbols`.
#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("format").required(true))]
#[command(after_help = "\
Examples:
  savevm-analyze symbols vm.mig --isf -o symbols/linux/vm.json       for volatility3 -s symbols
  savevm-analyze symbols vm.mig --isf -o symbols/linux/vm.json.xz
  savevm-analyze symbols vm.mig --elf -o vm.symbols                  for gdb, pahole, bpftool
  savevm-analyze extract vm.mig --format elf --paging -o vm.elf && gdb vm.symbols -c vm.elf
  savevm-analyze symbols vm.mig --system-map -o System.map

The symbols (kallsyms) and the types (BTF) are read from the guest's memory; no debug package is needed. The ELF file and
System.map have the addresses of the running kernel, as KASLR moved it, unless --no-kaslr is given. ISF has those without KASLR,
which volatility3 finds out itself. Symbols of modules are not included.")]
pub struct SymbolsArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Write ISF 6.2.0 (JSON), the symbol table of volatility3.
    #[arg(long, group = "format")]
    pub isf: bool,
    /// Write an ELF file with .symtab and .BTF.
    #[arg(long, group = "format")]
    pub elf: bool,
    /// Write a System.map, as `nm -n` prints one.
    #[arg(long, group = "format")]
    pub system_map: bool,
    /// New file, packed if its name ends with .gz or .xz, or `-` for standard output.
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// Write the addresses for which the kernel was linked, without KASLR.
    #[arg(long)]
    pub no_kaslr: bool,
    /// Overwrite a file that exists.
    #[arg(long)]
    pub force: bool,
    /// Print errors only.
    #[arg(short, long)]
    pub quiet: bool,
}

/// What is written.
enum Content<'a> {
    /// Symbols alone, for which no types are needed.
    Map(Box<Located<'a>>),
    /// Symbols and types.
    Whole(Box<Guest<'a>>),
}

impl SymbolsArgs {
    fn write(&self, out: &mut dyn Write, content: &Content<'_>) -> std::io::Result<()> {
        let how = if self.no_kaslr { Addresses::Linked } else { Addresses::Running };
        match content {
            Content::Map(l) => export::write_system_map(out, (&l.kernel, &l.symbols), how),
            Content::Whole(guest) if self.isf => export::write_isf(out, guest),
            Content::Whole(guest) => export::write_elf(out, guest, how),
        }
    }

    /// Writes to a file, packed if its name asks for it.
    fn write_packed(&self, out: &mut dyn Write, content: &Content<'_>) -> std::io::Result<()> {
        match self.output.extension().and_then(|e| e.to_str()) {
            Some("gz") => {
                let mut w = flate2::write::GzEncoder::new(out, flate2::Compression::default());
                self.write(&mut BufWriter::new(&mut w), content)?;
                w.finish().map(|_| ())
            }
            #[cfg(feature = "xz")]
            Some("xz") => {
                let mut w = liblzma::write::XzEncoder::new(out, 1);
                self.write(&mut BufWriter::new(&mut w), content)?;
                w.finish().map(|_| ())
            }
            _ => self.write(out, content),
        }
    }
}

/// Runs `symbols`.
pub fn run(a: &SymbolsArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let to_stdout = a.output.as_os_str() == "-";
    if to_stdout && a.elf && say::stdout_is_terminal() {
        return Err(Failure::Usage("refusing to write an ELF file to a terminal; redirect standard output".to_owned()));
    }
    // where the kernel is in memory is a secret of the guest
    let rules =
        || FileRules { force: a.force, private: true, unfinished: interrupt::unfinished(), ..FileRules::default() };
    if !to_stdout {
        ImageFiles::new(rules()).allow(&a.output)?;
    }
    let image = opened(&a.input)?;
    let located = locate(image.memory()?, &inspect::linux_hints(&image)?)?;
    if let Some(first) = located.steps.first().filter(|_| !a.quiet) {
        say(Role::Name, "note", first.trim_end_matches('.'));
    }
    let count = located.symbols.len();
    let (content, what) = if a.system_map {
        (Content::Map(Box::new(located)), format!("{count} symbols"))
    } else {
        let guest = Guest::new(located)?;
        let what = format!("{count} symbols and {} types", guest.types().len());
        (Content::Whole(Box::new(guest)), what)
    };
    if to_stdout {
        a.write(out, &content)?;
        out.flush()?;
    } else {
        open::write_file(&a.output, rules(), &mut |w| Ok(a.write_packed(w, &content)?))?;
    }
    if !a.quiet {
        say(Role::Name, "note", &what);
    }
    Ok(open::verdict(&image, &[]))
}
