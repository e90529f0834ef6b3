use super::*;
use crate::decode::virtio::{Kind, Packed, Transport};

struct Bytes(u64, Vec<u8>);

impl Memory for Bytes {
    fn read(&self, address: u64, len: usize) -> Result<Vec<u8>, String> {
        let at = address.checked_sub(self.0).ok_or("below")? as usize;
        self.1.get(at..at + len).map(<[u8]>::to_vec).ok_or_else(|| format!("nothing at {address:#x}"))
    }
}

fn device(features: u64, big_endian: bool) -> VirtioDevice {
    VirtioDevice {
        section: "virtio-blk".into(),
        instance: 0,
        vmsd: "virtio-blk".into(),
        kind: Kind { id: 2, name: "virtio-blk" },
        transport: Transport::Mmio { base: None },
        status: 0xf,
        isr: 0,
        queue_sel: 0,
        features,
        features_high: 0,
        offered: vec![],
        big_endian,
        config_vector: None,
        config: vec![],
        config_fields: vec![],
        own_fields: vec![],
        queues: vec![],
        broken: false,
        started: None,
        disabled: None,
    }
}

fn queue(last_avail_idx: u16, packed: Option<Packed>) -> Queue {
    Queue {
        index: 0,
        name: "request0".into(),
        buffers: false,
        size: 4,
        suggested_size: None,
        desc: 0x1000,
        avail: 0x1040,
        used: 0x1100,
        computed: false,
        last_avail_idx,
        vector: None,
        packed,
        saved_requests: 0,
    }
}

/// Descriptors at 0x1000, the driver's part at 0x1040, the device's at 0x1100.
fn memory(avail: &[u16], used: &[u16], big_endian: bool) -> Bytes {
    let mut m = vec![0; 0x200];
    let mut put = |at: usize, words: &[u16]| {
        for (i, w) in words.iter().enumerate() {
            let b = if big_endian { w.to_be_bytes() } else { w.to_le_bytes() };
            m[at + 2 * i..at + 2 * i + 2].copy_from_slice(&b);
        }
    };
    put(0x40, avail);
    put(0x100, used);
    Bytes(0x1000, m)
}

fn split(q: &Queue, d: &VirtioDevice, m: &Bytes) -> Split {
    match inspect(d, q, m) {
        Some(Ring::Split(s)) => s,
        other => panic!("{other:?}"),
    }
}

#[test]
fn indices_wrap_and_both_byte_orders_are_read() {
    for big in [false, true] {
        let m = memory(&[1, 1, 0, 1, 2, 3], &[0, 0xfffd], big);
        let s = split(&queue(0xffff, None), &device(0, big), &m);
        assert_eq!((s.avail_flags, s.avail_idx, s.used_idx, s.pending, s.in_flight), (1, 1, 0xfffd, 2, 2));
        assert_eq!(s.problems, [""; 0]);
        assert_eq!(s.used_event, None);
    }
}

#[test]
fn events_are_read_where_they_were_negotiated() {
    let mut m = memory(&[0, 3, 0, 1, 2, 3, 9], &[0, 3], false);
    m.1[0x100 + 4 + 32] = 7;
    let s = split(&queue(3, None), &device(1 << EVENT_IDX, false), &m);
    assert_eq!((s.used_event, s.avail_event), (Some(9), Some(7)));
    assert_eq!((s.pending, s.in_flight), (0, 0));
}

#[test]
fn nonsense_is_told() {
    let s = split(&queue(0, None), &device(0, false), &memory(&[0, 5], &[0, 0], false));
    assert!(s.problems[0].contains("5 apart in a ring of 4"), "{:?}", s.problems);
    let s = split(&queue(2, None), &device(0, false), &memory(&[0, 2], &[0, 3], false));
    assert!(s.problems[0].contains("65535 apart"), "{:?}", s.problems);
    let s = split(&queue(0, None), &device(0, false), &memory(&[0, 1, 4], &[0, 0], false));
    assert!(s.problems[0].contains("descriptor 4 of 4"), "{:?}", s.problems);
    let mut q = queue(0, None);
    q.used = 0x9000;
    assert!(matches!(inspect(&device(0, false), &q, &memory(&[], &[], false)), Some(Ring::Unreadable(_))));
    q.desc = 0;
    assert_eq!(inspect(&device(0, false), &q, &memory(&[], &[], false)), None);
}

#[test]
fn packed_rings_wrap() {
    let mut m = memory(&[0, 2], &[0, 1], false);
    let mut flags = |i: usize, f: u16| m.1[i * 16 + 14..i * 16 + 16].copy_from_slice(&f.to_le_bytes());
    // read up to 2: descriptors 2 and 3 are a chain with the counter at 1, 0 follows with the counter at 0
    flags(2, AVAIL | NEXT);
    flags(3, AVAIL);
    flags(0, USED);
    flags(1, AVAIL | USED);
    let view = Packed { avail_wrap: true, used_idx: 1, used_wrap: true, in_use: 1 };
    let Some(Ring::Packed(p)) = inspect(&device(0, false), &queue(2, Some(view)), &m) else { panic!() };
    assert_eq!((p.pending_descriptors, p.pending, p.in_flight), (3, 2, 1));
    assert_eq!((p.driver_event, p.device_event), (2, 1));
    assert_eq!(p.problems, [""; 0]);
    let Some(Ring::Packed(p)) = inspect(&device(0, false), &queue(4, Some(view)), &m) else { panic!() };
    assert!(p.problems[0].contains("reads descriptor 4"));
}
