//! RISC-V (`target/riscv/arch_dump.c`): the program counter, then x1 to x31.

use super::{NT_PRSTATUS, Notes};
use crate::dump::bytes::Record;
use crate::dump::processor::Processor;

fn registers<'a>(cpu: &'a Processor<'_>) -> impl Iterator<Item = u64> + 'a {
    let x = cpu.all("env.gpr").into_iter().take(32).skip(1);
    std::iter::once(cpu.fields.u64("env.pc")).chain(x)
}

pub(super) fn long(notes: &mut Notes, cpu: &Processor<'_>) {
    let mut r = Record::new(notes.order, 376);
    r.u32(32, cpu.pid());
    r.row64(112, registers(cpu));
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
}

pub(super) fn short(notes: &mut Notes, cpu: &Processor<'_>) {
    let mut r = Record::new(notes.order, 204);
    r.u32(24, cpu.pid());
    r.row32(72, registers(cpu));
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
}
