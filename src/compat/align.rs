//! Whether a target reads what a stream has, field by field.
//!
//! A loader takes bytes, not names: `vmstate_load_state` in `migration/vmstate.c` reads each field that its own version and
//! conditions ask for, one after the other. Names are used here only to find which field answers to which. Where they do
//! not agree, the bytes are weighed against each other, so that a renamed field, one that was cut in two, or padding that
//! took the place of a field, is no alarm.

use std::collections::HashSet;

use super::layout::{Layout, Slot, Source};
use super::region::Sources;
use super::rules::Graded;
use super::{known, names, rules};
use crate::findings::sequence::{Step, align};
use crate::findings::{Aspect, Difference, Severity, Subject};
use crate::limits::{MAX_DEPTH, MAX_DIAGNOSTICS};
use crate::offset::{Sure, total};
use crate::text::Name;
use crate::value::Layout as TypeLayout;

/// Compares layouts and collects what it finds.
pub struct Aligner<'a> {
    /// The section that the findings are about.
    pub subject: &'a Subject,
    /// The numbers among the values of the saved section and of the target's, when these are streams: an array or buffer
    /// whose length is among them has a length that the stream contains.
    pub lengths: [HashSet<u64>; 2],
    /// Whether neither machine has run yet, so that what differs is no work of the guest.
    pub at_reset: bool,
    /// Whether the target is a dump that does not say which fields are arrays, as before QEMU 8.0.
    pub uncounted: bool,
    /// The levels of structure around what is compared.
    depth: usize,
    /// What was found.
    pub found: Vec<Difference>,
}

/// A mismatch that the rest of the same structure may make good.
pub(super) struct Mismatch {
    pub(super) path: String,
    pub(super) message: String,
    pub(super) sides: [Option<String>; 2],
    pub(super) severity: Severity,
    pub(super) saved: u64,
    pub(super) target: u64,
}

impl<'a> Aligner<'a> {
    /// Makes one for a section, without values.
    pub fn new(subject: &'a Subject) -> Self {
        Self { subject, lengths: Default::default(), at_reset: false, uncounted: false, depth: 0, found: Vec::new() }
    }

    /// Compares what is written with what is read; `version` is the one that the target's loader gets.
    pub fn layouts(&mut self, path: &str, saved: &Layout, target: &Layout, version: Option<u32>) {
        if self.depth >= MAX_DEPTH || self.found.len() > MAX_DIAGNOSTICS {
            return;
        }
        self.depth.tally(1);
        let saved_slots: Vec<&Slot> = saved.slots_of(saved.version).collect();
        let target_slots = names::without_alternatives(&saved_slots, target.slots_of(version).collect());
        let (here, there) = (names::of(&saved_slots, &target_slots), names::of(&target_slots, &saved_slots));
        let (here, there): (Vec<&str>, Vec<&str>) =
            (here.iter().map(|n| n.exact()).collect(), there.iter().map(|n| n.exact()).collect());
        // a target that reads an older version than it writes may have conditions on the version that only a dump shows
        let newer = target.source == Source::Stream && saved.version < target.version;
        let sources = Sources { saved: saved.source, target: target.source, newer };
        let mut wrong = Vec::new();
        let mut left = (0, 0);
        for step in align(&here, &there) {
            let Step::Both(i, j) = step else { continue };
            wrong.extend(self.region(path, get(&saved_slots, left.0, i), get(&target_slots, left.1, j), sources));
            left = (i.plus(1), j.plus(1));
            if let (Some(s), Some(t)) = (saved_slots.get(i), target_slots.get(j)) {
                wrong.extend(self.slots(&join(path, &s.name), s, t));
            }
        }
        let rest = (get(&saved_slots, left.0, usize::MAX), get(&target_slots, left.1, usize::MAX));
        wrong.extend(self.region(path, rest.0, rest.1, sources));
        self.settle(wrong);
        self.subsections(path, saved, target);
        self.depth = self.depth.minus(1);
    }

