//! Plans a dump: the header as it is written, the pages with their places in the file, and what is patched into them.

use std::collections::BTreeMap;

use super::context::context;
use super::header::{Header, Run};
use super::kernel::{Debugger, Kernel};
use crate::dump::Processor;
use crate::dump::elf::Placed;
use crate::error::{Error, ErrorKind, Result};
use crate::machine::Region;
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};

/// The code of a dump of a system that runs (`LIVE_SYSTEM_DUMP`), where the guest has none.
const LIVE_SYSTEM_DUMP: u64 = 0x161;

/// The type of a dump with all memory.
const FULL: u64 = 1;

/// A dump that is ready to be written.
#[derive(Debug)]
#[non_exhaustive]
pub struct WindowsPlan {
    /// The header, at offset 0.
    pub head: Vec<u8>,
    /// The runs of the header, in the order of the file.
    pub runs: Vec<Run>,
    /// The memory that the state has of them, and its places in the file; the rest of the runs is zero.
    pub memory: Vec<Placed>,
    /// Bytes that replace memory, by address; they do not overlap.
    pub patches: BTreeMap<Gpa, Vec<u8>>,
    /// The length of the file.
    pub len: u64,
    /// How the dump was made.
    pub remarks: Vec<String>,
    /// What is missing from it.
    pub problems: Vec<Error>,
}

