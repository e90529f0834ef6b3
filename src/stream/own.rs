//! Finding the description that belongs to this stream, and proving that it does.
//!
//! A source may hold more than one stream: a volume that was used before has the rest of an older stream after the new
//! one, and guest memory may hold whole streams. So the last description of a source can be another stream's. A
//! description is proved by the sections it describes: seen from the EOF byte before it, their headers follow one another
//! backwards, and the first of them that was not read yet begins exactly where the walk is.

use std::sync::Arc;

use super::frame::MAGIC;
use super::matching::Unmatched;
use super::recover::head_of_a_stream;
use super::resync::begins_description;
use super::tail::{self, Chain, Description};
use super::walk::Walker;
use crate::error::{Error, Result};
use crate::limits::{MAX_DEVICE_STATE_SEARCH, MAX_EARLY_SEARCH, MAX_VMDESC_BYTES};
use crate::names::RecordType;
use crate::offset::{StreamOffset, Sure};
use crate::schema::DeviceSchema;
use crate::wire::Source;

const WINDOW: usize = 256 << 10;

/// Bytes of a candidate that are looked at before it is parsed: EOF byte, type, length, the beginning of the JSON.
const LOOK: usize = 80;

/// EOF byte, type and length.
const BEFORE_JSON: usize = 6;

/// Candidates that are parsed in one search, and those whose sections are searched although they are not proved.
const MAX_PARSED: u32 = 32;
const MAX_DOUBTED: u32 = 2;

/// How a description is borne out by the sections before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    None,
    /// All of its sections are there, in order. QEMU's description of some devices gives a wrong size, so that bytes are
    /// left between; those might be another stream's.
    InOrder,
    /// All of its sections are there, side by side.
    SideBySide,
}

/// When a search for the description took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Searched {
    Never,
    /// At a device section before any live section, which may be saved early.
    BeforeLive,
    /// At a device section that follows live sections.
    AfterLive,
}

