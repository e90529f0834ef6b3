//! The network device: vmsd `virtio-net-device` (`vmstate_virtio_net_device` in `hw/net/virtio-net.c`).
//!
//! | bytes | what |
//! |---|---|
//! | 6, 4, 4, 2, 1, 1 | mac, vqs\[0\].tx_waiting, mergeable_rx_bufs, status, promisc, allmulti |
//! | 4, n × 6 | mac_table.in_use, mac_table.macs |
//! | 512, 4 | vlans (a bitmap of host words), has_vnet_hdr |
//! | 6 × 1, 1 | multi_overflow, uni_overflow, alluni, nomulti, nouni, nobcast, has_ufo |
//! | 2, 2, (n − 1) × 4 | with more than one pair of queues: max_queue_pairs, curr_queue_pairs, tx_waiting of the others |
//! | 8 | curr_guest_offloads, where CTRL_GUEST_OFFLOADS was negotiated |
//! | … | subsections `virtio-net-device/rss`, `virtio-net-device/backend` |

use crate::error::{Error, Result};
use crate::interp::custom::{Builder, chunks};
use crate::offset::Sure;

use super::Common;
use super::subsections::unknown_subsection;

const CTRL_GUEST_OFFLOADS: u32 = 1 << 2;
const VLANS: usize = 4096 / 8;
const RSS_KEY: usize = 40;
const PREFIX: &str = "virtio-net-device/";

pub(super) fn read(b: &mut Builder<'_>, c: &Common) -> Result<()> {
    b.bytes("mac", 6)?;
    b.be32("vqs[0].tx_waiting")?;
    b.be32("mergeable_rx_bufs")?;
    b.be16("status")?;
    b.u8("promisc")?;
    b.u8("allmulti")?;
    let n = b.be32("mac_table.in_use")?;
    let macs = usize::try_from(n).unwrap_or(usize::MAX).saturating_mul(6);
    b.bytes("mac_table.macs", macs)?;
    b.bytes("vlans", VLANS)?;
    b.be32("has_vnet_hdr")?;
    for name in ["mac_table.multi_overflow", "mac_table.uni_overflow", "alluni", "nomulti", "nouni", "nobcast"] {
        b.u8(name)?;
    }
    b.u8("has_ufo")?;
    let offloads = c.guest_features & CTRL_GUEST_OFFLOADS != 0;
    // whether there can be several pairs is not in the stream: with one, only the offloads are left
    let fixed = if offloads { 8 } else { 0 };
    if before_subsections(b)? > fixed {
        let at = b.offset();
        let max = b.be16("max_queue_pairs")?;
        let curr = b.be16("curr_queue_pairs")?;
        if curr == 0 || curr > max {
            return Err(Error::corrupt(at, format!("queue pairs: expected 1 to {max} in use, found {curr}")));
        }
        b.uints("vqs[1..].tx_waiting", usize::from(curr).saturating_sub(1), 4)?;
    }
    if offloads {
        b.be64("curr_guest_offloads")?;
    }
    while let Some((name, version)) = b.peek_subsection() {
        match &*name {
            "virtio-net-device/rss" => b.subsection(&name, |b, _| rss(b, version))?,
            "virtio-net-device/backend" => b.subsection(&name, |b, _| b.group("backend", chunks::read))?,
            _ => return Err(unknown_subsection(b, &name)),
        }
    }
    Ok(())
}

/// Returns the number of bytes before this device's first subsection.
fn before_subsections(b: &Builder<'_>) -> Result<usize> {
    let data = b.peek(b.remaining())?;
    let starts = |w: &[u8]| w.first() == Some(&0x05) && w.get(2..) == Some(PREFIX.as_bytes());
    Ok(data.windows(PREFIX.len().plus(2)).position(starts).unwrap_or(data.len()))
}

/// Since version 2 (after QEMU 10.0) the hash types that the backend supports are there too.
fn rss(b: &mut Builder<'_>, version: u32) -> Result<()> {
    b.bool("rss_data.enabled")?;
    b.bool("rss_data.redirect")?;
    b.bool("rss_data.populate_hash")?;
    if version >= 2 {
        b.be32("rss_data.runtime_hash_types")?;
        b.be32("rss_data.supported_hash_types")?;
    } else {
        b.be32("rss_data.hash_types")?;
    }
    let n = b.be16("rss_data.indirections_len")?;
    b.be16("rss_data.default_queue")?;
    b.bytes("rss_data.key", RSS_KEY)?;
    b.uints("rss_data.indirections_table", n.into(), 2)
}
