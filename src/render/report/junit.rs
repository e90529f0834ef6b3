//! A report as the XML that CI servers take for the results of tests: a case for each section that was compared.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{label, plain, sentence, summary};
use crate::findings::{Difference, Report};
use crate::offset::Sure;
use crate::render::human::plural;

/// What is to be said of one section.
#[derive(Default)]
struct Case<'a> {
    counting: Vec<&'a Difference>,
    /// How many of these make the section fail.
    failing: usize,
    accepted: Vec<(&'a Difference, &'a str)>,
}

impl Case<'_> {
    fn fails(&self) -> bool {
        self.failing > 0
    }

    fn skipped(&self) -> bool {
        !self.fails() && !self.accepted.is_empty()
    }
}

/// Prints the report.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, r: &Report) -> io::Result<()> {
    let (names, cases) = cases(r);
    let failures = cases.values().filter(|c| c.fails()).count().to_string();
    let skipped = cases.values().filter(|c| c.skipped()).count().to_string();
    let errors = usize::from(!r.faults.is_empty());
    let tests = names.len().plus(errors).to_string();
    let errors = errors.to_string();
    let numbers = [("tests", &*tests), ("failures", &failures), ("errors", &errors), ("time", "0")];
    let suite = format!("savevm-analyze {}", r.question.name());

    let mut w = Writer::new_with_indent(&mut *out, b' ', 2);
    w.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    w.create_element("testsuites")
        .with_attribute(("name", "savevm-analyze"))
        .with_attributes(numbers)
        .write_inner_content(|w| {
            let e = w.create_element("testsuite").with_attribute(("name", &*suite)).with_attributes(numbers);
            e.with_attribute(("skipped", &*skipped)).write_inner_content(|w| {
                properties(w, r)?;
                for name in &names {
                    if let Some(c) = cases.get(name) {
                        case(w, r, name, c)?;
                    }
                }
                faults(w, r)
            })?;
            Ok(())
        })?;
    writeln!(out)
}

/// Returns the names of the cases in order, and the cases: all that was compared, and what differs in addition.
fn cases(r: &Report) -> (Vec<String>, BTreeMap<String, Case<'_>>) {
    let mut names = Vec::new();
    let mut cases: BTreeMap<String, Case<'_>> = BTreeMap::new();
    let differing = r.differences.iter().chain(r.accepted.iter().map(|(d, _)| d)).map(|d| label(&d.subject));
    for name in r.compared.iter().cloned().chain(differing) {
        cases.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            Case::default()
        });
    }
    for d in &r.differences {
        let case = cases.entry(label(&d.subject)).or_default();
        case.failing = case.failing.plus(usize::from(r.fails_for(d)));
        case.counting.push(d);
    }
    for (d, reason) in &r.accepted {
        cases.entry(label(&d.subject)).or_default().accepted.push((d, reason));
    }
    (names, cases)
}

fn properties<W: Write>(w: &mut Writer<W>, r: &Report) -> io::Result<()> {
    let [before, after] = &r.inputs;
    let last = summary(r);
    w.create_element("properties").write_inner_content(|w| {
        for (name, value) in [("before", before.to_string()), ("after", after.to_string()), ("summary", last)] {
            let e = w.create_element("property").with_attribute(("name", name));
            e.with_attribute(("value", &*attribute(&value))).write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn case<W: Write>(w: &mut Writer<W>, r: &Report, name: &str, c: &Case<'_>) -> io::Result<()> {
    let name = attribute(name);
    let e = w.create_element("testcase").with_attributes([
        ("classname", r.question.name()),
        ("name", &name),
        ("time", "0"),
    ]);
    if c.counting.is_empty() && c.accepted.is_empty() {
        e.write_empty()?;
        return Ok(());
    }
    let (failing, other): (Vec<&Difference>, Vec<_>) = c.counting.iter().partition(|d| r.fails_for(d));
    let accepted = c.accepted.iter().map(|(d, reason)| format!("accepted: {}\n    {}", line(d), plain(reason)));
    e.write_inner_content(|w| {
        if let Some(first) = failing.first() {
            let one_kind = failing.iter().all(|d| d.rule == first.rule);
            let kind = if one_kind { first.rule.id } else { first.severity.name() };
            let message = match &*failing {
                [one] => attribute(&line(one)),
                several => plural(several.len() as u64, "difference"),
            };
            let e = w.create_element("failure").with_attributes([("type", kind), ("message", &message)]);
            e.write_text_content(BytesText::new(&failing.iter().map(|d| full(d)).collect::<Vec<_>>().join("\n")))?;
        } else if let Some((_, reason)) = c.accepted.first() {
            let more = match c.accepted.len() {
                1 => String::new(),
                n => format!(" (and {} more)", n.minus(1)),
            };
            let message = format!("accepted: {}{more}", attribute(reason));
            w.create_element("skipped").with_attribute(("message", &*message)).write_empty()?;
        }
        let also: Vec<String> =
            other.iter().map(|d| format!("{}: {}", d.severity.name(), full(d))).chain(accepted).collect();
        if !also.is_empty() {
            w.create_element("system-out").write_text_content(BytesText::new(&also.join("\n")))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn faults<W: Write>(w: &mut Writer<W>, r: &Report) -> io::Result<()> {
    if r.faults.is_empty() {
        return Ok(());
    }
    let name = [("classname", r.question.name()), ("name", "every part can be compared"), ("time", "0")];
    let message = format!("{} could not be compared", plural(r.faults.len() as u64, "part"));
    let all: Vec<String> = r.faults.iter().map(|f| text(&plain(f))).collect();
    w.create_element("testcase").with_attributes(name).write_inner_content(|w| {
        let e = w.create_element("error").with_attributes([("type", "partial"), ("message", &*message)]);
        e.write_text_content(BytesText::new(&all.join("\n")))?;
        Ok(())
    })?;
    Ok(())
}

/// Returns a difference on one line.
fn line(d: &Difference) -> String {
    text(&plain(&format!("{}: {}", d.subject, sentence(d))))
}

/// Returns a difference with what it means, on lines of its own.
fn full(d: &Difference) -> String {
    d.meaning.iter().fold(line(d), |all, m| format!("{all}\n    {}", text(&plain(m))))
}

fn attribute(s: &str) -> String {
    text(&plain(s))
}

/// Returns text without the two characters that XML forbids in addition to control characters, which are written out already.
fn text(s: &str) -> String {
    s.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
