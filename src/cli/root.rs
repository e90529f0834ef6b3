//! The command line's root: the commands, and the flags of analyze-migration.py.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::check::CheckArgs;
use super::compat::CompatArgs;
use super::cpu::CpuArgs;
use super::devices::{PciArgs, VirtioArgs};
use super::diff::DiffArgs;
use super::dmesg::DmesgArgs;
use super::extract::ExtractArgs;
use super::info::InfoArgs;
use super::linux::LinuxArgs;
use super::read::ReadArgs;
use super::shared::SourceArgs;
use super::state::StateArgs;
use super::style::ColorWhen;
use super::symbols::SymbolsArgs;
use super::tell::{self, CompletionsArgs, ManArgs, SchemaArgs};
use super::unwrap::UnwrapArgs;

const EXAMPLES: &str = "\
Examples:
  savevm-analyze -f vm.mig                    what analyze-migration.py prints
  savevm-analyze info vm.mig                  machine, memory, CPUs
  savevm-analyze diff before.mig after.mig    what changed
  savevm-analyze check vm.mig                 is the file complete and sound

Exit status:
  0 success   1 check failed or differences found   2 usage or input error
  3 partial result, see the errors";

const USAGE: &str = "\
savevm-analyze [OPTIONS] [FILE]
       savevm-analyze [--color WHEN] <COMMAND>";

/// Open the saved state of a QEMU virtual machine and decode all of it.
#[derive(Debug, Parser)]
#[command(name = "savevm-analyze", version, long_version = tell::version(), about, after_help = EXAMPLES, override_usage = USAGE, infer_long_args = true)]
pub struct Args {
    #[command(flatten)]
    pub dump: DumpArgs,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN")]
    pub color: ColorWhen,
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// Parses the command line. The flags of analyze-migration.py cannot be combined with a subcommand. Global flags can, before
    /// or after it, which is why clap's own `args_conflicts_with_subcommands` cannot be used.
    ///
    /// # Errors
    /// Those of clap, help and version included.
    pub fn parse_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(line)?;
        if let Some(command) = matches.subcommand_name() {
            let mut flags = DumpArgs::augment_args(clap::Command::new(""));
            flags.build();
            let given = |a: &&clap::Arg| matches.value_source(a.get_id().as_str()) == Some(ValueSource::CommandLine);
            if let Some(flag) = flags.get_arguments().find(given) {
                let what = format!("{flag} cannot be combined with the command {command}");
                return Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, what));
            }
        }
        Self::from_arg_matches(&matches)
    }
}

impl Args {
    /// Returns whether only errors are to be printed to standard error.
    pub fn is_quiet(&self) -> bool {
        match &self.command {
            Some(Command::Info(a)) => a.warnings.quiet,
            Some(Command::State(a)) => a.warnings.quiet,
            Some(Command::Cpu(a)) => a.warnings.quiet,
            Some(Command::Pci(a)) => a.warnings.quiet,
            Some(Command::Virtio(a)) => a.warnings.quiet,
            Some(Command::Check(a)) => a.quiet,
            Some(Command::Extract(a)) => a.quiet,
            Some(Command::Diff(a)) => a.report.quiet,
            Some(Command::Compat(a)) => a.report.quiet,
            Some(Command::Read(a)) => a.warnings.quiet,
            Some(Command::Dmesg(a)) => a.quiet,
            Some(Command::Linux(a)) => a.is_quiet(),
            Some(Command::Symbols(a)) => a.quiet,
            Some(Command::Unwrap(a)) => a.quiet,
            Some(Command::Completions(_) | Command::Man(_) | Command::Schema(_)) | None => false,
        }
    }
}

/// Returns the first word of the command line and the command that it resembles, if it is no command and no file.
pub fn mistyped(line: impl IntoIterator<Item = OsString>) -> Option<(String, String)> {
    let word = line.into_iter().nth(1)?.into_string().ok()?;
    if word.starts_with('-') || std::path::Path::new(&word).symlink_metadata().is_ok() || word.contains(['.', '/', '@'])
    {
        return None;
    }
    let command = Args::command();
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).chain(["help"]).collect();
    if names.contains(&word.as_str()) {
        return None;
    }
    let near = super::near::nearest(&word, names)?;
    Some((word, near.to_owned()))
}

