//! Answers about a whole state, as types: what `check` finds.

mod check;
mod devices;
mod memory;

pub use check::{Check, QuirkFound, UndecodedBytes, check};
pub use devices::Devices;
