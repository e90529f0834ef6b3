//! Arguments.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::parser::ValueSource;
use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::diff::DiffArgs;
use super::style::ColorWhen;
use crate::budget::Budget;
use crate::container::Settings;

const EXAMPLES: &str = "\
Examples:
  savevm-analyze -f vm.mig                    what analyze-migration.py prints
  savevm-analyze info vm.mig                  what is in the file
  savevm-analyze diff before.mig after.mig    what changed
  savevm-analyze check vm.mig                 is every byte accounted for

Exit status:
  0 complete   1 the answer is no   2 nothing usable   3 partial, see the errors";

const USAGE: &str = "\
savevm-analyze [OPTIONS] [FILE]
       savevm-analyze [--color WHEN] <COMMAND>";

/// Open the saved state of a QEMU virtual machine and decode all of it.
#[derive(Debug, Parser)]
#[command(name = "savevm-analyze", version, about, after_help = EXAMPLES, override_usage = USAGE)]
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
    /// Parses the command line. The flags of analyze-migration.py do not go with a subcommand; those that are for all
    /// commands do, before it or behind it, which is why clap's own `args_conflicts_with_subcommands` is of no use.
    ///
    /// # Errors
    /// What clap says, help and version included.
    pub fn parse_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(line)?;
        if let Some(command) = matches.subcommand_name() {
            let mut flags = DumpArgs::augment_args(clap::Command::new(""));
            flags.build();
            let given = |a: &&clap::Arg| matches.value_source(a.get_id().as_str()) == Some(ValueSource::CommandLine);
            if let Some(flag) = flags.get_arguments().find(given) {
                let what = format!("{flag} does not go with the command {command}");
                return Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, what));
            }
        }
        Self::from_arg_matches(&matches)
    }
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
    /// Write desc.json, state.json and one file per RAM block into a directory.
    #[arg(short = 'x', long, conflicts_with = "extract_ram")]
    pub extract: bool,
    /// Write one sparse file per RAM block into a directory.
    #[arg(long)]
    pub extract_ram: bool,
    /// Only this RAM block. May be given several times.
    #[arg(long, value_name = "NAME", requires = "extract_ram")]
    pub block: Vec<String>,
    /// Where --extract and --extract-ram write to; `-` for one block to standard output.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Write the state of the devices to a file in the same pass.
    #[arg(long, value_name = "FILE", requires = "extract_ram")]
    pub also_state: Option<PathBuf>,
    /// Overwrite files that exist.
    #[arg(long)]
    pub force: bool,
    /// Do not wait until the files are on the disk.
    #[arg(long, hide_short_help = true)]
    pub no_sync: bool,
    #[command(flatten)]
    pub how: HowArgs,
}

/// How an input is opened.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct HowArgs {
    /// A description for a stream that has none: another stream of the same machine, or its `--dump desc`.
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// The snapshot of a qcow2 image; not needed when only one has a state.
    #[arg(long, value_name = "NAME|ID")]
    pub snapshot: Option<String>,
    /// Where the stream begins in the file, as in QEMU's `migrate file:PATH,offset=N`.
    #[arg(long, value_name = "N", value_parser = number)]
    pub offset: Option<u64>,
    /// Where temporary files go, where there is no way without them.
    #[arg(long, value_name = "DIR")]
    pub tmpdir: Option<PathBuf>,
    /// Memory that the input may make the program use, such as 512M or 4G. Without it: 96 MiB and the size of the
    /// input, at most half of what is available.
    #[arg(long, value_name = "SIZE", value_parser = bytes, hide_short_help = true)]
    pub max_memory: Option<u64>,
    /// Shared by all inputs of the command.
    #[arg(skip)]
    budget: OnceLock<Budget>,
}

impl HowArgs {
    /// Returns what the library needs to know of it.
    pub fn settings(&self) -> Settings {
        let budget = self.budget.get_or_init(|| self.max_memory.map_or_else(Budget::default, Budget::of));
        Settings {
            snapshot: self.snapshot.clone(),
            offset: self.offset.unwrap_or(0),
            tmpdir: self.tmpdir.clone(),
            budget: budget.clone(),
        }
    }
}

/// Reads a number of bytes with an optional unit K, M, G or T.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        unit => return Err(format!("expected a unit K, M, G or T, found {unit:?}")),
    };
    let n: u64 = digits.parse().map_err(|e| format!("expected a number of bytes: {e}"))?;
    n.checked_mul(1 << shift).ok_or_else(|| "more bytes than 64 bits count".to_owned())
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
    /// Show the processors: registers by name, flags spelt out, interrupt controllers, clocks.
    Cpu(CpuArgs),
    /// List the PCI devices: what they are, and what the guest made of them.
    Pci(PciArgs),
    /// Show the virtio devices: status, features, configuration, queues.
    Virtio(VirtioArgs),
    /// Verify every structural rule, and that every byte is accounted for.
    Check(CheckArgs),
    /// Write guest memory in a format that other tools read.
    Extract(ExtractArgs),
    /// Compare two states: what changed, field by field.
    Diff(Box<DiffArgs>),
    /// Tell whether a target loads what was saved.
    Compat(super::compat::CompatArgs),
}

