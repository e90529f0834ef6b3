//! A report as numbers: how many differences each section has.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{label, summary};
use crate::findings::Report;
use crate::offset::Sure;
use crate::render::human::padding;
use crate::text::line;

/// The longest bar.
const BAR: usize = 40;

/// Prints a line per section with its number of differences, and the summary.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, r: &Report, width: usize) -> io::Result<()> {
    let mut order: Vec<String> = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for d in &r.differences {
        let name = line(&label(&d.subject)).into_owned();
        if !counts.contains_key(&name) {
            order.push(name.clone());
        }
        let n = counts.entry(name).or_default();
        n.tally(1);
    }
    let names = order.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let most = counts.values().copied().max().unwrap_or(0).max(1);
    let digits = most.to_string().len();
    let room = width.saturating_sub(names.plus(digits).plus(5)).clamp(1, BAR);
    for name in &order {
        let n = counts.get(name).copied().unwrap_or(0);
        let bar = n.times(room.min(most)).div_ceil(most);
        let pad = padding(name, names);
        writeln!(out, " {name}{pad} | {n:>digits$} {}", "+".repeat(bar))?;
    }
    writeln!(out, "{}", summary(r))
}
