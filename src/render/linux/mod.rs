//! What a Linux guest says of itself: tables for people, documents for machines.

pub mod head_json;
#[cfg(feature = "cli")]
pub mod ps;
pub mod ps_json;
pub mod sym_json;
