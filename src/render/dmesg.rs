//! The kernel log for people.

use std::io::{self, Write};

use super::tree::{Paint, Role};
use crate::os::linux::printk::{FACILITIES, LEVELS, Record};

/// How records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `[    1.234567] text`.
    Plain,
    /// With facility and level in words before it.
    Decoded,
    /// With facility and level as the number of syslog before it.
    Raw,
}

/// Prints a record: each line of its text gets the time.
///
/// # Errors
/// Those of the writer.
pub fn record(out: &mut dyn Write, r: &Record, style: Style, paint: Paint<'_>) -> io::Result<()> {
    let head = match style {
        Style::Plain => String::new(),
        Style::Raw => format!("<{}>", u32::from(r.facility) << 3 | u32::from(r.level)),
        Style::Decoded => format!("{:<6}:{:<6}: ", facility(r.facility), level(r.level)),
    };
    let time = format!("[{:>12}]", seconds(r.nsec, 6));
    for text in r.text.lines() {
        // the tabs of the kernel's tables are harmless; an escape of the text itself looks different
        let text = text.to_string().replace("\\u{9}", "\t");
        let text = match r.level {
            0..=3 => paint(Role::Problem, &text),
            4 => paint(Role::Title, &text),
            7 => paint(Role::Dim, &text),
            _ => text,
        };
        let sep = if text.is_empty() { "" } else { " " };
        writeln!(out, "{head}{}{sep}{text}", paint(Role::Good, &time))?;
    }
    Ok(())
}

/// Returns a time in seconds.
#[must_use]
pub fn seconds(nsec: u64, digits: usize) -> String {
    let text = format!("{}.{:09}", nsec / 1_000_000_000, nsec % 1_000_000_000);
    text[..text.len() - 9 + digits.min(9)].to_owned()
}

/// Returns the name of a level.
#[must_use]
pub fn level(n: u8) -> &'static str {
    LEVELS.get(usize::from(n)).copied().unwrap_or("?")
}

/// Returns the name of a facility; the last eight are local ones.
#[must_use]
pub fn facility(n: u8) -> String {
    match FACILITIES.get(usize::from(n)) {
        Some(name) => (*name).to_owned(),
        None if (16..24).contains(&n) => format!("local{}", n - 16),
        None => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_forges_a_line_or_commands_a_terminal() {
        let text = "a\x1b[2J\tb\nFORGED\r\n::add-mask::x\u{202e}\\u{9}";
        let r = Record { seq: None, nsec: 1, level: 4, facility: 1, caller: None, text: text.into() };
        let mut out = Vec::new();
        record(&mut out, &r, Style::Decoded, &|_, t| t.to_owned()).unwrap();
        let head = "user  :warn  : [    0.000000]";
        let expected = format!(
            "{head} a\\u{{1b}}[2J\tb\n{head} FORGED\\u{{d}}\n{head} \\u{{3a}}:add-mask::x\\u{{202e}}\\u{{5c}}u{{9}}\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        record(&mut out, &r, Style::Raw, &|_, t| t.to_owned()).unwrap();
        assert!(out.starts_with(b"<12>[    0.000000] a"));
    }

    #[test]
    fn times_are_those_of_dmesg() {
        assert_eq!(format!("[{:>12}]", seconds(1_474_306_789, 6)), "[    1.474306]");
        assert_eq!(format!("[{:>12}]", seconds(123_456_000_001_000, 6)), "[123456.000001]");
        assert_eq!((seconds(0, 6).as_str(), seconds(5, 9).as_str()), ("0.000000", "0.000000005"));
        assert_eq!(
            (facility(0), facility(17), facility(200), level(6)),
            ("kern".into(), "local1".into(), "200".into(), "info")
        );
    }
}
