//! What a virtio device writes itself, between the queues and the subsections: by a function of its own, or by a vmsd that
//! the description leaves out.
//!
//! | section | written | by |
//! |---|---|---|
//! | `virtio-blk` | { s8 1, \[be32 queue, with more than one\], element }, s8 0 | `virtio_blk_save_device` |
//! | `virtio-balloon` | be32 num_pages, be32 actual; subsections | `vmstate_virtio_balloon_device` |
//! | `virtio-mem` | \[be64 addr, region_size, block_size, be32 node\], be64 usable_region_size, \[be64 size\], be64 requested_size, \[bitmap\]; without the brackets where a section `virtio-mem-early` has them | `vmstate_virtio_mem_device` |
//! | `virtio-iommu` | tree of domains, u8 bypass (in 7.2, not in 5.2) | `vmstate_virtio_iommu_device` |
//! | `virtio-net`, `virtio-console` | see [`net`], [`serial`] | |
//! | all others | nothing | |

use crate::error::{Error, ErrorKind, Result};
use crate::interp::builder::{Frame, structure};
use crate::interp::custom::Builder;
use crate::value::{FieldType, Value};

use super::subsections::unknown_subsection;
use super::{Common, element, net, serial};

/// Reads the device's part, for which `n` bytes would be left; returns whether it could be decoded.
pub(super) fn part(b: &mut Builder<'_>, n: usize, c: &Common) -> Result<bool> {
    type Read = fn(&mut Builder<'_>, &Common) -> Result<()>;
    let device = b.idstr().rsplit('/').next().unwrap_or_default().to_owned();
    let (vmsd, read): (&str, Read) = match &*device {
        "virtio-net" => ("virtio-net-device", net::read),
        "virtio-blk" => ("", blk),
        "virtio-balloon" => ("virtio-balloon-device", balloon),
        "virtio-console" | "virtio-serial" => ("", serial::read),
        "virtio-mem" => ("virtio-mem-device", mem),
        "virtio-iommu" => ("virtio-iommu-device", iommu),
        _ => ("", nothing),
    };
    if n == 0 && read as usize == nothing as Read as usize {
        return Ok(true);
    }
    b.part("device", vmsd, n, |b| read(b, c))
}

fn nothing(b: &mut Builder<'_>, _: &Common) -> Result<()> {
    let why = format!("{}: expected no bytes between queues and subsections, found {} bytes", b.idstr(), b.remaining());
    Err(Error::new(ErrorKind::Unsupported, why).at(b.offset()))
}

fn blk(b: &mut Builder<'_>, c: &Common) -> Result<()> {
    b.array("rq", |b| {
        while b.peek(1)? == [1] {
            b.group("rq", |b| {
                b.int("more", 1)?;
                if c.queues > 1 {
                    b.be32("queue")?;
                }
                element::read(b, "elem", c.packed)
            })?;
        }
        Ok(())
    })?;
    let at = b.offset();
    match b.int("more", 1)? {
        0 => Ok(()),
        v => Err(Error::corrupt(at, format!("mark of a block request: expected 0 or 1, found {v}"))),
    }
}

fn balloon(b: &mut Builder<'_>, _: &Common) -> Result<()> {
    b.be32("num_pages")?;
    b.be32("actual")?;
    while let Some((name, _)) = b.peek_subsection() {
        match &*name {
            "virtio-balloon-device/free-page-report" => b.subsection(&name, |b, _| {
                b.be32("free_page_hint_cmd_id")?;
                b.be32("free_page_hint_status").map(drop)
            })?,
            // QEMU 5.2 spells it wrongly
            "virtio-balloon-device/page-poison" | "vitio-balloon-device/page-poison" => {
                b.subsection(&name, |b, _| b.be32("poison_val").map(drop))?
            }
            _ => return Err(unknown_subsection(b, &name)),
        }
    }
    Ok(())
}

fn mem(b: &mut Builder<'_>, _: &Common) -> Result<()> {
    const EARLY: usize = 16;
    const SANITY: usize = 28;
    let total = b.remaining();
    if total == EARLY {
        b.be64("usable_region_size")?;
        return b.be64("requested_size").map(drop);
    }
    // the checks were added to the device later: without them the bitmap's words follow 24 bytes
    let checked = total % 8 == SANITY % 8;
    if checked {
        b.vmsd("tmp", "virtio-mem-device/sanity-checks", 0, |b| {
            b.be64("addr")?;
            b.be64("region_size")?;
            b.be64("block_size")?;
            b.be32("node").map(drop)
        })?;
    }
    b.be64("usable_region_size")?;
    b.be64("size")?;
    b.be64("requested_size")?;
    let n = b.remaining();
    b.typed(&"bitmap".into(), &FieldType::new("bitmap"), n, |_, blob| (Value::Bytes(blob), None))
}

/// Domains as a tree of be64 keys; in each a tree of mappings by interval, and a list of endpoints.
///
/// `bypass` for each domain and for the device was added between QEMU 5.2 and 7.2: both layouts are tried, and the
/// one that ends with the device's part is right.
fn iommu(b: &mut Builder<'_>, _: &Common) -> Result<()> {
    if b.attempt(|b| domains(b, true)).unwrap_or(false) || b.attempt(|b| domains(b, false)).unwrap_or(false) {
        return Ok(());
    }
    domains(b, true).map(drop)
}

fn domains(b: &mut Builder<'_>, bypass: bool) -> Result<bool> {
    tree(b, "domains", |b| {
        b.be64("key")?;
        b.vmsd("value", "domain", if bypass { 2 } else { 1 }, |b| {
            b.be32("id")?;
            tree(b, "mappings", |b| {
                b.vmsd("key", "interval", 1, |b| {
                    b.be64("low")?;
                    b.be64("high").map(drop)
                })?;
                b.vmsd("value", "mapping", 1, |b| {
                    b.be64("phys_addr")?;
                    b.be32("flags").map(drop)
                })
            })?;
            list(b, "endpoint_list", "qlist", 0, |b| b.be32("id").map(drop))?;
            if bypass {
                b.bool("bypass")?;
            }
            Ok(())
        })
    })?;
    if bypass {
        b.u8("config.bypass")?;
    }
    Ok(b.remaining() == 0)
}

fn tree(b: &mut Builder<'_>, name: &str, element: impl FnMut(&mut Builder<'_>) -> Result<()>) -> Result<()> {
    list(b, name, "gtree", 4, element)
}

/// Reads `header` bytes of framing, elements each preceded by a byte 1, and a byte 0.
fn list(
    b: &mut Builder<'_>,
    name: &str,
    ty: &str,
    header: usize,
    mut element: impl FnMut(&mut Builder<'_>) -> Result<()>,
) -> Result<()> {
    b.framed(
        Frame::new(name).ty(ty).header(header),
        |b| loop {
            match b.peek(1)? {
                [0] => return b.skip_header(1),
                [1] => b.framed(Frame::new(name).header(1), &mut element, structure)?,
                other => {
                    return Err(Error::corrupt(b.offset(), format!("list mark: expected 0 or 1, found {other:02x?}")));
                }
            }
        },
        |r| Value::Array(r.fields),
    )
}
