//! Coprocessor registers of 32-bit ARM, from the list of indexes and values in the section.
//!
//! An index has 0x40 in the top byte, bit 29 for the non-secure bank, then the coprocessor (bits 27:16), and CRn, CRm, opc1
//! and opc2 in 4, 4, 4 and 3 bits (`target/arm/cpregs.h`).

use super::fields::Fields;
use super::register::{Form, Group, Number};
use super::sysregs::{pairs, width};

/// Registers of coprocessor 15: CRn, opc1, CRm, opc2.
#[rustfmt::skip]
static CP15: &[(u64, u64, u64, u64, &str)] = &[
    (0, 0, 0, 0, "MIDR"), (0, 0, 0, 1, "CTR"), (0, 0, 0, 2, "TCMTR"), (0, 0, 0, 3, "TLBTR"), (0, 0, 0, 5, "MPIDR"),
    (0, 0, 0, 6, "REVIDR"), (0, 0, 1, 0, "ID_PFR0"), (0, 0, 1, 1, "ID_PFR1"), (0, 0, 1, 2, "ID_DFR0"),
    (0, 0, 1, 3, "ID_AFR0"), (0, 0, 1, 4, "ID_MMFR0"), (0, 0, 1, 5, "ID_MMFR1"), (0, 0, 1, 6, "ID_MMFR2"),
    (0, 0, 1, 7, "ID_MMFR3"), (0, 0, 2, 0, "ID_ISAR0"), (0, 0, 2, 1, "ID_ISAR1"), (0, 0, 2, 2, "ID_ISAR2"),
    (0, 0, 2, 3, "ID_ISAR3"), (0, 0, 2, 4, "ID_ISAR4"), (0, 0, 2, 5, "ID_ISAR5"), (0, 0, 2, 6, "ID_MMFR4"),
    (0, 0, 2, 7, "ID_ISAR6"), (0, 1, 0, 0, "CCSIDR"), (0, 1, 0, 1, "CLIDR"), (0, 1, 0, 7, "AIDR"), (0, 2, 0, 0, "CSSELR"),
    (0, 4, 0, 0, "VPIDR"), (0, 4, 0, 5, "VMPIDR"), (1, 0, 0, 0, "SCTLR"), (1, 0, 0, 1, "ACTLR"), (1, 0, 0, 2, "CPACR"),
    (1, 0, 0, 3, "ACTLR2"), (1, 0, 1, 0, "SCR"), (1, 0, 1, 1, "SDER"), (1, 0, 1, 2, "NSACR"), (1, 0, 3, 1, "SDCR"),
    (1, 4, 0, 0, "HSCTLR"), (1, 4, 0, 1, "HACTLR"), (1, 4, 1, 0, "HCR"), (1, 4, 1, 1, "HDCR"), (1, 4, 1, 2, "HCPTR"),
    (1, 4, 1, 3, "HSTR"), (1, 4, 1, 4, "HCR2"), (1, 4, 1, 7, "HACR"), (2, 0, 0, 0, "TTBR0"), (2, 0, 0, 1, "TTBR1"),
    (2, 0, 0, 2, "TTBCR"), (2, 0, 0, 3, "TTBCR2"), (2, 4, 0, 2, "HTCR"), (2, 4, 1, 2, "VTCR"), (3, 0, 0, 0, "DACR"),
    (5, 0, 0, 0, "DFSR"), (5, 0, 0, 1, "IFSR"), (5, 0, 1, 0, "ADFSR"), (5, 0, 1, 1, "AIFSR"), (5, 4, 2, 0, "HSR"),
    (6, 0, 0, 0, "DFAR"), (6, 0, 0, 2, "IFAR"), (6, 4, 0, 0, "HDFAR"), (6, 4, 0, 2, "HIFAR"), (6, 4, 0, 4, "HPFAR"),
    (7, 0, 4, 0, "PAR"), (9, 0, 12, 0, "PMCR"), (9, 0, 12, 1, "PMCNTENSET"), (9, 0, 12, 2, "PMCNTENCLR"),
    (9, 0, 12, 3, "PMOVSR"), (9, 0, 12, 5, "PMSELR"), (9, 0, 12, 6, "PMCEID0"), (9, 0, 12, 7, "PMCEID1"),
    (9, 0, 13, 0, "PMCCNTR"), (9, 0, 13, 1, "PMXEVTYPER"), (9, 0, 13, 2, "PMXEVCNTR"), (9, 0, 14, 0, "PMUSERENR"),
    (9, 0, 14, 1, "PMINTENSET"), (9, 0, 14, 2, "PMINTENCLR"), (9, 0, 14, 3, "PMOVSSET"), (9, 1, 0, 2, "L2CTLR"),
    (9, 1, 0, 3, "L2ECTLR"), (10, 0, 2, 0, "PRRR"), (10, 0, 2, 1, "NMRR"), (10, 0, 3, 0, "AMAIR0"), (10, 0, 3, 1, "AMAIR1"),
    (12, 0, 0, 0, "VBAR"), (12, 0, 0, 1, "MVBAR"), (12, 0, 0, 2, "RMR"), (12, 0, 1, 0, "ISR"), (12, 4, 0, 0, "HVBAR"),
    (13, 0, 0, 0, "FCSEIDR"), (13, 0, 0, 1, "CONTEXTIDR"), (13, 0, 0, 2, "TPIDRURW"), (13, 0, 0, 3, "TPIDRURO"),
    (13, 0, 0, 4, "TPIDRPRW"), (13, 4, 0, 2, "HTPIDR"), (14, 0, 0, 0, "CNTFRQ"), (14, 0, 1, 0, "CNTKCTL"),
    (14, 0, 2, 0, "CNTP_TVAL"), (14, 0, 2, 1, "CNTP_CTL"), (14, 0, 3, 0, "CNTV_TVAL"), (14, 0, 3, 1, "CNTV_CTL"),
    (14, 0, 15, 7, "PMCCFILTR"), (14, 4, 1, 0, "CNTHCTL"), (15, 4, 0, 0, "CBAR"),
];

