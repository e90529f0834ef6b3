//! Names of feature bits (virtio 1.3, sections 5 and 6, with the legacy ones; `include/standard-headers/linux/virtio_*.h`).

/// Bits that mean the same for every kind.
static COMMON: &[(u32, &str)] = &[
    (24, "NOTIFY_ON_EMPTY"),
    (27, "ANY_LAYOUT"),
    (28, "INDIRECT_DESC"),
    (29, "EVENT_IDX"),
    (32, "VERSION_1"),
    (33, "ACCESS_PLATFORM"),
    (34, "RING_PACKED"),
    (35, "IN_ORDER"),
    (36, "ORDER_PLATFORM"),
    (37, "SR_IOV"),
    (38, "NOTIFICATION_DATA"),
    (39, "NOTIF_CONFIG_DATA"),
    (40, "RING_RESET"),
    (41, "ADMIN_VQ"),
];

/// VERSION_1.
pub const VERSION_1: u32 = 32;
/// RING_EVENT_IDX.
pub const EVENT_IDX: u32 = 29;
/// RING_PACKED.
pub const RING_PACKED: u32 = 34;

static NET: &[(u32, &str)] = &[
    (0, "CSUM"),
    (1, "GUEST_CSUM"),
    (2, "CTRL_GUEST_OFFLOADS"),
    (3, "MTU"),
    (5, "MAC"),
    (6, "GSO"),
    (7, "GUEST_TSO4"),
    (8, "GUEST_TSO6"),
    (9, "GUEST_ECN"),
    (10, "GUEST_UFO"),
    (11, "HOST_TSO4"),
    (12, "HOST_TSO6"),
    (13, "HOST_ECN"),
    (14, "HOST_UFO"),
    (15, "MRG_RXBUF"),
    (16, "STATUS"),
    (17, "CTRL_VQ"),
    (18, "CTRL_RX"),
    (19, "CTRL_VLAN"),
    (20, "CTRL_RX_EXTRA"),
    (21, "GUEST_ANNOUNCE"),
    (22, "MQ"),
    (23, "CTRL_MAC_ADDR"),
    (46, "GUEST_UDP_TUNNEL_GSO"),
    (47, "GUEST_UDP_TUNNEL_GSO_CSUM"),
    (48, "HOST_UDP_TUNNEL_GSO"),
    (49, "HOST_UDP_TUNNEL_GSO_CSUM"),
    (50, "DEVICE_STATS"),
    (51, "VQ_NOTF_COAL"),
    (53, "NOTF_COAL"),
    (54, "GUEST_USO4"),
    (55, "GUEST_USO6"),
    (56, "HOST_USO"),
    (57, "HASH_REPORT"),
    (59, "GUEST_HDRLEN"),
    (60, "RSS"),
    (61, "RSC_EXT"),
    (62, "STANDBY"),
    (63, "SPEED_DUPLEX"),
];

static BLK: &[(u32, &str)] = &[
    (0, "BARRIER"),
    (1, "SIZE_MAX"),
    (2, "SEG_MAX"),
    (4, "GEOMETRY"),
    (5, "RO"),
    (6, "BLK_SIZE"),
    (7, "SCSI"),
    (9, "FLUSH"),
    (10, "TOPOLOGY"),
    (11, "CONFIG_WCE"),
    (12, "MQ"),
    (13, "DISCARD"),
    (14, "WRITE_ZEROES"),
    (15, "LIFETIME"),
    (16, "SECURE_ERASE"),
    (17, "ZONED"),
];

static SERIAL: &[(u32, &str)] = &[(0, "SIZE"), (1, "MULTIPORT"), (2, "EMERG_WRITE")];

static BALLOON: &[(u32, &str)] = &[
    (0, "MUST_TELL_HOST"),
    (1, "STATS_VQ"),
    (2, "DEFLATE_ON_OOM"),
    (3, "FREE_PAGE_HINT"),
    (4, "PAGE_POISON"),
    (5, "REPORTING"),
];

