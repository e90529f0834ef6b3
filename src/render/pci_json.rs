//! PCI devices for machines: `pci --json`. Schema: `schemas/output/pci.schema.json`.

use serde::Serialize;

use super::devices_json::DevicesDocument;
use super::state_json::FindingJson;
use crate::decode::pci::{
    Address, Bar, Bridge, Capability, Detail, ExtendedCapability, MsixEntry, PciDevice, Window, capability,
    device_name, extended_capability, link_speed, port_type, vendor_name,
};
use crate::text::Name;

#[derive(Serialize)]
struct DeviceJson<'a> {
    section: &'a Name,
    instance_id: u32,
    vmsd: &'a Name,
    address: Option<String>,
    bus: Option<u8>,
    slot: Option<u8>,
    function: Option<u8>,
    vendor: IdJson,
    device: IdJson,
    subsystem: Option<SubsystemJson>,
    class: ClassJson,
    revision: u8,
    header_type: u8,
    multifunction: bool,
    config_bytes: usize,
    command: BitsJson,
    status: BitsJson,
    interrupt: InterruptJson,
    bars: Vec<BarJson>,
    bridge: Option<BridgeJson>,
    capabilities: Vec<CapabilityJson>,
    extended_capabilities: Vec<ExtendedJson>,
    msix_table: Vec<MsixJson>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct IdJson {
    id: u16,
    name: Option<&'static str>,
}

#[derive(Serialize)]
struct SubsystemJson {
    vendor: u16,
    device: u16,
}

#[derive(Serialize)]
struct ClassJson {
    base: u8,
    subclass: u8,
    interface: u8,
    name: &'static str,
}

#[derive(Serialize)]
struct BitsJson {
    value: u16,
    names: Vec<&'static str>,
}

#[derive(Serialize)]
struct InterruptJson {
    pin: u8,
    line: u8,
    levels: [bool; 4],
}

#[derive(Serialize)]
struct BarJson {
    index: u8,
    kind: &'static str,
    prefetchable: bool,
    address: String,
    enabled: bool,
}

#[derive(Serialize)]
struct BridgeJson {
    primary: u8,
    secondary: u8,
    subordinate: u8,
    io: WindowJson,
    memory: WindowJson,
    prefetchable: WindowJson,
    control: u16,
}

#[derive(Serialize)]
struct WindowJson {
    base: String,
    limit: String,
    open: bool,
}

#[derive(Serialize)]
struct CapabilityJson {
    offset: u16,
    id: u8,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<DetailJson>,
}

#[derive(Serialize)]
struct ExtendedJson {
    offset: u16,
    id: u16,
    name: &'static str,
    version: u8,
}

#[derive(Serialize)]
struct MsixJson {
    address: String,
    data: u32,
    masked: bool,
    pending: bool,
}

#[derive(Serialize)]
struct LinkJson {
    speed: &'static str,
    lanes: u8,
}

#[derive(Serialize)]
#[serde(untagged)]
enum DetailJson {
    Power {
        version: u8,
        state: u8,
        pme_enabled: bool,
    },
    Msi {
        enabled: bool,
        capable: u32,
        vectors: u32,
        address: String,
        data: u16,
        mask: Option<u32>,
        pending: Option<u32>,
    },
    Msix {
        enabled: bool,
        masked: bool,
        vectors: u16,
        table_bar: u8,
        table_offset: u32,
        pba_bar: u8,
        pba_offset: u32,
    },
    Express {
        version: u8,
        port: &'static str,
        slot: Option<u16>,
        link: LinkJson,
        link_now: LinkJson,
    },
    Virtio {
        structure: &'static str,
        bar: u8,
        offset: u32,
        length: u32,
        multiplier: Option<u32>,
    },
    Vendor {
        length: u8,
    },
    Subsystem(SubsystemJson),
}

/// Gathers the document of `pci --json`.
#[must_use]
pub fn document<'a>(
    machine: Option<&'a Name>,
    devices: &[&'a PciDevice],
    diagnostics: Vec<FindingJson>,
    complete: bool,
) -> DevicesDocument<'a, impl Serialize> {
    DevicesDocument::new(machine, devices.iter().map(|d| device(d)).collect(), diagnostics, complete)
}

