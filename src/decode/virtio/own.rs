//! The device's own state apart from its configuration space: field `device` of the blob.

use std::borrow::Cow;

use super::{ConfigField, ConfigValue};
use crate::value::Node;

/// Returns the numbers by QEMU's names, and for a network device its addresses.
pub(super) fn fields(kind: u16, device: &Node) -> Vec<ConfigField> {
    let Some(record) = device.record() else { return Vec::new() };
    let mut out = Vec::new();
    for node in &record.fields {
        // the configuration space is shown separately, and `more` only precedes each saved request
        if node.name.starts_with("config.") || node.name == "more" {
            continue;
        }
        let name = || Cow::Owned(node.name.to_string());
        match (kind, node.name.exact(), node.as_bytes()) {
            (1, "mac", Some(b)) => out.extend(macs(b).map(|m| ConfigField { name: name(), value: m })),
            // by position: first the unicast addresses, then the others
            (1, "mac_table.macs", Some(b)) => {
                out.extend(macs(b).map(|m| ConfigField { name: "mac_table".into(), value: m }));
            }
            // one bit for each VLAN, in words of the host's byte order
            (1, "vlans", Some(b)) => {
                let on: u64 = b.iter().map(|b| u64::from(b.count_ones())).sum();
                out.push(ConfigField { name: name(), value: ConfigValue::Number(on, 2) });
            }
            _ => {
                let width = u8::try_from(node.range.len()).unwrap_or(8);
                out.extend(node.as_u64().map(|n| ConfigField { name: name(), value: ConfigValue::Number(n, width) }));
            }
        }
    }
    out
}

fn macs(bytes: &[u8]) -> impl Iterator<Item = ConfigValue> {
    bytes.chunks_exact(6).filter_map(|c| c.try_into().ok().map(ConfigValue::Mac))
}
