//! Where unwinding of a processor's stack begins.

use crate::decode::cpu::{Cpu, Number};
use crate::os::linux::stack::Registers;

/// Returns the registers with which the stack of a processor is unwound; `None` if the architecture is not known.
#[must_use]
pub fn registers(cpu: &Cpu) -> Option<Registers> {
    let all = || cpu.groups.iter().flat_map(|g| &g.registers);
    let number = |name: &str| all().find(|r| r.name == name).and_then(|r| r.value.as_ref()).map(Number::low);
    let user = match cpu.architecture {
        "x86_64" => number("CPL")? != 0,
        "aarch64" => number("PSTATE")? & 0xf == 0,
        "s390x" => number("PSWM")? & (1 << 48) != 0,
        // the kernel is in the upper half
        "riscv64" => number("pc")? >> 63 == 0,
        _ => return None,
    };
    let [pc, sp, fp] = match cpu.architecture {
        "x86_64" => ["RIP", "RSP", "RBP"],
        "aarch64" => ["PC", "SP", "X29"],
        "s390x" => ["PSWA", "R15", "R11"],
        _ => ["pc", "sp", "s0"],
    };
    let link = if cpu.architecture == "aarch64" { number("X30").unwrap_or(0) } else { 0 };
    let others = ["RDX", "RDI", "R10", "R13", "RAX"].map(|n| number(n).unwrap_or(0));
    Some(Registers { pc: number(pc)?, sp: number(sp)?, fp: number(fp).unwrap_or(0), user, link, others })
}
