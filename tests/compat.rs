//! `compat`: every kind of change, planted in one side of a small machine, is found and named; and what is reported for real
//! streams is what QEMU did with them.

#![cfg(feature = "cli")]

mod common;
#[path = "compat/directions.rs"]
mod directions;
#[path = "compat/hostile.rs"]
mod hostile;
#[path = "compat/real.rs"]
mod real;
#[path = "common/vm.rs"]
mod vm;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use vm::{Field, Section, Vm, field, vmsd};

/// The machine that changes are planted in.
fn machine() -> Vm {
    let mut status = vmsd("dev/status", 2, vec![field("status", 4), field("late", 4).since(2)]);
    status.minimum = 1;
    let inner = vmsd("dev/slot", 3, vec![field("base", 8), field("mask", 2)]);
    let mut dev = vmsd(
        "dev",
        3,
        vec![
            field("irq", 4),
            field("ctrl", 4),
            field("regs", 4).array(8),
            field("spare", 8),
            field("fifo", 1),
            Field::structure("slot", inner),
            field("tail", 2),
        ],
    );
    dev.minimum = 2;
    dev.subsections = vec![(status, true), (vmsd("dev/rare", 1, vec![field("rare", 4)]), false)];
    let run = [b"prelaunch".as_slice(), &[0; 91]].concat();
    let globalstate =
        vmsd("globalstate", 1, vec![field("size", 4).value(&[0, 0, 0, 10]), field("runstate", 100).value(&run)]);
    let mut clock = vmsd("clock", 4, vec![field("now", 8), field("step", 4)]);
    clock.minimum = 2;
    let section = |idstr, instance, vmsd, class| Section { idstr, instance, vmsd, class };
    Vm {
        machine: "pc-7.2",
        configuration: true,
        page_bits: None,
        capabilities: Vec::new(),
        uuid: None,
        footers: true,
        page_size: 4096,
        commands: Vec::new(),
        blocks: vec![("pc.ram", 1 << 20), ("/rom@etc/acpi/tables", 1 << 12)],
        sections: vec![
            section("timer", 0, vmsd("timer", 2, vec![field("ticks", 8)]), None),
            section("0000:00:02.0/dev", 0, dev.clone(), Some("dev-pci")),
            section("clock", 0, clock.clone(), Some("clock")),
            section("clock", 1, clock, Some("clock-2")),
            section("globalstate", 0, globalstate, None),
        ],
        classes: Vec::new(),
        counts: true,
    }
}

const DEV: &str = "0000:00:02.0/dev";

/// Runs the command in a directory of its own.
struct Run(PathBuf);

