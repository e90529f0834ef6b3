//! Whether a target reads what a stream has, field by field.
//!
//! A loader takes bytes, not names: `vmstate_load_state` in `migration/vmstate.c` reads each field that its own version and
//! conditions ask for, one after the other. Names are used here only to find which field answers to which. Where they do
//! not agree, the bytes are weighed against each other, so that a renamed field, one that was cut in two, or padding that
//! took the place of a field, is no alarm.

use std::collections::HashSet;

use super::layout::{Layout, Slot, Source, total};
use super::{names, rules};
use crate::findings::sequence::{Step, align};
use crate::findings::{Aspect, Difference, Rule, Severity, Subject};
use crate::limits::{MAX_DEPTH, MAX_DIAGNOSTICS};
use crate::text::Name;
use crate::value::Layout as TypeLayout;

/// What is said of a field that agrees only if a condition of the target does.
const CONDITION: &str = "the fields agree if the target's condition does, which the dump does not tell";

/// Compares layouts and collects what it finds.
pub struct Aligner<'a> {
    /// The section that the findings are about.
    pub subject: &'a Subject,
    /// The numbers among the values of the saved section and of the target's, when these are streams: an array or buffer
    /// whose length is among them has a length that the stream tells.
    pub lengths: [HashSet<u64>; 2],
    /// Whether neither machine has run yet, so that what differs is no work of the guest.
    pub at_reset: bool,
    /// Whether the target is a stream, which does not mention an array that is empty.
    pub to_stream: bool,
    /// Whether the target is a dump that does not say which fields are arrays, as before QEMU 8.0.
    pub uncounted: bool,
    /// What was found.
    pub found: Vec<Difference>,
}

/// A mismatch that the rest of the same structure may make good.
struct Mismatch {
    path: String,
    message: String,
    sides: [Option<String>; 2],
    severity: Severity,
    saved: u64,
    target: u64,
}

impl<'a> Aligner<'a> {
    /// Makes one for a section, without values.
    pub fn new(subject: &'a Subject) -> Self {
        Self {
            subject,
            lengths: Default::default(),
            at_reset: false,
            to_stream: false,
            uncounted: false,
            found: Vec::new(),
        }
    }

    /// Compares what is written with what is read; `version` is the one that the target's loader is told.
    pub fn layouts(&mut self, path: &str, saved: &Layout, target: &Layout, version: Option<u32>, depth: usize) {
        if depth >= MAX_DEPTH || self.found.len() > MAX_DIAGNOSTICS {
            return;
        }
        let reads = |s: &&Slot| target.source != Source::Dump || version.is_none_or(|v| s.since <= v);
        // a field that is younger than its vmsd's version is not saved (`vmstate_save_state` in `migration/vmstate.c`)
        let writes = |s: &&Slot| saved.source != Source::Dump || saved.version.is_none_or(|v| s.since <= v);
        let saved_slots: Vec<&Slot> = saved.slots.iter().filter(writes).collect();
        let target_slots = names::without_alternatives(&saved_slots, target.slots.iter().filter(reads).collect());
        let (here, there) = (names::of(&saved_slots, &target_slots), names::of(&target_slots, &saved_slots));
        let (here, there): (Vec<&str>, Vec<&str>) =
            (here.iter().map(|n| n.exact()).collect(), there.iter().map(|n| n.exact()).collect());
        // a target that reads an older version than it writes may have conditions on the version that only a dump tells
        let newer = target.source == Source::Stream && saved.version < target.version;
        let mut wrong = Vec::new();
        let mut left = (0, 0);
        for step in align(&here, &there) {
            let Step::Both(i, j) = step else { continue };
            wrong.extend(self.region(path, get(&saved_slots, left.0, i), get(&target_slots, left.1, j), newer));
            left = (i.saturating_add(1), j.saturating_add(1));
            if let (Some(s), Some(t)) = (saved_slots.get(i), target_slots.get(j)) {
                wrong.extend(self.slots(&join(path, &s.name), s, t, depth));
            }
        }
        let rest = (get(&saved_slots, left.0, usize::MAX), get(&target_slots, left.1, usize::MAX));
        wrong.extend(self.region(path, rest.0, rest.1, newer));
        self.settle(wrong);
        self.subsections(path, saved, target, depth);
    }

