//! Page-table walks: from a virtual address to guest-physical memory.
//!
//! An [`AddressSpace`] is what a processor's registers select: nothing, or one or two trees of tables. All architectures share one
//! walk ([`walk`](self)): a tree has levels, each with a shift and a number of index bits, and an entry is absent, a table or a page. What the bits
//! of an entry mean is in one file per architecture.
//!
//! Tables are read, never trusted: a walk has as many steps as the tree has levels, and going through all mappings has a limit.

mod arm64;
mod mapped;
mod model;
mod riscv;
mod s390x;
mod space;
#[cfg(test)]
mod tests;
mod walk;
mod x86;

pub use mapped::{Mapped, Mapping};
pub use model::{Meaning, Step, Translation, Walk};
pub use riscv::RiscvMode;
pub use space::AddressSpace;
pub use x86::X86Mode;
