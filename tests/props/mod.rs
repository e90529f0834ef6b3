//! What holds for any bytes at all. Called with seeded data by `tests/properties.rs` and with better ones by `fuzz/`.

pub mod compat;
pub mod description;
pub mod dump;
pub mod guest;
pub mod interp;
pub mod ram;
pub mod types;
pub mod walk;
pub mod windows;