impl Run {
    fn new(name: &str) -> Self {
        Self(common::scratch(&format!("compat-{name}")))
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn output(&self, args: &[&str]) -> Output {
        common::savevm_analyze().arg("compat").args(args).current_dir(&self.0).output().unwrap()
    }

    /// Returns the report; panics unless its verdict and the exit status agree.
    fn json(&self, args: &[&str]) -> Value {
        let out = self.output(&[args, &["--json"]].concat());
        let said = String::from_utf8_lossy(&out.stderr);
        let report: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {said}"));
        let partial = report["complete"] == Value::Bool(false);
        let status = match report["verdict"].as_str().unwrap() {
            "incompatible" => 1,
            _ if partial => 3,
            _ => 0,
        };
        assert_eq!(out.status.code(), Some(status), "{args:?}: {report:#}");
        report
    }

    /// Returns the findings, each as its severity, its rule and its path.
    fn findings(&self, args: &[&str]) -> Vec<String> {
        findings(&self.json(args))
    }
}

fn findings(report: &Value) -> Vec<String> {
    let text = |f: &Value, key: &str| f[key].as_str().unwrap().to_owned();
    let all = report["findings"].as_array().unwrap();
    all.iter().map(|f| format!("{} {} {}", text(f, "verdict"), text(f, "rule"), text(f, "path"))).collect()
}

/// What a dump alone does not contain.
const UNCHECKED: &str = "may-break unchecked stream";

/// Plants a change, and compares what is found with the target's stream, with its dump, and with both.
fn planted(name: &str, plant: impl Fn(&mut Vm, &mut Vm), stream: &[&str], dump: &[&str], both: &[&str]) {
    let run = Run::new(name);
    let (mut saved, mut target) = (machine(), machine());
    plant(&mut saved, &mut target);
    run.file("saved.mig", saved.stream());
    run.file("target.mig", target.stream());
    run.file("target.json", target.dump());
    assert_eq!(run.findings(&["saved.mig", "target.mig"]), stream, "{name}, by the stream");
    let mut by_dump = run.findings(&["saved.mig", "target.json"]);
    let before = by_dump.len();
    by_dump.retain(|f| f != UNCHECKED);
    assert_eq!(by_dump.len() + 1, before, "{name}: a dump leaves something open");
    assert_eq!(by_dump, dump, "{name}, by the dump");
    let with_both = run.findings(&["saved.mig", "target.json", "--target-stream", "target.mig"]);
    assert_eq!(with_both, both, "{name}, by both");
}

macro_rules! planted {
    ($($name:ident: $plant:expr, stream $stream:expr, dump $dump:expr, both $both:expr;)+) => {
        $(#[test]
        fn $name() {
            let plant: fn(&mut Vm, &mut Vm) = $plant;
            planted(stringify!($name), plant, &$stream, &$dump, &$both);
        })+
    };
}

planted! {
    nothing: |_, _| {}, stream [], dump [], both [];

    // sections
    section_unknown: |_, t| drop(t.remove(DEV)),
        stream ["breaks section-unknown 0000:00:02.0/dev"], dump ["breaks section-unknown 0000:00:02.0/dev"],
        both ["breaks section-unknown 0000:00:02.0/dev"];
    section_that_only_the_binary_has: |_, t| { let s = t.remove(DEV); t.classes.push(("dev-pci", s.vmsd)); },
        stream ["breaks section-unknown 0000:00:02.0/dev"], dump [], both ["breaks section-unknown 0000:00:02.0/dev"];
    instance_unknown: |_, t| { let s = t.sections.remove(3); t.classes.push(("clock-2", s.vmsd)); },
        stream ["breaks section-unknown clock (1)"], dump [], both ["breaks section-unknown clock (1)"];
    instance_of_another_number: |s, _| s.sections[3].instance = 7,
        stream ["breaks section-unknown clock (7)", "harmless section-not-sent clock (1)"], dump [],
        both ["breaks section-unknown clock (7)", "harmless section-not-sent clock (1)"];
    section_not_sent: |s, _| drop(s.remove(DEV)),
        stream ["harmless section-not-sent 0000:00:02.0/dev"], dump [],
        both ["harmless section-not-sent 0000:00:02.0/dev"];
    audio_is_not_always_sent: |s, _| {
            let v = vmsd("audio", 1, vec![]);
            s.sections.insert(1, Section { idstr: "audio", instance: 0, vmsd: v, class: None });
        },
        stream ["may-break section-unknown audio"], dump [], both ["may-break section-unknown audio"];
    section_outside_of_dumps: |_, t| t.vmsd("timer").version = 3,
        stream ["may-break version-other timer"], dump [], both ["may-break version-other timer"];

    // versions
    version_too_new: |s, _| s.vmsd(DEV).version = 4,
        stream ["breaks version-too-new 0000:00:02.0/dev"], dump ["breaks version-too-new 0000:00:02.0/dev"],
        both ["breaks version-too-new 0000:00:02.0/dev"];
    version_too_old: |s, _| s.vmsd(DEV).version = 1,
        stream ["may-break version-other 0000:00:02.0/dev"], dump ["breaks version-too-old 0000:00:02.0/dev"],
        both ["breaks version-too-old 0000:00:02.0/dev"];
    version_that_is_still_read: |s, _| s.vmsd(DEV).version = 2,
        stream ["may-break version-other 0000:00:02.0/dev"], dump [], both [];
    version_without_its_new_field: |s, t| {
            s.vmsd(DEV).version = 2;
            t.vmsd(DEV).fields.push(field("fresh", 4).since(3));
        },
        stream ["may-break version-other 0000:00:02.0/dev", "may-break layout 0000:00:02.0/dev > fresh"], dump [], both [];
    version_with_a_field_that_came_too_early: |s, t| {
            s.vmsd(DEV).version = 2;
            t.vmsd(DEV).fields.push(field("fresh", 4).since(2));
        },
        stream ["may-break version-other 0000:00:02.0/dev", "may-break layout 0000:00:02.0/dev > fresh"],
        dump ["may-break layout 0000:00:02.0/dev > fresh"], both ["may-break layout 0000:00:02.0/dev > fresh"];
    nested_version_too_new: |s, _| s.vmsd(DEV).subsections[0].0.version = 3,
        stream ["breaks version-too-new 0000:00:02.0/dev > dev/status"],
        dump ["breaks version-too-new 0000:00:02.0/dev > dev/status"],
        both ["breaks version-too-new 0000:00:02.0/dev > dev/status"];
    nested_version_too_old: |s, t| {
            s.vmsd(DEV).subsections[0].0.version = 1;
            t.vmsd(DEV).subsections[0].0.minimum = 2;
        },
        stream ["may-break version-other 0000:00:02.0/dev > dev/status", "may-break layout 0000:00:02.0/dev > dev/status.late"],
        dump ["breaks version-too-old 0000:00:02.0/dev > dev/status"],
        both ["breaks version-too-old 0000:00:02.0/dev > dev/status"];

    // subsections
    subsection_unknown: |_, t| drop(t.vmsd(DEV).subsections.remove(0)),
        stream ["may-break subsection-unknown 0000:00:02.0/dev > dev/status"],
        dump ["breaks subsection-unknown 0000:00:02.0/dev > dev/status"],
        both ["breaks subsection-unknown 0000:00:02.0/dev > dev/status"];
    subsection_that_the_target_does_not_need: |_, t| t.vmsd(DEV).subsections[0].1 = false,
        stream ["may-break subsection-unknown 0000:00:02.0/dev > dev/status"], dump [], both [];
    subsection_of_a_guest_that_ran: |s, t| {
            s.vmsd("globalstate").field("runstate").value = b"running".to_vec();
            t.vmsd(DEV).subsections[0].1 = false;
        },
        stream ["may-break subsection-unknown 0000:00:02.0/dev > dev/status"], dump [], both [];
    subsection_of_a_vmsd_that_no_dump_has: |s, _| s.vmsd("timer").subsections.push((vmsd("timer/x", 1, vec![]), true)),
        stream ["breaks subsection-unknown timer > timer/x"], dump [], both ["breaks subsection-unknown timer > timer/x"];
    padding_of_another_length: |s, t| {
            *s.vmsd(DEV).field("spare") = Field { name: "unused", ..field("unused", 5).of("unused_buffer") };
            *t.vmsd(DEV).field("spare") = field("bits", 1).array(5);
        },
        stream ["harmless field-name 0000:00:02.0/dev > unused"], dump ["harmless field-name 0000:00:02.0/dev > unused"],
        both ["harmless field-name 0000:00:02.0/dev > unused"];
    padding_against_an_array_of_unknown_length: |s, t| {
            *s.vmsd(DEV).field("spare") = Field { name: "unused", ..field("unused", 5).of("unused_buffer") };
            *t.vmsd(DEV).field("spare") = field("bits", 1).array(5);
            t.counts = false;
        },
        stream ["harmless field-name 0000:00:02.0/dev > unused"], dump ["may-break layout 0000:00:02.0/dev > unused"], both [];
    devices_that_no_dump_has: |s, t| {
            let v = vmsd("eeprom", 1, vec![field("data", 2)]);
            let section = Section { idstr: "0000:00:03.0/eeprom", instance: 0, vmsd: v, class: None };
            s.sections.push(section.clone());
            t.sections.push(section);
        },
        stream [], dump [], both [];
    subsection_not_sent: |s, _| s.vmsd(DEV).subsections[0].1 = false,
        stream ["harmless subsection-not-sent 0000:00:02.0/dev > dev/status"], dump [], both [];
    subsection_of_another_layout: |s, _| s.vmsd(DEV).subsections[0].0.field("status").size = 8,
        stream ["breaks layout 0000:00:02.0/dev > dev/status.status"],
        dump ["breaks layout 0000:00:02.0/dev > dev/status.status"],
        both ["breaks layout 0000:00:02.0/dev > dev/status.status"];

    // fields
    field_of_another_width: |s, _| *s.vmsd(DEV).field("ctrl") = field("ctrl", 8),
        stream ["breaks layout 0000:00:02.0/dev > ctrl"], dump ["breaks layout 0000:00:02.0/dev > ctrl"],
        both ["breaks layout 0000:00:02.0/dev > ctrl"];
    field_of_another_sign: |s, _| s.vmsd(DEV).field("ctrl").ty = "int32", stream [], dump [], both [];
    field_added: |s, _| s.vmsd(DEV).fields.insert(1, field("more", 4)),
        stream ["breaks layout 0000:00:02.0/dev > more"], dump ["breaks layout 0000:00:02.0/dev > more"],
        both ["breaks layout 0000:00:02.0/dev > more"];
    field_removed: |s, _| drop(s.vmsd(DEV).fields.remove(1)),
        stream ["breaks layout 0000:00:02.0/dev > ctrl"],
        dump ["may-break layout 0000:00:02.0/dev > ctrl"],
        both ["breaks layout 0000:00:02.0/dev > ctrl"];
    field_with_a_condition: |s, t| {
            let at = s.vmsd(DEV).place("tail");
            s.vmsd(DEV).fields.insert(at, field("more", 4).when(true));
            t.vmsd(DEV).fields.insert(at, field("more", 4).when(true));
        },
        stream [], dump [], both [];
    field_with_a_condition_that_does_not_hold: |s, t| {
            let at = s.vmsd(DEV).place("tail");
            s.vmsd(DEV).fields.insert(at, field("more", 4).when(false));
            t.vmsd(DEV).fields.insert(at, field("more", 4).when(false));
        },
        stream [], dump [], both [];
    field_renamed: |s, _| s.vmsd(DEV).field("ctrl").name = "control",
        stream ["harmless field-name 0000:00:02.0/dev > control"], dump ["harmless field-name 0000:00:02.0/dev > control"],
        both ["harmless field-name 0000:00:02.0/dev > control"];
    field_split: |_, t| {
            let at = t.vmsd(DEV).place("ctrl");
            t.vmsd(DEV).fields.splice(at..=at, [field("ctrl_lo", 2), field("ctrl_hi", 2)]);
        },
        stream ["harmless field-name 0000:00:02.0/dev > ctrl"], dump ["harmless field-name 0000:00:02.0/dev > ctrl"],
        both ["harmless field-name 0000:00:02.0/dev > ctrl"];
    padding_in_place_of_a_field: |_, t| *t.vmsd(DEV).field("spare") = Field { name: "unused", ..field("unused", 8).of("unused_buffer") },
        stream ["harmless field-name 0000:00:02.0/dev > spare"], dump ["harmless field-name 0000:00:02.0/dev > spare"],
        both ["harmless field-name 0000:00:02.0/dev > spare"];
    array_of_another_length: |s, _| s.vmsd(DEV).field("regs").num = 16,
        stream ["breaks layout 0000:00:02.0/dev > regs"], dump ["breaks layout 0000:00:02.0/dev > regs"],
        both ["breaks layout 0000:00:02.0/dev > regs"];
    array_in_a_dump_without_lengths: |s, t| { s.vmsd(DEV).field("regs").num = 16; t.counts = false; },
        stream ["breaks layout 0000:00:02.0/dev > regs"], dump [], both ["breaks layout 0000:00:02.0/dev > regs"];
    field_inside_a_structure: |s, _| {
            let slot = s.vmsd(DEV).field("slot");
            slot.inner.as_mut().unwrap().fields[1] = field("mask", 4);
            slot.size = 12;
        },
        stream ["breaks layout 0000:00:02.0/dev > slot.mask"], dump ["breaks layout 0000:00:02.0/dev > slot.mask"],
        both ["breaks layout 0000:00:02.0/dev > slot.mask"];

    // memory
    ram_block_missing: |s, _| s.blocks.push(("vga.vram", 1 << 12)),
        stream ["breaks ram-block-unknown ram > vga.vram"], dump [], both ["breaks ram-block-unknown ram > vga.vram"];
    ram_block_of_another_size: |_, t| t.blocks[0].1 = 1 << 21,
        stream ["breaks ram-block-size ram > pc.ram"], dump [], both ["breaks ram-block-size ram > pc.ram"];
    ram_block_that_is_resized: |s, _| s.blocks[1].1 = 1 << 13,
        stream ["harmless ram-block-size ram > /rom@etc/acpi/tables"], dump [],
        both ["harmless ram-block-size ram > /rom@etc/acpi/tables"];
    ram_block_not_sent: |_, t| t.blocks.push(("vga.vram", 1 << 12)),
        stream ["harmless ram-block-not-sent ram > vga.vram"], dump [], both ["harmless ram-block-not-sent ram > vga.vram"];
    page_size: |_, t| t.page_size = 1024,
        stream ["breaks target-page-size ram > page_size"], dump [], both ["breaks target-page-size ram > page_size"];

    // the head
    machine_type: |_, t| t.machine = "pc-10.0",
        stream ["breaks machine-type configuration > machine"], dump [],
        both ["breaks machine-type configuration > machine"];
    capability: |s, _| s.capabilities.push("x-ignore-shared"),
        stream ["may-break configuration configuration > capabilities.x-ignore-shared"], dump [],
        both ["may-break configuration configuration > capabilities.x-ignore-shared"];
    page_bits: |s, t| { s.page_bits = Some(12); t.page_bits = Some(11); },
        stream ["breaks configuration configuration > target_page_bits"], dump [],
        both ["breaks configuration configuration > target_page_bits"];
    uuid: |s, t| { s.uuid = Some(1); t.uuid = Some(2); },
        stream ["may-break configuration configuration > uuid"], dump [], both ["may-break configuration configuration > uuid"];
    no_configuration: |s, _| s.configuration = false,
        stream ["breaks configuration configuration"], dump [], both ["breaks configuration configuration"];
    no_footers: |s, _| s.footers = false,
        stream ["breaks section-footers stream > footers"], dump [], both ["breaks section-footers stream > footers"];
    no_footers_on_the_target: |_, t| t.footers = false,
        stream ["breaks section-footers stream > footers"], dump [], both ["breaks section-footers stream > footers"];

    // commands
    command_that_nobody_knows: |s, _| s.commands.push(0x2a),
        stream ["may-break command commands > unknown (0x2a)"], dump ["may-break command commands > unknown (0x2a)"], both ["may-break command commands > unknown (0x2a)"];
    command_that_all_know: |s, _| s.commands.push(1), stream [], dump [], both [];
    switchover_start: |s, _| s.commands.push(0x0b),
        stream ["breaks command commands > SWITCHOVER_START"], dump ["may-break command commands > SWITCHOVER_START"],
        both ["breaks command commands > SWITCHOVER_START"];
    switchover_start_before_8_0: |s, t| { s.commands.push(0x0b); t.counts = false; },
        stream ["breaks command commands > SWITCHOVER_START"], dump ["breaks command commands > SWITCHOVER_START"],
        both ["breaks command commands > SWITCHOVER_START"];
    switchover_start_on_both_sides: |s, t| { s.commands.push(0x0b); t.commands.push(0x0b); },
        stream [], dump ["may-break command commands > SWITCHOVER_START"], both [];
}

/// Makes the files of a pair in a directory.
fn pair(name: &str, plant: impl Fn(&mut Vm, &mut Vm)) -> Run {
    let run = Run::new(name);
    let (mut saved, mut target) = (machine(), machine());
    plant(&mut saved, &mut target);
    for (side, vm) in [("saved", &saved), ("target", &target)] {
        run.file(&format!("{side}.mig"), vm.stream());
        run.file(&format!("{side}.json"), vm.dump());
    }
    run
}

#[test]
fn the_version_of_the_target_settles_a_command() {
    let run = pair("switchover", |s, _| s.commands.push(0x0b));
    let found = |version| {
        let mut all = run.findings(&["saved.mig", "target.json", "--to-version", version]);
        all.retain(|f| f != UNCHECKED);
        all
    };
    assert_eq!(found("9.2"), ["breaks command commands > SWITCHOVER_START"]);
    assert!(found("10.0").is_empty());
    assert!(found("11.1.3").is_empty());
}

#[test]
fn every_finding_says_what_both_sides_have_and_where() {
    let run = pair("sides", |s, _| s.vmsd(DEV).version = 4);
    let report = run.json(&["saved.mig", "target.mig"]);
    let f = &report["findings"][0];
    assert_eq!(f["message"], "the stream has version 4, the target reads up to 3");
    assert_eq!((&f["before"]["text"], &f["after"]["text"]), (&"version 4".into(), &"version 3".into()));
    assert!(f["before"]["offset"].is_string() || f["before"]["offset"].is_u64(), "{f:#}");
    assert_eq!(report["inputs"], serde_json::json!(["saved.mig", "target.mig"]));
}

/// A machine with an ARM processor's list of system registers.
fn arm(list: &[u64], values: &[u64], ty: &'static str) -> Vm {
    let bytes = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    let fields = vec![
        field("cpreg_vmstate_array_len", 4).of(ty).value(&(list.len() as u32).to_be_bytes()),
        field("cpreg_vmstate_indexes", 8).array(list.len()).value(&bytes(list)),
        field("cpreg_vmstate_values", 8).array(list.len()).value(&bytes(values)),
    ];
    let mut vm = machine();
    vm.sections.push(Section { idstr: "cpu", instance: 0, vmsd: vmsd("cpu", 22, fields), class: None });
    vm
}

#[test]
fn system_registers_of_arm() {
    const LIST: &str = "cpreg-list cpu > cpreg_vmstate_indexes";
    let found = |name: &str, saved: Vm, target: Vm| {
        let run = Run::new(&format!("arm-{name}"));
        run.file("saved.mig", saved.stream());
        run.file("target.mig", target.stream());
        run.findings(&["saved.mig", "target.mig"])
    };
    let le = "int32 le";
    assert!(found("same", arm(&[1, 2, 3], &[4, 5, 6], le), arm(&[1, 2, 3], &[7, 8, 9], le)).is_empty());
    let more = found("unknown", arm(&[1, 2, 3], &[4, 5, 6], le), arm(&[1, 2], &[4, 5], le));
    assert_eq!(more, [format!("breaks {LIST}")]);
    let unsent = found("constant", arm(&[1, 2], &[4, 5], le), arm(&[1, 2, 3], &[4, 5, 6], le));
    assert_eq!(unsent, [format!("breaks {LIST}")]);
    let zero = found("zero", arm(&[1, 2], &[4, 5], le), arm(&[1, 2, 3], &[4, 5, 0], le));
    assert_eq!(zero, [format!("harmless {LIST}")]);
    let recent = found("recent", arm(&[1, 2], &[4, 5], le), arm(&[1, 2, 3], &[4, 5, 0], "int32"));
    assert_eq!(recent, [format!("breaks {LIST}")]);
    let both = found("both", arm(&[1, 2, 9], &[4, 5, 6], le), arm(&[1, 2, 3, 4], &[4, 5, 6, 0], le));
    assert_eq!(both, [format!("breaks {LIST}"), format!("breaks {LIST}"), format!("harmless {LIST}")]);
}

#[test]
fn versions_of_ppc_processors() {
    let ppc = |pvr: u64| {
        let spr: Vec<u8> = (0..1024).flat_map(|i| if i == 287 { pvr } else { 0 }.to_be_bytes()).collect();
        let mut vm = machine();
        let fields = vec![field("env.spr", 8).array(1024).value(&spr)];
        vm.sections.push(Section { idstr: "cpu", instance: 0, vmsd: vmsd("cpu", 5, fields), class: None });
        vm
    };
    let found = |name: &str, a, b| {
        let run = Run::new(&format!("pvr-{name}"));
        run.file("saved.mig", ppc(a).stream());
        run.file("target.mig", ppc(b).stream());
        run.findings(&["saved.mig", "target.mig"])
    };
    assert!(found("same", 0x4e_1202, 0x4e_1202).is_empty());
    // POWER9 of 7.2 and of 10.0, which QEMU refuses; POWER10, which it takes
    assert_eq!(found("power9", 0x4e_1200, 0x4e_1202), ["breaks processor-version cpu > env.spr[287]"]);
    assert_eq!(found("power10", 0x80_0200, 0x80_1200), ["may-break processor-version cpu > env.spr[287]"]);
}

#[test]
fn features_of_virtio() {
    // a guest with a driver for its network card, and one that agreed on less
    let run = Run::new("virtio");
    let stream = common::unpacked(&common::testdata().join("driven/driven-11.1.mig.zst"));
    let saved = run.file("saved.mig", &stream);
    let args = ["state", saved.to_str().unwrap(), "--device", "*/virtio-net", "--json"];
    let state = common::savevm_analyze().args(args).output().unwrap().stdout;
    let state = String::from_utf8(state).unwrap();
    assert!(state.contains("\"64bit_features\"") || state.contains("64bit_features"), "the fixture has changed");
    // bit 5, a MAC address of the device's own, is in two places
    let old = [0, 0, 0, 5, 0, 1, 0, 0x20];
    let at: Vec<usize> = (0..stream.len() - 8).filter(|i| stream[*i..*i + 8] == old).collect();
    assert_eq!(at.len(), 1, "the features stand in one place as 64 bits");
    let mut less = stream.clone();
    less[at[0] + 7] = 0;
    run.file("target.mig", &less);
    let report = run.json(&["saved.mig", "target.mig"]);
    let found: Vec<String> = findings(&report);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("may-break virtio-features ") && found[0].contains("virtio-net > guest_features"),
        "{found:?}"
    );
    assert_eq!(report["findings"][0]["meaning"], serde_json::json!(["only in the stream: MAC"]));
    assert!(
        run.findings(&["target.mig", "saved.mig"]).is_empty(),
        "fewer features than the target's guest are harmless"
    );
}

