//! Rows of a label and a text, for details below a title.

use std::io::{self, Write};

use super::tree::{Paint, Role};

/// Columns that a line may take.
const WIDTH: usize = 80;
const INDENT: usize = 4;

/// Prints rows with the labels in a column.
pub(super) struct Lines<'o, 'p> {
    out: &'o mut dyn Write,
    paint: Paint<'p>,
    label: usize,
}

impl<'o, 'p> Lines<'o, 'p> {
    /// Begins; labels get this many columns.
    pub(super) fn new(out: &'o mut dyn Write, paint: Paint<'p>, label: usize) -> Self {
        Self { out, paint, label }
    }

    /// Prints a row.
    pub(super) fn row(&mut self, label: &str, text: &str) -> io::Result<()> {
        let words: Vec<&str> = text.split(", ").collect();
        self.words_by(label, &words, ", ", "")
    }

    /// Prints a row of words, or the text for none.
    pub(super) fn words(&mut self, label: &str, words: &[&str], none: &str) -> io::Result<()> {
        self.words_by(label, words, " ", none)
    }

    /// Prints a row of words with something between them, in as many lines as they need.
    pub(super) fn words_by(&mut self, label: &str, words: &[&str], between: &str, none: &str) -> io::Result<()> {
        let room = WIDTH - INDENT - self.label;
        let mut lines: Vec<String> = vec![String::new()];
        for (i, w) in words.iter().enumerate() {
            let mark = if i + 1 < words.len() { between.trim_end() } else { "" };
            let line = lines.last_mut().map(|l| (l.chars().count(), l));
            let Some((len, line)) = line else { break };
            let gap = if len == 0 { "" } else { " " };
            if len > 0 && len + 1 + w.chars().count() + mark.len() > room {
                lines.push(format!("{w}{mark}"));
            } else {
                line.push_str(&format!("{gap}{w}{mark}"));
            }
        }
        if words.is_empty() {
            lines = vec![none.to_owned()];
        }
        for (i, line) in lines.iter().enumerate() {
            let label = if i == 0 { label } else { "" };
            let pad = self.label.saturating_sub(label.chars().count()).max(usize::from(!label.is_empty()));
            let text = format!("{}{}{}{line}", " ".repeat(INDENT), (self.paint)(Role::Name, label), " ".repeat(pad));
            writeln!(self.out, "{}", text.trim_end())?;
        }
        Ok(())
    }

    /// Prints what is wrong.
    pub(super) fn problem(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}{}", " ".repeat(INDENT), (self.paint)(Role::Problem, &format!("! {text}")))
    }
}
