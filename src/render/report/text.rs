//! A report for people.

use std::collections::HashMap;
use std::io::{self, Write};

use super::{change, is_remark, label, plain, summary, verdict};
use crate::findings::{Difference, Question, Report, Severity};
use crate::offset::Sure;
use crate::render::tree::{Paint, Role};

/// Columns that a line takes at most: longer ones are hard to read.
const WIDEST: usize = 120;

/// The widest column of fields; a longer one pushes its line.
const FIELD: usize = 32;

/// Prints the report: by section, and the summary as the last line; that of `compat` is the first line too.
///
/// Lines that are longer than `columns` are broken.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, r: &Report, columns: usize, paint: Paint<'_>) -> io::Result<()> {
    let columns = columns.min(WIDEST);
    let severities = r.differences.iter().any(|d| d.severity != Severity::Differs);
    let is_shown = |d: &&Difference| !r.brief || d.severity != Severity::Harmless || is_remark(d);
    let mut shown: Vec<&Difference> = r.differences.iter().filter(is_shown).collect();
    let mut places: HashMap<String, usize> = HashMap::new();
    shown.sort_by_cached_key(|d| {
        let next = places.len();
        *places.entry(label(&d.subject)).or_insert(next)
    });
    if r.question == Question::Compat && !shown.is_empty() {
        last(out, r, paint)?;
        writeln!(out)?;
    }
    for (titles, section) in sections(&shown, r.brief) {
        writeln!(out, "{}", paint(Role::Title, &plain(&titles)))?;
        let width = section.iter().map(|d| d.subject.field.chars().count()).filter(|w| *w <= FIELD).max().unwrap_or(0);
        for d in section {
            difference(out, d, &Style { width, columns, severities, paint })?;
        }
    }
    if !shown.is_empty() {
        writeln!(out)?;
    }
    last(out, r, paint)
}

/// Groups differences by section, and joins instances with the same differences. If the report is brief, all sections that have
/// one and the same difference are joined.
fn sections<'a, 'd>(all: &'a [&'d Difference], brief: bool) -> Vec<(String, &'a [&'d Difference])> {
    let mut out: Vec<(Vec<String>, &[&Difference])> = Vec::new();
    let mut reasons: HashMap<(&str, Severity, &str), usize> = HashMap::new();
    for section in all.chunk_by(|a, b| label(&a.subject) == label(&b.subject)) {
        let Some(first) = section.first() else { continue };
        let title = label(&first.subject);
        if let Some((titles, _)) = out.last_mut().filter(|(_, last)| same(last, section)) {
            titles.push(title);
            continue;
        }
        let next = out.len();
        let reason = match section {
            [d] if brief
                && d.subject.field.is_empty()
                && d.meaning.is_empty()
                && d.before.is_none()
                && d.after.is_none() =>
            {
                Some((d.rule.id, d.severity, d.message.as_str()))
            }
            _ => None,
        };
        let place = reason.map_or(next, |r| *reasons.entry(r).or_insert(next));
        match out.get_mut(place) {
            Some((titles, _)) => titles.push(title),
            None => out.push((vec![title], section)),
        }
    }
    let instances = |titles: &[String]| {
        let name = |t: &String| t.rsplit_once(" (").map_or(t.clone(), |(n, _)| n.to_owned());
        titles.windows(2).all(|w| matches!(w, [a, b] if name(a) == name(b)))
    };
    let joined = |titles: Vec<String>| match titles.as_slice() {
        [first, _, _, _, _, ..] if instances(&titles) => {
            format!("{first} and {} more instances", titles.len().minus(1))
        }
        [a, b, c, _, _, ..] if brief => {
            format!("{a}, {b}, {c} and {} more", titles.len().minus(3))
        }
        _ => titles.join(", "),
    };
    out.into_iter().map(|(titles, section)| (joined(titles), section)).collect()
}

/// Returns whether the same is said of two instances.
fn same(a: &[&Difference], b: &[&Difference]) -> bool {
    let text = |s: &Option<crate::findings::Aspect>| s.as_ref().map(|s| s.text.clone());
    let alike = |x: &Difference, y: &Difference| {
        x.subject.section == y.subject.section
            && x.subject.field == y.subject.field
            && x.rule == y.rule
            && x.severity == y.severity
            && x.message == y.message
            && x.meaning == y.meaning
            && text(&x.before) == text(&y.before)
            && text(&x.after) == text(&y.after)
    };
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| alike(x, y))
}

