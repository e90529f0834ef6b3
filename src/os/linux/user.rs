//! The memory of processes.

use super::guest::Object;
use super::info::Machine;
use crate::error::{Error, ErrorKind, Result};
use crate::paging::AddressSpace;
use crate::text::Name;

/// Bytes of arguments that are read; a command line has at most 2 MiB.
const MAX_BYTES: u64 = 64 << 10;

/// Returns the address space of a process.
///
/// # Errors
/// `Missing` for a thread of the kernel; `Unsupported` for an architecture whose processes cannot be read; `Io`.
pub fn space(task: &Object<'_>) -> Result<AddressSpace> {
    let guest = task.guest();
    let kernel = guest.kernel();
    let mm = task.member("mm")?.target()?;
    if kernel.machine() == Machine::S390x {
        let asce = mm.path("context.asce")?.number()?;
        return Ok(AddressSpace::s390x_process(asce));
    }
    let root = mm.member("pgd")?.number()?;
    kernel.user_space(root)
}

/// Reads the arguments of a process; `None` if the page is not in memory.
pub(super) fn arguments(task: &Object<'_>) -> Option<Vec<Name>> {
    let mm = task.member("mm").ok()?.target().ok()?;
    let number = |name: &str| mm.member(name).and_then(|o| o.number()).ok();
    let (start, end) = (number("arg_start")?, number("arg_end")?);
    let bytes = end.checked_sub(start).filter(|n| *n > 0)?.min(MAX_BYTES);
    let text = read(task, start, bytes).ok()?;
    // a process may have written one long title over all arguments
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    Some(text.split(|b| *b == 0).map(Name::from_bytes).collect())
}

/// Reads memory of a process.
///
/// # Errors
/// Those of [`space`]; `Missing` when a page is not in memory.
pub fn read(task: &Object<'_>, address: u64, bytes: u64) -> Result<Vec<u8>> {
    let len = usize::try_from(bytes.min(MAX_BYTES)).unwrap_or(0);
    let mut out = vec![0; len];
    let space = space(task)?;
    space.read(task.guest().kernel().memory(), address, &mut out).map_err(|e| {
        Error::new(ErrorKind::Missing, format!("memory of the process at {:#x}", task.address())).hint(e.to_string())
    })?;
    Ok(out)
}

/// Puts arguments together for a line of text.
#[must_use]
pub fn line(arguments: &[Name]) -> String {
    let mut out = String::new();
    for a in arguments {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&a.to_string());
    }
    out
}
