//! A request in flight: the memory image of a structure, in the layout and byte order of the host that wrote it
//! (`qemu_put_virtqueue_element` in `hw/virtio/virtio.c`, `VirtQueueElementOld`).
//!
//! | bytes (64-bit host) | what |
//! |---|---|
//! | 4 | be32 number of descriptors, only where the host offers packed rings |
//! | 4, 4, 4, 4 | index, out_num, in_num, padding |
//! | 1024 × 8, 1024 × 8 | guest addresses of the in and the out buffers |
//! | 1024 × 16, 1024 × 16 | for each a pointer (always 0) and a length |

use crate::error::{Error, Result};
use crate::interp::custom::Builder;
use crate::offset::Sure;

/// Buffers that an element has room for (`VIRTQUEUE_MAX_SIZE`).
const MAX_BUFFERS: u64 = 1024;
/// Length of the image without the number of descriptors.
const IMAGE: usize = 16 + 2 * 1024 * 8 + 2 * 1024 * 16;

/// Reads an element as a structure of this name.
pub(in crate::interp::custom) fn read(b: &mut Builder<'_>, name: &str, packed: bool) -> Result<()> {
    b.group(name, |b| {
        if packed {
            b.be32("ndescs")?;
        }
        let image = b.peek(IMAGE)?;
        let at = b.offset();
        let little = counts(image, u32::from_le_bytes);
        if !little && !counts(image, u32::from_be_bytes) {
            let why = "virtqueue element: expected at most 1024 buffers in either byte order, found more";
            return Err(Error::corrupt(at, why));
        }
        b.host_uint("index", 4, little)?;
        let out_num = b.host_uint("out_num", 4, little)?;
        let in_num = b.host_uint("in_num", 4, little)?;
        b.bytes("padding", 4)?;
        for (name, count) in [("in_addr", in_num), ("out_addr", out_num)] {
            table(b, name, count, 8, |b| b.host_uint(name, 8, little).map(drop))?;
        }
        for (name, count) in [("in_sg", in_num), ("out_sg", out_num)] {
            table(b, name, count, 16, |b| {
                b.group(name, |b| {
                    b.host_uint("iov_base", 8, little)?;
                    b.host_uint("iov_len", 8, little).map(drop)
                })
            })?;
        }
        Ok(())
    })
}

/// Returns whether the three numbers at the front make sense in a byte order.
fn counts(image: &[u8], order: fn([u8; 4]) -> u32) -> bool {
    image.chunks_exact(4).take(3).all(|c| {
        let v = c.try_into().map(order).unwrap_or(u32::MAX);
        u64::from(v) <= MAX_BUFFERS * 32
    }) && image.chunks_exact(4).skip(1).take(2).all(|c| {
        let v = c.try_into().map(order).unwrap_or(u32::MAX);
        u64::from(v) <= MAX_BUFFERS
    })
}

/// Reads the `count` entries in use, and the rest of the table as bytes.
fn table(
    b: &mut Builder<'_>,
    name: &str,
    count: u64,
    width: u64,
    mut entry: impl FnMut(&mut Builder<'_>) -> Result<()>,
) -> Result<()> {
    b.array(name, |b| (0..count).try_for_each(|_| entry(b)))?;
    let unused = MAX_BUFFERS.minus(count).times(width);
    b.bytes(&format!("{name}.unused"), usize::try_from(unused).unwrap_or(usize::MAX)).map(drop)
}

#[cfg(test)]
pub(in crate::interp::custom) fn image(index: u32, out: &[(u64, u64)], in_: &[(u64, u64)], little: bool) -> Vec<u8> {
    let mut v = Vec::new();
    let mut put = |x: u64, n: usize| {
        let bytes = x.to_le_bytes();
        if little { v.extend(&bytes[..n]) } else { v.extend(bytes[..n].iter().rev()) }
    };
    put(index.into(), 4);
    put(out.len() as u64, 4);
    put(in_.len() as u64, 4);
    put(0, 4);
    for side in [in_, out] {
        (0..1024).for_each(|i| put(side.get(i).map_or(0, |b| b.0), 8));
    }
    for side in [in_, out] {
        for i in 0..1024 {
            put(0, 8);
            put(side.get(i).map_or(0, |b| b.1), 8);
        }
    }
    v
}
