//! Page tables: QEMU's `gva2gpa` says the same of a paused machine, in each mode of x86.

use savevm_analyze::SaveImage;
use savevm_analyze::inspect::Cpus;
use savevm_analyze::paging::AddressSpace;
use serde_json::json;

use crate::guest;
use crate::qemu::{self, RAM, Vm};

/// Where the tables are; the guest's own code is below.
const TABLES: u64 = 2 << 20;

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 20) ^ (self.0 << 40)
    }
}

/// A mode of x86: bits of the address that each level takes, from the lowest; the control registers.
struct Mode {
    name: &'static str,
    shifts: &'static [u32],
    entry: u64,
    cr4: u32,
    efer: u32,
}

static MODES: &[Mode] = &[
    Mode { name: "x86, 32-bit paging", shifts: &[12, 22], entry: 4, cr4: 0x10, efer: 0 },
    Mode { name: "x86, PAE paging", shifts: &[12, 21, 30], entry: 8, cr4: 0x20, efer: 0 },
    Mode { name: "x86, 4-level paging", shifts: &[12, 21, 30, 39], entry: 8, cr4: 0x20, efer: 0x100 },
    Mode { name: "x86, 5-level paging", shifts: &[12, 21, 30, 39, 48], entry: 8, cr4: 0x1020, efer: 0x100 },
];

/// Tables that grow, in the guest's memory.
struct Tables<'a> {
    vm: &'a Vm,
    mode: &'a Mode,
    used: u64,
    set: std::collections::BTreeMap<u64, u64>,
}

impl Tables<'_> {
    fn index(&self, level: usize, address: u64) -> u64 {
        let bits = match (self.mode.entry, level) {
            (4, _) => 10,
            (_, 2) if self.mode.shifts.len() == 3 => 2,
            _ => 9,
        };
        address >> self.mode.shifts[level] & ((1 << bits) - 1)
    }

    /// Sets the entry of an address at a level, and makes the tables above it. Has no effect where there is a page already.
    fn map(&mut self, address: u64, level: usize, entry: u64) {
        let mut table = TABLES;
        for l in (level..self.mode.shifts.len()).rev() {
            let at = table + self.mode.entry * self.index(l, address);
            let old = self.set.get(&at).copied();
            if l == level {
                if old.is_none() {
                    self.put(at, entry);
                }
                return;
            }
            table = match old {
                Some(t) if t & 1 == 1 && t & 0x80 == 0 => t & 0xffff_f000,
                Some(_) => return,
                None => {
                    self.used += 4096;
                    let next = TABLES + self.used;
                    assert!(next < RAM, "the tables are too many");
                    // the pointers of PAE have reserved bits
                    self.put(at, next | if l == 2 && self.mode.shifts.len() == 3 { 1 } else { 0x67 });
                    next
                }
            };
        }
    }

    fn put(&mut self, at: u64, entry: u64) {
        self.set.insert(at, entry);
        self.vm.poke(at, &entry.to_le_bytes()[..self.mode.entry as usize]);
    }
}

#[test]
fn addresses_are_where_gva2gpa_says() {
    let Some(qemu) = qemu::find() else { return };
    for mode in MODES {
        let code = guest::paging([mode.cr4, TABLES as u32, mode.efer, 0x8000_0011]);
        let mut vm = Vm::start(&qemu, "pc", &code, &["-S", "-cpu", "max"]);
        let mut random = Random(mode.shifts.len() as u64 + mode.entry);
        let wide = mode.shifts.len() > 3;
        let top = mode.shifts.last().unwrap() + 8;
        let mut addresses = vec![0xf_0000, 0xf_0fff];
        {
            let mut tables = Tables { vm: &vm, mode, used: 0, set: Default::default() };
            tables.map(0xf_0000, 0, 0xf_0003);
            for _ in 0..200 {
                let address = random.next();
                let address = match (wide, address & 1 == 1) {
                    (false, _) => address & 0xffff_ffff,
                    (true, true) => address | !((1 << top) - 1),
                    (true, false) => address & ((1 << top) - 1),
                };
                // few tables near the root, so that some have several entries
                let address = if random.next() & 3 != 0 { address & !(0xf_f000_0000 << 4) } else { address };
                let level = match random.next() % 4 {
                    1 => 1,
                    2 if wide => 2,
                    _ => 0,
                };
                let large = if level > 0 { 0x80 } else { 0 };
                let page = random.next() & 0xff_ffff_f000 & !((1 << mode.shifts[level]) - 1);
                let page = if mode.entry == 4 { page & 0xffff_f000 } else { page };
                let present = u64::from(!random.next().is_multiple_of(8));
                tables.map(address, level, page | 0x62 | large | present);
                addresses.extend([address, address ^ (random.next() & 0x3fff_ffff)]);
            }
        }
        vm.qmp("cont", json!({}));
        std::thread::sleep(std::time::Duration::from_millis(300));
        vm.qmp("stop", json!({}));
        let state = vm.save("state.mig");
        let image = SaveImage::open(&state).unwrap();
        let cpus = Cpus::find(&image).unwrap();
        let cpu = cpus.decode(cpus.sections().next().unwrap()).unwrap();
        let space = AddressSpace::of_cpu(&cpu).unwrap();
        assert_eq!(space.name(), mode.name);
        let memory = image.memory().unwrap();
        let mut mapped = 0;
        for a in addresses {
            let answer = vm.hmp(&format!("gva2gpa {a:#x}"));
            let theirs = answer.trim().strip_prefix("gpa: 0x").map(|hex| u64::from_str_radix(hex, 16).unwrap());
            let ours = space.translate(memory, a).ok().map(|t| t.address.0);
            assert_eq!(ours, theirs, "{}: {a:#x}: QEMU says {}", mode.name, answer.trim());
            mapped += usize::from(ours.is_some());
        }
        assert!((100..390).contains(&mapped), "{}: {mapped} addresses are mapped", mode.name);
    }
}
