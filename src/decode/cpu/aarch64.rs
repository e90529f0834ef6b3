//! AArch64 state.

use super::fields::Fields;
use super::register::{Form, Group, Number, letters, spell};
use crate::offset::Sure;

pub fn groups(f: &Fields<'_>, pstate: &Number) -> Vec<Group> {
    let mut general = Group::new("general", "General registers", Form::Grid);
    general.add("PC", f.number("env.pc"));
    for (i, n) in f.numbers("env.xregs").into_iter().enumerate() {
        // the last one is the stack pointer in use
        general.add(if i == 31 { "SP".to_owned() } else { format!("X{i:02}") }, Some(n));
    }
    let mut flow = Group::new("flow", "Processor state", Form::Rows);
    flow.put("PSTATE", Some(Number::new(pstate.low(), 64)), pstate_text(pstate));
    vec![general, flow, levels(f), control(f), vectors(f), scalable(f), predicates(f)]
}

/// The condition flags and the level with its stack pointer, then what else is set.
fn pstate_text(p: &Number) -> String {
    let v = p.low();
    let sp = if p.bit(0) { 'h' } else { 't' };
    let rest = spell(
        v,
        &[
            (25, "TCO"),
            (24, "DIT"),
            (23, "UAO"),
            (22, "PAN"),
            (21, "SS"),
            (20, "IL"),
            (13, "ALLINT"),
            (12, "SSBS"),
            (9, "D-masked"),
            (8, "A-masked"),
            (7, "I-masked"),
            (6, "F-masked"),
        ],
    );
    let flags = letters(v, &[(31, 'N'), (30, 'Z'), (29, 'C'), (28, 'V')]);
    let text = format!("{flags} EL{}{sp} {rest}", p.field(2, 2)).trim_end().to_owned();
    match p.field(10, 2) {
        0 => text,
        b => format!("{text} BTYPE={b}"),
    }
}

/// Saved state of each level. The SPSRs are in the banks of AArch32 (`aarch64_banked_spsr_index`: 1, 6, 7).
fn levels(f: &Fields<'_>) -> Group {
    let mut g = Group::new("levels", "Exception levels", Form::Grid);
    for (el, bank) in [(0_usize, None), (1, Some(1)), (2, Some(6)), (3, Some(7))] {
        g.add(format!("SP_EL{el}"), f.at("env.sp_el", el));
        if let Some(bank) = bank {
            g.add(format!("ELR_EL{el}"), f.at("env.elr_el", el));
            g.add(format!("SPSR_EL{el}"), f.at("env.banked_spsr", bank));
        }
    }
    g
}

/// The bits of the old FPSCR that are FPCR's, and those that are FPSR's (Arm ARM, A32 FPSCR).
const FPCR_BITS: u64 = 0x07f7_9f00;
const FPSR_BITS: u64 = 0xf800_009f;

/// Returns FPCR and FPSR. Since 9.1 they are saved separately if FPSCR does not hold all of them.
pub fn float_control(vfp: &Fields<'_>) -> Option<(Number, Number)> {
    match vfp.sub("cpu/vfp/fpcr_fpsr") {
        Some(s) => s.cut("fpcr", 32).zip(s.cut("fpsr", 32)),
        None => {
            let old = vfp.number("fpscr")?.low();
            Some((Number::new(old & FPCR_BITS, 32), Number::new(old & FPSR_BITS, 32)))
        }
    }
}

fn control(f: &Fields<'_>) -> Group {
    let mut g = Group::new("float", "Floating point control", Form::Grid);
    let Some(v) = f.sub("cpu/vfp") else { return g };
    let (fpcr, fpsr) = float_control(&v).unzip();
    g.add("FPCR", fpcr);
    g.add("FPSR", fpsr);
    if let Some(s) = f.sub("cpu/fpmr") {
        g.add("FPMR", s.number("env.vfp.fpmr"));
    }
    g
}

fn low(v: &Fields<'_>, i: usize) -> Vec<u64> {
    v.numbers(&format!("env.vfp.zregs[{i}].d")).into_iter().map(|n| n.low()).collect()
}

/// Returns the words of an element of an array of structures.
fn part(f: &Fields<'_>, array: &str, i: usize, name: &str) -> Vec<u64> {
    let words = f.element(array, i).map(|e| Fields::new(&e).numbers(name)).unwrap_or_default();
    words.into_iter().map(|n| n.low()).collect()
}

fn wide(words: Vec<u64>) -> Option<Number> {
    let bits = u32::try_from(words.len()).ok()?.checked_mul(64)?;
    (bits != 0).then(|| Number::wide(bits, words))
}

fn vectors(f: &Fields<'_>) -> Group {
    let mut g = Group::new("vectors", "Vector registers", Form::Rows).detail();
    let Some(v) = f.sub("cpu/vfp") else { return g };
    for i in 0..32 {
        g.add(format!("Q{i:02}"), wide(low(&v, i)));
    }
    g
}

/// SVE registers are as long as QEMU's largest, 2048 bits, of which the vector length of the moment is in use.
fn scalable(f: &Fields<'_>) -> Group {
    let mut g = Group::new("sve", "SVE registers", Form::Rows).detail();
    let Some((v, s)) = f.sub("cpu/vfp").zip(f.sub("cpu/sve")) else { return g };
    for i in 0..32 {
        let mut words = low(&v, i);
        words.extend(part(&s, "env.vfp.zregs", i, "d"));
        // zeros on top are left out: two words, then four, eight …
        let used = words.iter().rposition(|w| *w != 0).map_or(0, |i| i.plus(1));
        words.truncate(used.next_power_of_two().max(2));
        g.add(format!("Z{i:02}"), wide(words));
    }
    g
}

fn predicates(f: &Fields<'_>) -> Group {
    let mut g = Group::new("sve_predicates", "SVE predicates", Form::Rows).detail();
    let Some(s) = f.sub("cpu/sve") else { return g };
    for i in 0..17 {
        let words = part(&s, "env.vfp.pregs", i, "p");
        g.add(if i == 16 { "FFR".to_owned() } else { format!("P{i:02}") }, wide(words));
    }
    g
}
