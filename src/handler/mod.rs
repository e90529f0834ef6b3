//! Sections of live handlers other than RAM: one file each, one row each.
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

use crate::stream::LiveKind;

/// Every live handler that is known beside `ram`.
pub static HANDLERS: &[LiveKind] = &[];

/// Finds the row of a section by its name.
#[must_use]
pub fn find(idstr: &str) -> Option<&'static LiveKind> {
    HANDLERS.iter().find(|h| (h.matches)(idstr))
}
