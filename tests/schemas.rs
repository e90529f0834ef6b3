//! Every JSON document that is printed follows its schema in `schemas/`, and so do the descriptions that QEMU wrote.

#![cfg(feature = "cli")]

#[path = "../src/os/linux/btf/made.rs"]
mod btf;
mod common;
#[path = "common/symbols.rs"]
mod made;
#[path = "common/types.rs"]
mod typed;

use std::fs;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
    let schema: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
    jsonschema::meta::validate(&schema).unwrap();
    schema
}

/// Compiles a schema; the test is stricter than the promise: what is not described must not be printed.
fn strict(name: &str) -> Validator {
    let mut schema = schema(name);
    close(&mut schema);
    jsonschema::validator_for(&schema).unwrap()
}

fn close(v: &mut Value) {
    match v {
        Value::Object(o) => {
            o.values_mut().for_each(close);
            if o.contains_key("properties") && o.get("type") == Some(&json!("object")) {
                o.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(a) => a.iter_mut().for_each(close),
        _ => {}
    }
}

fn must_follow(v: &Validator, document: &Value, what: &str) {
    if let Some(e) = v.iter_errors(document).next() {
        panic!("{what}: {e} at {} (schema {})", e.instance_path(), e.schema_path());
    }
}

/// Checks what a command prints for every fixture, and returns the documents.
fn every_fixture(name: &str, args: &[&str]) -> Vec<(String, Value)> {
    let v = strict(name);
    let scratch = common::scratch(&args.join(""));
    let documents: Vec<(String, Value)> = common::fixtures(&scratch)
        .iter()
        .map(|f| {
            let document: Value = serde_json::from_slice(&common::run(args, &f.stream, 0)).unwrap();
            must_follow(&v, &document, &format!("{} {}", args.join(" "), f.name));
            (f.name.clone(), document)
        })
        .collect();
    println!("{} documents follow {name}", documents.len());
    documents
}

#[test]
fn state() {
    let documents = every_fixture("output/state.schema.json", &["state", "--json"]);
    assert!(documents.iter().all(|(_, d)| d["complete"] == true));
}

#[test]
fn state_with_offsets_and_fields() {
    let v = strict("output/state.schema.json");
    let uno = common::fixture("avr-uno-11.1");
    let document: Value =
        serde_json::from_slice(&common::run(&["state", "--json", "--offsets", "--field", "env*"], &uno, 0)).unwrap();
    must_follow(&v, &document, "state --offsets --field");
    assert_eq!(document["devices"][0]["path"], "env.pc_w");
}

#[test]
fn a_line_of_jsonl_is_an_entry_of_devices() {
    let mut schema = schema("output/state.schema.json");
    close(&mut schema);
    let line = json!({ "$schema": schema["$schema"], "$ref": "#/$defs/node", "$defs": schema["$defs"] });
    let v = jsonschema::validator_for(&line).unwrap();
    let out = common::run(&["state", "--format", "jsonl", "--offsets"], &common::fixture("pc-11.1"), 0);
    let lines: Vec<Value> = String::from_utf8(out).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 31);
    lines.iter().for_each(|l| must_follow(&v, l, "jsonl"));
}

#[test]
fn info() {
    let documents = every_fixture("output/info.schema.json", &["info", "--json"]);
    assert!(documents.iter().all(|(_, d)| d["complete"] == true && d["ram"]["blocks"][0]["name"].is_string()));
}

#[test]
fn cpu() {
    let documents = every_fixture("output/cpu.schema.json", &["cpu", "--all", "--json"]);
    assert!(documents.iter().all(|(_, d)| d["complete"] == true && d["cpus"][0]["index"] == 0));
    let known = |d: &Value| d["cpus"][0]["groups"].as_array().is_some_and(|g| !g.is_empty());
    assert!(documents.iter().filter(|(_, d)| known(d)).count() >= 45);
}

#[test]
fn check() {
    let documents = every_fixture("output/check.schema.json", &["check", "--json"]);
    assert!(documents.iter().all(|(_, d)| d["ok"] == true));
}

#[test]
fn pci() {
    let documents = every_fixture("output/pci.schema.json", &["pci", "--json"]);
    let devices: usize = documents.iter().map(|(_, d)| d["devices"].as_array().unwrap().len()).sum();
    assert!(devices > 150, "only {devices} devices");
}

#[test]
fn virtio() {
    let documents = every_fixture("output/virtio.schema.json", &["virtio", "--json", "--rings"]);
    let devices: usize = documents.iter().map(|(_, d)| d["devices"].as_array().unwrap().len()).sum();
    assert!(devices > 40, "only {devices} devices");
}

#[test]
fn what_runs_in_a_guest() {
    let validator = strict("output/info-guest.schema.json");
    // with types, without them, and no Linux at all
    for (name, status, linux) in
        [("linux/x86_64-5.10.mig.zst", 0, true), ("linux/arm64-6.1.mig.zst", 0, true), ("pc-11.1.mig", 2, false)]
    {
        let out = common::savevm_analyze()
            .args(["info", "--guest", "--json"])
            .arg(common::testdata().join(name))
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(status), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        if linux {
            let document: Value = serde_json::from_slice(&out.stdout).unwrap();
            must_follow(&validator, &document, name);
            assert_eq!(document["system"], "Linux");
            assert_eq!(document["linux"]["host_name"], "truth-guest", "{name}");
            assert!(document["linux"]["threads"].as_u64().unwrap() > 90, "{name}: {document}");
        }
    }
}

#[test]
fn linux_sym() {
    let validator = strict("output/sym.schema.json");
    let file = common::scratch("sym").join("guest.mig");
    std::fs::write(&file, made::stream()).unwrap();
    for (args, status, symbols) in
        [(&[][..], 0, made::SYMBOLS.len()), (&["_end", "nothing", "0xffffffff81000044"], 1, 2)]
    {
        let out = common::savevm_analyze().args(["linux", "sym", "--json"]).arg(&file).args(args).output().unwrap();
        assert_eq!(out.status.code(), Some(status), "{}", String::from_utf8_lossy(&out.stderr));
        let document: Value = serde_json::from_slice(&out.stdout).unwrap();
        must_follow(&validator, &document, "linux sym");
        let own = document["symbols"].as_array().unwrap().iter().filter(|s| s["exported"] != true);
        assert_eq!(own.count(), symbols);
    }
}

/// What is said of real guests, and documents with a wrong type.
#[test]
fn linux() {
    let guests = ["x86_64-5.10", "arm64-6.1"];
    for (name, words, list, bad) in [
        ("linux-ps", &["ps", "--threads"][..], "tasks", &["tid", "state", "started_ns", "arguments"][..]),
        ("linux-lsmod", &["lsmod"], "modules", &["address", "bytes", "users", "state"]),
        ("linux-net", &["net"], "namespaces", &["inode", "address", "interfaces", "sockets"]),
        ("linux-files", &["files"], "processes", &["pid", "name", "cwd", "files"]),
        ("linux-mounts", &["files", "--mounts"], "namespaces", &["inode", "pid", "mounts"]),
        ("sym", &["sym"], "symbols", &["address", "name", "type"]),
        ("linux-bt", &["bt", "--all"], "stacks", &["frames", "end"]),
    ] {
        let (strict, open) =
            (strict(&format!("output/{name}.schema.json")), schema(&format!("output/{name}.schema.json")));
        let open = jsonschema::validator_for(&open).unwrap();
        for guest in guests {
            let file = common::testdata().join(format!("linux/{guest}.mig.zst"));
            let out = common::run(&[&["linux"], words, &["--json"]].concat(), &file, 0);
            let good: Value = serde_json::from_slice(&out).unwrap();
            must_follow(&strict, &good, &format!("{name} {guest}"));
            assert!(!good[list].as_array().unwrap().is_empty(), "{name} {guest}");
            for field in ["schema_version", "release", "complete", "diagnostics", list] {
                let mut bad = good.clone();
                bad[field] = json!({});
                assert!(!open.is_valid(&bad), "{name}: {field}");
            }
            for field in bad {
                let mut bad = good.clone();
                bad[list][0][field] = json!({});
                assert!(!open.is_valid(&bad), "{name}: {field} of {list}");
            }
        }
        let printed = common::savevm_analyze().args(["schema", name]).output().unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&printed.stdout).unwrap(),
            schema(&format!("output/{name}.schema.json"))
        );
    }
}

