//! What the guest's kernel left for readers of dumps.

use super::ExtractArgs;
use crate::cli::exit::Failure;
use crate::dump::elf::Mapping;
use crate::image::SaveImage;
use crate::inspect::DumpContent;
use crate::memory::PhysicalMemory;

/// Looks for the kernel's note, and puts it into the dump.
pub fn look(_: &ExtractArgs, _: &SaveImage, _: &dyn PhysicalMemory, _: &mut DumpContent) {}

/// Returns the virtual memory of the guest, if it is asked for.
pub fn mappings(_: &ExtractArgs, _: &SaveImage, _: &dyn PhysicalMemory) -> Result<Option<Vec<Mapping>>, Failure> {
    Ok(None)
}
