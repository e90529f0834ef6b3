//! Core dumps: what QEMU itself dumps of the paused machine.

use std::fs;

use serde_json::json;

use crate::guest;
use crate::ours::{self, arg};
use crate::qemu::{self, Vm};

/// Compares an ELF file in QEMU's layout with QEMU's own, byte for byte, before and after the firmware has run.
#[test]
fn an_elf_file_is_that_of_qemu() {
    let Some(qemu) = qemu::find() else { return };
    for (machine, args) in [
        ("pc", &["-S", "-smp", "2", "-device", "VGA,romfile="][..]),
        ("q35", &["-S", "-cpu", "max"]),
        ("pc", &["-smp", "2"]),
    ] {
        let mut vm = Vm::start(&qemu, machine, &guest::blank(), args);
        if args[0] != "-S" {
            std::thread::sleep(std::time::Duration::from_millis(300));
            vm.qmp("stop", json!({}));
        }
        vm.poke(0x10_0000, b"savevm-analyze");
        let state = vm.save("state.mig");
        let theirs = vm.path("qemu.elf");
        let protocol = format!("file:{}", theirs.display());
        vm.qmp("dump-guest-memory", json!({ "paging": false, "protocol": protocol }));
        let layout = if vm.version < (7, 0) { "qemu-5.2" } else { "qemu" };
        let dump = vm.path("ours.elf");
        ours::complete(&["extract", arg(&state), "--format", "elf", "--layout", layout, "-q", "-o", arg(&dump)]);
        let (a, b) = (fs::read(&dump).unwrap(), fs::read(&theirs).unwrap());
        assert_eq!(a.len(), b.len(), "{machine} {args:?}");
        let differ = (0..a.len()).find(|i| a[*i] != b[*i]);
        assert_eq!(differ, None, "{machine} {args:?}: the first byte that differs");
    }
}
