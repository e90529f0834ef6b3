//! `compat`: will a target load what a saved side wrote?
//!
//! A side is a stream, a `-dump-vmstate` file, or both. What is compared is the wire: sections and
//! instances, versions, subsections, the bytes of the fields, RAM blocks, configuration, commands, and the values that a
//! loader checks. Names and nesting help to find what answers to what, and do not matter otherwise.

mod align;
mod cpreg;
mod dump;
mod head;
mod known;
mod layout;
mod names;
mod pci;
mod pvr;
mod region;
mod rules;
mod sections;
mod side;
mod values;
mod virtio;

pub use dump::Dump;
use rules::Graded;
pub use rules::RULES;
pub use side::{Side, StreamFacts};

use crate::findings::accepted::Version;
use crate::findings::{Aspect, Difference, Question, Report, Subject};

/// What the user knows about the target and the inputs do not contain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The target's QEMU version.
    pub target_version: Option<Version>,
}

/// Compares the sides.
#[must_use]
pub fn compare(saved: &Side, target: &Side, known: Known) -> Report {
    let mut out: Vec<Difference> = Vec::new();
    let at_least = known.target_version.or_else(|| known::target_at_least(saved, target));
    let knows_switchover = match known.target_version {
        Some(v) => Some(v >= Version::new(10, 0)),
        None => at_least.is_some_and(|v| v >= Version::new(10, 0)).then_some(true),
    };
    let version = known.target_version.or(at_least.filter(|v| *v >= virtio::LOOKS_AT_SIZES));
    head::compare(saved, target, knows_switchover, &mut out);
    let compared = match (saved, target) {
        (Side { stream: Some(s), .. }, t) => sections::of_stream(s, t, version, &mut out),
        (Side { dump: Some(s), .. }, Side { dump: Some(t), .. }) => sections::of_dumps(s, t, &mut out),
        (Side { dump: Some(s), .. }, Side { stream: Some(t), .. }) => sections::of_dump(s, t, &mut out),
        _ => Vec::new(),
    };
    let mut faults = Vec::new();
    for side in [saved, target] {
        faults.extend(side.stream.iter().flat_map(|s| s.faults.iter().cloned()));
        if side.dump.as_ref().is_some_and(|d| d.cut) {
            faults.push("the dump ends too early; the classes that it lacks could not be compared".to_owned());
        }
    }
    Report { question: Question::Compat, rules: RULES, differences: out, compared, faults, ..Report::default() }
}

/// Adds a finding.
fn push(
    out: &mut Vec<Difference>,
    rule: Graded,
    subject: Subject,
    message: impl Into<String>,
    sides: [Option<Aspect>; 2],
) {
    out.push(Difference::new(rule.rule, rule.severity, subject, message, sides));
}
