//! Finds the kernel's image in the memory of a guest that left no header, and which symbols belong to it.

use super::kernel::readable;
use crate::decode::cpu::Fields;
use crate::dump::Processor;
use crate::error::Result;
use crate::memory::PhysicalMemory;
use crate::offset::Sure;
use crate::paging::{AddressSpace, X86Mode};
use crate::text::Name;

/// Images begin at a page, and their first page is below the code of an interrupt handler by no more than this; real kernels have 8 to 20 MiB.
const PAGE: u64 = 4096;
const MAX_PAGES: u64 = 64 << 20 >> 12;

/// Addresses of the kernel begin here.
const LOWEST: u64 = 0xffff_f780_0000_0000;

/// `EFER.LMA`.
const LMA: u64 = 1 << 10;
/// QEMU's own flag for long mode (`HF_LMA_MASK` in `target/i386/cpu.h`).
const HF_LMA: u64 = 1 << 14;

/// The optional header of 64 bits; the entry of the debug directory in it; the type of debug data that names a file of symbols.
const PE32_PLUS: u64 = 0x20b;
const DEBUG_DIRECTORY: u64 = 0xa0;
const CODE_VIEW: u64 = 2;
/// Entries of the debug directory that are read; images have up to six.
const MAX_ENTRIES: u64 = 16;

/// A kernel in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelImage {
    /// Its virtual address.
    pub at: u64,
    /// The file of its symbols.
    pub symbols: Name,
    /// The identity of that file: as Windows writes a GUID, without braces.
    pub guid: String,
    /// Its age, which is a part of the identity.
    pub age: u32,
}

impl std::fmt::Display for KernelImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a Windows kernel is at {:#x}, with symbols in {} (GUID {}, age {})",
            self.at, self.symbols, self.guid, self.age
        )
    }
}

/// Looks for the kernel's image below the first handler in the interrupt table of a processor in long mode (as `elf2dmp` of QEMU does).
///
/// # Errors
/// `Io`.
pub fn find_kernel(mem: &dyn PhysicalMemory, cpu: &Processor<'_>) -> Result<Option<KernelImage>> {
    let f = &cpu.fields;
    if f.u64("env.efer") & LMA == 0 && f.u64("env.hflags") & HF_LMA == 0 {
        return Ok(None);
    }
    let mode = X86Mode::of(f.u64("env.cr[0]"), f.u64("env.cr[4]"), LMA);
    let image = Image { mem, space: AddressSpace::x86(mode, f.u64("env.cr[3]"), 0) };
    let table = f.sub("env.idt").map_or(0, |s: Fields<'_>| s.u64("base"));
    let Some(gate) = image.bytes::<16>(table)? else { return Ok(None) };
    let part = |at: usize, n: usize| {
        gate.get(at..at.plus(n)).unwrap_or_default().iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))
    };
    let handler = part(0, 2) | part(6, 2) << 16 | part(8, 4) << 32;
    let mut at = handler & !(PAGE.minus(1));
    for _ in 0..MAX_PAGES {
        if at < LOWEST {
            break;
        }
        if image.bytes::<2>(at)?.is_some_and(|b| b == *b"MZ")
            && let Some(found) = image.symbols(at)?
        {
            return Ok(Some(found));
        }
        at = at.minus(PAGE);
    }
    Ok(None)
}

struct Image<'m> {
    mem: &'m dyn PhysicalMemory,
    space: AddressSpace,
}

impl Image<'_> {
    fn bytes<const N: usize>(&self, at: u64) -> Result<Option<[u8; N]>> {
        let mut out = [0; N];
        Ok(readable(self.space.read(self.mem, at, &mut out))?.then_some(out))
    }

    fn word(&self, at: u64) -> Result<Option<u64>> {
        Ok(self.bytes(at)?.map(|b| u64::from(u32::from_le_bytes(b))))
    }

    /// Returns which symbols an image names, if it is a kernel.
    fn symbols(&self, base: u64) -> Result<Option<KernelImage>> {
        let Some(header) = self.word(base.wrapping_add(0x3c))? else { return Ok(None) };
        let header = base.wrapping_add(header);
        let is_pe = self.bytes(header)?.is_some_and(|b| b == *b"PE\0\0");
        let magic = self.word(header.wrapping_add(0x18))?.map(|m| m & 0xffff);
        if !is_pe || magic != Some(PE32_PLUS) {
            return Ok(None);
        }
        let place = header.wrapping_add(0x18).wrapping_add(DEBUG_DIRECTORY);
        let (Some(directory), Some(size)) = (self.word(place)?, self.word(place.wrapping_add(4))?) else {
            return Ok(None);
        };
        for n in 0..(size / 28).min(MAX_ENTRIES) {
            let entry = base.wrapping_add(directory).wrapping_add(n.times(28));
            if self.word(entry.wrapping_add(12))? == Some(CODE_VIEW)
                && let Some(data) = self.word(entry.wrapping_add(20))?
            {
                return self.code_view(base, base.wrapping_add(data));
            }
        }
        Ok(None)
    }

    fn code_view(&self, base: u64, at: u64) -> Result<Option<KernelImage>> {
        // signature, GUID, age, and the name with a zero after it
        let Some(b) = self.bytes::<40>(at)? else { return Ok(None) };
        let Some((signature, rest)) = b.split_first_chunk::<4>() else { return Ok(None) };
        let Some((guid, rest)) = rest.split_first_chunk::<16>() else { return Ok(None) };
        let Some((age, name)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        if signature != b"RSDS" || !KERNELS.contains(&name) {
            return Ok(None);
        }
        let (name, age) = (Name::from_bytes(name), u32::from_le_bytes(*age));
        Ok(Some(KernelImage { at: base, symbols: name, guid: guid_in_words(guid), age }))
    }
}

/// Names of the symbols of kernels: for several processors and for one.
static KERNELS: &[&[u8]] = &[b"ntkrnlmp.pdb", b"ntoskrnl.pdb"];

/// The first three parts of a GUID are numbers.
fn guid_in_words(g: &[u8; 16]) -> String {
    let [a0, a1, a2, a3, b0, b1, c0, c1, rest @ ..] = g;
    let (a, b, c) =
        (u32::from_le_bytes([*a0, *a1, *a2, *a3]), u16::from_le_bytes([*b0, *b1]), u16::from_le_bytes([*c0, *c1]));
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02X}")).collect::<String>();
    let (d, e) = rest.split_at_checked(2).unwrap_or((rest, &[]));
    format!("{a:08X}-{b:04X}-{c:04X}-{}-{}", hex(d), hex(e))
}
