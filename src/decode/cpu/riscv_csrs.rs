//! Control and status registers of RISC-V, those included that are views of others (privileged architecture 1.12).

use super::fields::Fields;
use super::register::{Form, Group, Number};
use crate::offset::Sure;
use crate::value::Element;

/// Registers of one mode, with the subsection that holds them; the field is `env.` and the name.
static MACHINE: &[&str] = &[
    "mhartid",
    "mstatus",
    "misa",
    "medeleg",
    "mideleg",
    "mie",
    "mip",
    "mtvec",
    "mcounteren",
    "mcountinhibit",
    "menvcfg",
    "mscratch",
    "mepc",
    "mcause",
    "mtval",
    "mtinst",
    "mtval2",
    "mseccfg",
];

static SUPERVISOR: &[&str] = &[
    "sstatus",
    "sie",
    "sip",
    "stvec",
    "scounteren",
    "senvcfg",
    "sscratch",
    "sepc",
    "scause",
    "stval",
    "stimecmp",
    "satp",
    "ssp",
    "jvt",
];

static HYPERVISOR: &[&str] = &[
    "hstatus",
    "hedeleg",
    "hideleg",
    "hie",
    "hip",
    "hvip",
    "hcounteren",
    "henvcfg",
    "htval",
    "htinst",
    "hgatp",
    "hgeie",
    "hgeip",
    "htimedelta",
    "vsstatus",
    "vsie",
    "vsip",
    "vstvec",
    "vsscratch",
    "vsepc",
    "vscause",
    "vstval",
    "vstimecmp",
    "vsatp",
];

/// Subsections that hold such registers.
static HOLDERS: &[&str] = &["cpu/hyper", "cpu/envcfg", "cpu/jvt", "cpu/ssp", "cpu/mseccfg", "cpu/debug"];

/// Registers with an upper half, whose name has the suffix `h`, on a 32-bit target.
static WIDE: &[&str] =
    &["mstatus", "medeleg", "menvcfg", "henvcfg", "hedeleg", "htimedelta", "stimecmp", "vstimecmp", "mseccfg"];

/// What a supervisor sees of `mstatus`: SIE, SPIE, UBE, SPP, VS, FS, XS, SUM, MXR, UXL.
const SSTATUS: u64 = 0x3_000d_e762;
/// Interrupts of the supervisor and of a guest, and of a guest with its hypervisor's.
const S_INTERRUPTS: u64 = 0x2222;
const VS_INTERRUPTS: u64 = 0x444;
const HS_INTERRUPTS: u64 = 0x1444;
/// Interrupts that are not those of the privileged architecture.
const LOCAL: u64 = !0x1fff;

struct Csrs<'a> {
    fields: Fields<'a>,
    width: u32,
}

impl Csrs<'_> {
    fn stored(&self, name: &str) -> Option<Number> {
        let field = format!("env.{name}");
        let here = self.fields.number(&field);
        let n = here.or_else(|| HOLDERS.iter().find_map(|s| self.fields.sub(s)?.number(&field)))?;
        Some(Number::new(n.low(), self.width))
    }

    fn low(&self, name: &str) -> u64 {
        self.stored(name).map_or(0, |n| n.low())
    }

    fn view(&self, of: &str, f: impl FnOnce(u64) -> u64) -> Option<Number> {
        self.stored(of).map(|n| Number::new(f(n.low()), self.width))
    }

    /// Returns a register as the guest would read it.
    fn read(&self, name: &str) -> Option<Number> {
        let delegated = |of: &str, by: &str, mask: u64| self.view(of, |v| v & self.low(by) & mask);
        match name {
            "misa" => {
                let top = self.width.minus(2);
                let extensions = self.stored("misa_ext").or_else(|| self.stored("misa"))?;
                let mxl = self.fields.u64("env.misa_mxl").checked_shl(top).unwrap_or(0);
                Some(Number::new(extensions.low() | mxl, self.width))
            }
            // not so `vsstatus`, which QEMU shows as it is stored (`read_vsstatus`)
            "mstatus" => self.view(name, |v| self.with_dirty(v)),
            "sstatus" => self.view("mstatus", |v| self.with_dirty(v & SSTATUS)),
            "sie" => self.view("mie", |v| {
                v & self.low("mideleg") & (S_INTERRUPTS | LOCAL) | self.own("sie", "mvien", "mideleg")
            }),
            "sip" => delegated("mip", "mideleg", S_INTERRUPTS | LOCAL),
            "hie" => self.view("mie", |v| v & HS_INTERRUPTS),
            "hip" => self.view("mip", |v| v & HS_INTERRUPTS),
            // bits of a guest are one lower in its own registers
            "vsie" => self.view("mie", |v| {
                let given = v & self.low("hideleg");
                (given & VS_INTERRUPTS) >> 1 | given & LOCAL | self.own("vsie", "hvien", "hideleg")
            }),
            "vsip" => self.view("mip", |v| {
                let given = v & self.low("hideleg");
                (given & VS_INTERRUPTS) >> 1 | given & LOCAL
            }),
            // VSBE and VSXL are not kept: a guest is little-endian, and as wide as the supervisor (`read_hstatus`)
            "hstatus" if self.width == 64 => self.view(name, |v| v & !(3 << 32 | 1 << 5) | 2 << 32),
            "hstatus" => self.view(name, |v| v & !(1 << 5)),
            _ => self.stored(name),
        }
    }

    /// Returns the local interrupts that a mode enables for itself, since they are made up for it and not delegated.
    fn own(&self, name: &str, made: &str, delegated: &str) -> u64 {
        self.low(name) & self.low(made) & !self.low(delegated) & LOCAL
    }

    /// Returns the upper half of a register that has 64 bits on a 32-bit target too.
    fn upper(&self, name: &str) -> Option<Number> {
        let wide = Csrs { fields: self.fields, width: 64 };
        wide.stored(name).filter(|_| self.width == 32).map(|n| Number::new(n.low() >> 32, 32))
    }

    /// SD is set if FS, VS or XS is dirty.
    fn with_dirty(&self, v: u64) -> u64 {
        let dirty = [9, 13, 15].into_iter().any(|at| v >> at & 3 == 3);
        let sd = 1_u64.checked_shl(self.width.minus(1)).unwrap_or(0);
        if dirty { v | sd } else { v }
    }
}