/// The flags of analyze-migration.py, and their options.
#[derive(Debug, Default, ClapArgs)]
pub struct DumpArgs {
    /// Saved state: FILE, FILE@SNAPSHOT, or `-` for standard input.
    #[arg(value_name = "FILE", conflicts_with = "file")]
    pub path: Option<PathBuf>,
    /// Saved state: FILE, FILE@SNAPSHOT, or `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "WHAT")]
    pub dump: DumpWhat,
    /// Print guest memory too.
    #[arg(short, long)]
    pub memory: bool,
    /// Write desc.json, state.json and one file per RAM block into a directory.
    ///
    /// In a directory that has both documents from an earlier -x, files are replaced.
    #[arg(short = 'x', long, conflicts_with = "extract_ram")]
    pub extract: bool,
    /// Write one sparse file per RAM block into a directory.
    #[arg(long)]
    pub extract_ram: bool,
    /// Only this RAM block. Can be repeated.
    #[arg(long, value_name = "NAME", requires = "extract_ram", hide_short_help = true)]
    pub block: Vec<String>,
    /// Directory for -x and --extract-ram, or `-` for one block.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Write the device state to a file in the same pass.
    #[arg(long, value_name = "FILE", requires = "extract_ram", hide_short_help = true)]
    pub also_state: Option<PathBuf>,
    /// Overwrite existing files.
    #[arg(long, hide_short_help = true)]
    pub force: bool,
    /// Do not wait until the files are on disk.
    #[arg(long, hide_short_help = true)]
    pub no_sync: bool,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// What `--dump` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DumpWhat {
    /// The state of all devices.
    #[default]
    State,
    /// The description of all devices.
    Desc,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is in a saved state: machine, memory, CPUs, completeness.
    Info(InfoArgs),
    /// Print the state of the devices as a typed tree.
    State(StateArgs),
    /// Show CPU registers by name, interrupt controllers and clocks.
    Cpu(CpuArgs),
    /// List PCI devices with their BARs, bridges and capabilities.
    Pci(PciArgs),
    /// Show virtio devices: status, features, configuration, queues.
    Virtio(VirtioArgs),
    /// Verify that a state is complete, well-formed and can be decoded.
    Check(CheckArgs),
    /// Write guest memory to files that other tools read.
    Extract(ExtractArgs),
    /// Read guest memory at a physical or virtual address.
    Read(ReadArgs),
    /// Print the kernel log of a Linux guest.
    Dmesg(DmesgArgs),
    /// Ask a Linux guest, without debug symbols.
    Linux(LinuxArgs),
    /// Write the symbols and types of a Linux guest for volatility3, gdb and others.
    Symbols(SymbolsArgs),
    /// Compare two states field by field.
    Diff(Box<DiffArgs>),
    /// Predict whether another QEMU can load a saved state.
    Compat(CompatArgs),
    /// Write the bare migration stream of a save image, snapshot or compressed file.
    Unwrap(UnwrapArgs),
    /// Print a script that completes command lines in a shell.
    Completions(CompletionsArgs),
    /// Print the man page, or write all man pages.
    Man(ManArgs),
    /// Print the JSON Schema of a document, or list the schemas.
    Schema(SchemaArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn flags_for_all_commands_are_accepted_on_either_side() {
        let parse = |line: &str| Args::parse_line(line.split(' ').map(OsString::from));
        for line in ["x --color always info f", "x info f --color always", "x info --color=always f"] {
            let a = parse(line).unwrap();
            assert_eq!(a.color, ColorWhen::Always, "{line}");
            assert!(matches!(a.command, Some(Command::Info(_))));
        }
        assert!(parse("x -f a info b").unwrap_err().to_string().contains("--file"));
        assert!(parse("x --dump desc info b").unwrap_err().to_string().contains("--dump"));
        assert!(parse("x a").unwrap().command.is_none());
    }
}
