//! ELF files.

use super::{Order, directory, dumped, extract, notes, same_notes, unpacked};

/// A program header.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Load {
    pub offset: u64,
    pub virt: u64,
    pub phys: u64,
    pub file: u64,
    pub bytes: u64,
}

/// What an ELF file says.
pub struct Elf<'a> {
    pub data: &'a [u8],
    pub order: Order,
    pub wide: bool,
    pub machine: u16,
    pub loads: Vec<Load>,
    pub notes: &'a [u8],
}

pub fn read(data: &[u8]) -> Elf<'_> {
    assert_eq!(&data[..4], b"\x7fELF");
    let (wide, order) = (data[4] == 2, Order { big: data[5] == 2 });
    let word = |at: usize| if wide { order.u64(data, at) } else { u64::from(order.u32(data, at)) };
    let (at, size, count) = if wide { (word(32) as usize, 56, 56) } else { (word(28) as usize, 32, 44) };
    let count = usize::from(order.u16(data, count));
    let header = |n: usize| {
        let at = at + n * size;
        let kind = order.u32(data, at);
        let f: Vec<u64> = (0..5).map(|i| word(if wide { at + 8 + 8 * i } else { at + 4 + 4 * i })).collect();
        (kind, Load { offset: f[0], virt: f[1], phys: f[2], file: f[3], bytes: f[4] })
    };
    let mut headers = (0..count).map(header);
    let (kind, note) = headers.next().unwrap();
    assert_eq!(kind, 4, "the first one is that of notes");
    let loads = headers.map(|(kind, load)| {
        assert_eq!(kind, 1);
        load
    });
    let notes = &data[note.offset as usize..(note.offset + note.file) as usize];
    Elf { data, order, wide, machine: order.u16(data, 18), loads: loads.collect(), notes }
}

impl<'a> Elf<'a> {
    /// The memory of a program header.
    pub fn memory(&self, l: &Load) -> &'a [u8] {
        &self.data[l.offset as usize..(l.offset + l.file) as usize]
    }
}

/// Asserts that two files say the same of the machine, wherever they have it.
pub fn same(name: &str, ours: &[u8], theirs: &[u8]) {
    let (a, b) = (read(ours), read(theirs));
    assert_eq!((a.wide, a.order, a.machine), (b.wide, b.order, b.machine), "{name}");
    let places = |e: &Elf<'_>| e.loads.iter().map(|l| (l.virt, l.phys, l.file, l.bytes)).collect::<Vec<_>>();
    assert_eq!(places(&a), places(&b), "{name}");
    same_notes(name, notes(a.order, a.notes), &notes(b.order, b.notes));
    for (x, y) in a.loads.iter().zip(&b.loads) {
        assert!(a.memory(x) == b.memory(y), "{name}: memory at {:#x}", x.phys);
    }
}

#[test]
fn headers_notes_and_memory_are_those_of_qemu() {
    let dir = directory("elf");
    let mut compared = 0;
    for d in dumped() {
        let Some(elf) = &d.elf else { continue };
        let theirs = unpacked(elf);
        let ours = extract(&d.stream, &["--format", "elf"], &dir.join("dump"));
        same(&d.name, &ours, &theirs);
        // readers find the program headers right after the ELF header, of which they are given the true size
        let at = if read(&ours).wide { 64 } else { 52 };
        assert_eq!(
            &ours[if at == 64 { 32 } else { 28 }..][..4],
            if read(&ours).order.big && at == 52 {
                [0, 0, 0, 52]
            } else if read(&ours).order.big {
                [0; 4]
            } else {
                [at, 0, 0, 0]
            }
        );
        compared += 1;
    }
    assert!(compared >= 21, "{compared}");
}

#[test]
fn qemus_layout_is_byte_for_byte_what_qemu_wrote() {
    let dir = directory("qemu-layout");
    let mut equal = 0;
    for d in dumped() {
        let Some(elf) = &d.elf else { continue };
        let layout = if d.name.ends_with("-5.2") { "qemu-5.2" } else { "qemu" };
        let theirs = unpacked(elf);
        let ours = extract(&d.stream, &["--format", "elf", "--layout", layout], &dir.join("dump"));
        assert_eq!(ours.len(), theirs.len(), "{}", d.name);
        if super::EXCEPTIONS.iter().any(|(n, ..)| *n == d.name) {
            // only inside of notes
            let notes = read(&theirs);
            let from = notes.notes.as_ptr() as usize - theirs.as_ptr() as usize;
            let range = from..from + notes.notes.len();
            let outside = |b: &[u8]| [&b[..range.start], &b[range.end..]].concat();
            assert!(outside(&ours) == outside(&theirs), "{}", d.name);
            same(&d.name, &ours, &theirs);
        } else {
            assert!(ours == theirs, "{}", d.name);
            equal += 1;
        }
    }
    assert!(equal >= 16, "{equal}");
}
