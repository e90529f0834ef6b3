//! The list of system registers of an ARM processor.
//!
//! A stream has each register that its QEMU knows, by a number that encodes which one it is. The target fails on the first
//! that it does not know. One that the stream lacks is set to 0 and read back, which fails for a constant register that
//! does not read as 0 (`cpu_post_load` and `write_list_to_cpustate` in `target/arm`). QEMU 11.1 says of such a register that
//! it skips it, and then refuses the stream all the same.

use std::collections::{HashMap, HashSet};

use super::side::SectionFacts;
use super::values::CPREG_INDEXES;
use super::{push, rules};
use crate::findings::{Aspect, Difference, Severity, Subject};

const LENGTH: &str = "cpreg_vmstate_array_len";

/// Registers named in a finding; the others are counted.
const SHOWN: usize = 4;

/// Compares the lists of two processors.
pub fn compare(subject: &Subject, saved: &SectionFacts, target: &SectionFacts, out: &mut Vec<Difference>) {
    let Some((own, theirs)) = saved.values.cpregs.as_ref().zip(target.values.cpregs.as_ref()) else { return };
    let (here, there) = (&own.indexes, &theirs.indexes);
    let known: HashSet<u64> = there.iter().copied().collect();
    let sent: HashSet<u64> = here.iter().copied().collect();
    let values: HashMap<u64, u64> = there.iter().copied().zip(theirs.values.iter().copied()).collect();
    let unknown: Vec<u64> = here.iter().copied().filter(|r| !known.contains(r)).collect();
    let unsent = |wanted: bool| -> Vec<u64> {
        let is_constant = |r: &u64| values.get(r).is_some_and(|v| *v != 0);
        there.iter().copied().filter(|r| !sent.contains(r) && is_constant(r) == wanted).collect()
    };
    let mut add = |severity: Severity, list: &[u64], message: String, before: bool| {
        let text = Aspect::new(names(list), Some(if before { saved.range } else { target.range }));
        let sides = if before { [Some(text), None] } else { [None, Some(text)] };
        push(out, rules::CPREG.with(severity), subject.field(CPREG_INDEXES), message, sides);
    };
    if !unknown.is_empty() {
        let what = format!("the target does not know {} of the stream's system registers", unknown.len());
        add(Severity::Breaks, &unknown, what, true);
    }
    let (nonzero, zero) = (unsent(true), unsent(false));
    // up to 10.0 the length is checked by its type
    let recent = target
        .layout
        .iter()
        .flat_map(|l| &l.slots)
        .any(|s| s.name.ends_with(LENGTH) && s.ty.as_ref().is_some_and(|t| t.exact() == "int32"));
    if !nonzero.is_empty() {
        let what = format!("the stream lacks {} system registers that are not 0 on the target", nonzero.len());
        add(Severity::Breaks, &nonzero, what, false);
    }
    if !zero.is_empty() {
        let severity = if recent { Severity::Breaks } else { Severity::Harmless };
        let what = format!("the stream lacks {} system registers, which are 0 on the target", zero.len());
        add(severity, &zero, what, false);
    }
}

fn names(list: &[u64]) -> String {
    let mut text = list.iter().take(SHOWN).map(|r| format!("{r:#018x}")).collect::<Vec<_>>().join(", ");
    let more = list.len().saturating_sub(SHOWN);
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}
