//! x86: x87, vector and memory type registers, which only `--all` shows.

use super::fields::{Fields, number};
use super::register::{Form, Group, Number};
use crate::offset::Sure;
use crate::value::Node;

/// What a bit of XCR0 enables.
pub static FEATURES: &[(u32, &str)] = &[
    (0, "x87"),
    (1, "SSE"),
    (2, "AVX"),
    (3, "BNDREGS"),
    (4, "BNDCSR"),
    (5, "opmask"),
    (6, "ZMM_Hi256"),
    (7, "Hi16_ZMM"),
    (8, "PT"),
    (9, "PKRU"),
    (17, "XTILECFG"),
    (18, "XTILEDATA"),
];

/// The registers are listed by physical number; ST(i) is register (TOP + i) & 7.
pub fn x87(f: &Fields<'_>) -> Group {
    let mut g = Group::new("x87", "x87 and SSE control", Form::Rows).detail();
    let top = f.number("env.fpus_vmstate").map_or(0, |s| s.field(11, 3));
    g.add("FCW", f.number("env.fpuc"));
    g.put("FSW", f.number("env.fpus_vmstate"), format!("ST={top}"));
    g.says("FTW", f.cut("env.fptag_vmstate", 8), |v| match v {
        0 => "all empty".to_owned(),
        v => format!("{} in use", v.count_ones()),
    });
    if let Some(s) = f.sub("cpu/fpop_ip_dp") {
        for (name, field) in [("FOP", "env.fpop"), ("FIP", "env.fpip"), ("FDP", "env.fpdp")] {
            g.add(name, s.number(field));
        }
    }
    g.add("MXCSR", f.number("env.mxcsr"));
    for (i, node) in f.elements("env.fpregs").enumerate() {
        let tmp = Fields::new(&node).sub("tmp").unwrap_or(Fields::new(&node));
        let value =
            tmp.number("tmp_mant").zip(tmp.number("tmp_exp")).map(|(m, e)| Number::wide(80, vec![m.low(), e.low()]));
        let st = u64::try_from(i).unwrap_or(0).wrapping_sub(top) & 7;
        g.put(format!("FPR{i}"), value, format!("ST({st})"));
    }
    g
}

fn words(node: Option<&Node>) -> Vec<u64> {
    let fields = node.and_then(Node::record).map(|r| r.fields.as_slice()).unwrap_or_default();
    fields.iter().filter_map(number).map(|n| n.low()).collect()
}

/// Returns the subsection of AVX-512 where XCR0 enables it. QEMU 5.2 without KVM leaves its own temporary values in the parts
/// of registers that the guest does not have, which is enough for it to send the subsection (a booted Linux on 5.2 has it).
fn wide_registers<'a>(f: &Fields<'a>) -> Option<Fields<'a>> {
    let enabled = f.number("env.xcr0").is_none_or(|x| x.field(5, 3) == 7);
    f.sub("cpu/avx512").filter(|_| enabled)
}

/// Assembles the vector registers: bits 127:0 and 255:128 from the main structure, the rest from the AVX-512 subsection.
pub fn vectors(f: &Fields<'_>) -> Group {
    let mut g = Group::new("vectors", "Vector registers", Form::Rows).detail();
    let low = f.elements("env.xmm_regs[0]");
    let upper = |i| f.element("env.xmm_regs[1]", i);
    let high = wide_registers(f);
    let avx = f.number("env.xcr0").is_none_or(|x| x.bit(2));
    for (i, node) in low.enumerate() {
        let mut w = words(Some(&node));
        let name = match (&high, avx) {
            (Some(h), _) => {
                w.extend(words(upper(i).as_deref()));
                w.extend(words(h.element("env.xmm_regs[0]", i).as_deref()));
                "ZMM"
            }
            (None, true) => {
                w.extend(words(upper(i).as_deref()));
                "YMM"
            }
            (None, false) => "XMM",
        };
        g.add(format!("{name}{i:02}"), vector(w));
    }
    if let Some(h) = &high {
        for (i, node) in h.elements("env.xmm_regs[1]").enumerate() {
            g.add(format!("ZMM{:02}", i.plus(16)), vector(words(Some(&node))));
        }
    }
    g
}

fn vector(words: Vec<u64>) -> Option<Number> {
    let bits = u32::try_from(words.len()).ok()?.checked_mul(64)?;
    (bits != 0).then(|| Number::wide(bits, words))
}

/// The mask registers of AVX-512.
pub fn opmasks(f: &Fields<'_>) -> Group {
    let mut g = Group::new("opmasks", "Mask registers", Form::Grid).detail();
    if let Some(h) = wide_registers(f) {
        for (i, n) in h.numbers("env.opmask_regs").into_iter().enumerate() {
            g.add(format!("K{i}"), Some(n));
        }
    }
    g
}

static FIXED: &[&str] = &[
    "FIX64K_00000",
    "FIX16K_80000",
    "FIX16K_A0000",
    "FIX4K_C0000",
    "FIX4K_C8000",
    "FIX4K_D0000",
    "FIX4K_D8000",
    "FIX4K_E0000",
    "FIX4K_E8000",
    "FIX4K_F0000",
    "FIX4K_F8000",
];

/// Memory type range registers.
pub fn mtrrs(f: &Fields<'_>) -> Group {
    let mut g = Group::new("mtrrs", "Memory type ranges", Form::Rows).detail();
    g.says("DEF_TYPE", f.number("env.mtrr_deftype"), |v| {
        let n = Number::new(v, 64);
        let on = |bit| if n.bit(bit) { "on" } else { "off" };
        format!("{}, ranges {}, fixed ranges {}", memory_type(v & 0xff), on(11), on(10))
    });
    for (name, n) in FIXED.iter().zip(f.numbers("env.mtrr_fixed")) {
        g.add(*name, Some(n));
    }
    for (i, node) in f.elements("env.mtrr_var").enumerate() {
        let v = Fields::new(&node);
        let mask = v.number("mask");
        let used = mask.as_ref().is_some_and(|m| m.bit(11));
        g.says(format!("PHYSBASE{i}"), v.number("base"), |b| match used {
            true => memory_type(b & 0xff).to_owned(),
            false => "off".to_owned(),
        });
        g.add(format!("PHYSMASK{i}"), mask);
    }
    g
}

fn memory_type(t: u64) -> &'static str {
    match t {
        0 => "uncacheable",
        1 => "write-combining",
        4 => "write-through",
        5 => "write-protected",
        6 => "write-back",
        _ => "reserved type",
    }
}
