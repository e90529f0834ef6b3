//! Guest memory: what is extracted is what the guest has.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::guest;
use crate::ours::{self, BINARY, arg};
use crate::qemu::{self, RAM, Vm};

fn nothing() -> Value {
    json!({})
}

/// A paused machine whose memory holds a pattern: full pages, pages with one byte, zero pages.
fn patterned(machine: &str) -> Option<Vm> {
    let vm = Vm::start(&qemu::find()?, machine, &guest::blank(), &["-S"]);
    for page in 0..RAM / 4096 {
        match page % 5 {
            0 => vm.poke(page * 4096, &[(page / 5) as u8; 4096]),
            1 => vm.poke(page * 4096 + page % 4096, &[1]),
            2 if page % 3 == 0 => {
                let text: Vec<u8> = (0..4096_u64).map(|i| (page * 31 + i * i) as u8).collect();
                vm.poke(page * 4096, &text);
            }
            _ => {}
        }
    }
    Some(vm)
}

#[test]
fn memory_from_a_file() {
    for machine in ["pc", "q35"] {
        let Some(mut vm) = patterned(machine) else { return };
        let state = vm.save("state.mig");
        ours::assert_same(&ours::extract(&state, &vm.path("out")), &vm.ram());
        // the flags of the script give the same
        let again = vm.path("again");
        ours::complete(&["-f", arg(&state), "--extract-ram", "--block", "pc.ram", "-o", arg(&again)]);
        ours::assert_same(&again.join("pc.ram"), &vm.ram());
    }
}

#[test]
fn memory_and_state_through_a_pipe_from_qemu() {
    let Some(mut vm) = patterned("pc") else { return };
    let (out, state) = (vm.path("out"), vm.path("state.json"));
    vm.migrate(&format!("exec:{BINARY} extract - -o {} --also-state {}", out.display(), state.display()));
    // QEMU is done when the last byte is in the pipe; the command may still be at work
    wait_for(&state);
    ours::assert_same(&out.join("pc.ram"), &vm.ram());
    let state: Value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
    assert!(state.as_object().unwrap().keys().any(|k| k.starts_with("cpu (")), "no CPU");
}

