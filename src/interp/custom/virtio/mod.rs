//! `virtio`: the state of a virtio device apart from its own vmsd fields, in one field whose content the description
//! does not give.
//!
//! Written by `virtio_save` in `hw/virtio/virtio.c`:
//!
//! | bytes | what |
//! |---|---|
//! | … | transport ([`transport`], [`ccw`]) |
//! | 1, 1, 2, 4 | status, isr, queue_sel, the low half of the negotiated features |
//! | 4, n | config_len, the device's configuration space in the byte order of the guest's view |
//! | 4 | number of queues |
//! | per queue | be32 num; be32 align (MMIO); be64 address of the descriptors; be16 last_avail_idx; be16 vector (CCW, PCI with MSI-X) |
//! | … | device ([`device`], [`net`]), no length before it |
//! | … | subsections ([`subsections`]) |
//!
//! The end of the device's part is found from the end of the field: the subsections must end exactly there. Of the
//! places where they could begin, the first at which the device's reader also ends is right. If there is none, the
//! device's part becomes opaque and the rest is kept.

mod ccw;
mod device;
pub(super) mod element;
mod net;
mod serial;
mod subsections;
mod transport;

use super::{Builder, FieldContext};
use crate::error::{Error, Result};
use transport::{Queue, Transport};

/// The most queues a device can have (`VIRTIO_QUEUE_MAX`); the arrays in the subsections always have all of them.
const MAX_QUEUES: usize = 1024;
/// The largest queue that the specification allows.
const MAX_QUEUE_SIZE: u32 = 32_768;

/// What the device's reader may know of what was read before.
#[derive(Clone, Copy)]
struct Common {
    /// The low half of the negotiated features.
    guest_features: u32,
    /// Number of queues.
    queues: u32,
    /// Whether the host offers packed rings; elements in flight then include their number of descriptors.
    packed: bool,
}

pub(super) fn read(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    let order = Transport::candidates(b.idstr());
    for t in order {
        if b.attempt(|b| whole(b, t)).unwrap_or(false) {
            return Ok(());
        }
    }
    // none fits: show what can be read as the one that the name promises, and what is wrong with it
    let [first, ..] = order;
    whole(b, first).map(drop)
}

/// Reads the blob; returns whether the device's part could be decoded too.
fn whole(b: &mut Builder<'_>, t: Transport) -> Result<bool> {
    let mut common = head(b, t)?;
    let rest = b.peek(b.remaining())?;
    let starts = subsections::starts(rest);
    common.packed = subsections::offers_packed(rest);
    let mut clean = false;
    for n in &starts {
        if b.attempt(|b| device::part(b, *n, &common)).unwrap_or(false) {
            clean = true;
            break;
        }
    }
    if !clean {
        device::part(b, starts.first().copied().unwrap_or(rest.len()), &common)?;
    }
    subsections::read(b)?;
    Ok(clean)
}

/// Reads transport, common part and queues, and fails when they make no sense for this transport.
fn head(b: &mut Builder<'_>, t: Transport) -> Result<Common> {
    let queue = t.read(b)?;
    b.u8("status")?;
    b.u8("isr")?;
    b.be16("queue_sel")?;
    let guest_features = b.be32("guest_features")?;
    let n = b.be32("config_len")?;
    b.bytes("config", usize::try_from(n).unwrap_or(usize::MAX))?;
    let at = b.offset();
    let queues = b.be32("nvqs")?;
    if queues as usize > MAX_QUEUES {
        return Err(Error::corrupt(at, format!("virtio queues: expected at most {MAX_QUEUES}, found {queues}")));
    }
    b.array("vq", |b| (0..queues).try_for_each(|_| b.group("vq", |b| vring(b, queue))))?;
    Ok(Common { guest_features, queues, packed: false })
}

fn vring(b: &mut Builder<'_>, queue: Queue) -> Result<()> {
    let at = b.offset();
    let num = b.be32("vring.num")?;
    if num == 0 || num > MAX_QUEUE_SIZE {
        return Err(Error::corrupt(at, format!("virtio queue size: expected 1 to {MAX_QUEUE_SIZE}, found {num}")));
    }
    if queue.align {
        b.be32("vring.align")?;
    }
    b.be64("vring.desc")?;
    b.be16("last_avail_idx")?;
    if queue.vector {
        b.be16("vector")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
