//! Windows crash dumps of x86 guests.
//!
//! The guest's own driver (fwcfg of virtio-win) prepares the header of a dump in guest memory, and registers it with the vmcoreinfo device as
//! an ELF note. A dump is that header with what changed since, and the pages that it lists. `dump/win_dump.c` of QEMU does the same for a running
//! guest; here nothing of the input is changed: what QEMU writes into guest memory for the time of a dump (the registers of each processor) is
//! patched into the output.

mod context;
mod find;
mod header;
mod image;
mod kernel;
mod plan;
mod write;

#[cfg(test)]
mod tests;

pub use context::context;
pub use find::{NOTE_SIZES, find};
pub use header::{Header, Run, Width};
pub use image::{KernelImage, find_kernel};
pub use plan::{WindowsPlan, plan};
pub use write::write;
