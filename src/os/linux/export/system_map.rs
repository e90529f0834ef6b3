//! `System.map`: a line for each symbol, as `nm -n` prints it.

use std::io::{self, Write};

use super::super::kallsyms::Symbol;
use super::super::kallsyms::Symbols;
use super::super::kernel::Kernel;
use super::{Addresses, Shift};

/// Writes a `System.map`.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, (kernel, symbols): (&Kernel<'_>, &Symbols), how: Addresses) -> io::Result<()> {
    let shift = Shift::of(kernel, symbols);
    let mut all: Vec<(u64, Symbol<'_>)> = symbols.iter().map(|s| (shift.address(s.address, how), s)).collect();
    all.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.exact().cmp(y.exact())));
    let digits = kernel.word().saturating_mul(2).min(16);
    let width = usize::try_from(digits).unwrap_or(16);
    for (address, s) in &all {
        writeln!(out, "{address:0width$x} {} {}", s.kind, s.name())?;
    }
    Ok(())
}
