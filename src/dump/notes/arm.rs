//! 32-bit ARM (`target/arm/arch_dump.c`).

use super::{NT_PRSTATUS, Notes};
use crate::decode::cpu::arm_float_control;
use crate::dump::bytes::Record;
use crate::dump::processor::Processor;

const NT_ARM_VFP: u32 = 0x400;

pub(super) fn add(notes: &mut Notes, cpu: &Processor<'_>) {
    let f = &cpu.fields;
    let mut r = Record::new(notes.order, 148);
    r.u32(24, cpu.pid());
    r.row32(72, cpu.all("env.regs").into_iter().take(16));
    r.u32(136, f.u64("cpsr"));
    r.u32(144, 1);
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
    if let Some(v) = f.sub("cpu/vfp") {
        let mut r = Record::new(notes.order, 260);
        for (n, at) in (0_usize..32).zip((0..).step_by(8)) {
            r.u64(at, v.at(&format!("env.vfp.zregs[{}].d", n >> 1), n & 1).map_or(0, |w| w.low()));
        }
        let (control, status) = arm_float_control(&v);
        r.u32(256, control | status);
        notes.add("LINUX", NT_ARM_VFP, &r.bytes);
    }
}