#[test]
fn linux_type_and_print() {
    let file = common::scratch("linux-types").join("guest.mig");
    std::fs::write(&file, typed::stream()).unwrap();
    let json = |command: &str, args: &[&str], status: i32| {
        let validator = strict(&format!("output/linux-{command}.schema.json"));
        let run = &mut common::savevm_analyze();
        let out = run.args(["linux", command, "--json"]).arg(&file).args(args).output().unwrap();
        assert_eq!(out.status.code(), Some(status), "{}", String::from_utf8_lossy(&out.stderr));
        let document: Value = serde_json::from_slice(&out.stdout).unwrap();
        must_follow(&validator, &document, command);
        document
    };
    let names = ["task_struct", "pid_t", "do_one", "state", "nowhere", "task_struct.whole", "task_struct+4", "none"];
    let types = json("type", &names, 1);
    assert_eq!((&types["types"][0]["size"], &types["not_found"][0]), (&json!(96), &json!("none")));
    assert_eq!(types["types"][5]["member"]["offset"], "0x50");
    assert_eq!(types["types"][6]["at"][1]["path"], "b");
    let list = "list(init_task.tasks, struct task_struct, tasks)";
    let pids = format!("{list}.parent.pid");
    let values =
        ["init_task", "&init_task", "this_task@cpu0", list, &pids, "unsigned long[3]@mystery", "nothing", "jiffies"];
    let values = json("print", &values, 1);
    let value = |n: usize| &values["expressions"][n]["values"][0];
    assert_eq!(
        (&value(0)["members"][2]["value"], &value(0)["members"][0]["enumerator"]),
        (&json!(-2), &json!("SLEEPING"))
    );
    assert_eq!((&value(1)["value"], &value(1)["symbol"]), (&json!("0xffffffff81008000"), &json!("init_task")));
    assert_eq!((&value(7)["value"], &value(4)["kind"]), (&json!("0x00000000ffff8ad0"), &json!("integer")));
    assert!(values["expressions"][6]["error"].as_str().unwrap().contains("no symbol nothing"));
}

