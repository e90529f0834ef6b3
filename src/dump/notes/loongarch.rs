//! LoongArch (`target/loongarch/arch_dump.c`).

use super::{NT_PRFPREG, NT_PRSTATUS, Notes, Processor};
use crate::dump::bytes::Record;

pub(super) fn add(notes: &mut Notes, cpu: &Processor<'_>) {
    let f = &cpu.fields;
    let mut r = Record::new(notes.order, 480);
    r.u32(32, cpu.pid());
    r.row64(112, cpu.all("env.gpr").into_iter().take(32));
    r.row64(376, [f.u64("env.CSR_ERA"), f.u64("env.CSR_BADV")]);
    r.u32(472, 1);
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
    let mut r = Record::new(notes.order, 268);
    if let Some(s) = f.sub("cpu/fpu") {
        for (n, at) in (0..32).zip((0..).step_by(8)) {
            r.u64(at, s.u64(&format!("env.fpr[{n}].vreg.UD(0)")));
        }
        for (n, at) in (0..8).zip(256..) {
            let flag = s.at("env.cf", n).map_or(0, |v| v.low());
            r.raw(at, &[u8::from(flag != 0)]);
        }
        r.u32(264, s.u64("env.fcsr0"));
    }
    notes.add("CORE", NT_PRFPREG, &r.bytes);
}