static SCSI: &[(u32, &str)] = &[(0, "INOUT"), (1, "HOTPLUG"), (2, "CHANGE"), (3, "T10_PI")];
static P9: &[(u32, &str)] = &[(0, "MOUNT_TAG")];
static GPU: &[(u32, &str)] = &[
    (0, "VIRGL"),
    (1, "EDID"),
    (2, "RESOURCE_UUID"),
    (3, "RESOURCE_BLOB"),
    (4, "CONTEXT_INIT"),
    (5, "BLOB_ALIGNMENT"),
];
static VSOCK: &[(u32, &str)] = &[(0, "STREAM"), (1, "SEQPACKET"), (2, "NO_IMPLIED_STREAM")];
static CRYPTO: &[(u32, &str)] = &[
    (0, "REVISION_1"),
    (1, "CIPHER_STATELESS_MODE"),
    (2, "HASH_STATELESS_MODE"),
    (3, "MAC_STATELESS_MODE"),
    (4, "AEAD_STATELESS_MODE"),
    (5, "AKCIPHER_STATELESS_MODE"),
];
static IOMMU: &[(u32, &str)] = &[
    (0, "INPUT_RANGE"),
    (1, "DOMAIN_RANGE"),
    (2, "MAP_UNMAP"),
    (3, "BYPASS"),
    (4, "PROBE"),
    (5, "MMIO"),
    (6, "BYPASS_CONFIG"),
];
static MEM: &[(u32, &str)] = &[(0, "ACPI_PXM"), (1, "UNPLUGGED_INACCESSIBLE"), (2, "PERSISTENT_SUSPEND")];
static SOUND: &[(u32, &str)] = &[(0, "CTLS")];
static FS: &[(u32, &str)] = &[(0, "NOTIFICATION")];
static PMEM: &[(u32, &str)] = &[(0, "SHMEM_REGION")];
static GPIO: &[(u32, &str)] = &[(0, "IRQ")];
static I2C: &[(u32, &str)] = &[(0, "ZERO_LENGTH_REQUEST")];

/// Returns the bits of a kind of device.
fn own(kind: u16) -> &'static [(u32, &'static str)] {
    match kind {
        1 => NET,
        2 => BLK,
        3 => SERIAL,
        5 => BALLOON,
        8 => SCSI,
        9 => P9,
        16 => GPU,
        19 => VSOCK,
        20 => CRYPTO,
        23 => IOMMU,
        24 => MEM,
        25 => SOUND,
        26 => FS,
        27 => PMEM,
        34 => I2C,
        41 => GPIO,
        _ => &[],
    }
}

/// Returns the name of a feature bit of a kind of device.
#[must_use]
pub fn name(kind: u16, bit: u32) -> Option<&'static str> {
    own(kind).iter().chain(COMMON).find(|(b, _)| *b == bit).map(|(_, n)| *n)
}

/// A feature that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The bit.
    pub bit: u32,
    /// Its name, where it has one.
    pub name: Option<&'static str>,
}

/// Returns the features that are on, by bit.
pub(super) fn on(kind: u16, low: u64, high: u64) -> Vec<Feature> {
    let bits = u128::from(low) | u128::from(high).wrapping_shl(64);
    let is_set = |bit: &u32| bits.wrapping_shr(*bit) & 1 != 0;
    (0..128).filter(is_set).map(|bit| Feature { bit, name: name(kind, bit) }).collect()
}

/// Returns the name of a bit of the device status.
#[must_use]
pub fn status_name(bit: u32) -> Option<&'static str> {
    STATUS.iter().find(|(b, _)| *b == bit).map(|(_, n)| *n)
}

/// Bits of the device status.
pub(super) static STATUS: &[(u32, &str)] = &[
    (0, "ACKNOWLEDGE"),
    (1, "DRIVER"),
    (2, "DRIVER_OK"),
    (3, "FEATURES_OK"),
    (4, "SUSPEND"),
    (6, "NEEDS_RESET"),
    (7, "FAILED"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_common_names() {
        let names = |kind, low| on(kind, low, 0).iter().map(|f| (f.bit, f.name)).collect::<Vec<_>>();
        assert_eq!(names(1, 1 << 32 | 1 << 5), [(5, Some("MAC")), (32, Some("VERSION_1"))]);
        assert_eq!(names(4, 1 << 5), [(5, None)]);
        assert_eq!(on(1, 0, 1), [Feature { bit: 64, name: None }]);
    }
}
