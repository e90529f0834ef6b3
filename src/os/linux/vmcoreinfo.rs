//! Finds VMCOREINFO in guest memory.
//!
//! A kernel with `CONFIG_CRASH_DUMP` or `CONFIG_KEXEC` prepares an ELF note at boot: a header of 12 bytes, the name
//! `VMCOREINFO`, and up to a page of text. The note starts at a page of its own, and a copy of the text without the header starts at
//! another. A running kernel's image may also be in memory twice, and a guest may hold dumps of other kernels in its page cache, so that what
//! a search finds is *proved*: the text gives the address of the kernel's `init_uts_ns`, and there the same release must be found.

use std::fmt;

use super::address::image_address;
use super::info::Info;
use crate::error::{ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};

const NAME: &[u8; 12] = b"VMCOREINFO\0\0";

/// What is before the text: three words and the name.
const HEAD: usize = 24;

/// The text is at most one page of the kernel, and the largest has 64 KiB.
const MAX_TEXT: usize = 64 << 10;

/// QEMU's own ceiling on what the device points to (`dump_init` in `dump/dump.c`).
const MAX_DEVICE: u32 = 1 << 20;

/// Pages that are searched: 4 TiB of guest memory.
const MAX_PAGES: u64 = 1 << 30;

/// Pages in a row that are not in the stream, after which the search goes on with the next range: a state whose blocks are
/// larger than what was sent of them would take minutes.
const MAX_MISSING: u64 = 1 << 20;

/// Candidates that are examined; a real guest has one note and one copy of the text.
const MAX_CANDIDATES: usize = 1_024;

/// Where IBM Z keeps the address of the note (`lowcore.vmcore_info`).
const S390X_LOWCORE: Gpa = Gpa(0xe0c);

const PAGE: u64 = 4096;

/// How VMCOREINFO was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// The guest gave its address to the vmcoreinfo device.
    Device,
    /// Its address is in the lowcore of an IBM Z guest.
    Lowcore,
    /// A search for the note.
    Note,
    /// A search for the page from which the kernel copies the text of the note.
    DataPage,
}

impl How {
    /// Returns the stable name that JSON output uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Lowcore => "lowcore",
            Self::Note => "note",
            Self::DataPage => "data-page",
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "the guest registered it with the vmcoreinfo device",
            Self::Lowcore => "the lowcore has its address",
            Self::Note => "found by a search for the note",
            Self::DataPage => "found by a search for the text of the note",
        })
    }
}

/// VMCOREINFO in guest memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The whole ELF note, padded to 4 bytes, in the guest's byte order. The last byte of the text may be followed by zeros.
    pub note: Vec<u8>,
    /// The text.
    pub info: Info,
    /// The address of the note, or of the text if only that was found.
    pub at: Gpa,
    /// How it was found.
    pub how: How,
    /// Whether the kernel whose addresses it gives is in memory and has the same release.
    pub proved: bool,
    /// Whether the guest is big-endian.
    pub big_endian: bool,
}

impl Found {
    /// Returns the text, lines of `KEY=VALUE`.
    #[must_use]
    pub fn text(&self) -> &str {
        self.info.text()
    }

    /// Returns the value of a key, such as `SYMBOL(_stext)`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.info.get(key)
    }

    /// Returns in words what was found, where and how.
    #[must_use]
    pub fn says(&self) -> String {
        let proof = if self.proved {
            "; the kernel in memory has the same release"
        } else {
            "; not confirmed by the kernel in memory"
        };
        format!("VMCOREINFO of Linux {} at {} in memory: {}{proof}", self.info.release(), self.at, self.how)
    }
}

/// Finds VMCOREINFO: at the address that the vmcoreinfo device has (with its size), through the lowcore of IBM Z, or by a search of all
/// memory. What is proved comes before what is not. Returns `None` if there is none: the guest runs another system, or a kernel
/// without it.
///
/// # Errors
/// `Io`; a page that is not in the stream is no error.
pub fn find(mem: &dyn PhysicalMemory, device_note: Option<(Gpa, u32)>) -> Result<Option<Found>> {
    let mut unproved = None;
    if let Some((at, size)) = device_note.filter(|(_, size)| *size >= 12) {
        let most = usize::try_from(size.min(MAX_DEVICE)).unwrap_or(0);
        unproved = note_at(mem, at, most, How::Device)?;
    }
    if unproved.as_ref().is_some_and(|f| f.proved) {
        return Ok(unproved);
    }
    if let Some(f) = by_lowcore(mem)? {
        if f.proved {
            return Ok(Some(f));
        }
        unproved.get_or_insert(f);
    }
    // the guest's own word counts more than what a search finds and cannot prove
    Ok(match search(mem)? {
        Some(f) if f.proved || unproved.is_none() => Some(f),
        _ => unproved,
    })
}

