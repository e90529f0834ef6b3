//! The resources of a virtio GPU (`hw/display/virtio-gpu.c`).
//!
//! `virtio-gpu` (`virtio_gpu_save`): for each resource, and then be32 0 and the vmsd `virtio-gpu-scanouts`, which the
//! description leaves out:
//!
//! | bytes | what |
//! |---|---|
//! | 4 × 4 | resource_id (not 0), width, height, format |
//! | 4, n × 12 | iov_cnt, n × { be64 guest address, be32 length } |
//! | 4 × width × height | the pixels, four bytes each in all formats |
//!
//! `blob` (`virtio_gpu_blob_save`, after QEMU 7.2): for each blob resource resource_id, blob_size, iov_cnt and the
//! buffers as above, without content; then be32 0.
//!
//! A scanout has 40 bytes, and 24 more about its framebuffer in machine types of 9.x and later; the length decides.

use super::{Builder, FieldContext};
use crate::error::{Error, Result};
use crate::offset::Sure;

/// Scanouts that a device can have (`VIRTIO_GPU_MAX_SCANOUTS`).
const MAX_SCANOUTS: u32 = 16;
const BYTES_PER_PIXEL: u64 = 4;

pub(super) fn resources(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    list(b, |b| {
        b.be32("resource_id")?;
        let width = b.be32("width")?;
        let height = b.be32("height")?;
        b.be32("format")?;
        buffers(b)?;
        let n = u64::from(width).saturating_mul(height.into()).saturating_mul(BYTES_PER_PIXEL);
        b.bytes("image", usize::try_from(n).unwrap_or(usize::MAX)).map(drop)
    })?;
    b.vmsd("scanouts", "virtio-gpu-scanouts", 1, scanouts)
}

pub(super) fn blobs(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    list(b, |b| {
        b.be32("resource_id")?;
        b.be32("blob_size")?;
        buffers(b)
    })
}

fn list(b: &mut Builder<'_>, resource: impl Fn(&mut Builder<'_>) -> Result<()>) -> Result<()> {
    b.array("reslist", |b| {
        while b.peek(4)? != [0; 4] {
            b.group("reslist", &resource)?;
        }
        Ok(())
    })?;
    b.be32("end").map(drop)
}

fn buffers(b: &mut Builder<'_>) -> Result<()> {
    let n = b.be32("iov_cnt")?;
    b.array("iov", |b| {
        (0..n).try_for_each(|_| {
            b.group("iov", |b| {
                b.be64("addr")?;
                b.be32("iov_len").map(drop)
            })
        })
    })
}

fn scanouts(b: &mut Builder<'_>) -> Result<()> {
    b.int("parent_obj.enable", 4)?;
    let at = b.offset();
    let n = b.be32("parent_obj.conf.max_outputs")?;
    if n > MAX_SCANOUTS {
        return Err(Error::corrupt(at, format!("scanouts: expected at most {MAX_SCANOUTS}, found {n}")));
    }
    let framebuffer = b.remaining() as u64 > u64::from(n).times(40);
    b.array("parent_obj.scanout", |b| {
        (0..n).try_for_each(|_| b.vmsd("parent_obj.scanout", "virtio-gpu-one-scanout", 1, |b| scanout(b, framebuffer)))
    })
}

fn scanout(b: &mut Builder<'_>, framebuffer: bool) -> Result<()> {
    b.be32("resource_id")?;
    b.be32("width")?;
    b.be32("height")?;
    b.int("x", 4)?;
    b.int("y", 4)?;
    for name in ["cursor.resource_id", "cursor.hot_x", "cursor.hot_y", "cursor.pos.x", "cursor.pos.y"] {
        b.be32(name)?;
    }
    if framebuffer {
        for name in ["fb.format", "fb.bytes_pp", "fb.width", "fb.height", "fb.stride", "fb.offset"] {
            b.be32(name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::interp::custom::testing::{decode, fails};

    fn words(w: &[u32]) -> Vec<u8> {
        w.iter().flat_map(|v| v.to_be_bytes()).collect()
    }

    #[test]
    fn scanouts_of_both_lengths() {
        for (n, fb) in [(10, false), (16, true)] {
            let mut w = vec![0, 1, 2];
            w.extend((0..2 * n).map(|_| 7));
            let node = decode("virtio-gpu", &words(&w));
            let s = node.child("scanouts").unwrap().child("parent_obj.scanout").unwrap().elements();
            assert_eq!(s.len(), 2);
            assert_eq!(s.get(0).unwrap().child("fb.stride").is_some(), fb);
        }
        fails("virtio-gpu", &words(&[0, 1, 17]), "scanouts");
    }

    #[test]
    fn resources_with_buffers_and_pixels() {
        let mut w = vec![5, 2, 3, 1, 1, 0, 0x1000, 24];
        w.extend([9; 6]);
        w.extend([0, 1, 0]);
        let node = decode("virtio-gpu", &words(&w));
        let r = &node.child("reslist").unwrap().elements().get(0).unwrap();
        assert_eq!(r.child("image").unwrap().range.len(), 24);
        assert_eq!(r.child("iov").unwrap().elements().get(0).unwrap().child("addr").unwrap().as_u64(), Some(0x1000));
        fails("virtio-gpu", &words(&[5, u32::MAX, u32::MAX, 1, 0, 0]), "before the end");
        fails("virtio-gpu", &words(&[5, 1, 1, 1, u32::MAX, 0]), "before the end");
    }

    #[test]
    fn blobs_have_no_content() {
        let node = decode("blob", &words(&[5, 4096, 1, 0, 0x1000, 4096, 0]));
        assert_eq!(
            node.child("reslist").unwrap().elements().get(0).unwrap().child("blob_size").unwrap().as_u64(),
            Some(4096)
        );
        assert!(decode("blob", &words(&[0])).child("reslist").unwrap().elements().is_empty());
    }
}
