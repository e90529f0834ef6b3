//! Queues: where they are, and how far the device is.

use super::Kind;
use crate::offset::Sure;
use crate::value::{Element, Elements, Node};

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// Its number.
    pub index: u16,
    /// What it is for.
    pub name: String,
    /// Whether the driver posts empty buffers here, which the device keeps until it has something for the guest: pending
    /// ones are no backlog.
    pub buffers: bool,
    /// The number of descriptors.
    pub size: u32,
    /// The number of descriptors that the device suggests, where it differs in a queue of the device.
    pub suggested_size: Option<u32>,
    /// Where the descriptors are; 0 where the driver did not set the queue up.
    pub desc: u64,
    /// Where the driver's part is: the available ring, or the driver's event suppression.
    pub avail: u64,
    /// Where the device's part is: the used ring, or the device's event suppression.
    pub used: u64,
    /// Whether the other two were computed from the first, as in the legacy layout.
    pub computed: bool,
    /// The next entry that the device reads.
    pub last_avail_idx: u16,
    /// The vector for interrupts.
    pub vector: Option<u16>,
    /// The state of a packed ring.
    pub packed: Option<Packed>,
    /// Requests that the device took and that are saved with it (virtio-blk, virtio-serial).
    pub saved_requests: u32,
}

/// The device's view of a packed ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packed {
    /// The wrap counter of the next entry to read.
    pub avail_wrap: bool,
    /// The next entry that the device writes.
    pub used_idx: u16,
    /// The wrap counter of the next entry to return.
    pub used_wrap: bool,
    /// Descriptors that the device took and did not give back.
    pub in_use: u32,
}

impl Queue {
    /// Returns whether the driver set it up.
    #[must_use]
    pub const fn is_configured(&self) -> bool {
        self.desc != 0
    }
}

const NO_VECTOR: u64 = 0xffff;

/// Returns a vector, or `None` if none was assigned.
pub(super) fn vector(n: &Node) -> Option<u16> {
    n.as_u64().filter(|v| *v != NO_VECTOR).and_then(|v| u16::try_from(v).ok())
}

/// The alignment of used rings of legacy devices over PCI and channels (`hw/virtio/virtio-pci.c`, `virtio-ccw.c`).
const LEGACY_ALIGN: u64 = 4096;

pub(super) fn queues(virtio: &Node, kind: Kind) -> Vec<Queue> {
    let list = |sub: &str| virtio.child(sub).and_then(|s| s.child("vq")).map(Node::elements).unwrap_or_default();
    let (places, sizes, packed) =
        (list("virtio/virtqueues"), list("virtio/ringsize"), list("virtio/packed_virtqueues"));
    let own = virtio.child("vq").map(Node::elements).unwrap_or_default();
    let uses_packed = {
        let features = virtio.child("virtio/64bit_features").and_then(|s| s.child("guest_features"));
        features.and_then(Node::as_u64).unwrap_or(0).wrapping_shr(super::RING_PACKED) & 1 != 0
    };
    let saved = saved_requests(virtio);
    let queue = |(i, q): (usize, Element<'_>)| {
        let number = |name: &str| q.child(name).and_then(Node::as_u64).unwrap_or(0);
        let index = u16::try_from(i).unwrap_or(u16::MAX);
        let size = u32::try_from(number("vring.num")).unwrap_or(0);
        let desc = number("vring.desc");
        let of = |list: Elements<'_>, name: &str| list.get(i)?.child(name)?.as_u64();
        let stated = of(places, "vring.avail").zip(of(places, "vring.used"));
        let (avail, used) = stated.unwrap_or_else(|| {
            let align = Some(number("vring.align")).filter(|a| a.is_power_of_two()).unwrap_or(LEGACY_ALIGN);
            legacy_layout(desc, size, align)
        });
        let suggested = of(sizes, "vring.num_default").and_then(|n| u32::try_from(n).ok());
        let ring = packed.get(i).filter(|_| uses_packed).map(|p| {
            let number = |name: &str| p.child(name).and_then(Node::as_u64).unwrap_or(0);
            Packed {
                avail_wrap: number("last_avail_wrap_counter") != 0,
                used_idx: u16::try_from(number("used_idx")).unwrap_or(0),
                used_wrap: number("used_wrap_counter") != 0,
                in_use: u32::try_from(number("inuse")).unwrap_or(0),
            }
        });
        let last = of(packed, "last_avail_idx").filter(|_| uses_packed).unwrap_or_else(|| number("last_avail_idx"));
        let name = name(kind.id, i, own.len());
        Queue {
            index,
            buffers: takes_buffers(&name),
            name,
            size,
            suggested_size: suggested.filter(|s| *s != size),
            desc,
            avail,
            used,
            computed: stated.is_none(),
            last_avail_idx: u16::try_from(last).unwrap_or(0),
            vector: q.child("vector").and_then(vector),
            packed: ring,
            saved_requests: saved
                .iter()
                .filter(|s| **s == Some(u64::from(index)))
                .count()
                .try_into()
                .unwrap_or(u32::MAX),
        }
    };
    own.iter().enumerate().map(queue).collect()
}

