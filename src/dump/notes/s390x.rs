//! s390x (`target/s390x/arch_dump.c`): ten notes for a processor.

use super::{NT_PRFPREG, NT_PRSTATUS, Notes};
use crate::decode::cpu::Fields;
use crate::dump::bytes::Record;
use crate::dump::processor::Processor;

const NT_S390_TIMER: u32 = 0x301;
const NT_S390_TODCMP: u32 = 0x302;
const NT_S390_TODPREG: u32 = 0x303;
const NT_S390_CTRS: u32 = 0x304;
const NT_S390_PREFIX: u32 = 0x305;
const NT_S390_VXRS_LOW: u32 = 0x309;
const NT_S390_VXRS_HIGH: u32 = 0x30a;
const NT_S390_GS_CB: u32 = 0x30b;

/// Returns half of a vector register; the more significant halves of the first sixteen are the floating point registers.
fn half(f: &Fields<'_>, n: usize, which: usize) -> u64 {
    let field = format!("env.vregs[{n}][{which}]");
    ["cpu/fpu", "cpu/vregs"].iter().find_map(|s| f.sub(s)?.number(&field)).map_or(0, |v| v.low())
}

pub(super) fn add(notes: &mut Notes, cpu: &Processor<'_>) {
    let f = &cpu.fields;
    let order = notes.order;
    let mut r = Record::new(order, 336);
    r.u32(32, cpu.pid());
    r.row64(112, [f.u64("env.psw.mask"), f.u64("env.psw.addr")]);
    r.row64(128, cpu.all("env.regs").into_iter().take(16));
    r.row32(256, cpu.all("env.aregs").into_iter().take(16));
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
    let mut r = Record::new(order, 136);
    r.u32(0, f.sub("cpu/fpu").map_or(0, |s| s.u64("env.fpc")));
    r.row64(8, (0..16).map(|n| half(f, n, 0)));
    notes.add("CORE", NT_PRFPREG, &r.bytes);
    let mut r = Record::new(order, 4);
    r.u32(0, f.u64("env.psa"));
    notes.add("LINUX", NT_S390_PREFIX, &r.bytes);
    let mut r = Record::new(order, 128);
    r.row64(0, cpu.all("env.cregs").into_iter().take(16));
    notes.add("LINUX", NT_S390_CTRS, &r.bytes);
    for (kind, field) in [(NT_S390_TIMER, "env.cputm"), (NT_S390_TODCMP, "env.ckc"), (NT_S390_TODPREG, "env.todpr")] {
        let size = if kind == NT_S390_TODPREG { 4 } else { 8 };
        let mut r = Record::new(order, size);
        let v = f.u64(field);
        if size == 4 {
            r.u32(0, v)
        } else {
            r.u64(0, v)
        }
        notes.add("LINUX", kind, &r.bytes);
    }
    let mut r = Record::new(order, 128);
    r.row64(0, (0..16).map(|n| half(f, n, 1)));
    notes.add("LINUX", NT_S390_VXRS_LOW, &r.bytes);
    let mut r = Record::new(order, 256);
    r.row64(0, (16..32).flat_map(|n| [half(f, n, 0), half(f, n, 1)]));
    notes.add("LINUX", NT_S390_VXRS_HIGH, &r.bytes);
    let mut r = Record::new(order, 32);
    let guarded = f.sub("cpu/gscb").map(|s| s.numbers("env.gscb")).unwrap_or_default();
    r.row64(0, guarded.into_iter().take(4).map(|n| n.low()));
    notes.add("LINUX", NT_S390_GS_CB, &r.bytes);
}
