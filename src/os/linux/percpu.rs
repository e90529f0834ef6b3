//! Variables of which each processor has its own.

use super::guest::Guest;
use super::guest::Object;
use crate::error::{Error, ErrorKind, Result};

/// Processors that are looked at (`CONFIG_NR_CPUS` is 8192 at most).
const MAX_CPUS: u64 = 8192;

/// Returns the number of processors that the kernel may use.
///
/// # Errors
/// `Missing` and `Unsupported` if the kernel does not tell; `Io`.
pub fn processors(guest: &Guest<'_>) -> Result<u64> {
    let n = match guest.variable("nr_cpu_ids") {
        Ok(v) => v.number()?,
        // it is 0 as a symbol of kernels for one processor
        Err(e) if e.kind() == ErrorKind::Missing => 1,
        Err(e) => return Err(e),
    };
    match n {
        1..=MAX_CPUS => Ok(n),
        n => Err(Error::new(ErrorKind::Corrupt, format!("expected 1 to {MAX_CPUS} processors, found {n}"))),
    }
}

/// Returns what is added to a per-CPU address to get that of a processor.
///
/// # Errors
/// Those of [`Guest::variable`]; `Missing` when it is not in memory; `Io`.
pub fn offset(guest: &Guest<'_>, cpu: u64) -> Result<u64> {
    if cpu >= MAX_CPUS {
        return Err(Error::new(ErrorKind::Missing, format!("expected a processor below {MAX_CPUS}, found {cpu}")));
    }
    let table = guest.symbol("__per_cpu_offset")?;
    guest.kernel().number(table.wrapping_add(cpu.wrapping_mul(8)), 8)
}

/// Returns a per-CPU variable of a processor.
///
/// # Errors
/// Same as [`offset`].
pub fn variable<'g>(guest: &'g Guest<'g>, name: &str, cpu: u64) -> Result<Object<'g>> {
    let v = guest.variable(name)?;
    let at = v.address().wrapping_add(offset(guest, cpu)?);
    Ok(Object::new(guest, v.type_id(), at))
}

/// Reads a `struct percpu_counter`: a common part and one of each processor.
pub(super) fn counter(c: &Object<'_>) -> Option<i64> {
    let guest = c.guest();
    let mut sum = c.member("count").ok()?.signed().ok()?;
    let parts = c.member("counters").ok()?.number().ok()?;
    if parts == 0 {
        return Some(sum);
    }
    for cpu in 0..processors(guest).ok()?.min(MAX_CPUS) {
        let Ok(at) = offset(guest, cpu) else { break };
        let n = guest.kernel().number(parts.wrapping_add(at), 4).ok()?;
        sum = sum.checked_add(i64::from(u32::try_from(n).unwrap_or(0).cast_signed()))?;
    }
    Some(sum)
}
