//! What the kernel's debugger data says: `KDDEBUGGER_DATA64`, which 32-bit kernels have too, with pointers in the lower half of each field.

use super::header::{Header, Width};
use crate::dump::Processor;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::Gpa;
use crate::paging::{AddressSpace, X86Mode};

/// The tag of the block, and its place.
const TAG: &[u8; 4] = b"KDBG";
const OWNER_TAG: u64 = 0x10;
/// Offsets of fields of the block.
const BUGCHECK_DATA: u64 = 0x88;
const PFN_DATABASE: u64 = 0xc0;
const PROCESSOR_BLOCK: u64 = 0x218;
/// Where a processor's block has the address of its registers, 16 bits.
const OFFSET_PRCB_CONTEXT: u64 = 0x338;

/// CR4.PSE and CR4.LA57 are looked at as the first processor has them; paging is taken to be on.
const CR0_PG: u64 = 1 << 31;
const CR4_LA57: u64 = 1 << 12;

/// The kernel's virtual memory.
pub(super) struct Kernel<'m> {
    mem: &'m dyn PhysicalMemory,
    space: AddressSpace,
    width: Width,
}

impl<'m> Kernel<'m> {
    /// Takes the page tables of a header, in the mode of the first processor.
    pub(super) fn new(mem: &'m dyn PhysicalMemory, header: &Header, first: Option<&Processor<'_>>) -> Self {
        let cr4 = first.map_or(0, |p| p.fields.u64("env.cr[4]"));
        let mode = match header.width() {
            Width::Bits64 if cr4 & CR4_LA57 != 0 => Some(X86Mode::Level5),
            Width::Bits64 => Some(X86Mode::Level4),
            Width::Bits32 => X86Mode::of(CR0_PG, cr4, 0),
        };
        let space = AddressSpace::x86(mode, header.directory_table_base(), 0);
        Self { mem, space, width: header.width() }
    }

    /// Reads virtual memory; `None` if it is not mapped or not in the stream.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn read(&self, at: u64, buf: &mut [u8]) -> Result<Option<()>> {
        Ok(readable(self.space.read(self.mem, at, buf))?.then_some(()))
    }

    fn number(&self, at: u64, bytes: usize) -> Result<Option<u64>> {
        let mut raw = [0; 8];
        let Some(buf) = raw.get_mut(..bytes) else { return Ok(None) };
        let read = self.read(at, buf)?;
        Ok(read.map(|()| u64::from_le_bytes(raw)))
    }

    fn pointer(&self, at: u64) -> Result<Option<u64>> {
        self.number(at, self.width.layout().pointer)
    }

    /// Returns where `len` bytes from an address on are in physical memory, in pieces.
    ///
    /// # Errors
    /// `Missing`; `Io`.
    pub(super) fn pieces(&self, at: u64, len: usize) -> Result<Vec<(Gpa, usize)>> {
        let mut out = Vec::new();
        let mut done = 0_usize;
        while let Some(left) = len.checked_sub(done).filter(|n| *n > 0) {
            let t = self.space.translate(self.mem, at.wrapping_add(done as u64))?;
            let n = usize::try_from(t.left.max(1)).unwrap_or(usize::MAX).min(left);
            out.push((t.address, n));
            done = done.saturating_add(n);
        }
        Ok(out)
    }
}

/// The block of the debugger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Debugger {
    /// Its virtual address.
    pub(super) at: u64,
    /// Whether it is the decoded copy whose address is a parameter of the bug check.
    pub(super) is_copy: bool,
}

impl Debugger {
    /// Looks for the block where the header says it is, and then at the address in the first parameter of the bug check: where Windows encodes
    /// the block, the driver makes a copy and leaves its address there.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn find(kernel: &Kernel<'_>, header: &Header) -> Result<Option<Self>> {
        let own = header.pointer(header.layout().debugger_data);
        for (at, is_copy) in [(own, false), (header.parameter(1), true)] {
            let mut tag = [0; 4];
            if kernel.read(at.wrapping_add(OWNER_TAG), &mut tag)?.is_some() && tag == *TAG {
                return Ok(Some(Self { at, is_copy }));
            }
        }
        Ok(None)
    }

    fn field(self, offset: u64) -> u64 {
        self.at.wrapping_add(offset)
    }

    /// Returns the address of the variable that points to the page frame database.
    pub(super) fn pfn_database(self, kernel: &Kernel<'_>) -> Result<Option<u64>> {
        kernel.pointer(self.field(PFN_DATABASE))
    }

    /// Returns the code of the bug check and its four parameters, as they are in memory.
    pub(super) fn bugcheck(self, kernel: &Kernel<'_>) -> Result<Option<Vec<u8>>> {
        let Some(at) = kernel.pointer(self.field(BUGCHECK_DATA))? else { return Ok(None) };
        let mut out = vec![0; kernel.width.layout().pointer.saturating_mul(5)];
        let read = kernel.read(at, &mut out)?;
        Ok(read.map(|()| out))
    }

    /// Returns the address of the registers of a processor.
    ///
    /// # Errors
    /// `Missing` with the step that failed; `Io`.
    pub(super) fn context(self, kernel: &Kernel<'_>, processor: u64) -> Result<u64> {
        let missing = |what: &str| Error::new(ErrorKind::Missing, format!("{what} cannot be read"));
        let blocks = kernel.pointer(self.field(PROCESSOR_BLOCK))?;
        let blocks = blocks.ok_or_else(|| missing("the address of KiProcessorBlock"))?;
        let place = processor.saturating_mul(kernel.width.layout().pointer as u64);
        let block = kernel.pointer(blocks.wrapping_add(place))?;
        let block = block.ok_or_else(|| missing("its element of KiProcessorBlock"))?;
        let offset = kernel.number(self.field(OFFSET_PRCB_CONTEXT), 2)?;
        let offset = offset.ok_or_else(|| missing("OffsetPrcbContext"))?;
        let context = kernel.pointer(block.wrapping_add(offset))?;
        context.ok_or_else(|| missing("the address of CONTEXT in its KPRCB"))
    }
}

/// Returns whether memory could be read; of the errors only those of the system end the search.
pub(super) fn readable(r: Result<()>) -> Result<bool> {
    match r {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::Io => Err(e),
        Err(_) => Ok(false),
    }
}
