//! A Linux guest whose memory says anything at all: every question about it has an answer or an error, soon.

#![allow(dead_code, reason = "each user needs a part of it")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use savevm_analyze::inspect::{self, Cpus};
use savevm_analyze::memory::PhysicalMemory;
use savevm_analyze::os::linux::find::Hints;
use savevm_analyze::os::linux::guest::Guest;
use savevm_analyze::os::linux::kernel::Kernel;
use savevm_analyze::os::linux::stack::{self, Names, Registers, Stack};
use savevm_analyze::os::linux::{files, modules, net, paths, printk, tasks, vmcoreinfo};
use savevm_analyze::{Error, Gpa, Result, SaveImage};

/// What is asked of a guest, as the commands do it.
pub const QUESTIONS: [&str; 8] = ["sym", "ps", "lsmod", "net", "files", "mounts", "bt", "dmesg"];

/// Memory in which some bytes are others.
pub struct Patched<'a> {
    pub memory: &'a dyn PhysicalMemory,
    pub bytes: Mutex<BTreeMap<u64, u8>>,
}

impl<'a> Patched<'a> {
    pub fn new(memory: &'a dyn PhysicalMemory) -> Self {
        Self { memory, bytes: Mutex::default() }
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.bytes.lock().unwrap().extend((at..).zip(bytes.iter().copied()));
    }

    pub fn restore(&self) {
        self.bytes.lock().unwrap().clear();
    }
}

impl PhysicalMemory for Patched<'_> {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        self.memory.read(address, buf)?;
        let end = address.0.saturating_add(buf.len() as u64);
        for (at, b) in self.bytes.lock().unwrap().range(address.0..end) {
            buf[(at - address.0) as usize] = *b;
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.memory.ranges()
    }
}

/// Memory that notes what is read of it.
pub struct Noted<'a> {
    pub memory: &'a dyn PhysicalMemory,
    pub read: Mutex<Vec<(u64, usize)>>,
}

impl<'a> Noted<'a> {
    pub fn new(memory: &'a dyn PhysicalMemory) -> Self {
        Self { memory, read: Mutex::default() }
    }

    pub fn take(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.read.lock().unwrap())
    }
}

impl PhysicalMemory for Noted<'_> {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        self.read.lock().unwrap().push((address.0, buf.len()));
        self.memory.read(address, buf)
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.memory.ranges()
    }
}

/// Returns the registers of the processors.
pub fn registers(image: &SaveImage) -> Vec<Registers> {
    let cpus = Cpus::find(image).unwrap();
    let found = cpus.sections().filter_map(|d| cpus.decode(d)).collect::<Vec<_>>();
    found.iter().filter_map(inspect::stack_registers).collect()
}

/// Asks a question, and gives each part of the answer to `say`.
pub fn ask(question: &str, guest: &Guest<'_>, registers: &[Registers], say: &mut dyn FnMut(String)) -> Result<()> {
    match question {
        "sym" => guest.symbols().iter().for_each(|s| say(format!("{:x} {} {}", s.address, s.kind, s.exact()))),
        "ps" => {
            let all = tasks::tasks(guest, true)?;
            all.list.iter().for_each(|t| say(format!("{t:?}")));
            problems(&all.problems, say);
        }
        "lsmod" => {
            let all = modules::modules(guest)?;
            all.list.iter().for_each(|m| say(format!("{m:?}")));
            problems(&all.problems, say);
        }
        "net" => {
            let processes = tasks::tasks(guest, false)?;
            let addresses: Vec<(u64, u64)> = processes.list.iter().map(|t| (t.address, t.pid)).collect();
            let all = net::net(guest, &addresses)?;
            for n in &all.namespaces {
                say(format!("{} {:x}", n.inode, n.address));
                n.interfaces.iter().for_each(|i| say(format!("{i:?}")));
                n.sockets.iter().for_each(|s| say(format!("{s:?}")));
            }
            problems(&all.problems, say);
        }
        "files" => {
            for t in tasks::tasks(guest, false)?.list {
                let f = files::files(&guest.object("struct task_struct", t.address)?)?;
                say(format!("{} {:?}", t.pid, f.places));
                f.open.iter().for_each(|o| say(format!("{o:?}")));
                problems(&f.problems, say);
            }
        }
        "mounts" => {
            let addresses: Vec<u64> = tasks::tasks(guest, false)?.list.iter().map(|t| t.address).collect();
            for (_, namespace) in paths::namespaces(guest, &addresses)? {
                say(format!("{:?}", namespace.path("ns.inum").and_then(|n| n.number()).ok()));
                match paths::mounts(&namespace) {
                    Ok(all) => all.iter().for_each(|m| say(format!("{m:?}"))),
                    Err(e) => problems(&[e], say),
                }
            }
        }
        "bt" => {
            let all = tasks::tasks(guest, true)?;
            let names = Names::new(guest)?;
            let mut stack = |s: Result<Stack>| match s {
                Ok(s) => {
                    for f in &s.frames {
                        let place = names.of(f.pc.wrapping_sub(u64::from(f.returns))).unwrap();
                        say(format!("{f:x?} {place:?}"));
                    }
                    say(format!("{:?}", s.end));
                }
                Err(e) => problems(&[e], say),
            };
            registers.iter().for_each(|r| stack(stack::of_registers(&names, r)));
            for t in all.list.iter().filter(|t| !t.on_cpu) {
                stack(guest.object("struct task_struct", t.address).and_then(|o| stack::of_task(&names, &o)));
            }
        }
        _ => {
            let log = match guest.vmcoreinfo() {
                Some(found) => printk::read(&Kernel::new(guest.kernel().memory(), found), &found.info)?,
                None => printk::read(guest.kernel(), guest)?,
            };
            log.records.iter().for_each(|r| say(format!("{r:?}")));
            problems(&log.problems, say);
        }
    }
    Ok(())
}

