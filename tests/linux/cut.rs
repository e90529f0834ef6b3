//! What `testdata/linux/make-linux.py` keeps of a whole stream.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::props::{Noted, QUESTIONS, ask, registers};
use savevm_analyze::inspect::guest_note;
use savevm_analyze::memory::PhysicalMemory;
use savevm_analyze::os::linux::find::Hints;
use savevm_analyze::os::linux::guest::Guest;
use savevm_analyze::os::linux::kallsyms::Symbols;
use savevm_analyze::os::linux::kernel::Kernel;
use savevm_analyze::os::linux::vmcoreinfo::{self, Found};
use savevm_analyze::{Error, ErrorKind, Gpa, Result, SaveImage};

const PAGE: u64 = 4096;
/// Reads of so many bytes are searches, unless they are of something that was found.
const BULK: usize = 2048;

/// Memory of which only some bytes are left; other bytes of the same pages and of the kernel's image are zero.
struct Cut<'a> {
    memory: &'a dyn PhysicalMemory,
    kept: &'a BTreeMap<u64, u64>,
    pages: &'a BTreeSet<u64>,
}

impl PhysicalMemory for Cut<'_> {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        let end = address.0 + buf.len() as u64;
        if (address.0 / PAGE..end.div_ceil(PAGE)).any(|p| !self.pages.contains(&p)) {
            return Err(Error::new(ErrorKind::Missing, "the page was left out"));
        }
        let mut whole = vec![0; buf.len()];
        self.memory.read(address, &mut whole)?;
        buf.fill(0);
        let first = self.kept.range(..=address.0).next_back();
        for (from, to) in first.into_iter().chain(self.kept.range(address.0 + 1..end)) {
            let part = (*from).max(address.0) - address.0..(*to).min(end).saturating_sub(address.0);
            let part = part.start as usize..part.end as usize;
            if part.start < part.end {
                buf[part.clone()].copy_from_slice(&whole[part]);
            }
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.memory.ranges()
    }
}

/// Returns where VMCOREINFO is, so that it is not searched for.
fn hints(found: &Found) -> Hints {
    Hints { note: Some((found.at, 1 << 16)), ..Hints::default() }
}

/// Returns every answer.
fn answers(
    mem: &dyn PhysicalMemory,
    found: &Found,
    registers: &[savevm_analyze::os::linux::stack::Registers],
) -> String {
    let mut out = String::new();
    let guest = match Guest::find(mem, &hints(found)) {
        Ok(g) => g,
        Err(e) => return format!("no guest: {e}"),
    };
    for q in QUESTIONS {
        out += &format!("== {q}\n");
        if let Err(e) = ask(q, &guest, registers, &mut |line| out += &format!("{line}\n")) {
            out += &format!("{e}\n");
        }
    }
    out
}

/// Returns what was read in order to find answers: without what was only searched, or followed in vain.
fn needed(mem: &dyn PhysicalMemory, found: &Found, image: &SaveImage) -> Vec<(u64, u64)> {
    let noted = Noted::new(mem);
    let mut out = Vec::new();
    let mut keep = |list: &[(u64, usize)], all: bool| {
        out.extend(list.iter().filter(|(_, n)| all || *n < BULK).map(|(at, n)| (*at, at + *n as u64)));
    };
    // the note, the kernel's name, and the address of the note on IBM Z
    vmcoreinfo::find(&noted, Some((found.at, 1 << 16))).unwrap().unwrap();
    noted.memory.read(Gpa(0xe0c), &mut [0; 8]).unwrap_or_default();
    keep(&noted.take(), true);
    let kernel = Kernel::new(&noted, found);
    let ranges = kernel.image().unwrap();
    keep(&noted.take(), true);
    let last = ranges.last().and_then(|r| kernel.physical(r.end - 1).ok()).map_or(0, |g| g.0);
    noted.take();
    Symbols::read(&kernel, &ranges).unwrap();
    let log = noted.take();
    // the search of the image comes first, then a part of it is read backwards, page by page
    let searched = log.iter().position(|(at, n)| (*at..at + *n as u64).contains(&last));
    let searched = searched.map_or(0, |n| n + 1);
    keep(&log[..searched], false);
    let bulk: Vec<(u64, usize)> = log[searched..].iter().copied().filter(|(_, n)| *n >= BULK).collect();
    keep(&log[searched..], false);
    let mut backwards = 0;
    for w in bulk.windows(2) {
        let down = w[1].0 + w[1].1 as u64 == w[0].0;
        backwards = if down { backwards + w[1].1 } else { 0 };
        if backwards < 32 << 10 {
            keep(&w[1..], true);
        }
    }
    keep(&bulk[..bulk.len().min(1)], true);
    let guest = Guest::find(&noted, &hints(found)).unwrap();
    keep(&noted.take(), false);
    let types = guest.types_at();
    for at in (types.at..types.at + types.bytes).step_by(64) {
        let gpa = kernel.physical(at).unwrap().0;
        keep(&[(gpa, 64)], true);
    }
    noted.take();
    let in_image = |at: u64| {
        ranges.iter().any(|r| {
            let start = kernel.physical(r.start).map_or(0, |g| g.0);
            (start..start + (r.end - r.start)).contains(&at)
        })
    };
    for q in QUESTIONS {
        ask(q, &guest, &registers(image), &mut |_| {}).unwrap();
        let log = noted.take();
        // without a symbol, the list of modules is searched for
        let searches = matches!(q, "lsmod" | "bt") && guest.symbol("modules").is_err();
        keep(&log, !searches);
        let outside: Vec<_> = log.iter().copied().filter(|(at, n)| *n >= BULK && !in_image(*at)).collect();
        keep(&outside, true);
    }
    out
}

