//! What values mean: devices in the terms of those who use them.
//!
//! A decoder takes the tree of a section ([`crate::value::Node`]), never its bytes in the stream, and returns structures with
//! types; tables and JSON are made of them in [`crate::render`]. The values themselves stay in the tree.
//!
//! | decoder | reads |
//! |---|---|
//! | [`cpu`] | processors, interrupt controllers and clocks |
//! | [`pci`] | every structure with a PCI configuration space |
//! | [`virtio`] | every field `virtio`, over PCI, MMIO and channels |

pub mod cpu;
pub mod pci;
mod section;
pub mod virtio;

pub use section::Section;
