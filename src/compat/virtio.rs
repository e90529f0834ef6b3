//! What a guest and a virtio device agreed on, and the sizes of queues.
//!
//! `virtio_set_features_nocheck` in `hw/virtio/virtio.c` refuses a feature that the target's device does not offer. A stream
//! contains what was agreed and not what is offered, so that a difference is a hint and no proof, and only where the target's
//! guest has a driver too.
//!
//! `virtio_load` of QEMU 11.1 refuses a queue that is larger than the target's device has room for. QEMU 10.0 saves 1024 as
//! the size of every queue that the guest has not set up, so that 11.1 loads none of its virtio devices with smaller ones;
//! 5.2, 7.2 and 10.0 do not look.

use std::collections::HashMap;

use super::rules;
use super::side::StreamFacts;
use crate::decode::virtio::{Queue, VirtioDevice};
use crate::findings::accepted::Version;
use crate::findings::{Aspect, Difference, Severity, Subject};
use crate::offset::{StreamRange, Sure};

/// The largest size of a queue (`VIRTQUEUE_MAX_SIZE` in `include/hw/virtio/virtio.h`), which QEMU 10.0 saves for all.
const LARGEST: u32 = 1024;

/// A version that was seen to look at the sizes of queues; 10.0 was seen not to.
pub(super) const LOOKS_AT_SIZES: Version = Version::new(11, 1);

/// Compares the virtio devices of a stream with those that the target wrote, where it wrote any.
pub fn compare(saved: &StreamFacts, target: Option<&StreamFacts>, version: Option<Version>, out: &mut Vec<Difference>) {
    let there: HashMap<(&str, u32), &VirtioDevice> =
        target.iter().flat_map(|t| &t.virtio).map(|d| ((d.section.exact(), d.instance), d)).collect();
    for d in &saved.virtio {
        let t = there.get(&(d.section.exact(), d.instance)).copied();
        out.extend(queues(saved, d, t, target.is_some(), version));
        out.extend(target.zip(t).and_then(|(facts, t)| features(saved, d, facts, t)));
    }
}

fn place(s: &StreamFacts, d: &VirtioDevice) -> Option<StreamRange> {
    s.find(&d.section, d.instance, 0).map(|f| f.range)
}

fn features(saved: &StreamFacts, d: &VirtioDevice, target: &StreamFacts, t: &VirtioDevice) -> Option<Difference> {
    if t.features == 0 {
        return None;
    }
    let more: Vec<String> = d
        .feature_list()
        .into_iter()
        .filter(|f| !t.feature_list().contains(f))
        .map(|f| f.name.map_or_else(|| format!("bit {}", f.bit), str::to_owned))
        .collect();
    let message = "the guest uses features that the target's guest does not; the target refuses what it does not offer";
    let side = |text: String, range| Some(Aspect::new(text, range));
    (!more.is_empty()).then(|| Difference {
        rule: &rules::VIRTIO_FEATURES,
        severity: Severity::MayBreak,
        subject: Subject::section(&d.section, d.instance).field("guest_features"),
        message: message.to_owned(),
        before: side(format!("{:#x}", d.features), place(saved, d)),
        after: side(format!("{:#x}", t.features), place(target, t)),
        meaning: vec![format!("only in the stream: {}", more.join(", "))],
    })
}

fn queues(
    saved: &StreamFacts,
    d: &VirtioDevice,
    there: Option<&VirtioDevice>,
    has_stream: bool,
    version: Option<Version>,
) -> Option<Difference> {
    if version.is_some_and(|v| v < Version::new(10, 1)) {
        return None;
    }
    let room = |q: &Queue| there.and_then(|t| t.queues.iter().find(|o| o.index == q.index)).map(|o| o.size);
    let is_larger = |q: &&Queue| match room(q) {
        Some(size) => size > 0 && q.size > size,
        // without the target's own sizes, only what 10.0 writes is worth a word
        None => !has_stream && q.size == LARGEST && q.desc == 0,
    };
    let first = d.queues.iter().find(is_larger)?;
    let more = d.queues.iter().filter(is_larger).count().minus(1);
    let others = if more > 0 { format!(" ({more} more alike)") } else { String::new() };
    let known = there.is_some() && version.is_some_and(|v| v >= LOOKS_AT_SIZES);
    let message = match (known, there.is_some()) {
        (true, _) => "the queue is larger than the target's device has room for",
        (_, true) => {
            "the queue is larger than the target's device has room for, which QEMU 11.1 refuses and 10.0 does not"
        }
        (_, false) => {
            "the queue is saved as the largest there can be, as by QEMU 10.0; QEMU 11.1 refuses that of a device with smaller ones"
        }
    };
    let severity = if known { Severity::Breaks } else { Severity::MayBreak };
    let subject = Subject::section(&d.section, d.instance).field(format!("virtio.vq[{}].vring.num", first.index));
    let before = Aspect::new(first.size.to_string(), place(saved, d));
    let after = room(first).map(|size| Aspect::new(size.to_string(), None));
    Some(Difference::new(&rules::VIRTIO_QUEUE, severity, subject, format!("{message}{others}"), [Some(before), after]))
}
