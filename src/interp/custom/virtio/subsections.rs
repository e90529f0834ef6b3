//! The subsections at the end of a virtio blob: vmsd `virtio` v1, which has no fields (`vmstate_virtio` in
//! `hw/virtio/virtio.c`); with them the transport's newer state (`vmstate_virtio_pci` in `hw/virtio/virtio-pci.c`,
//! `vmstate_virtio_mmio` in `hw/virtio/virtio-mmio.c`).
//!
//! | name | payload |
//! |---|---|
//! | `virtio/device_endian` | u8: 1 little, 2 big |
//! | `virtio/64bit_features` `virtio/128bit_features` | be64 |
//! | `virtio/virtqueues` | 1024 × { be64 avail, be64 used } |
//! | `virtio/ringsize` | 1024 × be32 |
//! | `virtio/packed_virtqueues` | 1024 × 10 |
//! | `virtio/extra_state` | `virtio_pci/modern_state` (28688), in it `virtio_pci/modern_state/features128`; or `virtio_mmio/state` (27656) |
//! | `virtio/broken` `virtio/started` `virtio/disabled` | u8 |

use crate::error::{Error, ErrorKind, Result};
use crate::interp::custom::Builder;
use crate::offset::Sure;
use crate::value::FieldType;

use super::MAX_QUEUES;

/// Places where the subsections could begin that are looked at; only forged blobs have more.
const MAX_STARTS: usize = 16;
/// Subsections that can follow each other; QEMU has 10.
const MAX_CHAIN: usize = 32;

const PCI_STATE: &str = "virtio_pci/modern_state";
const PCI_FEATURES: &str = "virtio_pci/modern_state/features128";
const MMIO_STATE: &str = "virtio_mmio/state";

/// Returns the length of a subsection's own fields; `None` for an unknown subsection.
fn own_length(name: &str) -> Option<usize> {
    Some(match name {
        "virtio/device_endian" | "virtio/broken" | "virtio/started" | "virtio/disabled" => 1,
        "virtio/64bit_features" | "virtio/128bit_features" => 8,
        "virtio/virtqueues" => 16 * MAX_QUEUES,
        "virtio/ringsize" => 4 * MAX_QUEUES,
        "virtio/packed_virtqueues" => 10 * MAX_QUEUES,
        "virtio/extra_state" => 0,
        PCI_STATE => 16 + 28 * MAX_QUEUES,
        PCI_FEATURES => 16,
        MMIO_STATE => 8 + 27 * MAX_QUEUES,
        _ => return None,
    })
}

/// Returns the name of the subsection that begins at the front of `data`, and the length of its framing.
fn heading(data: &[u8]) -> Option<(&str, usize)> {
    let &[0x05, n, ..] = data else { return None };
    let n = usize::from(n);
    let name = std::str::from_utf8(data.get(2..n.plus(2))?).ok()?;
    let length = n.plus(6);
    let family = ["virtio/", "virtio_pci/", "virtio_mmio/"].iter().any(|f| name.starts_with(f));
    (family && name.bytes().all(|c| c.is_ascii_graphic()) && data.len() >= length).then_some((name, length))
}

/// Returns the length of the subsection at the front of `data` without what may follow it inside its parent.
fn length(data: &[u8]) -> Option<usize> {
    let (name, framing) = heading(data)?;
    let body = match own_length(name) {
        Some(n) => n,
        // an unknown one extends to the next subsection, or to the end
        None => {
            let body = data.get(framing..).unwrap_or_default();
            (0..body.len()).find(|i| body.get(*i..).is_some_and(|d| heading(d).is_some())).unwrap_or(body.len())
        }
    };
    framing.checked_add(body).filter(|n| *n <= data.len())
}

/// Returns whether subsections fill `data` to its end.
fn fills(mut data: &[u8]) -> bool {
    for _ in 0..MAX_CHAIN {
        if data.is_empty() {
            return true;
        }
        match length(data).and_then(|n| data.get(n..)) {
            Some(rest) => data = rest,
            None => return false,
        }
    }
    false
}

/// Returns the offsets from which subsections of vmsd `virtio` lead to the end, the end itself last.
pub(super) fn starts(data: &[u8]) -> Vec<usize> {
    let mut out = Vec::new();
    for i in 0..data.len() {
        if out.len() >= MAX_STARTS {
            break;
        }
        let Some(rest) = data.get(i..) else { break };
        if heading(rest).is_some_and(|(name, _)| name.starts_with("virtio/")) && fills(rest) {
            out.push(i);
        }
    }
    out.push(data.len());
    out
}

