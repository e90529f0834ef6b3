//! A report of differences in the forms that people and CI servers read.
// it prints text from the input for servers: what `render` may do elsewhere is refused here
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

pub mod github;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod sarif;
#[cfg(feature = "cli")]
pub mod side_by_side;
pub mod stat;
pub mod text;

use std::collections::BTreeSet;

use super::human::{count, plural};
use crate::findings::{Difference, Question, Report, Severity, Subject};
use crate::offset::Sure;
use crate::text::line as plain;

/// Returns the answer in one word, such as `same` or `may-break`.
#[must_use]
pub fn verdict(r: &Report) -> &'static str {
    if r.question == Question::Diff {
        return if r.fails() { "different" } else { "same" };
    }
    match r.worst() {
        Some(Severity::Breaks | Severity::Differs) => "incompatible",
        Some(Severity::MayBreak) => "may-break",
        Some(Severity::Harmless) | None => "compatible",
    }
}

/// Returns the answer in one line: the verdict, how many differences where, and what was set aside.
#[must_use]
pub fn summary(r: &Report) -> String {
    let n = |severity: Severity| r.differences.iter().filter(|d| d.severity == severity).count() as u64;
    let (heavy, light) = (n(Severity::Breaks).plus(n(Severity::Differs)), n(Severity::MayBreak));
    let mut out = match (r.question, verdict(r)) {
        (Question::Diff, "same") => format!("no differences{}", among(r, false)),
        (Question::Diff, _) => format!("{}{}", plural(heavy, "difference"), among(r, true)),
        (_, "incompatible") => {
            let also = if light == 0 { String::new() } else { format!(", {} that may,", count(light)) };
            format!("incompatible: {} that QEMU refuses{also}{}", plural(heavy, "difference"), among(r, true))
        }
        (_, "may-break") => {
            format!("may break: {} that QEMU may refuse{}", plural(light, "difference"), among(r, true))
        }
        _ => format!("compatible: nothing that QEMU would refuse was found{}", among(r, false)),
    };
    if r.question == Question::Diff && light > 0 {
        out += &format!("; {} that may break", count(light));
    }
    if n(Severity::Harmless) > 0 {
        out += &format!("; {} harmless", count(n(Severity::Harmless)));
    }
    let mut aside = Vec::new();
    if !r.accepted.is_empty() {
        aside.push(format!("{} accepted", count(r.accepted.len() as u64)));
    }
    if r.ignored > 0 {
        aside.push(format!("{} ignored", count(r.ignored)));
    }
    if !aside.is_empty() {
        out += &format!("; {}", aside.join(", "));
    }
    if !r.faults.is_empty() {
        let were = if r.faults.len() == 1 { "was" } else { "were" };
        out += &format!("; {} {were} not compared", plural(r.faults.len() as u64, "part"));
    }
    out
}

/// Returns `in 5 of 42 sections`, or just `in 42 sections`, with a gap before it.
fn among(r: &Report, some: bool) -> String {
    let compared: BTreeSet<&str> = r.compared.iter().map(String::as_str).collect();
    if compared.is_empty() {
        return String::new();
    }
    let hit: BTreeSet<String> = r.differences.iter().filter(|d| !is_remark(d)).map(|d| label(&d.subject)).collect();
    let beside = hit.iter().filter(|l| !compared.contains(l.as_str())).count();
    let all = plural(compared.len().plus(beside) as u64, "section");
    if some && !hit.is_empty() { format!(" in {} of {all}", count(hit.len() as u64)) } else { format!(" in {all}") }
}

/// Returns whether a difference is about the file of accepted differences and not about the inputs.
fn is_remark(d: &Difference) -> bool {
    d.rule.id.starts_with("accepted-")
}

/// Returns the section's name with its instance, as the report's list of what was compared has it.
fn label(s: &Subject) -> String {
    s.instance.map_or_else(|| s.section.to_string(), |n| format!("{} ({n})", s.section))
}

/// Returns both sides on one line, `before -> after`, where there are both.
fn change(d: &Difference) -> Option<String> {
    Some(format!("{} -> {}", d.before.as_ref()?.text, d.after.as_ref()?.text))
}

/// Returns the message with both sides: what there is to say where there is but one line.
fn sentence(d: &Difference) -> String {
    let sides = match (&d.before, &d.after) {
        (Some(_), Some(_)) => change(d),
        (Some(b), None) => Some(format!("before: {}", b.text)),
        (None, Some(a)) => Some(format!("after: {}", a.text)),
        (None, None) => None,
    };
    sides.map_or_else(|| d.message.clone(), |s| format!("{} ({s})", d.message))
}
