//! AArch64: general, floating point and SVE registers (`target/arm/arch_dump.c`).

use super::{NT_PRFPREG, NT_PRSTATUS, Notes};
use crate::decode::cpu::{Fields, arm_float_control, arm_system_register};
use crate::dump::bytes::Record;
use crate::dump::processor::Processor;
use crate::offset::Sure;

const NT_ARM_SVE: u32 = 0x405;

/// Bits of `PSTATE`: AArch32, and the exception level.
const PSTATE_32: u64 = 1 << 4;

/// Banks of AArch32 (`bank_number` in `target/arm/internals.h`).
const SVC: usize = 1;
const ABT: usize = 2;
const UND: usize = 3;
const IRQ: usize = 4;
const FIQ: usize = 5;
const HYP: usize = 6;

pub(super) fn add(notes: &mut Notes, cpu: &Processor<'_>) {
    let f = &cpu.fields;
    let mut r = Record::new(notes.order, 392);
    r.u32(32, cpu.pid());
    let pstate = f.u64("cpsr");
    if pstate & PSTATE_32 == 0 {
        // the last one is the stack pointer
        r.row64(112, cpu.all("env.xregs").into_iter().take(32));
        r.u64(368, f.u64("env.pc"));
    } else {
        r.row64(112, of_aarch32(cpu, pstate));
        r.u64(368, f.at("env.regs", 15).map_or(0, |n| n.low()));
    }
    r.u64(376, pstate);
    r.u32(384, 1);
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
    floats(notes, f);
    scalable(notes, f, pstate);
}

/// Returns the registers of AArch32 where AArch64 has them (Arm ARM, D1.6.4; `aarch64_sync_32_to_64`).
fn of_aarch32(cpu: &Processor<'_>, psr: u64) -> [u64; 31] {
    let f = &cpu.fields;
    let regs = cpu.all("env.regs");
    let now = |n: usize| regs.get(n).copied().unwrap_or(0);
    let bank = match psr & 0x1f {
        0x11 => FIQ,
        0x12 => IRQ,
        0x13 => SVC,
        0x17 => ABT,
        0x1a => HYP,
        0x1b => UND,
        // user and system mode
        _ => 0,
    };
    let banked = |b: usize, which: usize| match b == bank {
        true => now(which),
        false => f.at(&format!("env.banked_r{which}"), b).map_or(0, |n| n.low()),
    };
    let of = |field: &str, n: usize| f.at(field, n).map_or(0, |v| v.low());
    let mut x = [0; 31];
    for (n, x) in x.iter_mut().enumerate() {
        *x = match n {
            0..=7 => now(n),
            8..=12 if bank == FIQ => of("env.usr_regs", n.minus(8)),
            8..=12 => now(n),
            13 => banked(0, 13),
            // Hyp mode has the link register of user mode
            14 if bank == HYP => now(14),
            14 => banked(0, 14),
            15 => banked(HYP, 13),
            16 => banked(IRQ, 14),
            17 => banked(IRQ, 13),
            18 => banked(SVC, 14),
            19 => banked(SVC, 13),
            20 => banked(ABT, 14),
            21 => banked(ABT, 13),
            22 => banked(UND, 14),
            23 => banked(UND, 13),
            24..=28 if bank == FIQ => now(n.minus(16)),
            24..=28 => of("env.fiq_regs", n.minus(24)),
            29 => banked(FIQ, 13),
            _ => banked(FIQ, 14),
        };
    }
    x
}

/// Returns the first two words of a vector register.
fn vector(v: &Fields<'_>, n: usize) -> [u64; 2] {
    let words = v.numbers(&format!("env.vfp.zregs[{n}].d"));
    [0, 1].map(|i| words.get(i).map_or(0, |w| w.low()))
}

fn floats(notes: &mut Notes, f: &Fields<'_>) {
    let mut r = Record::new(notes.order, 528);
    if let Some(v) = f.sub("cpu/vfp") {
        for (n, at) in (0..32).zip((0..).step_by(16)) {
            let mut words = vector(&v, n);
            if notes.order == crate::dump::Order::Big {
                words.reverse();
            }
            r.row64(at, words);
        }
        let (control, status) = arm_float_control(&v);
        r.u32(512, status);
        r.u32(516, control);
    }
    notes.add("CORE", NT_PRFPREG, &r.bytes);
}

/// SVE registers, as long as the vectors are at the exception level of the moment. The longest vectors of the processor are not in the
/// stream, so those of the moment stand for them.
fn scalable(notes: &mut Notes, f: &Fields<'_>, pstate: u64) {
    let Some((v, s)) = f.sub("cpu/vfp").zip(f.sub("cpu/sve")) else { return };
    let level = pstate >> 2 & 3;
    let Some(quads) = quads(f, level) else { return };
    let bytes = quads.times(16);
    let size = size(quads);
    let mut r = Record::new(notes.order, size);
    r.row32(0, [size as u64, size as u64]);
    r.u16(8, bytes as u64);
    r.u16(10, bytes as u64);
    r.u16(12, 1);
    for n in 0..32_usize {
        let mut words = vector(&v, n).to_vec();
        words.extend(part(&s, "env.vfp.zregs", n, "d"));
        words.resize(quads.times(2), 0);
        r.row64(16_usize.plus(n.times(bytes)), words);
    }
    let predicates = 16_usize.plus(bytes.times(32));
    for n in 0..17_usize {
        let words = part(&s, "env.vfp.pregs", n, "p");
        let all: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let len = quads.times(2);
        let at = predicates.plus(n.times(len));
        r.raw(at, all.get(..len).unwrap_or_default());
    }
    let control = size.minus(16);
    let (fpcr, fpsr) = arm_float_control(&v);
    r.row32(control, [fpsr, fpcr]);
    notes.add("LINUX", NT_ARM_SVE, &r.bytes);
}

/// The size of the note: its head, 32 vectors, 17 predicates, and two control registers in a slot of 16 bytes.
fn size(quads: usize) -> usize {
    16_usize.plus(quads.times(512 + 34)).next_multiple_of(16).plus(16)
}

fn part(f: &Fields<'_>, array: &str, n: usize, name: &str) -> Vec<u64> {
    let words = f.element(array, n).map(|e| Fields::new(&e).numbers(name)).unwrap_or_default();
    words.into_iter().map(|w| w.low()).collect()
}

/// Returns the length of vectors in units of 128 bits: the least of what each level from this one up allows (`ZCR_ELx.LEN`). A
/// processor that does not have EL2 or EL3 does not list their main registers. What the processor cannot do is not in the stream: a
/// `LEN` that is too large is taken at its word.
fn quads(f: &Fields<'_>, level: u64) -> Option<usize> {
    let registers = [(1, "ZCR_EL1", None), (2, "ZCR_EL2", Some("HCR_EL2")), (3, "ZCR_EL3", Some("SCR_EL3"))];
    let exists = |mark: Option<&str>| mark.is_none_or(|m| arm_system_register(f, m).is_some());
    let limits = registers.iter().filter(|(l, _, mark)| level.max(1) <= *l && exists(*mark));
    let least = limits.filter_map(|(_, name, _)| arm_system_register(f, name)).map(|v| v & 0xf).min()?;
    usize::try_from(least).ok()?.checked_add(1)
}
