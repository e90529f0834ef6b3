//! Answers about a whole state, as types: what `check` finds.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod check;
mod devices;
mod memory;

pub use check::{Check, QuirkFound, UndecodedBytes, check};
pub use devices::Devices;
