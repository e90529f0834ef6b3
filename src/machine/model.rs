//! What a map of guest-physical memory is made of.

use crate::offset::{Gpa, RamOffset, Sure};

/// A piece of a block at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Region {
    /// The guest-physical address.
    pub gpa: Gpa,
    /// The length.
    pub bytes: u64,
    /// The index of the block.
    pub block: usize,
    /// Where the piece begins in the block.
    pub block_offset: RamOffset,
    /// The source of this information.
    pub why: &'static str,
}

impl Region {
    /// Creates a piece whose place the caller knows.
    #[must_use]
    pub const fn new(gpa: Gpa, bytes: u64, block: usize, block_offset: RamOffset) -> Self {
        Self { gpa, bytes, block, block_offset, why: "given" }
    }

    /// Returns the address after its last byte; the last address, if a hostile length leads beyond it.
    #[must_use]
    pub fn end(&self) -> Gpa {
        self.gpa.plus(self.bytes)
    }
}

/// Facts about the memory map from the device sections.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MapFacts {
    /// The CMOS memory of the RTC (`mc146818rtc`, `cmos_data`), 128 bytes.
    pub cmos: Option<Vec<u8>>,
    /// The `virtio-mem` devices.
    pub virtio_mem: Vec<VirtioMem>,
    /// Addresses that the user gives for blocks, by name; they replace what would be found.
    pub given: Vec<(String, u64)>,
}

/// Where a virtio-mem device has its region (`virtio-mem-device-early`, QEMU 8.0 and later).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VirtioMem {
    /// The path of the device; its block is `<path>/<backend id>`.
    pub path: String,
    /// The address of the region.
    pub address: u64,
    /// The size of the region.
    pub bytes: u64,
}

/// The map.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MemoryMap {
    /// The pieces, by address.
    pub regions: Vec<Region>,
    /// Blocks that have no place, or one that is not in the stream: index and reason.
    pub unplaced: Vec<(usize, &'static str)>,
    /// What the user should know of how the map was found.
    pub remarks: Vec<String>,
}

impl MemoryMap {
    /// Takes the regions of firmware out.
    pub fn leave_out_firmware(&mut self) {
        let out = self.regions.extract_if(.., |r| r.why == FIRMWARE);
        self.unplaced.extend(out.map(|r| (r.block, "firmware is left out")));
    }

    /// Finds an address: the index of its block, the offset in the block, and the bytes up to the end of the region.
    #[must_use]
    pub fn find(&self, address: Gpa) -> Option<(usize, RamOffset, u64)> {
        self.regions.iter().find_map(|r| {
            let within = address.0.checked_sub(r.gpa.0).filter(|n| *n < r.bytes)?;
            Some((r.block, r.block_offset.plus(within), r.bytes.minus(within)))
        })
    }
}

/// What the memory of a device says as the source of its address.
pub const BAR: &str = "BAR";

/// What a region of firmware says as the source of its address.
pub const FIRMWARE: &str = "firmware";

/// One place of main memory: address, offset in main memory, length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) gpa: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) why: &'static str,
}
