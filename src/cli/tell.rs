//! `completions`, `man` and `schema`: what the command knows of itself.

use std::io::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap_complete::Shell;

use super::exit::{Failure, Outcome};
use super::near::did_you_mean;
use super::open;
use crate::error::Error;
use crate::text::{quoted, shown};

/// The JSON schemas of the documents that commands print.
static SCHEMAS: &[(&str, &str)] = &[
    ("check", include_str!("../../schemas/output/check.schema.json")),
    ("cpu", include_str!("../../schemas/output/cpu.schema.json")),
    ("dmesg", include_str!("../../schemas/output/dmesg.schema.json")),
    ("dump-state", include_str!("../../schemas/output/dump-state.schema.json")),
    ("info", include_str!("../../schemas/output/info.schema.json")),
    ("info-guest", include_str!("../../schemas/output/info-guest.schema.json")),
    ("linux-bt", include_str!("../../schemas/output/linux-bt.schema.json")),
    ("linux-files", include_str!("../../schemas/output/linux-files.schema.json")),
    ("linux-lsmod", include_str!("../../schemas/output/linux-lsmod.schema.json")),
    ("linux-mounts", include_str!("../../schemas/output/linux-mounts.schema.json")),
    ("linux-net", include_str!("../../schemas/output/linux-net.schema.json")),
    ("linux-ps", include_str!("../../schemas/output/linux-ps.schema.json")),
    ("linux-sym", include_str!("../../schemas/output/sym.schema.json")),
    ("linux-print", include_str!("../../schemas/output/linux-print.schema.json")),
    ("linux-type", include_str!("../../schemas/output/linux-type.schema.json")),
    ("pci", include_str!("../../schemas/output/pci.schema.json")),
    ("read", include_str!("../../schemas/output/read.schema.json")),
    ("report", include_str!("../../schemas/output/report.schema.json")),
    ("state", include_str!("../../schemas/output/state.schema.json")),
    ("sym", include_str!("../../schemas/output/sym.schema.json")),
    ("virtio", include_str!("../../schemas/output/virtio.schema.json")),
    ("description", include_str!("../../schemas/vmdesc/description.schema.json")),
];

/// Arguments of `completions`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze completions bash > ~/.local/share/bash-completion/completions/savevm-analyze
  savevm-analyze completions zsh > ~/.zfunc/_savevm-analyze")]
pub struct CompletionsArgs {
    /// Shell to write the completions for.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze man | man -l -
  savevm-analyze man --dir ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write a page for each command into a directory that exists, in place of printing the main page.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Overwrite existing files.
    #[arg(long, requires = "dir")]
    pub force: bool,
}

/// Arguments of `schema`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze schema
  savevm-analyze schema info > info.schema.json")]
pub struct SchemaArgs {
    /// Name of a schema; without it, the names are listed.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Prints a script that completes command lines.
pub fn completions(a: &CompletionsArgs, mut command: clap::Command, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(a.shell, &mut command, "savevm-analyze", &mut text);
    out.write_all(&text)?;
    Ok(Outcome::Complete)
}

/// Prints a man page, or writes all of them.
pub fn man(a: &ManArgs, mut command: clap::Command, out: &mut dyn Write) -> Result<Outcome, Failure> {
    command.build();
    let Some(dir) = &a.dir else {
        clap_mangen::Man::new(command).render(out)?;
        return Ok(Outcome::Complete);
    };
    let subcommands = command.get_subcommands().filter(|c| c.get_name() != "help").cloned();
    let pages: Vec<(String, clap::Command)> = subcommands
        .map(|c| (format!("savevm-analyze-{}", c.get_name()), c))
        .chain([("savevm-analyze".to_owned(), command.clone())])
        .collect();
    for (name, command) in pages {
        let path = dir.join(format!("{name}.1"));
        let page = clap_mangen::Man::new(command).title(name);
        open::write_new(&path, a.force, &mut |w| {
            page.render(w).map_err(|e| Error::io(format!("cannot write {}", shown(&path)), e).into())
        })?;
        writeln!(out, "{}", shown(&path))?;
    }
    Ok(Outcome::Complete)
}

/// Prints a JSON schema, or the names of all.
pub fn schema(a: &SchemaArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let names = || SCHEMAS.iter().map(|(n, _)| *n);
    let Some(name) = &a.name else {
        names().try_for_each(|n| writeln!(out, "{n}"))?;
        return Ok(Outcome::Complete);
    };
    match SCHEMAS.iter().find(|(n, _)| n == name) {
        Some((_, text)) => {
            out.write_all(text.as_bytes())?;
            Ok(Outcome::Complete)
        }
        None => {
            let (near, all) = (did_you_mean(name, names()), names().collect::<Vec<_>>().join(", "));
            Err(Failure::Usage(format!("no schema is called {}; {near}the schemas are: {all}", quoted(name))))
        }
    }
}

/// Returns the version, the commit if the program was built from a repository, and the features.
pub fn version() -> &'static str {
    const FEATURES: &[(&str, bool)] =
        &[("bzip2", cfg!(feature = "bzip2")), ("xz", cfg!(feature = "xz")), ("zstd", cfg!(feature = "zstd"))];
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| {
        let commit = option_env!("SAVEVM_ANALYZE_COMMIT").map_or_else(String::new, |c| format!(" ({c})"));
        let features: Vec<&str> =
            ["gzip", "lzop"].into_iter().chain(FEATURES.iter().filter(|(_, on)| *on).map(|(n, _)| *n)).collect();
        format!("{}{commit}\ncodecs: {}", env!("CARGO_PKG_VERSION"), features.join(", "))
    })
}
