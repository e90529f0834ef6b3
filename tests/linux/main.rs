//! Linux guests in `testdata/linux/`: what `linux` and `dmesg` say of them against what the guests said of themselves.

#[path = "../common/mod.rs"]
mod common;
mod cut;
mod liars;
#[path = "../props/linux.rs"]
mod props;
mod stale;
mod truth;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use truth::{Rows, Truth, grows, unescaped};

const GUESTS: [&str; 3] = ["x86_64-5.10", "x86_64-6.12", "arm64-6.1"];

fn file(name: &str, end: &str) -> PathBuf {
    common::testdata().join("linux").join(format!("{name}.{end}"))
}

fn truth(name: &str) -> Truth {
    Truth::read(&std::fs::read(file(name, "truth.txt.zst")).unwrap())
}

/// Asks a question, which must have a whole answer.
fn answer(words: &[&str], name: &str) -> Value {
    let out = common::run(&[words, &["--json"]].concat(), &file(name, "mig.zst"), 0);
    let document: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(document["complete"], true, "{name}: {}", document["diagnostics"]);
    document
}

fn list<'a>(v: &'a Value, key: &str) -> &'a [Value] {
    v[key].as_array().unwrap_or_else(|| panic!("no list {key}"))
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or_default()
}

fn words(v: &Value) -> Vec<&str> {
    v.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn sorted(v: &Value) -> Vec<&str> {
    let mut out = words(v);
    out.sort_unstable();
    out
}

/// Compares tables. Rows of ours that `stray` accepts may be there in addition.
fn same(what: &str, truth: &Rows, ours: &Rows, stray: impl Fn(&str, &str) -> bool) {
    assert!(!truth.is_empty(), "{what}");
    let mut differ = Vec::new();
    for (key, row) in truth {
        match ours.get(key) {
            Some(r) if r.trim_end() == row.trim_end() => {}
            r => differ.push(format!("{key}: the guest says {row:?}, we say {r:?}")),
        }
    }
    let more = ours.iter().filter(|(k, r)| !truth.contains_key(*k) && !stray(k, r));
    differ.extend(more.map(|(k, r)| format!("{k} is not in the guest: {r}")));
    assert!(differ.is_empty(), "{what}: {} of {} rows differ:\n{}", differ.len(), truth.len(), differ.join("\n"));
    println!("{what}: {} rows", truth.len());
}

#[test]
fn processes_and_threads() {
    for name in GUESTS {
        let document = answer(&["linux", "ps", "--threads"], name);
        let row = |t: &Value| {
            let kernel = t["kernel_thread"] == true;
            let state = if kernel || t["name"] == "tail" { "" } else { text(t, "state") };
            let arguments = match &t["arguments"] {
                a if !a.is_null() && t["pid"] == t["tid"] => format!("{:?}", words(a)),
                _ => String::new(),
            };
            let ticks = t["started_ns"].as_u64().unwrap() / 10_000_000;
            let (pid, parent, uid) = (&t["pid"], &t["parent"], &t["uid"]);
            let row =
                format!("{pid} {parent} {uid} {:?} {kernel} {state} started {ticks} {arguments}", text(t, "name"));
            (t["tid"].to_string(), row)
        };
        let tasks = list(&document, "tasks").iter().filter(|t| !text(t, "name").starts_with("kworker/"));
        same(&format!("{name} ps"), &truth(name).ps(), &tasks.map(row).collect(), |_, _| false);
        // without threads, processes alone
        let fewer = answer(&["linux", "ps"], name);
        let processes = list(&document, "tasks").iter().filter(|t| t["pid"] == t["tid"]);
        assert!(processes.eq(list(&fewer, "tasks")), "{name}");
    }
}

#[test]
fn modules() {
    for name in GUESTS {
        let document = answer(&["linux", "lsmod"], name);
        let row = |m: &Value| {
            let base = u64::from_str_radix(&text(m, "base")[2..], 16).unwrap();
            let row = format!(
                "{} {} {:?} {} {base:#018x}",
                m["bytes"],
                m["references"],
                sorted(&m["users"]),
                text(m, "state")
            );
            (text(m, "name").to_owned(), row)
        };
        same(
            &format!("{name} lsmod"),
            &truth(name).lsmod(),
            &list(&document, "modules").iter().map(row).collect(),
            |_, _| false,
        );
    }
}

#[test]
fn interfaces() {
    for name in GUESTS {
        let (truth, document) = (truth(name).interfaces(), answer(&["linux", "net"], name));
        let mut ours = Rows::new();
        for n in list(&document, "namespaces") {
            for i in list(n, "interfaces") {
                let mut addresses: Vec<String> =
                    list(i, "addresses").iter().map(|a| format!("{}/{}", text(a, "address"), a["prefix"])).collect();
                addresses.sort();
                let flags = u64::from_str_radix(&text(i, "flags")[2..], 16).unwrap();
                let (up, mac) = (flags & 1 != 0, text(i, "hardware_address"));
                let row = format!("{}: up={up} {} {mac} {addresses:?}", i["index"], i["mtu"]);
                let key = format!("{} {}", n["inode"], text(i, "name"));
                // of some the guest gave but the name
                let named = truth.get(&key).is_some_and(String::is_empty);
                ours.insert(key, if named { String::new() } else { row });
            }
        }
        same(&format!("{name} interfaces"), &truth, &ours, |_, _| false);
    }
}

#[test]
fn sockets() {
    for name in GUESTS {
        let (truth, document) = (truth(name).sockets(), answer(&["linux", "net"], name));
        let mut ours = Rows::new();
        for n in list(&document, "namespaces") {
            for s in list(n, "sockets") {
                let (protocol, state) = (text(s, "protocol"), text(s, "state"));
                let mut owners: Vec<(u64, u64)> =
                    list(s, "owners").iter().map(|o| (o["pid"].as_u64().unwrap(), o["fd"].as_u64().unwrap())).collect();
                owners.sort_unstable();
                let (local, inode) = (text(s, "local"), &s["inode"]);
                let (key, row) = match protocol {
                    "unix" => (
                        format!("{} unix {local} {inode}", n["inode"]),
                        format!("{} {state} {owners:?}", text(s, "type")),
                    ),
                    "netlink" | "packet" => continue,
                    p => {
                        let queues = format!("{} {}", s["receive_queue"], s["send_queue"]);
                        let queues = if p.starts_with("tcp") && state != "listening" { queues } else { String::new() };
                        (
                            format!("{} {p} {local} {} {inode}", n["inode"], text(s, "peer")),
                            format!("{state} {} {queues} {owners:?}", s["uid"]),
                        )
                    }
                };
                ours.insert(key, row);
            }
        }
        // a socket that is not bound is in no table of the kernel, but a process has it open
        same(&format!("{name} sockets"), &truth, &ours, |_, row| !row.ends_with("[]"));
    }
}

#[test]
fn open_files() {
    for name in GUESTS {
        let document = answer(&["linux", "files"], name);
        let mut ours = Rows::new();
        let truth = truth(name).files();
        for p in list(&document, "processes") {
            for place in ["cwd", "root", "exe"] {
                ours.extend(p[place].as_str().map(|l| (format!("{} {place}", p["pid"]), l.to_owned())));
            }
            for f in list(p, "files") {
                let path = text(f, "path");
                let position = if grows(path) { String::new() } else { f["position"].to_string() };
                let key = format!("{} {}", p["pid"], f["fd"]);
                // of some the guest gave no inode, of some no mount
                let told = truth.get(&key).map_or("", String::as_str);
                let inode = if told.contains(" inode  at ") { String::new() } else { f["inode"].to_string() };
                let mount = if told.ends_with("mount ") { String::new() } else { f["mount"].to_string() };
                let flags = u64::from_str_radix(text(f, "flags"), 8).unwrap() & !0o2_000_000;
                ours.insert(key, format!("{path} inode {inode} at {position} flags {flags:o} mount {mount}"));
            }
        }
        same(&format!("{name} files"), &truth, &ours, |_, _| false);
    }
}

#[test]
fn mounts() {
    for name in GUESTS {
        let document = answer(&["linux", "files", "--mounts"], name);
        let mut ours = Rows::new();
        for n in list(&document, "namespaces") {
            for m in list(n, "mounts") {
                let row = format!(
                    "in {} {} {} on {} {} {} {} {:?}",
                    m["parent"],
                    text(m, "device"),
                    text(m, "root"),
                    text(m, "target"),
                    text(m, "type"),
                    text(m, "source"),
                    m["read_only"],
                    sorted(&m["options"])
                );
                ours.insert(format!("{} {}", n["inode"], m["id"]), row);
            }
        }
        // the mount below the root of all processes is not in mountinfo
        same(&format!("{name} mounts"), &truth(name).mounts(), &ours, |_, row| row.contains(" on / rootfs "));
    }
}

/// `/proc/TID/stack` begins below the functions of the scheduler, in the section `.sched.text`: those are on top of ours.
#[test]
fn stacks() {
    for name in GUESTS {
        let all = truth(name);
        let (truth, document) = (all.stacks(), answer(&["linux", "bt", "--all"], name));
        // a zombie has no stack any more, though its old one may still be in memory
        for zombie in all.zombies() {
            assert!(list(&document, "stacks").iter().all(|s| s["tid"] != zombie), "{name}: {zombie}");
        }
        let zombie = all.zombies().pop().unwrap().to_string();
        let one = answer(&["linux", "bt", "--task", &zombie], name);
        let stack = &list(&one, "stacks")[0];
        assert!(text(stack, "end") == "gone" && list(stack, "frames").is_empty(), "{name}: {stack}");
        let mut ours: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for s in list(&document, "stacks").iter().filter(|s| s["cpu"].is_null()) {
            let frame = |f: &Value| {
                let module = f["module"].as_str().map_or_else(String::new, |m| format!(" [{m}]"));
                format!("{}+{}{module}", text(f, "symbol"), text(f, "offset"))
            };
            ours.insert(s["tid"].as_u64().unwrap(), list(s, "frames").iter().map(frame).collect());
        }
        assert!(truth.len() > 50, "{name}: {} stacks", truth.len());
        for (tid, frames) in &truth {
            let own = &ours[tid];
            let more = own.len().checked_sub(frames.len()).unwrap_or_else(|| panic!("{name}: {tid}: {own:?}"));
            assert_eq!(own[more..], frames[..], "{name}: thread {tid}");
            for f in &own[..more] {
                let function = f.split('+').next().unwrap();
                let scheduler = SCHEDULER.iter().any(|s| function.contains(s));
                assert!(scheduler, "{name}: thread {tid}: {f} is above {:?}", frames[0]);
            }
        }
        println!("{name}: {} stacks", truth.len());
    }
}

/// What drgn says of the idle CPU of this guest with the distribution's debug symbols. The last functions are of the code that is unmapped
/// after the boot.
#[test]
fn the_stack_of_a_cpu() {
    let document = answer(&["linux", "bt", "--cpu", "0"], "arm64-6.1");
    let frames: Vec<&str> = list(&list(&document, "stacks")[0], "frames").iter().map(|f| text(f, "symbol")).collect();
    let expected = [
        "cpu_do_idle",
        "arch_cpu_idle",
        "default_idle_call",
        "do_idle",
        "cpu_startup_entry",
        "rest_init",
        "arch_call_rest_init",
        "start_kernel",
        "__primary_switched",
    ];
    assert_eq!(frames, expected);
}

/// Words in the names of functions of `.sched.text`, and the function that changes the stacks on AArch64.
const SCHEDULER: [&str; 4] = ["schedule", "do_nanosleep", "wait_for_co", "__switch_to"];

/// The document of `linux sym`, which is large.
#[derive(serde::Deserialize)]
struct Sym {
    symbols: Vec<Symbol>,
}

#[derive(serde::Deserialize)]
struct Symbol {
    address: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    exported: bool,
}

#[test]
fn symbols() {
    for name in GUESTS {
        let out = common::run(&["linux", "sym", "--json"], &file(name, "mig.zst"), 0);
        let document: Sym = serde_json::from_slice(&out).unwrap();
        let (mut count, mut sum) = (0, 0_u64);
        // what is only exported is not in the guest's list
        for s in document.symbols.iter().filter(|s| !s.exported) {
            let address = u64::from_str_radix(&s.address[2..], 16).unwrap();
            let line = format!("{address:x} {} {}", s.kind, s.name);
            let fnv = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
            sum = sum.wrapping_add(line.bytes().fold(0xcbf2_9ce4_8422_2325, fnv));
            count += 1;
        }
        assert_eq!(format!("{count} {sum:016x}"), truth(name).text("proc/kallsyms").trim(), "{name}");
    }
}

#[test]
fn kernel_logs() {
    for name in GUESTS {
        let document = answer(&["dmesg"], name);
        let ours: Vec<String> = list(&document, "records")
            .iter()
            .map(|r| {
                let (s, ns) = text(r, "time").split_once('.').unwrap();
                let usec = s.parse::<u64>().unwrap() * 1_000_000 + ns.parse::<u64>().unwrap() / 1000;
                let priority = r["facility"].as_u64().unwrap() << 3 | r["level"].as_u64().unwrap();
                format!("{priority},{},{usec} {}", r["seq"], text(r, "text"))
            })
            .collect();
        // lines that begin with a space are what a record is about
        let truth: Vec<String> = truth(name)
            .text("kmsg")
            .lines()
            .filter(|l| !l.is_empty() && !l.starts_with(' '))
            .map(|l| {
                let (head, text) = l.split_once(';').unwrap();
                let head: Vec<&str> = head.split(',').take(3).collect();
                format!("{} {}", head.join(","), unescaped(text))
            })
            .collect();
        assert!(truth.len() > 100, "{name}");
        let differ = ours.iter().zip(&truth).find(|(a, b)| a != b);
        assert!(ours == truth, "{name}: {} and {} records, the first that differ: {differ:?}", ours.len(), truth.len());
    }
}

/// Runs the command on a file; returns the status, and the last line of standard error without its hint.
fn fails(words: &[&str], path: &std::path::Path) -> (i32, String) {
    let out = common::savevm_analyze().args(words).arg(path).output().unwrap();
    assert!(out.stdout.is_empty(), "{words:?}");
    let said = String::from_utf8(out.stderr).unwrap();
    let error = said.lines().find(|l| l.starts_with("error: ")).unwrap_or_else(|| panic!("{words:?}: {said}"));
    (out.status.code().unwrap(), error.to_owned())
}

#[test]
fn guests_that_cannot_be_asked() {
    let s390x = common::testdata().join("guests/linux-6.1-s390x.mig.zst");
    for c in ["ps", "lsmod", "net", "files", "bt"] {
        let words = ["linux", c, "-q"];
        let (status, error) = fails(&words, &common::fixture("pc-11.1"));
        let expected = "no Linux kernel was found in guest memory: no VMCOREINFO, and no table of kernel symbols";
        assert!(status == 2 && error.contains(expected), "{words:?}: {status} {error}");
        // this stream does not have the pages of the symbols
        let (status, error) = fails(&words, &s390x);
        assert!(status == 2 && error.contains("no table of symbols was found"), "{words:?}: {status} {error}");
    }
    let guest = file("x86_64-5.10", "mig.zst");
    for (words, expected) in [
        (&["linux", "files", "-q", "--pid", "31337"][..], "error: the guest has no process 31337"),
        (&["linux", "bt", "-q", "--task", "31337"], "error: the guest has no thread 31337"),
        (&["linux", "bt", "-q", "--cpu", "7"], "error: the stream has no CPU 7"),
    ] {
        assert_eq!(fails(words, &guest), (2, expected.to_owned()));
    }
}