/// The input of a subcommand.
#[derive(Debug, ClapArgs)]
pub struct InputArgs {
    /// The saved state; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub how: HowArgs,
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
    /// Print the domain's XML of a libvirt save image, which may hold passwords, and nothing else.
    #[arg(long, conflicts_with = "json")]
    pub xml: bool,
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

/// Arguments of `cpu`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze cpu vm.mig
  savevm-analyze cpu vm.mig --cpu 0 --all
  savevm-analyze cpu vm.mig --json | jq '.cpus[].groups[].registers[] | select(.name == \"RIP\")'")]
pub struct CpuArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Only this processor, and nothing about the machine. May be given several times.
    #[arg(long, value_name = "N")]
    pub cpu: Vec<u32>,
    /// Print floating point, vector and debug registers and all system registers too.
    #[arg(short, long)]
    pub all: bool,
    /// Print JSON (schemas/output/cpu.schema.json).
    #[arg(long)]
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
    /// Do not decode compressed and XBZRLE pages.
    #[arg(long)]
    pub fast: bool,
    /// Print JSON (schemas/output/check.schema.json).
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `pci`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze pci vm.mig
  savevm-analyze pci vm.mig -v --device 00:02.0
  savevm-analyze pci vm.mig -t
  savevm-analyze pci vm.mig --json | jq '.devices[].bars'")]
pub struct PciArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Print registers and capabilities; twice, MSI-X tables and extended capabilities too.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print the tree of buses.
    #[arg(short, long, conflicts_with_all = ["json", "verbose", "device"])]
    pub tree: bool,
    /// Only devices whose address, section, vmsd, or vendor:device matches. May be given several times.
    #[arg(short, long, value_name = "GLOB")]
    pub device: Vec<String>,
    /// Print JSON (schemas/output/pci.schema.json).
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `virtio`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze virtio vm.mig
  savevm-analyze virtio vm.mig --device virtio-blk --rings
  savevm-analyze virtio vm.mig --json | jq '.devices[].guest_features'")]
pub struct VirtioArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Print all of the configuration, addresses of the queues, and queues that are not set up.
    #[arg(short, long)]
    pub verbose: bool,
    /// Read the rings in guest memory: pending requests, and indices that make no sense.
    #[arg(long)]
    pub rings: bool,
    /// Only devices whose kind, address, section or vmsd matches. May be given several times.
    #[arg(short, long, value_name = "GLOB")]
    pub device: Vec<String>,
    /// Print JSON (schemas/output/virtio.schema.json).
    #[arg(long)]
    pub json: bool,
}

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
    pub how: HowArgs,
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

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressHow {
    /// A bar, when standard error is a terminal.
    #[default]
    Auto,
    /// A line of JSON a second on standard error.
    Json,
    /// None.
    None,
}

/// Reads `4096`, `0x1000`, `4K`, `16M`, `1G`.
fn number(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.trim_end_matches(['i', 'B']).char_indices().next_back() {
        Some((i, 'k' | 'K')) => (&text[..i], 10),
        Some((i, 'm' | 'M')) => (&text[..i], 20),
        Some((i, 'g' | 'G')) => (&text[..i], 30),
        Some((i, 't' | 'T')) => (&text[..i], 40),
        _ => (text, 0),
    };
    let n = match digits.strip_prefix("0x") {
        // in hexadecimal a `B` at the end is a digit
        Some(hex) if shift == 0 => u64::from_str_radix(hex, 16),
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let n = n.map_err(|_| format!("expected a number such as 4096, 0x1000 or 16M, found {text:?}"))?;
    n.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too large"))
}

fn mapping(text: &str) -> Result<(String, u64), String> {
    let (block, address) = text.rsplit_once('=').ok_or_else(|| format!("expected BLOCK=ADDRESS, found {text:?}"))?;
    Ok((block.to_owned(), number(address)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(number("4096"), Ok(4096));
        assert_eq!(number("0x10B"), Ok(0x10b));
        assert_eq!(number("16M"), Ok(16 << 20));
        assert_eq!(number("1GiB"), Ok(1 << 30));
        assert_eq!(mapping("/objects/a=b=0x10"), Ok(("/objects/a=b".to_owned(), 16)));
        for bad in ["", "x", "-1", "99999999999G", "0x", "1.5G"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_for_all_commands_stand_on_either_side() {
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
