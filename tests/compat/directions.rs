//! The directions in which people ask: one binary with itself, a dump as what was saved, both ways round.

use serde_json::Value;

use super::{Run, common, findings};

/// The dumps of `testdata/dumps/`, and streams that the same binary saved. The others are cut to so few classes that they look
/// like those of an old QEMU, which does not write the lengths of arrays.
const SAME_BINARY: &[(&str, &[&str])] = &[
    ("x86_64-7.2", &["q35-7.2", "microvm-7.2"]),
    ("x86_64-10.0", &["q35-10.0", "pc-10.0"]),
    ("x86_64-11.1", &["q35-11.1", "microvm-11.1"]),
    ("s390x-7.2", &["s390x-7.2"]),
    ("s390x-11.1", &["s390x-11.1"]),
];

fn case(name: &str) -> String {
    common::testdata().join("cases").join(name).display().to_string()
}

fn verdict(report: &Value) -> &str {
    report["verdict"].as_str().unwrap()
}

#[test]
fn one_binary_loads_what_it_saves() {
    let run = Run::new("same-binary");
    let mut asked = 0;
    for (dump, streams) in SAME_BINARY {
        // the dump is packed
        let dump = common::testdata().join(format!("dumps/{dump}.json.zst")).display().to_string();
        let mut pairs: Vec<Vec<String>> = vec![vec![dump.clone(), dump.clone()]];
        for stream in *streams {
            let stream = common::fixture(stream).display().to_string();
            pairs.push(vec![dump.clone(), stream.clone()]);
            pairs.push(vec![stream.clone(), dump.clone()]);
            pairs.push(vec![stream.clone(), stream.clone()]);
            pairs.push(vec![stream.clone(), dump.clone(), "--target-stream".to_owned(), stream.clone()]);
        }
        for pair in pairs {
            for both in [&[][..], &["--both"]] {
                let args: Vec<&str> = pair.iter().map(String::as_str).chain(both.iter().copied()).collect();
                let report = run.json(&args);
                let breaks: Vec<String> = findings(&report).into_iter().filter(|f| f.starts_with("breaks")).collect();
                assert!(breaks.is_empty(), "{args:?}: {breaks:#?}");
                asked += 1;
            }
        }
    }
    assert!(asked > 50, "{asked}");
}

#[test]
fn what_a_dump_does_not_contain_is_not_a_break() {
    let run = Run::new("dump-cases");
    let found = |a: &str, b: &str| run.findings(&[&case(a), &case(b)]);
    // the size of a field on one side only is not known
    let (old, new) = ("bugs-02-dump-tail-old.json", "bugs-02-dump-tail-new.json");
    assert_eq!(found(old, new), ["may-break field-name blinker > lamps"]);
    assert_eq!(found(new, old), ["may-break field-name blinker > lamps"]);
    // a field that is younger than the version of its vmsd is neither saved nor loaded
    assert!(found("bugs-03-younger-field.json", "bugs-03-younger-field.json").is_empty());
    assert!(found("bugs-03b-two-subsections.json", "bugs-03b-two-subsections.json").is_empty());
    // no stream has a device that cannot be migrated
    let (old, new) = ("bugs-03c-unmigratable-old.json", "bugs-03c-unmigratable-new.json");
    assert!(found(old, new).is_empty());
    assert_eq!(found(new, old), ["may-break section-unknown blinker"]);
    // 7.2's isa-vga: QEMU 11.1 refuses it, and has this vmsd for a PCI device only
    let vga = found("bugs-04-isa-vga-7.2.mig.zst", "bugs-04-isa-vga-11.1.dump.json");
    assert!(vga.contains(&"breaks section-unknown vga".to_owned()), "{vga:?}");
}

#[test]
fn the_accelerator_is_no_break() {
    let run = Run::new("accelerators");
    let report = run.json(&[&case("bugs-05-accel-tcg.mig.zst"), &case("bugs-05-accel-kvm.mig.zst")]);
    assert_eq!(verdict(&report), "compatible", "QEMU loads it: {:?}", findings(&report));
}

