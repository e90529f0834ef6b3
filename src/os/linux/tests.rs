//! Kernel logs made by hand; what is in real guests is in `docs/linux-guests.md`.

use super::kernel::Kernel;
use super::printk::{self, Caller};
use super::vmcoreinfo::{self, Found};
use crate::error::ErrorKind;
use crate::memory::FewPages;

/// An identity-mapped kernel of IBM Z or x86-64 whose image is at 0, with more keys.
fn found(m: &mut FewPages, big: bool, keys: &str) -> Found {
    let (kind, base) =
        if big { ("SYMBOL(lowcore_ptr)=0", 0) } else { ("NUMBER(phys_base)=0", 0xffff_ffff_8000_0000_u64) };
    let keys = keys.replace('@', &if big { String::new() } else { format!("{:x}", base >> 20) });
    let text = format!("OSRELEASE=9.9\nPAGESIZE=4096\nSIZE(list_head)=16\n{kind}\n{keys}");
    m.write(0x9000, text.as_bytes());
    vmcoreinfo::find(m, None).unwrap().unwrap()
}

/// The layout of the ring in a kernel for 64 bits (6.1); `@` is the upper part of an address.
const RING: &str = "SYMBOL(prb)=@01000
OFFSET(printk_ringbuffer.desc_ring)=0
OFFSET(printk_ringbuffer.text_data_ring)=48
OFFSET(prb_desc_ring.count_bits)=0
OFFSET(prb_desc_ring.descs)=8
OFFSET(prb_desc_ring.infos)=16
OFFSET(prb_desc_ring.head_id)=24
OFFSET(prb_desc_ring.tail_id)=32
SIZE(prb_desc)=24
OFFSET(prb_desc.state_var)=0
OFFSET(prb_desc.text_blk_lpos)=8
OFFSET(prb_data_blk_lpos.begin)=0
OFFSET(prb_data_blk_lpos.next)=8
SIZE(printk_info)=88
OFFSET(printk_info.seq)=0
OFFSET(printk_info.ts_nsec)=8
OFFSET(printk_info.text_len)=16
OFFSET(printk_info.caller_id)=20
OFFSET(prb_data_ring.size_bits)=0
OFFSET(prb_data_ring.data)=8
SIZE(atomic_long_t)=8
OFFSET(atomic_long_t.counter)=0
";

const FINAL: u64 = 2 << 62;

/// A ring of 4 descriptors at 0x3000 with details at 0x4000, and 128 bytes of text at 0x5000.
struct Ring {
    m: FewPages,
    big: bool,
    base: u64,
}

impl Ring {
    fn new(big: bool, tail: u64, head: u64) -> Self {
        let mut r = Self { m: FewPages::default(), big, base: if big { 0 } else { 0xffff_ffff_8000_0000 } };
        r.word(0x1000, r.base | 0x2000);
        r.half(0x2000, 2);
        for (at, v) in [(0x2008, 0x3000), (0x2010, 0x4000), (0x2038, 0x5000)] {
            r.word(at, r.base | v);
        }
        r.word(0x2018, head);
        r.word(0x2020, tail);
        r.half(0x2030, 7);
        r.m.write(0x5000, &[0; 16]);
        r
    }

    fn word(&mut self, at: u64, v: u64) {
        self.m.write(at, &if self.big { v.to_be_bytes() } else { v.to_le_bytes() });
    }

    fn half(&mut self, at: u64, v: u32) {
        self.m.write(at, &if self.big { v.to_be_bytes() } else { v.to_le_bytes() });
    }

    /// Adds a record whose block is from `begin` to `next`, and whose text lies at `at` in the ring.
    fn record(&mut self, id: u64, state: u64, (begin, next): (u64, u64), at: u64, text: &str) {
        let (desc, info) = (0x3000 + 24 * (id & 3), 0x4000 + 88 * (id & 3));
        self.word(desc, state | id);
        self.word(desc + 8, begin);
        self.word(desc + 16, next);
        self.word(info, 100 + id);
        self.word(info + 8, 1_500_000_000 + id);
        let len = text.len() as u16;
        self.m.write(info + 16, &if self.big { len.to_be_bytes() } else { len.to_le_bytes() });
        // facility 1, level 4
        self.m.write(info + 18, &[1, if self.big { 4 } else { 4 << 5 }]);
        self.half(info + 20, if id & 1 == 0 { 7 } else { 0x8000_0003 });
        self.m.write(0x5000 + at + 8, text.as_bytes());
    }