/// Follows the address in the lowcore of IBM Z. On other machines something else is there, which leads to no big-endian note.
fn by_lowcore(mem: &dyn PhysicalMemory) -> Result<Option<Found>> {
    let mut pointer = [0; 8];
    if !readable(mem.read(S390X_LOWCORE, &mut pointer))? {
        return Ok(None);
    }
    let found = match u64::from_be_bytes(pointer) {
        0 => None,
        at => note_at(mem, Gpa(at), MAX_TEXT, How::Lowcore)?,
    };
    Ok(found.filter(|f| f.big_endian))
}

/// Looks at the start of each page.
fn search(mem: &dyn PhysicalMemory) -> Result<Option<Found>> {
    let mut best: Option<Found> = None;
    let (mut pages, mut candidates) = (0_u64, 0_usize);
    for range in mem.ranges() {
        let mut missing = 0_u64;
        let mut at = range.start.checked_next_multiple_of(PAGE).unwrap_or(range.end);
        while at < range.end && pages < MAX_PAGES && candidates < MAX_CANDIDATES {
            let here = Gpa(at);
            at = at.checked_add(PAGE).unwrap_or(range.end);
            pages.tally(1);
            let mut head = [0; HEAD];
            if !readable(mem.read(here, &mut head))? {
                missing.tally(1);
                if missing >= MAX_MISSING {
                    break;
                }
                continue;
            }
            missing = 0;
            let found = match how(&head) {
                Some(How::Note) => note_at(mem, here, MAX_TEXT.plus(HEAD), How::Note)?,
                Some(_) => text_at(mem, here)?,
                None => continue,
            };
            candidates.tally(1);
            let Some(found) = found else { continue };
            let rank = |f: &Found| (f.proved, f.how == How::Note);
            if rank(&found) == (true, true) {
                return Ok(Some(found));
            }
            if best.as_ref().is_none_or(|b| rank(b) < rank(&found)) {
                best = Some(found);
            }
        }
    }
    Ok(best)
}

/// Returns whether a page may begin with a note, or with the text of one.
#[must_use]
pub fn may_begin(page: &[u8]) -> bool {
    page.first_chunk::<HEAD>().is_some_and(|head| how(head).is_some())
}

/// Returns what the start of a page may be.
fn how(head: &[u8; HEAD]) -> Option<How> {
    if head.get(12..) == Some(NAME) {
        return Some(How::Note);
    }
    head.starts_with(b"OSRELEASE=").then_some(How::DataPage)
}

/// Returns whether memory could be read; of the errors only those of the system end the search.
fn readable(r: Result<()>) -> Result<bool> {
    match r {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::Io => Err(e),
        Err(_) => Ok(false),
    }
}

/// Reads as much as there is, page by page.
fn read_some(mem: &dyn PhysicalMemory, at: Gpa, most: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let page = usize::try_from(PAGE).unwrap_or(4096);
    while out.len() < most {
        let here = at.plus(out.len() as u64);
        let left = page.minus(usize::try_from(here.0 % PAGE).unwrap_or(0));
        let mut piece = vec![0; left.min(most.minus(out.len()))];
        if !readable(mem.read(here, &mut piece))? {
            break;
        }
        out.append(&mut piece);
    }
    Ok(out)
}

