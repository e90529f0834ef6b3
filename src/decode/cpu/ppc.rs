//! PowerPC, 32 and 64 bits (`vmstate_ppc_cpu`, `target/ppc/machine.c`).

use super::fields::Fields;
use super::register::{Form, Group, Number};
use super::{Decoded, Input};

pub static MSR: &[(u32, &str)] = &[
    (63, "SF"),
    (60, "HV"),
    (40, "TM"),
    (25, "VEC"),
    (23, "VSX"),
    (15, "EE"),
    (14, "PR"),
    (13, "FP"),
    (12, "ME"),
    (11, "FE0"),
    (10, "SE"),
    (9, "BE"),
    (8, "FE1"),
    (5, "IR"),
    (4, "DR"),
    (2, "PMM"),
    (1, "RI"),
    (0, "LE"),
];

/// Special purpose registers that are shown without `--all`.
static SPRS: &[(usize, &str)] = &[
    (26, "SRR0"),
    (27, "SRR1"),
    (314, "HSRR0"),
    (315, "HSRR1"),
    (287, "PVR"),
    (256, "VRSAVE"),
    (272, "SPRG0"),
    (273, "SPRG1"),
    (274, "SPRG2"),
    (275, "SPRG3"),
    (276, "SPRG4"),
    (277, "SPRG5"),
    (278, "SPRG6"),
    (279, "SPRG7"),
    (1008, "HID0"),
    (25, "SDR1"),
    (28, "CFAR"),
    (318, "LPCR"),
    (464, "PTCR"),
    (19, "DAR"),
    (18, "DSISR"),
];

/// The others with a name, which `--all` shows; those without one are shown by their number.
static MORE: &[(usize, &str)] = &[
    (1, "XER"),
    (3, "DSCR_U"),
    (8, "LR"),
    (9, "CTR"),
    (13, "AMR_U"),
    (17, "DSCR"),
    (22, "DECR"),
    (29, "AMR"),
    (48, "PIDR"),
    (61, "IAMR"),
    (136, "CTRL"),
    (152, "CTRL_W"),
    (153, "FSCR"),
    (157, "UAMOR"),
    (159, "PSPB"),
    (176, "DPDES"),
    (180, "DAWR0"),
    (181, "DAWR1"),
    (186, "RPR"),
    (187, "CIABR"),
    (188, "DAWRX0"),
    (189, "DAWRX1"),
    (190, "HFSCR"),
    (268, "TBL"),
    (269, "TBU"),
    (282, "EAR"),
    (284, "TBL_W"),
    (285, "TBU_W"),
    (304, "HSPRG0"),
    (305, "HSPRG1"),
    (306, "HDSISR"),
    (307, "HDAR"),
    (308, "SPURR"),
    (309, "PURR"),
    (310, "HDECR"),
    (313, "HRMOR"),
    (319, "LPIDR"),
    (336, "HMER"),
    (337, "HMEER"),
    (338, "PCR"),
    (339, "HEIR"),
    (349, "AMOR"),
    (528, "IBAT0U"),
    (529, "IBAT0L"),
    (530, "IBAT1U"),
    (531, "IBAT1L"),
    (536, "DBAT0U"),
    (537, "DBAT0L"),
    (538, "DBAT1U"),
    (539, "DBAT1L"),
    (779, "MMCR0_U"),
    (795, "MMCR0"),
    (798, "MMCR1"),
    (785, "MMCR2"),
    (786, "MMCRA"),
    (780, "SIAR"),
    (781, "SDAR"),
    (815, "TAR"),
    (848, "IC"),
    (849, "VTB"),
    (896, "PPR"),
    (1009, "HID1"),
    (1013, "DABR"),
    (1023, "PIR"),
];

/// Returns the name of a special purpose register.
pub fn spr_name(n: usize) -> Option<&'static str> {
    SPRS.iter().chain(MORE).find(|(i, _)| *i == n).map(|(_, name)| *name)
}