fn device(d: &PciDevice) -> DeviceJson<'_> {
    let [base, subclass, interface] = d.class;
    let slot = d.address.as_ref().map(Address::slot);
    DeviceJson {
        section: &d.section,
        instance_id: d.instance,
        vmsd: &d.vmsd,
        address: d.address.as_ref().map(Address::full),
        bus: d.address.as_ref().and_then(|a| a.bus),
        slot: slot.map(|s| s.device),
        function: slot.map(|s| s.function),
        vendor: IdJson { id: d.vendor, name: vendor_name(d.vendor) },
        device: IdJson { id: d.device, name: device_name(d.vendor, d.device) },
        subsystem: d.subsystem.map(|(vendor, device)| SubsystemJson { vendor, device }),
        class: ClassJson { base, subclass, interface, name: d.class_name() },
        revision: d.revision,
        header_type: d.header,
        multifunction: d.multifunction,
        config_bytes: d.config_bytes,
        command: BitsJson { value: d.command, names: d.command_names() },
        status: BitsJson { value: d.status, names: d.status_names() },
        interrupt: InterruptJson { pin: d.pin, line: d.line, levels: d.levels },
        bars: d.bars.iter().map(bar).collect(),
        bridge: d.bridge.as_ref().map(bridge),
        capabilities: d.capabilities.iter().map(one_capability).collect(),
        extended_capabilities: d.extended.iter().map(extended).collect(),
        msix_table: d.msix.iter().map(msix).collect(),
        problems: &d.problems,
    }
}

fn bar(b: &Bar) -> BarJson {
    BarJson {
        index: b.index,
        kind: b.kind.name(),
        prefetchable: b.prefetchable,
        address: format!("{:#018x}", b.address),
        enabled: b.enabled,
    }
}

fn bridge(b: &Bridge) -> BridgeJson {
    let window = |w: &Window| WindowJson {
        base: format!("{:#018x}", w.base),
        limit: format!("{:#018x}", w.limit),
        open: w.is_open(),
    };
    BridgeJson {
        primary: b.primary,
        secondary: b.secondary,
        subordinate: b.subordinate,
        io: window(&b.io),
        memory: window(&b.memory),
        prefetchable: window(&b.prefetchable),
        control: b.control,
    }
}

fn extended(c: &ExtendedCapability) -> ExtendedJson {
    ExtendedJson { offset: c.offset, id: c.id, name: extended_capability(c.id), version: c.version }
}

fn msix(e: &MsixEntry) -> MsixJson {
    MsixJson { address: format!("{:#018x}", e.address), data: e.data, masked: e.masked, pending: e.pending }
}

fn one_capability(c: &Capability) -> CapabilityJson {
    let link = |(speed, lanes): (u8, u8)| LinkJson { speed: link_speed(speed), lanes };
    let detail = match c.detail {
        Detail::Power { version, state, pme_enabled } => Some(DetailJson::Power { version, state, pme_enabled }),
        Detail::Msi { enabled, capable, vectors, address, data, mask, pending } => Some(DetailJson::Msi {
            enabled,
            capable,
            vectors,
            address: format!("{address:#018x}"),
            data,
            mask,
            pending,
        }),
        Detail::Msix { enabled, masked, vectors, table_bar, table_offset, pba_bar, pba_offset } => {
            Some(DetailJson::Msix { enabled, masked, vectors, table_bar, table_offset, pba_bar, pba_offset })
        }
        Detail::Express { version, port, slot, link: best, link_now } => Some(DetailJson::Express {
            version,
            port: port_type(port),
            slot,
            link: link(best),
            link_now: link(link_now),
        }),
        Detail::Virtio { kind, bar, offset, length, multiplier } => {
            Some(DetailJson::Virtio { structure: Detail::virtio_structure(kind), bar, offset, length, multiplier })
        }
        Detail::Vendor { length } => Some(DetailJson::Vendor { length }),
        Detail::Subsystem { vendor, device } => Some(DetailJson::Subsystem(SubsystemJson { vendor, device })),
        Detail::Other => None,
    };
    CapabilityJson { offset: c.offset, id: c.id, name: capability(c.id), detail }
}
