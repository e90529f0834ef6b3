//! The features that a guest and a virtio device agreed on.
//!
//! `virtio_set_features_nocheck` in `hw/virtio/virtio.c` refuses a feature that the target's device does not offer. A stream
//! tells what was agreed and not what is offered, so that a difference is a hint and no proof, and only where the target's
//! guest has a driver too.

use std::collections::HashMap;

use super::rules;
use super::side::StreamFacts;
use crate::decode::virtio;
use crate::difference::{Aspect, Difference, Subject, Weight};
use crate::offset::StreamRange;

/// Compares the agreed features of all devices that both sides have.
pub fn compare(saved: &StreamFacts, target: &StreamFacts, out: &mut Vec<Difference>) {
    let by_section: HashMap<(&str, u32), &virtio::Device> =
        target.virtio.iter().map(|d| ((d.section.as_str(), d.instance), d)).collect();
    let place = |s: &StreamFacts, d: &virtio::Device| -> Option<StreamRange> {
        s.find(&d.section.as_str().into(), d.instance, 0).map(|f| f.range)
    };
    for d in &saved.virtio {
        let Some(t) = by_section.get(&(d.section.as_str(), d.instance)).filter(|t| t.features != 0) else { continue };
        let more: Vec<String> = d
            .feature_list()
            .into_iter()
            .filter(|f| !t.feature_list().contains(f))
            .map(|f| f.name.map_or_else(|| format!("bit {}", f.bit), str::to_owned))
            .collect();
        if more.is_empty() {
            continue;
        }
        let message =
            "the guest uses features that the target's guest does not; the target refuses what it does not offer";
        let side = |text: String, range| Some(Aspect::new(text, range));
        out.push(Difference {
            rule: &rules::VIRTIO_FEATURES,
            weight: Weight::MayBreak,
            subject: Subject::section(d.section.as_str(), d.instance).field("guest_features"),
            message: message.to_owned(),
            before: side(format!("{:#x}", d.features), place(saved, d)),
            after: side(format!("{:#x}", t.features), place(target, t)),
            meaning: vec![format!("only in the stream: {}", more.join(", "))],
        });
    }
}
