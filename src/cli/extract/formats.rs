//! The formats of `extract`: a new one is a row here.

use std::io::Write;

use clap::ValueEnum;

use super::{Decided, ExtractArgs, Job, Planned};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::open;
use crate::dump::ElfLayout;
use crate::dump::kdump::Codec;
use crate::error::Result;
use crate::image::SaveImage;
use crate::inspect::{self, DumpContent};
use crate::machine::{self, MapFacts};
use crate::ram::BlockList;

/// What `extract` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ImageFormat {
    /// One sparse file per RAM block; the output is a directory.
    #[default]
    Raw,
    /// One sparse file indexed by guest-physical address.
    Phys,
    /// An ELF core dump, for gdb, crash, drgn and volatility3.
    Elf,
    /// A kdump file whose pages are packed with zlib, for crash, drgn and makedumpfile.
    KdumpZlib,
    /// A kdump file with LZO.
    KdumpLzo,
    /// A kdump file with Snappy.
    KdumpSnappy,
    /// A kdump file with Zstandard, for crash 8 and makedumpfile 1.7.
    #[cfg(feature = "zstd")]
    KdumpZstd,
    /// A Windows crash dump, for WinDbg, if the guest's driver left a header for it.
    WinDmp,
}

/// How a core dump is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ElfLayoutArg {
    /// So that every reader opens it.
    #[default]
    Standard,
    /// As QEMU 7.2 and later: an ELF file byte for byte (without --paging), which makedumpfile refuses; a kdump file with ROMs and video memory.
    Qemu,
    /// As QEMU 5.2.
    #[value(name = "qemu-5.2")]
    Qemu52,
}

impl From<ElfLayoutArg> for ElfLayout {
    fn from(l: ElfLayoutArg) -> Self {
        match l {
            ElfLayoutArg::Standard => Self::Standard,
            ElfLayoutArg::Qemu => Self::Qemu,
            ElfLayoutArg::Qemu52 => Self::Qemu52,
        }
    }
}

/// The kinds of core dumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpKind {
    Elf,
    Kdump(Codec),
    WinDmp,
}

/// A format.
pub struct Format {
    pub name: &'static str,
    pub help: &'static str,
    /// Whether RAM blocks can be chosen.
    pub takes_blocks: bool,
    /// Whether a range of guest-physical addresses can be chosen.
    pub takes_range: bool,
    /// Whether it matters where blocks lie.
    pub takes_addresses: bool,
    pub way: Way,
}

/// How a format is written.
#[derive(Clone, Copy)]
pub enum Way {
    /// Images of memory, whose pieces and files this function decides.
    Images(Planning),
    /// A core dump.
    Dump(DumpKind),
}

/// Decides on the pieces and the outputs.
pub type Planning = fn(&Job<'_>, &MapFacts, &BlockList<'_>, &mut Decided) -> Result<Planned>;

static RAW: Format = Format {
    name: "raw",
    help: "one sparse file per RAM block",
    takes_blocks: true,
    takes_range: false,
    takes_addresses: false,
    way: Way::Images(super::plan_raw),
};

static PHYS: Format = Format {
    name: "phys",
    help: "one sparse file indexed by guest-physical address",
    takes_blocks: false,
    takes_range: true,
    takes_addresses: true,
    way: Way::Images(super::plan_physical),
};

static ELF: Format = Format {
    name: "elf",
    help: "an ELF core dump with registers, for gdb, crash, drgn, makedumpfile and volatility3",
    takes_blocks: false,
    takes_range: true,
    takes_addresses: true,
    way: Way::Dump(DumpKind::Elf),
};

/// A row for a kdump format.
const fn kdump(name: &'static str, help: &'static str, codec: Codec) -> Format {
    Format {
        name,
        help,
        takes_blocks: false,
        takes_range: false,
        takes_addresses: true,
        way: Way::Dump(DumpKind::Kdump(codec)),
    }
}

static KDUMP_ZLIB: Format =
    kdump("kdump-zlib", "a packed core dump for crash, drgn, makedumpfile and libkdumpfile", Codec::Zlib);
static KDUMP_LZO: Format = kdump("kdump-lzo", "the same with LZO, which packs faster", Codec::Lzo);
static KDUMP_SNAPPY: Format = kdump("kdump-snappy", "the same with Snappy, which packs fastest", Codec::Snappy);
#[cfg(feature = "zstd")]
static KDUMP_ZSTD: Format =
    kdump("kdump-zstd", "the same with Zstandard, which packs best; crash 8 and makedumpfile 1.7 read it", Codec::Zstd);

