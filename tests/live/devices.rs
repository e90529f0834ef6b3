//! Devices: the whole state is understood, and says what the monitor says.

use serde_json::Value;

use crate::guest;
use crate::ours::{self, arg};
use crate::qemu::{self, Vm};

/// Devices of many kinds that every QEMU of the last years has. ROM files are left out: the test has no firmware.
const DEVICES: &str = "-smp 2
 -device virtio-net-pci,mac=52:54:00:12:34:56,romfile= -device virtio-rng-pci -device virtio-balloon-pci
 -device virtio-serial-pci,id=ser -chardev null,id=c0 -device virtserialport,bus=ser.0,chardev=c0,name=org.example.0
 -device virtio-scsi-pci,id=scsi -blockdev null-co,node-name=d0,size=1048576,read-zeroes=on -device scsi-hd,bus=scsi.0,drive=d0
 -device virtio-blk-pci,drive=d1 -blockdev null-co,node-name=d1,size=1048576,read-zeroes=on
 -device virtio-keyboard-pci -device e1000,romfile= -device rtl8139,romfile= -device e1000e,romfile=
 -device nec-usb-xhci,id=xhci -device usb-tablet,bus=xhci.0 -device piix3-usb-uhci -device intel-hda -device hda-output,audiodev=au
 -audiodev none,id=au -device lsi53c895a -device ich9-ahci -device i6300esb -device edu
 -device ipmi-bmc-sim,id=bmc -device isa-ipmi-kcs,bmc=bmc -device pvpanic";

/// A running guest, so that registers and devices are not all zero, with a device of every kind.
fn busy_machine(machine: &str) -> Option<Vm> {
    let qemu = qemu::find()?;
    let args: Vec<&str> = DEVICES.split_whitespace().collect();
    let mut vm = Vm::start(&qemu, machine, &guest::toggling(), &args);
    std::thread::sleep(std::time::Duration::from_millis(300));
    vm.qmp("stop", Value::Object(Default::default()));
    Some(vm)
}

#[test]
fn every_byte_of_a_state_is_understood() {
    for machine in ["pc", "q35"] {
        let Some(mut vm) = busy_machine(machine) else { return };
        let state = vm.save("state.mig");
        let state = arg(&state);
        let info = ours::json(&["info", state, "--json"]);
        let named = info["configuration"]["machine"].as_str().unwrap();
        assert!(named.starts_with(if machine == "pc" { "pc-i440fx-" } else { "pc-q35-" }), "{named}");
        assert_eq!(info["complete"], true);
        assert_eq!(info["stream"]["accounted_bytes"], info["stream"]["bytes"]);
        let check = ours::json(&["check", state, "--json"]);
        assert_eq!(check["ok"], true, "{check}");
        assert_eq!(check["covered_device_bytes"], check["device_bytes"]);
        assert!(check["device_sections"].as_u64().unwrap() > 40, "{}", check["device_sections"]);
        assert_eq!(check["undecoded"], Value::Array(Vec::new()));
        let dump = ours::json(&["-f", state, "--dump", "state"]);
        let devices = dump.as_object().unwrap();
        assert!(devices.len() > 40 && devices.keys().any(|k| k.contains("/virtio-blk")), "{:?}", devices.keys());
        let desc = ours::json(&["-f", state, "--dump", "desc"]);
        assert_eq!(desc["page_size"], 4096);
    }
}

/// Reads `NAME=HEX` or `NAME =HEX` out of what `info registers` prints for one CPU.
fn register(text: &str, names: &[&str]) -> u64 {
    for name in names {
        let hit = text.match_indices(name).find_map(|(i, _)| {
            let before = text[..i].chars().next_back().is_none_or(char::is_whitespace);
            let value = text[i + name.len()..].trim_start_matches(' ').strip_prefix('=')?;
            let hex: String = value.trim_start().chars().take_while(char::is_ascii_hexdigit).collect();
            before.then(|| u64::from_str_radix(&hex, 16).ok()).flatten()
        });
        if let Some(v) = hit {
            return v;
        }
    }
    panic!("no {names:?} in {text}");
}

/// Reads the words after a segment's name: selector, base, limit, flags.
fn segment(text: &str, name: &str) -> Vec<u64> {
    let line = text.lines().find(|l| l.starts_with(&format!("{name:<3}="))).unwrap();
    line[4..].split_whitespace().map_while(|w| u64::from_str_radix(w, 16).ok()).take(4).collect()
}

