//! Device configuration spaces, by kind (virtio 1.3, section 5).

use crate::text::Name;
use std::borrow::Cow;

use super::super::section::Registers;

/// How a field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Number,
    Mac,
    Text,
}

/// A field of a configuration space, or of what a device remembers by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigField {
    /// Its name in the specification, or QEMU's.
    pub name: Cow<'static, str>,
    /// What it holds.
    pub value: ConfigValue,
}

/// What a field of a configuration space holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigValue {
    /// A number and its width in bytes.
    Number(u64, u8),
    /// An Ethernet address.
    Mac([u8; 6]),
    /// Text.
    Text(Name),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl ConfigValue {
    /// Returns whether it is empty: only zeros, no text.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Number(n, _) => *n == 0,
            Self::Mac(m) => *m == [0; 6],
            Self::Text(t) => t.is_empty(),
            Self::Bytes(b) => b.iter().all(|b| *b == 0),
        }
    }
}

type Field = (&'static str, usize, usize, Form);

const fn n(name: &'static str, at: usize, len: usize) -> Field {
    (name, at, len, Form::Number)
}

static NET: &[Field] = &[
    ("mac", 0, 6, Form::Mac),
    n("status", 6, 2),
    n("max_virtqueue_pairs", 8, 2),
    n("mtu", 10, 2),
    n("speed", 12, 4),
    n("duplex", 16, 1),
    n("rss_max_key_size", 17, 1),
    n("rss_max_indirection_table_length", 18, 2),
    n("supported_hash_types", 20, 4),
    n("supported_tunnel_types", 24, 4),
];

static BLK: &[Field] = &[
    n("capacity", 0, 8),
    n("size_max", 8, 4),
    n("seg_max", 12, 4),
    n("geometry.cylinders", 16, 2),
    n("geometry.heads", 18, 1),
    n("geometry.sectors", 19, 1),
    n("blk_size", 20, 4),
    n("physical_block_exp", 24, 1),
    n("alignment_offset", 25, 1),
    n("min_io_size", 26, 2),
    n("opt_io_size", 28, 4),
    n("writeback", 32, 1),
    n("num_queues", 34, 2),
    n("max_discard_sectors", 36, 4),
    n("max_discard_seg", 40, 4),
    n("discard_sector_alignment", 44, 4),
    n("max_write_zeroes_sectors", 48, 4),
    n("max_write_zeroes_seg", 52, 4),
    n("write_zeroes_may_unmap", 56, 1),
    n("max_secure_erase_sectors", 60, 4),
    n("max_secure_erase_seg", 64, 4),
    n("secure_erase_sector_alignment", 68, 4),
    n("zoned.zone_sectors", 72, 4),
    n("zoned.max_open_zones", 76, 4),
    n("zoned.max_active_zones", 80, 4),
    n("zoned.max_append_sectors", 84, 4),
    n("zoned.write_granularity", 88, 4),
    n("zoned.model", 92, 1),
];

static SERIAL: &[Field] = &[n("cols", 0, 2), n("rows", 2, 2), n("max_nr_ports", 4, 4), n("emerg_wr", 8, 4)];

static BALLOON: &[Field] =
    &[n("num_pages", 0, 4), n("actual", 4, 4), n("free_page_hint_cmd_id", 8, 4), n("poison_val", 12, 4)];

static SCSI: &[Field] = &[
    n("num_queues", 0, 4),
    n("seg_max", 4, 4),
    n("max_sectors", 8, 4),
    n("cmd_per_lun", 12, 4),
    n("event_info_size", 16, 4),
    n("sense_size", 20, 4),
    n("cdb_size", 24, 4),
    n("max_channel", 28, 2),
    n("max_target", 30, 2),
    n("max_lun", 32, 4),
];

static GPU: &[Field] = &[
    n("events_read", 0, 4),
    n("events_clear", 4, 4),
    n("num_scanouts", 8, 4),
    n("num_capsets", 12, 4),
    n("blob_alignment", 16, 4),
];

static VSOCK: &[Field] = &[n("guest_cid", 0, 8)];

static CRYPTO: &[Field] = &[
    n("status", 0, 4),
    n("max_dataqueues", 4, 4),
    n("crypto_services", 8, 4),
    n("cipher_algo_l", 12, 4),
    n("cipher_algo_h", 16, 4),
    n("hash_algo", 20, 4),
    n("mac_algo_l", 24, 4),
    n("mac_algo_h", 28, 4),
    n("aead_algo", 32, 4),
    n("max_cipher_key_len", 36, 4),
    n("max_auth_key_len", 40, 4),
    n("akcipher_algo", 44, 4),
    n("max_size", 48, 8),
];

static IOMMU: &[Field] = &[
    n("page_size_mask", 0, 8),
    n("input_range.start", 8, 8),
    n("input_range.end", 16, 8),
    n("domain_range.start", 24, 4),
    n("domain_range.end", 28, 4),
    n("probe_size", 32, 4),
    n("bypass", 36, 1),
];

static MEM: &[Field] = &[
    n("block_size", 0, 8),
    n("node_id", 8, 2),
    n("addr", 16, 8),
    n("region_size", 24, 8),
    n("usable_region_size", 32, 8),
    n("plugged_size", 40, 8),
    n("requested_size", 48, 8),
];

static PMEM: &[Field] = &[n("start", 0, 8), n("size", 8, 8)];
static SOUND: &[Field] = &[n("jacks", 0, 4), n("streams", 4, 4), n("chmaps", 8, 4), n("controls", 12, 4)];
static FS: &[Field] = &[("tag", 0, 36, Form::Text), n("num_request_queues", 36, 4), n("notify_buf_size", 40, 4)];

/// What the input device shows at the moment: the bytes of one item.
fn input(r: Registers<'_>) -> Vec<ConfigField> {
    let (select, subsel, size) = (r.u8(0), r.u8(1), r.u8(2));
    let data = r.bytes(8, usize::from(size));
    let value = match select {
        // name and serial number
        1 | 2 => ConfigValue::Text(text(data)),
        _ => ConfigValue::Bytes(data.to_vec()),
    };
    let number = |name: &'static str, v: u8| ConfigField { name: name.into(), value: ConfigValue::Number(v.into(), 1) };
    vec![
        number("select", select),
        number("subsel", subsel),
        number("size", size),
        ConfigField { name: "data".into(), value },
    ]
}

fn text(bytes: &[u8]) -> Name {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    Name::from_bytes(bytes.get(..end).unwrap_or_default())
}

/// Returns whether QEMU keeps a kind's configuration space little-endian for every guest: balloons by tradition
/// (`virtio_balloon_get_config`), the newer kinds since they never were anything else.
pub(super) const fn is_always_little(kind: u16) -> bool {
    matches!(kind, 5 | 16 | 18 | 20 | 23 | 24 | 25)
}

/// Decodes a configuration space; fields beyond its end are left out.
pub(super) fn fields(kind: u16, r: Registers<'_>) -> Vec<ConfigField> {
    let table = match kind {
        1 => NET,
        2 => BLK,
        3 => SERIAL,
        5 => BALLOON,
        8 => SCSI,
        9 => {
            let tag = text(r.bytes(2, usize::from(r.u16(0))));
            return vec![ConfigField { name: "mount_tag".into(), value: ConfigValue::Text(tag) }];
        }
        16 => GPU,
        18 => return input(r),
        19 => VSOCK,
        20 => CRYPTO,
        23 => IOMMU,
        24 => MEM,
        25 => SOUND,
        26 => FS,
        27 => PMEM,
        _ => &[],
    };
    let field = |&(name, at, len, form): &Field| {
        let value = match (form, len) {
            (Form::Mac, _) => ConfigValue::Mac(r.array(at)),
            (Form::Text, _) => ConfigValue::Text(text(r.bytes(at, len))),
            (Form::Number, 1) => ConfigValue::Number(r.u8(at).into(), 1),
            (Form::Number, 2) => ConfigValue::Number(r.u16(at).into(), 2),
            (Form::Number, 4) => ConfigValue::Number(r.u32(at).into(), 4),
            (Form::Number, 8) => ConfigValue::Number(r.u64(at), 8),
            (Form::Number, _) => ConfigValue::Bytes(r.bytes(at, len).to_vec()),
        };
        ConfigField { name: name.into(), value }
    };
    table.iter().filter(|(_, at, len, _)| r.has(*at, *len)).map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_space_has_fewer_fields() {
        let c = [0x52, 0x54, 0, 1, 2, 3, 1, 0];
        let got = fields(1, Registers::little(&c));
        assert_eq!(got.len(), 2);
        assert_eq!(got[0].value, ConfigValue::Mac([0x52, 0x54, 0, 1, 2, 3]));
        assert_eq!(got[1].value, ConfigValue::Number(1, 2));
        assert_eq!(fields(1, Registers::new(&c, true))[1].value, ConfigValue::Number(0x100, 2));
        assert_eq!(fields(9, Registers::little(&[2, 0, b'h', b'i']))[0].value, ConfigValue::Text("hi".into()));
        assert_eq!(fields(9, Registers::little(&[9, 0, b'h'])).len(), 1);
    }
}
