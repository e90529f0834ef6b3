//! Interrupt controllers: who is on, what is pending and what is being served.

use super::fields::{Fields, set_bits};
use super::register::{Form, Group, Number};

type Decode = fn(&Fields<'_>) -> Group;

/// The controllers that are known, by the name of their vmsd.
static KNOWN: &[(&str, Decode)] = &[
    ("apic", apic),
    ("ioapic", ioapic),
    ("i8259", i8259),
    ("arm_gic", gic_v2),
    ("arm_gicv3", gic_v3),
    ("riscv_sifive_plic", plic),
    ("icp/server", icp),
    ("qemu-s390-flic", flic),
];

pub fn is_known(vmsd: &str) -> bool {
    KNOWN.iter().any(|(n, _)| *n == vmsd)
}

pub fn decode(vmsd: &str, f: &Fields<'_>) -> Option<Group> {
    KNOWN.iter().find(|(n, _)| *n == vmsd).map(|(_, d)| d(f))
}

/// Returns the first numbers of a list in words.
fn list(numbers: &[u64]) -> String {
    if numbers.is_empty() {
        return "none".to_owned();
    }
    let mut out: Vec<String> = numbers.iter().take(12).map(ToString::to_string).collect();
    if let Some(rest) = numbers.len().checked_sub(12).filter(|n| *n != 0) {
        out.push(format!("and {rest} more"));
    }
    out.join(" ")
}

fn counted(g: &mut Group, name: &'static str, numbers: &[u64]) {
    g.count(name, u64::try_from(numbers.len()).unwrap_or(u64::MAX), list(numbers));
}

/// The entries of the local vector table in the order of `lvt` (`hw/intc/apic_internal.h`).
static LVT: &[&str] = &["LVT timer", "LVT thermal", "LVT performance", "LVT LINT0", "LVT LINT1", "LVT error"];

fn apic(f: &Fields<'_>) -> Group {
    let mut g = Group::new("apic", "Local APIC", Form::Rows);
    g.flags("apicbase", f.number("apicbase"), &[(8, "BSP"), (10, "x2APIC"), (11, "enabled")]);
    g.says("id", f.number("id"), |v| v.to_string());
    g.add("TPR", f.number("tpr"));
    g.says("SVR", f.number("spurious_vec"), |v| {
        format!("{}, spurious vector {:#04x}", if v >> 8 & 1 == 1 { "on" } else { "off" }, v & 0xff)
    });
    g.add("LDR", f.number("log_dest"));
    g.add("ESR", f.number("esr"));
    for (name, field) in [("ISR", "isr"), ("IRR", "irr"), ("TMR", "tmr")] {
        let set = f.set_bits(field);
        let vectors: Vec<String> = set.iter().map(|v| format!("{v:02x}")).collect();
        let says = if set.is_empty() { "none".to_owned() } else { format!("vectors {}", vectors.join(" ")) };
        g.count(name, u64::try_from(set.len()).unwrap_or(0), says);
    }
    for (i, (name, v)) in LVT.iter().zip(f.numbers("lvt")).enumerate() {
        let says = lvt(&v, i == 0);
        g.put(*name, Some(v), says);
    }
    let icr = f.numbers("icr");
    if let [low, high] = icr.as_slice() {
        g.add("ICR", Some(Number::new(high.low() << 32 | low.low(), 64)));
    }
    g.says("initial_count", f.number("initial_count"), |v| v.to_string());
    let divide = f.number("divide_conf");
    g.says("divide_conf", divide, |v| match (v & 3) | (v >> 1 & 4) {
        7 => "by 1".to_owned(),
        n => format!("by {}", 2_u64 << n),
    });
    g.says("timer_expiry", f.number("timer_expiry"), nanoseconds);
    g
}

fn lvt(v: &Number, timer: bool) -> String {
    let mut words = vec![format!("vector {:02x}", v.field(0, 8))];
    if timer {
        let modes = ["one-shot", "periodic", "TSC deadline", "reserved"];
        words.extend(usize::try_from(v.field(17, 2)).ok().and_then(|m| modes.get(m)).map(|m| (*m).to_owned()));
    } else {
        let how = ["fixed", "", "SMI", "", "NMI", "INIT", "", "ExtINT"];
        words.extend(usize::try_from(v.field(8, 3)).ok().and_then(|m| how.get(m)).map(|m| (*m).to_owned()));
    }
    if v.bit(12) {
        words.push("pending".to_owned());
    }
    if v.bit(16) {
        words.push("masked".to_owned());
    }
    words.retain(|w| !w.is_empty());
    words.join(", ")
}

fn nanoseconds(v: u64) -> String {
    if v == u64::MAX { "not armed".to_owned() } else { format!("{v} ns") }
}

fn ioapic(f: &Fields<'_>) -> Group {
    let mut g = Group::new("ioapic", "I/O APIC", Form::Rows);
    g.add("id", f.number("id"));
    g.says("IRR", f.number("irr"), |_| format!("pins {}", list(&f.set_bits("irr"))));
    let table = f.numbers("ioredtbl");
    let open: Vec<u64> = (0_u64..).zip(&table).filter(|(_, e)| !e.bit(16)).map(|(i, _)| i).collect();
    counted(&mut g, "not masked", &open);
    for (i, e) in table.iter().enumerate().filter(|(_, e)| !e.bit(16)) {
        let how = if e.bit(15) { "level" } else { "edge" };
        let busy = if e.bit(14) { ", being served" } else { "" };
        let says = format!("vector {:02x} to {:02x}, {how}{busy}", e.field(0, 8), e.field(56, 8));
        g.put(format!("pin {i}"), Some(e.clone()), says);
    }
    g
}

fn i8259(f: &Fields<'_>) -> Group {
    let mut g = Group::new("i8259", "Interrupt controller i8259", Form::Rows);
    let lines = |what: &'static str| {
        move |v: u64| {
            let set = set_bits(&[Number::new(v, 8)]);
            if set.is_empty() { String::new() } else { format!("{what} {}", list(&set)) }
        }
    };
    g.says("IRR", f.number("irr"), lines("pending"));
    g.says("IMR", f.number("imr"), lines("masked"));
    g.says("ISR", f.number("isr"), lines("in service"));
    g.says("ELCR", f.number("elcr"), lines("level"));
    g.add("irq_base", f.number("irq_base"));
    g
}

