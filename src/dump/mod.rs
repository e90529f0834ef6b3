//! Files for those who debug a guest: ELF core dumps, kdump-compressed dumps, and Windows crash dumps.
//!
//! A dump has two parts. What it says of the machine is a [`Guest`]: architecture, registers as ELF notes, the kernel's own note, and
//! which memory belongs to it. From that a format plans all its offsets ([`elf::plan`]); memory is written to the places that the plan
//! gives.

mod bytes;
pub mod elf;
mod guest;
pub mod kdump;
mod notes;
mod processor;
mod target;
pub mod windows;
mod write;
mod written;
mod x86;

pub use bytes::Order;
pub use elf::{ElfLayout, ElfOptions, ElfPlan};
pub use guest::Guest;
pub use processor::Processor;
pub use target::{Kind, Target};
pub use write::{Lost, Output, elf as write_elf};
pub use written::WrittenMemory;
