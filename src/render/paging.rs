//! Page-table walks for people.

use std::io::{self, Write};

use super::tree::{Paint, Role};
use crate::paging::{AddressSpace, Walk};
use crate::text::line;

/// Prints the steps of a walk and its result.
///
/// # Errors
/// Those of the writer.
pub fn walk(
    out: &mut dyn Write,
    space: &AddressSpace,
    cpu: u32,
    address: u64,
    walk: &Walk,
    paint: Paint<'_>,
) -> io::Result<()> {
    let roots: Vec<String> = space.roots().map(|(name, at)| format!("{name}: table at {at}")).collect();
    let roots = if roots.is_empty() { String::new() } else { format!("; {}", roots.join(", ")) };
    writeln!(out, "{}  CPU {cpu}: {}{roots}", paint(Role::Title, &format!("{address:#x}")), space.name())?;
    let level = walk.steps.iter().map(|s| s.level.len()).max().unwrap_or(0);
    let at = walk.steps.iter().map(|s| s.at.to_string().len()).max().unwrap_or(0);
    for s in &walk.steps {
        let entry = format!("{:#018x}", s.value);
        let (name, place) = (format!("{:level$}", s.level), s.at.to_string());
        writeln!(out, "  {}  {place:at$}  {entry}  {}", paint(Role::Name, &name), s.meaning)?;
    }
    match &walk.outcome {
        Ok(t) => {
            let text = format!("guest-physical {}", t.address);
            writeln!(out, "  {}", paint(Role::Good, &text))
        }
        Err(e) => writeln!(out, "  {}", paint(Role::Problem, &line(&e.to_string()))),
    }
}
