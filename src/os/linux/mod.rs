//! Linux: what a kernel says about itself in memory.
//!
//! Everything begins with [`vmcoreinfo`], the text in which a kernel names its release, the addresses of some symbols and the
//! layout of some structures. [`info`] reads it, and [`kernel`] translates the kernel's own addresses with it.

pub mod info;
pub mod kernel;
mod utsname;
pub mod vmcoreinfo;

pub use utsname::{Names, uname};