#[test]
fn read_and_dmesg() {
    let (read, dmesg) = (strict("output/read.schema.json"), strict("output/dmesg.schema.json"));
    let json = |v: &Validator, args: &[&str], status: i32, what: &str| {
        let out = common::savevm_analyze().args(args).output().unwrap();
        assert_eq!(out.status.code(), Some(status), "{what}: {}", String::from_utf8_lossy(&out.stderr));
        let document: Value = serde_json::from_slice(&out.stdout).unwrap();
        must_follow(v, &document, what);
        document
    };
    for name in ["linux-6.1-x86_64", "linux-6.1-s390x", "linux-6.1-arm64"] {
        let file = common::testdata().join(format!("guests/{name}.mig.zst"));
        let file = file.to_str().unwrap();
        let d = json(&dmesg, &["dmesg", file, "--json"], 0, name);
        assert!(d["complete"] == true && d["records"].as_array().unwrap().len() > 100, "{name}");
        // not mapped, not in the stream, and both there and not
        for (args, status) in [
            (&["--virt", "0xff00000000000"][..], 2),
            (&["--phys", "0xfffffffff"], 2),
            (&["--phys", d["vmcoreinfo"]["address"].as_str().unwrap(), "-n", "1M"], 3),
        ] {
            let args = [&["read", file, "--json"], args].concat();
            let d = json(&read, &args, status, name);
            assert_eq!(d["complete"], false, "{args:?}");
        }
    }
    let d = json(&read, &["read", "pc-11.1.mig", "--phys", "0", "--json"], 0, "pc-11.1");
    assert_eq!(d["pieces"].as_array().unwrap().len(), 1);
    assert_eq!(d["pieces"][0]["bytes"].as_str().unwrap().len(), 512);
    must_fail(
        "output/read.schema.json",
        &["read", "--phys", "0", "--json"],
        &[
            ("/address", json!(0)),
            ("/pieces/0/bytes", json!("0g")),
            ("/pieces/0/length", json!(-1)),
            ("/complete", json!(1)),
        ],
    );
}

#[test]
fn report() {
    use savevm_analyze::findings::Severity;
    use savevm_analyze::render::report::json::ReportDocument;

    let v = strict("output/report.schema.json");
    let open = jsonschema::validator_for(&schema("output/report.schema.json")).unwrap();
    for r in [
        common::reports::diff(),
        common::reports::same(),
        common::reports::compat(),
        common::reports::compat_at_most(Severity::MayBreak),
        common::reports::compat_at_most(Severity::Harmless),
    ] {
        let good = serde_json::to_value(ReportDocument::new(&r)).unwrap();
        must_follow(&v, &good, r.question.name());
        for (pointer, value) in [
            ("/verdict", json!("fine")),
            ("/inputs", json!(["one"])),
            ("/complete", json!("yes")),
            ("/ignored", json!(-1)),
            ("/findings/0/verdict", json!("bad")),
            ("/findings/0/path", json!(null)),
            ("/findings/0/before", json!({ "text": "x", "offset": "0x1" })),
            ("/findings/0/before/offset", json!(12)),
            ("/accepted/0/reason", json!("")),
        ] {
            let mut bad = good.clone();
            let Some(place) = bad.pointer_mut(pointer) else { continue };
            *place = value.clone();
            assert!(!open.is_valid(&bad), "{value} at {pointer} was accepted");
        }
    }
}

