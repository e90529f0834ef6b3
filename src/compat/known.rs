//! What is known of QEMU's releases in addition to the inputs: subsections that all of them have, and marks of a version.

use super::side::{Side, StreamFacts};
use crate::findings::accepted::Version;
use crate::names::Command;
use crate::text::Name;

/// Subsections of vmsds that no dump has, which QEMU 5.2, 7.2, 10.0 and 11.1 all know and send only when they are needed, or
/// with one accelerator: their names are in all four binaries of x86_64, aarch64, ppc64, s390x or riscv64.
#[rustfmt::skip]
static KNOWN_SINCE_5_2: &[&str] = &[
    "cpu/altivec", "cpu/altivec/vscr", "cpu/async_pf_int_msr", "cpu/async_pf_msr", "cpu/async_pv_eoi_msr", "cpu/avx512",
    "cpu/bpbc", "cpu/compat", "cpu/diag318", "cpu/etoken", "cpu/exception_info", "cpu/exval", "cpu/fpop_ip_dp", "cpu/fpu",
    "cpu/gscb", "cpu/hyper", "cpu/intel_pt", "cpu/irq-line-state", "cpu/kvm_nested_state", "cpu/m-security",
    "cpu/m/csselr", "cpu/m/faultmask-primask", "cpu/m/fp", "cpu/m/other-sp", "cpu/m/scr", "cpu/m/v8m", "cpu/mcg_ext_ctl",
    "cpu/mpx", "cpu/msr_architectural_pmu", "cpu/msr_hyperv_crash", "cpu/msr_hyperv_hypercall",
    "cpu/msr_hyperv_reenlightenment", "cpu/msr_hyperv_runtime", "cpu/msr_hyperv_stimer", "cpu/msr_hyperv_synic",
    "cpu/msr_hyperv_time", "cpu/msr_hyperv_vapic", "cpu/msr_ia32_feature_control", "cpu/msr_ia32_misc_enable",
    "cpu/msr_smi_count", "cpu/msr_tsc_adjust", "cpu/msr_tscdeadline", "cpu/msr_tsx_ctrl", "cpu/nested_state", "cpu/pkru",
    "cpu/pmp", "cpu/pmsav7", "cpu/pmsav7-rnr", "cpu/pmsav8", "cpu/poll_control_msr", "cpu/riccb", "cpu/serror", "cpu/slb",
    "cpu/spec_ctrl", "cpu/sr", "cpu/steal_time_msr", "cpu/sve", "cpu/svn_npt", "cpu/thumb2ee", "cpu/tlb6xx",
    "cpu/tlbmas", "cpu/tm", "cpu/tsc_khz", "cpu/umwait", "cpu/vector", "cpu/vfp", "cpu/virt_ssbd", "cpu/vregs", "cpu/vsx",
    "cpu/xss", "cpu_common/crash_occurred", "cpu_common/exception_index", "ide_bus/error", "ide_drive/atapi/gesn_state",
    "ide_drive/pio_state", "ide_drive/tray_state", "kvmclock/clock_is_reliable", "ps2kbd/ledstate", "ps2kbd/need_high_bit",
    "spapr_cpu/vpa", "spapr_drc/physical", "spapr_drc/unplug_requested", "timer/icount",
];

/// Returns `true` if every QEMU since 5.2 knows a subsection.
pub fn is_old(name: &str) -> bool {
    name.starts_with("spapr/cap/") || KNOWN_SINCE_5_2.binary_search(&name).is_ok()
}

/// Structures that QEMU 5.2, 7.2, 10.0 and 11.1 have in arrays whose length the machine decides, and which are empty on many:
/// slots for memory, errors of PCI Express, interrupts of devices.
static ARRAYS: &[&str] = &["PCIE_AER_ERROR", "memory hotplug device state", "spapr_pci/msi"];

/// Returns whether a structure is known as the element of an array that may be empty.
pub fn is_array(vmsd: &Name) -> bool {
    ARRAYS.contains(&vmsd.exact())
}

/// Classes that came with QEMU 10.0, on every architecture.
static SINCE_10_0: &[&str] = &["uefi-vars-sysbus", "uefi-vars-x64", "vmclock"];

/// Returns the oldest version that the target can be: by the machine types, of which one with a version exists from that version
/// on (a target that does not have the saved machine type is refused for that), and by what else its files have.
pub fn target_at_least(saved: &Side, target: &Side) -> Option<Version> {
    let dump = target.dump.as_ref().and_then(|d| d.machine.as_ref());
    let stream = target.stream.as_ref().and_then(StreamFacts::machine);
    let all = [target.machine.as_ref(), stream, dump, saved.machine()];
    let marked = target.dump.as_ref().is_some_and(|d| SINCE_10_0.iter().any(|c| d.class(c).is_some()));
    let sent = target.stream.iter().flat_map(|s| &s.commands).any(|(c, _)| *c == Command::SWITCHOVER_START);
    let mark = (marked || sent).then_some(Version::new(10, 0));
    all.into_iter().flatten().filter_map(|m| machine_version(m.exact())).chain(mark).max()
}

/// Returns the version at the end of a machine type's name, such as 10.0 of `pc-q35-10.0`; not of those that distributions
/// make, which have numbers of their own.
fn machine_version(name: &str) -> Option<Version> {
    let (family, number) = name.rsplit_once('-')?;
    let of_qemu = ["pc-i440fx", "pc-q35", "virt", "pseries", "s390-ccw-virtio"].contains(&family);
    number.parse().ok().filter(|_| of_qemu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted() {
        assert!(KNOWN_SINCE_5_2.is_sorted());
    }

    #[test]
    fn a_machine_type_gives_the_version_that_it_came_with() {
        assert_eq!(machine_version("pc-q35-11.1"), Some(Version::new(11, 1)));
        assert_eq!(machine_version("s390-ccw-virtio-7.2"), Some(Version::new(7, 2)));
        for m in ["microvm", "q35", "lm3s811evb", "raspi3b", "isapc", "ast2500-evb", "pc-i440fx-rhel7.6.0"] {
            assert_eq!(machine_version(m), None, "{m}");
        }
    }
}
