//! A second, stale copy of a kernel, lower in memory than the one that runs: no answer may come from it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::props::{QUESTIONS, ask, registers};
use super::{GUESTS, file};
use savevm_analyze::inspect::linux_hints;
use savevm_analyze::memory::PhysicalMemory;
use savevm_analyze::os::linux::find::Hints;
use savevm_analyze::os::linux::guest::Guest;
use savevm_analyze::os::linux::stack::Registers;
use savevm_analyze::{Gpa, Result, SaveImage};

const PAGE: u64 = 4096;

/// Memory with pages that were not there.
struct With<'a> {
    memory: &'a dyn PhysicalMemory,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl PhysicalMemory for With<'_> {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buf.len() {
            let at = address.0 + done as u64;
            let within = (at % PAGE) as usize;
            let n = (PAGE as usize - within).min(buf.len() - done);
            let piece = &mut buf[done..done + n];
            match self.pages.get(&(at / PAGE)) {
                Some(p) => piece.copy_from_slice(&p[within..within + n]),
                None => self.memory.read(Gpa(at), piece)?,
            }
            done += n;
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.memory.ranges()
    }
}

fn answers(mem: &dyn PhysicalMemory, hints: &Hints, registers: &[Registers]) -> (String, Vec<String>) {
    let guest = Guest::find(mem, hints).unwrap();
    let mut out = Vec::new();
    for q in QUESTIONS {
        ask(q, &guest, registers, &mut |line| out.push(line)).unwrap();
    }
    (guest.release().to_string(), out)
}

/// Makes a page as another boot of another build would have left it: other addresses, another release.
fn aged(page: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for w in page.as_chunks::<8>().0 {
        let n = u64::from_le_bytes(*w);
        // what points into the image, and the base of kallsyms, by another address of KASLR
        let moved = if n >> 32 == 0xffff_ffff || n >> 44 == 0xfffff { n.wrapping_sub(0x20_0000) } else { n };
        out.extend(moved.to_le_bytes());
    }
    for (from, to) in [(&b"cloud"[..], &b"stale"[..]), (b"init_task", b"sysv_task"), (b"task_struct", b"task_stale_")] {
        while let Some(at) = out.windows(from.len()).position(|w| w == from) {
            out[at..at + to.len()].copy_from_slice(to);
        }
    }
    out
}

#[test]
fn no_answer_comes_from_a_stale_copy() {
    for name in GUESTS {
        let image = SaveImage::options().keep_memory(u64::MAX).open(file(name, "mig.zst")).unwrap();
        let memory = image.memory().unwrap();
        let (hints, registers) = (linux_hints(&image).unwrap(), registers(&image));
        let (release, whole) = answers(memory, &hints, &registers);
        let guest = Guest::find(memory, &hints).unwrap();
        let page = |p: u64| {
            let mut out = vec![0; PAGE as usize];
            memory.read(Gpa(p * PAGE), &mut out).ok().map(|()| out)
        };
        let kernel = guest.kernel();
        let virt = |r: &Range<u64>| (r.start..r.end).step_by(PAGE as usize).collect::<Vec<_>>();
        let own: Vec<u64> = guest.image().iter().flat_map(virt).map(|a| kernel.physical(a).unwrap().0 / PAGE).collect();
        let note = guest.vmcoreinfo().unwrap().at.0 / PAGE;
        // the copy is in pages that are free in this stream, below the image and the note
        let lowest = own.iter().copied().min().unwrap().min(note);
        let start = memory.ranges()[0].start.max(0x10_0000) / PAGE;
        let shift = [start, start + 1024, 1].into_iter().find(|s| *s < lowest).unwrap();
        let mut pages = BTreeMap::new();
        let mut put = |to: u64, from: u64| {
            if let (Some(content), None) = (page(from), page(to)) {
                pages.insert(to, aged(&content));
            }
        };
        put(shift, note);
        let first = own.iter().copied().min().unwrap();
        for p in &own {
            if shift + 1 + (p - first) < lowest {
                put(shift + 1 + (p - first), *p);
            }
        }
        let copied = pages.len();
        let searched = memory.ranges();
        assert!(pages.keys().all(|p| searched.iter().any(|r| r.contains(&(p * PAGE)))), "{name}");
        let with = With { memory, pages };
        let has = |text: &[u8]| with.pages.values().any(|p| p.windows(text.len()).any(|w| w == text));
        assert!(copied > 1000 && has(b"VMCOREINFO"), "{name}: {copied} pages");
        let (same, again) = answers(&with, &hints, &registers);
        assert_eq!(same, release, "{name}");
        let differ = whole.iter().zip(&again).find(|(a, b)| a != b);
        assert!(whole == again, "{name}: {} and {} lines, the first that differ: {differ:?}", whole.len(), again.len());
        println!("{name}: {copied} stale pages below {:#x}, {} lines the same", lowest * PAGE, whole.len());
    }
}
