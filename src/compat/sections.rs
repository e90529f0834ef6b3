//! Section by section: is there one on the target, of a version that it reads, and with the same bytes?

use std::collections::{HashMap, HashSet};

use super::align::Aligner;
use super::dump::{Class, Dump};
use super::layout::Layout;
use super::side::{SectionFacts, Side, StreamFacts};
use super::{cpreg, pci, push, pvr, rules, virtio};
use crate::findings::accepted::Version;
use crate::findings::{Aspect, Difference, Severity, Subject};
use crate::limits::MAX_DIFFERENCES;
use crate::offset::Sure;
use crate::text::Name;

/// Vmsds that QEMU registers without a device class, so that no dump has them. All such names in the streams of every
/// machine type of QEMU 5.2, 7.2, 10.0 and 11.1, and some from its sources (`vmstate_register` and `register_savevm_live`).
#[rustfmt::skip]
static NEVER_DUMPED: &[&str] = &[
    "PCIBUS", "acpi_build", "adb_bus", "ads7846", "aer915", "apic", "arm_timer", "audio", "cpu", "cpu_common",
    "dma", "eeprom", "globalstate", "i2c_bus", "i82550", "i82551", "i82557a", "i82557b", "i82557c", "i82558a",
    "i82558b", "i82559a", "i82559b", "i82559c", "i82559er", "i82562", "i82801", "icount", "icp/server", "ide",
    "ipmi-bmc-sim", "ipmi-interface", "ipmi-interface-isa-bt", "isa-ide", "kvm-tpr-opt", "lasips2", "onenand",
    "or1k_timer", "ps2kbd", "ps2mouse", "pxa2xx_cm", "pxa2xx_i2s", "pxa2xx_keypad", "pxa2xx_lcdc", "pxa2xx_mm",
    "pxa2xx_pm", "replay", "s390-skeys", "s390_css", "slirp", "spapr", "spapr_cpu", "spapr_drc", "spapr_iommu",
    "stellaris_sys", "timer", "todclock", "tsc2005", "tsc2102", "tsc2301", "virt_acpi_build",
    "virtio-mem-device-early", "zipit-lcd",
];

fn is_never_dumped(vmsd: &str) -> bool {
    NEVER_DUMPED.binary_search(&vmsd).is_ok()
}

/// Sections that are registered on every machine and sent only when something is in them (`vmstate_audio` in
/// `audio/audio.c` and others with a condition on the whole).
static NOT_ALWAYS_SENT: &[&str] = &["audio", "dirty-bitmap", "icount", "replay", "slirp"];

/// Compares the sections of a stream with what the target has; returns the labels of those that were compared.
pub fn of_stream(
    saved: &StreamFacts,
    target: &Side,
    version: Option<Version>,
    out: &mut Vec<Difference>,
) -> Vec<String> {
    let mut seen: HashMap<(Name, u32), usize> = HashMap::new();
    let mut labels = Vec::with_capacity(saved.sections.len());
    let at_reset = saved.never_ran() && target.stream.as_ref().is_some_and(StreamFacts::never_ran);
    let mut sections = Sections { target, at_reset, unchecked: Vec::new() };
    for section in &saved.sections {
        if out.len() > MAX_DIFFERENCES {
            let what = format!("more than {MAX_DIFFERENCES} findings; what follows is not compared");
            push(out, rules::TOO_MANY.may_break(), Subject::part("stream", ""), what, [None, None]);
            return labels;
        }
        let n = seen.entry((section.idstr.clone(), section.instance)).or_default();
        let there = target.stream.as_ref().and_then(|t| t.find(&section.idstr, section.instance, *n));
        n.tally(1);
        labels.push(format!("{} ({})", section.idstr, section.instance));
        sections.one(section, there, out);
    }
    virtio::compare(saved, target.stream.as_ref(), version, out);
    if let Some(t) = &target.stream {
        pci::compare(saved, t, out);
    }
    not_told(sections.unchecked, target.stream.is_some(), out);
    if let Some(t) = &target.stream {
        for section in &t.sections {
            if !seen.contains_key(&(section.idstr.clone(), section.instance)) {
                let what = "the stream does not have this section; the target's device keeps its state after reset";
                let subject = Subject::section(section.idstr.clone(), section.instance);
                let after = Aspect::new(format!("version {}", section.version), Some(section.range));
                push(out, rules::SECTION_EXTRA.harmless(), subject, what.to_owned(), [None, Some(after)]);
            }
        }
    }
    labels
}

/// Says what the inputs leave open.
fn not_told(mut sections: Vec<String>, has_stream: bool, out: &mut Vec<Difference>) {
    sections.dedup();
    let what = if has_stream {
        "neither input says how the target reads these; an external schema would"
    } else {
        sections.push("the RAM blocks".to_owned());
        "not covered by a -dump-vmstate file; a stream that the target saved from the same machine covers them"
    };
    if sections.is_empty() {
        return;
    }
    let before = Some(Aspect::new(sections.join(", "), None));
    push(out, rules::UNCHECKED.may_break(), Subject::part("stream", ""), what.to_owned(), [before, None]);
}