/// Registers of 64 bits of coprocessor 15: CRm, opc1.
static CP15_WIDE: &[(u64, u64, &str)] = &[
    (2, 0, "TTBR0_64"),
    (2, 1, "TTBR1_64"),
    (2, 4, "HTTBR"),
    (2, 6, "VTTBR"),
    (7, 0, "PAR_64"),
    (9, 0, "PMCCNTR_64"),
    (14, 0, "CNTPCT"),
    (14, 1, "CNTVCT"),
    (14, 2, "CNTP_CVAL"),
    (14, 3, "CNTV_CVAL"),
    (14, 4, "CNTVOFF"),
    (14, 6, "CNTHP_CVAL"),
    (15, 0, "CPUMERRSR"),
    (15, 1, "L2MERRSR"),
];

/// Registers that are shown without `--all`.
static IMPORTANT: &[&str] = &[
    "MIDR",
    "MPIDR",
    "SCTLR",
    "ACTLR",
    "CPACR",
    "TTBR0",
    "TTBR1",
    "TTBCR",
    "DACR",
    "DFSR",
    "IFSR",
    "DFAR",
    "IFAR",
    "VBAR",
    "CONTEXTIDR",
    "TPIDRURW",
    "TPIDRURO",
    "TPIDRPRW",
    "PRRR",
    "NMRR",
    "CNTFRQ",
    "CNTKCTL",
    "SCR",
    "HCR",
];

pub fn groups(f: &Fields<'_>, shown: bool) -> Vec<Group> {
    let mut main = Group::new("coprocessor", "Coprocessor registers", Form::Grid);
    let mut rest = Group::new("coprocessor_more", "More coprocessor registers", Form::Grid).detail();
    main.detail = !shown;
    let list: Vec<(u64, Number)> = pairs(f).filter(|(i, _)| i >> 56 == 0x40).collect();
    for (index, value) in &list {
        let value = Some(Number::new(value.low(), width(*index)));
        let name = name(*index);
        // the bank is shown if there are two
        let twin = list.iter().any(|(i, _)| *i == index ^ (1 << 29));
        let important = IMPORTANT.contains(&name.as_str());
        let name = match (twin, index >> 29 & 1) {
            (true, 0) => format!("{name}_S"),
            (true, _) => format!("{name}_NS"),
            _ => name,
        };
        if important { main.add(name, value) } else { rest.add(name, value) }
    }
    vec![main, rest]
}

/// Returns a register by its name; where it has two banks, that of the non-secure world.
pub fn register(f: &Fields<'_>, wanted: &str) -> Option<u64> {
    let mut with_name = pairs(f).filter(|(i, _)| i >> 56 == 0x40 && name(*i) == wanted);
    let first = with_name.next()?;
    let non_secure = std::iter::once(first.clone()).chain(with_name).find(|(i, _)| i >> 29 & 1 == 1);
    Some(non_secure.unwrap_or(first).1.low())
}

/// Returns the name of a register, or its numbers: P15_0_C1_C0_0, and P15_0_C2 for one of 64 bits.
fn name(index: u64) -> String {
    let cp = index >> 16 & 0xfff;
    // bit 13 of the number marks a register of the non-secure bank
    let cp = cp & 0xf;
    let [crn, crm, opc1, opc2] = [index >> 11 & 15, index >> 7 & 15, index >> 3 & 15, index & 7];
    if width(index) == 64 {
        let known = CP15_WIDE.iter().find(|(m, o, _)| cp == 15 && [*m, *o] == [crm, opc1]);
        return known.map_or_else(|| format!("P{cp}_{opc1}_C{crm}"), |(_, _, n)| (*n).to_owned());
    }
    let known = CP15.iter().find(|(n, o, m, p, _)| cp == 15 && [*n, *o, *m, *p] == [crn, opc1, crm, opc2]);
    if let Some((.., n)) = known {
        return (*n).to_owned();
    }
    let debug = ["DBGBVR", "DBGBCR", "DBGWVR", "DBGWCR"].get(usize::try_from(opc2).unwrap_or(9) ^ 4);
    match debug {
        Some(stem) if [cp, crn, opc1] == [14, 0, 0] => format!("{stem}{crm}"),
        _ if [cp, crn, opc1] == [15, 6, 0] && (1..=4).contains(&crm) => format!("P15_0_C6_C{crm}_{opc2}"),
        _ => format!("P{cp}_{opc1}_C{crn}_C{crm}_{opc2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(name(0x4020_0000_200f_0800), "SCTLR");
        assert_eq!(name(0x4020_0000_000f_0010), "CSSELR");
        assert_eq!(name(0x4020_0000_200e_0085), "DBGBCR1");
        assert_eq!(name(0x4030_0000_200f_0380), "PAR_64");
        assert_eq!(name(0x4020_0000_200f_7fff), "P15_15_C15_C15_7");
    }
}
