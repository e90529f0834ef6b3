//! 32-bit ARM, and the choice between it and AArch64: both have the same section (`vmstate_arm_cpu`, `target/arm/machine.c`).

use super::fields::Fields;
use super::register::{Form, Group, Number, letters, spell};
use super::{Decoded, Input, aarch64, coprocessor, sysregs};
use crate::offset::Sure;

/// Modes by their number, with the index of their bank.
static MODES: &[(u64, &str)] = &[
    (0x10, "usr32"),
    (0x11, "fiq32"),
    (0x12, "irq32"),
    (0x13, "svc32"),
    (0x16, "mon32"),
    (0x17, "abt32"),
    (0x1a, "hyp32"),
    (0x1b, "und32"),
    (0x1f, "sys32"),
];

/// The banks in the order of `banked_r13` (`target/arm/internals.h`, `bank_number`).
static BANKS: &[&str] = &["usr", "svc", "abt", "und", "irq", "fiq", "hyp", "mon"];

pub fn decode(i: &Input<'_>) -> Decoded {
    let f = &i.cpu;
    let psr = f.number("cpsr").unwrap_or(Number::new(0, 32));
    let profile_m = f.sub("cpu/m");
    let (architecture, mut groups) = match profile_m {
        Some(m) => ("arm (M profile)", vec![general(f), xpsr(&psr), profile(m)]),
        None if psr.bit(4) => ("arm", vec![general(f), psr_group(&psr), banks(f), saved(f)]),
        None => ("aarch64", aarch64::groups(f, &psr)),
    };
    if architecture != "aarch64" {
        groups.push(doubles(f));
    }
    groups.push(exception(f));
    groups.extend(sysregs::groups(f, architecture == "aarch64"));
    groups.extend(coprocessor::groups(f, architecture != "aarch64"));
    groups.push(timers(f));
    Decoded { architecture, groups }
}

fn general(f: &Fields<'_>) -> Group {
    let mut g = Group::new("general", "General registers", Form::Grid);
    for (i, n) in f.numbers("env.regs").into_iter().enumerate() {
        g.add(format!("R{i:02}"), Some(n));
    }
    g
}

static CONDITION: &[(u32, char)] = &[(31, 'N'), (30, 'Z'), (29, 'C'), (28, 'V')];

fn psr_group(psr: &Number) -> Group {
    let mut g = Group::new("flow", "Program status", Form::Rows);
    g.put("PSR", Some(psr.clone()), psr_text(psr));
    g
}

/// The condition flags, the instruction set and the mode, then what else is set.
fn psr_text(psr: &Number) -> String {
    let v = psr.low();
    let mode = MODES.iter().find(|(m, _)| *m == v & 0x1f).map_or("no mode", |(_, n)| n);
    let state = if psr.bit(5) { 'T' } else { 'A' };
    let rest = spell(v, &[(27, "Q"), (24, "J"), (9, "E"), (8, "A-masked"), (7, "I-masked"), (6, "F-masked")]);
    format!("{} {state} {mode} {rest}", letters(v, CONDITION)).trim_end().to_owned()
}

fn xpsr(psr: &Number) -> Group {
    let mut g = Group::new("flow", "Program status", Form::Rows);
    let v = psr.low();
    let state = if psr.bit(24) { 'T' } else { 'A' };
    let mode = match v & 0x1ff {
        0 => "thread".to_owned(),
        n => format!("handler of exception {n}"),
    };
    g.put("XPSR", Some(psr.clone()), format!("{} {state} {mode}", letters(v, CONDITION)));
    g
}

