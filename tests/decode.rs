//! `pci` and `virtio` against QEMU's own answers, which stand beside the streams in `testdata/driven/`.

#![cfg(feature = "cli")]

mod common;

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

const DRIVEN: [&str; 3] = ["driven-7.2", "driven-10.0", "driven-11.1"];

/// Returns our document, and QEMU's answer.
fn both(args: &[&str], name: &str) -> (Value, Value) {
    let dir = common::testdata().join("driven");
    let ours = common::run(args, &dir.join(format!("{name}.mig.zst")), 0);
    let answer = fs::read(dir.join(format!("{name}.json"))).unwrap();
    (serde_json::from_slice(&ours).unwrap(), serde_json::from_slice(&answer).unwrap())
}

fn address(text: &Value) -> u64 {
    u64::from_str_radix(text.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

/// Lists the devices of a bus and of those behind it.
fn flat<'a>(devices: &'a Value, out: &mut Vec<&'a Value>) {
    for d in devices.as_array().unwrap() {
        out.push(d);
        if d["pci_bridge"]["devices"].is_array() {
            flat(&d["pci_bridge"]["devices"], out);
        }
    }
}

#[test]
fn query_pci() {
    for name in DRIVEN {
        let (ours, answer) = both(&["pci", "--json"], name);
        let mut theirs = Vec::new();
        answer["pci"].as_array().unwrap().iter().for_each(|bus| flat(&bus["devices"], &mut theirs));
        let ours = ours["devices"].as_array().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for q in theirs {
            let place = |d: &Value| (d["bus"].clone(), d["slot"].clone(), d["function"].clone());
            let d = ours.iter().find(|d| place(d) == place(q)).unwrap_or_else(|| panic!("{name}: {q}"));
            let at = format!("{name} {}", d["address"]);
            assert_eq!(d["vendor"]["id"], q["id"]["vendor"], "{at}");
            assert_eq!(d["device"]["id"], q["id"]["device"], "{at}");
            if !q["id"]["subsystem"].is_null() {
                assert_eq!(d["subsystem"]["device"], q["id"]["subsystem"], "{at}");
                assert_eq!(d["subsystem"]["vendor"], q["id"]["subsystem-vendor"], "{at}");
            }
            let class = d["class"]["base"].as_u64().unwrap() << 8 | d["class"]["subclass"].as_u64().unwrap();
            assert_eq!(class, q["class_info"]["class"], "{at}");
            assert_eq!(d["interrupt"]["pin"], q["irq_pin"], "{at}");
            if q["irq_pin"] != 0 {
                assert_eq!(d["interrupt"]["line"], q["irq"], "{at}");
            }
            bars(d, q, &at);
            assert_eq!(d["bridge"].is_null(), q["pci_bridge"].is_null(), "{at}");
            if !d["bridge"].is_null() {
                bridge(&d["bridge"], &q["pci_bridge"]["bus"], &at);
            }
        }
    }
}

fn bars(d: &Value, q: &Value, at: &str) {
    for r in q["regions"].as_array().unwrap() {
        let unmapped = r["address"] == -1;
        let Some(b) = d["bars"].as_array().unwrap().iter().find(|b| b["index"] == r["bar"]) else {
            // 32 bits of memory without an address are a register of 0
            assert!(unmapped && r["type"] == "memory" && r["mem_type_64"] == false, "{at}: {r}");
            continue;
        };
        let kind = match (r["type"] == "io", r["bar"] == 6, r["mem_type_64"] == true) {
            (true, ..) => "io",
            (_, true, _) => "rom",
            (.., true) => "mem64",
            _ => "mem32",
        };
        assert_eq!(b["kind"], kind, "{at}: {r}");
        assert_eq!(b["prefetchable"], r["prefetch"] == true, "{at}: {r}");
        assert_eq!(b["enabled"], !unmapped, "{at}: {r}");
        if !unmapped {
            assert_eq!(address(&b["address"]), r["address"], "{at}: {r}");
        }
    }
}

fn bridge(ours: &Value, q: &Value, at: &str) {
    assert_eq!(ours["primary"], q["number"], "{at}");
    assert_eq!(ours["secondary"], q["secondary"], "{at}");
    assert_eq!(ours["subordinate"], q["subordinate"], "{at}");
    for (w, r) in [("io", "io_range"), ("memory", "memory_range"), ("prefetchable", "prefetchable_range")] {
        assert_eq!(address(&ours[w]["base"]), q[r]["base"], "{at} {w}");
        assert_eq!(address(&ours[w]["limit"]), q[r]["limit"], "{at} {w}");
    }
}

/// QEMU's `VIRTIO_NET_F_MAC: text` and `VIRTIO_CONFIG_S_DRIVER: text` without what stands around the name.
fn bare(list: &Value) -> BTreeSet<String> {
    let one = |v: &Value| {
        let name = v.as_str().unwrap().split(':').next().unwrap().to_owned();
        let name = name.strip_prefix("VIRTIO_CONFIG_S_").unwrap_or(&name).to_owned();
        name.split_once("_F_").map_or(name.clone(), |(_, n)| n.to_owned())
    };
    list.as_array().unwrap().iter().map(one).collect()
}

#[test]
fn x_query_virtio() {
    let mut queues = 0;
    for name in DRIVEN {
        let (ours, answer) = both(&["virtio", "--json", "--rings"], name);
        for q in answer["virtio"].as_array().unwrap() {
            let s = &q["status"];
            let d = ours["devices"].as_array().unwrap().iter().find(|d| d["name"] == s["name"]).unwrap();
            let at = format!("{name} {}", d["name"]);
            assert_eq!(d["device_id"], s["device-id"], "{at}");
            assert_eq!(d["isr"], s["isr"], "{at}");
            let status: BTreeSet<String> =
                d["status"]["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect();
            assert_eq!(status, bare(&s["status"]["statuses"]), "{at}");
            let features: BTreeSet<String> = d["guest_features"]["features"]
                .as_array()
                .unwrap()
                .iter()
                .map(|f| f["name"].as_str().unwrap().to_owned())
                .collect();
            let mut theirs = bare(&s["guest-features"]["transports"]);
            theirs.append(&mut bare(&s["guest-features"]["dev-features"]));
            assert_eq!(features, theirs, "{at}");
            for (i, v) in q["queues"].as_array().unwrap().iter().enumerate() {
                let ours = &d["queues"][i];
                assert_eq!(ours["size"], v["vring-num"], "{at} {i}");
                assert_eq!(address(&ours["desc"]), v["vring-desc"], "{at} {i}");
                assert_eq!(address(&ours["avail"]), v["vring-avail"], "{at} {i}");
                assert_eq!(address(&ours["used"]), v["vring-used"], "{at} {i}");
                assert_eq!(ours["last_avail_idx"], v["last-avail-idx"], "{at} {i}");
                if ours["configured"] == true {
                    assert_eq!(ours["ring"]["in_flight"], v["inuse"], "{at} {i}");
                    if ours["packed"].is_null() {
                        assert_eq!(ours["ring"]["used_idx"], v["used-idx"], "{at} {i}");
                    }
                    queues += 1;
                }
            }
        }
    }
    assert!(queues >= 6, "only {queues} queues");
}

#[test]
fn pending_requests() {
    for name in DRIVEN {
        let (ours, _) = both(&["virtio", "--json", "--rings"], name);
        let device = |n: &str| ours["devices"].as_array().unwrap().iter().find(|d| d["name"] == n).unwrap().clone();
        let blk = device("virtio-blk");
        assert_eq!(blk["queues"][0]["ring"]["pending"], 1, "{name}");
        assert_eq!(blk["queues"][0]["ring"]["in_flight"], 1, "{name}");
        assert_eq!(blk["queues"][0]["saved_requests"], 1, "{name}");
        let net = device("virtio-net");
        assert_eq!(net["queues"][0]["ring"]["pending"], 2, "{name}");
        assert_eq!(net["queues"][0]["ring"]["pending_descriptors"], 3, "{name}");
    }
}