impl Walker<'_> {
    /// Looks for a description at the end of the source.
    pub(super) fn look_at_the_end(&mut self, size: u64) -> Result<()> {
        let floor = self.c.source().first_kept();
        self.at_the_end = tail::find_description(self.c.source(), size, floor)?.map(Arc::new);
        Ok(())
    }

    /// Finds this stream's description when the walk is at a device section that begins at `start`.
    ///
    /// Files and pipes are treated alike: from here on, only device state precedes the description.
    pub(super) fn find_own_description(&mut self, start: StreamOffset) -> Result<()> {
        let now = if self.live.is_empty() { Searched::BeforeLive } else { Searched::AfterLive };
        if self.proven || self.searched == Searched::AfterLive || self.searched == now {
            return Ok(());
        }
        self.searched = now;
        let at_the_end = self.at_the_end.clone();
        if let Some(e) = &at_the_end
            && self.search_would_find(&e.description)?
            && self.proves(&e.description, start)? == Proof::SideBySide
        {
            self.adopt(e.description.clone(), true);
            return Ok(());
        }
        let limit = if now == Searched::AfterLive { MAX_DEVICE_STATE_SEARCH } else { MAX_EARLY_SEARCH };
        if let Some((d, proven)) = self.search(start, limit, now == Searched::AfterLive)? {
            self.adopt(d, proven);
        }
        Ok(())
    }

    /// Returns `true` if a search forwards, which is all that a pipe allows, finds this description too.
    fn search_would_find(&self, d: &Description) -> Result<bool> {
        let (mut bytes, at) = ([0; LOOK], d.record.start.0.minus(1));
        let n = self.c.source().read_full(at, &mut bytes).map_err(|e| io(e, at))?;
        Ok(is_candidate(bytes.get(..n).unwrap_or_default(), n < LOOK))
    }

    /// Searches forwards for a description; returns the first that is proved, or else, if `doubtful` ones are taken, the
    /// first before which any of its sections are found.
    fn search(&self, start: StreamOffset, limit: u64, doubtful: bool) -> Result<Option<(Description, bool)>> {
        let source = self.c.source();
        let mut buf = vec![0; WINDOW + LOOK];
        let (mut at, mut tries, mut work) = (start.0, 0_u32, 0_u64);
        let mut doubts = if doubtful { MAX_DOUBTED } else { 0 };
        let mut fallback = None;
        loop {
            let n = source.read_full(at, &mut buf).map_err(|e| io(e, at))?;
            let window = buf.get(..n).unwrap_or_default();
            let last = n < buf.len();
            for (i, mark) in marks(window).filter(|(i, _)| last || *i < WINDOW) {
                let rest = window.get(i..).unwrap_or_default();
                // what follows the head of another stream is this stream's only if it is proved
                if mark == Mark::Head {
                    doubts = 0;
                }
                if mark == Mark::Head || !is_candidate(rest, last) {
                    continue;
                }
                let record = at.plus(i as u64).plus(1);
                let Some(d) = tail::read_at(source, StreamOffset(record), &mut work)? else { continue };
                tries.tally(1);
                if self.proves(&d, start)? != Proof::None {
                    return Ok(Some((d, true)));
                }
                if doubts > 0 && fallback.is_none() {
                    doubts = doubts.minus(1);
                    fallback = Some(d).filter(|d| self.sections_of(d, start, true).is_ok_and(|c| !c.starts.is_empty()));
                }
                if tries >= MAX_PARSED || work > MAX_VMDESC_BYTES * 2 {
                    return Ok(fallback.map(|d| (d, false)));
                }
            }
            at = at.plus(WINDOW as u64);
            if last || at.minus(start.0) >= limit {
                return Ok(fallback.map(|d| (d, false)));
            }
        }
    }

    /// Returns whether the sections of a description, but for those that were read, lie from `start` on up to its EOF byte.
    fn proves(&self, d: &Description, start: StreamOffset) -> Result<Proof> {
        let chain = self.sections_of(d, start, false)?;
        Ok(match chain.starts.last() {
            Some(s) if *s == start && chain.whole && chain.side_by_side => Proof::SideBySide,
            Some(s) if *s == start && chain.whole => Proof::InOrder,
            _ => Proof::None,
        })
    }

    /// Finds the sections of a description that were not read yet.
    pub(super) fn sections_of(&self, d: &Description, floor: StreamOffset, patient: bool) -> Result<Chain> {
        let mut left = Unmatched::new(Some(&d.schema));
        let foreign = self.out.sections.iter().filter(|s| s.header.kind == RecordType::FULL);
        if foreign.filter(|s| left.take(&s.header).is_none()).count() > 0 && !patient {
            return Ok(Chain::default());
        }
        let eof = StreamOffset(d.record.start.0.minus(1));
        let devices: Vec<&DeviceSchema> = left.left().filter_map(|i| d.schema.devices.get(i)).collect();
        tail::chain(self.c.source(), eof, &devices, floor, patient)
    }

    /// Takes a description and matches the sections so far with it.
    pub(super) fn adopt(&mut self, d: Description, proven: bool) {
        self.proven = proven;
        self.unmatched = Unmatched::new(Some(&d.schema));
        self.schema = Some(Arc::new(d));
        for s in &mut self.out.sections {
            s.device = self.unmatched.take(&s.header);
        }
    }
}

/// Returns whether an EOF byte, the head of a description and the beginning of its JSON seem to be here.
fn is_candidate(bytes: &[u8], last: bool) -> bool {
    bytes.starts_with(&[RecordType::EOF.0, RecordType::VMDESCRIPTION.0])
        && bytes.get(BEFORE_JSON) == Some(&b'{')
        && begins_description(bytes, last)
}

fn io(e: std::io::Error, at: u64) -> Error {
    Error::io("cannot read the stream", e).at(StreamOffset(at))
}

/// Returns whether another stream's head, or an EOF byte with a description, lies between `from` and `to`.
///
/// # Errors
/// `Io` when reading fails.
pub(super) fn holds_other_stream(source: &dyn Source, from: StreamOffset, to: StreamOffset) -> Result<bool> {
    let mut bytes = vec![0; usize::try_from(to.since(from)).unwrap_or_default()];
    let n = source.read_full(from.0, &mut bytes).map_err(|e| io(e, from.0))?;
    let bytes = bytes.get(..n).unwrap_or_default();
    let mut all = marks(bytes);
    Ok(all.any(|(i, mark)| mark == Mark::Head || is_candidate(bytes.get(i..).unwrap_or_default(), false)))
}

/// What may begin at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The head of a stream.
    Head,
    /// An EOF byte and a description, perhaps.
    End,
}

/// Finds the heads of streams, and the places where a description's brace is as far away as after an EOF byte.
fn marks(bytes: &[u8]) -> impl Iterator<Item = (usize, Mark)> {
    memchr::memchr2_iter(b'{', MAGIC[0], bytes).filter_map(move |i| match bytes.get(i) {
        Some(b'{') => Some((i.checked_sub(BEFORE_JSON)?, Mark::End)),
        _ => head_of_a_stream(bytes.get(i..)?).then_some((i, Mark::Head)),
    })
}
