//! Opens the saved state of a QEMU virtual machine and decodes all of it.
// cli/say.rs writes to standard error, and opens standard output
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

pub mod budget;
pub mod compat;
pub mod container;
pub mod decode;
pub mod diag;
pub mod diff;
pub mod error;
pub mod findings;
pub mod handler;
pub mod image;
pub mod inspect;
pub mod interp;
pub mod limits;
pub mod machine;
pub mod names;
pub mod offset;
pub mod ram;
pub mod render;
pub mod schema;
pub mod sink;
pub mod stream;
pub mod text;
pub mod value;
pub mod wire;

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(any(test, feature = "synth"))]
#[doc(hidden)]
pub mod synth;