/// QEMU 11.1 of a virtio-blk with four queues, given the state of one with a single queue: "get_pci_config_device: Bad config
/// data: i=0x9a read: 1 device: 4 cmask: ff wmask: 0 w1cmask:0".
#[test]
fn what_a_guest_cannot_change_of_a_pci_device_breaks() {
    let run = Run::new("pci-config");
    let found = |a: &str, b: &str| run.findings(&[&case(a), &case(b)]);
    let (one, four) = ("bugs-pci-queues-a.mig.zst", "bugs-pci-queues-b.mig.zst");
    for (a, b) in [(one, four), (four, one)] {
        let all = found(a, b);
        assert!(all.contains(&"breaks pci-config 0000:00:04.0/virtio-blk > config[0x9a]".to_owned()), "{all:?}");
    }
    // what is in the memory of the card is the card's alone
    let (a, b) = ("bugs-pci-ok-a.mig.zst", "bugs-pci-ok-b.mig.zst");
    assert_eq!((found(a, b), found(b, a)), (Vec::new(), Vec::new()));
    let driven = "bugs-pci-ok-driven-target.mig.zst";
    assert!(found(driven, driven).is_empty());
}

/// QEMU 10.0: "invalid parameter value: ", "error while loading state for instance 0x0 of device 'globalstate'".
#[test]
fn an_empty_run_state_breaks() {
    let run = Run::new("run-state");
    let file = case("bugs-06-globalstate-empty.mig.zst");
    assert_eq!(run.findings(&[&file, &file]), ["breaks run-state globalstate > runstate"]);
}

#[test]
fn a_state_of_devices_only_is_named() {
    let run = Run::new("devices-only");
    let (devices, whole) = (case("bugs-07-devices-only-11.1.mig.zst"), case("bugs-05-accel-tcg.mig.zst"));
    let all = run.findings(&[&devices, &whole]);
    assert!(all.contains(&"breaks devices-only stream".to_owned()), "{all:?}");
    assert!(!all.iter().any(|f| f.contains(" configuration ")), "{all:?}");
    // as the target it does not cover the configuration and the memory
    let all = run.findings(&[&whole, &devices]);
    assert!(!all.iter().any(|f| f.starts_with("breaks")), "{all:?}");
    // two of them can be compared with each other, and a dump does not load one either
    assert!(!run.findings(&[&devices, &devices]).iter().any(|f| f.starts_with("breaks")));
    let dump = common::testdata().join("dumps/x86_64-11.1.json.zst").display().to_string();
    assert!(run.findings(&[&devices, &dump]).contains(&"breaks devices-only stream".to_owned()));
    let out =
        common::savevm_analyze().args(["extract", &devices, "-o"]).arg(common::scratch("devices-only-out")).output();
    let out = out.unwrap();
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("no guest memory") && said.contains("xen-save-devices-state"), "{said}");
}

#[test]
fn what_may_break_fails_only_when_asked_to() {
    let run = |more: &[&str]| {
        let args = [case("bugs-02-dump-tail-old.json"), case("bugs-02-dump-tail-new.json")];
        let out = common::savevm_analyze().arg("compat").args(args).args(more).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
    };
    assert_eq!(run(&[]).0, 0);
    let (code, text) = run(&["--fail-on", "may-break"]);
    assert_eq!(code, 1);
    // the verdict is the first line and the last one
    assert!(text.lines().next().unwrap().starts_with("may break: 1 difference"), "{text}");
    assert_eq!(text.lines().next(), text.lines().last());
    assert!(run(&["--fail-on", "may-break", "--format", "junit"]).1.contains("failures=\"1\""));
    assert!(run(&["--format", "junit"]).1.contains("failures=\"0\""));
}

#[test]
fn nonsense_is_refused() {
    for (args, expected) in [
        (&["--machine", "pc q35"][..], "expected a machine type such as pc-q35-10.0"),
        (&["--machine", "--both"], "a value is required"),
        (&["--machine", ""], "a machine type such as pc-q35-10.0"),
        (&["--to-version", "1000"], "expected a version of QEMU such as 10.0"),
        (&["--to-version", "0.0"], "expected a version of QEMU such as 10.0"),
        (&["--from-version", "seven"], "expected a version"),
    ] {
        let file = case("bugs-03-younger-field.json");
        let out = common::savevm_analyze().args(["compat", &file, &file]).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

/// A machine type of 10.0 exists only in 10.0 and later, which know the command.
#[test]
fn the_machine_type_gives_the_oldest_version_of_the_target() {
    let run = Run::new("at-least");
    let stream = common::fixture("q35-11.1").display().to_string();
    let dump = common::testdata().join("dumps/x86_64-11.1.json.zst").display().to_string();
    let all = run.findings(&[&stream, &dump]);
    assert!(!all.iter().any(|f| f.contains(" command ")), "{all:?}");
}
