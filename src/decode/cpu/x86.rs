//! x86 and x86-64. The layout is that of `vmstate_x86_cpu` in `target/i386/machine.c`.

use super::fields::Fields;
use super::register::{Form, Group, Number, letters, spell};
use super::{Decoded, Input, x86_vectors};

/// Index of the general registers in `env.regs`, in conventional order.
static GENERAL: &[(usize, &str, &str)] = &[
    (0, "RAX", "EAX"),
    (3, "RBX", "EBX"),
    (1, "RCX", "ECX"),
    (2, "RDX", "EDX"),
    (6, "RSI", "ESI"),
    (7, "RDI", "EDI"),
    (5, "RBP", "EBP"),
    (4, "RSP", "ESP"),
    (8, "R8", ""),
    (9, "R9", ""),
    (10, "R10", ""),
    (11, "R11", ""),
    (12, "R12", ""),
    (13, "R13", ""),
    (14, "R14", ""),
    (15, "R15", ""),
];

static FLAGS: &[(u32, &str)] = &[
    (0, "CF"),
    (2, "PF"),
    (4, "AF"),
    (6, "ZF"),
    (7, "SF"),
    (8, "TF"),
    (9, "IF"),
    (10, "DF"),
    (11, "OF"),
    (14, "NT"),
    (16, "RF"),
    (17, "VM"),
    (18, "AC"),
    (19, "VIF"),
    (20, "VIP"),
    (21, "ID"),
];

static CR0: &[(u32, &str)] = &[
    (0, "PE"),
    (1, "MP"),
    (2, "EM"),
    (3, "TS"),
    (4, "ET"),
    (5, "NE"),
    (16, "WP"),
    (18, "AM"),
    (29, "NW"),
    (30, "CD"),
    (31, "PG"),
];

static CR4: &[(u32, &str)] = &[
    (0, "VME"),
    (1, "PVI"),
    (2, "TSD"),
    (3, "DE"),
    (4, "PSE"),
    (5, "PAE"),
    (6, "MCE"),
    (7, "PGE"),
    (8, "PCE"),
    (9, "OSFXSR"),
    (10, "OSXMMEXCPT"),
    (11, "UMIP"),
    (12, "LA57"),
    (13, "VMXE"),
    (14, "SMXE"),
    (16, "FSGSBASE"),
    (17, "PCIDE"),
    (18, "OSXSAVE"),
    (20, "SMEP"),
    (21, "SMAP"),
    (22, "PKE"),
    (23, "CET"),
    (24, "PKS"),
    (25, "UINTR"),
    (28, "LAM_SUP"),
    (32, "FRED"),
];

static EFER: &[(u32, &str)] = &[
    (0, "SCE"),
    (8, "LME"),
    (10, "LMA"),
    (11, "NXE"),
    (12, "SVME"),
    (13, "LMSLE"),
    (14, "FFXSR"),
    (15, "TCE"),
    (21, "AIBRSE"),
];

/// QEMU's own bits of `env.hflags` (`target/i386/cpu.h`) that no register contains.
const HF_INHIBIT_IRQ: u32 = 3;
const HF_PE: u32 = 7;
const HF_LMA: u32 = 14;
const HF_CS64: u32 = 15;
const HF_SMM: u32 = 19;

/// The width of the general registers: that of `env.eip`, which is the target's `target_ulong`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// `qemu-system-i386`.
    Bits32,
    /// `qemu-system-x86_64`.
    Bits64,
}

impl Width {
    pub fn of(cpu: &Fields<'_>) -> Self {
        if cpu.number("env.eip").is_none_or(|n| n.bits == 64) { Self::Bits64 } else { Self::Bits32 }
    }

    const fn choose(self, long: &'static str, short: &'static str) -> &'static str {
        match self {
            Self::Bits64 => long,
            Self::Bits32 => short,
        }
    }
}