/// Compares the sections of a stream one by one.
struct Sections<'a> {
    target: &'a Side,
    /// Whether neither machine has run.
    at_reset: bool,
    /// The sections that the inputs leave open.
    unchecked: Vec<String>,
}

impl Sections<'_> {
    fn one(&mut self, section: &SectionFacts, there: Option<&SectionFacts>, out: &mut Vec<Difference>) {
        let target = self.target;
        let subject = Subject::section(section.idstr.clone(), section.instance);
        let has = |text: String| Some(Aspect::new(text, Some(section.range)));
        let version = || has(format!("version {}", section.version));
        // a state of devices only has no section for memory
        let missing = |t: &StreamFacts| !(section.live && t.is_devices_only());
        if target.stream.as_ref().is_some_and(missing) && there.is_none() {
            let (severity, what) = if NOT_ALWAYS_SENT.contains(&section.idstr.exact()) {
                (Severity::MayBreak, "the target does not send this section, but may know it")
            } else {
                (Severity::Breaks, "the target has no section of this name and instance")
            };
            return push(out, rules::SECTION_UNKNOWN.with(severity), subject, what.to_owned(), [version(), None]);
        }
        if let Some(t) = there.filter(|t| section.version > t.version) {
            let what = format!("the stream has version {}, the target reads up to {}", section.version, t.version);
            let after = Some(Aspect::new(format!("version {}", t.version), Some(t.range)));
            return push(out, rules::VERSION_NEW.breaks(), subject, what, [version(), after]);
        }
        let Some(layout) = &section.layout else {
            // live sections, and devices that QEMU saves by a function of their own, have nothing more to compare
            if !section.live && !section.described {
                self.unchecked.push(subject.to_string());
            }
            return;
        };
        let saved = Layout { version: Some(section.version), ..layout.clone() };
        let written = there.and_then(|t| {
            let l = t.layout.as_ref()?;
            let target = Layout { version: Some(t.version), ..l.clone() };
            // what a dump can tell is not concluded from a stream
            let at_reset = self.at_reset && is_never_dumped(saved.name.exact());
            Some(by_stream(&subject, &saved, &target, [&section.values.lengths, &t.values.lengths], at_reset))
        });
        let known = target.dump.as_ref().and_then(|d| by_dump(&subject, &saved, d, there.is_some()));
        let found = match (known, written) {
            (Some(known), Some(written)) => {
                Some(joined(known, written, target.dump.as_ref().is_some_and(|d| d.has_counts)))
            }
            (known, written) => known.or(written),
        };
        match found {
            Some(mut found) => {
                for d in &mut found {
                    if let Some(b) = &mut d.before {
                        b.range.get_or_insert(section.range);
                    }
                    if let (Some(a), Some(t)) = (&mut d.after, there) {
                        a.range.get_or_insert(t.range);
                    }
                }
                out.extend(found);
            }
            None => self.unchecked.push(subject.to_string()),
        }
        if let Some(t) = there {
            cpreg::compare(&subject, section, t, out);
            pvr::compare(&subject, section, t, out);
        }
    }
}

/// Combines the findings from a dump with those from what the target wrote itself: the latter settles a doubt of the former, and gives
/// the lengths of arrays where the dump has none.
fn joined(known: Vec<Difference>, written: Vec<Difference>, has_counts: bool) -> Vec<Difference> {
    let breaks = |d: &Difference| d.severity == Severity::Breaks && d.rule == &rules::LAYOUT;
    let mut out = Vec::with_capacity(known.len());
    for d in known {
        if d.severity != Severity::MayBreak || d.rule != &rules::LAYOUT {
            out.push(d);
            continue;
        }
        let same = written.iter().filter(|w| w.subject == d.subject && w.severity != Severity::Harmless);
        match same.max_by_key(|w| w.severity) {
            Some(w) if breaks(w) => out.push(w.clone()),
            Some(_) => out.push(d),
            None => {}
        }
    }
    if !has_counts {
        let is_new = |w: &Difference| breaks(w) && !out.iter().any(|d| d.subject == w.subject);
        let more: Vec<Difference> = written.into_iter().filter(is_new).collect();
        out.extend(more);
    }
    out
}

