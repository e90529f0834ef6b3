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

/// Runs a program; `None` if it is not installed.
fn tool(name: &str, args: &[&str]) -> Option<String> {
    let out = std::process::Command::new(name).args(args).output().ok()?;
    Some(format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

/// gdb and readelf, where they are installed, open a dump: two threads, their program counters as the monitor has them, and memory.
/// `tests/readers` has the readers that need a booted guest.
#[test]
fn debuggers_open_a_dump() {
    let Some(qemu) = qemu::find() else { return };
    let mut vm = Vm::start(&qemu, "pc", &guest::blank(), &["-S", "-smp", "2"]);
    vm.poke(0x10_0000, b"savevm-analyze");
    let monitor = vm.hmp("info registers -a");
    let counters: Vec<u64> = monitor
        .split("IP=")
        .skip(1)
        .map(|t| u64::from_str_radix(t.split_whitespace().next().unwrap(), 16).unwrap())
        .collect();
    assert_eq!(counters.len(), 2, "{monitor}");
    let state = vm.save("state.mig");
    let dump = vm.path("dump.elf");
    ours::complete(&["extract", arg(&state), "--format", "elf", "-q", "-o", arg(&dump)]);
    if let Some(text) = tool("readelf", &["-lnW", arg(&dump)]) {
        assert!(!text.contains("Warning") && !text.contains("Error"), "{text}");
        assert_eq!(text.matches("NT_PRSTATUS").count(), 2, "{text}");
    }
    let script = ["-ex", "info threads", "-ex", "thread apply all -ascending p/x $pc", "-ex", "x/s 0x100000"];
    let args = [&["-nx", "-batch", "-c", arg(&dump)][..], &script].concat();
    if let Some(text) = tool("gdb", &args) {
        for pc in counters {
            assert!(text.contains(&format!("= {pc:#x}\n")), "{pc:#x}: {text}");
        }
        assert!(text.contains("LWP 2") && text.contains("\"savevm-analyze\""), "{text}");
    }
}