pub fn groups(f: &Fields<'_>, width: u32) -> Vec<Group> {
    let c = Csrs { fields: *f, width };
    let list = [
        ("machine", "Machine registers", MACHINE),
        ("supervisor", "Supervisor registers", SUPERVISOR),
        ("hypervisor", "Hypervisor and guest registers", HYPERVISOR),
    ];
    let mut out: Vec<Group> = list
        .into_iter()
        .map(|(id, title, names)| {
            let mut g = Group::new(id, title, Form::Grid);
            for name in names {
                g.add(*name, c.read(name));
                if WIDE.contains(name) {
                    g.add(format!("{name}h"), c.upper(name));
                }
            }
            g
        })
        .collect();
    out.push(protection(&c));
    out.push(triggers(&c));
    out.push(counters(&c));
    out
}

/// Physical memory protection: eight configurations in a register of 64 bits, four in one of 32.
fn protection(c: &Csrs<'_>) -> Group {
    let mut g = Group::new("pmp", "Physical memory protection", Form::Grid).detail();
    let Some(s) = c.fields.sub("cpu/pmp") else { return g };
    let entries: Vec<Element<'_>> = s.elements("env.pmp_state.pmp").collect();
    let each = usize::try_from(c.width >> 3).unwrap_or(8);
    for (i, part) in entries.chunks(each).enumerate() {
        let n = part.iter().rev().fold(0_u64, |v, e| v << 8 | Fields::new(e).u64("cfg_reg") & 0xff);
        let index = if each == 8 { i.times(2) } else { i };
        g.add(format!("pmpcfg{index}"), Some(Number::new(n, c.width)));
    }
    for (i, e) in entries.iter().enumerate() {
        // on a 64-bit target bits 2 to 55 of an address; the others read as 0
        let address = Fields::new(e).cut("addr_reg", c.width);
        let mask = if c.width == 64 { u64::MAX >> 10 } else { u64::MAX };
        g.add(format!("pmpaddr{i}"), address.map(|n| Number::new(n.low() & mask, c.width)));
    }
    g
}

fn triggers(c: &Csrs<'_>) -> Group {
    let mut g = Group::new("triggers", "Debug triggers", Form::Grid).detail();
    let Some(s) = c.fields.sub("cpu/debug") else { return g };
    let current = s.u64("env.trigger_cur");
    let at = usize::try_from(current).unwrap_or(usize::MAX);
    g.add("tselect", s.number("env.trigger_cur").map(|n| Number::new(n.low(), c.width)));
    for name in ["tdata1", "tdata2", "tdata3"] {
        g.add(name, s.at(&format!("env.{name}"), at).map(|n| Number::new(n.low(), c.width)));
    }
    g.add("mcontext", s.number("env.mcontext").map(|n| Number::new(n.low(), c.width)));
    g
}

/// Counters as they stood; those of cycles and instructions run on with the host's clock.
fn counters(c: &Csrs<'_>) -> Group {
    let mut g = Group::new("counters", "Counters", Form::Grid).detail();
    let counters = c.fields.elements("env.pmu_ctrs");
    for (i, n) in c.fields.numbers("env.mhpmevent_val").into_iter().enumerate().skip(3) {
        halves(&mut g, format!("mhpmevent{i}"), Some(n), c.width);
    }
    for (i, n) in counters.enumerate() {
        let name = match i {
            0 => "mcycle".to_owned(),
            1 => continue,
            2 => "minstret".to_owned(),
            i => format!("mhpmcounter{i}"),
        };
        halves(&mut g, name, Fields::new(&n).number("mhpmcounter_val"), c.width);
    }
    g
}

/// Adds a register of 64 bits, in two halves on a 32-bit target.
fn halves(g: &mut Group, name: String, value: Option<Number>, width: u32) {
    let Some(v) = value else { return };
    let high = (width == 32 && v.bits == 64).then(|| Number::new(v.low() >> 32, 32));
    g.add(name.clone(), Some(Number::new(v.low(), width)));
    g.add(format!("{name}h"), high);
}