#[test]
fn a_dump_that_is_cut_is_partial() {
    let run = pair("cut", |_, t| {
        t.classes.push(("last", vmsd("last", 1, vec![])));
    });
    let dump = machine().dump();
    let end = dump.find("  \"clock-2\"").unwrap();
    run.file("cut.json", &dump[..end + 20]);
    let report = run.json(&["saved.mig", "cut.json"]);
    assert_eq!((&report["complete"], &report["verdict"]), (&false.into(), &"may-break".into()));
    assert!(report["faults"][0].as_str().unwrap().starts_with("the dump ends too early"));
    // what is there is compared all the same, and what fails wins
    let worse = pair("cut-worse", |s, _| s.vmsd(DEV).version = 9);
    worse.file("cut.json", &dump[..end + 20]);
    let report = worse.json(&["saved.mig", "cut.json"]);
    assert_eq!((&report["complete"], &report["verdict"]), (&false.into(), &"incompatible".into()));
    // what it lacks is not taken for missing
    let lacking = pair("cut-lacking", |_, _| ());
    lacking.file("cut.json", &dump[..dump.find("  \"clock\"").unwrap() + 20]);
    assert!(lacking.findings(&["saved.mig", "cut.json"]).iter().all(|f| !f.contains("section-unknown")));
}