    fn read(&mut self) -> crate::error::Result<printk::Log> {
        let found = found(&mut self.m, self.big, RING);
        printk::read(&Kernel::new(&self.m, &found), &found.info)
    }
}

#[test]
fn the_ring_in_both_byte_orders() {
    for big in [false, true] {
        // ids wrap around; a block that does not fit before the end lies at the start
        let mut r = Ring::new(big, 3, 6);
        r.record(3, FINAL, (0x00, 0x18), 0, "first");
        r.record(4, 1 << 62, (0x18, 0x68), 0x18, "second\nof two lines");
        r.record(5, FINAL, (0x68, 0x80 + 0x20), 0, "wrapped around");
        // no text at all
        r.record(6, FINAL, (3, 3), 0x40, "");
        let log = r.read().unwrap();
        assert!(log.problems.is_empty(), "{:?}", log.problems);
        let texts: Vec<&str> = log.records.iter().map(|r| r.text.exact()).collect();
        // the wrapped block has overwritten the first one, as a real ring does only after its descriptor is reused
        assert_eq!(texts[1..], ["second\nof two lines", "wrapped around", ""]);
        let second = &log.records[1];
        assert_eq!((second.seq, second.nsec, second.level, second.facility), (Some(104), 1_500_000_004, 4, 1));
        assert_eq!((second.caller, log.records[0].caller), (Some(Caller::Thread(7)), Some(Caller::Cpu(3))));
    }
}

#[test]
fn a_block_may_end_with_the_ring() {
    // newer kernels do not move such a block to the start
    let mut r = Ring::new(false, 4, 4);
    r.record(4, FINAL, (0x60, 0x80), 0x60, "ends with the ring");
    assert_eq!(r.read().unwrap().records[0].text, *"ends with the ring");
}

#[test]
fn what_is_not_finished_is_counted() {
    let mut r = Ring::new(false, 4, 7);
    r.record(4, FINAL, (0, 0x18), 0, "a");
    r.record(5, 0, (0x18, 0x30), 0x18, "b");
    r.record(6, 3 << 62, (0x30, 0x48), 0x30, "c");
    // the descriptor of 7 has the id of another record
    r.record(3, FINAL, (0x30, 0x48), 0x30, "d");
    let log = r.read().unwrap();
    assert_eq!((log.records.len(), log.unfinished, log.problems.len()), (1, 1, 0));
}

#[test]
fn a_ring_that_lies_gives_what_there_is() {
    let mut r = Ring::new(false, 4, 7);
    r.record(4, FINAL, (0, 0x18), 0, "good");
    // next before begin; two laps; text without memory is below
    r.record(5, FINAL, (0x60, 0x48), 0x60, "x");
    r.record(6, FINAL, (0x10, 0x210), 0x10, "y");
    r.record(7, FINAL, (0x20, 0x28), 0x20, "z");
    let log = r.read().unwrap();
    assert_eq!((log.records.len(), log.problems.len()), (1, 3));
    assert_eq!(
        log.problems[0].to_string(),
        "expected a block of text, found the positions 0x60 and 0x48 (in record 5 of the printk ring)"
    );
    r.word(0x2038, r.base | 0x30_0000);
    let log = r.read().unwrap();
    assert_eq!((log.records.len(), log.problems.len(), log.problems[0].kind()), (0, 4, ErrorKind::Missing));
    // a large ring without text: the rest is not tried after some
    let mut r = Ring::new(false, 0, 0xfff);
    r.half(0x2000, 12);
    r.word(0x2008, r.base | 0x10_0000);
    r.word(0x2010, r.base | 0x20_0000);
    for id in 0..0x1000 {
        r.word(0x10_0000 + 24 * id, FINAL | id);
        r.word(0x10_0000 + 24 * id + 8, 0x20);
    }
    let log = r.read().unwrap();
    assert_eq!((log.records.len(), log.problems.len()), (0, 101));
    assert!(log.problems[100].message().ends_with("the rest was not tried"));
    // more records than descriptors, a count that is too large, a ring without memory, a pointer to nowhere
    for (at, v) in [(0x2020, 2), (0x2000, 21), (0x2030, 32), (0x1000, 0x1234_5678), (0x2008, 0x9999_0000)] {
        let mut r = Ring::new(false, 4, 7);
        r.record(4, FINAL, (0, 0x18), 0, "good");
        if matches!(at, 0x2000 | 0x2030) {
            r.half(at, v as u32)
        } else {
            r.word(at, v)
        }
        match r.read() {
            Ok(log) => assert!(log.records.is_empty() && !log.problems.is_empty(), "{at:#x}"),
            Err(e) => assert!(e.to_string().contains("printk ring"), "{e}"),
        }
    }
    // VMCOREINFO lacks a key, or has one that makes no sense
    for (key, with) in [
        ("SIZE(prb_desc)=24\n", ""),
        ("SIZE(printk_info)=88", "SIZE(printk_info)=99999"),
        ("SIZE(atomic_long_t)=8", "SIZE(atomic_long_t)=3"),
    ] {
        let mut r = Ring::new(false, 4, 7);
        let found = found(&mut r.m, false, &RING.replace(key, with));
        assert!(printk::read(&Kernel::new(&r.m, &found), &found.info).is_err(), "{key}");
    }
}