/// Prints the summary.
///
/// # Errors
/// Those of the writer.
pub fn last(out: &mut dyn Write, r: &Report, paint: Paint<'_>) -> io::Result<()> {
    let role = match verdict(r) {
        "same" | "compatible" if r.faults.is_empty() => Role::Title,
        "different" | "incompatible" => Role::Problem,
        _ => Role::Name,
    };
    writeln!(out, "{}", paint(role, &summary(r)))
}

/// How the differences of a section are shown.
struct Style<'a> {
    /// The width of the column of fields.
    width: usize,
    columns: usize,
    severities: bool,
    paint: Paint<'a>,
}

fn difference(out: &mut dyn Write, d: &Difference, style: &Style<'_>) -> io::Result<()> {
    let &Style { width, columns, severities, paint } = style;
    let wrapped = |text: &str, indent: usize| wrapped(text, columns.saturating_sub(indent));
    let role = match d.severity {
        Severity::Breaks | Severity::Differs => Role::Problem,
        Severity::MayBreak => Role::Name,
        Severity::Harmless => Role::Dim,
    };
    let badge =
        if severities { format!("{} ", paint(role, &format!("{:9}", d.severity.name()))) } else { String::new() };
    let used = if severities { 12 } else { 2 };
    let indent = " ".repeat(if severities { 12 } else { 6 });
    let field = plain(&d.subject.field);
    let long = field.chars().count();
    let change = change(d).map(|c| plain(&c).into_owned());
    let pad = width.saturating_sub(long);
    // field and change on one line, or the change below it
    let taken = long.saturating_add(pad).saturating_add(used).saturating_add(2);
    let beside = change.filter(|c| taken.saturating_add(c.chars().count()) <= columns);
    let mut message = Some(plain(&d.message)).filter(|_| !(says_no_more(d)));
    let head = if field.is_empty() {
        wrapped(&message.take().unwrap_or_default(), used).join(&format!("\n{indent}"))
    } else {
        paint(Role::Name, &field)
    };
    match &beside {
        Some(c) if field.is_empty() => writeln!(out, "  {badge}{head}\n{indent}{}", paint(Role::Number, c))?,
        Some(c) => writeln!(out, "  {badge}{head}{}  {}", " ".repeat(pad), paint(Role::Number, c))?,
        None => writeln!(out, "  {badge}{head}")?,
    }
    if let Some(m) = message {
        let role = if is_remark(d) { Role::Number } else { Role::Dim };
        for line in wrapped(&m, indent.len()) {
            writeln!(out, "{indent}{}", paint(role, &line))?;
        }
    }
    if beside.is_none() {
        for (sign, side) in [("- ", &d.before), ("+ ", &d.after)] {
            if let Some(s) = side {
                let text = wrapped(&plain(&s.text), indent.len().plus(sign.len()));
                writeln!(out, "{indent}{}{}", paint(Role::Dim, sign), text.join(&format!("\n{indent}  ")))?;
            }
        }
    }
    for path in d.after.iter().filter_map(|s| s.path.as_deref()) {
        writeln!(out, "{indent}{}", paint(Role::Dim, &format!("there: {}", plain(path))))?;
    }
    for line in &d.meaning {
        let deeper = indent.len().plus(2);
        writeln!(out, "{indent}{}", wrapped(&plain(line), deeper).join(&format!("\n{indent}  ")))?;
    }
    Ok(())
}

/// Breaks a text between words into lines of a width.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut taken = width;
    for word in text.split(' ') {
        let long = word.chars().count();
        match lines.last_mut() {
            Some(line) if taken.saturating_add(long) < width => {
                line.push(' ');
                line.push_str(word);
                taken = taken.saturating_add(long).saturating_add(1);
            }
            _ => {
                lines.push(word.to_owned());
                taken = long;
            }
        }
    }
    lines
}

/// Returns whether the message only repeats what both sides show: that the value of a field differs.
fn says_no_more(d: &Difference) -> bool {
    d.rule.id == "field-value" && d.before.is_some() && d.after.is_some() && !d.subject.field.is_empty()
}
