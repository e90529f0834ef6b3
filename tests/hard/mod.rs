//! What the tests of robustness share: fixtures, walks, and what must hold of every walk.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use savevm_analyze::container::{self, Container, Settings};
use savevm_analyze::error::{Error, ErrorKind};
use savevm_analyze::image::{OpenOptions, SaveImage};
use savevm_analyze::stream::Section;
use savevm_analyze::wire::MemorySource;

/// Small streams with every sort of framing. The pages of RAM are mostly zeros.
pub const SMALL: &[&str] =
    &["avr-uno-5.2", "avr-uno-11.1", "sparc64-11.1", "microvm-11.1", "novmdesc-10.0", "pc-i440fx-2.2-5.2"];

/// Larger ones, of which samples are taken.
pub const LARGE: &[&str] = &[
    "pc-11.1",
    "pc-i440fx-2.3-5.2",
    "s390x-7.2",
    "postcopy-7.2",
    "xbzrle-11.1",
    "compress-7.2",
    "q35-11.1",
    "dirty-bitmap-11.1",
    "virtio-mem-11.1",
    "background-snapshot-11.1",
    "ignore-shared-10.0",
];

/// A generous bound on the time of one walk of a small stream in a debug build on a busy machine.
pub const SLOW: Duration = Duration::from_secs(5);

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(format!("{name}.mig"))
}

pub fn fixture(name: &str) -> Vec<u8> {
    let plain = path(name);
    if plain.exists() {
        return std::fs::read(plain).unwrap();
    }
    let packed = std::fs::File::open(plain.with_extension("mig.zst")).unwrap_or_else(|e| panic!("{name}: {e}"));
    zstd::decode_all(packed).unwrap()
}

pub fn open(bytes: Vec<u8>, full: bool) -> Result<SaveImage, Error> {
    let source = Arc::new(MemorySource::new(bytes));
    let container = Container::raw(source);
    OpenOptions::new().full(full).container(container)
}

pub fn open_pipe(bytes: Vec<u8>, full: bool) -> Result<SaveImage, Error> {
    let container = container::from_reader(Box::new(std::io::Cursor::new(bytes)), &Settings::default())?;
    OpenOptions::new().full(full).container(container)
}

/// Whether the long form of a test is asked for.
pub fn exhaustive() -> bool {
    std::env::var_os("SAVEVM_ANALYZE_EXHAUSTIVE").is_some()
}

/// A generator of numbers that is the same everywhere (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Where the first FULL section of a sound stream begins.
pub fn device_part(image: &SaveImage) -> usize {
    image.device_sections().map(|s| s.header.range.start.0 as usize).min().unwrap_or(0)
}

/// Where a section ends, footer included.
pub fn end_of(s: &Section) -> usize {
    s.payload.end.0 as usize + if s.footer { 5 } else { 0 }
}

/// Checks what holds of every walk, whatever was walked; `what` says which for the panic message.
pub fn check(image: &SaveImage, len: usize, what: &str) {
    let walk = image.walk();
    let len = len as u64;
    if let Some(e) = &walk.stopped {
        let at = e.stream_offset().unwrap_or_else(|| panic!("{what}: no offset: {e}"));
        assert!(at.0 <= len, "{what}: {e} is beyond {len:#x}");
        assert!(e.kind() != ErrorKind::Io, "{what}: {e}");
    }
    let gaps: u64 = walk.gaps.iter().map(|g| g.range.len()).sum();
    let trailing = walk.trailing.map_or(0, |t| t.len());
    assert_eq!(
        walk.accounted + gaps + trailing,
        len,
        "{what}: accounted {:#x} gaps {:?} trailing {:?} stopped {:?}",
        walk.accounted,
        walk.gaps,
        walk.trailing,
        walk.stopped
    );
    for d in walk.found.list() {
        if let Some(r) = d.range {
            assert!(r.start.0 <= len, "{what}: {} at {r}", d.code);
        }
    }
    for s in &walk.sections {
        assert!(s.payload.end.0 <= len, "{what}: {} ends at {}", s.header.idstr, s.payload.end);
    }
}

/// Decodes every device; every error has an offset inside the stream and a path.
pub fn decode_all(image: &SaveImage, len: usize, what: &str) {
    for s in image.device_sections() {
        let d = image.decode(s).unwrap_or_else(|e| panic!("{what}: {}: {e}", s.header.idstr));
        assert_eq!(d.root().range, s.payload, "{what}: {}", s.header.idstr);
        for e in &d.decoded.errors {
            assert!(e.stream_offset().is_some_and(|o| o.0 <= len as u64), "{what}: {e}");
            assert!(e.path().is_some(), "{what}: {e}");
        }
    }
}

/// Runs `f` and fails when it takes too long.
pub fn timed<T>(what: &str, limit: Duration, f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = f();
    let took = start.elapsed();
    assert!(took < limit, "{what}: {took:?}");
    out
}
