//! Modules for people: `linux lsmod`.

use std::io::{self, Write};

use super::super::table::Table;
use super::super::tree::Paint;
use crate::os::linux::modules::Module;
use crate::text::list;

/// Prints modules.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, modules: &[Module], width: usize, paint: Paint<'_>) -> io::Result<()> {
    let mut table = Table::new(&["MODULE", "SIZE", "USED", "ADDRESS", "STATE", "USED BY"], &[1, 2], 0);
    for m in modules {
        table.add([
            m.name.to_string(),
            m.bytes.to_string(),
            m.references.map_or_else(|| "-".to_owned(), |n| n.to_string()),
            format!("{:#x}", m.base),
            m.state.to_owned(),
            list(&m.users),
        ]);
    }
    table.print(out, width, paint)
}
