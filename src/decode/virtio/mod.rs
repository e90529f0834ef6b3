//! Virtio devices over PCI, MMIO and channels, from the field `virtio` of their sections.
//!
//! The stream contains the driver's choices and the device's state: status, negotiated features, configuration space,
//! and for each queue its place and how far the device has read it (`virtio_save` in `hw/virtio/virtio.c`). How far
//! the driver is, and what the device gave back, is in guest memory: [`rings`]. Features that the host offers are
//! not saved; some follow from the presence of a subsection.

mod config;
mod features;
mod kinds;
mod own;
mod queues;
pub mod rings;

pub use config::{ConfigField, ConfigValue};
pub use features::{EVENT_IDX, Feature, RING_PACKED, VERSION_1, name as feature_name, status_name};
pub use kinds::{Kind, of_section as kind_of};
pub use queues::{Packed, Queue};

use super::Section;
use super::pci;
use super::section::{Registers, names};
use crate::text::Name;
use crate::value::{Node, names_device};

/// The bus that a device is on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// PCI.
    Pci {
        /// The address; `None` if the section's name does not give it.
        address: Option<pci::Address>,
    },
    /// Memory-mapped registers.
    Mmio {
        /// The base address; `None` if the section's name does not give it.
        base: Option<u64>,
    },
    /// A channel of s390x.
    Ccw {
        /// The device's number, such as `fe.0.0001`.
        number: Name,
        /// The revision of the transport that the driver chose; 0 is legacy.
        revision: Option<u32>,
    },
}

impl Transport {
    /// Returns the name of the bus.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pci { .. } => "pci",
            Self::Mmio { .. } => "mmio",
            Self::Ccw { .. } => "ccw",
        }
    }
}

/// A virtio device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VirtioDevice {
    /// The name of its section.
    pub section: Name,
    /// The instance of its section.
    pub instance: u32,
    /// The vmsd of its section.
    pub vmsd: Name,
    /// What it is.
    pub kind: Kind,
    /// The bus that it is on.
    pub transport: Transport,
    /// The device status.
    pub status: u8,
    /// The interrupt status.
    pub isr: u8,
    /// The queue that the driver selected.
    pub queue_sel: u16,
    /// The negotiated features 0 to 63.
    pub features: u64,
    /// The negotiated features 64 to 127, which newer versions of QEMU save.
    pub features_high: u64,
    /// Bits that the host certainly offers, since the stream contains the related state.
    pub offered: Vec<u32>,
    /// Whether configuration space and rings are big-endian.
    pub big_endian: bool,
    /// The vector for changes of the configuration.
    pub config_vector: Option<u16>,
    /// The configuration space.
    pub config: Vec<u8>,
    /// Its fields.
    pub config_fields: Vec<ConfigField>,
    /// Further state of the device, such as a network device's addresses.
    pub own_fields: Vec<ConfigField>,
    /// The queues that the device has.
    pub queues: Vec<Queue>,
    /// Whether the device said that the driver did something wrong, and stopped.
    pub broken: bool,
    /// Whether the device was started, if the stream gives it.
    pub started: Option<bool>,
    /// Whether the device is unplugged for the guest, if the stream gives it.
    pub disabled: Option<bool>,
}

impl VirtioDevice {
    /// Returns where the device is: address, place of the registers, or number.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.transport {
            Transport::Pci { address: Some(a) } => a.to_string(),
            Transport::Mmio { base: Some(b) } => format!("{b:#x}"),
            Transport::Ccw { number, .. } => number.to_string(),
            _ => self.section.to_string(),
        }
    }

    /// Returns the bits of the status by name.
    #[must_use]
    pub fn status_names(&self) -> Vec<&'static str> {
        names(self.status.into(), features::STATUS)
    }

    /// Returns the negotiated features.
    #[must_use]
    pub fn feature_list(&self) -> Vec<Feature> {
        features::on(self.kind.id, self.features, self.features_high)
    }

    /// Returns whether a feature was negotiated.
    #[must_use]
    pub fn has(&self, bit: u32) -> bool {
        bit < 64 && self.features.wrapping_shr(bit) & 1 != 0
    }

    /// Returns whether a pattern matches a name of the device: kind, place, section or vmsd.
    #[must_use]
    pub fn matches(&self, glob: &str) -> bool {
        let path = self.section.exact().rsplit_once('/').map_or("", |(p, _)| p);
        let own = self.section.exact().rsplit('/').next().unwrap_or_default();
        let full = match &self.transport {
            Transport::Pci { address: Some(a) } => a.full(),
            _ => String::new(),
        };
        let names = [self.kind.name, &self.place(), self.section.exact(), self.vmsd.exact(), path, own, &full];
        names_device(glob, &names, Some(self.instance))
    }
}

/// Gathers the virtio devices of a state, section by section.
#[derive(Debug, Default)]
pub struct VirtioDevices {
    found: Vec<VirtioDevice>,
    guest_is_big_endian: bool,
}

impl VirtioDevices {
    /// Starts empty; the guest's byte order, which legacy devices use, is derived from the machine type.
    #[must_use]
    pub fn new(machine: Option<&Name>) -> Self {
        const BIG: [&str; 10] = [
            "s390-ccw-virtio",
            "pseries",
            "powernv",
            "g3beige",
            "mac99",
            "ppce500",
            "bamboo",
            "sun4",
            "SS-",
            "niagara",
        ];
        let guest_is_big_endian = machine.is_some_and(|m| BIG.iter().any(|b| m.starts_with(b)));
        Self { found: Vec::new(), guest_is_big_endian }
    }

