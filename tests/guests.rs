//! Linux guests in `testdata/guests/`: their page tables against what QEMU says of them, and their kernel logs against what they
//! printed on their consoles.

#![cfg(feature = "cli")]

mod common;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

use savevm_analyze::inspect::{Cpus, guest_note};
use savevm_analyze::memory::PhysicalMemory;
use savevm_analyze::os::linux::{kernel::Kernel, printk, vmcoreinfo};
use savevm_analyze::paging::AddressSpace;
use savevm_analyze::{Gpa, SaveImage};

/// The guests: how VMCOREINFO is found, and the mode of the page tables.
static GUESTS: &[(&str, &str, &str)] = &[
    ("linux-5.10-x86_64-5.2", "note", "x86, 4-level paging"),
    ("linux-6.1-x86_64", "device", "x86, 5-level paging"),
    ("linux-7-x86_64", "note", "x86, 5-level paging"),
    ("linux-6.1-i386-nopae", "note", "x86, 32-bit paging"),
    ("linux-6.1-i386-pae", "note", "x86, PAE paging"),
    ("linux-6.1-arm64", "note", "AArch64, TTBR0_EL1 and TTBR1_EL1"),
    ("linux-6.1-arm64-max", "device", "AArch64, TTBR0_EL2 and TTBR1_EL2"),
    ("linux-6.12-arm64-16k", "note", "AArch64, TTBR0_EL1 and TTBR1_EL1"),
    ("linux-6.1-s390x", "lowcore", "IBM Z, home space"),
    ("linux-6.12-riscv64", "note", "RISC-V, Sv57"),
    ("linux-6.12-riscv64-sv39", "note", "RISC-V, Sv39"),
    ("linux-6.12-riscv64-sv48", "note", "RISC-V, Sv48"),
];

fn file(name: &str, end: &str) -> PathBuf {
    common::testdata().join("guests").join(format!("{name}.{end}"))
}

/// Returns the virtual addresses that QEMU was asked about, and the guest-physical ones that it answered.
fn answers(text: &str) -> Vec<(u64, Option<u64>)> {
    let hex = |t: &str| u64::from_str_radix(t.trim_start_matches("0x"), 16).unwrap();
    let line = |l: &str| {
        let (virt, answer) = l.split_once(' ').unwrap();
        (hex(virt), answer.strip_prefix("gpa: ").map(hex))
    };
    text.lines().map(line).collect()
}

fn space(image: &SaveImage) -> AddressSpace {
    let cpus = Cpus::find(image).unwrap();
    let first = cpus.sections().next().unwrap();
    AddressSpace::of_cpu(&cpus.decode(first).unwrap()).unwrap()
}

#[test]
fn addresses_are_where_qemu_says() {
    let mut mapped = 0;
    for (name, _, mode) in GUESTS {
        let image = SaveImage::options().keep_memory(u64::MAX).open(file(name, "mig.zst")).unwrap();
        let (memory, space) = (image.memory().unwrap(), space(&image));
        assert_eq!(space.name(), *mode, "{name}");
        for (virt, expected) in answers(&std::fs::read_to_string(file(name, "gva2gpa.txt")).unwrap()) {
            let ours = space.translate(memory, virt).map(|t| t.address.0);
            match (&ours, expected) {
                (Ok(a), Some(b)) => assert_eq!(*a, b, "{name}: {virt:#x}"),
                (Err(e), None) => assert!(e.message().contains("is not"), "{name}: {e}"),
                _ => panic!("{name}: {virt:#x}: {ours:x?}, QEMU says {expected:x?}"),
            }
            mapped += usize::from(ours.is_ok());
        }
    }
    assert!(mapped > 400, "only {mapped} addresses are mapped");
}

#[test]
fn kernel_logs_are_what_the_guests_printed() {
    for (name, how, _) in GUESTS {
        let stream = file(name, "mig.zst");
        let args = ["dmesg", stream.to_str().unwrap()];
        let out = common::savevm_analyze().args(args).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(0), "{name}: {said}");
        assert!(said.contains("; the kernel in memory has the same release"), "{name}: {said}");
        let log = String::from_utf8(out.stdout).unwrap();
        let console = zstd::decode_all(&*std::fs::read(file(name, "console.txt.zst")).unwrap()).unwrap();
        let console = String::from_utf8_lossy(&console).into_owned();
        // lines of processes have no time; the console begins with the log, in full
        let printed: Vec<&str> = console.lines().map(str::trim_end).filter(|l| l.starts_with("[ ")).collect();
        let ours: Vec<&str> = log.lines().map(str::trim_end).collect();
        for line in &printed {
            assert!(ours.contains(line), "{name}: the log lacks {line:?}");
        }
        assert!(printed.len() > 100 && ours.len() > 100, "{name}");
        if console.contains("savevm-guest-marker") {
            assert!(log.contains("] savevm-guest-marker: hello from the guest kernel log\n"), "{name}");
        }
        let json = common::savevm_analyze().args(args).arg("--json").output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(json["vmcoreinfo"]["found_by"], *how, "{name}");
        assert_eq!(json["vmcoreinfo"]["proved"], true);
        let seq: Vec<u64> = json["records"].as_array().unwrap().iter().map(|r| r["seq"].as_u64().unwrap()).collect();
        assert!(seq.windows(2).all(|w| w[0] + 1 == w[1]), "{name}: records are missing");
    }
}

/// Memory that notes what is read of it.
struct Noted<'a> {
    memory: &'a dyn PhysicalMemory,
    read: Mutex<Vec<(u64, usize)>>,
}

impl PhysicalMemory for Noted<'_> {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> savevm_analyze::Result<()> {
        self.read.lock().unwrap().push((address.0, buf.len()));
        self.memory.read(address, buf)
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.memory.ranges()
    }
}

/// Not a test: prints what `make-guests.py` keeps of a whole stream. `GUEST` is the stream, `ADDRESSES` the file with QEMU's answers.
#[test]
#[ignore = "makes fixtures"]
fn what_is_read() {
    let image = SaveImage::open(std::env::var_os("GUEST").unwrap()).unwrap();
    let memory = image.memory().unwrap();
    let found = vmcoreinfo::find(memory, guest_note(&image).unwrap()).unwrap().unwrap();
    let noted = Noted { memory, read: Mutex::default() };
    let again = vmcoreinfo::find(&noted, Some((found.at, 1 << 16))).unwrap().unwrap();
    assert!(again.proved);
    noted.memory.read(Gpa(0xe0c), &mut [0; 8]).unwrap_or_default();
    noted.read.lock().unwrap().push((0xe0c, 8));
    printk::read(&Kernel::new(&noted, &again), &again.info).unwrap();
    let space = space(&image);
    for (virt, _) in answers(&std::fs::read_to_string(std::env::var_os("ADDRESSES").unwrap()).unwrap()) {
        let _ = space.walk(&noted, virt);
    }
    let map = memory.map().unwrap();
    let main = (0..memory.blocks().len()).max_by_key(|i| memory.blocks()[*i].len).unwrap();
    for (at, len) in noted.read.into_inner().unwrap() {
        if let Some((_, offset, _)) = map.find(Gpa(at)).filter(|(block, ..)| *block == main) {
            println!("range {offset} {len:#x}");
        }
    }
}