#[test]
fn registers_are_those_of_the_monitor() {
    let Some(mut vm) = busy_machine("q35") else { return };
    let state = vm.save("state.mig");
    let said = vm.hmp("info registers -a");
    let cpus: Vec<&str> = said.split("CPU#").skip(1).collect();
    let state = ours::json(&["state", arg(&state), "--device", "cpu", "--json"]);
    let ours = ours::devices(&state, "cpu");
    assert_eq!((cpus.len(), ours.len()), (2, 2));
    for (monitor, tree) in cpus.iter().zip(ours) {
        let field = |name: &str| ours::find(tree, name).unwrap_or_else(|| panic!("no {name}"));
        let regs = field("env.regs")["elements"].as_array().unwrap();
        let general = ["AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"];
        for (name, value) in general.iter().zip(regs) {
            let want = register(monitor, &[&format!("R{name}"), &format!("E{name}")]);
            assert_eq!(ours::number(value), want, "{name}: {monitor}");
        }
        for (names, ours) in [
            (["RIP", "EIP"], "env.eip"),
            (["RFL", "EFL"], "env.eflags"),
            (["CR0", "CR0"], "env.cr[0]"),
            (["CR2", "CR2"], "env.cr[2]"),
            (["CR3", "CR3"], "env.cr[3]"),
            (["CR4", "CR4"], "env.cr[4]"),
            (["EFER", "EFER"], "env.efer"),
        ] {
            assert_eq!(ours::number(field(ours)), register(monitor, &names), "{ours}: {monitor}");
        }
        for (i, name) in ["ES", "CS", "SS", "DS", "FS", "GS"].iter().enumerate() {
            let one = &field("env.segs")["elements"][i];
            let part = |p: &str| ours::number(ours::find(one, p).unwrap());
            let want = segment(monitor, name);
            assert_eq!([part("selector"), part("base"), part("limit")], want[..3], "{name}: {monitor}");
        }
        for (name, ours) in [("GDT", "env.gdt"), ("IDT", "env.idt")] {
            let part = |p: &str| ours::number(ours::find(field(ours), p).unwrap());
            assert_eq!([part("base"), part("limit")], segment(monitor, name)[..2], "{name}: {monitor}");
        }
    }
    // the CPU that runs the guest is in the guest's code
    let first = ours::devices(&state, "cpu")[0];
    assert!(ours::number(ours::find(first, "env.eip").unwrap()) < 64);
}

/// Collects the devices of `query-pci`, those below bridges too: bus, slot, function, and the answer.
fn pci_devices(bus: &Value, out: &mut Vec<(u64, u64, u64, Value)>) {
    for d in bus["devices"].as_array().into_iter().flatten() {
        let n = |k: &str| d[k].as_u64().unwrap();
        out.push((n("bus"), n("slot"), n("function"), d.clone()));
        pci_devices(&d["pci_bridge"], out);
    }
}

#[test]
fn configuration_space_is_that_of_query_pci() {
    for machine in ["pc", "q35"] {
        let Some(mut vm) = busy_machine(machine) else { return };
        let state = vm.save("state.mig");
        let mut listed = Vec::new();
        for bus in vm.qmp("query-pci", Value::Object(Default::default())).as_array().unwrap() {
            pci_devices(bus, &mut listed);
        }
        let state = ours::json(&["state", arg(&state), "--all", "--json"]);
        let mut compared = 0;
        for (bus, slot, function, said) in &listed {
            let path = format!("{bus:04x}:{bus:02x}:{slot:02x}.{function}/");
            let Some(tree) = state["devices"].as_array().unwrap().iter().find(|d| {
                let name = d["device"].as_str().unwrap();
                name.starts_with(&path) && has_config(d)
            }) else {
                continue;
            };
            let hex = config(tree).unwrap();
            let word = |at: usize| {
                u64::from_str_radix(&format!("{}{}", &hex[at * 2 + 2..at * 2 + 4], &hex[at * 2..at * 2 + 2]), 16)
                    .unwrap()
            };
            assert_eq!(word(0), said["id"]["vendor"].as_u64().unwrap(), "{path}");
            assert_eq!(word(2), said["id"]["device"].as_u64().unwrap(), "{path}");
            assert_eq!(word(0x0a), said["class_info"]["class"].as_u64().unwrap(), "{path}");
            if let Some(v) = said["id"]["subsystem-vendor"].as_u64() {
                assert_eq!(word(0x2c), v, "{path}");
            }
            compared += 1;
        }
        assert!(compared > 15, "{compared} of {} PCI devices compared", listed.len());
    }
}

fn has_config(d: &Value) -> bool {
    config(d).is_some_and(|c| c.len() >= 512)
}

/// The bytes of a device's configuration space in hexadecimal.
fn config(d: &Value) -> Option<&str> {
    ["config[0]", "config[1]"].iter().find_map(|n| ours::find(d, n)).and_then(|c| c["hex"].as_str())
}
