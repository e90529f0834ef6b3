//! Linux: what a kernel says about itself in memory.
//!
//! Everything begins with [`vmcoreinfo`], the text in which a kernel names its release, the addresses of some symbols and the
//! layout of some structures. [`info`] reads it, [`address`] and [`kernel`] translate the kernel's own addresses with it, and
//! [`printk`] reads the kernel log.

pub mod address;
pub mod btf;
pub mod export;
pub mod files;
pub mod find;
mod globals;
pub mod guest;
pub mod info;
pub mod kallsyms;
pub mod kernel;
pub mod layout;
pub mod modules;
pub mod net;
mod old_log;
mod pages;
pub mod paths;
pub mod percpu;
mod pieces;
pub mod print;
pub mod printk;
mod rbtree;
mod record;
mod ring;
mod search;
pub mod stack;
mod summary;
pub mod tasks;
#[cfg(test)]
mod tests;
pub mod user;
mod utsname;
pub mod vmcoreinfo;

pub use guest::{List, Object};
pub use summary::{Summary, names, summary};
pub use utsname::{Names, uname};
