//! Where the section of an x86 processor has its registers (`target/i386/cpu.h`).

/// Places in `env.regs`.
pub(super) const RAX: usize = 0;
pub(super) const RCX: usize = 1;
pub(super) const RDX: usize = 2;
pub(super) const RBX: usize = 3;
pub(super) const RSP: usize = 4;
pub(super) const RBP: usize = 5;
pub(super) const RSI: usize = 6;
pub(super) const RDI: usize = 7;

/// Places in `env.segs`.
pub(super) const ES: usize = 0;
pub(super) const CS: usize = 1;
pub(super) const SS: usize = 2;
pub(super) const DS: usize = 3;
pub(super) const FS: usize = 4;
pub(super) const GS: usize = 5;
