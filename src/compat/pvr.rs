//! The processor version register of a PowerPC processor.
//!
//! `cpu_post_load` in `target/ppc/machine.c` refuses a version that the target's processor model does not match. Models
//! match their own number; those of some families match the whole family.

use super::side::SectionFacts;
use super::{push, rules};
use crate::findings::{Aspect, Difference, Severity, Subject};
use crate::value::Node;

/// `SPR_PVR` in `target/ppc/cpu.h`.
const PVR: usize = 287;

/// Finds it in a processor's tree.
pub fn of(root: &Node) -> Option<u64> {
    let node = root.child("env.spr").filter(|n| n.is_array())?;
    node.elements().get(PVR)?.as_u64()
}

/// Compares the versions of two processors.
pub fn compare(subject: &Subject, saved: &SectionFacts, target: &SectionFacts, out: &mut Vec<Difference>) {
    let Some((a, b)) = saved.values.pvr.zip(target.values.pvr).filter(|(a, b)| a != b) else { return };
    // the family of POWER10 ignores the revision
    let severity = if a >> 16 == 0x80 && b >> 16 == 0x80 { Severity::MayBreak } else { Severity::Breaks };
    let side = |v: u64, range| Some(Aspect::new(format!("{v:#010x}"), Some(range)));
    let message = "the processors have other version registers (PVR)";
    let sides = [side(a, saved.range), side(b, target.range)];
    push(out, &rules::PVR, severity, subject.field(format!("env.spr[{PVR}]")), message, sides);
}
