//! Opens the saved state of a QEMU virtual machine and decodes all of it.
//!
//! A saved state is what QEMU writes with `migrate` and `savevm`, and what libvirt writes with `virsh save` and for snapshots:
//! the **migration stream**, bare or in a wrapper.
//!
//! ```text
//! header          magic QEVM, version 3
//! configuration   machine type, capabilities
//! section START   ram: the list of RAM blocks                  guest memory: live sections,
//! section PART    ram: page records, a page may come again     sent while the guest runs
//! section END     ram
//! section FULL    timer (0), cpu (0), 0000:00:02.0/virtio-net (0) ...     devices: one section each
//! EOF
//! description     JSON: name, type and size of every field of every device section
//! ```
//!
//! A *section* has an *idstr* (`cpu`) and an *instance id*; sections have no length, and the description says where a device
//! section ends. A *vmsd* is the description of one structure, in QEMU's source a `VMStateDescription`; its *subsections* are
//! present only when the guest's state needs them. A *RAM block* is a piece of memory (`pc.ram`, `vga.vram`, firmware); where a
//! block lies in *guest-physical* memory follows from the machine type. Memory is sent in *target pages*, 4096 bytes in most
//! cases.
//!
//! # The first program
//!
//! ```
//! use savevm_analyze::SaveImage;
//!
//! # fn main() -> savevm_analyze::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/first.mig");
//! let image = SaveImage::open(path)?;
//! for device in image.devices() {
//!     let device = device?;
//!     println!("{} ({}): {} bytes", device.name(), device.instance_id(), device.payload.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`SaveImage::device`] decodes one device, [`Device::field`] finds a field of it, [`SaveImage::memory`] reads guest memory, and
//! [`SaveImage::extract`] writes a RAM block to a file. [`OpenOptions`] has the rest: a snapshot of a qcow2 image, an external
//! description, a limit on memory, a sink for pages.
//!
//! ```
//! use savevm_analyze::{Gpa, SaveImage};
//!
//! # fn main() -> savevm_analyze::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/first.mig");
//! let image = SaveImage::open(path)?;
//! let counter = image.device("dev", 0)?.field("counter")?.as_u64();
//! let mut first = [0; 16];
//! image.memory()?.read(Gpa(0), &mut first)?;
//! # assert_eq!((counter, first[0]), (Some(7), 0x41));
//! # Ok(())
//! # }
//! ```
//!
//! # Faults
//!
//! An input that is truncated or corrupt is no error as long as something can be read: everything before the fault is in the
//! [`SaveImage`], [`SaveImage::fault`] has the error, and [`stream::Walk::gaps`] the bytes that were not understood. A device that
//! cannot be decoded has its bytes and the reason in its tree. [`inspect::check`] gives a verdict on a whole state.
//!
//! The input may be hostile: no input makes the library panic, or use more memory than its [`budget::Budget`] allows.
//!
//! # What is stable
//!
//! The names that this page re-exports, their methods, and the JSON documents of the command (`schemas/output/`) change only with a
//! new minor version before 1.0, and the CHANGELOG says how. The other modules are public for tools that need more than these,
//! and may change in any version; types with public fields may get more fields.
// cli/say.rs writes to standard error, and opens standard output
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]
// input is hostile: no code outside of tests may panic on it
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod budget;
pub mod compat;
pub mod container;
pub mod decode;
pub mod diag;
pub mod diff;
pub mod dump;
pub mod error;
pub mod findings;
mod handler;
pub mod image;
pub mod inspect;
pub mod interp;
pub mod limits;
pub mod machine;
pub mod memory;
pub mod names;
pub mod offset;
pub mod os;
pub mod paging;
pub mod ram;
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "it lays out values that were read already"
)]
pub mod render;
pub mod schema;
pub mod sink;
pub mod stream;
pub mod text;
pub mod value;
pub mod wire;

#[cfg(feature = "cli")]
#[allow(clippy::arithmetic_side_effects, reason = "it counts what was read already")]
pub mod cli;

#[cfg(any(test, feature = "synth"))]
#[doc(hidden)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    reason = "it builds streams for tests"
)]
pub mod synth;

pub use error::{Error, ErrorKind, Remedy, Result};
pub use image::{Device, OpenOptions, SaveImage};
pub use memory::GuestMemory;
pub use offset::{FileOffset, Gpa, RamOffset, StreamOffset};
pub use value::{Node, Value};