static WIN_DMP: Format = Format {
    name: "win-dmp",
    help: "a Windows crash dump for WinDbg, from the header that the guest's driver left in memory",
    takes_blocks: false,
    takes_range: false,
    takes_addresses: true,
    way: Way::Dump(DumpKind::WinDmp),
};

impl ImageFormat {
    pub fn row(self) -> &'static Format {
        match self {
            Self::Raw => &RAW,
            Self::Phys => &PHYS,
            Self::Elf => &ELF,
            Self::KdumpZlib => &KDUMP_ZLIB,
            Self::KdumpLzo => &KDUMP_LZO,
            Self::KdumpSnappy => &KDUMP_SNAPPY,
            #[cfg(feature = "zstd")]
            Self::KdumpZstd => &KDUMP_ZSTD,
            Self::WinDmp => &WIN_DMP,
        }
    }
}

/// Prints the formats; for a file, also what keeps one from being written.
pub fn list(a: &ExtractArgs, out: &mut dyn Write) -> std::result::Result<Outcome, Failure> {
    let image = match &a.file {
        Some(file) => Some(open::devices(file, &a.source)?),
        None => None,
    };
    let obstacles = image.as_ref().map(|i| Obstacles::of(i, &a.map));
    let rows = ImageFormat::value_variants().iter().map(|f| f.row());
    let width = rows.clone().map(|f| f.name.len()).max().unwrap_or(0);
    for f in rows {
        match obstacles.as_ref().and_then(|o| o.of_format(f)) {
            None => writeln!(out, "{:width$}  {}", f.name, f.help)?,
            Some(why) => writeln!(out, "{:width$}  not possible: {why}", f.name)?,
        }
    }
    Ok(Outcome::Complete)
}

/// What keeps formats from being written for a state.
struct Obstacles {
    all: Option<String>,
    addresses: Option<String>,
    dumps: Option<String>,
    windows: Option<String>,
}

impl Obstacles {
    fn of(image: &SaveImage, given: &[(String, u64)]) -> Self {
        let all = image.ram().is_none().then(|| "the state holds no guest memory".to_owned());
        let facts = MapFacts { given: given.to_vec(), ..image.map_facts() };
        let map = machine::layout(image.machine(), image.ram_blocks(), &facts);
        let (windows, dumps) = match DumpContent::of(image, given) {
            Ok(d) => (inspect::windows_obstacle(image, &d.guest).unwrap_or_else(|e| Some(e.to_string())), None),
            Err(e) => (None, Some(e.to_string())),
        };
        Self { all, addresses: map.err().map(|e| e.to_string()), dumps, windows }
    }

    fn of_format(&self, f: &Format) -> Option<&str> {
        let own = match f.way {
            Way::Dump(DumpKind::WinDmp) => self.dumps.as_deref().or(self.windows.as_deref()),
            Way::Dump(_) => self.dumps.as_deref(),
            Way::Images(_) if f.takes_addresses => self.addresses.as_deref(),
            Way::Images(_) => None,
        };
        self.all.as_deref().or(own)
    }
}

/// Refuses options that the format does not take.
pub fn check(a: &ExtractArgs) -> std::result::Result<(), Failure> {
    let format = a.format.row();
    let refuse = |what: &str, why: &str| Err(Failure::Usage(format!("{what} with --format {}{why}", format.name)));
    if !format.takes_blocks && !a.block.is_empty() {
        return refuse("--block does not go", "");
    }
    if !format.takes_range && (a.begin.is_some() || a.length.is_some()) {
        let why = match format.way {
            Way::Dump(DumpKind::WinDmp) => ": the header that the guest left lists the memory of the dump",
            Way::Dump(_) => ": its page numbers begin at address 0, and QEMU has no such filter for it either",
            Way::Images(_) => "",
        };
        return refuse("--begin and --length do not go", why);
    }
    if !format.takes_addresses && !a.map.is_empty() {
        return refuse("--map does not go", "");
    }
    if a.format != ImageFormat::Phys && a.no_firmware {
        return refuse("--no-firmware does not go", "");
    }
    let kind = match format.way {
        Way::Dump(kind) => Some(kind),
        Way::Images(_) => None,
    };
    let takes_layout = matches!(kind, Some(DumpKind::Elf | DumpKind::Kdump(_)));
    if !takes_layout && a.layout != ElfLayoutArg::Standard {
        return refuse("--layout does not go", "");
    }
    if kind != Some(DumpKind::Elf) && a.paging {
        return refuse("--paging does not go", "");
    }
    if !matches!(kind, Some(DumpKind::Kdump(_))) && a.flattened {
        return refuse("--flattened does not go", "");
    }
    if matches!(format.way, Way::Dump(_)) && a.also_state.is_some() {
        return refuse("--also-state does not go", "; write the state with `state --json` or `--dump state`");
    }
    Ok(())
}
