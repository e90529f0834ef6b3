//! Fields without a counterpart of the same name: do the bytes of one side answer to those of the other?

use super::align::{Aligner, Mismatch, join};
use super::layout::{Slot, Source, total};
use super::{known, rules};
use crate::findings::Severity;

/// What is said of a field that agrees only if a condition of the target does.
const CONDITION: &str = "the fields agree if the target's condition holds, which the dump does not contain";

/// Where the layouts of a region come from.
#[derive(Clone, Copy)]
pub(super) struct Sources {
    /// The saved side.
    pub saved: Source,
    /// The target.
    pub target: Source,
    /// Whether a target that reads an older version than it writes may have conditions on the version that no input shows.
    pub newer: bool,
}

impl Aligner<'_> {
    /// Weighs fields without a counterpart of the same name against each other.
    pub(super) fn region(
        &mut self,
        path: &str,
        saved: &[&Slot],
        target: &[&Slot],
        sources: Sources,
    ) -> Option<Mismatch> {
        let first = saved.first().or(target.first())?;
        let place = join(path, &first.name);
        let sides = [named(saved), named(target)];
        let must = |slots: &[&Slot]| slots.iter().filter(|s| !s.conditional).map(|s| (*s).clone()).collect::<Vec<_>>();
        let (written, needed) = (must(saved), must(target));
        let maybe: Vec<Option<u64>> = saved.iter().chain(target).filter(|s| s.conditional).map(|s| s.bytes()).collect();
        // a description does not mention an array that is empty, and a dump does not distinguish it from a single field
        let dump_only = match (sources.saved, sources.target) {
            (Source::Stream, Source::Dump) if saved.is_empty() => target,
            (Source::Dump, Source::Stream) if target.is_empty() => saved,
            _ => &[],
        };
        let maybe_empty = !dump_only.is_empty() && dump_only.iter().all(|t| t.has_unknown_count());
        if maybe_empty && dump_only.iter().all(|t| t.inner.iter().any(|l| known::is_array(&l.name))) {
            let what = match sources.saved {
                Source::Stream => "the stream does not have these structures; an array that is empty looks like that",
                Source::Dump => "the target's stream does not have these structures; an empty array looks like that",
            };
            self.add(rules::LAYOUT_CONDITION.harmless(), &place, what, sides);
            return None;
        }
        let vague = |slots: &[Slot]| slots.iter().any(|s| s.is_variable());
        // special types have another size in memory than on the wire
        let special = |dump: &[&Slot], stream: &[&Slot]| {
            dump.iter().any(|t| t.ty.is_none()) && stream.iter().any(|s| s.is_special())
        };
        let special = special(target, saved) || special(saved, target);
        let sums = total(&written).zip(total(&needed)).filter(|_| !vague(&written) && !vague(&needed) && !special);
        let Some((has, reads)) = sums else {
            if written.is_empty() && needed.is_empty() {
                return None;
            }
            let (severity, what) = if !maybe.is_empty() {
                (Severity::Harmless, CONDITION)
            } else if saved.is_empty() || target.is_empty() {
                (Severity::MayBreak, "one side only has this field, and its size on the wire is not known")
            } else if alike(saved, target) {
                (Severity::Harmless, "other names, and the same sizes as far as they are known")
            } else {
                (Severity::MayBreak, "other names, and sizes on the wire that are not all known")
            };
            let rule = if maybe.is_empty() { &rules::FIELD_NAME } else { &rules::LAYOUT_CONDITION };
            self.add(rule.with(severity), &place, what, sides);
            return None;
        };
        if has == reads {
            if has > 0 {
                self.add(rules::FIELD_NAME.harmless(), &place, "other names, the same bytes", sides);
            }
            return None;
        }
        if is_sum_of(has.abs_diff(reads), &maybe) {
            self.add(rules::LAYOUT_CONDITION.harmless(), &place, CONDITION, sides);
            return None;
        }
        let what = match (saved.is_empty(), target.is_empty()) {
            (false, true) => format!("the target does not read these {has} bytes"),
            (true, false) => format!("the target reads {reads} bytes here that the stream does not have"),
            _ => format!("the stream has {has} bytes here, the target reads {reads}"),
        };
        // how long an array of the saved side is, its dump does not contain
        let open = sources.saved == Source::Dump
            && sources.target == Source::Stream
            && saved.iter().any(|s| s.has_unknown_count());
        let (severity, unless) = if maybe_empty {
            (Severity::MayBreak, ", unless this is an array that is empty")
        } else if open || (self.uncounted && has > reads && target.iter().any(|t| t.has_unknown_count())) {
            (Severity::MayBreak, ", unless a field is an array, which the dump does not show")
        } else if sources.newer && saved.is_empty() {
            (Severity::MayBreak, ", unless it does so for newer versions only")
        } else {
            (Severity::Breaks, "")
        };
        let message = what + unless;
        Some(Mismatch { path: place, message, sides, severity, saved: has, target: reads })
    }
}

/// Returns whether renamed fields answer to each other one by one.
fn alike(saved: &[&Slot], target: &[&Slot]) -> bool {
    let same = |s: &Slot, t: &Slot| match (s.inner.first(), t.inner.first()) {
        (Some(a), Some(b)) => a.name == b.name,
        (None, None) => s.width == t.width && !s.is_variable() && !t.is_variable(),
        _ => false,
    };
    saved.len() == target.len() && saved.iter().zip(target).all(|(s, t)| same(s, t))
}

/// Names fields, each with what it is.
fn named(slots: &[&Slot]) -> Option<String> {
    let mut all: Vec<String> = slots.iter().take(MAX_NAMES).map(|s| format!("{} ({})", s.name, s.text())).collect();
    if let Some(more) = slots.len().checked_sub(MAX_NAMES).filter(|n| *n > 0) {
        all.push(format!("{more} more"));
    }
    (!all.is_empty()).then(|| all.join(", "))
}

/// Returns whether a number is the sum of some of the parts; an unknown part may have any size.
fn is_sum_of(number: u64, parts: &[Option<u64>]) -> bool {
    if parts.iter().any(Option::is_none) {
        return true;
    }
    let mut reached = vec![0_u64];
    for p in parts.iter().take(MAX_PARTS).flatten() {
        let more: Vec<u64> = reached.iter().filter_map(|r| r.checked_add(*p)).filter(|r| *r <= number).collect();
        reached.extend(more);
        reached.sort_unstable();
        reached.dedup();
        reached.truncate(MAX_SUMS);
    }
    reached.contains(&number)
}

/// Conditional fields that are tried in combination, and sums that are kept: QEMU's vmsds have some ten of the former.
const MAX_PARTS: usize = 64;
const MAX_SUMS: usize = 4_096;

/// Fields that a finding names.
const MAX_NAMES: usize = 8;