#[test]
fn a_stream_that_is_cut_is_partial() {
    let run = pair("short", |_, _| ());
    let whole = machine().stream();
    let end = whole.windows(11).position(|w| w == b"globalstate").unwrap();
    run.file("short.mig", &whole[..end]);
    let report = run.json(&["short.mig", "target.mig"]);
    assert_eq!(report["complete"], false);
}

#[test]
fn inputs_that_make_no_sense() {
    let run = pair("usage", |_, _| ());
    run.file("bad.json", "{\"a\": nonsense");
    run.file("other.json", "{\"a\": 1}");
    run.file("list.json", "[1, 2]");
    run.file("empty", "");
    let said = |args: &[&str]| {
        let out = run.output(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        assert!(out.stdout.is_empty(), "{args:?}");
        String::from_utf8(out.stderr).unwrap()
    };
    let dump_as_stream = said(&["saved.mig", "target.json", "--target-stream", "target.json"]);
    assert!(dump_as_stream.contains("--target-stream wants a saved state"), "{dump_as_stream}");
    let two_streams = said(&["saved.mig", "target.mig", "--target-stream", "target.mig"]);
    assert!(two_streams.contains("--target-stream target.mig goes with a dump"), "{two_streams}");
    assert!(said(&["saved.mig", "bad.json"]).contains("bad.json"));
    assert!(said(&["saved.mig", "other.json"]).contains("expected the output of -dump-vmstate"));
    said(&["saved.mig", "list.json"]);
    said(&["saved.mig", "empty"]);
    assert!(said(&["saved.mig", "nothing-here"]).contains("nothing-here"));
    said(&["saved.mig"]);
}

#[test]
fn standard_input_is_a_side() {
    let run = pair("stdin", |_, t| t.blocks[0].1 = 1 << 21);
    let out = common::run_piped(
        &["compat", "-", run.0.join("target.mig").to_str().unwrap(), "--json"],
        &run.0.join("saved.mig"),
        1,
    );
    assert_eq!(findings(&serde_json::from_slice(&out).unwrap()), ["breaks ram-block-size ram > pc.ram"]);
}

#[test]
fn both_directions() {
    let run = pair("both", |_, t| t.vmsd(DEV).version = 4);
    assert!(run.findings(&["saved.mig", "target.json"]).iter().all(|f| f == UNCHECKED));
    let found = run.findings(&["saved.mig", "target.mig", "--both"]);
    assert_eq!(found, ["may-break version-other 0000:00:02.0/dev", "breaks version-too-new 0000:00:02.0/dev"]);
    let text = String::from_utf8(run.output(&["saved.mig", "target.mig", "--both"]).stdout).unwrap();
    assert!(text.contains("the other way round"), "{text}");
}

#[test]
fn the_machine_that_the_target_is_started_with() {
    let run = pair("machine", |_, t| t.machine = "none");
    let found = |args: &[&str]| {
        let mut all = run.findings(&[&["saved.mig", "target.json"], args].concat());
        all.retain(|f| f != UNCHECKED);
        all
    };
    assert!(found(&[]).is_empty(), "a dump holds the whole binary");
    assert!(found(&["--machine", "pc-7.2"]).is_empty());
    assert_eq!(found(&["--machine", "pc-8.0"]), ["breaks machine-type configuration > machine"]);
}

#[test]
fn a_dump_against_a_dump() {
    let run = pair("dumps", |s, t| {
        s.vmsd("clock").version = 5;
        t.vmsd(DEV).subsections.remove(1);
        t.classes.push(("new", vmsd("new", 1, vec![])));
        s.classes.push(("old", vmsd("old", 1, vec![])));
    });
    let found = run.findings(&["saved.json", "target.json"]);
    assert_eq!(
        found,
        [
            "may-break subsection-unknown dev-pci > dev/rare",
            "breaks version-too-new clock",
            "may-break section-unknown old"
        ]
    );
    let same = pair("dumps-same", |_, _| ());
    assert!(same.findings(&["saved.json", "target.json"]).is_empty());
}

#[test]
fn a_dump_against_a_stream() {
    let run = pair("dump-stream", |s, _| s.vmsd(DEV).version = 4);
    assert_eq!(run.findings(&["saved.json", "target.mig"]), ["breaks version-too-new 0000:00:02.0/dev"]);
    // what the machine need not send may be unknown
    let same = pair("dump-stream-same", |_, _| ());
    let rare = ["may-break subsection-unknown 0000:00:02.0/dev > dev/rare"];
    assert_eq!(same.findings(&["saved.json", "target.mig"]), rare);
}

#[test]
fn a_stream_fits_itself() {
    let scratch = common::scratch("compat-self");
    let mut files: Vec<PathBuf> = common::fixtures(&scratch).into_iter().map(|f| f.stream).collect();
    files.push(common::testdata().join("savevm-11.1.qcow2"));
    for file in &files {
        let file = file.to_str().unwrap();
        let out = common::savevm_analyze().args(["compat", file, file, "--json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{file}: {e}"));
        // without a description, the content of the sections is not compared
        let found: Vec<String> = findings(&report).into_iter().filter(|f| f != UNCHECKED).collect();
        assert_eq!((out.status.code(), found), (Some(0), Vec::new()), "{file}: {report:#}");
    }
}
