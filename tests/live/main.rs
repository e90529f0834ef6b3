//! What we say of a state against what the QEMU that wrote it says of the same paused machine.
//!
//! QEMU is the oracle: its registers, its PCI devices, its physical memory, and the file that is the guest's memory. Needs
//! a `qemu-system-x86_64` (`tests/live/install-qemu.sh` fetches one); without one the tests are skipped, and with
//! `SAVEVM_ANALYZE_REQUIRE_LIVE` set they fail.
#![cfg(all(target_os = "linux", feature = "cli"))]

mod devices;
mod dumps;
mod guest;
mod memory;
mod ours;
mod paging;
mod qemu;
