//! Where the running kernel is: by VMCOREINFO, or by the page tables of a processor that runs it.

use std::ops::Range;

use super::info::Machine;
use super::kallsyms::{Form, How, Symbols};
use super::kernel::Kernel;
use super::utsname::{self, MAX_UTS};
use super::vmcoreinfo::{self, Found};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};
use crate::paging::AddressSpace;
use crate::text::Name;

/// A processor that may run the kernel.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "callers make it from the registers of a processor")]
pub struct Hint {
    /// What it is called in answers, such as `CPU 0`.
    pub name: String,
    /// Its architecture.
    pub machine: Machine,
    /// Its address space.
    pub space: AddressSpace,
    /// An address in the kernel's code.
    pub pc: u64,
}

/// What is known of a guest beside its memory.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "callers make it")]
pub struct Hints {
    /// The address and the size of the note that the guest gave to the vmcoreinfo device.
    pub note: Option<(Gpa, u32)>,
    /// The processors.
    pub processors: Vec<Hint>,
}

/// A kernel and its symbols.
#[derive(Debug)]
#[non_exhaustive]
pub struct Located<'a> {
    /// The kernel's memory.
    pub kernel: Kernel<'a>,
    /// Where its image is, as it is mapped.
    pub image: Vec<Range<u64>>,
    /// Its symbols.
    pub symbols: Symbols,
    /// How each of these was found, in sentences.
    pub steps: Vec<String>,
    /// Its VMCOREINFO, if it was found by that.
    pub found: Option<Found>,
}

impl Located<'_> {
    /// Returns the release: from VMCOREINFO, or the third word of the banner, or that in the first UTS namespace; empty if none of
    /// these is in memory.
    #[must_use]
    pub fn release(&self) -> Name {
        if let Some(info) = self.kernel.info() {
            return info.release();
        }
        let read = |symbol: &str, most: usize| {
            let at = self.symbols.named(symbol).next()?.address;
            let mut bytes = vec![0; most];
            self.kernel.read(at, &mut bytes).ok().map(|()| bytes)
        };
        let banner = read("linux_banner", 128);
        let word = banner.as_ref().and_then(|b| b.split(|b| *b == b' ').nth(2)).filter(|w| w.len() < 65);
        if let Some(word) = word {
            return Name::from_bytes(word);
        }
        let names = read("init_uts_ns", MAX_UTS).and_then(|b| utsname::names(&b));
        names.map_or_else(Name::default, |[_, _, release, ..]| Name::from_bytes(&release))
    }
}

/// Finds the kernel and its symbols. What VMCOREINFO says counts when the kernel that it names is in memory; otherwise, and without
/// VMCOREINFO, the image that a processor has mapped is searched.
///
/// # Errors
/// `Missing` if there is no Linux kernel, with what was tried; `Corrupt` if its symbols contradict themselves; `Io`.
pub fn locate<'a>(mem: &'a dyn PhysicalMemory, hints: &Hints) -> Result<Located<'a>> {
    let found = vmcoreinfo::find(mem, hints.note)?;
    let mut tried: Vec<Error> = Vec::new();
    let (mut unproved, mut why) = (None, None);
    if let Some(f) = found {
        if f.proved {
            let says = f.says();
            match by_info(mem, f) {
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(e) => why = Some(e.hint(says)),
                found => return found,
            }
        } else {
            unproved = Some(f);
        }
    }
    for hint in &hints.processors {
        let kernel = Kernel::of_processor(mem, hint.machine, hint.space.clone(), hint.pc);
        let how = format!("The kernel is what {} has mapped ({}).", hint.name, hint.space.name());
        match with_symbols(kernel, vec![how], None) {
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(e) => tried.push(e.within(format!("the memory that {} maps", hint.name))),
            found => return found,
        }
    }
    if let Some(f) = unproved {
        return by_info(mem, f);
    }
    // there is a kernel: what it lacks is the reason
    if let Some(e) = why {
        return Err(e);
    }
    if let Some(e) = tried.iter().position(|e| e.kind() == ErrorKind::Corrupt) {
        return Err(tried.swap_remove(e));
    }
    let what = match hints.processors.len() {
        0 => "no VMCOREINFO, and no processor whose page tables can be followed",
        _ => "no VMCOREINFO, and no table of kernel symbols in the memory that the processors map",
    };
    let e = Error::new(ErrorKind::Missing, format!("no Linux kernel was found in guest memory: {what}"));
    Err(match tried.iter().find(|e| !e.to_string().contains("no table of symbols")) {
        Some(other) => e.hint(other.to_string()),
        None => e.hint("the guest runs another system, or has not booted yet"),
    })
}

fn by_info(mem: &dyn PhysicalMemory, found: Found) -> Result<Located<'_>> {
    let kernel = Kernel::new(mem, &found);
    let how = format!("{}.", found.says());
    with_symbols(kernel, vec![how], Some(found))
}

fn with_symbols<'a>(kernel: Kernel<'a>, mut steps: Vec<String>, found: Option<Found>) -> Result<Located<'a>> {
    let image = kernel.image()?;
    let bytes = image.iter().fold(0_u64, |n, r| n.saturating_add(r.end.minus(r.start)));
    if let (Some(first), Some(last)) = (image.first(), image.last()) {
        steps.push(format!(
            "Its image is looked for from {:#x} to {:#x}, where {} MiB are mapped.",
            first.start,
            last.end,
            bytes >> 20
        ));
    }
    let symbols = Symbols::read(&kernel, &image)?;
    let place = match symbols.how() {
        How::Keys => "VMCOREINFO has the place of its table of symbols (kallsyms)",
        How::Search => "its table of symbols (kallsyms) was found by a search of the image",
    };
    let proof = symbols.proof();
    let form = match symbols.form() {
        Form::AbsolutePerCpu => "with absolute per-CPU addresses",
        Form::Relative => "relative to a base",
        Form::PlaceRelative => "relative to their places",
    };
    let added = symbols.added().map_or(0, |a| a.exported.plus(a.told));
    let count = symbols.len().minus(added);
    steps.push(format!("{count} symbols: {place}; addresses are {form}, and {proof}."));
    // without CONFIG_KALLSYMS_ALL the table has no variables
    if let Some(added) = symbols.added() {
        let exported = match added.exported {
            0 => "no table of exported symbols was found in the image".to_owned(),
            n => format!(
                "{n} more symbols come from the table of exported symbols, whose functions have the same addresses"
            ),
        };
        let told = if added.told > 0 { format!(", and {} from VMCOREINFO", added.told) } else { String::new() };
        steps.push(format!("The table of symbols has no variables; {exported}{told}."));
    }
    Ok(Located { kernel, image, symbols, steps, found })
}