/// Joins ranges, with some bytes around them: what is searched for may begin before what is found.
fn joined(ranges: &[(u64, u64)]) -> BTreeMap<u64, u64> {
    let mut sorted: Vec<(u64, u64)> = ranges.iter().map(|(a, b)| (a.saturating_sub(16) & !7, (b + 23) & !7)).collect();
    sorted.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (a, b) in sorted {
        match out.last_mut().filter(|l| l.1 >= a) {
            Some(last) => last.1 = last.1.max(b),
            None => out.push((a, b)),
        }
    }
    out.into_iter().collect()
}

/// Not a test: prints what `testdata/linux/make-linux.py` keeps of a whole stream, whose path is in `GUEST`.
#[test]
#[ignore = "makes fixtures"]
fn what_is_read() {
    let image = SaveImage::options().keep_memory(u64::MAX).open(std::env::var_os("GUEST").unwrap()).unwrap();
    let memory = image.memory().unwrap();
    let found = vmcoreinfo::find(memory, guest_note(&image).unwrap()).unwrap().unwrap();
    let registers = registers(&image);
    let whole = answers(memory, &found, &registers);
    let map = memory.map().unwrap();
    // the pages of the image stay, as it is searched; what is searched for is all that stays in them
    let kernel = Kernel::new(memory, &found);
    let mut zero = BTreeSet::new();
    for r in kernel.image().unwrap() {
        for at in (r.start..r.end).step_by(PAGE as usize) {
            let at = kernel.physical(at).unwrap();
            if memory.read(at, &mut [0; 1]).is_ok() {
                zero.insert(at.0 / PAGE);
            }
        }
    }
    let present = |kept: &BTreeMap<u64, u64>| -> BTreeSet<u64> {
        let pages = kept.iter().flat_map(|(a, b)| a / PAGE..b.div_ceil(PAGE));
        pages.filter(|p| memory.read(Gpa(p * PAGE), &mut [0; 1]).is_ok()).chain(zero.iter().copied()).collect()
    };
    let first = joined(&needed(memory, &found, &image));
    let pages = present(&first);
    let cut = Cut { memory, kept: &first, pages: &pages };
    compare(&whole, &answers(&cut, &found, &registers), "the first cut");
    // pointers that a search of the whole image followed in vain are gone now
    let kept = joined(&needed(&cut, &found, &image));
    let pages = present(&kept);
    compare(&whole, &answers(&Cut { memory, kept: &kept, pages: &pages }, &found, &registers), "the second cut");
    let main = (0..memory.blocks().len()).max_by_key(|i| memory.blocks()[*i].len).unwrap();
    let place = |at: u64| map.find(Gpa(at)).filter(|(block, ..)| *block == main).map(|(_, offset, _)| offset);
    for (a, b) in &kept {
        if let Some(offset) = place(*a) {
            println!("range {offset} {:#x}", b - a);
        }
    }
    for p in &zero {
        if let Some(offset) = place(p * PAGE) {
            println!("zero {offset}");
        }
    }
}

fn compare(whole: &str, cut: &str, what: &str) {
    let differ = whole.lines().zip(cut.lines()).find(|(a, b)| a != b);
    assert!(
        whole == cut,
        "{what} has other answers, {} and {} lines, the first: {differ:?}",
        whole.lines().count(),
        cut.lines().count()
    );
}