/// Returns whether the host offers packed rings, which only the subsections say.
pub(super) fn offers_packed(data: &[u8]) -> bool {
    const NAME: &[u8] = b"\x05\x18virtio/packed_virtqueues";
    data.windows(NAME.len()).any(|w| w == NAME)
}

/// Reads all that is left.
pub(super) fn read(b: &mut Builder<'_>) -> Result<()> {
    while b.remaining() > 0 {
        one(b)?;
    }
    Ok(())
}

fn one(b: &mut Builder<'_>) -> Result<()> {
    let data = b.peek(b.remaining())?;
    let (name, framing) = heading(data)
        .ok_or_else(|| Error::corrupt(b.offset(), "virtio: expected a subsection or the end, found other bytes"))?;
    let own = length(data).unwrap_or(data.len()).saturating_sub(framing);
    b.subsection(name, |b, _| match name {
        "virtio/device_endian" => b.u8("device_endian").map(drop),
        "virtio/64bit_features" => b.be64("guest_features").map(drop),
        "virtio/128bit_features" => b.be64("guest_features_ex[1]").map(drop),
        "virtio/virtqueues" => queues(b, "vq", |b| {
            b.be64("vring.avail")?;
            b.be64("vring.used").map(drop)
        }),
        "virtio/ringsize" => queues(b, "vq", |b| b.be32("vring.num_default").map(drop)),
        "virtio/packed_virtqueues" => queues(b, "vq", |b| {
            b.be16("last_avail_idx")?;
            b.bool("last_avail_wrap_counter")?;
            b.be16("used_idx")?;
            b.bool("used_wrap_counter")?;
            b.be32("inuse").map(drop)
        }),
        "virtio/extra_state" => extra_state(b),
        "virtio/broken" => b.bool("broken").map(drop),
        "virtio/started" => b.bool("started").map(drop),
        "virtio/disabled" => b.bool("disabled").map(drop),
        PCI_STATE => pci_state(b),
        PCI_FEATURES => b.uints("guest_features", 4, 4),
        MMIO_STATE => mmio_state(b),
        _ => {
            let why = format!("unknown subsection {name}");
            b.note(Error::new(ErrorKind::Unsupported, why.clone()).at(b.offset()));
            b.opaque("undecoded", own, &why);
            Ok(())
        }
    })
}

/// The vmsd of the transport, which has no fields itself.
fn extra_state(b: &mut Builder<'_>) -> Result<()> {
    let vmsd = match heading(b.peek(b.remaining())?) {
        Some((name, _)) if name.starts_with("virtio_pci/") => "virtio_pci",
        Some((name, _)) if name.starts_with("virtio_mmio/") => "virtio_mmio",
        _ => return Ok(()),
    };
    b.vmsd("extra_state", vmsd, 1, |b| {
        while heading(b.peek(b.remaining())?).is_some_and(|(name, _)| name.starts_with(vmsd)) {
            one(b)?;
        }
        Ok(())
    })
}

fn pci_state(b: &mut Builder<'_>) -> Result<()> {
    b.be32("dfselect")?;
    b.be32("gfselect")?;
    b.uints("guest_features", 2, 4)?;
    queues(b, "vqs", |b| {
        b.be16("num")?;
        b.bytes("unused", 1)?;
        b.bool("enabled")?;
        b.uints("desc", 2, 4)?;
        b.uints("avail", 2, 4)?;
        b.uints("used", 2, 4)
    })?;
    while heading(b.peek(b.remaining())?).is_some_and(|(n, _)| n.starts_with("virtio_pci/modern_state/")) {
        one(b)?;
    }
    Ok(())
}

fn mmio_state(b: &mut Builder<'_>) -> Result<()> {
    b.uints("guest_features", 2, 4)?;
    queues(b, "vqs", |b| {
        b.be16("num")?;
        b.bool("enabled")?;
        b.uints("desc", 2, 4)?;
        b.uints("avail", 2, 4)?;
        b.uints("used", 2, 4)
    })
}

fn queues(b: &mut Builder<'_>, name: &str, f: impl Fn(&mut Builder<'_>) -> Result<()>) -> Result<()> {
    b.array_of(name, &FieldType::new("struct"), MAX_QUEUES, |b| b.group(name, &f))
}

/// Returns the error of a subsection of the device that its reader does not know.
pub(super) fn unknown_subsection(b: &Builder<'_>, name: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("unknown subsection {name}")).at(b.offset())
}
