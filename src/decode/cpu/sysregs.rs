//! System registers of AArch64, from the list of indexes and values in the section.
//!
//! The form of an index is that of KVM (`target/arm/kvm-consts.h`): 0x60 in the top byte, 0x13 in bits 27:16, then op0,
//! op1, CRn, CRm, op2.

use super::fields::Fields;
use super::register::{Form, Group, Number};
use super::sysregs_table::{NAMES, NUMBERED};
use crate::offset::Sure;

/// Registers that are shown without `--all`.
static IMPORTANT: &[&str] = &[
    "MIDR_EL1",
    "MPIDR_EL1",
    "SCTLR_EL1",
    "CPACR_EL1",
    "TTBR0_EL1",
    "TTBR1_EL1",
    "TCR_EL1",
    "MAIR_EL1",
    "VBAR_EL1",
    "ESR_EL1",
    "FAR_EL1",
    "PAR_EL1",
    "CONTEXTIDR_EL1",
    "TPIDR_EL0",
    "TPIDRRO_EL0",
    "TPIDR_EL1",
    "CNTKCTL_EL1",
    "CNTFRQ_EL0",
    "CNTVOFF_EL2",
    "CNTV_CTL_EL0",
    "CNTV_CVAL_EL0",
    "CNTP_CTL_EL0",
    "CNTP_CVAL_EL0",
    "HCR_EL2",
    "SCTLR_EL2",
    "TTBR0_EL2",
    "TCR_EL2",
    "VTTBR_EL2",
    "VTCR_EL2",
    "VBAR_EL2",
    "ESR_EL2",
    "FAR_EL2",
    "HPFAR_EL2",
    "SCR_EL3",
    "SCTLR_EL3",
    "TTBR0_EL3",
    "TCR_EL3",
    "VBAR_EL3",
    "ESR_EL3",
    "FAR_EL3",
    "MDSCR_EL1",
];

/// Returns the indexes of the section with their values.
pub fn pairs(f: &Fields<'_>) -> impl Iterator<Item = (u64, Number)> {
    let values = f.numbers("cpreg_vmstate_values");
    f.numbers("cpreg_vmstate_indexes").into_iter().map(|n| n.low()).zip(values)
}

/// Returns a register by its name.
pub fn register(f: &Fields<'_>, wanted: &str) -> Option<u64> {
    let is = |index: u64| index >> 56 == 0x60 && index >> 16 & 0xfff == 0x13 && name(index & 0xffff) == wanted;
    pairs(f).find_map(|(index, value)| is(index).then(|| value.low()))
}

/// Returns the width that an index states.
pub fn width(index: u64) -> u32 {
    match index >> 52 & 0xf {
        2 => 32,
        _ => 64,
    }
}

pub fn groups(f: &Fields<'_>, shown: bool) -> Vec<Group> {
    let mut main = Group::new("system", "System registers", Form::Rows);
    let mut rest = Group::new("system_more", "More system registers", Form::Grid).detail();
    main.detail = !shown;
    let mut firmware = Group::new("kvm", "Registers of KVM", Form::Grid).detail();
    for (index, value) in pairs(f) {
        let value = Number::new(value.low(), width(index));
        if index >> 56 != 0x60 {
            continue;
        }
        if index >> 16 & 0xfff != 0x13 {
            firmware.add(format!("{index:#018x}"), Some(value));
            continue;
        }
        let code = index & 0xffff;
        let name = name(code);
        if IMPORTANT.contains(&name.as_str()) {
            let says = says(&name, value.low());
            main.put(name, Some(value), says);
        } else {
            rest.add(name, Some(value));
        }
    }
    let place = |r: &super::Register| IMPORTANT.iter().position(|n| *n == r.name);
    main.registers.sort_by_key(place);
    vec![main, rest, firmware]
}

