//! Records of the kernel log.

use crate::error::{Error, ErrorKind};
use crate::offset::Sure;
use crate::text::Name;

/// Records of one log. A ring has some thousands, and half a million with `log_buf_len=16M`.
const MAX_RECORDS: usize = 1 << 19;

/// Text of one log, which a hostile ring may give many times.
const MAX_TEXT: usize = 64 << 20;

/// Records that cannot be read, after which the rest is not tried.
const MAX_PROBLEMS: usize = 100;

/// A record of the kernel log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Its number since boot; `None` if the log does not have it.
    pub seq: Option<u64>,
    /// Nanoseconds since boot.
    pub nsec: u64,
    /// The level: 0 is an emergency, 7 is for debugging.
    pub level: u8,
    /// The facility: 0 is the kernel, 1 a user's process.
    pub facility: u8,
    /// The thread or processor that wrote it, if the log has it.
    pub caller: Option<Caller>,
    /// The text, which may have several lines.
    pub text: Name,
}

/// Who wrote a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Caller {
    /// A thread.
    Thread(u32),
    /// A processor, outside of any thread.
    Cpu(u32),
}

impl Caller {
    /// Reads the kernel's form: the highest bit says that it is a processor.
    pub(super) fn new(id: u32) -> Self {
        if id >> 31 == 1 { Self::Cpu(id & 0x7fff_ffff) } else { Self::Thread(id) }
    }
}

/// The kernel log.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Log {
    /// The records, the oldest first.
    pub records: Vec<Record>,
    /// Records that are there and cannot be read, each with the reason.
    pub problems: Vec<Error>,
    /// Records that were being written when the state was saved.
    pub unfinished: u64,
    text: usize,
}

impl Log {
    /// Adds a record; returns whether there may be more.
    pub(super) fn add(&mut self, r: Record) -> bool {
        self.text.tally(r.text.len());
        if self.records.len() >= MAX_RECORDS || self.text > MAX_TEXT {
            self.problem(Error::new(ErrorKind::LimitExceeded, "the kernel log has more records than a log may have"));
            return false;
        }
        self.records.push(r);
        true
    }

    /// Notes what could not be read; returns whether more should be tried.
    pub(super) fn problem(&mut self, e: Error) -> bool {
        self.problems.push(e);
        if self.problems.len() < MAX_PROBLEMS {
            return true;
        }
        let what = "too many records of the kernel log cannot be read; the rest was not tried";
        self.problems.push(Error::new(ErrorKind::Corrupt, what));
        false
    }
}
