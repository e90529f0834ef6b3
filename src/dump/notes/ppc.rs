//! PowerPC (`target/ppc/arch_dump.c`): five notes, all with the name `CORE`.

use super::{NT_PRFPREG, NT_PRSTATUS, Notes};
use crate::decode::cpu::Fields;
use crate::dump::bytes::Record;
use crate::dump::processor::Processor;
use crate::value::Node;

const NT_PPC_VMX: u32 = 0x100;
const NT_PPC_SPE: u32 = 0x101;
const NT_PPC_VSX: u32 = 0x102;

/// Numbers of special purpose registers.
const XER: usize = 1;
const LR: usize = 8;
const CTR: usize = 9;
const VRSAVE: usize = 256;

pub(super) fn add(notes: &mut Notes, cpu: &Processor<'_>, wide: bool) {
    status(notes, cpu, wide);
    let f = &cpu.fields;
    let fpu = f.sub("cpu/fpu");
    let mut floats = Record::new(notes.order, if wide { 264 } else { 260 });
    if let Some(s) = &fpu {
        floats.row64(0, s.elements("env.vsr").take(32).map(|n| double(&n)));
        let control = s.u64("env.fpscr");
        if wide { floats.u64(256, control) } else { floats.u32(256, control) }
    }
    notes.add("CORE", NT_PRFPREG, &floats.bytes);
    let mut vectors = Record::new(notes.order, 544);
    if let Some(s) = f.sub("cpu/altivec") {
        for (n, at) in s.elements("env.vsr").zip((0..).step_by(16)).take(32) {
            let v = Fields::new(&n);
            // a little-endian host, which nearly all are, writes the less significant half first
            let mut words = [v.u64("u64[0]"), v.u64("u64[1]")];
            if notes.order == crate::dump::Order::Big {
                words.reverse();
            }
            vectors.row64(at, words);
        }
        vectors.u32(524, s.u64("vscr"));
    }
    vectors.u32(528, f.at("env.spr", VRSAVE).map_or(0, |n| n.low()));
    notes.add("CORE", NT_PPC_VMX, &vectors.bytes);
    let mut vsx = Record::new(notes.order, 256);
    if let Some(s) = f.sub("cpu/vsx") {
        vsx.row64(0, s.elements("env.vsr").take(32).map(|n| double(&n)));
    }
    notes.add("CORE", NT_PPC_VSX, &vsx.bytes);
    notes.add("CORE", NT_PPC_SPE, &Record::new(notes.order, 140).bytes);
}

/// Reads the half of a vector register that the stream has: a number, or a structure with one (`d`).
fn double(element: &Node) -> u64 {
    let inner = Fields::new(element);
    element.as_u64().or_else(|| inner.at("d", 0).map(|n| n.low())).unwrap_or(0)
}

fn status(notes: &mut Notes, cpu: &Processor<'_>, wide: bool) {
    let f = &cpu.fields;
    let spr = |n: usize| f.at("env.spr", n).map_or(0, |v| v.low());
    let cr = cpu.all("env.crf").into_iter().take(8).fold(0, |v, n| v << 4 | n & 15);
    let tail = [f.u64("env.nip"), f.u64("env.msr"), 0, spr(CTR), spr(LR), spr(XER), cr];
    let registers = cpu.all("env.gpr").into_iter().take(32).chain(tail);
    // both have the same 112 bytes in front, and 40 unused ones after 44 registers
    let mut r = Record::new(notes.order, if wide { 504 } else { 328 });
    r.u32(32, cpu.pid());
    if wide {
        r.row64(112, registers)
    } else {
        r.row32(112, registers)
    }
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
}
