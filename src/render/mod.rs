//! Output: documents for machines, trees and tables for people. Renderers decide nothing.

pub mod cpu;
pub mod cpu_json;
pub mod devices_json;
pub mod dmesg;
pub mod dmesg_json;
pub mod hex;
pub mod hexdump;
pub mod human;
#[cfg(feature = "cli")]
pub mod info;
pub mod info_json;
mod json;
mod lines;
pub mod linux;
pub mod paging;
pub mod pci;
pub mod pci_json;
pub mod read_json;
pub mod report;
pub mod state_json;
#[cfg(feature = "cli")]
pub(crate) mod table;
pub mod tree;
pub mod upstream;
pub mod virtio;
pub mod virtio_json;
mod wrapper;

pub use json::{compact, pretty};
