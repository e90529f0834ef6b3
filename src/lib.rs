//! Opens the saved state of a QEMU virtual machine and decodes all of it.

pub mod diag;
pub mod error;
pub mod handler;
pub mod interp;
pub mod limits;
pub mod names;
pub mod offset;
pub mod schema;
pub mod stream;
pub mod value;
pub mod wire;
