//! x86: `NT_PRSTATUS` of 64 and 32 bits, and QEMU's own note (`target/i386/arch_dump.c`).

use super::{NT_PRSTATUS, Notes};
use crate::decode::cpu::Fields;
use crate::dump::bytes::Record;
use crate::dump::processor::Processor;
use crate::dump::x86::{CS, DS, ES, FS, GS, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, SS};
use crate::offset::Sure;

/// The size of QEMU's note, which is in the note too.
const QEMU_NOTE: usize = 440;

fn register(f: &Fields<'_>, n: usize) -> u64 {
    f.at("env.regs", n).map_or(0, |r| r.low())
}

fn segment(f: &Fields<'_>, n: usize, part: &str) -> u64 {
    f.element("env.segs", n).map_or(0, |s| Fields::new(&s).u64(part))
}

pub(super) fn long(notes: &mut Notes, cpu: &Processor<'_>) {
    let f = &cpu.fields;
    let mut r = Record::new(notes.order, 336);
    r.u32(32, cpu.pid());
    let order = [15, 14, 13, 12, RBP, RBX, 11, 10, 9, 8, RAX, RCX, RDX, RSI, RDI];
    r.row64(112, order.map(|n| register(f, n)));
    // 232 is the number of a system call, which there is none of
    r.u64(240, f.u64("env.eip"));
    r.u64(248, segment(f, CS, "selector"));
    r.u64(256, f.u64("env.eflags"));
    r.u64(264, register(f, RSP));
    r.u64(272, segment(f, SS, "selector"));
    r.u64(280, segment(f, FS, "base"));
    r.u64(288, segment(f, GS, "base"));
    r.row64(296, [DS, ES, FS, GS].map(|n| segment(f, n, "selector")));
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
}

pub(super) fn short(notes: &mut Notes, cpu: &Processor<'_>) {
    let f = &cpu.fields;
    let mut r = Record::new(notes.order, 144);
    r.u32(24, cpu.pid());
    r.row32(72, [RBX, RCX, RDX, RSI, RDI, RBP, RAX].map(|n| register(f, n)));
    for (at, n) in [(100, DS), (104, ES), (108, FS), (112, GS)] {
        r.u16(at, segment(f, n, "selector"));
    }
    r.u32(120, f.u64("env.eip"));
    r.u16(124, segment(f, CS, "selector"));
    r.u32(128, f.u64("env.eflags"));
    r.u32(132, register(f, RSP));
    r.u16(136, segment(f, SS, "selector"));
    notes.add("CORE", NT_PRSTATUS, &r.bytes);
}

/// The registers that Linux's notes do not have: `crash` finds a kernel that moved (KASLR) by CR3 and the IDT.
pub(super) fn qemu(notes: &mut Notes, cpu: &Processor<'_>) {
    let f = &cpu.fields;
    let mut r = Record::new(notes.order, QEMU_NOTE);
    r.u32(0, 1);
    r.u32(4, QEMU_NOTE as u64);
    let order = [RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, 8, 9, 10, 11, 12, 13, 14, 15];
    r.row64(8, order.map(|n| register(f, n)));
    r.u64(136, f.u64("env.eip"));
    r.u64(144, f.u64("env.eflags"));
    let mut put = |at: usize, s: Option<Fields<'_>>| {
        let Some(s) = s else { return };
        let parts = ["selector", "limit", "flags"];
        r.row32(at, parts.map(|p| s.u64(p)));
        r.u64(at.plus(16), s.u64("base"));
    };
    for (at, n) in (152..).step_by(24).zip([CS, DS, ES, FS, GS, SS]) {
        if let Some(s) = f.element("env.segs", n) {
            put(at, Some(Fields::new(&s)));
        }
    }
    for (at, name) in [(296, "env.ldt"), (320, "env.tr"), (344, "env.gdt"), (368, "env.idt")] {
        put(at, f.sub(name));
    }
    // CR1 does not exist
    for (at, n) in [(392, 0), (408, 2), (416, 3), (424, 4)] {
        r.u64(at, f.u64(&format!("env.cr[{n}]")));
    }
    r.u64(432, f.u64("env.kernelgsbase"));
    notes.add("QEMU", 0, &r.bytes);
}
