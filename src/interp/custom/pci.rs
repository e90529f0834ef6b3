//! PCI types.

use super::{Builder, FieldContext};
use crate::error::Result;

/// `pci irq state`: the level of INTA to INTD (`hw/pci/pci.c`, `put_pci_irq_state`).
pub(super) fn irq_state(b: &mut Builder<'_>, c: &FieldContext<'_>) -> Result<()> {
    b.uints("level", c.size.checked_div(4).unwrap_or_default(), 4)
}

/// `msix state`: 16 bytes per vector, then a bit per vector (`hw/pci/msix.c`, `msix_save`); no bytes without MSI-X.
///
/// Length n × 16 + ceil(n / 8) determines n.
pub(super) fn msix(b: &mut Builder<'_>, c: &FieldContext<'_>) -> Result<()> {
    let vectors = c.size.saturating_mul(8).checked_div(129).unwrap_or_default();
    let vectors = (vectors.saturating_sub(1)..=vectors.saturating_add(1))
        .find(|n| n.saturating_mul(16).saturating_add(n.div_ceil(8)) == c.size);
    let Some(n) = vectors else { return b.bytes("data", c.size).map(drop) };
    table(b, n)
}

/// The table of `n` vectors and the pending bits. Table entries are little-endian registers, kept as bytes.
pub(super) fn table(b: &mut Builder<'_>, n: usize) -> Result<()> {
    if n > 0 {
        b.bytes("msix_table", n.saturating_mul(16))?;
        b.bytes("msix_pba", n.div_ceil(8))?;
    }
    Ok(())
}
