//! The header of a dump: where its fields are in the two widths (`include/qemu/win_dump_defs.h`).

use crate::dump::Order;
use crate::dump::bytes::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::{Gpa, Sure};

/// Pages of dumps have this size.
pub(super) const PAGE: u64 = 4096;

/// Pages that x86 can address: 52 bits of address.
const MAX_PAGE: u64 = 1 << 40;

/// The width of the kernel that a header belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// `PAGEDU64`.
    Bits64,
    /// `PAGEDUMP`.
    Bits32,
}

/// Offsets of fields.
#[derive(Debug)]
pub(super) struct Layout {
    pub signature: &'static [u8; 8],
    pub bytes: usize,
    /// The size of a pointer.
    pub pointer: usize,
    pub directory_table_base: usize,
    pub pfn_database: usize,
    pub processors: usize,
    /// The code, and after it four parameters, all as wide as a pointer.
    pub bugcheck: usize,
    pub debugger_data: usize,
    pub run_count: usize,
    /// The number of pages, and after it the runs.
    pub page_count: usize,
    pub max_runs: usize,
    /// The registers of the processor that stopped.
    pub context: usize,
    pub dump_type: usize,
    /// 64 bits in both.
    pub required_space: usize,
    /// Words of 32 bits that nobody reads, and the driver leaves filled with its pattern.
    pub unused: &'static [usize],
}

static LONG: Layout = Layout {
    signature: b"PAGEDU64",
    bytes: 8192,
    pointer: 8,
    directory_table_base: 0x10,
    pfn_database: 0x18,
    processors: 0x34,
    bugcheck: 0x38,
    debugger_data: 0x80,
    run_count: 0x88,
    page_count: 0x90,
    max_runs: 43,
    context: 0x348,
    dump_type: 0xf98,
    required_space: 0xfa0,
    unused: &[0x8c, 0xf9c],
};

static SHORT: Layout = Layout {
    signature: b"PAGEDUMP",
    bytes: 4096,
    pointer: 4,
    directory_table_base: 0x10,
    pfn_database: 0x14,
    processors: 0x24,
    bugcheck: 0x28,
    debugger_data: 0x60,
    run_count: 0x64,
    page_count: 0x68,
    max_runs: 86,
    context: 0x320,
    dump_type: 0xf88,
    required_space: 0xfa0,
    unused: &[],
};

impl Width {
    pub(super) fn layout(self) -> &'static Layout {
        match self {
            Self::Bits64 => &LONG,
            Self::Bits32 => &SHORT,
        }
    }

    /// Returns the size of a header in bytes.
    #[must_use]
    pub fn header_bytes(self) -> usize {
        self.layout().bytes
    }

    /// Returns the number of bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits64 => 64,
            Self::Bits32 => 32,
        }
    }

    /// Recognises a header by its first bytes.
    #[must_use]
    pub fn of(start: &[u8]) -> Option<Self> {
        [Self::Bits64, Self::Bits32].into_iter().find(|w| start.starts_with(w.layout().signature))
    }
}

/// Pages that follow each other in memory and in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The number of the first page.
    pub page: u64,
    /// How many pages there are, more than 0.
    pub count: u64,
}

impl Run {
    /// Returns the address of the first byte.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.page.times(PAGE)
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.count.times(PAGE)
    }
}

/// A header that the guest left in memory.
#[derive(Clone, Debug)]
pub struct Header {
    width: Width,
    pub(super) record: Record,
    /// Where it is in guest memory.
    pub at: Gpa,
    /// Whether the vmcoreinfo device led there; otherwise a search did.
    pub registered: bool,
}

impl Header {
    /// Takes the bytes of a header, which are as many as its width demands; `None` if they are none.
    #[must_use]
    pub fn new(bytes: Vec<u8>, at: Gpa, registered: bool) -> Option<Self> {
        let width = Width::of(&bytes).filter(|w| w.header_bytes() == bytes.len())?;
        Some(Self { width, record: Record::of(Order::Little, bytes), at, registered })
    }

    /// Returns the width.
    #[must_use]
    pub const fn width(&self) -> Width {
        self.width
    }

    pub(super) fn layout(&self) -> &'static Layout {
        self.width.layout()
    }

    /// Reads a little-endian number of up to 8 bytes.
    pub(super) fn number(&self, at: usize, bytes: usize) -> u64 {
        let field = self.record.bytes.get(at..).and_then(|b| b.get(..bytes)).unwrap_or_default();
        field.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
    }

    pub(super) fn word(&self, at: usize) -> u64 {
        self.number(at, 4)
    }

    pub(super) fn pointer(&self, at: usize) -> u64 {
        self.number(at, self.layout().pointer)
    }

    pub(super) fn set_pointer(&mut self, at: usize, value: u64) {
        match self.width {
            Width::Bits64 => self.record.u64(at, value),
            Width::Bits32 => self.record.u32(at, value),
        }
    }

    /// Returns the root of the page tables.
    #[must_use]
    pub fn directory_table_base(&self) -> u64 {
        self.pointer(self.layout().directory_table_base)
    }

    /// Returns how many processors the kernel has.
    #[must_use]
    pub fn processors(&self) -> u64 {
        self.word(self.layout().processors)
    }

    /// Returns the address of a parameter of the bug check, counted from 1.
    pub(super) fn parameter(&self, n: usize) -> u64 {
        let l = self.layout();
        self.pointer(l.bugcheck.plus(l.pointer.times(n)))
    }

    /// Returns the runs in the order of the file.
    ///
    /// # Errors
    /// `Corrupt` when there are more than the header has room for, or none, when a run leads out of memory that x86 can have, and when two share
    /// pages.
    pub fn runs(&self) -> Result<Vec<Run>> {
        let l = self.layout();
        let corrupt = |what: String| {
            Err(Error::new(ErrorKind::Corrupt, what)
                .within(format!("Windows dump header at physical address {}", self.at)))
        };
        let count = self.word(l.run_count);
        if count > l.max_runs as u64 {
            return corrupt(format!("expected at most {} runs of memory, found {count}", l.max_runs));
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut at = l.page_count.plus(l.pointer);
        for _ in 0..count {
            let run = Run { page: self.pointer(at), count: self.pointer(at.plus(l.pointer)) };
            at = at.plus(l.pointer.times(2));
            if run.page.checked_add(run.count).is_none_or(|end| end > MAX_PAGE) {
                let (page, count) = (run.page, run.count);
                return corrupt(format!(
                    "expected pages below {MAX_PAGE:#x}, found a run of {count:#x} from {page:#x}"
                ));
            }
            if run.count > 0 {
                runs.push(run);
            }
        }
        let mut sorted = runs.clone();
        sorted.sort_by_key(|r| r.page);
        let twice = sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| a.page.plus(a.count) > b.page);
        if let Some((_, again)) = twice {
            return corrupt(format!("expected each page in one run, found page {:#x} in two", again.page));
        }
        if runs.is_empty() {
            return corrupt("expected runs of memory, found none".to_owned());
        }
        Ok(runs)
    }
}
