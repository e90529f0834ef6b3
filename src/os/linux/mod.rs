//! Linux: what a kernel says about itself in memory.
//!
//! Everything begins with [`vmcoreinfo`], the text in which a kernel names its release, the addresses of some symbols and the
//! layout of some structures. [`info`] reads it, [`address`] and [`kernel`] translate the kernel's own addresses with it, and
//! [`printk`] reads the kernel log.

pub mod address;
pub mod info;
pub mod kallsyms;
pub mod kernel;
mod old_log;
pub mod printk;
mod record;
mod ring;
#[cfg(test)]
mod tests;
mod utsname;
pub mod vmcoreinfo;

pub use utsname::{Names, uname};
