//! Output: documents for machines, trees and tables for people. Renderers decide nothing.

pub mod cpu;
pub mod cpu_json;
pub mod devices_json;
pub mod human;
#[cfg(feature = "cli")]
pub mod info;
pub mod info_json;
mod lines;
pub mod pci;
pub mod pci_json;
pub mod report;
pub mod state_json;
pub mod tree;
pub mod upstream;
pub mod virtio;
pub mod virtio_json;
mod wrapper;

use std::io;

use serde::Serialize;

/// Writes a value as JSON with four spaces of indentation, as analyze-migration.py does, and a line end.
///
/// # Errors
/// Those of the writer.
pub fn pretty<W: io::Write, T: Serialize + ?Sized>(mut out: W, value: &T) -> io::Result<()> {
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut s = serde_json::Serializer::with_formatter(&mut out, formatter);
    value.serialize(&mut s)?;
    out.write_all(b"\n")
}
