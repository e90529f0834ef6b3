//! PCI devices: every structure of vmsd `PCIDevice`, in a section of its own or inside that of a virtio device.
//!
//! Of a device the stream has the configuration space as the guest sees it (256 or 4096 bytes, little-endian), the levels of
//! its four interrupt lines, and with MSI-X the table and the pending bits (`vmstate_pci_device` in `hw/pci/pci.c`,
//! `msix_save` in `hw/pci/msix.c`). Sizes of BARs are not in it. Devices that QEMU does not save (`edu`, the host
//! bridge of malta) are not in it either.

mod address;
mod caps;
mod classes;
mod header;
mod ids;
mod registers;
mod tree;

pub use address::{Address, Root, Slot};
pub use caps::{Capability, Detail, ExtendedCapability};
pub use classes::{capability, class, extended_capability, link_speed, port_type};
pub use header::{Bar, BarKind, Bridge, Window};
pub use ids::{device as device_name, vendor as vendor_name};
pub use registers::{NamedRegister, register};
pub use tree::{Branch, tree};

use super::Section;
use super::section::{Registers, names};
use crate::text::Name;
use crate::value::{Node, names_device};

/// A PCI device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PciDevice {
    /// The name of its section.
    pub section: Name,
    /// The instance of its section.
    pub instance: u32,
    /// The vmsd of its section.
    pub vmsd: Name,
    /// The device's address; `None` if the section's name does not give it.
    pub address: Option<Address>,
    /// The vendor.
    pub vendor: u16,
    /// The vendor's number of the device.
    pub device: u16,
    /// The vendor of the subsystem and its number, of devices that are no bridges.
    pub subsystem: Option<(u16, u16)>,
    /// Base class, subclass and programming interface.
    pub class: [u8; 3],
    /// The revision.
    pub revision: u8,
    /// The kind of header: 0 device, 1 bridge, 2 CardBus bridge.
    pub header: u8,
    /// Whether the slot has further functions.
    pub multifunction: bool,
    /// The command register.
    pub command: u16,
    /// The status register. Whether an interrupt is asserted is not kept in it.
    pub status: u16,
    /// Bytes of configuration space: 4096 with PCI Express.
    pub config_bytes: usize,
    /// Configuration space: at most 4096 bytes.
    pub config: Vec<u8>,
    /// The base address registers that are not 0.
    pub bars: Vec<Bar>,
    /// The bridge's part.
    pub bridge: Option<Bridge>,
    /// The interrupt pin: 1 is INTA, 0 is none.
    pub pin: u8,
    /// The interrupt line that the firmware or the system wrote down.
    pub line: u8,
    /// The levels of INTA to INTD.
    pub levels: [bool; 4],
    /// The capabilities in the order of the list.
    pub capabilities: Vec<Capability>,
    /// The extended capabilities in the order of the list.
    pub extended: Vec<ExtendedCapability>,
    /// The saved table of MSI-X.
    pub msix: Vec<MsixEntry>,
    /// What is wrong with the configuration space.
    pub problems: Vec<String>,
}

/// An entry of the MSI-X table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MsixEntry {
    /// Where the message is written to.
    pub address: u64,
    /// What is written.
    pub data: u32,
    /// Whether it is held back.
    pub masked: bool,
    /// Whether one waits for that.
    pub pending: bool,
}

impl PciDevice {
    /// Returns the address, or where it is not known the section's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.address.as_ref().map_or_else(|| self.section.to_string(), ToString::to_string)
    }

    /// Returns the name of the class.
    #[must_use]
    pub fn class_name(&self) -> &'static str {
        let [base, sub, interface] = self.class;
        class(base, sub, interface)
    }

    /// Returns vendor and device by name, as far as they have one.
    #[must_use]
    pub fn product(&self) -> String {
        match (vendor_name(self.vendor), device_name(self.vendor, self.device)) {
            (Some(v), Some(d)) => format!("{v} {d}"),
            (Some(v), None) => format!("{v} device {:04x}", self.device),
            _ => format!("device {:04x}:{:04x}", self.vendor, self.device),
        }
    }

    /// Returns the bits of the command register by name.
    #[must_use]
    pub fn command_names(&self) -> Vec<&'static str> {
        names(self.command.into(), classes::COMMAND)
    }

    /// Returns the bits of the status register by name.
    #[must_use]
    pub fn status_names(&self) -> Vec<&'static str> {
        names(self.status.into(), classes::STATUS)
    }

    /// Returns whether a pattern matches a name of the device: its address, with or without domain, its path, section,
    /// vmsd or identity.
    #[must_use]
    pub fn matches(&self, glob: &str) -> bool {
        let path = self.section.exact().split('/').next().unwrap_or_default();
        let kind = self.section.exact().rsplit('/').next().unwrap_or_default();
        let ids = format!("{:04x}:{:04x}", self.vendor, self.device);
        let (short, full) = self.address.as_ref().map(|a| (a.to_string(), a.full())).unwrap_or_default();
        let names = [self.section.exact(), kind, self.vmsd.exact(), path, &ids, &short, &full];
        names_device(glob, &names, Some(self.instance))
    }
}

