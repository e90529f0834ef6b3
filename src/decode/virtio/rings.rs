//! Rings in guest memory: how far the driver is, what the device gave back, and whether it makes sense.

use super::{EVENT_IDX, Queue, VirtioDevice};
use crate::decode::section::Registers;
use crate::offset::Sure;

/// Guest-physical memory.
pub trait Memory {
    /// Reads bytes.
    ///
    /// # Errors
    /// Why these bytes are not there, in words.
    fn read(&self, address: u64, len: usize) -> Result<Vec<u8>, String>;
}

/// What is found in the rings of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ring {
    /// Two rings of indices and a table of descriptors.
    Split(Split),
    /// One ring of descriptors.
    Packed(PackedRing),
    /// Guest memory was not there.
    Unreadable(String),
}

/// The state of split rings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Split {
    /// The flags of the driver; 1: it wants no interrupts.
    pub avail_flags: u16,
    /// The next entry that the driver will write.
    pub avail_idx: u16,
    /// The flags of the device; 1: it wants no notifications.
    pub used_flags: u16,
    /// The next entry that the device will write.
    pub used_idx: u16,
    /// The used entry at which the driver wants an interrupt, where EVENT_IDX was negotiated.
    pub used_event: Option<u16>,
    /// The available entry at which the device wants a notification, where EVENT_IDX was negotiated.
    pub avail_event: Option<u16>,
    /// Requests that the device has not read.
    pub pending: u16,
    /// Requests that the device has read and not given back.
    pub in_flight: u16,
    /// What makes no sense.
    pub problems: Vec<String>,
}

/// The state of a packed ring.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackedRing {
    /// Descriptors that the device has not read.
    pub pending_descriptors: u32,
    /// Requests that these are: chains of descriptors.
    pub pending: u32,
    /// Descriptors that the device has read and not given back.
    pub in_flight: u32,
    /// How the driver wants interrupts: 0 always, 1 never, 2 at a descriptor.
    pub driver_event: u16,
    /// How the device wants notifications.
    pub device_event: u16,
    /// What makes no sense.
    pub problems: Vec<String>,
}

impl Ring {
    /// Returns the number of requests that the device has not read; `None` if it is not known.
    #[must_use]
    pub fn pending(&self) -> Option<u32> {
        match self {
            Self::Split(s) => Some(s.pending.into()),
            Self::Packed(p) => Some(p.pending),
            Self::Unreadable(_) => None,
        }
    }

    /// Returns what the device has read and not given back.
    #[must_use]
    pub fn in_flight(&self) -> Option<u32> {
        match self {
            Self::Split(s) => Some(s.in_flight.into()),
            Self::Packed(p) => Some(p.in_flight),
            Self::Unreadable(_) => None,
        }
    }

    /// Returns what makes no sense.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        match self {
            Self::Split(s) => &s.problems,
            Self::Packed(p) => &p.problems,
            Self::Unreadable(why) => std::slice::from_ref(why),
        }
    }
}

/// The largest queue that there can be; a forged size must not ask for more.
const MAX_SIZE: u32 = 32_768;
/// An entry of the used ring, a descriptor.
const USED_ENTRY: u64 = 8;
const DESCRIPTOR: u64 = 16;

fn size(q: &Queue) -> u64 {
    u64::from(q.size.min(MAX_SIZE))
}

/// Returns the ranges of guest memory that [`inspect`] reads: first address and length.
#[must_use]
pub fn wanted(q: &Queue) -> Vec<(u64, u64)> {
    let size = size(q);
    if !q.is_configured() {
        return Vec::new();
    }
    if q.packed.is_some() {
        return vec![(q.desc, size.times(DESCRIPTOR)), (q.avail, 4), (q.used, 4)];
    }
    let avail = size.times(2).plus(6);
    let event = q.used.saturating_add(4).saturating_add(size.saturating_mul(USED_ENTRY));
    vec![(q.avail, avail), (q.used, 4), (event, 2)]
}

/// Reads the rings of a queue; `None` if the driver did not set it up.
#[must_use]
pub fn inspect(d: &VirtioDevice, q: &Queue, memory: &dyn Memory) -> Option<Ring> {
    if !q.is_configured() {
        return None;
    }
    let ring =
        if q.packed.is_some() { packed(q, memory).map(Ring::Packed) } else { split(d, q, memory).map(Ring::Split) };
    Some(ring.unwrap_or_else(Ring::Unreadable))
}

