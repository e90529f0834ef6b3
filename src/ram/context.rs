//! What a reader of the `ram` section must know of the rest of the stream.

use crate::offset::FileOffset;

/// What must be known of a stream before its first RAM record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamContext {
    /// The version of the section: 4, or 3 (QEMU 0.10 to 0.13), which knows no blocks.
    pub version: u32,
    /// The target page size in bytes, a power of two.
    pub target_page: u64,
    /// Whether the capability `x-ignore-shared` was on.
    pub ignore_shared: bool,
    /// Whether the capability `mapped-ram` was on.
    pub mapped_ram: bool,
    /// The OR of all blocks' page sizes, from a POSTCOPY_ADVISE command.
    pub page_size_mask: Option<u64>,
    /// Where the stream begins in its file; offsets in mapped-ram headers are the file's.
    pub stream_start: FileOffset,
}
