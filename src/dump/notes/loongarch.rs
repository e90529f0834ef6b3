//! LoongArch (`target/loongarch/arch_dump.c`).

use super::{NT_PRFPREG, NT_PRSTATUS, Notes};
use crate::decode::cpu::Fields;
use crate::dump::bytes::Record;
use crate::dump::processor::Processor;

pub(super) fn add(notes: &mut Notes, cpu: &Processor<'_>) {
    let f = &cpu.fields;
    let mut r = Record::new(notes.order, 480);
    r.u32(32, cpu.pid());
    r.row64(112, cpu.all("env.gpr").into_iter().take(32));
    // since 11.1 they are in an array of states
    let csr = |name: &str| {
        let new = f.number(&format!("env.sys_states[0].{name}"));
        new.or_else(|| f.number(&format!("env.{name}"))).map_or(0, |n| n.low())
    };
    r.row64(376, [csr("CSR_ERA"), csr("CSR_BADV")]);
    r.u32(472, 1);
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
    let mut r = Record::new(notes.order, 268);
    if let Some(s) = f.sub("cpu/fpu") {
        for (element, at) in s.elements("env.fpr").zip((0..).step_by(8)).take(32) {
            r.u64(at, Fields::new(&element).u64("UD[0]"));
        }
        for (n, at) in (0..8).zip(256..) {
            let flag = s.at("env.cf", n).map_or(0, |v| v.low());
            r.raw(at, &[u8::try_from(flag & 0xff).unwrap_or(0)]);
        }
        r.u32(264, s.u64("env.fcsr0"));
    }
    notes.add("CORE", NT_PRFPREG, &r.bytes);
}
