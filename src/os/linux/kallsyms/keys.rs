//! The table's parts by the keys of VMCOREINFO (Linux 6.0 and later).

use super::super::kernel::Kernel;
use super::table::{Parts, Places};
use crate::error::{Error, ErrorKind, Result};

/// Returns where VMCOREINFO says that the parts are.
///
/// # Errors
/// `Unsupported` if it does not say; `Missing` when they are not in memory; `Io`.
pub(super) fn parts(kernel: &Kernel<'_>) -> Result<Parts> {
    let symbol = |name: &str| kernel.info().and_then(|i| i.symbol(name));
    let place = |name: &str| {
        symbol(name).ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("VMCOREINFO has no SYMBOL({name})")))
    };
    let base = match symbol("kallsyms_relative_base") {
        Some(at) => Some(kernel.number(at, usize::try_from(kernel.word()).unwrap_or(8))?),
        None => None,
    };
    Ok(Parts {
        count: kernel.number(place("kallsyms_num_syms")?, 4)?,
        names: place("kallsyms_names")?,
        token_table: place("kallsyms_token_table")?,
        token_index: place("kallsyms_token_index")?,
        places: Places { offsets: place("kallsyms_offsets")?, base },
    })
}
