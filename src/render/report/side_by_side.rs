//! A report in three columns: the field, the first state, the second state.

use std::io::{self, Write};

use super::{label, plain, summary};
use crate::findings::{Aspect, Report};
use crate::offset::Sure;
use crate::render::human::padding;
use crate::render::table::wrapped;
use crate::render::tree::{Paint, Role};

/// The narrowest output with three columns.
pub const NARROWEST: usize = 100;
/// What is between two columns.
const GAP: &str = " | ";

/// Prints the differences of each section in columns, and the summary.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, r: &Report, width: usize, paint: Paint<'_>) -> io::Result<()> {
    let room = width.saturating_sub(GAP.len().times(2));
    let side = room.saturating_mul(7).checked_div(20).unwrap_or(20);
    let field = room.saturating_sub(side.saturating_mul(2));
    let widths = [field, side, side];
    let [before, after] = &r.inputs;
    row(out, widths, [String::new(), before.to_string(), after.to_string()], &|t| paint(Role::Dim, t))?;
    let text = |a: &Option<Aspect>| a.as_ref().map_or_else(|| "-".to_owned(), |a| plain(&a.text).into_owned());
    for section in r.differences.chunk_by(|a, b| label(&a.subject) == label(&b.subject)) {
        let Some(first) = section.first() else { continue };
        writeln!(out, "{}", paint(Role::Title, &plain(&label(&first.subject))))?;
        for d in section {
            let name = if d.subject.field.is_empty() { &d.message } else { &d.subject.field };
            row(out, widths, [plain(name).into_owned(), text(&d.before), text(&d.after)], &str::to_owned)?;
        }
    }
    writeln!(out, "\n{}", summary(r))
}

fn row(out: &mut dyn Write, widths: [usize; 3], cells: [String; 3], paint: &dyn Fn(&str) -> String) -> io::Result<()> {
    let columns: Vec<Vec<String>> = cells.iter().zip(widths).map(|(c, w)| wrapped(c, w)).collect();
    let lines = columns.iter().map(Vec::len).max().unwrap_or(0);
    for i in 0..lines {
        let cell = |(column, width): (&Vec<String>, usize)| {
            let text = column.get(i).map_or("", String::as_str);
            format!("{text}{}", padding(text, width))
        };
        let line: Vec<String> = columns.iter().zip(widths).map(cell).collect();
        writeln!(out, "{}", paint(line.join(GAP).trim_end()))?;
    }
    Ok(())
}