pub fn decode(i: &Input<'_>) -> Decoded {
    let f = &i.cpu;
    let width = f.number("env.nip").map_or(64, |n| n.bits);
    let spr = |n: usize| f.at("env.spr", n);
    let mut flow = Group::new("flow", "Where it is", Form::Grid);
    flow.add("NIP", f.number("env.nip"));
    for (name, n) in [("LR", 8), ("CTR", 9), ("XER", 1)] {
        flow.add(name, spr(n));
    }
    let mut state = Group::new("state", "Machine state and conditions", Form::Rows);
    state.flags("MSR", f.number("env.msr"), MSR);
    let fields = f.numbers("env.crf");
    if fields.len() == 8 {
        let cr = fields.iter().fold(0, |v, n| v << 4 | n.low() & 15);
        state.put("CR", Some(Number::new(cr, 32)), conditions(&fields));
    }
    state.add(
        "RESERVE_ADDR",
        f.number("env.reserve_addr").or_else(|| f.sub("cpu/reservation")?.number("env.reserve_addr")),
    );
    let mut general = Group::new("general", "General registers", Form::Grid);
    for (n, v) in f.numbers("env.gpr").into_iter().enumerate() {
        general.add(format!("GPR{n:02}"), Some(v));
    }
    let mut special = Group::new("special", "Special purpose registers", Form::Grid);
    for (n, name) in SPRS {
        special.add(*name, spr(*n));
    }
    let groups = vec![flow, state, general, special, more(f), floats(f), vectors(f), slb(f)];
    Decoded { architecture: if width == 32 { "ppc" } else { "ppc64" }, groups }
}

/// A letter for each of the eight fields, less, greater or equal, and one for the summary overflow.
fn conditions(fields: &[Number]) -> String {
    let one = |n: &Number| {
        let order = [(3, "L"), (2, "G"), (1, "E")].into_iter().find(|(b, _)| n.bit(*b)).map_or("", |(_, c)| c);
        let text = format!("{order}{}", if n.bit(0) { "O" } else { "" });
        if text.is_empty() { "-".to_owned() } else { text }
    };
    format!("[{}]", fields.iter().map(one).collect::<Vec<_>>().join(" "))
}

/// Those that are set, of more than a thousand.
fn more(f: &Fields<'_>) -> Group {
    let mut g =
        Group::new("special_more", "More special purpose registers (those that are not 0)", Form::Grid).detail();
    for (n, v) in f.numbers("env.spr").into_iter().enumerate() {
        if v.low() == 0 || SPRS.iter().any(|(s, _)| *s == n) {
            continue;
        }
        match MORE.iter().find(|(m, _)| *m == n) {
            Some((_, name)) => g.add(*name, Some(v)),
            None => g.add(format!("SPR{n}"), Some(v)),
        }
    }
    g
}

fn floats(f: &Fields<'_>) -> Group {
    let mut g = Group::new("float", "Floating point registers", Form::Grid).detail();
    let Some(s) = f.sub("cpu/fpu") else { return g };
    for (n, node) in s.elements("env.vsr").enumerate() {
        let inner = Fields::new(&node);
        let value = super::fields::number(&node).or_else(|| inner.at("d", 0)).or_else(|| inner.number("u64[0]"));
        g.add(format!("FPR{n:02}"), value);
    }
    g.add("FPSCR", s.number("env.fpscr"));
    g
}

/// AltiVec registers. The two halves are in the order of the host's memory, most significant first on a big-endian one.
fn vectors(f: &Fields<'_>) -> Group {
    let mut g = Group::new("vectors", "Vector registers", Form::Rows).detail();
    let Some(s) = f.sub("cpu/altivec") else { return g };
    for (n, node) in s.elements("env.vsr").enumerate() {
        let v = Fields::new(&node);
        if let Some((low, high)) = v.number("u64[0]").zip(v.number("u64[1]")) {
            g.add(format!("VR{n:02}"), Some(Number::wide(128, vec![low.low(), high.low()])));
        }
    }
    g.add("VSCR", s.number("vscr"));
    g
}

fn slb(f: &Fields<'_>) -> Group {
    let mut g = Group::new("slb", "Segment lookaside buffer", Form::Table).detail();
    let Some(s) = f.sub("cpu/slb") else { return g };
    for (n, node) in s.elements("env.slb").enumerate() {
        let e = Fields::new(&node);
        let Some((esid, vsid)) = e.number("esid").zip(e.number("vsid")) else { continue };
        if esid.low() != 0 || vsid.low() != 0 {
            let says = if esid.bit(27) { "valid" } else { "" };
            g.parts(format!("SLB{n:02}"), vec![("ESID", esid), ("VSID", vsid)], says.to_owned());
        }
    }
    g
}
