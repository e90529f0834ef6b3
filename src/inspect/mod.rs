//! Answers about a whole state, as types: what it is, what is missing from it, what `check` finds, its processors and
//! devices.

mod check;
mod cpus;
mod devices;
mod dump;
mod guest_note;
mod linux;
mod memory;
mod overview;
mod pieces;
mod problems;
mod stack;
mod windows;

pub use check::{Check, QuirkFound, UndecodedBytes, check};
pub use cpus::Cpus;
pub use devices::Devices;
pub use dump::DumpContent;
pub use guest_note::guest_note;
pub use linux::{linux, linux_hints};
pub use overview::{Extent, Overview};
pub use pieces::{Piece, pieces};
pub use problems::{Grade, Problem, problems};
pub use stack::registers as stack_registers;
pub use windows::{windows_dump, windows_obstacle};