/// In each field a bit represents a processor; all bits are set for an interrupt shared by all processors.
fn gic_v2(f: &Fields<'_>) -> Group {
    let mut g = Group::new("gic", "GIC", Form::Rows);
    g.flags("ctlr", f.number("ctlr"), &[(0, "group 0 on"), (1, "group 1 on")]);
    for name in ["enabled", "pending", "active"] {
        let set: Vec<u64> = (0_u64..)
            .zip(f.elements("irq_state"))
            .filter(|(_, n)| Fields::new(n).u64(name) != 0)
            .map(|(i, _)| i)
            .collect();
        counted(&mut g, name, &set);
    }
    for (i, v) in f.numbers("running_priority").into_iter().enumerate() {
        let enabled = f.at("cpu_ctlr", i).is_some_and(|c| c.low() != 0);
        if enabled || v.low() != 0 {
            g.put(format!("CPU {i} running priority"), Some(v), String::new());
        }
    }
    g
}

/// Interrupts 0 to 31 are in the redistributor of each processor, the others in the distributor.
fn gic_v3(f: &Fields<'_>) -> Group {
    let mut g = Group::new("gicv3", "GICv3", Form::Rows);
    g.flags(
        "gicd_ctlr",
        f.number("gicd_ctlr"),
        &[(0, "group 0"), (1, "group 1"), (2, "group 1S"), (4, "ARE"), (6, "DS")],
    );
    for name in ["enabled", "pending", "active"] {
        counted(&mut g, name, &f.set_bits(name));
    }
    for (i, node) in f.elements("cpu").enumerate() {
        let c = Fields::new(&node);
        let registers = [
            ("enabled", "gicr_ienabler0"),
            ("pending", "gicr_ipendr0"),
            ("active", "gicr_iactiver0"),
            ("level", "level"),
        ];
        for (name, field) in registers {
            g.says(format!("CPU {i} {name}"), c.number(field), |_| list(&c.set_bits(field)));
        }
        g.add(format!("CPU {i} PMR"), c.cut("icc_pmr_el1", 8));
    }
    g
}

fn plic(f: &Fields<'_>) -> Group {
    let mut g = Group::new("plic", "PLIC", Form::Rows);
    counted(&mut g, "pending", &f.set_bits("pending"));
    counted(&mut g, "claimed", &f.set_bits("claimed"));
    g
}

fn icp(f: &Fields<'_>) -> Group {
    let mut g = Group::new("icp", "XICS presenter", Form::Rows);
    g.says("xirr", f.number("xirr"), |v| format!("priority {:#04x}, source {:#x}", v >> 24, v & 0xff_ffff));
    g.add("pending_priority", f.number("pending_priority"));
    g.add("mfrr", f.number("mfrr"));
    g
}

fn flic(f: &Fields<'_>) -> Group {
    let mut g = Group::new("flic", "Floating interrupts", Form::Rows);
    g.add("simm", f.number("simm"));
    g.add("nimm", f.number("nimm"));
    if let Some(s) = f.sub("qemu-s390-flic-full") {
        g.add("pending", s.number("pending"));
        let waiting: usize = (0..8)
            .filter_map(|i| s.node(&format!("io[{i}]")))
            .map(|n| n.elements().len())
            .fold(0, usize::saturating_add);
        g.count("I/O interrupts", u64::try_from(waiting).unwrap_or(0), String::new());
    }
    g
}
