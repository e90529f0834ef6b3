//! The Linux guest of a state.

use super::{Cpus, guest_note, stack_registers};
use crate::decode::cpu::{Cpu, Number};
use crate::error::Result;
use crate::image::SaveImage;
use crate::offset::Gpa;
use crate::os::linux::find::{Hint, Hints};
use crate::os::linux::guest::Guest;
use crate::os::linux::info::Machine;
use crate::paging::AddressSpace;

/// The bit of CR3 in which the page tables of a process differ from the kernel's (`PTI_USER_PGTABLE_BIT`).
const PTI_USER: u64 = 1 << 12;

/// Finds the Linux guest of a state that was opened with its memory: its kernel, symbols and types.
///
/// # Errors
/// `Missing` if the guest is not Linux, or its kernel has no types; those of [`SaveImage::memory`]; `Io`.
pub fn linux(image: &SaveImage) -> Result<Guest<'_>> {
    let memory = image.memory()?;
    memory.map()?;
    Guest::find(memory, &linux_hints(image)?)
}

/// Returns what a state says of a Linux guest beside its memory: the note of the vmcoreinfo device, and the page tables of the
/// processors, those that run the kernel first.
///
/// # Errors
/// `Io`.
pub fn linux_hints(image: &SaveImage) -> Result<Hints> {
    let cpus = Cpus::find(image)?;
    let mut found: Vec<Cpu> = cpus.sections().filter_map(|d| cpus.decode(d)).collect();
    found.sort_by_key(|c| (stack_registers(c).is_none_or(|r| r.user), c.index));
    let processors = found.iter().flat_map(hints).collect();
    Ok(Hints { note: guest_note(image)?, processors })
}

fn hints(cpu: &Cpu) -> Vec<Hint> {
    let machine = match cpu.architecture {
        "x86_64" => Machine::X86_64,
        "aarch64" => Machine::Arm64,
        "s390x" => Machine::S390x,
        "riscv64" => Machine::Riscv64,
        _ => return Vec::new(),
    };
    let (Ok(space), Some(registers)) = (AddressSpace::of_cpu(cpu), stack_registers(cpu)) else { return Vec::new() };
    let number = |name: &str| {
        let mut all = cpu.groups.iter().flat_map(|g| &g.registers);
        all.find(|r| r.name == name).and_then(|r| r.value.as_ref()).map(Number::low)
    };
    let name = format!("CPU {}", cpu.index);
    // the vectors of exceptions are the kernel's, whatever runs
    let pc = if registers.user { number("VBAR_EL1").or_else(|| number("stvec")) } else { None };
    let pc = pc.unwrap_or(registers.pc);
    let mut out = Vec::new();
    // in a process, page table isolation leaves nearly nothing of the kernel mapped
    if machine == Machine::X86_64
        && let Some((_, root)) = space.roots().next().filter(|(_, r)| r.0 & PTI_USER != 0)
        && let Ok(space) = space.of_process(Gpa(root.0 & !PTI_USER))
    {
        out.push(Hint { name: name.clone(), machine, space, pc });
    }
    out.insert(0, Hint { name, machine, space, pc });
    out
}