/// Returns the name of a register, or S3_0_C1_C0_0 for one that has none here.
pub fn name(code: u64) -> String {
    if let Some((_, n)) = NAMES.iter().find(|(c, _)| u64::from(*c) == code) {
        return (*n).to_owned();
    }
    let [op0, op1, crn, crm, op2] = [code >> 14 & 3, code >> 11 & 7, code >> 7 & 15, code >> 3 & 15, code & 7];
    for (o0, o1, n, first, last, stem, tail) in NUMBERED {
        // families that count with CRm, or with the low bits of CRm and op2
        if [op0, op1, crn] == [*o0, *o1, *n] && (*first..=*last).contains(&(crm << 3 | op2)) {
            let i = (crm << 3 | op2).minus(*first);
            return format!("{stem}{i}{tail}");
        }
    }
    if [op0, op1, crn] == [2, 0, 0]
        && let Some(stem) = ["DBGBVR", "DBGBCR", "DBGWVR", "DBGWCR"].get(usize::try_from(op2).unwrap_or(9) ^ 4)
    {
        return format!("{stem}{crm}_EL1");
    }
    format!("S{op0}_{op1}_C{crn}_C{crm}_{op2}")
}

fn says(name: &str, v: u64) -> String {
    let n = Number::new(v, 64);
    match name {
        "SCTLR_EL1" | "SCTLR_EL2" | "SCTLR_EL3" => super::register::spell(
            v,
            &[(0, "M"), (1, "A"), (2, "C"), (3, "SA"), (12, "I"), (19, "WXN"), (24, "E0E"), (25, "EE")],
        ),
        "ESR_EL1" | "ESR_EL2" | "ESR_EL3" if v != 0 => syndrome(v).to_owned(),
        "TCR_EL1" => {
            let t0 = 64_u64.minus(n.field(0, 6));
            let t1 = 64_u64.minus(n.field(16, 6));
            format!("{t0} and {t1} bits of address")
        }
        "MPIDR_EL1" => format!("affinity {}.{}.{}.{}", n.field(32, 8), n.field(16, 8), n.field(8, 8), n.field(0, 8)),
        "CNTV_CTL_EL0" | "CNTP_CTL_EL0" => super::register::spell(v, &[(0, "enabled"), (1, "masked"), (2, "due")]),
        _ => String::new(),
    }
}

/// Returns the class of an exception (Arm ARM, ESR_ELx.EC).
pub fn syndrome(v: u64) -> &'static str {
    match v >> 26 & 0x3f {
        0x00 => "unknown reason",
        0x01 => "WFI or WFE",
        0x07 => "access to SVE or floating point",
        0x0e => "illegal state",
        0x11 | 0x15 => "SVC",
        0x12 | 0x16 => "HVC",
        0x13 | 0x17 => "SMC",
        0x18 => "trapped system register",
        0x19 => "access to SVE",
        0x20 => "instruction abort, lower level",
        0x21 => "instruction abort",
        0x22 => "PC not aligned",
        0x24 => "data abort, lower level",
        0x25 => "data abort",
        0x26 => "SP not aligned",
        0x2c => "floating point exception",
        0x2f => "SError",
        0x30 | 0x31 => "breakpoint",
        0x32 | 0x33 => "software step",
        0x34 | 0x35 => "watchpoint",
        0x38 | 0x3c => "BKPT or BRK",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name(0x603000000013c080 & 0xffff), "SCTLR_EL1");
        assert_eq!(name(0xc000), "MIDR_EL1");
        assert_eq!(name(0x8004), "DBGBVR0_EL1");
        assert_eq!(name(0x803f), "DBGWCR7_EL1");
        assert_eq!(name(0xdf40), "PMEVCNTR0_EL0");
        assert_eq!(name(0xdf65), "PMEVTYPER5_EL0");
        assert_eq!(name(0xdf7f), "PMCCFILTR_EL0");
        assert_eq!(name(0xffff), "S3_7_C15_C15_7");
    }

    #[test]
    fn the_table_has_each_code_once() {
        let mut codes: Vec<u16> = NAMES.iter().map(|(c, _)| *c).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|w| w[0] != w[1]), "{:x?}", codes.windows(2).find(|w| w[0] == w[1]));
        for n in IMPORTANT {
            assert!(NAMES.iter().any(|(_, name)| name == n), "{n}");
        }
    }
}
