//! A report for a comment on a merge request: a table in Markdown as GitHub and GitLab read it.

use std::io::{self, Write};

use super::{plain, summary, verdict};
use crate::findings::{Aspect, Difference, Report};
use crate::offset::Sure;
use crate::render::human::plural;

/// What the text may take; a comment holds 65,536 characters on GitHub.
const CAP: usize = 60_000;

/// What is kept free for the remarks after the tables.
const RESERVE: usize = 1_000;

/// The longest text in a cell.
const CELL: usize = 200;

/// Prints the report.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, r: &Report) -> io::Result<()> {
    let [before, after] = &r.inputs;
    let mut text = format!("### savevm-analyze {}: {}\n\n", r.question.name(), verdict(r));
    text = format!("{text}{} → {}\n\n{}\n", code(&before.to_string()), code(&after.to_string()), words(&summary(r)));
    let mut room = (CAP - RESERVE).saturating_sub(text.len());

    let head = "| severity | where | what | before | after |\n|---|---|---|---|---|\n";
    text += &table(head, r.differences.iter().map(row), "difference", &mut room);
    let accepted =
        r.accepted.iter().map(|(d, why)| format!("| {} | {} | {} |\n", path(d), words(&d.message), words(why)));
    let list = table("| where | what | reason |\n|---|---|---|\n", accepted, "accepted difference", &mut room);
    if !list.is_empty() {
        let title = plural(r.accepted.len() as u64, "accepted difference");
        text = format!("{text}\n<details><summary>{title}</summary>\n{list}\n</details>\n");
    }
    let faults = r.faults.iter().map(|f| format!("| {} |\n", words(f)));
    text += &table("| not compared |\n|---|\n", faults, "fault", &mut room);
    out.write_all(text.as_bytes())
}

/// Returns a table with as many rows as there is room for, and a remark on those that are left out.
fn table(head: &str, rows: impl Iterator<Item = String>, noun: &str, room: &mut usize) -> String {
    let mut out = String::new();
    let mut left_out = 0_u64;
    for row in rows {
        let begin = if out.is_empty() { format!("\n{head}") } else { String::new() };
        match room.checked_sub(row.len().plus(begin.len())) {
            // the first that does not fit ends the table: what is shown is a beginning
            Some(rest) if left_out == 0 => {
                *room = rest;
                out = out + &begin + &row;
            }
            _ => left_out.tally(1),
        }
    }
    match left_out {
        0 => out,
        n => format!("{out}\n{} left out; the report in full has them.\n", plural(n, &format!("more {noun}"))),
    }
}

fn row(d: &Difference) -> String {
    let side = |a: &Option<Aspect>| a.as_ref().map(|a| code(&a.text)).unwrap_or_default();
    let mut what = words(&d.message);
    for line in &d.meaning {
        what = format!("{what}<br>{}", words(line));
    }
    format!("| {} | {} | {what} | {} | {} |\n", d.severity.name(), path(d), side(&d.before), side(&d.after))
}

fn path(d: &Difference) -> String {
    code(&d.subject.to_string())
}

/// Returns text as code; the tag and not backquotes, since those take a vertical bar for the end of a cell.
fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<code>{}</code>", words(text)) }
}

/// Returns text without Markdown marks, shortened if it is long.
fn words(text: &str) -> String {
    let text = plain(text);
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i >= CELL {
            out.push('…');
            break;
        }
        if c.is_ascii_punctuation()
            && !matches!(c, '.' | ',' | '/' | ';' | '(' | ')' | '-' | '=' | '?' | '%' | '"' | '\'')
        {
            out = format!("{out}&#{};", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}
