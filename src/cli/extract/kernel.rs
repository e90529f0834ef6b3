//! What the guest's kernel left for readers of dumps.

use super::ExtractArgs;
use super::formats::ElfLayoutArg;
use crate::cli::exit::{Failure, say};
use crate::dump::Kind;
use crate::dump::elf::Mapping;
use crate::error::{Error, ErrorKind, Result};
use crate::image::SaveImage;
use crate::inspect::{self, Cpus, DumpContent};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};
use crate::os::linux::{self, vmcoreinfo};
use crate::paging::AddressSpace;
use crate::render::tree::Role;

/// Looks for the kernel's note, and puts what it says into the dump.
pub fn look(a: &ExtractArgs, image: &SaveImage, memory: &dyn PhysicalMemory, content: &mut DumpContent) -> Result<()> {
    let registered = inspect::guest_note(image)?;
    let as_qemu = a.layout != ElfLayoutArg::Standard;
    if as_qemu && registered.is_none() {
        return Ok(());
    }
    let note = |what: &str| {
        if !a.quiet {
            say(Role::Name, "note", what);
        }
    };
    let guest = &mut content.guest;
    let Some(found) = vmcoreinfo::find(memory, registered)? else {
        note("no VMCOREINFO in guest memory: drgn and makedumpfile cannot open the dump as that of a Linux kernel");
        return Ok(());
    };
    note(&found.says());
    let key = match guest.target.kind {
        Kind::X86_64 => "phys_base",
        Kind::Aarch64 => "PHYS_OFFSET",
        _ => "",
    };
    guest.phys_base = found.info.number(key).unwrap_or(guest.phys_base);
    guest.page_size = found.get("PAGESIZE").and_then(|n| n.parse().ok());
    if let Some(names) = linux::uname(memory, &found.info) {
        guest.uname = names;
    }
    guest.vmcoreinfo = Some(found.note);
    Ok(())
}

/// Page tables that are read for virtual memory, which map 2 TiB with pages of 4 KiB.
const MAX_TABLES: u64 = 1 << 20;
/// Where Linux maps the text of its kernel on x86-64.
const TEXT: u64 = 0xffff_ffff_8000_0000;
/// Program headers of virtual memory.
const MAX_MAPPINGS: usize = 1 << 20;

/// Returns the virtual memory of the guest, if it is asked for: what the first processor that uses page tables maps to memory of the
/// dump, by physical address.
pub fn mappings(
    a: &ExtractArgs,
    image: &SaveImage,
    memory: &dyn PhysicalMemory,
    content: &DumpContent,
) -> std::result::Result<Option<Vec<Mapping>>, Failure> {
    if !a.paging {
        return Ok(None);
    }
    let cpus = Cpus::find(image)?;
    let spaces = cpus.sections().filter_map(|d| cpus.decode(d)).map(|c| AddressSpace::of_cpu(&c));
    let mut unknown = None;
    let space =
        spaces.filter_map(|s| s.map_err(|e| unknown.get_or_insert(e).message().len()).ok()).find(|s| !s.is_identity());
    let Some(space) = space else {
        if let Some(e) = unknown {
            return Err(e.into());
        }
        say(Role::Name, "note", "no processor has paging on, so virtual addresses are physical ones");
        return Ok(None);
    };
    let regions = &content.guest.memory;
    let mut out: Vec<Mapping> = Vec::new();
    let mut full = false;
    let going = space.mapped(memory, 0..=u64::MAX, MAX_TABLES, &mut |m| {
        let end = m.phys.plus(m.bytes).0;
        let first = regions.partition_point(|r| r.end().0 <= m.phys.0);
        for r in regions.iter().skip(first).take_while(|r| r.gpa.0 < end) {
            let from = r.gpa.0.max(m.phys.0);
            let to = r.end().0.min(end);
            // the regions of a hostile machine may overlap
            let Some(bytes) = to.checked_sub(from).filter(|n| *n > 0) else { continue };
            if out.len() >= MAX_MAPPINGS {
                full = true;
                return Ok(());
            }
            out.push(Mapping {
                virtual_address: m.virt.plus(from.minus(m.phys.0)),
                physical_address: Gpa(from),
                bytes,
            });
        }
        Ok(())
    })?;
    if going.stopped || full {
        say(Role::Name, "warning", "the page tables map more than a dump can list; the rest is left out");
    }
    if going.unreadable > 0 && !a.quiet {
        say(Role::Name, "note", &format!("{} page tables are not in memory", going.unreadable));
    }
    if out.is_empty() {
        let what = format!("the page tables ({}) map no memory of the guest", space.name());
        return Err(Error::new(ErrorKind::Missing, what).into());
    }
    out.sort_by_key(|m| (m.physical_address, m.virtual_address));
    // makedumpfile takes the last one below the kernel's text for the mapping of all memory
    if let Some(largest) =
        (0..out.len()).max_by_key(|n| out.get(*n).filter(|m| m.virtual_address < TEXT).map(|m| m.bytes))
    {
        let m = out.remove(largest);
        out.push(m);
    }
    Ok(Some(out))
}