/// Reads a note of which at most `most` bytes are there; `None` if it is not a VMCOREINFO.
fn note_at(mem: &dyn PhysicalMemory, at: Gpa, most: usize, how: How) -> Result<Option<Found>> {
    let mut head = [0; HEAD];
    if most < HEAD || !readable(mem.read(at, &mut head))? || head.get(12..) != Some(NAME) {
        return Ok(None);
    }
    let word = |n: usize| head.get(n..).and_then(|b| b.first_chunk::<4>()).copied().unwrap_or_default();
    let big_endian = match (u32::from_le_bytes(word(0)), u32::from_be_bytes(word(0))) {
        (11, _) => false,
        (_, 11) => true,
        _ => return Ok(None),
    };
    let number = |n: usize| if big_endian { u32::from_be_bytes(word(n)) } else { u32::from_le_bytes(word(n)) };
    let len = usize::try_from(number(4)).unwrap_or(usize::MAX);
    if number(8) != 0 || len == 0 || len > MAX_TEXT || len.plus(HEAD) > most {
        return Ok(None);
    }
    let text = read_some(mem, at.plus(HEAD as u64), len)?;
    if text.len() < len {
        return Ok(None);
    }
    let Some(info) = Info::new(&text) else { return Ok(None) };
    let proved = proves(mem, &info)?;
    let mut note = head.to_vec();
    note.extend(text);
    note.resize(note.len().next_multiple_of(4), 0);
    Ok(Some(Found { note, info, at, how, proved, big_endian }))
}

/// Reads the text alone, and makes a note of it; `None` if it is not a VMCOREINFO.
fn text_at(mem: &dyn PhysicalMemory, at: Gpa) -> Result<Option<Found>> {
    let bytes = read_some(mem, at, MAX_TEXT)?;
    let Some(info) = Info::new(&bytes) else { return Ok(None) };
    // it fills its page at most, so that its end is known
    let text = info.text().as_bytes();
    let big_endian = info.machine() == super::info::Machine::S390x;
    let word = |n: usize| {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        if big_endian { n.to_be_bytes() } else { n.to_le_bytes() }
    };
    let mut note = [word(11), word(text.len()), word(0)].concat();
    note.extend(NAME);
    note.extend(text);
    note.resize(note.len().next_multiple_of(4), 0);
    let proved = proves(mem, &info)?;
    Ok(Some(Found { note, info, at, how: How::DataPage, proved, big_endian }))
}