fn problems(all: &[Error], say: &mut dyn FnMut(String)) {
    all.iter().for_each(|e| say(format!("problem: {e}")));
}

/// Damages that are done to a word of memory.
const DAMAGES: u64 = 8;

/// Writes something else at a place that is read: `by` says what, `other` is another place that is read.
pub fn damage(mem: &Patched<'_>, at: u64, other: u64, by: u64) {
    let word = |at: u64| {
        let mut b = [0; 8];
        mem.memory.read(Gpa(at), &mut b).map_or(0, |()| u64::from_le_bytes(b))
    };
    let aligned = at & !7;
    match by % DAMAGES {
        // a bit, a byte, a word
        0 => mem.write(at, &[(word(at) as u8) ^ 1 << (by >> 8 & 7)]),
        1 => mem.write(at, &[(by >> 8) as u8]),
        2 => mem.write(aligned, &by.rotate_left(13).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()),
        // nothing, all, a large count
        3 => mem.write(aligned, &0_u64.to_le_bytes()),
        4 => mem.write(aligned, &[u64::MAX, 0x7fff_ffff, 0xffff_ffff, 1 << 20][(by >> 8) as usize & 3].to_le_bytes()),
        // what is elsewhere: lists that lead into others, or in circles
        5 => mem.write(aligned, &word(other & !7).to_le_bytes()),
        6 => mem.write(aligned, &word(aligned.wrapping_sub((by >> 8 & 15) * 8)).to_le_bytes()),
        _ => mem.write(aligned, &word(aligned).wrapping_add((by >> 8 & 0xff) * 8).wrapping_sub(0x400).to_le_bytes()),
    }
}

/// A guest, and what is read of it.
pub struct Subject {
    pub image: SaveImage,
    pub hints: Hints,
    pub registers: Vec<Registers>,
    /// What is read to find the kernel, and for each question.
    pub read: Vec<Vec<(u64, usize)>>,
}

impl Subject {
    pub fn new(image: SaveImage) -> Self {
        let mut hints = inspect::linux_hints(&image).unwrap();
        let found = vmcoreinfo::find(image.memory().unwrap(), hints.note).unwrap().unwrap();
        // it is not searched for again and again
        hints.note = Some((found.at, 1 << 16));
        let registers = registers(&image);
        let mut read = Vec::new();
        {
            let noted = Noted::new(image.memory().unwrap());
            let guest = Guest::find(&noted, &hints).unwrap();
            read.push(noted.take());
            for q in QUESTIONS {
                ask(q, &guest, &registers, &mut |_| {}).unwrap();
                read.push(noted.take());
            }
        }
        for list in &mut read {
            list.sort_unstable();
            list.dedup();
        }
        Self { image, hints, registers, read }
    }

    /// Returns a place that is read for a question (0 to find the kernel).
    pub fn place(&self, question: usize, by: u64) -> u64 {
        let list = &self.read[question];
        let Some((at, len)) = list.get((by % list.len().max(1) as u64) as usize) else { return 0 };
        // of the many bytes of a table or of types, some
        at + (by >> 32) % (*len).max(1) as u64
    }
}

/// For `fuzz/`: numbers that say which places of a guest are damaged, and how.
pub fn run(subject: &Subject, data: &[u8]) {
    let memory = Patched::new(subject.image.memory().unwrap());
    for c in data.as_chunks::<17>().0.iter().take(8) {
        let n = |at: usize| u64::from_le_bytes(c[at..at + 8].try_into().unwrap());
        let question = usize::from(c[0]) % subject.read.len();
        let other = subject.place(question, n(9));
        damage(&memory, subject.place(question, n(1)), other, n(9).rotate_left(20));
    }
    let Ok(guest) = Guest::find(&memory, &subject.hints) else { return };
    for q in QUESTIONS {
        let _ = ask(q, &guest, &subject.registers, &mut |_| {});
    }
}
