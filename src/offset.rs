//! Positions, each in a type of its own, so that a stream offset cannot be used to index the file or guest memory.

use std::fmt;

macro_rules! offset {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl $name {
            /// Returns the position `bytes` further on, saturating at the largest offset.
            #[must_use]
            pub const fn plus(self, bytes: u64) -> Self {
                Self(self.0.saturating_add(bytes))
            }
        }
    };
}

offset!(
    /// A byte position in the migration stream; 0 is the first byte of the magic `QEVM`.
    StreamOffset
);
offset!(
    /// A byte position in the file that holds the stream, wrapper included.
    FileOffset
);
offset!(
    /// A byte position inside one RAMBlock.
    RamOffset
);
offset!(
    /// A guest-physical address.
    Gpa
);

/// A half-open range of stream bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamRange {
    /// The first byte.
    pub start: StreamOffset,
    /// One past the last byte; never less than `start`.
    pub end: StreamOffset,
}

impl StreamRange {
    /// Creates the range from `start` up to `end`; an `end` before `start` gives an empty range.
    #[must_use]
    pub fn new(start: u64, end: u64) -> Self {
        Self { start: StreamOffset(start), end: StreamOffset(end.max(start)) }
    }

    /// Creates the range of `len` bytes from `start`.
    #[must_use]
    pub const fn with_len(start: u64, len: u64) -> Self {
        Self { start: StreamOffset(start), end: StreamOffset(start.saturating_add(len)) }
    }

    /// Returns the number of bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Returns whether the range holds no byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for StreamRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start.0, self.end.0)
    }
}
