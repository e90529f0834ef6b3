//! The properties of `props`, on seeded random data and on fixtures with random damage.

mod hard;
mod props;

use hard::{Random, exhaustive, fixture, open};

/// Damages some bytes, takes some out and doubles some.
fn damage(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len());
        let n = random.below(40).min(out.len() - at);
        match random.below(4) {
            0 => out[at] = random.next() as u8,
            1 => drop(out.drain(at..at + n)),
            2 => {
                let piece = out[at..at + n].to_vec();
                let to = random.below(out.len());
                out.splice(to..to, piece);
            }
            _ => out[at..at + n].fill([0, 0xff, 0x7e, 0x04][random.below(4)]),
        }
        if out.is_empty() {
            break;
        }
    }
    out
}

fn times(n: usize) -> usize {
    if exhaustive() { n * 100 } else { n }
}

#[test]
fn random_bytes() {
    let mut random = Random(42);
    for _ in 0..times(300) {
        let mut data: Vec<u8> = (0..random.below(600)).map(|_| (random.next() >> random.below(60)) as u8).collect();
        props::description::run(&data);
        props::interp::run(&data);
        props::ram::run(&data);
        props::guest::run(&data);
        props::windows::run(&data);
        props::types::run(&data);
        props::walk::run(&data);
        data.splice(0..0, *b"QEVM\0\0\0\x03");
        props::walk::run(&data);
    }
}

#[test]
fn damaged_fixtures() {
    let mut random = Random(43);
    for name in ["avr-uno-5.2", "avr-uno-11.1", "microvm-11.1", "novmdesc-10.0", "sparc64-11.1"] {
        let bytes = fixture(name);
        let image = open(bytes.clone(), true).unwrap();
        let text =
            image.walk().description.as_ref().map(|d| &bytes[d.record.start.0 as usize + 5..]).unwrap_or_default();
        let ram = image.walk().sections[0].payload;
        let mut records = vec![4];
        records.extend(&bytes[ram.start.0 as usize..]);
        for _ in 0..times(12) {
            props::walk::run(&damage(&mut random, &bytes));
            props::ram::run(&damage(&mut random, &records));
            props::compat::run(&[&damage(&mut random, &bytes)[..], props::compat::BETWEEN, &bytes].concat());
            if !text.is_empty() {
                let json = damage(&mut random, text);
                props::description::run(&json);
                let payload = image.device_sections().map(|s| s.payload).nth(random.below(3)).unwrap();
                let payload = &bytes[payload.start.0 as usize..payload.end.0 as usize];
                props::interp::run(&[&json[..], b"\0", payload].concat());
            }
        }
    }
}

/// Streams with processors and memory, damaged.
#[test]
fn damaged_machines_as_core_dumps() {
    let mut random = Random(46);
    for name in
        ["cpu-x86_64-11.1", "cpu-s390x-11.1", "cpu-aarch64-sve-11.1", "cpu-riscv32-11.1", "pc-5.2", "mapped-ram-11.1"]
    {
        let bytes = fixture(name);
        props::dump::run(&bytes);
        for _ in 0..times(4) {
            props::dump::run(&damage(&mut random, &bytes));
        }
    }
}

/// A kernel log in memory, damaged; and page tables that lead to themselves.
#[test]
fn guests_that_lie() {
    let mut random = Random(45);
    let text = include_str!("data/vmcoreinfo.txt");
    for _ in 0..times(400) {
        let mut memory = vec![0; 0x6000];
        memory[..text.len()].copy_from_slice(text.as_bytes());
        // the ring of `VMCOREINFO`: pointers to rings of 4 records and 128 bytes
        let mut put = |at: usize, v: u64| memory[at..at + 8].copy_from_slice(&v.to_le_bytes());
        let base = 0xffff_ffff_8000_0000;
        for (at, v) in [
            (0x1000, base + 0x2000),
            (0x2000, 2),
            (0x2008, base + 0x3000),
            (0x2010, base + 0x4000),
            (0x2018, 6),
            (0x2020, 3),
            (0x2030, 7),
            (0x2038, base + 0x5000),
        ] {
            put(at, v);
        }
        for id in 3..7 {
            put(0x3000 + 24 * (id & 3), 2 << 62 | id as u64);
            put(0x3008 + 24 * (id & 3), 0x18 * (id as u64 - 3));
            put(0x3010 + 24 * (id & 3), 0x18 * (id as u64 - 2));
            put(0x4010 + 88 * (id & 3), 5);
        }
        for _ in 0..random.below(6) {
            let at = random.below(memory.len() - 8);
            let at = if random.below(2) == 0 { at & 0x203f } else { at };
            memory[at] = (random.next() >> random.below(60)) as u8;
        }
        let mut data: Vec<u8> = (0..32).map(|_| (random.next() >> random.below(60)) as u8).collect();
        data.extend(memory);
        props::guest::run(&data);
        let entries: Vec<u8> =
            (0..32 + 0x3000).map(|i| if i % 8 < 2 { (random.next() >> random.below(60)) as u8 } else { 0 }).collect();
        props::guest::run(&entries);
    }
}