fn wait_for(path: &Path) {
    let begun = std::time::Instant::now();
    while !path.exists() {
        assert!(begun.elapsed().as_secs() < 60, "{} does not appear", path.display());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn memory_from_a_mapped_ram_file() {
    for capabilities in [&["mapped-ram"][..], &["mapped-ram", "multifd"]] {
        let Some(mut vm) = patterned("q35") else { return };
        if !vm.capabilities(capabilities) {
            assert!(vm.version < (9, 0), "QEMU {:?} has no {capabilities:?}", vm.version);
            return;
        }
        let state = vm.path("state.mig");
        vm.migrate(&format!("file:{}", state.display()));
        ours::assert_same(&ours::extract(&state, &vm.path("out")), &vm.ram());
        assert_eq!(ours::json(&["check", arg(&state), "--json"])["ok"], true);
    }
}

/// Saves a running guest until pages were sent several times; returns the state and what `query-migrate` says.
fn save_running(vm: &mut Vm, name: &str, rounds: u64) -> (std::path::PathBuf, Value) {
    let state = vm.path(name);
    let q = vm.migrate_for(&format!("exec:cat > {}", state.display()), rounds);
    (state, q)
}

/// Compares with the memory of the machine, and with that of a second one that loads the same state.
fn assert_loads_as_extracted(vm: &Vm, firmware: &[u8], state: &Path) {
    let image = ours::extract(state, &vm.path("out"));
    let mut second = Vm::start(&qemu::find().unwrap(), "pc", firmware, &["-S", "-incoming", "defer"]);
    second.qmp("migrate-incoming", json!({ "uri": format!("exec:cat {}", state.display()) }));
    second.wait_loaded();
    ours::assert_same(&image, &second.ram());
    ours::assert_same(&image, &vm.ram());
}

#[test]
fn pages_that_are_sent_again_and_pages_that_are_zero_again() {
    let Some(qemu) = qemu::find() else { return };
    let firmware = guest::toggling();
    let mut vm = Vm::start(&qemu, "pc", &firmware, &[]);
    let (state, _) = save_running(&mut vm, "state.mig", 6);
    let main = ours::main_memory(&state);
    assert!(main["sent_again"].as_u64().unwrap() > 0, "{main}");
    // more records of zeros than pages that were never anything else: some pages became zero again
    let zero = main["records"]["zero"].as_u64().unwrap();
    assert!(zero > RAM / 4096 - 128, "{main}");
    assert_loads_as_extracted(&vm, &firmware, &state);
}

#[test]
fn differences_to_pages_sent_before() {
    let Some(qemu) = qemu::find() else { return };
    let firmware = guest::incrementing();
    // whether a pass meets pages that are still in the cache is up to the clock: try again
    for attempt in 1..=4 {
        let mut vm = Vm::start(&qemu, "pc", &firmware, &[]);
        assert!(vm.capabilities(&["xbzrle"]));
        let (state, q) = save_running(&mut vm, "state.mig", 6 * attempt);
        let sent = q["xbzrle-cache"]["pages"].as_u64().unwrap();
        let main = ours::main_memory(&state);
        // some versions count pages too that turn out not to differ, and are not sent
        let found = main["records"]["xbzrle"].as_u64().unwrap();
        assert!(found <= sent, "{found} found: {q}");
        assert_loads_as_extracted(&vm, &firmware, &state);
        if found > 0 {
            return;
        }
    }
    panic!("no difference was sent in four attempts");
}

#[test]
fn a_snapshot_of_a_guest_that_goes_on() {
    let Some(qemu) = qemu::find() else { return };
    let mut vm = Vm::start(&qemu, "q35", &guest::incrementing(), &[]);
    std::thread::sleep(std::time::Duration::from_millis(200));
    let first = vm.save("first.mig");
    vm.qmp("cont", nothing());
    std::thread::sleep(std::time::Duration::from_millis(200));
    vm.qmp("stop", nothing());
    let second = vm.save("second.mig");
    for state in [&first, &second] {
        assert_eq!(ours::json(&["check", arg(state), "--json"])["ok"], true);
    }
    // the second one was of a stopped guest: exact on every version
    ours::assert_same(&ours::extract(&second, &vm.path("out")), &vm.ram());
    let before = ours::extract(&first, &vm.path("before"));
    assert!(!ours::differing_pages(&before, &vm.ram()).is_empty(), "the guest did not go on");
}

#[test]
fn a_background_snapshot() {
    let Some(qemu) = qemu::find() else { return };
    let mut vm = Vm::start_with(&qemu, "pc", &guest::incrementing(), &[], false);
    // needs a kernel that write-protects through userfaultfd, and the right to use it
    if !vm.capabilities(&["background-snapshot"]) {
        return;
    }
    let state = vm.save("state.mig");
    assert_eq!(ours::json(&["check", arg(&state), "--json"])["ok"], true);
    let image = ours::extract(&state, &vm.path("out"));
    assert_eq!(fs::metadata(image).unwrap().len(), RAM);
}

#[test]
fn physical_addresses_are_those_of_the_machine() {
    for (machine, args) in [("pc", &["-S"][..]), ("q35,max-ram-below-4g=8M", &["-S"])] {
        let Some(qemu) = qemu::find() else { return };
        let mut vm = Vm::start(&qemu, machine, &guest::blank(), args);
        for page in 0..RAM / 4096 {
            vm.poke(page * 4096, &page.to_le_bytes());
            vm.poke(page * 4096 + 8, &[0x5a; 16]);
        }
        let state = vm.save("state.mig");
        let ours = vm.path("phys.img");
        ours::complete(&["extract", arg(&state), "--format", "phys", "-o", arg(&ours)]);
        let image = fs::File::open(&ours).unwrap();
        // where RAM is: 8 MiB of the second machine lie above 4 GiB
        let low = if machine == "pc" { RAM } else { 8 << 20 };
        let mut ranges = vec![(0, 0xa0000), (0x10_0000, low)];
        if low < RAM {
            ranges.push((1 << 32, (1 << 32) + RAM - low));
        }
        for (from, to) in ranges {
            let dump = vm.path("pmemsave.bin");
            vm.qmp("pmemsave", json!({ "val": from, "size": to - from, "filename": arg(&dump) }));
            let want = fs::read(&dump).unwrap();
            assert!(want.iter().any(|b| *b != 0));
            let mut got = vec![0; want.len()];
            image.read_exact_at(&mut got, from).unwrap();
            assert!(got == want, "{machine}: physical memory from {from:#x} to {to:#x} differs");
            // a window of the image is that part of it
            let window = vm.path("window.bin");
            ours::complete(&[
                "extract",
                arg(&state),
                "--format",
                "phys",
                "--begin",
                &format!("{from:#x}"),
                "--length",
                &format!("{:#x}", to - from),
                "-o",
                arg(&window),
                "--force",
            ]);
            assert!(fs::read(&window).unwrap() == want, "{machine}: a window from {from:#x} differs");
        }
    }
}

#[test]
fn memory_that_was_left_out_is_not_made_up() {
    let Some(mut vm) = patterned("pc") else { return };
    assert!(vm.capabilities(&["x-ignore-shared"]));
    let state = vm.save("state.mig");
    let out = vm.path("out");
    let o = ours::run(&["extract", arg(&state), "-o", arg(&out)]);
    let said = String::from_utf8_lossy(&o.stderr);
    assert_eq!(o.status.code(), Some(0), "{said}");
    assert!(said.contains("pc.ram is not in the stream"), "{said}");
    assert!(!out.join("pc.ram").exists() && !out.join("pc.ram.partial").exists());
    assert!(out.join("pc.bios").exists());
}