    /// Reports mismatches, unless they make each other good: what is read too little here is read there.
    fn settle(&mut self, wrong: Vec<Mismatch>) {
        let sum = |f: fn(&Mismatch) -> u64| wrong.iter().map(f).fold(0_u64, u64::saturating_add);
        let even = wrong.len() > 1 && sum(|m| m.saved) == sum(|m| m.target);
        for m in wrong {
            if even {
                let what = "the fields are cut otherwise, and are as many bytes together";
                self.add(&rules::FIELD_NAME, Severity::Harmless, &m.path, what, m.sides);
            } else {
                self.add(&rules::LAYOUT, m.severity, &m.path, &m.message, m.sides);
            }
        }
    }

    fn subsections(&mut self, path: &str, saved: &Layout, target: &Layout, depth: usize) {
        for (i, s) in saved.subsections.iter().enumerate() {
            let path = join(path, &s.name);
            let earlier = saved.subsections.iter().take(i).filter(|e| e.name == s.name).count();
            let Some(t) = target.subsection(s.name.exact(), earlier) else {
                let (severity, message) = match (target.source, saved.source) {
                    (Source::Dump, Source::Dump) => {
                        (Severity::MayBreak, "the target does not know this subsection; it breaks when it is sent")
                    }
                    (Source::Dump, _) => (Severity::Breaks, "the target does not know this subsection"),
                    (Source::Stream, _) if is_old(s.name.exact()) => (
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
                self.add(&rules::SUBSECTION_UNKNOWN, severity, &path, message, [Some(describe(s)), None]);
                continue;
            };
            if self.versions(&path, s, t) {
                self.layouts(&path, s, t, s.version, depth.saturating_add(1));
            }
        }
        if target.source == Source::Stream {
            for t in target.subsections.iter().filter(|t| saved.subsection(t.name.exact(), 0).is_none()) {
                let what = "the target sends this subsection itself; without it, it keeps its defaults";
                let path = join(path, &t.name);
                self.add(&rules::SUBSECTION_EXTRA, Severity::Harmless, &path, what, [None, Some(describe(t))]);
            }
        }
    }

    /// Compares the versions of a section or subsection; `false` when the target refuses it at sight.
    pub fn versions(&mut self, path: &str, saved: &Layout, target: &Layout) -> bool {
        let Some((v, newest)) = saved.version.zip(target.version) else { return true };
        let sides = |target: String| [Some(format!("version {v}")), Some(target)];
        if v > newest {
            let what = format!("the stream has version {v}, the target reads up to {newest}");
            self.add(&rules::VERSION_NEW, Severity::Breaks, path, &what, sides(format!("version {newest}")));
            return false;
        }
        if let Some(oldest) = target.minimum.filter(|m| v < *m) {
            let what = format!("the stream has version {v}, the target reads none older than {oldest}");
            let range =
                if oldest == newest { format!("version {newest}") } else { format!("versions {oldest} to {newest}") };
            self.add(&rules::VERSION_OLD, Severity::Breaks, path, &what, sides(range));
            return false;
        }
        if v < newest && target.minimum.is_none() {
            let what =
                format!("the stream has version {v}, the target writes {newest}; it may still read the older one");
            self.add(&rules::VERSION_OTHER, Severity::MayBreak, path, &what, sides(format!("version {newest}")));
        }
        true
    }

    /// Compares two fields of the same name.
    fn slots(&mut self, path: &str, saved: &Slot, target: &Slot, depth: usize) -> Option<Mismatch> {
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
                    self.layouts(path, s, t, told, depth.saturating_add(1));
                }
                None
            }
        }
    }

    /// Returns what another number of elements or bytes leads to; nothing when both streams tell their own number.
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

    /// Weighs fields without a counterpart of the same name against each other.
    fn region(&mut self, path: &str, saved: &[&Slot], target: &[&Slot], newer: bool) -> Option<Mismatch> {
        let first = saved.first().or(target.first())?;
        let place = join(path, &first.name);
        let names = |slots: &[&Slot]| {
            let mut all: Vec<String> =
                slots.iter().take(MAX_NAMES).map(|s| format!("{} ({})", s.name, s.text())).collect();
            if let Some(more) = slots.len().checked_sub(MAX_NAMES).filter(|n| *n > 0) {
                all.push(format!("{more} more"));
            }
            (!all.is_empty()).then(|| all.join(", "))
        };
        let sides = [names(saved), names(target)];
        let must = |slots: &[&Slot]| slots.iter().filter(|s| !s.conditional).map(|s| (*s).clone()).collect::<Vec<_>>();
        let (written, needed) = (must(saved), must(target));
        let maybe: Vec<Option<u64>> = saved.iter().chain(target).filter(|s| s.conditional).map(|s| s.bytes()).collect();
        let vague = |slots: &[Slot]| slots.iter().any(|s| s.is_variable());
        // special types have another size in memory than on the wire
        let dumped = |slots: &[&Slot]| slots.iter().any(|s| s.ty.is_none());
        let is_special = |slots: &[&Slot]| slots.iter().any(|s| s.is_special());
        let special = (dumped(target) && is_special(saved)) || (dumped(saved) && is_special(target));
        let sums = total(&written).zip(total(&needed)).filter(|_| !vague(&written) && !vague(&needed) && !special);
        let Some((has, reads)) = sums else {
            let what = if saved.is_empty() || target.is_empty() {
                "one side only has this field, whose size is not known"
            } else {
                "different fields, and their sizes on the wire are not all known"
            };
            self.add(&rules::FIELD_NAME, Severity::MayBreak, &place, what, sides);
            return None;
        };
        if has == reads {
            if has > 0 {
                self.add(&rules::FIELD_NAME, Severity::Harmless, &place, "other names, the same bytes", sides);
            }
            return None;
        }
        if is_sum_of(has.abs_diff(reads), &maybe) {
            self.add(&rules::LAYOUT_CONDITION, Severity::Harmless, &place, CONDITION, sides);
            return None;
        }
        // a description does not mention an array that is empty, and a dump does not tell it from a single field
        let uncounted = |slots: &[&Slot]| slots.iter().all(|s| s.has_unknown_count());
        let maybe_empty =
            (saved.is_empty() && uncounted(target)) || (target.is_empty() && uncounted(saved) && self.to_stream);
        if maybe_empty && saved.is_empty() && target.iter().all(|t| !t.inner.is_empty()) {
            let what = "the stream does not have these structures; an array that is empty looks like that";
            self.add(&rules::LAYOUT_CONDITION, Severity::Harmless, &place, what, sides);
            return None;
        }
        let what = match (saved.is_empty(), target.is_empty()) {
            (false, true) => format!("the target does not read these {has} bytes"),
            (true, false) => format!("the target reads {reads} bytes here that the stream does not have"),
            _ => format!("the stream has {has} bytes here, the target reads {reads}"),
        };
        let (severity, unless) = if maybe_empty {
            (Severity::MayBreak, ", unless this is an array that is empty")
        } else if saved.iter().any(|s| s.has_unknown_count()) && self.to_stream {
            (Severity::MayBreak, ", unless a field is an array, whose length the dump does not have")
        } else if self.uncounted && has > reads && target.iter().any(|t| t.count.is_none()) {
            (Severity::MayBreak, ", unless a field is an array, which the dump does not tell")
        } else if newer && saved.is_empty() {
            (Severity::MayBreak, ", unless it does so for newer versions only")
        } else {
            (Severity::Breaks, "")
        };
        let message = what + unless;
        Some(Mismatch { path: place, message, sides, severity, saved: has, target: reads })
    }

    /// Adds a finding about a field.
    pub fn add(
        &mut self,
        rule: &'static Rule,
        severity: Severity,
        path: &str,
        message: &str,
        sides: [Option<String>; 2],
    ) {
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
        self.found.push(Difference::new(rule, severity, self.subject.field(path), message, sides));
    }
}

