//! Where RAMBlocks lie in guest-physical space.
//!
//! The stream does not record the map of memory; it follows from the machine type, the length of the main block, and on
//! PCs from what the firmware left in the RTC's CMOS memory. One file per family; each row names its source in QEMU.

mod boards;
mod dumped;
mod layout;
mod model;
mod pc;

pub use dumped::{Windows, dumped};
pub use layout::layout;
pub use model::{BAR, FIRMWARE, MapFacts, MemoryMap, Region, VirtioMem};
