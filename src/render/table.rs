//! Tables without lines, as wide as they may be: the names give way, never the numbers.

use std::io::{self, Write};

use super::human::padding;
use super::tree::{Paint, Role};

/// Names are not made shorter than this.
const SHORTEST: usize = 8;
/// Spaces between two columns.
const GAP: usize = 2;
/// Spaces before notes that are below their row.
const NOTE: usize = 6;

/// A table.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
    names: usize,
}

impl Table {
    /// Creates an empty table. `right` lists the columns that are aligned to the right; `names` is the column whose cells are
    /// shortened in the middle where the table is too wide. The last column holds notes, unless it is one of these.
    #[must_use]
    pub fn new(head: &[&str], right: &[usize], names: usize) -> Self {
        Self { head: head.iter().map(|h| (*h).to_owned()).collect(), rows: Vec::new(), right: right.to_vec(), names }
    }

    /// Adds a row.
    pub fn add(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Prints the table within so many columns.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn print(mut self, out: &mut dyn Write, width: usize, paint: Paint<'_>) -> io::Result<()> {
        let count = self.head.len();
        let widest = |rows: &[Vec<String>], head: &[String], c: usize| {
            let cells = rows.iter().filter_map(|r| r.get(c)).chain(head.get(c));
            cells.map(|t| t.chars().count()).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..count).map(|c| widest(&self.rows, &self.head, c)).collect();
        let last = count.saturating_sub(1);
        let wraps = last != self.names && !self.right.contains(&last);
        let sum = |widths: &[usize], gap: usize| -> usize {
            let gaps = widths.len().saturating_sub(1) * gap;
            widths.iter().sum::<usize>() + gaps
        };
        // what does not fit: notes go below their rows, then gaps become narrower, then names shorter
        let below = wraps && sum(&widths, GAP) > width;
        let columns = if below { last } else { count };
        let gap = if sum(&widths[..columns], GAP) > width { 1 } else { GAP };
        let excess = sum(&widths[..columns], gap).saturating_sub(width);
        if excess > 0 {
            let room = widths[self.names].saturating_sub(excess).max(SHORTEST.min(widths[self.names]));
            widths[self.names] = room;
            for row in &mut self.rows {
                if let Some(name) = row.get_mut(self.names) {
                    *name = shortened(name, room);
                }
            }
        }
        let head: Vec<String> = self.head.iter().take(columns).cloned().collect();
        let text = self.line(&head, &widths, gap);
        writeln!(out, "{}", paint(Role::Dim, &text))?;
        for row in &self.rows {
            let cells = row.get(..columns).unwrap_or(row);
            writeln!(out, "{}", self.line(cells, &widths, gap))?;
            if let Some(notes) = row.get(columns).filter(|n| !n.is_empty()) {
                for line in wrapped(notes, width.saturating_sub(NOTE)) {
                    writeln!(out, "{}{line}", " ".repeat(NOTE))?;
                }
            }
        }
        Ok(())
    }

    fn line(&self, row: &[String], widths: &[usize], gap: usize) -> String {
        let last = row.len().saturating_sub(1);
        let mut text = String::new();
        for (i, cell) in row.iter().enumerate() {
            let pad = padding(cell, widths.get(i).copied().unwrap_or(0));
            text += &match (self.right.contains(&i), i == last) {
                (true, _) => pad + cell,
                (false, true) => cell.clone(),
                (false, false) => cell.clone() + &pad,
            };
            if i != last {
                text += &" ".repeat(gap);
            }
        }
        text.trim_end().to_owned()
    }
}

/// Shortens a text in the middle.
fn shortened(text: &str, room: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= room {
        return text.to_owned();
    }
    let kept = room.saturating_sub(1);
    let end = kept - kept / 3;
    let begin: String = chars[..kept - end].iter().collect();
    let tail: String = chars[chars.len() - end..].iter().collect();
    format!("{begin}…{tail}")
}

/// Breaks text into lines of at most so many columns, between words where that is possible.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut taken = width + 1;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if let Some(line) = lines.last_mut().filter(|_| taken + 1 + word.len() <= width) {
            line.push(' ');
            line.extend(&word);
            taken += 1 + word.len();
            continue;
        }
        loop {
            let rest = word.split_off(word.len().min(width));
            taken = word.len();
            lines.push(word.iter().collect());
            if rest.is_empty() {
                break;
            }
            word = rest;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(t: Table, width: usize) -> String {
        let mut out = Vec::new();
        t.print(&mut out, width, &|_, text| text.to_owned()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_names_give_way_and_notes_are_wrapped() {
        let table = || {
            let mut t = Table::new(&["offset", "name", "notes"], &[0], 1);
            t.add(["0x10".to_owned(), "0000:00:02.0/a-very-long-name-of-a-device".to_owned(), String::new()]);
            t.add(["0x123456".to_owned(), "b".to_owned(), "two words and some more of them".to_owned()]);
            t
        };
        let wide = printed(table(), 200);
        assert!(wide.contains("0000:00:02.0/a-very-long-name-of-a-device\n") && wide.lines().count() == 3, "{wide}");
        for width in [40, 50, 60, 80] {
            let text = printed(table(), width);
            assert!(text.lines().all(|l| l.chars().count() <= width), "{width}: {text}");
            assert!(text.contains("0x123456"), "{text}");
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(["two", "words", "and", "some", "more", "of", "them"].iter().all(|w| words.contains(w)), "{text}");
        }
        assert!(printed(table(), 40).contains("…"));
    }

    #[test]
    fn a_word_that_is_too_long_is_broken() {
        assert_eq!(wrapped("ab cdefgh i", 3), ["ab", "cde", "fgh", "i"]);
        assert_eq!(wrapped("", 3), [""]);
        assert_eq!(shortened("0123456789", 7), "01…6789");
    }
}