/// The driver's part follows the descriptors, the device's part begins at the next aligned address
/// (`virtio_queue_update_rings` in `hw/virtio/virtio.c`).
fn legacy_layout(desc: u64, size: u32, align: u64) -> (u64, u64) {
    if desc == 0 {
        return (0, 0);
    }
    let avail = desc.saturating_add(u64::from(size).saturating_mul(16));
    let end = avail.saturating_add(4).saturating_add(u64::from(size).saturating_mul(2));
    (avail, end.checked_next_multiple_of(align).unwrap_or(u64::MAX))
}

/// Returns the queue of every request that is saved with the device.
fn saved_requests(virtio: &Node) -> Vec<Option<u64>> {
    let Some(device) = virtio.child("device") else { return Vec::new() };
    let blk = device.child("rq").map(Node::elements).unwrap_or_default();
    let queue = |r: Element<'_>| Some(r.child("queue").and_then(Node::as_u64).unwrap_or(0));
    let mut out: Vec<Option<u64>> = blk.iter().map(queue).collect();
    let ports = device.child("ports").map(Node::elements).unwrap_or_default();
    let busy = ports.iter().filter(|p| p.child("elem_popped").and_then(Node::as_u64).is_some_and(|n| n != 0));
    // the elements of ports are output of the guest; queues 2 and 3 are for control
    let queue = |p: Element<'_>| match p.child("id").and_then(Node::as_u64)? {
        0 => Some(1),
        id => id.checked_mul(2)?.checked_add(3),
    };
    out.extend(busy.map(queue));
    out
}

/// What a queue is for (virtio 1.3, the chapters of the kinds).
fn name(kind: u16, index: usize, count: usize) -> String {
    let pair = |base: usize, names: [&str; 2]| {
        let i = index.minus(base);
        format!("{}{}", names.get(i & 1).copied().unwrap_or_default(), i.wrapping_shr(1))
    };
    let of = |names: &[&str], rest: &str| match names.get(index) {
        Some(n) => (*n).to_owned(),
        None => format!("{rest}{}", index.minus(names.len())),
    };
    match kind {
        1 if count & 1 == 1 && index.plus(1) == count => "control".to_owned(),
        1 => pair(0, ["receive", "transmit"]),
        3 => match index {
            0 | 1 => pair(0, ["receive", "transmit"]),
            2 => "control receive".to_owned(),
            3 => "control transmit".to_owned(),
            _ => pair(2, ["receive", "transmit"]),
        },
        5 => of(&["inflate", "deflate", "statistics"], "queue"),
        8 => of(&["control", "event"], "request"),
        16 => of(&["control", "cursor"], "queue"),
        18 => of(&["event", "status"], "queue"),
        19 => of(&["receive", "transmit", "event"], "queue"),
        20 if index.plus(1) == count => "control".to_owned(),
        20 => of(&[], "data"),
        23 => of(&["request", "event"], "queue"),
        25 => of(&["control", "event", "transmit", "receive"], "queue"),
        26 => of(&["high priority"], "request"),
        _ => of(&[], "request"),
    }
}

/// Returns whether a queue of this name is for buffers that the device fills at its own time. The statistics of a balloon are one
/// that it keeps until it is asked.
fn takes_buffers(name: &str) -> bool {
    matches!(name, "event" | "statistics" | "control receive") || name.starts_with("receive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legacy_layout() {
        assert_eq!(legacy_layout(0x1000, 256, 4096), (0x2000, 0x3000));
        assert_eq!(legacy_layout(0x1000, 64, 4096), (0x1400, 0x2000));
        assert_eq!(legacy_layout(0, 64, 4096), (0, 0));
        assert_eq!(legacy_layout(u64::MAX, 64, 4096).1, u64::MAX);
    }

    #[test]
    fn names_of_queues() {
        assert_eq!(name(1, 3, 5), "transmit1");
        assert_eq!(name(1, 4, 5), "control");
        assert_eq!(name(3, 5, 64), "transmit1");
        assert_eq!(name(8, 4, 6), "request2");
        assert_eq!(name(2, 0, 1), "request0");
    }

    #[test]
    fn queues_for_empty_buffers() {
        let of = |kind, count| (0..count).filter(|i| takes_buffers(&name(kind, *i, count))).collect::<Vec<_>>();
        assert_eq!(of(1, 5), [0, 2]);
        assert_eq!(of(3, 6), [0, 2, 4]);
        assert_eq!((of(2, 4), of(4, 1)), (vec![], vec![]));
        assert_eq!((of(5, 3), of(8, 3), of(18, 2)), (vec![2], vec![1], vec![0]));
        assert_eq!((of(19, 3), of(25, 4)), (vec![0, 2], vec![1, 3]));
    }
}
