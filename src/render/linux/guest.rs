//! The summary of a guest for people: `info --guest`.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use super::super::human::padding;
use super::super::tree::{Paint, Role};
use crate::os::linux::Summary;

/// Prints a summary.
///
/// # Errors
/// Those of the writer.
pub fn summary(out: &mut dyn Write, s: &Summary, paint: Paint<'_>) -> io::Result<()> {
    let mut rows: Vec<(&str, String)> = vec![("system", format!("Linux {}", s.release))];
    let mut text = |name: &'static str, value: Option<String>| rows.extend(value.map(|v| (name, v)));
    text("built", (!s.version.is_empty()).then(|| s.version.to_string()));
    text("machine", (!s.machine.is_empty()).then(|| s.machine.to_string()));
    text("host name", (!s.host.is_empty()).then(|| s.host.to_string()));
    text("time", s.time.map(time));
    text("up", s.uptime.map(|n| humantime::format_duration(Duration::from_secs(n)).to_string()));
    text("load", s.load.map(|l| l.map(hundredths).join(", ")));
    text("processors", s.processors.map(|n| n.to_string()));
    let tasks = format!(
        "{} in {} threads, of which {} run or want to, {} wait (D)",
        s.processes, s.threads, s.running, s.waiting
    );
    text("processes", (s.threads > 0).then_some(tasks));
    text("command line", s.command_line.as_ref().map(ToString::to_string));
    let width = rows.iter().map(|(n, _)| n.len()).max().unwrap_or(0);
    for (name, value) in rows {
        writeln!(out, "{}{}  {value}", paint(Role::Name, name), padding(name, width))?;
    }
    Ok(())
}

/// Returns a time in UTC.
#[must_use]
pub fn time(seconds: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.min(253_402_300_799))).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string()
}

/// Returns hundredths as a decimal number.
#[must_use]
pub fn hundredths(n: u64) -> String {
    format!("{}.{:02}", n / 100, n % 100)
}
