//! Types of CPU descriptions with more than one number inside.

use super::{Builder, FieldContext};
use crate::error::Result;
use crate::schema::Field;

/// `avr`: a vector register as two 64-bit halves in the order of the writing host's memory (`target/ppc/machine.c`,
/// `put_avr`). On little-endian hosts the first is the low half.
pub(super) fn avr(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    b.be64("u64[0]")?;
    b.be64("u64[1]")?;
    Ok(())
}

/// `fpr`: on ppc one doubleword (`target/ppc/machine.c`, `put_fpr`), on mips the MSA register as 64-bit lanes, lowest
/// first (`target/mips/machine.c`, `put_fpr`). The size decides which.
pub(super) fn fpr(b: &mut Builder<'_>, c: &FieldContext<'_>) -> Result<()> {
    b.uints("d", c.size.checked_div(8).unwrap_or_default(), 8)
}

/// `slbe`: one entry of the segment lookaside buffer (`target/ppc/machine.c`, `put_slbe`).
pub(super) fn slbe(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    b.be64("esid")?;
    b.be64("vsid")?;
    Ok(())
}

/// `tlb_entry` of mips (`target/mips/system/machine.c`, `put_tlb`): the virtual page number is as wide as the
/// target's registers, and MMID was added after QEMU 7.2.
///
/// | bytes | VPN | PageMask | ASID | MMID | flags | PFN |
/// |---|---|---|---|---|---|---|
/// | 28 | 4 | 4 | 2 | | 2 | 2 × 8 |
/// | 32 | 4 | 4 | 2 | 4 | 2 | 2 × 8 |
/// | 32 | 8 | 4 | 2 | | 2 | 2 × 8 |
/// | 36 | 8 | 4 | 2 | 4 | 2 | 2 × 8 |
///
/// The meaning of 32 bytes depends on the width of the general registers in the same section; without those the bytes
/// are left undecoded.
pub(super) fn mips_tlb(b: &mut Builder<'_>, c: &FieldContext<'_>) -> Result<()> {
    let (wide, mmid) = match (c.size, register_width(&b.device().fields)) {
        (28, _) => (false, false),
        (32, Some(4)) => (false, true),
        (32, Some(8)) => (true, false),
        (36, _) => (true, true),
        (n, _) => return b.bytes("data", n).map(drop),
    };
    if wide {
        b.be64("VPN")?;
    } else {
        b.be32("VPN")?;
    }
    b.be32("PageMask")?;
    b.be16("ASID")?;
    if mmid {
        b.be32("MMID")?;
    }
    b.be16("flags")?;
    b.uints("PFN", 2, 8)
}

/// Returns the width of the general registers: the field `gpr` of the thread context.
fn register_width(fields: &[Field]) -> Option<u64> {
    let own = fields.iter().find(|f| f.name == "gpr").map(|f| f.size);
    // the thread contexts are one level below the CPU
    own.or_else(|| fields.iter().flat_map(|f| f.inner.iter()).find_map(|v| register_width(&v.fields)))
}

/// `tlb entry` of hppa (`target/hppa/machine.c`, `put_tlb`): the first and last virtual address, the physical address and
/// packed flags in 64 bits each since QEMU 9.0; before, a 64-bit virtual address, and physical address and flags in 32 bits
/// each.
pub(super) fn hppa_tlb(b: &mut Builder<'_>, c: &FieldContext<'_>) -> Result<()> {
    match c.size {
        32 => {
            b.be64("itree.start")?;
            b.be64("itree.last")?;
            b.be64("pa")?;
            b.be64("flags")?;
        }
        16 => {
            b.be64("va_b")?;
            b.be32("pa")?;
            b.be32("flags")?;
        }
        n => {
            b.bytes("data", n)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::interp::custom::testing::{decode, decode_beside, field};
    use crate::schema::{Field, Vmsd};
    use crate::value::Node;

    fn names(n: &Node) -> Vec<String> {
        n.record().unwrap().fields.iter().map(|f| f.name.to_string()).collect()
    }

    fn mips(size: usize, gpr: u64) -> Node {
        let tc = Vmsd {
            name: "cpu/tc".into(),
            fields: Box::new([Field { array_len: Some(32), ..field("gpr", "uint32", gpr) }]),
            described: true,
            ..Vmsd::default()
        };
        let tc = Field { inner: Box::new([tc]), ..field("env.active_tc", "struct", gpr * 32) };
        let mut bytes = vec![0; usize::try_from(gpr).unwrap() * 32];
        bytes.extend((0..size).map(|i| u8::try_from(i).unwrap()));
        decode_beside(vec![tc], "tlb_entry", &bytes, size)
    }

    #[test]
    fn a_mips_entry_of_32_bytes_is_read_by_the_width_of_the_registers() {
        let narrow = mips(32, 4);
        assert_eq!(names(&narrow), ["VPN", "PageMask", "ASID", "MMID", "flags", "PFN"]);
        assert_eq!(narrow.child("MMID").unwrap().as_u64(), Some(0x0a0b_0c0d));
        let wide = mips(32, 8);
        assert_eq!(names(&wide), ["VPN", "PageMask", "ASID", "flags", "PFN"]);
        assert_eq!(wide.child("VPN").unwrap().as_u64(), Some(0x0001_0203_0405_0607));
        assert_eq!(names(&mips(28, 4)), names(&wide));
        assert_eq!(names(&mips(36, 8)), names(&narrow));
        assert_eq!(names(&decode("tlb_entry", &[0; 32])), ["data"]);
    }

    #[test]
    fn hppa_entries_of_both_shapes() {
        assert_eq!(names(&decode("tlb entry", &[0; 16])), ["va_b", "pa", "flags"]);
        assert_eq!(names(&decode("tlb entry", &[0; 32])), ["itree.start", "itree.last", "pa", "flags"]);
        assert_eq!(names(&decode("tlb entry", &[0; 17])), ["data"]);
    }

    #[test]
    fn vector_registers_and_segments() {
        assert_eq!(names(&decode("avr", &[0; 16])), ["u64[0]", "u64[1]"]);
        assert_eq!(names(&decode("slbe", &[0; 16])), ["esid", "vsid"]);
        assert_eq!(decode("fpr", &[0; 16]).child("d").unwrap().elements().len(), 2);
    }
}