fn split(d: &VirtioDevice, q: &Queue, memory: &dyn Memory) -> Result<Split, String> {
    let size = size(q);
    let [(avail_at, avail_len), (used_at, _), (event_at, _)] = wanted(q).try_into().unwrap_or_default();
    let avail_bytes = memory.read(avail_at, usize::try_from(avail_len).unwrap_or(usize::MAX))?;
    let used_bytes = memory.read(used_at, 4)?;
    let avail = Registers::new(&avail_bytes, d.big_endian);
    let used = Registers::new(&used_bytes, d.big_endian);
    let events = d.has(EVENT_IDX);
    let avail_event = if events {
        let bytes = memory.read(event_at, 2)?;
        Some(Registers::new(&bytes, d.big_endian).u16(0))
    } else {
        None
    };
    let (avail_idx, used_idx) = (avail.u16(2), used.u16(2));
    // indices run freely over 16 bits
    let pending = avail_idx.wrapping_sub(q.last_avail_idx);
    let in_flight = q.last_avail_idx.wrapping_sub(used_idx);
    let mut problems = Vec::new();
    if u64::from(pending) > size {
        problems.push(format!(
            "the driver is at {avail_idx}, the device has read up to {}: {pending} apart in a ring of {size}",
            q.last_avail_idx
        ));
    } else {
        let entry = |i: u16| {
            let slot = u64::from(q.last_avail_idx.wrapping_add(i)).checked_rem(size).unwrap_or(0);
            avail.u16(usize::try_from(slot.times(2).plus(4)).unwrap_or(usize::MAX))
        };
        let stray = (0..pending).map(entry).find(|head| u64::from(*head) >= size);
        problems.extend(stray.map(|h| format!("a pending request begins at descriptor {h} of {size}")));
    }
    if u64::from(in_flight) > size {
        problems.push(format!(
            "the device has read up to {}, but given back up to {used_idx}: {in_flight} apart in a ring of {size}",
            q.last_avail_idx
        ));
    }
    let used_event_at = usize::try_from(size.times(2).plus(4)).unwrap_or(usize::MAX);
    Ok(Split {
        avail_flags: avail.u16(0),
        avail_idx,
        used_flags: used.u16(0),
        used_idx,
        used_event: events.then(|| avail.u16(used_event_at)),
        avail_event,
        pending,
        in_flight,
        problems,
    })
}

const NEXT: u16 = 1;
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

fn packed(q: &Queue, memory: &dyn Memory) -> Result<PackedRing, String> {
    let Some(view) = q.packed else { return Err("not a packed ring".to_owned()) };
    let size = size(q);
    let bytes = memory.read(q.desc, usize::try_from(size.times(DESCRIPTOR)).unwrap_or(usize::MAX))?;
    // packed rings were added in virtio 1.1, which is little-endian
    let ring = Registers::little(&bytes);
    let flags = |i: u64| ring.u16(usize::try_from(i.times(DESCRIPTOR).plus(14)).unwrap_or(usize::MAX));
    let mut problems = Vec::new();
    for (what, at) in [("reads", u64::from(q.last_avail_idx)), ("writes", u64::from(view.used_idx))] {
        if at >= size {
            problems.push(format!("the device {what} descriptor {at} next, in a ring of {size}"));
        }
    }
    let (mut at, mut wrap) = (u64::from(q.last_avail_idx), view.avail_wrap);
    let (mut descriptors, mut requests) = (0_u32, 0_u32);
    while at < size && u64::from(descriptors) < size {
        let f = flags(at);
        let available = (f & AVAIL != 0) == wrap && (f & USED != 0) != wrap;
        if !available {
            break;
        }
        descriptors.tally(1);
        if f & NEXT == 0 {
            requests.tally(1);
        }
        at.tally(1);
        if at == size {
            (at, wrap) = (0, !wrap);
        }
    }
    if u64::from(view.in_use) > size {
        problems.push(format!("the device has {} descriptors of a ring of {size}", view.in_use));
    }
    let event = |at: u64| memory.read(at, 4).map(|b| Registers::little(&b).u16(2) & 3);
    Ok(PackedRing {
        pending_descriptors: descriptors,
        pending: requests,
        in_flight: view.in_use,
        driver_event: event(q.avail)?,
        device_event: event(q.used)?,
        problems,
    })
}

#[cfg(test)]
mod tests;
