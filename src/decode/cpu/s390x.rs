//! s390x (`vmstate_s390_cpu`, `target/s390x/machine.c`).

use super::fields::Fields;
use super::register::{Form, Group, Number, spell};
use super::{Decoded, Input};

/// Bits of the program status word's mask (Principles of Operation, 4): bit 0 of the architecture is bit 63 here.
static PSW: &[(u32, &str)] =
    &[(62, "PER"), (58, "DAT"), (57, "I/O"), (56, "external"), (50, "machine-check"), (49, "wait"), (48, "problem")];

pub fn decode(i: &Input<'_>) -> Decoded {
    let f = &i.cpu;
    let mut flow = Group::new("flow", "Program status word", Form::Rows);
    flow.says("PSWM", f.number("env.psw.mask"), psw);
    flow.add("PSWA", f.number("env.psw.addr"));
    let mut groups = vec![flow, numbered(f, "general", "General registers", "R", "env.regs")];
    groups.push(numbered(f, "control", "Control registers", "C", "env.cregs"));
    groups.push(numbered(f, "access", "Access registers", "A", "env.aregs"));
    groups.push(state(f));
    groups.push(floats(f));
    groups.push(vectors(f));
    Decoded { architecture: "s390x", groups }
}

/// The condition code and key, the addresses' width and space, and what is allowed.
fn psw(v: u64) -> String {
    let n = Number::new(v, 64);
    let mode = match (n.bit(32), n.bit(31)) {
        (true, true) => "64-bit",
        (false, true) => "31-bit",
        (false, false) => "24-bit",
        (true, false) => "no such mode",
    };
    let space = ["primary", "access-register", "secondary", "home"];
    let at = usize::try_from(n.field(46, 2)).unwrap_or(0);
    let space = space.get(at).copied().unwrap_or_default();
    let set = spell(v, PSW);
    let text = format!("cc={} key={:x} {mode} {space} space", n.field(44, 2), n.field(52, 4));
    if set.is_empty() { text } else { format!("{text} {set}") }
}

fn numbered(f: &Fields<'_>, id: &'static str, title: &'static str, letter: &str, field: &str) -> Group {
    let mut g = Group::new(id, title, Form::Grid);
    for (n, v) in f.numbers(field).into_iter().enumerate() {
        g.add(format!("{letter}{n:02}"), Some(v));
    }
    g
}

fn state(f: &Fields<'_>) -> Group {
    let mut g = Group::new("state", "Prefix, timers and state", Form::Rows);
    g.add("prefix", f.number("env.psa"));
    g.says("cpu_state", f.number("env.cpu_state"), |v| {
        match v {
            1 => "stopped",
            2 => "check stop",
            3 => "operating",
            4 => "loading",
            _ => "",
        }
        .to_owned()
    });
    for name in ["sigp_order", "cputm", "ckc", "todpr", "gbea", "pp"] {
        g.add(name, f.number(&format!("env.{name}")));
    }
    for name in ["pfault_token", "pfault_compare", "pfault_select"] {
        g.add(name, f.number(&format!("env.{name}")));
    }
    for (sub, field) in [("cpu/bpbc", "env.bpbc"), ("cpu/etoken", "env.etoken"), ("cpu/diag318", "env.diag318_info")] {
        if let Some(s) = f.sub(sub) {
            g.add(field.trim_start_matches("env."), s.number(field));
        }
    }
    g
}

/// Returns half of a vector register: the upper one is 0. The upper halves of the first sixteen are the floating point
/// registers.
fn half(f: &Fields<'_>, i: usize, which: usize) -> Option<Number> {
    let field = format!("env.vregs[{i}][{which}]");
    ["cpu/fpu", "cpu/vregs"].iter().find_map(|s| f.sub(s)?.number(&field))
}

fn floats(f: &Fields<'_>) -> Group {
    let mut g = Group::new("float", "Floating point registers", Form::Grid).detail();
    for i in 0..16 {
        g.add(format!("F{i:02}"), half(f, i, 0));
    }
    g.add("FPC", f.sub("cpu/fpu").and_then(|s| s.number("env.fpc")));
    g
}

fn vectors(f: &Fields<'_>) -> Group {
    let mut g = Group::new("vectors", "Vector registers", Form::Rows).detail();
    for i in 0..32 {
        if let Some((high, low)) = half(f, i, 0).zip(half(f, i, 1)) {
            g.add(format!("V{i:02}"), Some(Number::wide(128, vec![low.low(), high.low()])));
        }
    }
    g
}
