//! Virtio devices for machines: `virtio --json`. Schema: `schemas/output/virtio.schema.json`.

use serde::Serialize;

use super::devices_json::DevicesDocument;
use super::state_json::{FindingJson, hex};
use super::virtio::Shown;
use crate::decode::virtio::rings::Ring;
use crate::decode::virtio::{ConfigField, ConfigValue, Feature, Queue, Transport, VirtioDevice, feature_name};
use crate::text::Name;

#[derive(Serialize)]
struct DeviceJson<'a> {
    section: &'a Name,
    instance_id: u32,
    vmsd: &'a Name,
    name: &'static str,
    device_id: u16,
    transport: &'static str,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ccw_revision: Option<u32>,
    status: StatusJson,
    isr: u8,
    queue_select: u16,
    guest_features: FeaturesJson,
    host_features_at_least: Vec<FeatureJson>,
    big_endian: bool,
    config_vector: Option<u16>,
    config: ConfigJson<'a>,
    state: Vec<FieldJson<'a>>,
    queues: Vec<QueueJson<'a>>,
    broken: bool,
    started: Option<bool>,
    disabled: Option<bool>,
}

#[derive(Serialize)]
struct StatusJson {
    value: u8,
    names: Vec<&'static str>,
}

#[derive(Serialize)]
struct FeaturesJson {
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_high: Option<String>,
    features: Vec<FeatureJson>,
}

#[derive(Serialize)]
struct FeatureJson {
    bit: u32,
    name: Option<&'static str>,
}

#[derive(Serialize)]
struct ConfigJson<'a> {
    hex: String,
    fields: Vec<FieldJson<'a>>,
}

#[derive(Serialize)]
struct FieldJson<'a> {
    name: &'a str,
    value: FieldValue,
}

#[derive(Serialize)]
#[serde(untagged)]
enum FieldValue {
    Number(u64),
    Text(Name),
}

#[derive(Serialize)]
struct QueueJson<'a> {
    index: u16,
    name: &'a str,
    buffers: bool,
    size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggested_size: Option<u32>,
    configured: bool,
    desc: String,
    avail: String,
    used: String,
    computed: bool,
    last_avail_idx: u16,
    vector: Option<u16>,
    saved_requests: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed: Option<PackedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ring: Option<RingJson<'a>>,
}

#[derive(Serialize)]
struct PackedJson {
    last_avail_wrap_counter: bool,
    used_idx: u16,
    used_wrap_counter: bool,
    in_use: u32,
}

#[derive(Serialize)]
struct RingJson<'a> {
    readable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    avail_idx: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avail_flags: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_idx: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_flags: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_event: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avail_event: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_descriptors: Option<u32>,
    pending: Option<u32>,
    in_flight: Option<u32>,
    problems: &'a [String],
}

/// Gathers the document of `virtio --json`.
#[must_use]
pub fn document<'a>(
    machine: Option<&'a Name>,
    devices: &'a [Shown<'a>],
    diagnostics: Vec<FindingJson>,
    complete: bool,
) -> DevicesDocument<'a, impl Serialize> {
    DevicesDocument::new(machine, devices.iter().map(device).collect(), diagnostics, complete)
}

fn device<'a>(s: &'a Shown<'a>) -> DeviceJson<'a> {
    let d: &VirtioDevice = s.device;
    let feature = |f: Feature| FeatureJson { bit: f.bit, name: f.name };
    let offered = |bit: &u32| FeatureJson { bit: *bit, name: feature_name(d.kind.id, *bit) };
    let wide = |v: u64| format!("{v:#018x}");
    let field = |f: &'a ConfigField| FieldJson {
        name: &f.name,
        value: match &f.value {
            ConfigValue::Number(n, 8) => FieldValue::Text(wide(*n).into()),
            ConfigValue::Number(n, _) => FieldValue::Number(*n),
            ConfigValue::Mac(m) => {
                FieldValue::Text(m.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":").into())
            }
            ConfigValue::Text(t) => FieldValue::Text(t.clone()),
            ConfigValue::Bytes(b) => FieldValue::Text(hex(b).into()),
        },
    };
    DeviceJson {
        section: &d.section,
        instance_id: d.instance,
        vmsd: &d.vmsd,
        name: d.kind.name,
        device_id: d.kind.id,
        transport: d.transport.name(),
        place: d.place(),
        ccw_revision: match d.transport {
            Transport::Ccw { revision, .. } => revision,
            _ => None,
        },
        status: StatusJson { value: d.status, names: d.status_names() },
        isr: d.isr,
        queue_select: d.queue_sel,
        guest_features: FeaturesJson {
            value: wide(d.features),
            value_high: (d.features_high != 0).then(|| wide(d.features_high)),
            features: d.feature_list().into_iter().map(feature).collect(),
        },
        host_features_at_least: d.offered.iter().map(offered).collect(),
        big_endian: d.big_endian,
        config_vector: d.config_vector,
        config: ConfigJson { hex: hex(&d.config), fields: d.config_fields.iter().map(field).collect() },
        state: d.own_fields.iter().map(field).collect(),
        queues: d.queues.iter().enumerate().map(|(i, q)| queue(q, s.rings.get(i).and_then(Option::as_ref))).collect(),
        broken: d.broken,
        started: d.started,
        disabled: d.disabled,
    }
}

fn queue<'a>(q: &'a Queue, r: Option<&'a Ring>) -> QueueJson<'a> {
    let address = |v: u64| format!("{v:#018x}");
    QueueJson {
        index: q.index,
        name: &q.name,
        buffers: q.buffers,
        size: q.size,
        suggested_size: q.suggested_size,
        configured: q.is_configured(),
        desc: address(q.desc),
        avail: address(q.avail),
        used: address(q.used),
        computed: q.computed,
        last_avail_idx: q.last_avail_idx,
        vector: q.vector,
        saved_requests: q.saved_requests,
        packed: q.packed.map(|p| PackedJson {
            last_avail_wrap_counter: p.avail_wrap,
            used_idx: p.used_idx,
            used_wrap_counter: p.used_wrap,
            in_use: p.in_use,
        }),
        ring: r.map(ring),
    }
}

fn ring(r: &Ring) -> RingJson<'_> {
    let split = if let Ring::Split(s) = r { Some(s) } else { None };
    let packed = if let Ring::Packed(p) = r { Some(p) } else { None };
    RingJson {
        readable: !matches!(r, Ring::Unreadable(_)),
        avail_idx: split.map(|s| s.avail_idx),
        avail_flags: split.map(|s| s.avail_flags),
        used_idx: split.map(|s| s.used_idx),
        used_flags: split.map(|s| s.used_flags),
        used_event: split.and_then(|s| s.used_event),
        avail_event: split.and_then(|s| s.avail_event),
        pending_descriptors: packed.map(|p| p.pending_descriptors),
        pending: r.pending(),
        in_flight: r.in_flight(),
        problems: r.problems(),
    }
}