    /// Reports mismatches, unless they make each other good: what is read too little here is read there.
    fn settle(&mut self, wrong: Vec<Mismatch>) {
        let sum = |f: fn(&Mismatch) -> u64| total(wrong.iter().map(f));
        let even = wrong.len() > 1 && sum(|m| m.saved) == sum(|m| m.target);
        for m in wrong {
            if even {
                let what = "different fields, same total size";
                self.add(rules::FIELD_NAME.harmless(), &m.path, what, m.sides);
            } else {
                self.add(rules::LAYOUT.with(m.severity), &m.path, &m.message, m.sides);
            }
        }
    }

    fn subsections(&mut self, path: &str, saved: &Layout, target: &Layout) {
        for (i, s) in saved.subsections.iter().enumerate() {
            let path = join(path, &s.name);
            let earlier = saved.subsections.iter().take(i).filter(|e| e.name == s.name).count();
            let Some(t) = target.subsection(s.name.exact(), earlier) else {
                let (severity, message) = match (target.source, saved.source) {
                    (Source::Dump, Source::Dump) => {
                        (Severity::MayBreak, "the target does not know this subsection; it breaks when it is sent")
                    }
                    (Source::Dump, _) => (Severity::Breaks, "the target does not know this subsection"),
                    (Source::Stream, _) if known::is_old(s.name.exact()) => (
                        Severity::Harmless,
                        "every QEMU since 5.2 knows this subsection, and sends it only when needed",
                    ),
                    (Source::Stream, Source::Stream) if self.at_reset => (
                        Severity::Breaks,
                        "the target does not send this subsection; neither machine has run, so the target seems not to know it",
                    ),
                    (Source::Stream, _) => (
                        Severity::MayBreak,
                        "the target's own stream does not have this subsection; it may not know it",
                    ),
                };
                self.add(rules::SUBSECTION_UNKNOWN.with(severity), &path, message, [Some(describe(s)), None]);
                continue;
            };
            if self.versions(&path, s, t) {
                self.layouts(&path, s, t, s.version);
            }
        }
        if target.source == Source::Stream {
            for t in target.subsections.iter().filter(|t| saved.subsection(t.name.exact(), 0).is_none()) {
                let what = "the target sends this subsection itself; without it, it keeps its defaults";
                let path = join(path, &t.name);
                self.add(rules::SUBSECTION_EXTRA.harmless(), &path, what, [None, Some(describe(t))]);
            }
        }
    }

    /// Compares the versions of a section or subsection; `false` when the target refuses it at sight.
    pub fn versions(&mut self, path: &str, saved: &Layout, target: &Layout) -> bool {
        let Some((v, newest)) = saved.version.zip(target.version) else { return true };
        let sides = |target: String| [Some(format!("version {v}")), Some(target)];
        if v > newest {
            let what = format!("the stream has version {v}, the target reads up to {newest}");
            self.add(rules::VERSION_NEW.breaks(), path, &what, sides(format!("version {newest}")));
            return false;
        }
        if let Some(oldest) = target.minimum.filter(|m| v < *m) {
            let what = format!(
                "the stream has version {v}, the target requires version {oldest} or later (minimum_version_id)"
            );
            let range =
                if oldest == newest { format!("version {newest}") } else { format!("versions {oldest} to {newest}") };
            self.add(rules::VERSION_OLD.breaks(), path, &what, sides(range));
            return false;
        }
        if v < newest && target.minimum.is_none() {
            let what =
                format!("the stream has version {v}, the target writes {newest}; it may still read the older one");
            self.add(rules::VERSION_OTHER.may_break(), path, &what, sides(format!("version {newest}")));
        }
        true
    }