/// Compares with the classes of a dump; `None` if it does not describe how the section is read.
fn by_dump(subject: &Subject, saved: &Layout, dump: &Dump, exists: bool) -> Option<Vec<Difference>> {
    let classes = dump.with_vmsd(saved.name.exact()).filter(|c| may_be_of(&subject.section, c));
    let best = classes.map(|c| against(subject, saved, c, !dump.has_counts)).min_by_key(|found| worst(found));
    if best.is_some() || exists || dump.cut || is_never_dumped(saved.name.exact()) {
        return best;
    }
    let what = match dump.with_vmsd(saved.name.exact()).next() {
        Some(c) => format!("in the target's binary, only the PCI device {} has the vmsd {}", c.name, saved.name),
        None => format!("the target's binary has no device with the vmsd {}", saved.name),
    };
    let mut out = Vec::new();
    let before = saved.version.map(|v| Aspect::new(format!("version {v}"), None));
    push(&mut out, rules::SECTION_UNKNOWN.breaks(), subject.clone(), what, [before, None]);
    Some(out)
}

/// Returns `false` for the class of a PCI device and a section without a place on a bus: that of a PCI device has it in its name.
fn may_be_of(idstr: &Name, class: &Class) -> bool {
    idstr.exact().contains('/') || !class.layout.is_pci()
}

/// Orders what several classes of one vmsd lead to: that which fits best is the one that is meant.
fn worst(found: &[Difference]) -> (Option<Severity>, usize) {
    (found.iter().map(|d| d.severity).max(), found.len())
}

/// What is said of a device that the target cannot migrate.
const UNMIGRATABLE: &str = "the target's binary cannot migrate this device";

fn against(subject: &Subject, saved: &Layout, class: &Class, uncounted: bool) -> Vec<Difference> {
    let mut a = Aligner::new(subject);
    a.uncounted = uncounted;
    if class.layout.unmigratable {
        a.add(rules::SECTION_UNKNOWN.breaks(), "", UNMIGRATABLE, [None, None]);
    } else if a.versions("", saved, &class.layout) {
        a.layouts("", saved, &class.layout, saved.version);
    }
    a.found
}

fn by_stream(
    subject: &Subject,
    saved: &Layout,
    target: &Layout,
    lengths: [&HashSet<u64>; 2],
    at_reset: bool,
) -> Vec<Difference> {
    let mut a = Aligner::new(subject);
    a.at_reset = at_reset;
    a.lengths = lengths.map(Clone::clone);
    if a.versions("", saved, target) {
        a.layouts("", saved, target, saved.version);
    }
    a.found
}

/// Compares two dumps, class by class.
pub fn of_dumps(saved: &Dump, target: &Dump, out: &mut Vec<Difference>) -> Vec<String> {
    let mut labels = Vec::with_capacity(saved.classes.len());
    // a class without fields is one that cannot be migrated, so no stream has it
    for class in saved.classes.iter().filter(|c| !c.layout.unmigratable) {
        let subject = Subject { section: class.name.clone(), instance: None, field: String::new() };
        labels.push(class.name.to_string());
        let same = target.class(class.name.exact()).filter(|t| t.layout.name == class.layout.name);
        let Some(there) = same.or_else(|| target.with_vmsd(class.layout.name.exact()).next()) else {
            if !target.cut {
                let what = "the target's binary has no such device; it breaks where the machine has one".to_owned();
                push(out, rules::SECTION_UNKNOWN.may_break(), subject, what, [None, None]);
            }
            continue;
        };
        if there.layout.unmigratable {
            let what = format!("{UNMIGRATABLE}; it breaks where the machine has one");
            push(out, rules::SECTION_UNKNOWN.may_break(), subject, what, [None, None]);
            continue;
        }
        let mut a = Aligner::new(&subject);
        if a.versions("", &class.layout, &there.layout) {
            a.layouts("", &class.layout, &there.layout, class.layout.version);
        }
        out.extend(a.found);
    }
    labels
}

/// Compares what a binary may write with a stream that the target wrote: the sections that the target has.
pub fn of_dump(saved: &Dump, target: &StreamFacts, out: &mut Vec<Difference>) -> Vec<String> {
    let mut labels = Vec::new();
    for t in &target.sections {
        let Some(layout) = &t.layout else { continue };
        let subject = Subject::section(t.idstr.clone(), t.instance);
        let there = Layout { version: Some(t.version), ..layout.clone() };
        let of = |class: &Class| {
            let mut a = Aligner::new(&subject);
            a.lengths[1] = t.values.lengths.clone();
            if a.versions("", &class.layout, &there) {
                a.layouts("", &class.layout, &there, class.layout.version);
            }
            a.found
        };
        let classes = saved.with_vmsd(layout.name.exact());
        let classes = classes.filter(|c| !c.layout.unmigratable && may_be_of(&t.idstr, c));
        let Some(found) = classes.map(of).min_by_key(|found| worst(found)) else { continue };
        labels.push(format!("{} ({})", t.idstr, t.instance));
        out.extend(found);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted() {
        assert!(NEVER_DUMPED.is_sorted());
    }
}