/// Plans a dump from the header that the guest left; `memory` is what the state has, in ascending order of addresses.
///
/// Each step of completing the header can fail by itself; then the dump has what the guest left, and the failure is in
/// [`WindowsPlan::problems`].
///
/// # Errors
/// `Corrupt` when the header's runs or its page tables cannot be right; `Io`.
pub fn plan(
    mut header: Header,
    cpus: &[Processor<'_>],
    mem: &dyn PhysicalMemory,
    memory: &[Region],
) -> Result<WindowsPlan> {
    let runs = header.runs()?;
    let head_bytes = header.layout().bytes as u64;
    let (placed, len) = place(&runs, memory, head_bytes);
    let mut p = WindowsPlan {
        head: Vec::new(),
        runs,
        memory: placed,
        patches: BTreeMap::new(),
        len,
        remarks: Vec::new(),
        problems: Vec::new(),
    };
    check_memory(&header, &mut p)?;
    let kernel = Kernel::new(mem, &header, cpus.first());
    let debugger = Debugger::find(&kernel, &header)?.ok_or_else(|| no_debugger_data(&header))?;
    let l = header.layout();
    if debugger.is_copy {
        header.set_pointer(l.debugger_data, debugger.at);
        p.remarks
            .push(format!("the kernel's debugger data is encoded; the driver's copy at {:#x} is used", debugger.at));
    }
    complete(&mut header, &kernel, debugger, &mut p)?;
    let mut contexts = Contexts { kernel: &kernel, debugger, header: &header, plan: &mut p };
    contexts.add(cpus)?;
    if let Some(first) = cpus.first()
        && is_unfilled(&header)
    {
        header.record.raw(l.context, &context(header.width(), first));
    }
    p.head = header.record.bytes;
    Ok(p)
}

/// Returns whether the header has no registers: all zero, or the pattern that the kernel fills headers with.
fn is_unfilled(header: &Header) -> bool {
    let at = header.layout().context;
    let bytes = header.record.bytes.get(at..at.plus(0x300)).unwrap_or_default();
    bytes.iter().all(|b| *b == 0) || bytes.chunks(4).all(|w| w == b"PAGE")
}

fn no_debugger_data(header: &Header) -> Error {
    let own = header.pointer(header.layout().debugger_data);
    let what = format!(
        "expected the kernel's debugger data (KDBG) at {own:#x} or {:#x}, which the page tables at {:#x} do not map to it",
        header.parameter(1),
        header.directory_table_base()
    );
    let e = Error::new(ErrorKind::Corrupt, what);
    let e = e.within(format!("Windows dump header at physical address {}", header.at));
    e.hint("write --format elf and run elf2dmp on it")
}

/// Places the runs one after the other; returns what the state has of them, and the end of the file.
fn place(runs: &[Run], memory: &[Region], mut at: u64) -> (Vec<Placed>, u64) {
    let mut out = Vec::new();
    for run in runs {
        let (mut next, end) = (run.start(), run.start().plus(run.bytes()));
        for r in memory {
            let (from, to) = (next.max(r.gpa.0), r.end().0.min(end));
            let Some(bytes) = to.checked_sub(from).filter(|n| *n > 0) else { continue };
            let block_offset = r.block_offset.plus(from.minus(r.gpa.0));
            let region = Region { gpa: Gpa(from), bytes, block_offset, ..*r };
            out.push(Placed { region, at: at.plus(from.minus(run.start())) });
            next = to;
        }
        at = at.plus(run.bytes());
    }
    (out, at)
}

/// Compares the runs with the memory that there is.
fn check_memory(header: &Header, p: &mut WindowsPlan) -> Result<()> {
    let all: u64 = p.runs.iter().map(Run::bytes).sum();
    let known: u64 = p.memory.iter().map(|m| m.region.bytes).sum();
    let absent = all.minus(known);
    let what = || format!("the header lists {all:#x} bytes of memory, of which {absent:#x} are not in the state");
    if absent > known {
        let e = Error::new(ErrorKind::Corrupt, what());
        return Err(e.within(format!("Windows dump header at physical address {}", header.at)));
    }
    if absent > 0 {
        p.problems.push(Error::new(ErrorKind::Missing, format!("{}; they are zero in the dump", what())));
    }
    Ok(())
}

/// Fills the fields of the header that the driver cannot know.
fn complete(header: &mut Header, kernel: &Kernel<'_>, debugger: Debugger, p: &mut WindowsPlan) -> Result<()> {
    let l = header.layout();
    let failed = |what: &str| {
        Error::new(ErrorKind::Missing, format!("{what} cannot be read; the header keeps what the driver left"))
    };
    let pages: u64 = p.runs.iter().map(|r| r.count).sum();
    let stated = header.pointer(l.page_count);
    if stated != pages {
        p.remarks.push(format!("the header states {stated} pages, its runs have {pages}"));
        header.set_pointer(l.page_count, pages);
    }
    for at in l.unused {
        header.record.u32(*at, 0);
    }
    let kind = header.word(l.dump_type);
    if kind != FULL {
        p.remarks.push(format!("the header says dump type {kind:#x}; the dump is a full one, type 1"));
        header.record.u32(l.dump_type, FULL);
    }
    header.record.u64(l.required_space, p.len);
    match debugger.pfn_database(kernel)? {
        Some(at) => header.set_pointer(l.pfn_database, at),
        None => p.problems.push(failed("MmPfnDatabase")),
    }
    match debugger.bugcheck(kernel)? {
        Some(bytes) => header.record.raw(l.bugcheck, &bytes),
        None => p.problems.push(failed("KiBugCheckData")),
    }
    if header.word(l.bugcheck) == 0 {
        p.remarks.push("the guest has not crashed: the bug check code is 0x161 (LIVE_SYSTEM_DUMP)".to_owned());
        header.record.u32(l.bugcheck, LIVE_SYSTEM_DUMP);
    }
    Ok(())
}

/// The registers of processors on their way into memory.
struct Contexts<'a, 'm> {
    kernel: &'a Kernel<'m>,
    debugger: Debugger,
    header: &'a Header,
    plan: &'a mut WindowsPlan,
}

impl Contexts<'_, '_> {
    fn add(&mut self, cpus: &[Processor<'_>]) -> Result<()> {
        let stated = self.header.processors();
        let there = cpus.len() as u64;
        if stated != there {
            self.plan.remarks.push(format!("the header states {stated} processors, the state has {there}"));
        }
        for (n, cpu) in (0..stated).zip(cpus) {
            match self.one(n, cpu) {
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(e) => self.plan.problems.push(e.within(format!("registers of CPU {}", cpu.index))),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Patches all of a processor's registers in, or nothing.
    fn one(&mut self, n: u64, cpu: &Processor<'_>) -> Result<()> {
        let bytes = context(self.header.width(), cpu);
        let at = self.debugger.context(self.kernel, n)?;
        let pieces = self.kernel.pieces(at, bytes.len())?;
        for (start, len) in &pieces {
            let end = start.plus(*len as u64);
            let before = self.plan.patches.range(..end).next_back();
            if before.is_some_and(|(s, b)| *start < s.plus(b.len() as u64)) {
                return Err(Error::new(
                    ErrorKind::Corrupt,
                    format!("CONTEXT at {at:#x} overlaps that of another processor"),
                ));
            }
            let inside = |p: &Placed| p.region.gpa <= *start && end <= p.region.end();
            if !self.plan.memory.iter().any(inside) {
                return Err(Error::new(
                    ErrorKind::Missing,
                    format!("CONTEXT at {at:#x} is not in the memory of the dump"),
                ));
            }
        }
        let mut rest = bytes.as_slice();
        for (start, len) in pieces {
            let (now, later) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            self.plan.patches.insert(start, now.to_vec());
            rest = later;
        }
        Ok(())
    }
}
