//! MIPS, 32 and 64 bits (`vmstate_mips_cpu`, `target/mips/sysemu/machine.c`).

use super::fields::Fields;
use super::register::{Form, Group, Number};
use super::{Decoded, Input};
use crate::offset::Sure;

/// The names of the general registers as QEMU's monitor has them, those of the o32 ABI.
static GENERAL: &[&str] = &[
    "r0", "at", "v0", "v1", "a0", "a1", "a2", "a3", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "s0", "s1", "s2",
    "s3", "s4", "s5", "s6", "s7", "t8", "t9", "k0", "k1", "gp", "sp", "s8", "ra",
];

static STATUS: &[(u32, &str)] = &[
    (28, "CU0"),
    (29, "CU1"),
    (27, "RP"),
    (26, "FR"),
    (25, "RE"),
    (22, "BEV"),
    (20, "SR"),
    (19, "NMI"),
    (7, "KX"),
    (6, "SX"),
    (5, "UX"),
    (2, "ERL"),
    (1, "EXL"),
    (0, "IE"),
];

/// System registers in the order of their numbers; the field is `env.CP0_` and the name.
static CP0: &[&str] = &[
    "Index",
    "Random",
    "EntryLo0",
    "EntryLo1",
    "Context",
    "PageMask",
    "PageGrain",
    "Wired",
    "HWREna",
    "BadVAddr",
    "Count",
    "EntryHi",
    "Compare",
    "IntCtl",
    "SRSCtl",
    "PRid",
    "EBase",
    "Config0",
    "Config1",
    "Config2",
    "Config3",
    "Config4",
    "Config5",
    "Config6",
    "Config7",
    "LLAddr",
    "XContext",
    "Debug",
    "DEPC",
    "ErrorEPC",
    "DESAVE",
];

pub fn decode(i: &Input<'_>) -> Decoded {
    let f = &i.cpu;
    let tc = f.sub("env.active_tc").or_else(|| f.sub("active_tc")).unwrap_or(*f);
    let width = tc.number("PC").map_or(64, |n| n.bits);
    let mut flow = Group::new("flow", "Where it is", Form::Grid);
    flow.add("pc", tc.number("PC"));
    flow.add("HI", tc.at("HI", 0));
    flow.add("LO", tc.at("LO", 0));
    flow.add("btarget", f.number("env.btarget"));
    flow.add("bcond", f.number("env.bcond"));
    let mut general = Group::new("general", "General registers", Form::Grid);
    for (name, v) in GENERAL.iter().zip(tc.numbers("gpr")) {
        general.add(*name, Some(v));
    }
    let groups = vec![flow, general, status(f), cp0(f), floats(f)];
    Decoded { architecture: if width == 32 { "mips" } else { "mips64" }, groups }
}

fn status(f: &Fields<'_>) -> Group {
    let mut g = Group::new("status", "Status", Form::Rows);
    g.says("Status", f.number("env.CP0_Status"), |v| {
        let mode = ["kernel", "supervisor", "user", "no such mode"];
        let at = usize::try_from(v >> 3 & 3).unwrap_or(3);
        let set = super::register::spell(v, STATUS);
        let mode = mode.get(at).copied().unwrap_or_default();
        let mask = v >> 8 & 0xff;
        format!("{set}{}{mode} IM={mask:02x}", if set.is_empty() { "" } else { " " })
    });
    g.says("Cause", f.number("env.CP0_Cause"), |v| format!("{}, pending {:02x}", cause(v >> 2 & 31), v >> 8 & 0xff));
    g.add("EPC", f.number("env.CP0_EPC"));
    g
}

/// Returns the reason of the last exception (MIPS PRA, Cause.ExcCode).
fn cause(code: u64) -> &'static str {
    match code {
        0 => "interrupt",
        1 => "TLB modification",
        2 => "TLB load",
        3 => "TLB store",
        4 => "address error on load",
        5 => "address error on store",
        6 | 7 => "bus error",
        8 => "system call",
        9 => "breakpoint",
        10 => "reserved instruction",
        11 => "coprocessor unusable",
        12 => "overflow",
        13 => "trap",
        15 => "floating point",
        23 => "watch",
        24 => "machine check",
        _ => "other",
    }
}

fn cp0(f: &Fields<'_>) -> Group {
    let mut g = Group::new("cp0", "System control registers", Form::Grid);
    for name in CP0 {
        g.add(*name, f.number(&format!("env.CP0_{name}")));
    }
    g
}

fn floats(f: &Fields<'_>) -> Group {
    let mut g = Group::new("float", "Floating point registers", Form::Rows).detail();
    let Some(fpu) = f.sub("env.active_fpu").or_else(|| f.sub("active_fpu")) else { return g };
    g.add("FCR0", fpu.number("fcr0"));
    g.add("FCR31", fpu.number("fcr31"));
    for (i, node) in fpu.elements("fpr").enumerate() {
        let words: Vec<u64> = Fields::new(&node).numbers("d").into_iter().map(|n| n.low()).collect();
        let bits = u32::try_from(words.len()).unwrap_or(0).times(64);
        g.add(format!("F{i:02}"), (bits != 0).then(|| Number::wide(bits, words)));
    }
    g
}
