//! What is known of one page.

use crate::offset::StreamOffset;

/// What is known of a page, in one word; the two lowest bits say which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry(u64);

/// What is known of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing was sent of it.
    Unsent,
    /// It is zero.
    Zero,
    /// Its content: the offset of its record in the stream, or the number of its slot in the spool.
    At(u64),
    /// Something was sent that cannot be decoded.
    Bad,
    /// An XBZRLE record changes what was there before: the number of the link.
    Changed(usize),
}

impl Entry {
    pub(super) const UNSENT: Self = Self(0);
    pub(super) const ZERO: Self = Self(1);
    /// A place that no page has.
    pub(super) const BAD: Self = Self(u64::MAX - 1);

    pub(super) fn at(place: u64) -> Self {
        Self(place << 2 | 2)
    }

    pub(super) fn link(number: usize) -> Self {
        Self((number as u64) << 2 | 3)
    }

    pub(super) fn known(self) -> Known {
        if self == Self::BAD {
            return Known::Bad;
        }
        match self.0 & 3 {
            0 => Known::Unsent,
            1 => Known::Zero,
            2 => Known::At(self.0 >> 2),
            _ => Known::Changed(usize::try_from(self.0 >> 2).unwrap_or(usize::MAX)),
        }
    }
}

/// An XBZRLE record, and what it is a difference to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) before: Entry,
    pub(super) record: StreamOffset,
}

/// What is known of a page without looking at its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageContent {
    /// The stream never sent it; it is zero in an image.
    Unsent,
    /// All bytes are zero.
    Zero,
    /// It has bytes, which may be zero all the same.
    Data,
}
