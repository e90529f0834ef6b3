//! The processor version register of a PowerPC processor.
//!
//! `cpu_post_load` in `target/ppc/machine.c` refuses a version that the target's processor model does not match. Models
//! match their own number; those of some families match the whole family.

use super::side::SectionFacts;
use super::values::SPR_PVR;
use super::{push, rules};
use crate::findings::{Aspect, Difference, Severity, Subject};

/// Compares the versions of two processors.
pub fn compare(subject: &Subject, saved: &SectionFacts, target: &SectionFacts, out: &mut Vec<Difference>) {
    let Some((a, b)) = saved.values.pvr.zip(target.values.pvr).filter(|(a, b)| a != b) else { return };
    // the family of POWER10 ignores the revision
    let severity = if a >> 16 == 0x80 && b >> 16 == 0x80 { Severity::MayBreak } else { Severity::Breaks };
    let side = |v: u64, range| Some(Aspect::new(format!("{v:#010x}"), Some(range)));
    let message = "the processors have other version registers (PVR)";
    let sides = [side(a, saved.range), side(b, target.range)];
    push(out, rules::PVR.with(severity), subject.field(format!("env.spr[{SPR_PVR}]")), message, sides);
}
