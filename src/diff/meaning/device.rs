//! Virtio devices, clocks and timers.

use super::{Change, Meaning, bits, seconds};
use crate::decode::virtio;
use crate::offset::Sure;
use crate::value::Value;

/// Status, features and queues of a virtio device.
pub fn virtio(m: &Meaning<'_>, c: &Change<'_>) -> Option<Vec<String>> {
    let kind = virtio::kind_of(m.idstr, m.vmsd)?;
    let (before, after) = c.numbers()?;
    let path = c.path;
    let own = |name: &str| path == name || path.ends_with(&format!(".{name}"));
    let features = |shift: u32| {
        let name = move |bit: u32| virtio::feature_name(kind.id, bit.plus(shift));
        vec![format!("features: {}", bits(before, after, &name))]
    };
    if own("guest_features_ex[1]") {
        return Some(features(64));
    }
    if own("guest_features") {
        return Some(features(0));
    }
    if own("virtio.status") || path == "status" {
        return Some(vec![format!("status: {}", bits(before, after, &virtio::status_name))]);
    }
    let queue = path.rfind("vq[").and_then(|i| path.get(i.plus(3)..)).and_then(|p| p.split_once(']'));
    let (number, field) = queue?;
    let what = match field.trim_start_matches('.') {
        "last_avail_idx" => "next request to read",
        "vring.num" => "size",
        "vring.num_default" => "suggested size",
        "vring.desc" => "descriptors",
        "vring.avail" => "available ring",
        "vring.used" => "used ring",
        _ => return None,
    };
    Some(vec![format!("queue {number}, {what}: {before:#x} -> {after:#x}")])
}

/// The clocks of QEMU and KVM.
pub fn clock(m: &Meaning<'_>, c: &Change<'_>) -> Option<Vec<String>> {
    let name = match (m.vmsd, c.name()) {
        ("timer", "cpu_clock_offset") => "virtual clock",
        ("kvmclock", "clock") => "KVM clock",
        _ => return None,
    };
    let (before, after) = c.numbers()?;
    Some(vec![format!("{name}: {}", later(before, after))])
}

/// A timer's time of expiry.
pub fn timer(_: &Meaning<'_>, c: &Change<'_>) -> Option<Vec<String>> {
    match (&c.before.value, &c.after.value) {
        (Value::Timer(Some(a)), Value::Timer(Some(b))) => Some(vec![format!("expires {}", later(*a, *b))]),
        (Value::Timer(None), Value::Timer(Some(_))) => Some(vec!["armed".to_owned()]),
        (Value::Timer(Some(_)), Value::Timer(None)) => Some(vec!["no longer armed".to_owned()]),
        _ => None,
    }
}

fn later(before: u64, after: u64) -> String {
    let by = seconds(u128::from(before.abs_diff(after)));
    if after >= before { format!("{by} later") } else { format!("{by} earlier") }
}
