//! Processors: registers by name, flags spelt out, interrupt controllers and clocks.
//!
//! The section of every target is called `cpu`; which one it is shows in the names of its fields. A decoder asks for
//! fields by name, takes their widths from the stream, and leaves out what is absent.

mod aarch64;
mod arm;
mod clocks;
mod coprocessor;
mod fields;
mod interrupts;
mod mips;
mod names;
mod ppc;
mod register;
mod riscv;
mod riscv_csrs;
mod s390x;
mod sysregs;
mod sysregs_table;
mod x86;
mod x86_vectors;

use crate::value::Node;

pub use fields::Fields;
pub use names::{Named, register_of};
pub use register::{Form, Group, Number, Register};

/// A processor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cpu {
    /// The instance of its section.
    pub index: u32,
    /// The architecture, as named by `registers::Registers::name` or the decoder.
    pub architecture: &'static str,
    /// Whether it waits for an interrupt, is stopped, or runs.
    pub halted: bool,
    /// Its registers.
    pub groups: Vec<Group>,
}

/// What there is of a processor in a stream.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Sections<'a> {
    /// The section `cpu`.
    pub cpu: &'a Node,
    /// The section `cpu_common` of the same instance.
    pub common: Option<&'a Node>,
    /// The section `apic` of the same instance.
    pub apic: Option<&'a Node>,
}

/// What a decoder works on.
struct Input<'a> {
    cpu: Fields<'a>,
    common: Option<Fields<'a>>,
    apic: Option<Fields<'a>>,
}

impl Input<'_> {
    fn halted(&self) -> bool {
        self.common.as_ref().is_some_and(|c| c.u64("halted") != 0)
    }
}

/// What a decoder returns.
struct Decoded {
    architecture: &'static str,
    groups: Vec<Group>,
}

/// A decoder of a target.
struct Decoder {
    /// Fields by which it is known: one of them is enough.
    marks: &'static [&'static str],
    decode: fn(&Input<'_>) -> Decoded,
}

/// The targets that are known.
static DECODERS: &[Decoder] = &[
    Decoder { marks: &["env.eip"], decode: x86::decode },
    Decoder { marks: &["env.xregs"], decode: arm::decode },
    Decoder { marks: &["env.nip"], decode: ppc::decode },
    Decoder { marks: &["env.psw.mask"], decode: s390x::decode },
    Decoder { marks: &["env.misa_ext", "env.misa"], decode: riscv::decode },
    Decoder { marks: &["env.active_tc", "active_tc"], decode: mips::decode },
];

/// Decodes a processor; `None` for an unknown target.
#[must_use]
pub fn decode(index: u32, s: Sections<'_>) -> Option<Cpu> {
    let input = Input { cpu: Fields::new(s.cpu), common: s.common.map(Fields::new), apic: s.apic.map(Fields::new) };
    let decoder = DECODERS.iter().find(|d| d.marks.iter().any(|m| input.cpu.node(m).is_some()))?;
    let Decoded { architecture, mut groups } = (decoder.decode)(&input);
    groups.push(run_state(&input, architecture));
    groups.retain(|g| !g.registers.is_empty());
    Some(Cpu { index, architecture, halted: input.halted(), groups })
}

/// Returns the architecture of a processor, where it is known.
#[must_use]
pub fn architecture(root: &Node) -> Option<&'static str> {
    decode(0, Sections { cpu: root, common: None, apic: None }).map(|c| c.architecture)
}

/// Returns a system register of ARM, given by its name: of AArch64 such as `TCR_EL1`, or of 32-bit processors such as `SCTLR`.
#[must_use]
pub fn arm_system_register(cpu: &Fields<'_>, name: &str) -> Option<u64> {
    sysregs::register(cpu, name).or_else(|| coprocessor::register(cpu, name))
}

/// Returns FPCR and FPSR of the subsection `cpu/vfp`.
#[must_use]
pub fn arm_float_control(vfp: &Fields<'_>) -> (u64, u64) {
    aarch64::float_control(vfp).map_or((0, 0), |(control, status)| (control.low(), status.low()))
}

/// Decodes a section about interrupts or time; `None` for any other section.
#[must_use]
pub fn decode_part(vmsd: &str, instance: u32, root: &Node) -> Option<Group> {
    let f = Fields::new(root);
    let mut group = interrupts::decode(vmsd, &f).or_else(|| clocks::decode(vmsd, &f))?;
    group.instance = Some(instance);
    Some(group)
}

/// Returns whether [`decode_part`] knows a section.
#[must_use]
pub fn is_part(vmsd: &str) -> bool {
    interrupts::is_known(vmsd) || clocks::is_known(vmsd)
}

/// The content of `cpu_common`. The numbers are those of `include/exec/cpu-all.h` and `include/exec/cpu-interrupt.h`.
fn run_state(i: &Input<'_>, architecture: &str) -> Group {
    let mut g = Group::new("run_state", "Run state", Form::Rows);
    let Some(c) = &i.common else { return g };
    g.says("halted", c.number("halted"), |v| if v == 0 { "no" } else { "waiting for an interrupt, or stopped" }.into());
    let names: &[(u32, &str)] = match architecture {
        "x86_64" | "i386" => X86_REQUESTS,
        _ => REQUESTS,
    };
    g.flags("interrupt_request", c.number("interrupt_request"), names);
    if let Some(e) = c.sub("cpu_common/exception_index") {
        g.add("exception_index", e.number("exception_index"));
    }
    if let Some(e) = c.sub("cpu_common/crash_occurred") {
        g.add("crash_occurred", e.number("crash_occurred"));
    }
    g
}

static REQUESTS: &[(u32, &str)] = &[(1, "hardware"), (2, "leave block"), (5, "halt"), (7, "debug"), (10, "reset")];

static X86_REQUESTS: &[(u32, &str)] = &[
    (1, "hardware"),
    (2, "leave block"),
    (4, "poll APIC"),
    (5, "halt"),
    (6, "SMI"),
    (7, "debug"),
    (8, "virtual"),
    (9, "NMI"),
    (10, "INIT"),
    (11, "SIPI"),
    (12, "machine check"),
    (13, "TPR access"),
];