/// Gathers the PCI devices of a state, section by section.
#[derive(Debug, Default)]
pub struct PciDevices {
    found: Vec<PciDevice>,
}

impl PciDevices {
    /// Takes the devices of a section.
    pub fn add(&mut self, section: &Section<'_>) {
        section.root.walk(&mut |_, node| {
            if let Some(config) = config_of(node) {
                let alone =
                    self.found.last().is_none_or(|d| d.section != *section.idstr || d.instance != section.instance);
                self.found.push(device(section, node, config, alone));
            }
            true
        });
    }

    /// Returns the devices by address, those without one last; buses below bridges have their numbers.
    #[must_use]
    pub fn finish(mut self) -> Vec<PciDevice> {
        let buses: Vec<(Root, Vec<Slot>, u8)> = self
            .found
            .iter()
            .filter_map(|d| {
                let (a, b) = (d.address.as_ref()?, d.bridge?);
                (b.secondary != 0).then(|| (a.root.clone(), a.path.clone(), b.secondary))
            })
            .collect();
        for a in self.found.iter_mut().filter_map(|d| d.address.as_mut()) {
            let behind = |(root, path): (&Root, &[Slot])| {
                buses.iter().find(|(r, p, _)| r == root && p == path).map(|(_, _, bus)| *bus)
            };
            let bus = a.bridge().and_then(behind);
            a.bus = a.bus.or(bus);
        }
        self.found.sort_by_cached_key(|d| (d.address.is_none(), d.address.as_ref().map(order)));
        self.found
    }
}

/// By root bus, then as the tree branches.
fn order(a: &Address) -> (Root, Vec<Slot>) {
    (a.root.clone(), a.path.clone())
}

/// Returns the configuration space of a structure that has one.
fn config_of(node: &Node) -> Option<&[u8]> {
    node.record()?.fields.iter().find(|f| f.ty.exact() == "pci config").and_then(Node::as_bytes)
}

fn device(section: &Section<'_>, node: &Node, config: &[u8], alone: bool) -> PciDevice {
    let r = Registers::little(config);
    let header = r.u8(0x0e) & 0x7f;
    let is_bridge = header == 1;
    let command = r.u16(0x04);
    let (capabilities, wrong) = caps::list(r);
    let mut problems: Vec<String> = wrong.into_iter().collect();
    let (extended, wrong) = if config.len() > 256 { caps::extended(r) } else { (Vec::new(), None) };
    problems.extend(wrong);
    let of_capability = || {
        capabilities.iter().find_map(|c| match c.detail {
            Detail::Subsystem { vendor, device } => Some((vendor, device)),
            _ => None,
        })
    };
    PciDevice {
        section: section.idstr.clone(),
        instance: section.instance,
        vmsd: section.vmsd.clone(),
        address: Address::of_section(section.idstr.exact()),
        vendor: r.u16(0x00),
        device: r.u16(0x02),
        subsystem: if header == 0 { Some((r.u16(0x2c), r.u16(0x2e))) } else { of_capability() },
        class: [r.u8(0x0b), r.u8(0x0a), r.u8(0x09)],
        revision: r.u8(0x08),
        header,
        multifunction: r.u8(0x0e) & 0x80 != 0,
        command,
        status: r.u16(0x06),
        config_bytes: config.len(),
        config: config.get(..config.len().min(4096)).unwrap_or_default().to_vec(),
        bars: if header < 2 { header::bars(r, command, is_bridge) } else { Vec::new() },
        bridge: is_bridge.then(|| header::bridge(r)),
        pin: r.u8(0x3d),
        line: r.u8(0x3c),
        levels: levels(node),
        capabilities,
        extended,
        // the table is next to the structure, in the section of the device
        msix: if alone { msix(section.root) } else { Vec::new() },
        problems,
    }
}

fn levels(node: &Node) -> [bool; 4] {
    let mut out = [false; 4];
    let state = node.child("irq_state").and_then(|s| s.child("level"));
    for (to, from) in out.iter_mut().zip(state.map(Node::elements).unwrap_or_default()) {
        *to = from.as_u64().unwrap_or(0) != 0;
    }
    out
}

fn msix(root: &Node) -> Vec<MsixEntry> {
    let mut state = None;
    root.walk(&mut |_, n| {
        if state.is_none() && n.ty.exact() == "msix state" {
            state = Some(n);
        }
        state.is_none()
    });
    let part = |name: &str| state.and_then(|s| s.child(name)).and_then(Node::as_bytes).unwrap_or_default();
    let (table, pending) = (part("msix_table"), part("msix_pba"));
    let entry = |(i, e): (usize, &[u8])| {
        let r = Registers::little(e);
        let bits = pending.get(i.wrapping_shr(3)).copied().unwrap_or(0);
        MsixEntry {
            address: r.u64(0),
            data: r.u32(8),
            masked: r.u32(12) & 1 != 0,
            pending: bits.wrapping_shr(u32::try_from(i & 7).unwrap_or(0)) & 1 != 0,
        }
    };
    table.chunks_exact(16).enumerate().map(entry).collect()
}