const OLD: &str = "SYMBOL(log_buf)=@01000
SYMBOL(log_buf_len)=@01008
SYMBOL(log_first_idx)=@0100c
SYMBOL(log_next_idx)=@01010
SIZE(printk_log)=16
OFFSET(printk_log.ts_nsec)=0
OFFSET(printk_log.len)=8
OFFSET(printk_log.text_len)=10
OFFSET(printk_log.dict_len)=12
";

/// A buffer of 256 bytes at 0x5000.
fn old(first: u32, next: u32, records: &[(u64, u16, &str)]) -> FewPages {
    let mut m = FewPages::default();
    m.write(0x1000, &0xffff_ffff_8000_5000_u64.to_le_bytes());
    for (at, v) in [(0x1008, 256), (0x100c, first), (0x1010, next)] {
        m.write(at, &v.to_le_bytes());
    }
    m.write(0x5000, &[0; 16]);
    for (at, len, text) in records {
        m.write(0x5000 + at, &(1_000_000 * at).to_le_bytes());
        m.write(0x5000 + at + 8, &len.to_le_bytes());
        m.write(0x5000 + at + 10, &(text.len() as u16).to_le_bytes());
        m.write(0x5000 + at + 14, &[0, 6 << 5]);
        m.write(0x5000 + at + 16, text.as_bytes());
    }
    m
}

fn read_old(m: &mut FewPages) -> crate::error::Result<printk::Log> {
    let found = found(m, false, OLD);
    printk::read(&Kernel::new(m, &found), &found.info)
}

#[test]
fn the_log_before_5_10() {
    let mut m = old(0, 64, &[(0, 32, "first"), (32, 32, "second")]);
    let log = read_old(&mut m).unwrap();
    let texts: Vec<(&str, u64, u8)> = log.records.iter().map(|r| (r.text.exact(), r.nsec, r.level)).collect();
    assert_eq!(texts, [("first", 0, 6), ("second", 32_000_000, 6)]);
    // around the end: a length of 0 says that the rest is not used
    let mut m = old(160, 32, &[(0, 32, "last"), (160, 48, "one"), (208, 0, "")]);
    let log = read_old(&mut m).unwrap();
    assert_eq!(log.records.iter().map(|r| r.text.exact()).collect::<Vec<_>>(), ["one", "last"]);
    assert!(log.problems.is_empty());
    assert!(read_old(&mut old(32, 32, &[])).unwrap().records.is_empty());
}

#[test]
fn an_old_log_that_lies_ends() {
    // a record of no length in the second lap, one shorter than its text, one beyond the end, one over the last position
    for (first, next, records) in [
        (0, 64, &[(0, 32, "first"), (32, 0, "")][..]),
        (0, 64, &[(0, 32, "first"), (32, 17, "too long")]),
        (0, 255, &[(0, 32, "first"), (32, 0xffff, "far")]),
        (0, 60, &[(0, 32, "first"), (32, 32, "over")]),
        (128, 64, &[(128, 32, "first"), (160, 0, ""), (0, 0, "")]),
    ] {
        let log = read_old(&mut old(first, next, records)).unwrap();
        assert_eq!((log.records.len(), log.problems.len()), (1, 1), "{records:?}");
    }
    for (first, next) in [(300, 0), (0, 300)] {
        assert_eq!(read_old(&mut old(first, next, &[])).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_kernel_that_does_not_say_where_its_log_is() {
    let mut m = FewPages::default();
    let found = found(&mut m, false, "");
    let e = printk::read(&Kernel::new(&m, &found), &found.info).unwrap_err();
    assert_eq!(e.to_string(), "the kernel does not say where its log is (prb, or log_buf of kernels before 5.10)");
}
