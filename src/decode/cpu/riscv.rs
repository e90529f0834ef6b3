//! RISC-V, 32 and 64 bits (`vmstate_riscv_cpu`, `target/riscv/machine.c`).

use super::fields::Fields;
use super::register::{Form, Group, Number};
use super::{Decoded, Input, riscv_csrs};
use crate::offset::Sure;

/// The names of the ABI, for x0 to x31.
pub static X: &[&str] = &[
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2",
    "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
];

/// The names of the ABI, for f0 to f31.
static F: &[&str] = &[
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
    "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

pub fn decode(i: &Input<'_>) -> Decoded {
    let f = &i.cpu;
    // since 11.1 the fields of a 32-bit target have 64 bits too
    let width = match f.u64("env.misa_mxl") {
        1 => 32,
        2 => 64,
        _ => f.number("env.pc").map_or(64, |n| n.bits),
    };
    let mut general = Group::new("general", "General registers", Form::Grid);
    general.add("pc", f.cut("env.pc", width));
    for (n, (name, v)) in X.iter().zip(f.numbers("env.gpr")).enumerate() {
        general.add(format!("x{n}/{name}"), Some(Number::new(v.low(), width)));
    }
    let mut groups = vec![general, mode(f)];
    groups.extend(riscv_csrs::groups(f, width));
    groups.push(floats(f));
    groups.extend(vectors(f));
    Decoded { architecture: if width == 32 { "riscv32" } else { "riscv64" }, groups }
}

fn mode(f: &Fields<'_>) -> Group {
    let mut g = Group::new("mode", "Mode", Form::Rows);
    let name = |v| match v {
        0 => "U",
        1 => "S",
        3 => "M",
        _ => "no such mode",
    };
    g.says("priv", f.cut("env.priv", 8), |v| name(v).to_owned());
    let virt = f.cut("env.virt_enabled", 1).or_else(|| f.cut("env.virt", 1));
    g.says("V", virt, |v| if v == 0 { String::new() } else { "in a virtual machine".to_owned() });
    let extensions = f.number("env.misa_ext").or_else(|| f.cut("env.misa", 26));
    g.says("extensions", extensions, |v| {
        (0_u8..26).filter(|b| v >> b & 1 == 1).map(|b| char::from(b'A'.plus(b))).collect()
    });
    g.add("load_res", f.number("env.load_res"));
    g.add("load_val", f.number("env.load_val"));
    g
}

fn floats(f: &Fields<'_>) -> Group {
    let mut g = Group::new("float", "Floating point registers", Form::Grid).detail();
    g.add("frm", f.cut("env.frm", 8));
    for (n, (name, v)) in F.iter().zip(f.numbers("env.fpr")).enumerate() {
        g.add(format!("f{n}/{name}"), Some(v));
    }
    g
}

/// The vector registers are one array of words, as long as QEMU's largest register.
fn vectors(f: &Fields<'_>) -> Vec<Group> {
    let mut control = Group::new("vector_control", "Vector control", Form::Grid).detail();
    let mut g = Group::new("vectors", "Vector registers", Form::Rows).detail();
    let Some(s) = f.sub("cpu/vector") else { return Vec::new() };
    for name in ["vl", "vtype", "vstart", "vxrm", "vxsat", "elen", "vlen"] {
        control.add(name, s.number(&format!("env.{name}")));
    }
    let words: Vec<u64> = s.numbers("env.vreg").into_iter().map(|n| n.low()).collect();
    let each = words.len() >> 5;
    if each != 0 {
        for (i, w) in words.chunks_exact(each).enumerate() {
            let used = w.iter().rposition(|w| *w != 0).map_or(0, |i| i.plus(1));
            let shown: Vec<u64> = w.iter().copied().take(used.next_power_of_two().max(2)).collect();
            let bits = u32::try_from(shown.len()).unwrap_or(0).times(64);
            g.add(format!("v{i}"), Some(Number::wide(bits, shown)));
        }
    }
    vec![control, g]
}