#[test]
fn dump_state() {
    every_fixture("output/dump-state.schema.json", &["--dump", "state"]);
}

#[test]
fn the_descriptions_that_qemu_wrote() {
    let v = strict("vmdesc/description.schema.json");
    let mut described = 0;
    for f in common::fixtures(&common::scratch("descriptions")) {
        let info: Value = serde_json::from_slice(&common::run(&["info", "--json"], &f.stream, 0)).unwrap();
        if info["description"].is_null() {
            continue;
        }
        let document: Value = serde_json::from_slice(&common::run(&["--dump", "desc"], &f.stream, 0)).unwrap();
        must_follow(&v, &document, &f.name);
        described += 1;
    }
    println!("{described} descriptions follow their schema");
    assert!(described >= 54, "only {described} descriptions");
}

/// Replaces the value at a JSON pointer in a document that follows its schema, and expects that it no longer does.
fn must_fail(name: &str, args: &[&str], changes: &[(&str, Value)]) {
    // open, as a consumer uses it
    let v = jsonschema::validator_for(&schema(name)).unwrap();
    let good: Value = serde_json::from_slice(&common::run(args, &common::fixture("pc-11.1"), 0)).unwrap();
    must_follow(&v, &good, name);
    for (pointer, value) in changes {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap_or_else(|| panic!("{name}: no {pointer}")) = value.clone();
        assert!(!v.is_valid(&bad), "{name}: {value} at {pointer} was accepted");
    }
}

#[test]
fn documents_with_a_wrong_type_fail() {
    must_fail(
        "output/state.schema.json",
        &["state", "--json"],
        &[
            ("/schema_version", json!("1")),
            ("/machine", json!(7)),
            ("/devices", json!({})),
            ("/devices/0/name", json!(null)),
            ("/devices/0/fields/0", json!({ "name": "len" })),
            ("/devices/0/fields/0/value", json!(18_446_744_073_709_551_615_u64)),
            ("/devices/2/fields/1/hex", json!("0g")),
            ("/complete", json!("yes")),
            ("/diagnostics", json!([{ "severity": "error" }])),
        ],
    );
    must_fail(
        "output/info.schema.json",
        &["info", "--json"],
        &[
            ("/schema_version", json!(0)),
            ("/sections/0/offset", json!(27)),
            ("/sections/0/bytes", json!("0x1b")),
            ("/sections/0/facts", json!([])),
            ("/ram/blocks/0/bytes", json!(-1)),
            ("/ram/blocks/0/records/zero", json!(null)),
            ("/configuration/machine", json!(null)),
            ("/commands/0/payload", json!("1")),
        ],
    );
    must_fail(
        "output/cpu.schema.json",
        &["cpu", "--json"],
        &[
            ("/cpus/0/index", json!("0")),
            ("/cpus/0/groups", json!(null)),
            ("/cpus/0/groups/0/registers/0/value", json!(0x1_0000_0000_u64)),
            ("/cpus/0/groups/0/registers/0/name", json!(null)),
            ("/devices", json!({})),
        ],
    );
    must_fail(
        "output/check.schema.json",
        &["check", "--json"],
        &[
            ("/ok", json!(1)),
            ("/stream_bytes", json!("12")),
            ("/unaccounted", json!([{ "offset": "0x0", "bytes": 1 }])),
        ],
    );
    must_fail(
        "output/dump-state.schema.json",
        &["--dump", "state"],
        &[
            ("/ram (1)/section sizes/pc.ram", json!(1_048_576)),
            ("/timer (0)", json!("0x00")),
            ("/timer (0)/cpu_ticks_offset", json!(null)),
        ],
    );
    must_fail(
        "vmdesc/description.schema.json",
        &["--dump", "desc"],
        &[
            ("/page_size", json!("4096")),
            ("/devices/0", json!({ "name": "timer", "instance_id": 0, "fields": [] })),
            ("/devices/0/fields/0/size", json!(null)),
            ("/devices/0/fields/0/type", json!(32)),
            ("/devices/0/instance_id", json!(-1)),
        ],
    );
}
