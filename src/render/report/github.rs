//! A report as workflow commands of GitHub Actions, which make annotations of them.

use std::io::{self, Write};

use super::{plain, sentence, summary};
use crate::findings::{Report, Severity};
use crate::render::human::count;

/// How many annotations of a kind GitHub shows for one step.
const SHOWN: usize = 10;

/// How many paths the closing annotation names.
const NAMED: usize = 20;

/// Prints the report: at most as many commands as are shown, and the summary.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, r: &Report) -> io::Result<()> {
    let mut all: Vec<(&str, String, String)> = Vec::new();
    for fault in &r.faults {
        all.push(("error", format!("savevm-analyze {}: not compared", r.question.name()), plain(fault).into_owned()));
    }
    for d in &r.differences {
        let command = match d.severity {
            Severity::Breaks | Severity::Differs => "error",
            Severity::MayBreak => "warning",
            Severity::Harmless => "notice",
        };
        let mut text = plain(&sentence(d)).into_owned();
        for line in &d.meaning {
            text = format!("{text}\n{}", plain(line));
        }
        all.push((command, plain(&d.subject.to_string()).into_owned(), text));
    }
    let mut rest: Vec<&str> = Vec::new();
    // one notice is kept for the last
    for (command, shown) in [("error", SHOWN), ("warning", SHOWN), ("notice", SHOWN - 1)] {
        for (i, (_, title, text)) in all.iter().filter(|(c, ..)| *c == command).enumerate() {
            if i < shown {
                writeln!(out, "::{command} title={}::{}", property(title), data(text))?;
            } else {
                rest.push(title);
            }
        }
    }
    let last = summary(r);
    if !rest.is_empty() {
        let mut text = format!("{last}\nnot annotated:");
        for title in rest.iter().take(NAMED) {
            text = format!("{text}\n{title}");
        }
        if let Some(more) = rest.len().checked_sub(NAMED).filter(|n| *n > 0) {
            text = format!("{text}\nand {} more", count(more as u64));
        }
        writeln!(out, "::notice title=savevm-analyze {}::{}", r.question.name(), data(&text))?;
    }
    writeln!(out, "{last}")
}

/// Returns the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Returns the value of a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
