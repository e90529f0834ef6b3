//! The Windows crash dump of a state.

use super::{Cpus, guest_note};
use crate::dump::windows::{self, NOTE_SIZES, WindowsPlan};
use crate::dump::{Guest, Kind};
use crate::error::{Error, ErrorKind, Result};
use crate::image::SaveImage;
use crate::memory::PhysicalMemory;

/// What to do without a header.
const HINT: &str = "write --format elf and run elf2dmp on it";

/// Plans the Windows crash dump of a state: the header that the guest's driver left is found and completed.
///
/// # Errors
/// `Unsupported` for a guest that is not of x86; `Missing` when the guest left no header; `Corrupt` when that cannot be right; `Io`.
pub fn windows_dump(image: &SaveImage, guest: &Guest, mem: &dyn PhysicalMemory) -> Result<WindowsPlan> {
    check_architecture(guest)?;
    let registered = guest_note(image)?;
    let cpus = Cpus::find(image)?;
    let processors = cpus.processors();
    let Some(header) = windows::find(mem, registered, processors.first())? else {
        let mut what = match registered {
            Some((_, size)) if !NOTE_SIZES.contains(&size) => another_note(size),
            _ => "the guest's driver left no Windows dump header in memory".to_owned(),
        };
        if let Some(first) = processors.first()
            && let Some(kernel) = windows::find_kernel(mem, first)?
        {
            what = format!("{what}; {kernel}");
        }
        return Err(Error::new(ErrorKind::Missing, what).hint(HINT));
    };
    windows::plan(header, &processors, mem, &guest.memory)
}

/// Returns why a Windows crash dump is not possible, as far as the state without its memory shows; `None` if it may be.
///
/// # Errors
/// `Io`.
pub fn windows_obstacle(image: &SaveImage, guest: &Guest) -> Result<Option<String>> {
    if let Err(e) = check_architecture(guest) {
        return Ok(Some(e.message().to_owned()));
    }
    let why = match guest_note(image)? {
        Some((_, size)) if NOTE_SIZES.contains(&size) => return Ok(None),
        Some((_, size)) => another_note(size),
        None => {
            "the guest's driver left no dump header with the vmcoreinfo device, unless a search of memory finds one"
                .to_owned()
        }
    };
    Ok(Some(format!("{why}; {HINT}")))
}

fn check_architecture(guest: &Guest) -> Result<()> {
    let target = &guest.target;
    if matches!(target.kind, Kind::X86_64 | Kind::I386) {
        return Ok(());
    }
    let what = format!("Windows dumps are of x86 guests, and this one is {}", target.kind.uname(target.order));
    Err(Error::new(ErrorKind::Unsupported, what))
}

fn another_note(size: u32) -> String {
    format!("the guest registered a note of {size} bytes, which is no Windows dump header")
}
