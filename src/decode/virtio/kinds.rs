//! Kinds of virtio devices (virtio 1.3, section 5).

/// A kind of device: its number and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The number in the specification; 0 where the kind is not known.
    pub id: u16,
    /// The name, as QEMU calls the device.
    pub name: &'static str,
}

static KINDS: &[Kind] = &[
    Kind { id: 1, name: "virtio-net" },
    Kind { id: 2, name: "virtio-blk" },
    Kind { id: 3, name: "virtio-serial" },
    Kind { id: 4, name: "virtio-rng" },
    Kind { id: 5, name: "virtio-balloon" },
    Kind { id: 8, name: "virtio-scsi" },
    Kind { id: 9, name: "virtio-9p" },
    Kind { id: 16, name: "virtio-gpu" },
    Kind { id: 18, name: "virtio-input" },
    Kind { id: 19, name: "virtio-vsock" },
    Kind { id: 20, name: "virtio-crypto" },
    Kind { id: 23, name: "virtio-iommu" },
    Kind { id: 24, name: "virtio-mem" },
    Kind { id: 25, name: "virtio-sound" },
    Kind { id: 26, name: "virtio-fs" },
    Kind { id: 27, name: "virtio-pmem" },
    Kind { id: 29, name: "virtio-mac80211-hwsim" },
    Kind { id: 34, name: "virtio-i2c" },
    Kind { id: 36, name: "virtio-bluetooth" },
    Kind { id: 41, name: "virtio-gpio" },
];

/// What is said of a kind that is not known.
pub(super) const UNKNOWN: Kind = Kind { id: 0, name: "virtio" };

/// Sections and vmsds that have another name than the device, and those of vhost.
static OTHER_NAMES: &[(&str, u16)] = &[
    ("virtio-console", 3),
    ("virtio-snd", 25),
    ("vhost-vsock", 19),
    ("vhost-scsi", 8),
    ("vhost-user-fs", 26),
    ("vhost-user-gpu", 16),
    ("vhost-user-vsock", 19),
    ("vhost-user-blk", 2),
    ("vhost-user-input", 18),
    ("vhost-user-rng", 4),
    ("vhost-user-scsi", 8),
    ("vhost-user-snd", 25),
    ("vhost-vdpa-device", 0),
    ("virtio-9p-device", 9),
    ("virtio-vhost_vsock", 19),
];

/// Finds a kind by its number.
pub(super) fn by_id(id: u16) -> Option<Kind> {
    KINDS.iter().find(|k| k.id == id).copied()
}

/// Finds a kind by the name of a section or a vmsd.
pub(super) fn by_name(name: &str) -> Option<Kind> {
    let other = || OTHER_NAMES.iter().find(|(n, _)| *n == name).and_then(|(_, id)| by_id(*id));
    KINDS.iter().find(|k| k.name == name).copied().or_else(other)
}

/// Finds the kind of device that a section is of, by its name or that of its vmsd.
#[must_use]
pub fn of_section(idstr: &str, vmsd: &str) -> Option<Kind> {
    by_name(idstr.rsplit('/').next().unwrap_or_default()).or_else(|| by_name(vmsd))
}

/// Finds a kind by the identity of a PCI device: modern ones have 0x1040 and the kind, transitional ones the kind as the
/// number of the subsystem.
pub(super) fn by_pci(vendor: u16, device: u16, subsystem: u16) -> Option<Kind> {
    match (vendor, device) {
        (0x1af4, 0x1000..=0x103f) => by_id(subsystem),
        (0x1af4, 0x1040..=0x107f) => by_id(device.wrapping_sub(0x1040)),
        _ => None,
    }
}