/// Returns the register that a field is, with the names of its bits; `path` has the subsection and the index, `field` no
/// index.
pub fn register(
    path: &str,
    field: &str,
    index: Option<usize>,
    width: Width,
) -> Option<(&'static str, &'static [(u32, &'static str)])> {
    let segment = |suffix: &str| {
        let n = path.strip_prefix("env.segs[")?.strip_suffix(suffix)?.parse::<usize>().ok()?;
        [
            ["ES", "ES base"],
            ["CS", "CS base"],
            ["SS", "SS base"],
            ["DS", "DS base"],
            ["FS", "FS base"],
            ["GS", "GS base"],
        ]
        .get(n)
        .and_then(|names| names.get(usize::from(suffix.ends_with("base"))))
        .copied()
    };
    let number = |name| Some((name, &[][..]));
    match path {
        "env.eip" => number(width.choose("RIP", "EIP")),
        "env.eflags" => Some((width.choose("RFLAGS", "EFLAGS"), FLAGS)),
        "env.cr[0]" => Some(("CR0", CR0)),
        "env.cr[2]" => number("CR2"),
        "env.cr[3]" => number("CR3"),
        "env.cr[4]" => Some(("CR4", CR4)),
        "env.xcr0" => Some(("XCR0", x86_vectors::FEATURES)),
        "env.efer" | "cpu/efer32.env.efer" => Some(("EFER", EFER)),
        _ if field == "env.regs" => {
            let (_, long, short) = GENERAL.iter().find(|(i, ..)| Some(*i) == index)?;
            number(width.choose(long, short))
        }
        _ => {
            let msr = MSRS.iter().find(|(_, sub, name)| match sub.is_empty() {
                true => path == *name,
                false => path.strip_prefix(sub).and_then(|p| p.strip_prefix('.')) == Some(name),
            });
            let name = msr.map(|(n, ..)| *n).or_else(|| segment("].selector")).or_else(|| segment("].base"))?;
            number(name)
        }
    }
}

pub fn decode(i: &Input<'_>) -> Decoded {
    let f = &i.cpu;
    let width = Width::of(f);
    let mut groups =
        vec![general(f, width), flow(f, width), mode(i), segments(f, width), control(f), debug(f), msrs(i)];
    groups.push(x86_vectors::x87(f));
    groups.push(x86_vectors::vectors(f));
    groups.push(x86_vectors::opmasks(f));
    groups.push(x86_vectors::mtrrs(f));
    groups.push(events(f));
    Decoded { architecture: width.choose("x86_64", "i386"), groups }
}

fn general(f: &Fields<'_>, width: Width) -> Group {
    let mut g = Group::new("general", "General registers", Form::Grid);
    for (i, long, short) in GENERAL {
        g.add(width.choose(long, short), f.at("env.regs", *i).filter(|_| width == Width::Bits64 || !short.is_empty()));
    }
    g
}

/// The letters are those of the monitor: direction, overflow, sign, zero, auxiliary, parity, carry.
fn flow(f: &Fields<'_>, width: Width) -> Group {
    let mut g = Group::new("flow", "Instruction pointer and flags", Form::Rows);
    g.add(width.choose("RIP", "EIP"), f.number("env.eip"));
    g.says(width.choose("RFLAGS", "EFLAGS"), f.number("env.eflags"), |v| {
        let short = letters(v, &[(10, 'D'), (11, 'O'), (7, 'S'), (6, 'Z'), (4, 'A'), (2, 'P'), (0, 'C')]);
        let long = spell(v, FLAGS);
        let iopl = Number::new(v, 64).field(12, 2);
        format!("[{short}] {long}{}IOPL={iopl}", if long.is_empty() { "" } else { " " })
    });
    g
}

fn mode(i: &Input<'_>) -> Group {
    let f = &i.cpu;
    let mut g = Group::new("mode", "Mode", Form::Grid);
    let Some(h) = f.number("env.hflags") else { return g };
    let bit = |n: u32| Some(Number::new(h.field(n, 1), 1));
    g.add("CPL", Some(Number::new(h.field(0, 2), 2)));
    g.add("II", bit(HF_INHIBIT_IRQ));
    g.add("A20", f.number("env.a20_mask").map(|a| Number::new(a.field(20, 1), 1)));
    g.add("SMM", bit(HF_SMM));
    g.add("HLT", i.common.as_ref().and_then(|c| c.number("halted")).map(|h| Number::new(h.low(), 1)));
    g.add("PE", bit(HF_PE));
    g.add("LMA", bit(HF_LMA));
    g.add("CS64", bit(HF_CS64));
    g.add("hflags", Some(h.clone()));
    g.add("hflags2", f.number("env.hflags2"));
    g
}

fn segments(f: &Fields<'_>, width: Width) -> Group {
    let mut g = Group::new("segments", "Segments and descriptor tables", Form::Table);
    let hflags = f.number("env.hflags").unwrap_or(Number::new(0, 32));
    let segs = f.elements("env.segs");
    for (name, node) in ["ES", "CS", "SS", "DS", "FS", "GS"].into_iter().zip(segs) {
        g.registers.extend(segment(name, Fields::new(&node), &hflags, width));
    }
    for (name, field) in [("LDT", "env.ldt"), ("TR", "env.tr")] {
        g.registers.extend(f.sub(field).and_then(|s| segment(name, s, &hflags, width)));
    }
    for (name, field) in [("GDT", "env.gdt"), ("IDT", "env.idt")] {
        if let Some(t) = f.sub(field) {
            let parts = [("base", t.number("base")), ("limit", t.number("limit"))];
            g.parts(name, parts.into_iter().filter_map(|(n, v)| Some((n, v?))).collect(), String::new());
        }
    }
    g
}

fn segment(name: &'static str, s: Fields<'_>, hflags: &Number, width: Width) -> Option<super::Register> {
    // what is outside of the descriptor's bits may be anything (CS is seen as 0x9b0f)
    let flags = Number::new(s.u64("flags") & 0x00ff_ff00, 32);
    let says = if hflags.bit(HF_PE) && flags.bit(15) { attributes(&flags, hflags, width) } else { String::new() };
    let parts = vec![
        ("selector", s.cut("selector", 16)?),
        ("base", s.number("base")?),
        ("limit", s.number("limit")?),
        ("flags", flags),
    ];
    Some(super::Register { name: name.into(), value: None, parts, says, count: false })
}

/// Spells the type of a descriptor (Intel SDM volume 3, 3.4.5 and 3.5).
fn attributes(d: &Number, hflags: &Number, width: Width) -> String {
    let long = width == Width::Bits64 && hflags.bit(HF_LMA);
    let dpl = d.field(13, 2);
    let mark = |bit: u32, c: char| if d.bit(bit) { c } else { '-' };
    if !d.bit(12) {
        return format!("DPL={dpl} {}", system_type(d.field(8, 4), long));
    }
    let (kind, a, b) = if d.bit(11) {
        let kind = match (d.bit(21), d.bit(22)) {
            (true, _) => "CS64",
            (false, true) => "CS32",
            (false, false) => "CS16",
        };
        (kind, mark(10, 'C'), mark(9, 'R'))
    } else {
        let kind = if d.bit(22) || hflags.bit(HF_CS64) { "DS" } else { "DS16" };
        (kind, mark(10, 'E'), mark(9, 'W'))
    };
    format!("DPL={dpl} {kind} [{a}{b}{}]", mark(8, 'A'))
}

fn system_type(t: u64, long: bool) -> &'static str {
    match (t, long) {
        (1, false) => "TSS16-avl",
        (2, _) => "LDT",
        (3, false) => "TSS16-busy",
        (4, false) => "CallGate16",
        (5, false) => "TaskGate",
        (6, false) => "IntGate16",
        (7, false) => "TrapGate16",
        (9, false) => "TSS32-avl",
        (11, false) => "TSS32-busy",
        (12, false) => "CallGate32",
        (14, false) => "IntGate32",
        (15, false) => "TrapGate32",
        (0, true) => "upper half",
        (9, true) => "TSS64-avl",
        (11, true) => "TSS64-busy",
        (12, true) => "CallGate64",
        (14, true) => "IntGate64",
        (15, true) => "TrapGate64",
        _ => "Reserved",
    }
}

fn control(f: &Fields<'_>) -> Group {
    let mut g = Group::new("control", "Control registers", Form::Rows);
    g.flags("CR0", f.number("env.cr[0]"), CR0);
    g.add("CR2", f.number("env.cr[2]"));
    g.add("CR3", f.number("env.cr[3]"));
    g.flags("CR4", f.number("env.cr[4]"), CR4);
    g.flags("XCR0", f.number("env.xcr0"), x86_vectors::FEATURES);
    g
}

fn debug(f: &Fields<'_>) -> Group {
    let mut g = Group::new("debug", "Debug registers", Form::Grid);
    for (i, name) in [(0, "DR0"), (1, "DR1"), (2, "DR2"), (3, "DR3"), (6, "DR6"), (7, "DR7")] {
        g.add(name, f.at("env.dr", i));
    }
    g
}

/// Registers that the main structure or a subsection holds: name, subsection or none, field.
static MSRS: &[(&str, &str, &str)] = &[
    ("STAR", "", "env.star"),
    ("LSTAR", "", "env.lstar"),
    ("CSTAR", "", "env.cstar"),
    ("FMASK", "", "env.fmask"),
    ("KERNEL_GS_BASE", "", "env.kernelgsbase"),
    ("SYSENTER_CS", "", "env.sysenter_cs"),
    ("SYSENTER_ESP", "", "env.sysenter_esp"),
    ("SYSENTER_EIP", "", "env.sysenter_eip"),
    ("PAT", "", "env.pat"),
    ("TSC", "", "env.tsc"),
    ("TSC_AUX", "", "env.tsc_aux"),
    ("TSC_ADJUST", "cpu/msr_tsc_adjust", "env.tsc_adjust"),
    ("TSC_DEADLINE", "cpu/msr_tscdeadline", "env.tsc_deadline"),
    ("TSC_KHZ", "cpu/tsc_khz", "env.tsc_khz"),
    ("MISC_ENABLE", "cpu/msr_ia32_misc_enable", "env.msr_ia32_misc_enable"),
    ("FEATURE_CONTROL", "cpu/msr_ia32_feature_control", "env.msr_ia32_feature_control"),
    ("SPEC_CTRL", "cpu/spec_ctrl", "env.spec_ctrl"),
    ("TSX_CTRL", "cpu/msr_tsx_ctrl", "env.tsx_ctrl"),
    ("VIRT_SSBD", "cpu/virt_ssbd", "env.virt_ssbd"),
    ("XSS", "cpu/xss", "env.xss"),
    ("PKRU", "cpu/pkru", "env.pkru"),
    ("PKRS", "cpu/pkrs", "env.pkrs"),
    ("UMWAIT_CONTROL", "cpu/umwait", "env.umwait"),
    ("SMI_COUNT", "cpu/msr_smi_count", "env.msr_smi_count"),
    ("SMBASE", "", "env.smbase"),
    ("VM_HSAVE_PA", "", "env.vm_hsave"),
    ("MCG_CAP", "", "env.mcg_cap"),
    ("MCG_STATUS", "", "env.mcg_status"),
    ("MCG_CTL", "", "env.mcg_ctl"),
    ("KVM_SYSTEM_TIME", "", "env.system_time_msr"),
    ("KVM_WALL_CLOCK", "", "env.wall_clock_msr"),
    ("KVM_STEAL_TIME", "cpu/steal_time_msr", "env.steal_time_msr"),
    ("KVM_ASYNC_PF_EN", "cpu/async_pf_msr", "env.async_pf_en_msr"),
    ("KVM_ASYNC_PF_INT", "cpu/async_pf_int_msr", "env.async_pf_int_msr"),
    ("KVM_PV_EOI_EN", "cpu/async_pv_eoi_msr", "env.pv_eoi_en_msr"),
    ("KVM_POLL_CONTROL", "cpu/poll_control_msr", "env.poll_control_msr"),
    ("HV_GUEST_OS_ID", "cpu/msr_hyperv_hypercall", "env.msr_hv_guest_os_id"),
    ("HV_HYPERCALL", "cpu/msr_hyperv_hypercall", "env.msr_hv_hypercall"),
    ("HV_REFERENCE_TSC", "cpu/msr_hyperv_time", "env.msr_hv_tsc"),
];

fn msrs(i: &Input<'_>) -> Group {
    let f = &i.cpu;
    let mut g = Group::new("msrs", "Model-specific registers", Form::Rows);
    g.flags("EFER", f.number("env.efer").or_else(|| f.sub("cpu/efer32")?.number("env.efer")), EFER);
    for (name, n) in [("FS_BASE", 4), ("GS_BASE", 5)] {
        g.add(name, f.element("env.segs", n).and_then(|s| Fields::new(&s).number("base")));
    }
    for (name, subsection, field) in MSRS {
        let holder = if subsection.is_empty() { Some(*f) } else { f.sub(subsection) };
        g.add(*name, holder.and_then(|h| h.number(field)));
    }
    if let Some(apic) = &i.apic {
        g.flags("APIC_BASE", apic.number("apicbase"), &[(8, "BSP"), (10, "x2APIC"), (11, "enabled")]);
    }
    g
}

fn events(f: &Fields<'_>) -> Group {
    let mut g = Group::new("events", "Exceptions and interrupts in flight", Form::Rows);
    let or_none = |v: u64| if v == 0xffff_ffff { "none".to_owned() } else { format!("vector {v}") };
    g.says("exception_nr", f.number("env.exception_nr"), or_none);
    g.says("interrupt_injected", f.number("env.interrupt_injected"), or_none);
    for name in ["soft_interrupt", "nmi_injected", "nmi_pending", "has_error_code"] {
        g.add(name, f.number(&format!("env.{name}")));
    }
    g.says("mp_state", f.number("env.mp_state"), |v| {
        // the numbers of Linux's KVM_MP_STATE
        let names = ["runnable", "uninitialized", "INIT received", "halted", "SIPI received"];
        usize::try_from(v).ok().and_then(|v| names.get(v)).copied().unwrap_or_default().to_owned()
    });
    g.add("sipi_vector", f.number("env.sipi_vector"));
    g
}
