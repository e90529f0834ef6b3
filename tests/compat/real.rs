//! The verdicts on real streams are what QEMU did with them.

use std::path::PathBuf;

use serde_json::Value;

use super::{Run, common, findings};

/// What QEMU did with a stream of `testdata/`.
enum Qemu {
    Loads,
    /// The words that name the reason, and the finding that must be there for it; none if the dump does not contain it.
    Fails(&'static str, &'static str),
}

/// Streams of `testdata/`, the version that was asked to load them (with the arguments of the recipe and the machine type of
/// the stream), and what it said. The versions are 5.2.0, 7.2.22, 10.0.13 and 11.1.3.
const TRUTH: &[(&str, &str, &str, Qemu)] = &[
    ("pc-5.2", "x86_64", "7.2", Qemu::Loads),
    ("pc-5.2", "x86_64", "10.0", Qemu::Loads),
    ("pc-5.2", "x86_64", "11.1", Qemu::Loads),
    ("q35-5.2", "x86_64", "7.2", Qemu::Loads),
    ("q35-5.2", "x86_64", "10.0", Qemu::Loads),
    ("q35-5.2", "x86_64", "11.1", Qemu::Loads),
    ("q35-7.2", "x86_64", "10.0", Qemu::Loads),
    ("q35-7.2", "x86_64", "11.1", Qemu::Loads),
    ("pc-10.0", "x86_64", "11.1", Qemu::Loads),
    ("pc-i440fx-2.3-5.2", "x86_64", "7.2", Qemu::Loads),
    ("microvm-7.2", "x86_64", "10.0", Qemu::Loads),
    ("microvm-7.2", "x86_64", "11.1", Qemu::Loads),
    ("microvm-11.1", "x86_64", "10.0", Qemu::Loads),
    ("s390x-5.2", "s390x", "7.2", Qemu::Loads),
    ("s390x-5.2", "s390x", "11.1", Qemu::Loads),
    ("s390x-7.2", "s390x", "11.1", Qemu::Loads),
    (
        "microvm-11.1",
        "x86_64",
        "7.2",
        Qemu::Fails("MIG_CMD 0xb unknown (len 0x0)", "command commands > SWITCHOVER_START"),
    ),
    (
        "arm-lm3s811evb-11.1",
        "arm",
        "5.2",
        Qemu::Fails("MIG_CMD 0xb unknown (len 0x0)", "command commands > SWITCHOVER_START"),
    ),
    (
        "arm-lm3s811evb-5.2",
        "arm",
        "11.1",
        Qemu::Fails(
            "armv7m_systick: incoming version_id 2 is too old for local minimum version_id 3",
            "version-too-old armv7m_systick",
        ),
    ),
    (
        "mips-malta-11.1",
        "mips",
        "7.2",
        Qemu::Fails("MIG_CMD 0xb unknown (len 0x0)", "command commands > SWITCHOVER_START"),
    ),
    (
        "riscv64-virt-7.2",
        "riscv64",
        "11.1",
        Qemu::Fails("cpu: incoming version_id 5 is too old for local minimum version_id 12", ""),
    ),
];

/// Where both streams are in `testdata/`: the same with the target's own stream, which shows more.
const TRUTH_OF_STREAMS: &[(&str, &str, Qemu)] = &[
    ("microvm-7.2", "microvm-11.1", Qemu::Loads),
    (
        "microvm-11.1",
        "microvm-7.2",
        Qemu::Fails("MIG_CMD 0xb unknown (len 0x0)", "command commands > SWITCHOVER_START"),
    ),
    (
        "avr-uno-5.2",
        "avr-uno-11.1",
        Qemu::Fails("Unknown combination of migration flags: 0x122", "target-page-size ram > page_size"),
    ),
    (
        "avr-uno-11.1",
        "avr-uno-5.2",
        Qemu::Fails("Unknown ramblock \"sram-as-io\"", "ram-block-unknown ram > sram-as-io"),
    ),
    (
        "riscv64-virt-11.1",
        "riscv64-virt-7.2",
        Qemu::Fails("Unknown ramblock \"/rom@etc/acpi/tables\"", "ram-block-unknown ram > /rom@etc/acpi/tables"),
    ),
    (
        "arm-lm3s811evb-11.1",
        "arm-lm3s811evb-5.2",
        Qemu::Fails("MIG_CMD 0xb unknown (len 0x0)", "command commands > SWITCHOVER_START"),
    ),
];