    /// Compares two fields of the same name.
    fn slots(&mut self, path: &str, saved: &Slot, target: &Slot) -> Option<Mismatch> {
        if let (Some(s), Some(t)) = (saved.count, target.count)
            && s != t
            && !saved.is_variable()
            && !target.is_variable()
        {
            let severity = self.severity_of_length(target, s, t)?;
            return mismatch(
                path,
                severity,
                format!("the stream has {s} elements, the target reads {t}"),
                saved,
                target,
            );
        }
        match (saved.inner.as_slice(), target.inner.as_slice()) {
            ([], []) => self.leaves(path, saved, target),
            ([], _) | (_, []) => {
                let (s, t) = saved.bytes().zip(target.bytes())?;
                if s == t || saved.is_variable() || target.is_variable() || saved.has_unknown_count() {
                    return None;
                }
                let what = format!("the stream has {s} bytes, the target reads {t}");
                mismatch(path, Severity::Breaks, what, saved, target)
            }
            (all, targets) => {
                for (i, s) in all.iter().enumerate() {
                    let Some(t) = targets.get(i).or(targets.first()) else { continue };
                    let is_vstruct = saved.ty.as_ref().is_some_and(|ty| ty.exact() == "vstruct");
                    let told = if is_vstruct { s.version } else { t.version };
                    self.layouts(path, s, t, told);
                }
                None
            }
        }
    }

    /// Returns the severity of a different number of elements or bytes; `None` if both streams contain their own number.
    fn severity_of_length(&self, target: &Slot, s: u64, t: u64) -> Option<Severity> {
        if target.ty.is_none() {
            return Some(Severity::Breaks);
        }
        match (self.lengths[0].contains(&s), self.lengths[1].contains(&t)) {
            (true, true) => None,
            (false, false) => Some(Severity::Breaks),
            _ => Some(Severity::MayBreak),
        }
    }

    fn leaves(&mut self, path: &str, saved: &Slot, target: &Slot) -> Option<Mismatch> {
        let (s, t) = saved.width.zip(target.width)?;
        if s == t {
            return None;
        }
        if saved.is_variable() || target.is_variable() {
            // elements that a reader of the device's own takes one by one are all of one size: a TLB, registers
            let array = saved.layout() == Some(TypeLayout::Custom) && saved.count > Some(1) && target.ty.is_some();
            let what = format!("the stream has elements of {s} bytes, the target reads {t}");
            return array.then(|| mismatch(path, Severity::Breaks, what, saved, target)).flatten();
        }
        // a dump has sizes in memory
        let one_dump = saved.ty.is_none() != target.ty.is_none();
        if one_dump && !saved.has_plain_size() && !target.has_plain_size() {
            return None;
        }
        let severity = match saved.layout() {
            Some(TypeLayout::Bytes) | None if !saved.is_padding() => self.severity_of_length(target, s, t)?,
            _ => Severity::Breaks,
        };
        mismatch(path, severity, format!("the stream has {s} bytes, the target reads {t}"), saved, target)
    }

    /// Adds a finding about a field.
    pub fn add(&mut self, rule: Graded, path: &str, message: &str, sides: [Option<String>; 2]) {
        if self.found.len() > MAX_DIAGNOSTICS {
            return;
        }
        if self.found.len() == MAX_DIAGNOSTICS {
            let message = format!("more than {MAX_DIAGNOSTICS} findings; what follows is not compared");
            let subject = self.subject.clone();
            self.found.push(Difference::new(&rules::TOO_MANY, Severity::MayBreak, subject, message, [None, None]));
            return;
        }
        let sides = sides.map(|s| s.map(|t| Aspect::new(short(t), None)));
        self.found.push(Difference::new(rule.rule, rule.severity, self.subject.field(path), message, sides));
    }
}

fn mismatch(path: &str, severity: Severity, message: String, saved: &Slot, target: &Slot) -> Option<Mismatch> {
    let sides = [Some(saved.text()), Some(target.text())];
    let (s, t) = (saved.bytes().unwrap_or(0), target.bytes().unwrap_or(0));
    Some(Mismatch { path: path.to_owned(), message, sides, severity, saved: s, target: t })
}

fn describe(l: &Layout) -> String {
    l.version.map_or_else(|| "a subsection".to_owned(), |v| format!("subsection, version {v}"))
}

/// Cuts a text that lists many fields.
fn short(text: String) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((i, _)) => format!("{}…", text.get(..i).unwrap_or_default()),
        None => text,
    }
}

pub(super) fn join(path: &str, name: &Name) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

fn get<'s, 'a>(slots: &'s [&'a Slot], from: usize, to: usize) -> &'s [&'a Slot] {
    slots.get(from..to.min(slots.len())).unwrap_or_default()
}
