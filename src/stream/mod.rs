//! The frame of a stream: header, configuration, commands, section headers and footers, the end, the description.
//!
//! Sections carry no length. The end of one is given by the description of the device ([`crate::schema`]), or a
//! reader that knows the payload ([`LiveSection`]), or, where there is neither, a search for the footer.
//!
//! ```text
//! be32 "QEVM", be32 3
//! [0x07 configuration]                                          machine types from 2.4
//! { 0x08 be16 command, be16 length, bytes                       no footer
//! | 0x01 or 0x04, be32 section id, u8 n, name, be32 instance id, be32 version, payload, footer
//! | 0x02 or 0x03, be32 section id, payload, footer }
//! 0x00
//! [0x06 be32 length, JSON]
//! footer: 0x7e, be32 section id                                 machine types from 2.4
//! ```
//! Written by `qemu_savevm_state_header` and its successors in `migration/savevm.c`.

mod behind;
mod configuration;
mod footer;
mod frame;
mod live;
mod matching;
mod model;
mod own;
mod recover;
mod resync;
mod tail;
mod walk;

pub use configuration::Configuration;
pub use frame::{MAGIC, SectionHeader, VERSION};
pub use live::{Fact, FactValue, LiveKind, LiveSection};
pub use model::{CommandRecord, Context, Depth, EndFound, Gap, Payloads, Section, Walk, WalkOptions};
pub use tail::Description;
pub use walk::walk;