/// Returns whether the kernel that the text describes is in memory: its `init_uts_ns` has the same release.
fn proves(mem: &dyn PhysicalMemory, info: &Info) -> Result<bool> {
    let Some(at) = info.symbol("init_uts_ns").and_then(|a| image_address(info, a)) else { return Ok(false) };
    // a reference count or nothing, the system's name and the node's in 65 bytes each, the release
    let names = read_some(mem, at, 512)?;
    let release = [b"\0", info.get("OSRELEASE").unwrap_or_default().as_bytes(), b"\0"].concat();
    let system = names.windows(6).any(|w| w == b"Linux\0");
    Ok(system && names.windows(release.len()).any(|w| w == release))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FewPages;

    /// The text of a kernel on x86-64 whose `init_uts_ns` is at guest-physical 0x5100.
    const TEXT: &str =
        "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff81005100\nNUMBER(phys_base)=-16777216\n";

    fn note(text: &str, order: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let mut n = [order(11), order(text.len() as u32), order(0)].concat();
        n.extend(b"VMCOREINFO\0\0");
        n.extend(text.as_bytes());
        n
    }

    /// `uts_namespace` with a count before the names.
    fn names(release: &str) -> Vec<u8> {
        let mut b = vec![0; 400];
        b[0] = 2;
        b[4..9].copy_from_slice(b"Linux");
        b[69..73].copy_from_slice(b"node");
        b[134..134 + release.len()].copy_from_slice(release.as_bytes());
        b
    }

    fn memory() -> FewPages {
        let mut m = FewPages::default();
        m.write(0x5100, &names("6.1.0-test"));
        m
    }

    #[test]
    fn the_live_note_is_found_after_stale_ones() {
        let mut m = memory();
        // the format string, a note of another kernel, the page of the text, one that is not at the start of a page
        m.write(0x1000, b"OSRELEASE=%s\nA=1\nB=1\nC=1\n");
        m.write(0x2000, &note(&TEXT.replace("6.1.0", "5.0.0"), u32::to_le_bytes));
        m.write(0x3000, TEXT.as_bytes());
        m.write(0x6010, &note(TEXT, u32::to_le_bytes));
        m.write(0x9000, &note(TEXT, u32::to_le_bytes));
        let f = find(&m, None).unwrap().unwrap();
        assert_eq!((f.at, f.how, f.proved, f.big_endian), (Gpa(0x9000), How::Note, true, false));
        assert_eq!(f.note.len() % 4, 0);
        assert!(f.note.starts_with(&note(TEXT, u32::to_le_bytes)));
        assert_eq!(f.get("PAGESIZE"), Some("4096"));
        assert_eq!(
            f.says(),
            "VMCOREINFO of Linux 6.1.0-test at 0x9000 in memory: found by a search for the note; the kernel in memory has the same release"
        );
    }

    #[test]
    fn the_text_alone_makes_a_note() {
        let mut m = memory();
        m.write(0x3000, TEXT.as_bytes());
        let f = find(&m, None).unwrap().unwrap();
        assert_eq!((f.at, f.how, f.proved), (Gpa(0x3000), How::DataPage, true));
        let mut expected = note(TEXT, u32::to_le_bytes);
        expected.resize(expected.len().next_multiple_of(4), 0);
        assert_eq!(f.note, expected);
    }

    #[test]
    fn the_device_is_asked_first_and_a_lie_is_found_out() {
        let mut m = memory();
        m.write(0x9000, &note(TEXT, u32::to_le_bytes));
        m.write(0xb010, &note(TEXT, u32::to_le_bytes));
        let f = find(&m, Some((Gpa(0xb010), 0x1024))).unwrap().unwrap();
        assert_eq!((f.at, f.how), (Gpa(0xb010), How::Device));
        // no memory, no note, too short a size, another kernel's note
        m.write(0xc000, &note(&TEXT.replace("6.1.0", "5.0.0"), u32::to_le_bytes));
        for lie in [(0x100_0000, 0x1024), (0x5000, 0x1024), (0xb010, 20), (u64::MAX - 5, u32::MAX), (0xc000, 0x1024)] {
            let f = find(&m, Some((Gpa(lie.0), lie.1))).unwrap().unwrap();
            assert_eq!((f.at, f.how), (Gpa(0x9000), How::Note), "{lie:x?}");
        }
        // the guest's own word is better than nothing
        m.pages.remove(&0x5000);
        let f = find(&m, Some((Gpa(0xc000), 0x1024))).unwrap().unwrap();
        assert_eq!((f.at, f.how, f.proved), (Gpa(0xc000), How::Device, false));
    }

    #[test]
    fn ibm_z_has_the_address_in_its_lowcore() {
        let text = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=5100\nSYMBOL(lowcore_ptr)=1\n";
        let mut m = memory();
        m.write(0xe0c, &0x8018_u64.to_be_bytes());
        m.write(0x8018, &note(text, u32::to_be_bytes));
        let f = find(&m, None).unwrap().unwrap();
        assert_eq!((f.at, f.how, f.proved, f.big_endian), (Gpa(0x8018), How::Lowcore, true, true));
        m.write(0xe0c, &[0; 8]);
        assert!(find(&m, None).unwrap().is_none());
    }

    /// A range of 16 TiB without a page, and a small one.
    struct Claimed(FewPages);

    impl PhysicalMemory for Claimed {
        fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
            self.0.read(address, buf)
        }

        fn ranges(&self) -> Vec<std::ops::Range<u64>> {
            vec![0x100_0000..0x1000_0100_0000, 0x2000_0000_0000..0x2000_0000_2000]
        }
    }

    #[test]
    fn memory_that_is_only_claimed_ends_soon() {
        let mut m = memory();
        m.write(0x2000_0000_1000, &note(TEXT, u32::to_le_bytes));
        let f = find(&Claimed(m), None).unwrap().unwrap();
        assert_eq!((f.at, f.proved), (Gpa(0x2000_0000_1000), true));
    }

    #[test]
    fn a_length_that_lies_is_no_note() {
        for len in [0, 0x1_0001, u32::MAX] {
            let mut m = memory();
            let mut n = note(TEXT, u32::to_le_bytes);
            n[4..8].copy_from_slice(&len.to_le_bytes());
            m.write(0x9000, &n);
            assert!(find(&m, None).unwrap().is_none(), "{len:#x}");
        }
        assert!(find(&FewPages::default(), Some((Gpa(0), 4096))).unwrap().is_none());
    }
}