    /// Takes the devices of a section.
    pub fn add(&mut self, section: &Section<'_>) {
        section.root.walk(&mut |_, node| {
            if node.ty.exact() == "virtio" && node.record().is_some() {
                self.found.extend(device(section, node, self.guest_is_big_endian));
                return false;
            }
            true
        });
    }

    /// Returns the devices in stream order; `pci` gives the numbers of buses after bridges.
    #[must_use]
    pub fn finish(mut self, pci: &[pci::PciDevice]) -> Vec<VirtioDevice> {
        for d in &mut self.found {
            if let Transport::Pci { address } = &mut d.transport
                && let Some(p) = pci.iter().find(|p| p.section == d.section && p.instance == d.instance)
            {
                address.clone_from(&p.address);
            }
        }
        self.found
    }
}

/// The subsections that a host with these features writes.
const TELLING: [(&str, u32); 2] = [("virtio/virtqueues", VERSION_1), ("virtio/packed_virtqueues", RING_PACKED)];

fn device(section: &Section<'_>, virtio: &Node, guest_is_big_endian: bool) -> Option<VirtioDevice> {
    let number = |name: &str| virtio.child(name).and_then(Node::as_u64);
    let small = |name: &str| number(name).and_then(|n| u8::try_from(n).ok()).unwrap_or(0);
    let flag =
        |sub: &str, name: &str| virtio.child(sub).and_then(|s| s.child(name)).and_then(Node::as_u64).map(|n| n != 0);
    let sub = |sub: &str, name: &str| virtio.child(sub).and_then(|s| s.child(name)).and_then(Node::as_u64);
    let proxy = virtio.child("proxy")?;
    // without it the transport could not be read either
    let low = number("guest_features")?;
    let features = sub("virtio/64bit_features", "guest_features").unwrap_or(low);
    let transport = transport(section.idstr.exact(), proxy);
    let legacy_big = match sub("virtio/device_endian", "device_endian") {
        Some(2) => true,
        Some(1) => false,
        _ => guest_is_big_endian || matches!(transport, Transport::Ccw { .. }),
    };
    let big_endian = legacy_big && features.wrapping_shr(VERSION_1) & 1 == 0;
    let kind = kind(section, proxy);
    let config = virtio.child("config").and_then(Node::as_bytes).unwrap_or_default();
    let offered = TELLING.iter().filter(|(name, _)| virtio.child(name).is_some()).map(|(_, bit)| *bit).collect();
    Some(VirtioDevice {
        section: section.idstr.clone(),
        instance: section.instance,
        vmsd: section.vmsd.clone(),
        kind,
        status: small("status"),
        isr: small("isr"),
        queue_sel: number("queue_sel").and_then(|n| u16::try_from(n).ok()).unwrap_or(0),
        features,
        features_high: sub("virtio/128bit_features", "guest_features_ex[1]").unwrap_or(0),
        offered,
        big_endian,
        config_vector: proxy.child("config_vector").and_then(queues::vector),
        config: config.to_vec(),
        config_fields: config::fields(
            kind.id,
            Registers::new(config, big_endian && !config::is_always_little(kind.id)),
        ),
        own_fields: virtio.child("device").map(|d| own::fields(kind.id, d)).unwrap_or_default(),
        queues: queues::queues(virtio, kind),
        broken: flag("virtio/broken", "broken").unwrap_or(false),
        started: flag("virtio/started", "started"),
        disabled: flag("virtio/disabled", "disabled"),
        transport,
    })
}

fn transport(idstr: &str, proxy: &Node) -> Transport {
    let path = idstr.rsplit_once('/').map_or(idstr, |(p, _)| p);
    if proxy.child("pci_dev").is_some() {
        return Transport::Pci { address: pci::Address::of_section(idstr) };
    }
    if proxy.child("host_features_sel").is_some() {
        let digits = path.rsplit_once('@').map(|(_, d)| d);
        return Transport::Mmio { base: digits.and_then(|d| u64::from_str_radix(d, 16).ok()) };
    }
    let revision = proxy.child("revision").and_then(Node::as_u64).and_then(|r| u32::try_from(r).ok());
    Transport::Ccw { number: path.trim_start_matches('/').into(), revision }
}

/// Returns the device type from the section's name, or from the transport if the name is unknown.
fn kind(section: &Section<'_>, proxy: &Node) -> Kind {
    let own = section.idstr.exact().rsplit('/').next().unwrap_or_default();
    let by_name = || kinds::by_name(own).or_else(|| kinds::by_name(section.vmsd.exact()));
    let by_pci = || {
        let config = proxy.child("pci_dev")?.record()?.fields.iter().find(|f| f.ty.exact() == "pci config")?;
        let r = Registers::little(config.as_bytes()?);
        kinds::by_pci(r.u16(0), r.u16(2), r.u16(0x2e))
    };
    let by_channel = || {
        let mut model = None;
        proxy.walk(&mut |_, n| {
            if n.name == "cu_model" {
                model = n.as_u64();
            }
            model.is_none()
        });
        kinds::by_id(u16::try_from(model?).ok()?)
    };
    by_name().or_else(by_pci).or_else(by_channel).unwrap_or(kinds::UNKNOWN)
}