fn mismatch(path: &str, severity: Severity, message: String, saved: &Slot, target: &Slot) -> Option<Mismatch> {
    let sides = [Some(saved.text()), Some(target.text())];
    let (s, t) = (saved.bytes().unwrap_or(0), target.bytes().unwrap_or(0));
    Some(Mismatch { path: path.to_owned(), message, sides, severity, saved: s, target: t })
}

/// Subsections of vmsds that no dump has, which QEMU 5.2, 7.2, 10.0 and 11.1 all know and send only when they are needed, or
/// with one accelerator: their names are in all four binaries of x86_64, aarch64, ppc64, s390x or riscv64.
#[rustfmt::skip]
static KNOWN_SINCE_5_2: &[&str] = &[
    "cpu/altivec", "cpu/altivec/vscr", "cpu/async_pf_int_msr", "cpu/async_pf_msr", "cpu/async_pv_eoi_msr", "cpu/avx512",
    "cpu/bpbc", "cpu/compat", "cpu/diag318", "cpu/etoken", "cpu/exception_info", "cpu/exval", "cpu/fpop_ip_dp", "cpu/fpu",
    "cpu/gscb", "cpu/hyper", "cpu/intel_pt", "cpu/irq-line-state", "cpu/kvm_nested_state", "cpu/m-security",
    "cpu/m/csselr", "cpu/m/faultmask-primask", "cpu/m/fp", "cpu/m/other-sp", "cpu/m/scr", "cpu/m/v8m", "cpu/mcg_ext_ctl",
    "cpu/mpx", "cpu/msr_architectural_pmu", "cpu/msr_hyperv_crash", "cpu/msr_hyperv_hypercall",
    "cpu/msr_hyperv_reenlightenment", "cpu/msr_hyperv_runtime", "cpu/msr_hyperv_stimer", "cpu/msr_hyperv_synic",
    "cpu/msr_hyperv_time", "cpu/msr_hyperv_vapic", "cpu/msr_ia32_feature_control", "cpu/msr_ia32_misc_enable",
    "cpu/msr_smi_count", "cpu/msr_tsc_adjust", "cpu/msr_tscdeadline", "cpu/msr_tsx_ctrl", "cpu/nested_state", "cpu/pkru",
    "cpu/pmp", "cpu/pmsav7", "cpu/pmsav7-rnr", "cpu/pmsav8", "cpu/poll_control_msr", "cpu/riccb", "cpu/serror", "cpu/slb",
    "cpu/spec_ctrl", "cpu/sr", "cpu/steal_time_msr", "cpu/sve", "cpu/svn_npt", "cpu/thumb2ee", "cpu/tlb6xx",
    "cpu/tlbmas", "cpu/tm", "cpu/tsc_khz", "cpu/umwait", "cpu/vector", "cpu/vfp", "cpu/virt_ssbd", "cpu/vregs", "cpu/vsx",
    "cpu/xss", "cpu_common/crash_occurred", "cpu_common/exception_index", "ide_bus/error", "ide_drive/atapi/gesn_state",
    "ide_drive/pio_state", "ide_drive/tray_state", "kvmclock/clock_is_reliable", "ps2kbd/ledstate", "ps2kbd/need_high_bit",
    "spapr_cpu/vpa", "spapr_drc/physical", "spapr_drc/unplug_requested", "timer/icount",
];

fn is_old(name: &str) -> bool {
    name.starts_with("spapr/cap/") || KNOWN_SINCE_5_2.binary_search(&name).is_ok()
}

/// Tells whether a number is the sum of some of the parts; an unknown part may have any size.
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

fn join(path: &str, name: &Name) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

fn get<'s, 'a>(slots: &'s [&'a Slot], from: usize, to: usize) -> &'s [&'a Slot] {
    slots.get(from..to.min(slots.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted() {
        assert!(KNOWN_SINCE_5_2.is_sorted());
    }
}
