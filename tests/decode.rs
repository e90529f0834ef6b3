//! `pci` and `virtio` against QEMU's own answers, which are stored next to the streams in `testdata/driven/` and `testdata/booted/`.

#![cfg(feature = "cli")]

mod common;

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

const DRIVEN: [&str; 3] = ["driven/driven-7.2", "driven/driven-10.0", "driven/driven-11.1"];

/// Linux guests with their own drivers.
const BOOTED: [&str; 7] = [
    "booted/linux-7.2",
    "booted/linux-11.1",
    "booted/packed-11.1",
    "booted/xbzrle-11.1",
    "booted/jammed-7.2",
    "booted/jammed-11.1",
    "booted/jammed-packed-10.0",
];

/// Returns our document, and QEMU's answer.
fn both(args: &[&str], name: &str) -> (Value, Value) {
    let dir = common::testdata();
    let ours = common::run(args, &dir.join(format!("{name}.mig.zst")), 0);
    let answer = fs::read(dir.join(format!("{name}.json"))).unwrap();
    (serde_json::from_slice(&ours).unwrap(), serde_json::from_slice(&answer).unwrap())
}

fn address(text: &Value) -> u64 {
    u64::from_str_radix(text.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

/// Lists the devices of a bus and of those below it.
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
    for name in DRIVEN.into_iter().chain(BOOTED) {
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

/// QEMU's `VIRTIO_NET_F_MAC: text` and `VIRTIO_CONFIG_S_DRIVER: text` without the text around the name.
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
    let (mut devices, mut queues) = (0, 0);
    for name in DRIVEN.into_iter().chain(BOOTED) {
        let (ours, answer) = both(&["virtio", "--json", "--rings"], name);
        let ours = ours["devices"].as_array().unwrap();
        assert_eq!(ours.len(), answer["virtio"].as_array().unwrap().len(), "{name}");
        for q in answer["virtio"].as_array().unwrap() {
            // a machine may have several of a kind, each with rings of its own
            let same =
                |d: &&Value| d["name"] == q["name"] && address(&d["queues"][0]["desc"]) == q["queues"][0]["vring-desc"];
            let d = ours.iter().find(same).unwrap_or_else(|| panic!("{name}: {}", q["name"]));
            let at = format!("{name} {} {}", d["place"], d["name"]);
            // QEMU 11.1 has no answer to this
            if !q["status"].is_null() {
                status(d, &q["status"], &at);
                devices += 1;
            }
            assert_eq!(d["queues"].as_array().unwrap().len(), q["queues"].as_array().unwrap().len(), "{at}");
            for (i, v) in q["queues"].as_array().unwrap().iter().enumerate() {
                queues += usize::from(queue(&d["queues"][i], v, &format!("{at} {i}")));
            }
        }
    }
    assert!(devices >= 30 && queues >= 150, "only {devices} devices, {queues} queues");
}

fn status(d: &Value, s: &Value, at: &str) {
    assert_eq!(d["device_id"], s["device-id"], "{at}");
    assert_eq!(d["isr"], s["isr"], "{at}");
    assert_eq!(d["broken"], s["broken"], "{at}");
    let status: BTreeSet<String> =
        d["status"]["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect();
    assert_eq!(status, bare(&s["status"]["statuses"]), "{at}");
    let features = d["guest_features"]["features"].as_array().unwrap();
    let features: BTreeSet<String> = features.iter().map(|f| f["name"].as_str().unwrap().to_owned()).collect();
    let mut theirs = bare(&s["guest-features"]["transports"]);
    theirs.append(&mut bare(&s["guest-features"]["dev-features"]));
    // QEMU 7.2 offers this bit, but has no name for it
    if s["guest-features"]["unknown-dev-features"] == 1_u64 << 40 {
        theirs.insert("RING_RESET".to_owned());
    }
    assert_eq!(features, theirs, "{at}");
}

/// Compares a queue; returns whether it was set up.
fn queue(ours: &Value, v: &Value, at: &str) -> bool {
    assert_eq!(ours["size"], v["vring-num"], "{at}");
    assert_eq!(address(&ours["desc"]), v["vring-desc"], "{at}");
    assert_eq!(address(&ours["avail"]), v["vring-avail"], "{at}");
    assert_eq!(address(&ours["used"]), v["vring-used"], "{at}");
    assert_eq!(ours["last_avail_idx"], v["last-avail-idx"], "{at}");
    if ours["configured"] != true {
        return false;
    }
    let ring = &ours["ring"];
    assert_eq!(ring["problems"].as_array().unwrap().len(), 0, "{at}: {ring}");
    assert_eq!(ring["in_flight"], v["inuse"], "{at}");
    if ours["packed"].is_null() {
        assert_eq!(ring["used_idx"], v["used-idx"], "{at}");
        // what QEMU saw of the driver last lies between what it took and where the driver is
        let ahead = |a: &Value, b: &Value| (a.as_u64().unwrap() as u16).wrapping_sub(b.as_u64().unwrap() as u16);
        assert!(
            ahead(&v["shadow-avail-idx"], &v["last-avail-idx"]) <= ahead(&ring["avail_idx"], &v["last-avail-idx"]),
            "{at}"
        );
    } else {
        assert_eq!(ours["packed"]["used_idx"], v["used-idx"], "{at}");
    }
    true
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

/// A disk that is throttled and then fails, a port that nobody reads, random numbers that do not come, packets that are held back.
#[test]
fn a_jammed_guest() {
    for name in BOOTED {
        let jammed = name.contains("jammed");
        let (ours, _) = both(&["virtio", "--json", "--rings"], name);
        let queues = |n: &str| {
            let device = ours["devices"].as_array().unwrap().iter().find(|d| d["name"] == n).unwrap();
            device["queues"].as_array().unwrap().clone()
        };
        let sum = |n: &str, what: &str| -> u64 {
            let all = queues(n);
            all.iter().filter(|q| q["buffers"] == false).map(|q| q["ring"][what].as_u64().unwrap_or(0)).sum()
        };
        let kept: u64 = queues("virtio-blk").iter().map(|q| q["saved_requests"].as_u64().unwrap()).sum();
        let got = [
            sum("virtio-blk", "in_flight"),
            kept,
            sum("virtio-rng", "pending"),
            sum("virtio-serial", "in_flight"),
            u64::from(sum("virtio-serial", "pending") > 100),
            u64::from(sum("virtio-net", "pending") > 20),
        ];
        assert_eq!(got, if jammed { [20, 20, 1, 1, 1, 1] } else { [0; 6] }, "{name}");
        // each queue keeps its own
        for q in queues("virtio-blk") {
            assert_eq!(q["saved_requests"], q["ring"]["in_flight"], "{name}");
        }
        // empty buffers are no backlog
        let receive = &queues("virtio-net")[0];
        assert_eq!(receive["buffers"], true, "{name}");
        assert!(receive["ring"]["pending"].as_u64().unwrap() > 200, "{name}");
    }
}

#[test]
fn addresses_of_a_network_device() {
    let (ours, _) = both(&["virtio", "--json"], BOOTED[0]);
    let of = |d: &Value, name: &str| -> Vec<Value> {
        let fields = d["state"].as_array().unwrap().iter();
        fields.filter(|f| f["name"] == name).map(|f| f["value"].clone()).collect()
    };
    let net = &ours["devices"][0];
    assert_eq!(of(net, "mac"), ["52:54:00:aa:00:01"]);
    assert_eq!(of(net, "mac_table"), ["33:33:00:00:00:01", "01:00:5e:00:00:01", "33:33:ff:aa:00:01"]);
    assert_eq!(of(net, "mac_table.in_use"), [3]);
}