/// Types that lie about their kinds, counts, names and each other, with expressions over them.
#[test]
fn types_that_lie() {
    let mut random = Random(47);
    let expressions = [
        "init_task",
        "list(init_task.tasks, struct task_struct, tasks).comm",
        "*init_task.parent.tasks.next",
        "this_task@cpu0.counts[0..3]",
        "struct task_struct@0xffffffff8100a000",
        "task_struct.tasks.next+0x10",
        "struct task_struct *[2]@this_task",
    ];
    for expression in expressions {
        props::types::run(&props::types::sound(expression));
    }
    for n in 0..times(100) {
        let expression = expressions[n % expressions.len()];
        let mut data = props::types::sound(expression);
        let begin = 4 + expression.len();
        for _ in 0..=random.below(6) {
            let at = begin + random.below(data.len() - begin);
            match random.below(4) {
                // a type of another one, near by
                0 | 1 => data[at & !3 | begin & 3] = random.below(30) as u8,
                2 => data[at] = (random.next() >> random.below(60)) as u8,
                _ => data[1 + random.below(begin - 1)] = (random.next() >> random.below(60)) as u8,
            }
        }
        props::types::run(&data);
    }
}

/// The header of a Windows dump, page tables, debugger data and processor blocks, damaged.
#[test]
fn windows_guests_that_lie() {
    let mut random = Random(46);
    // physical memory from 1 MiB on, with its first page at 0x100000 as its tables say
    for (name, width) in [("64", 0), ("32", 0x21)] {
        let stream =
            std::fs::read(format!("{}/testdata/windows/windows{name}-11.1.mig.zst", env!("CARGO_MANIFEST_DIR")));
        let image = open(zstd::decode_all(&stream.unwrap()[..]).unwrap(), true).unwrap();
        let mut sound = vec![width, 0x10, 0x01];
        sound.resize(3 + 0x12_0000, 0);
        image.memory().unwrap().read(savevm_analyze::Gpa(0x10_0000), &mut sound[3 + 0x10_0000..]).unwrap();
        // the second run ends with memory
        let runs = if width == 0 { 0x90 + 8 + 24 } else { 0x68 + 4 + 12 };
        sound[3 + 0x11_0018 + runs] = 0x20;
        sound[3 + 0x11_0018 + runs + 1] = 0;
        // of two processors, by the note and by a search
        assert!(props::windows::planned(&sound) >= 4);
        for _ in 0..times(150) {
            let mut data = sound.clone();
            for _ in 0..=random.below(4) {
                // entries of tables, the pages of the kernel, the first fields of the header
                let at = match random.below(4) {
                    0 => 0x10_0000 + random.below(0x4000),
                    1 => 0x10_4000 + random.below(0x3000),
                    2 => 0x11_0000 + random.below(0x200),
                    _ => [0x10_4010, 0x10_4088, 0x10_4218, 0x10_4338, 0x10_5200, 0x10_6120, 0x11_0028, 0x11_00a0]
                        [random.below(8)],
                };
                data[3 + at] = (random.next() >> random.below(60)) as u8;
            }
            props::windows::run(&data);
        }
    }
}

#[test]
fn damaged_dumps() {
    let mut random = Random(44);
    let dump = include_bytes!("../testdata/dumps/riscv64-11.1.json.zst");
    let dump = zstd::decode_all(&dump[..]).unwrap();
    let stream = fixture("avr-uno-11.1");
    for _ in 0..times(60) {
        let damaged = damage(&mut random, &dump);
        props::compat::run(&[&damaged[..], props::compat::BETWEEN, &dump].concat());
        props::compat::run(&[&damaged[..], props::compat::BETWEEN, &stream].concat());
    }
}
