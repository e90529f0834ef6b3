//! A Linux guest whose memory says anything at all: every question about it has an answer or an error, soon.

#![allow(dead_code, reason = "each user needs a part of it")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use savevm_analyze::inspect::{self, Cpus};
use savevm_analyze::memory::PhysicalMemory;
use savevm_analyze::os::linux::guest::Guest;
use savevm_analyze::os::linux::kernel::Kernel;
use savevm_analyze::os::linux::stack::{self, Names, Registers, Stack};
use savevm_analyze::os::linux::{files, modules, net, paths, printk, tasks};
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
            registers.iter().for_each(|r| stack(stack::of_registers(guest, r)));
            for t in all.list.iter().filter(|t| !t.on_cpu) {
                stack(guest.object("struct task_struct", t.address).and_then(|o| stack::of_task(guest, &o)));
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
