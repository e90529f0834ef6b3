//! Numbers of the stream with their names. Unknown values survive: each type wraps the integer that was read.

use std::fmt;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident($repr:ty) { $($(#[$vdoc:meta])* $konst:ident = $value:expr => $text:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $repr);

        impl $name {
            $($(#[$vdoc])* pub const $konst: Self = Self($value);)*

            /// Returns QEMU's name, or `None` for an unknown number.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(n) => f.write_str(n),
                    None => write!(f, "unknown ({:#x})", self.0),
                }
            }
        }
    };
}

named! {
    /// The byte that begins a record (`migration/savevm.h`).
    RecordType(u8) {
        /// The end of the records; a description may follow.
        EOF = 0x00 => "eof",
        /// The first section of a live handler.
        START = 0x01 => "start",
        /// A further section of a live handler.
        PART = 0x02 => "part",
        /// The last section of a live handler.
        END = 0x03 => "end",
        /// The whole of a device.
        FULL = 0x04 => "full",
        /// A subsection; only inside the payload of a device.
        SUBSECTION = 0x05 => "subsection",
        /// The JSON description.
        VMDESCRIPTION = 0x06 => "vmdescription",
        /// The configuration.
        CONFIGURATION = 0x07 => "configuration",
        /// A command.
        COMMAND = 0x08 => "command",
        /// The footer of a section.
        FOOTER = 0x7e => "footer",
    }
}

named! {
    /// A command of the stream (`enum qemu_vm_cmd` in `migration/savevm.c`).
    Command(u16) {
        /// Opens the return path.
        OPEN_RETURN_PATH = 1 => "OPEN_RETURN_PATH",
        /// Asks for a PONG.
        PING = 2 => "PING",
        /// Announces that postcopy may follow.
        POSTCOPY_ADVISE = 3 => "POSTCOPY_ADVISE",
        /// Tells the destination to listen for page faults.
        POSTCOPY_LISTEN = 4 => "POSTCOPY_LISTEN",
        /// Tells the destination to run the guest.
        POSTCOPY_RUN = 5 => "POSTCOPY_RUN",
        /// Lists ranges of pages that were sent but have since changed.
        POSTCOPY_RAM_DISCARD = 6 => "POSTCOPY_RAM_DISCARD",
        /// A package of sections and commands.
        PACKAGED = 7 => "PACKAGED",
        /// Switches to COLO.
        ENABLE_COLO = 8 => "ENABLE_COLO",
        /// Resumes an interrupted postcopy.
        POSTCOPY_RESUME = 9 => "POSTCOPY_RESUME",
        /// Asks for the bitmap of received pages.
        RECV_BITMAP = 10 => "RECV_BITMAP",
        /// The source has stopped the guest (QEMU 10.0 and later).
        SWITCHOVER_START = 11 => "SWITCHOVER_START",
    }
}

/// Flags of a RAM record: the bits below the target page size of its first 8 bytes (`migration/ram.c`, `RAM_SAVE_FLAG_*`).
pub mod ram_flag {
    /// Obsolete since 2009: a zlib blob follows.
    pub const FULL: u64 = 0x001;
    /// One fill byte represents the page.
    pub const ZERO: u64 = 0x002;
    /// The block list.
    pub const MEM_SIZE: u64 = 0x004;
    /// The page itself.
    pub const PAGE: u64 = 0x008;
    /// The end of this section's payload.
    pub const EOS: u64 = 0x010;
    /// The page is in the same block as the one before; no block name follows.
    pub const CONTINUE: u64 = 0x020;
    /// An XBZRLE delta against the page's previous content.
    pub const XBZRLE: u64 = 0x040;
    /// RDMA: the data is transferred separately.
    pub const HOOK: u64 = 0x080;
    /// The page, compressed by zlib (QEMU 2.4 to 9.0).
    pub const COMPRESS_PAGE: u64 = 0x100;
    /// All multifd channels are drained at this point (QEMU 8.0 and later).
    pub const MULTIFD_FLUSH: u64 = 0x200;
}

/// The byte that represents a NULL pointer in an array of pointers (`migration/vmstate-types.c`, `put_nullptr`).
pub const NULL_POINTER: u8 = 0x30;
/// The byte that precedes a non-NULL element (QEMU 11.x).
pub const VALID_POINTER: u8 = 0x31;

impl Command {
    /// Returns the payload length of a command that has a fixed one (`mig_cmd_args` in `migration/savevm.c`); QEMU
    /// refuses any other length.
    #[must_use]
    pub const fn payload_len(self) -> Option<u16> {
        match self.0 {
            1 | 4 | 5 | 9 | 11 => Some(0),
            2 | 7 => Some(4),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_numbers_keep_their_value() {
        assert_eq!(RecordType(0x42).to_string(), "unknown (0x42)");
        assert_eq!(RecordType::FULL.to_string(), "full");
        assert_eq!(Command(11).name(), Some("SWITCHOVER_START"));
        assert_eq!(Command(99).name(), None);
    }
}
