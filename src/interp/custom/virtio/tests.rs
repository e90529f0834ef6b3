//! Whole blobs, put together byte by byte.

use crate::interp::custom::testing::{decode_in, fails_in};
use crate::interp::custom::virtio::element::image;
use crate::value::Node;

fn be(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// A PCI device; MSI-X with this many vectors unless 0.
fn pci(express: bool, vectors: u8) -> Vec<u8> {
    let mut config = vec![0_u8; if express { 4096 } else { 256 }];
    config[..4].copy_from_slice(&[0xf4, 0x1a, 0, 0x10]);
    config[0x06] = 0x10;
    config[0x34] = 0x84;
    if express {
        config[0x84] = 0x10;
        config[0x85] = 0x98;
    } else {
        config[0x84] = 0x09;
        config[0x85] = 0x98;
    }
    if vectors > 0 {
        config[0x98] = 0x11;
        config[0x9a] = vectors - 1;
    }
    let mut v = be(&[2]);
    v.extend(config);
    v.extend([0; 16]);
    if vectors > 0 {
        let n = usize::from(vectors);
        v.extend(vec![0; n * 16 + n.div_ceil(8)]);
        v.extend([0xff, 0xff]);
    }
    v
}

/// Status to queues; `align` adds bytes after each queue's size, `vector` after its index.
fn common(features: u32, queues: &[u32], align: bool, vector: bool) -> Vec<u8> {
    let mut v = vec![0x0f, 0, 0, 1];
    v.extend(be(&[features, 3]));
    v.extend([1, 2, 3]);
    v.extend(be(&[u32::try_from(queues.len()).unwrap()]));
    for q in queues {
        v.extend(be(&[*q]));
        if align {
            v.extend(be(&[4096]));
        }
        v.extend([0, 0, 0, 0, 0, 1, 0, 0, 0, 5]);
        if vector {
            v.extend([0, 1]);
        }
    }
    v
}

fn sub(name: &str, body: &[u8]) -> Vec<u8> {
    let mut v = vec![5, u8::try_from(name.len()).unwrap()];
    v.extend(name.bytes());
    v.extend(be(&[1]));
    v.extend(body);
    v
}

/// A blob on PCI with two queues and no MSI-X.
fn blob(features: u32, device: &[u8], subsections: &[u8]) -> Vec<u8> {
    [&pci(false, 0)[..], &common(features, &[256, 64], false, false), device, subsections].concat()
}

fn names(n: &Node) -> Vec<&str> {
    n.record().unwrap().children().map(|c| c.name.exact()).collect()
}

const COMMON: [&str; 9] =
    ["proxy", "status", "isr", "queue_sel", "guest_features", "config_len", "config", "nvqs", "vq"];

fn started() -> Vec<u8> {
    sub("virtio/started", &[1])
}

#[test]
fn pci_of_both_sizes_with_and_without_vectors() {
    for (express, vectors) in [(false, 0), (false, 3), (true, 0), (true, 9)] {
        let v = [pci(express, vectors), common(0, &[8, 4], false, vectors > 0), started()].concat();
        let n = decode_in("0000:00:02.0/virtio-rng", "virtio", &v);
        assert_eq!(names(&n), [&COMMON[..], &["virtio/started"]].concat());
        let proxy = n.child("proxy").unwrap();
        assert_eq!(proxy.child("msix").is_some(), vectors > 0);
        assert_eq!(proxy.child("pci_dev").unwrap().child("config[1]").is_some(), express);
        let q = &n.child("vq").unwrap().elements().get(1).unwrap();
        assert_eq!(q.child("vring.num").unwrap().as_u64(), Some(4));
        assert_eq!(q.child("vector").is_some(), vectors > 0);
    }
}

#[test]
fn mmio_with_no_bytes_after_the_queues() {
    let v = [be(&[0, 1, 4096]), common(0, &[8], true, false)].concat();
    let n = decode_in("virtio-mmio@000000000a003e00/virtio-rng", "virtio", &v);
    assert_eq!(names(&n), COMMON);
    assert_eq!(n.child("vq").unwrap().elements().get(0).unwrap().child("vring.align").unwrap().as_u64(), Some(4096));
    // the content decides where the name does not
    assert_eq!(names(&decode_in("odd/virtio-rng", "virtio", &v)), COMMON);
}

#[test]
fn channel_devices_with_and_without_their_subsections() {
    for with in [false, true] {
        let mut v = vec![0; 366];
        if with {
            v.extend(sub("s390_subch_dev/orb", &[0; 12]));
        }
        v.extend([0; 36 + 2 + 8]);
        if with {
            v.extend(sub("s390_adapter_info/summary_offset", &[0, 0, 0, 1]));
        }
        v.extend([0, 0xff, 0xff, 0xff, 0xff]);
        v.extend(common(0, &[8], false, true));
        let n = decode_in("/fe.0.0001/virtio-rng", "virtio", &v);
        assert_eq!(names(&n), COMMON);
        let sch = n.child("proxy").unwrap().child("parent_obj").unwrap().child("sch").unwrap().clone();
        assert_eq!(sch.child("s390_subch_dev/orb").is_some(), with);
    }
}

#[test]
fn nonsense_is_an_error_of_the_transport_in_the_name() {
    let mut v = blob(0, &[], &[]);
    v[3] = 9;
    fails_in("0000:00:02.0/virtio-rng", "virtio", &v, "PCI device version");
    let v = [pci(false, 0), common(0, &[1 << 20], false, false)].concat();
    fails_in("0000:00:02.0/virtio-rng", "virtio", &v, "queue size");
    fails_in("0000:00:02.0/virtio-rng", "virtio", &v[..100], "before the end");
    let mut v = [pci(false, 0), common(0, &[], false, false)].concat();
    let at = v.len() - 4;
    v[at..].copy_from_slice(&[0, 0, 4, 1]);
    fails_in("0000:00:02.0/virtio-rng", "virtio", &v, "virtio queues");
}

#[test]
fn every_subsection() {
    const K: usize = 1024;
    let pci_state = sub(
        "virtio_pci/modern_state",
        &[vec![0; 16 + 28 * K], sub("virtio_pci/modern_state/features128", &[0; 16])].concat(),
    );
    let all = [
        sub("virtio/device_endian", &[2]),
        sub("virtio/128bit_features", &[0; 8]),
        sub("virtio/64bit_features", &[0, 0, 0, 1, 0, 0, 0, 2]),
        sub("virtio/virtqueues", &[0; 16 * K]),
        sub("virtio/ringsize", &[0; 4 * K]),
        sub("virtio/broken", &[1]),
        sub("virtio/extra_state", &pci_state),
        started(),
        sub("virtio/packed_virtqueues", &[0; 10 * K]),
        sub("virtio/disabled", &[0]),
    ]
    .concat();
    let n = decode_in("0000:00:02.0/virtio-rng", "virtio", &blob(0, &[], &all));
    assert_eq!(n.record().unwrap().subsections.len(), 10);
    assert_eq!(n.child("virtio/device_endian").unwrap().child("device_endian").unwrap().as_u64(), Some(2));
    assert_eq!(n.child("virtio/virtqueues").unwrap().child("vq").unwrap().elements().len(), K);
    let state = n.child("virtio/extra_state").unwrap().child("extra_state").unwrap();
    let state = state.child("virtio_pci/modern_state").unwrap();
    assert_eq!(state.child("vqs").unwrap().elements().get(0).unwrap().child("desc").unwrap().elements().len(), 2);
    assert!(state.child("virtio_pci/modern_state/features128").is_some());
    let mmio = sub("virtio/extra_state", &sub("virtio_mmio/state", &[0; 8 + 27 * K]));
    let n = decode_in("0000:00:02.0/virtio-rng", "virtio", &blob(0, &[], &mmio));
    assert!(n.child("virtio/extra_state").unwrap().child("extra_state").unwrap().child("virtio_mmio/state").is_some());
    decode_in("0000:00:02.0/virtio-rng", "virtio", &blob(0, &[], &sub("virtio/extra_state", &[])));
}

#[test]
fn unknown_subsections_cost_only_themselves() {
    let s = [started(), sub("virtio/novelty", &[5, 6, 7]), sub("virtio/broken", &[0])].concat();
    let n = fails_in("0000:00:02.0/virtio-rng", "virtio", &blob(0, &[], &s), "unknown subsection virtio/novelty");
    assert_eq!(n.record().unwrap().subsections.len(), 3);
}

#[test]
fn an_unknown_device_part_costs_only_itself() {
    let n = fails_in("0000:00:02.0/virtio-novelty", "virtio", &blob(0, &[1, 2, 3], &started()), "found 3 bytes");
    assert!(n.child("virtio/started").is_some());
    assert_eq!(n.child("device").unwrap().range.len(), 3);
    let n = fails_in("0000:00:02.0/virtio-balloon", "virtio", &blob(0, &[0; 9], &started()), "were not used");
    assert_eq!(n.child("device").unwrap().child("num_pages").unwrap().as_u64(), Some(0));
}

#[test]
fn a_forged_subsection_in_the_device_part_is_seen_through() {
    let name = b"\x05\x0evirtio/started\0\0\0\x01\x01";
    let mut device = net(1, false);
    device[28..28 + name.len()].copy_from_slice(name);
    let n = decode_in("0000:00:02.0/virtio-net", "virtio", &blob(0, &device, &started()));
    assert_eq!(n.record().unwrap().subsections.len(), 1);
}

/// The network device's part with this many pairs of queues in use.
fn net(pairs: u16, offloads: bool) -> Vec<u8> {
    let mut v = vec![0x52, 0x54, 0, 0, 0, 1];
    v.extend([0; 12]);
    v.extend(be(&[1]));
    v.extend([1; 6]);
    v.extend([0; 512 + 4 + 7]);
    if pairs > 1 {
        v.extend([0, 4]);
        v.extend(pairs.to_be_bytes());
        v.extend(vec![0; usize::from(pairs - 1) * 4]);
    }
    if offloads {
        v.extend([0, 0, 0, 0, 0, 0, 0, 3]);
    }
    v
}

#[test]
fn network_devices() {
    let rss = |version: u8, types: &[u8]| {
        let mut body = vec![1, 0, 1];
        body.extend(types);
        body.extend([0, 2, 0, 0]);
        body.extend([7; 40]);
        body.extend([0, 1, 0, 2]);
        let mut s = sub("virtio-net-device/rss", &body);
        s[2 + 21 + 3] = version;
        s
    };
    let backend = sub("virtio-net-device/backend", &[0, 0, 0, 1, 9, 0, 0, 0, 0]);
    for (pairs, offloads) in [(1, false), (1, true), (3, false), (3, true)] {
        for s in [vec![], rss(1, &[0; 4]), rss(2, &[0; 8]), backend.clone()] {
            let device = [net(pairs, offloads), s.clone()].concat();
            let features = if offloads { 4 } else { 0 };
            let n = decode_in("0000:00:02.0/virtio-net", "virtio", &blob(features, &device, &started()));
            let d = n.child("device").unwrap();
            assert_eq!(d.child("curr_queue_pairs").and_then(Node::as_u64), (pairs > 1).then_some(pairs.into()));
            assert_eq!(d.child("curr_guest_offloads").and_then(Node::as_u64), offloads.then_some(3));
            assert_eq!(d.record().unwrap().subsections.len(), usize::from(!s.is_empty()));
        }
    }
    let odd = [net(1, false), sub("virtio-net-device/novelty", &[1])].concat();
    fails_in("0000:00:02.0/virtio-net", "virtio", &blob(0, &odd, &started()), "novelty");
    let mut odd = net(2, false);
    let at = odd.len() - 5;
    odd[at] = 9;
    fails_in("0000:00:02.0/virtio-net", "virtio", &blob(0, &odd, &started()), "queue pairs");
    let mut odd = net(1, false);
    odd[18] = 0xff;
    fails_in("0000:00:02.0/virtio-net", "virtio", &blob(0, &odd, &started()), "before the end");
}

#[test]
fn block_requests_in_flight() {
    let e = image(5, &[(0x1000, 16)], &[(0x2000, 512)], true);
    let two = [&[1, 0, 0, 0, 1][..], &e, &[1, 0, 0, 0, 0], &e, &[0]].concat();
    let n = decode_in("0000:00:02.0/virtio-blk", "virtio", &blob(0, &two, &started()));
    let rq = n.child("device").unwrap().child("rq").unwrap().elements();
    assert_eq!(rq.len(), 2);
    assert_eq!(rq.get(0).unwrap().child("queue").unwrap().as_u64(), Some(1));
    let packed = sub("virtio/packed_virtqueues", &[0; 10240]);
    let one = [&[1, 0, 0, 0, 2][..], &e, &[0]].concat();
    let v = [pci(false, 0), common(0, &[256], false, false), one, packed].concat();
    let n = decode_in("0000:00:02.0/virtio-blk", "virtio", &v);
    let rq = n.child("device").unwrap().child("rq").unwrap().elements();
    assert_eq!(rq.get(0).unwrap().child("elem").unwrap().child("ndescs").unwrap().as_u64(), Some(2));
    fails_in("0000:00:02.0/virtio-blk", "virtio", &blob(0, &[7], &started()), "mark of a block request");
    let odd = [&[1, 0, 0, 0, 1][..], &vec![0xff; e.len()], &[0]].concat();
    fails_in("0000:00:02.0/virtio-blk", "virtio", &blob(0, &odd, &started()), "virtqueue element");
}

#[test]
fn balloons() {
    // QEMU 5.2 writes the second spelling
    for poison in ["virtio-balloon-device/page-poison", "vitio-balloon-device/page-poison"] {
        let d = [be(&[1, 2]), sub("virtio-balloon-device/free-page-report", &[0; 8]), sub(poison, &[0; 4])].concat();
        let n = decode_in("0000:00:02.0/virtio-balloon", "virtio", &blob(0, &d, &started()));
        assert_eq!(n.child("device").unwrap().record().unwrap().subsections.len(), 2);
    }
    let odd = [be(&[1, 2]), sub("virtio-balloon-device/novelty", &[0])].concat();
    fails_in("0000:00:02.0/virtio-balloon", "virtio", &blob(0, &odd, &started()), "novelty");
}

#[test]
fn serial_ports_in_both_byte_orders() {
    let e = image(0, &[(1, 2)], &[], true);
    for max in [31_u32, 31_u32.swap_bytes()] {
        let ports = [be(&[0, max, 3, 2, 0]), vec![1, 1], be(&[0]), be(&[1]), vec![1, 0], be(&[1, 0, 0, 4]), e.clone()];
        let n = decode_in("0000:00:02.0/virtio-console", "virtio", &blob(0, &ports.concat(), &started()));
        let p = n.child("device").unwrap().child("ports").unwrap().elements();
        assert_eq!(p.len(), 2);
        assert!(p.get(0).unwrap().child("elem").is_none() && p.get(1).unwrap().child("elem").is_some());
    }
    let odd = be(&[0, 0x1f1f]);
    fails_in("0000:00:02.0/virtio-console", "virtio", &blob(0, &odd, &started()), "serial ports");
    let odd = be(&[0, 31, 0, 512]);
    fails_in("0000:00:02.0/virtio-console", "virtio", &blob(0, &odd, &started()), "active serial ports");
}

#[test]
fn memory_devices() {
    for (n, last) in [(16, "requested_size"), (24 + 8, "bitmap"), (28 + 24 + 16, "bitmap")] {
        let node = decode_in("0000:00:02.0/virtio-mem", "virtio", &blob(0, &vec![0; n], &started()));
        let d = node.child("device").unwrap();
        assert_eq!(names(d).last(), Some(&last));
        assert_eq!(d.child("tmp").is_some(), n == 68);
    }
}

#[test]
fn iommu_domains() {
    for bypass in [false, true] {
        let mut d = be(&[1]);
        d.push(1);
        d.extend(be(&[0, 7, 7, 1]));
        d.push(1);
        d.extend(be(&[0, 0x1000, 0, 0x1fff, 0, 0x8000, 3]));
        d.push(0);
        d.push(1);
        d.extend(be(&[8]));
        d.push(0);
        if bypass {
            d.push(1);
        }
        d.push(0);
        if bypass {
            d.push(1);
        }
        let n = decode_in("0000:00:02.0/virtio-iommu", "virtio", &blob(0, &d, &started()));
        let d = n.child("device").unwrap();
        let first = d.child("domains").unwrap().elements().get(0).unwrap();
        let domain = first.child("value").unwrap();
        assert_eq!(domain.child("bypass").is_some(), bypass);
        assert_eq!(domain.child("mappings").unwrap().elements().len(), 1);
        assert_eq!(
            domain.child("endpoint_list").unwrap().elements().get(0).unwrap().child("id").unwrap().as_u64(),
            Some(8)
        );
    }
    fails_in("0000:00:02.0/virtio-iommu", "virtio", &blob(0, &[0, 0, 0, 0, 9], &started()), "list mark");
}
