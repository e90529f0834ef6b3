//! Every ceiling on counts, sizes and depths that the input controls, with the reason for its value.

/// Nested structs, subsections and list elements in a description. QEMU's deepest (nested VMX state) has 6 levels;
/// `serde_json` itself stops at 128 levels of JSON, which is about 40 levels of description.
pub const MAX_DEPTH: usize = 48;

/// Nodes in the tree of one device; an array whose elements have a common layout counts as one. Real devices have
/// some thousands. A node costs about 100 bytes, so a hostile description cannot make the tree of one device larger than
/// some 400 MiB.
pub const MAX_NODES_PER_DEVICE: usize = 4 << 20;

/// Nodes in the tree of one device for each byte of its section, for a description that makes many of few bytes. A byte
/// inside four structures has five.
pub const MAX_NODES_PER_BYTE: usize = 16;

/// Nodes without bytes in the tree of one device: the elements of arrays whose elements have none.
pub const MAX_EMPTY_NODES: usize = 4_096;

/// Bytes of one device section that are held in memory at once. Vendor VFIO data and virtio-gpu resources are the only
/// real states that come near.
pub const MAX_SECTION_BYTES: u64 = 1 << 30;

/// Bytes of the JSON description. Real ones have 1 KiB to 1 MiB; 4096 CPUs, the most that a machine has, come to 64 MiB.
/// The text is in memory only while it is compiled or printed.
pub const MAX_VMDESC_BYTES: u64 = 128 << 20;

/// Memory that the compiled description, or the layouts of a `-dump-vmstate` file, may take. A field takes 64 bytes, and
/// its entry in real JSON 65 or more; with the structures around them, 64 MiB of it come to 77 MiB.
pub const MAX_SCHEMA_BYTES: usize = 80 << 20;

/// Memory for each byte of the text, up to [`MAX_SCHEMA_BYTES`]: real descriptions take 1.2 bytes, and none may take more
/// than four times its size together with its text.
pub const MAX_SCHEMA_PER_BYTE: usize = 3;

/// Bytes of a name in a description that are kept. QEMU's are identifiers in C, and names of sections, which have 255
/// bytes at most.
pub const MAX_NAME_BYTES: usize = 64 << 10;

/// How much of the end of a file is searched for the description.
pub const MAX_VMDESC_SEARCH: u64 = MAX_VMDESC_BYTES + (16 << 20);

/// How far after the first device section the description is searched for, if the source does not end with this stream.
/// Device state has some 100 KiB to some 10 MiB; more than this comes only from vendor VFIO data and virtio-gpu.
pub const MAX_DEVICE_STATE_SEARCH: u64 = 256 << 20;

/// The same for a device section before any live section: few streams have no live section, and all of those are small.
pub const MAX_EARLY_SEARCH: u64 = 4 << 20;

/// Guest memory that is read even if only devices were requested: reading the heads of this many pages takes some
/// milliseconds, and proves that the device sections at the end are this stream's.
pub const PASS_OVER: u64 = 64 << 20;

/// How much before the device sections is searched for another stream when guest memory is passed over.
pub const MAX_LAST_LOOK: u64 = 16 << 20;

/// How far back from a known section start the header of the section before it is searched, when the description's
/// sizes do not lead to it.
pub const MAX_HEADER_SEARCH: u64 = 64 << 20;

/// Device sections whose headers may be missing when the sections are searched for from the end; each costs two
/// searches of [`MAX_HEADER_SEARCH`] bytes.
pub const MAX_LOST_HEADERS: usize = 8;

/// RAMBlocks in one block list. QEMU guests have 1 to some 300 (256 memory slots and the ROMs).
pub const MAX_RAM_BLOCKS: usize = 65_536;

/// Sections, commands and runs of live sections that are listed one by one; what comes after is only counted.
pub const MAX_LISTED: usize = 1 << 20;

/// Names of disks or dirty bitmaps that the reader of one live section keeps counts for; further names count only in the
/// sums. Real guests have some tens.
pub const MAX_LIVE_NAMES: usize = 4_096;

/// Differences that a comparison lists; each takes some 500 bytes. Real states of one machine differ in some hundreds.
pub const MAX_DIFFERENCES: usize = 100_000;

/// Diagnostics that are kept; further ones are only counted.
pub const MAX_DIAGNOSTICS: usize = 1_000;

/// Bytes that a stream read from a pipe may hold apart from RAM pages: the device sections and the description.
pub const MAX_PIPE_BYTES: u64 = 2 << 30;

/// How much of that is in memory; the rest is in a temporary file.
pub const MAX_PIPE_MEMORY: u64 = 16 << 20;

/// Subsections of the configuration section. QEMU has three.
pub const MAX_CONFIGURATION_SUBSECTIONS: usize = 64;

/// Length of a machine type name in the configuration section. The longest real one has some 30 bytes.
pub const MAX_MACHINE_NAME: u64 = 4_096;

/// Capabilities in the configuration section. QEMU has some 30, and lists two at most.
pub const MAX_CAPABILITIES: u32 = 1_024;
