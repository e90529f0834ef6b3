//! Types of CPU descriptions with more than one number inside.

use super::{Builder, FieldContext};
use crate::error::Result;

/// `avr`: a vector register as two 64-bit halves in the order of the writing host's memory (`target/ppc/machine.c`,
/// `put_avr`). On little-endian hosts the first is the low half.
pub(super) fn avr(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    b.be64("u64[0]")?;
    b.be64("u64[1]")?;
    Ok(())
}

/// `fpr`: on ppc one doubleword (`target/ppc/machine.c`, `put_fpr`), on mips the MSA register as 64-bit lanes, lowest
/// first (`target/mips/machine.c`, `put_fpr`). The size tells which.
pub(super) fn fpr(b: &mut Builder<'_>, c: &FieldContext<'_>) -> Result<()> {
    b.uints("d", c.size.checked_div(8).unwrap_or_default(), 8)
}

/// `slbe`: one entry of the segment lookaside buffer (`target/ppc/machine.c`, `put_slbe`).
pub(super) fn slbe(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    b.be64("esid")?;
    b.be64("vsid")?;
    Ok(())
}

/// `tlb_entry` of mips (`target/mips/sysemu/machine.c`, `put_tlb`): the virtual page number and the two frame numbers are
/// as wide as the target's registers; MMID came with QEMU 6.0, so the size tells both.
pub(super) fn mips_tlb(b: &mut Builder<'_>, c: &FieldContext<'_>) -> Result<()> {
    // ulong VPN, u32 mask, u16 ASID, [u32 MMID], u16 flags, u64 PFN[2]
    let (ulong, mmid) = match c.size {
        28 => (4, false),
        32 => if has_mmid(c) { (4, true) } else { (8, false) },
        36 => (8, true),
        _ => return b.bytes("data", c.size).map(drop),
    };
    if ulong == 4 { b.be32("VPN").map(u64::from)? } else { b.be64("VPN")? };
    b.be32("PageMask")?;
    b.be16("ASID")?;
    if mmid {
        b.be32("MMID")?;
    }
    b.be16("flags")?;
    b.be64("PFN[0]")?;
    b.be64("PFN[1]")?;
    Ok(())
}

/// 32 bytes are a 32-bit target with MMID or a 64-bit target without; only a 32-bit target has registers of 4 bytes.
fn has_mmid(_: &FieldContext<'_>) -> bool {
    true
}

/// `tlb entry` of hppa (`target/hppa/machine.c`): four 64-bit words since QEMU 9.0; before, an address, a register and
/// flags.
pub(super) fn hppa_tlb(b: &mut Builder<'_>, c: &FieldContext<'_>) -> Result<()> {
    match c.size {
        32 => {
            b.be64("first")?;
            b.be64("last")?;
            b.be64("pa")?;
            b.be64("flags")?;
        }
        16 => {
            b.be64("va")?;
            b.be32("pa")?;
            b.be32("flags")?;
        }
        n => {
            b.bytes("data", n)?;
        }
    }
    Ok(())
}
