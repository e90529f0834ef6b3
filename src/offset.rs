//! Positions, each in a type of its own, so that a stream offset cannot be used to index the file or guest memory.

use std::fmt;

/// Arithmetic on numbers of our own: positions inside what was read, counts of what there is, sizes that a limit bounds.
///
/// The result is known to fit. A debug build asserts that, so that tests and fuzzers see a wrong order or a wrong bound; a
/// release build stays at the nearest number. Numbers from the input that nothing bounds take `checked_*` and an error, or
/// `saturating_*` where the largest number means "more than there is".
pub(crate) trait Sure: Copy {
    /// Adds what is known to fit.
    #[must_use]
    fn plus(self, n: Self) -> Self;
    /// Subtracts what is known to be no larger.
    #[must_use]
    fn minus(self, n: Self) -> Self;
    /// Multiplies by what is known to fit.
    #[must_use]
    fn times(self, n: Self) -> Self;
    /// Counts `n` more.
    fn tally(&mut self, n: Self) {
        *self = self.plus(n);
    }
}

macro_rules! sure {
    ($($int:ty)+) => {$(
        impl Sure for $int {
            #[inline]
            fn plus(self, n: Self) -> Self {
                debug_assert!(self.checked_add(n).is_some(), "{self} + {n}");
                self.saturating_add(n)
            }

            #[inline]
            fn minus(self, n: Self) -> Self {
                debug_assert!(self >= n, "{self} - {n}");
                self.saturating_sub(n)
            }

            #[inline]
            fn times(self, n: Self) -> Self {
                debug_assert!(self.checked_mul(n).is_some(), "{self} * {n}");
                self.saturating_mul(n)
            }
        }
    )+};
}
sure!(u8 u16 u32 u64 usize);

/// Adds up sizes that the input states. What is beyond the largest number stays there: it is more than there is.
pub(crate) fn total(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}

/// Divides `bytes` into pieces of at most `most`; returns the start and the length of each.
pub(crate) fn pieces(bytes: u64, most: usize) -> impl Iterator<Item = (u64, usize)> {
    let mut done = 0_u64;
    std::iter::from_fn(move || {
        let left = bytes.minus(done);
        let n = usize::try_from(left).unwrap_or(most).min(most);
        let start = done;
        done = done.plus(n as u64);
        (n > 0).then_some((start, n))
    })
}

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

            /// Returns the position `bytes` further on; `None` beyond the largest offset.
            #[must_use]
            pub const fn checked_plus(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(at) => Some(Self(at)),
                    None => None,
                }
            }

            /// Returns the position `bytes` before this one, but none before `floor`.
            #[must_use]
            pub fn back(self, bytes: u64, floor: Self) -> Self {
                Self(self.0.saturating_sub(bytes)).max(floor)
            }

            /// Returns how many bytes this position is after an earlier one. A debug build panics if that one is later,
            /// which is a mistake of the caller; a release build returns 0.
            #[must_use]
            pub fn since(self, earlier: Self) -> u64 {
                self.0.minus(earlier.0)
            }

            /// Returns how many bytes this position is after another one; `None` if it is before it.
            #[must_use]
            pub const fn checked_since(self, other: Self) -> Option<u64> {
                self.0.checked_sub(other.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        let (a, b) = (StreamOffset(16), StreamOffset(u64::MAX));
        assert_eq!((b.since(a), a.checked_since(b)), (u64::MAX - 16, None));
        assert_eq!((a.checked_plus(4), b.checked_plus(1), b.plus(1)), (Some(StreamOffset(20)), None, b));
        assert_eq!((a.back(8, StreamOffset(0)), a.back(20, StreamOffset(2))), (StreamOffset(8), StreamOffset(2)));
    }

    #[test]
    fn pieces_cover_everything_once() {
        assert_eq!(pieces(10, 4).collect::<Vec<_>>(), [(0, 4), (4, 4), (8, 2)]);
        assert_eq!(pieces(8, 4).collect::<Vec<_>>(), [(0, 4), (4, 4)]);
        assert_eq!(pieces(0, 4).count(), 0);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "1 - 2")]
    fn a_wrong_order_is_seen_in_debug_builds() {
        let _ = StreamOffset(1).since(StreamOffset(2));
    }
}
