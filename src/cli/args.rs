//! Arguments.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::style::ColorWhen;

const EXAMPLES: &str = "\
Examples:
  savevm-analyze -f vm.mig                        the device state, as analyze-migration.py prints it
  savevm-analyze -f vm.mig --dump desc            the description that QEMU appended to the stream
  savevm-analyze info vm.mig                      what is in the file
  savevm-analyze state vm.mig --device '*cpu*'    the typed tree of some devices
  savevm-analyze check vm.mig                     is every byte accounted for

Exit status:
  0 complete    1 the answer is no    2 nothing usable    3 partial result, standard error says why";

/// Open the saved state of a QEMU virtual machine and decode all of it.
#[derive(Debug, Parser)]
#[command(name = "savevm-analyze", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(flatten)]
    pub dump: DumpArgs,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN")]
    pub color: ColorWhen,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The flags of analyze-migration.py, and what goes with them.
#[derive(Debug, Default, ClapArgs)]
pub struct DumpArgs {
    /// The saved state; `-` is standard input.
    #[arg(value_name = "FILE", conflicts_with = "file")]
    pub path: Option<PathBuf>,
    /// The saved state; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "WHAT")]
    pub dump: DumpWhat,
    /// Print the contents of memory too.
    #[arg(short, long)]
    pub memory: bool,
    /// Write desc.json and state.json into a directory.
    #[arg(short = 'x', long)]
    pub extract: bool,
    /// The directory that --extract writes to.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// A description for a stream that has none: another stream of the same machine, or its `--dump desc`.
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Overwrite files that exist.
    #[arg(long)]
    pub force: bool,
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
    /// Show what is in a saved state: machine, sections, memory blocks.
    Info(InfoArgs),
    /// Print the typed tree of the devices.
    State(StateArgs),
    /// Verify every structural rule, and that every byte is accounted for.
    Check(CheckArgs),
}

/// The input of a subcommand.
#[derive(Debug, ClapArgs)]
pub struct InputArgs {
    /// The saved state; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A description for a stream that has none: another stream of the same machine, or its `--dump desc`.
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
}

/// Arguments of `info`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze info vm.mig
  savevm-analyze info vm.mig --json | jq .sections[].name")]
pub struct InfoArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Print JSON (schemas/output/info.schema.json).
    #[arg(long)]
    pub json: bool,
}

/// How `state` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StateFormat {
    /// An indented tree for people.
    #[default]
    Tree,
    /// One JSON document (schemas/output/state.schema.json).
    Json,
    /// One JSON object per device, or per field with --field, and line.
    Jsonl,
}

/// Arguments of `state`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze state vm.mig
  savevm-analyze state vm.mig --device cpu --field 'env.regs*'
  savevm-analyze state vm.mig --device '*/virtio-net' --offsets --all
  savevm-analyze state vm.mig --format jsonl | jq -r .name")]
pub struct StateArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Only devices whose section name, or vmsd name, matches; `*` and `?` are wildcards. May be given several times.
    #[arg(short, long, value_name = "GLOB")]
    pub device: Vec<String>,
    /// Only fields whose path matches, such as `env.regs[3]` or `parent_obj.config*`. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub field: Vec<String>,
    /// Print where each value stands in the stream.
    #[arg(long)]
    pub offsets: bool,
    /// Print long arrays and buffers in full.
    #[arg(short, long)]
    pub all: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: StateFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// Arguments of `check`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze check vm.mig
  savevm-analyze check vm.mig --json

Exit status:
  0 every rule holds    1 something is wrong    2 not a saved state")]
pub struct CheckArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Print JSON (schemas/output/check.schema.json).
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }
}
