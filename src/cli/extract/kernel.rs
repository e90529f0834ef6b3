//! What the guest's kernel left for readers of dumps.

use super::ExtractArgs;
use super::formats::ElfLayoutArg;
use crate::cli::exit::{Failure, say};
use crate::dump::Kind;
use crate::dump::elf::Mapping;
use crate::error::Result;
use crate::image::SaveImage;
use crate::inspect::{self, DumpContent};
use crate::memory::PhysicalMemory;
use crate::os::linux::{self, vmcoreinfo};
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

/// Returns the virtual memory of the guest, if it is asked for.
pub fn mappings(
    _: &ExtractArgs,
    _: &SaveImage,
    _: &dyn PhysicalMemory,
) -> std::result::Result<Option<Vec<Mapping>>, Failure> {
    Ok(None)
}
