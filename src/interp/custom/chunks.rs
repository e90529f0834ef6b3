//! Data preceded by its length.
//!
//! * `GByteArray`: be32 length, bytes (`put_byte_array` in `migration/vmstate-types.c`, after QEMU 10.0).
//! * `virtio-net vhost-user backend state`, `virtio-fs back-end state`: { be32 length, bytes } until the length is 0
//!   (`vhost_save_backend_state` in `hw/virtio/vhost.c`, after QEMU 7.2); only the back end knows the format of the
//!   bytes.
//! * `irqs`: be64 count, all ones when the kernel did not report it; that many `struct kvm_s390_irq` of the host
//!   (`kvm_flic_save` in `hw/intc/s390_flic_kvm.c`).

use super::{Builder, FieldContext};
use crate::error::{Error, Result};

pub(super) fn byte_array(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    let n = b.be32("len")?;
    b.bytes("data", usize::try_from(n).unwrap_or(usize::MAX)).map(drop)
}

pub(super) fn backend_state(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    read(b)
}

/// Reads pieces until an empty one.
pub(super) fn read(b: &mut Builder<'_>) -> Result<()> {
    b.array("chunks", |b| {
        while b.peek(4)? != [0; 4] {
            b.group("chunks", |b| {
                let n = b.be32("len")?;
                b.bytes("data", usize::try_from(n).unwrap_or(usize::MAX)).map(drop)
            })?;
        }
        Ok(())
    })?;
    b.be32("end").map(drop)
}

pub(super) fn s390_irqs(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    /// `struct kvm_s390_irq`: a 64-bit type and a union of 64 bytes.
    const IRQ: u64 = 72;
    let at = b.offset();
    let count = b.be64("count")?;
    if count == u64::MAX {
        return Ok(());
    }
    if count.checked_mul(IRQ) != Some(b.remaining() as u64) {
        let found = b.remaining();
        return Err(Error::corrupt(
            at,
            format!("interrupts: expected {count} of {IRQ} bytes each, found {found} bytes"),
        ));
    }
    b.array("irqs", |b| (0..count).try_for_each(|_| b.bytes("irqs", 72).map(drop)))
}

#[cfg(test)]
mod tests {
    use crate::interp::custom::testing::{decode, fails};

    #[test]
    fn counted_bytes() {
        let n = decode("GByteArray", &[0, 0, 0, 2, 7, 8]);
        assert_eq!(n.child("data").unwrap().as_bytes(), Some(&[7, 8][..]));
        fails("GByteArray", &[0, 0, 0, 3, 7, 8], "before the end");
        fails("GByteArray", &[0, 0, 0, 1, 7, 8], "were not used");
    }

    #[test]
    fn pieces_end_with_an_empty_one() {
        for ty in ["virtio-fs back-end state", "virtio-net vhost-user backend state"] {
            let n = decode(ty, &[0, 0, 0, 1, 9, 0, 0, 0, 2, 8, 7, 0, 0, 0, 0]);
            assert_eq!(n.child("chunks").unwrap().elements().len(), 2);
            assert!(decode(ty, &[0; 4]).child("chunks").unwrap().elements().is_empty());
            fails(ty, &[0, 0, 0, 1, 9], "before the end");
        }
    }

    #[test]
    fn interrupts_of_the_kernel() {
        let mut v = 2_u64.to_be_bytes().to_vec();
        v.extend([0; 144]);
        assert_eq!(decode("irqs", &v).child("irqs").unwrap().elements().len(), 2);
        assert!(decode("irqs", &[0xff; 8]).child("irqs").is_none());
        v[0] = 0x7f;
        fails("irqs", &v, "interrupts");
    }
}