fn judged(what: &str, report: &Value, qemu: &Qemu) {
    match qemu {
        Qemu::Loads => assert_ne!(report["verdict"], "incompatible", "{what} loads: {report:#}"),
        Qemu::Fails(_, "") => {
            assert_ne!(report["verdict"], "compatible", "{what} fails, and nothing shows that it does not")
        }
        Qemu::Fails(words, finding) => {
            let found = findings(report);
            assert!(found.contains(&format!("breaks {finding}")), "{what}: QEMU says {words}, found {found:#?}");
        }
    }
}

fn dump(run: &Run, arch: &str, version: &str) -> PathBuf {
    let name = format!("{arch}-{version}.json");
    common::unpack(&common::testdata().join(format!("dumps/{name}.zst")), &run.0.join(name))
}

#[test]
fn what_qemu_said_of_real_streams_and_dumps() {
    let run = Run::new("truth");
    for (stream, arch, version, qemu) in TRUTH {
        let (stream, dump) = (common::fixture(stream), dump(&run, arch, version));
        let report = run.json(&[stream.to_str().unwrap(), dump.to_str().unwrap()]);
        judged(&format!("{} on {version}", stream.display()), &report, qemu);
    }
}

#[test]
fn what_qemu_said_of_real_streams() {
    let run = Run::new("truth-streams");
    for (saved, target, qemu) in TRUTH_OF_STREAMS {
        let report = run.json(&[common::fixture(saved).to_str().unwrap(), common::fixture(target).to_str().unwrap()]);
        judged(&format!("{saved} into {target}"), &report, qemu);
    }
}

/// QEMU 11.1 says `VQ 0 vring.num 1024 exceeds allocated max 256` of what 10.0 saved; 7.2 loads it.
#[test]
fn queues_that_10_0_saves_larger_than_they_are() {
    let run = Run::new("queues");
    let file = |name: &str| common::testdata().join(format!("same/q35-7.2-on-{name}.mig.zst")).display().to_string();
    let (saved, old, new) = (file("10.0"), file("7.2"), file("11.1"));
    let verdict = |args: &[&str]| {
        let report = run.json(args);
        let queues = report["findings"].as_array().unwrap().iter().filter(|f| f["rule"] == "virtio-queue-size").count();
        (report["verdict"].as_str().unwrap().to_owned(), queues)
    };
    assert_eq!(verdict(&[&saved, &new, "--to-version", "11.1"]), ("incompatible".to_owned(), 7));
    assert_eq!(verdict(&[&saved, &new]), ("may-break".to_owned(), 7), "10.0 would load it");
    assert_eq!(verdict(&[&saved, &old, "--to-version", "7.2"]), ("compatible".to_owned(), 0));
    assert_eq!(verdict(&[&new, &saved]).1, 0, "a smaller queue is harmless");
}

#[test]
fn queues_that_are_larger_than_the_device() {
    // QEMU 11.1: "VQ 0 vring.num 1024 exceeds allocated max 256"; the streams of 5.2 and 7.2 it loads
    let run = Run::new("queues-dump");
    let dump = dump(&run, "x86_64", "11.1");
    let own = common::fixture("q35-11.1");
    let found = |stream: &str, more: &[&str]| {
        let stream = common::fixture(stream);
        let mut all = run.findings(&[&[stream.to_str().unwrap(), dump.to_str().unwrap()], more].concat());
        all.retain(|f| f.contains("virtio-queue-size"));
        all
    };
    let severities =
        |found: &[String], severity: &str| !found.is_empty() && found.iter().all(|f| f.starts_with(severity));
    let with_stream = ["--target-stream", own.to_str().unwrap(), "--to-version", "11.1.3"];
    assert!(severities(&found("q35-10.0", &with_stream), "breaks "));
    // the target's stream is of a machine type that only 11.1 and later have
    assert!(severities(&found("q35-10.0", &with_stream[..2]), "breaks "), "without a version");
    assert!(severities(&found("q35-10.0", &with_stream[2..]), "may-break "), "without the sizes");
    assert!(found("q35-10.0", &["--to-version", "10.0.13"]).is_empty(), "10.0 loads its own stream");
    assert!(found("q35-5.2", &with_stream).is_empty() && found("q35-7.2", &with_stream).is_empty());
    assert!(found("pc-10.0", &[]).is_empty(), "no virtio device");
}