/// Registers of the M profile.
fn profile(m: Fields<'_>) -> Group {
    let mut g = Group::new("profile_m", "M profile", Form::Grid);
    for name in
        ["vecbase", "basepri", "control", "ccr", "cfsr", "hfsr", "dfsr", "mmfar", "bfar", "mpu_ctrl", "exception"]
    {
        let value = m.number(&format!("env.v7m.{name}[M_REG_NS]")).or_else(|| m.number(&format!("env.v7m.{name}")));
        g.add(name, value);
    }
    if let Some(s) = m.sub("cpu/m/faultmask-primask") {
        g.add("faultmask", s.number("env.v7m.faultmask[M_REG_NS]"));
        g.add("primask", s.number("env.v7m.primask[M_REG_NS]"));
    }
    if let Some(s) = m.sub("cpu/m/other-sp") {
        g.add("other_sp", s.number("env.v7m.other_sp"));
    }
    g
}

fn banks(f: &Fields<'_>) -> Group {
    let mut g = Group::new("banked", "Banked registers", Form::Grid);
    for (i, bank) in BANKS.iter().enumerate() {
        g.add(format!("SP_{bank}"), f.at("env.banked_r13", i));
        g.add(format!("LR_{bank}"), f.at("env.banked_r14", i));
    }
    for i in 0..5_usize {
        let n = i.plus(8);
        g.add(format!("R{n}_usr"), f.at("env.usr_regs", i));
        g.add(format!("R{n}_fiq"), f.at("env.fiq_regs", i));
    }
    g
}

fn saved(f: &Fields<'_>) -> Group {
    let mut g = Group::new("saved", "Saved program status", Form::Grid);
    g.add("SPSR", f.number("env.spsr").map(|n| Number::new(n.low(), 64)));
    for (i, bank) in BANKS.iter().enumerate() {
        g.add(format!("SPSR_{bank}"), f.at("env.banked_spsr", i));
    }
    g
}

fn doubles(f: &Fields<'_>) -> Group {
    let mut g = Group::new("vectors", "Floating point registers", Form::Grid).detail();
    let Some(v) = f.sub("cpu/vfp") else { return g };
    g.add("FPSCR", fpscr(&v));
    g.add("FPSID", v.number("env.vfp.xregs[0]"));
    for i in 0..32_usize {
        g.add(format!("D{i:02}"), v.at(&format!("env.vfp.zregs[{}].d", i >> 1), i & 1));
    }
    g
}

/// Since 9.1 FPCR and FPSR are saved separately if FPSCR does not hold all of them, and `fpscr` is then 0.
pub fn fpscr(v: &Fields<'_>) -> Option<Number> {
    match v.sub("cpu/vfp/fpcr_fpsr") {
        Some(s) => Some(Number::new(s.u64("fpcr") | s.u64("fpsr"), 32)),
        None => v.number("fpscr"),
    }
}

fn exception(f: &Fields<'_>) -> Group {
    let mut g = Group::new("exception", "Exception and power state", Form::Rows);
    g.says("syndrome", f.number("env.exception.syndrome"), |v| match v {
        0 => String::new(),
        v => sysregs::syndrome(v).to_owned(),
    });
    g.add("fsr", f.number("env.exception.fsr"));
    g.add("vaddress", f.number("env.exception.vaddress"));
    let on = |v| match v {
        0 => "on".to_owned(),
        1 => "off".to_owned(),
        2 => "about to be on".to_owned(),
        _ => String::new(),
    };
    g.says("power_state", f.number("power_state").or_else(|| f.number("powered_off")), on);
    if let Some(s) = f.sub("cpu/irq-line-state") {
        g.flags("irq_line_state", s.number("env.irq_line_state"), &[(1, "IRQ"), (6, "FIQ"), (8, "vIRQ"), (9, "vFIQ")]);
    }
    g
}

fn timers(f: &Fields<'_>) -> Group {
    let mut g = Group::new("timers", "Timers", Form::Rows).detail();
    let when = |v| if v == u64::MAX { "not armed".to_owned() } else { format!("{v} ns") };
    g.says("GTIMER_PHYS", f.number("gt_timer[GTIMER_PHYS]"), when);
    g.says("GTIMER_VIRT", f.number("gt_timer[GTIMER_VIRT]"), when);
    g
}
