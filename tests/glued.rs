//! Streams one after another in a source: each way of reading it gives the devices of the first.
//!
//! A volume that was used before has the rest of an older stream after the new one, and a file may hold several streams.

mod hard;

use hard::{fixture, open_pipe};
use savevm_analyze::container::Container;
use savevm_analyze::image::{OpenOptions, SaveImage};
use savevm_analyze::render::upstream::StateDocument;
use savevm_analyze::wire::MemorySource;
use std::sync::Arc;

fn open(bytes: Vec<u8>, full: bool, pass_over: Option<u64>) -> SaveImage {
    let source = Arc::new(MemorySource::new(bytes));
    let container = Container::raw(source);
    let options = OpenOptions::new().full(full);
    pass_over.map_or(options, |n| OpenOptions::new().full(full).pass_over(n)).container(container).unwrap()
}

/// All that commands show of devices, and what they print to standard error.
fn shown(image: &SaveImage) -> String {
    let devices: Vec<_> = image.device_sections().map(|s| (&s.header, s.payload, s.device, s.end)).collect();
    let document = serde_json::to_string_pretty(&StateDocument::new(image, None)).unwrap();
    // its text is read once more, from a pipe too
    let description = image.description().map(|d| serde_json::to_string(&d).unwrap()).map_err(|e| e.to_string());
    let walk = image.walk();
    let said: Vec<_> = walk.found.list().iter().collect();
    format!(
        "{devices:#x?}\n{document}\n{description:?}\n{said:#?}\n{:?}\n{:?} {:?}",
        walk.stopped, walk.eof, walk.trailing
    )
}

/// Compares four ways of reading the same bytes, and returns what they show.
fn ways(bytes: &[u8], what: &str) -> String {
    let full = shown(&open(bytes.to_vec(), true, None));
    let pipe = shown(&open_pipe(bytes.to_vec(), true).unwrap());
    assert_eq!(full, pipe, "{what}: file and pipe");
    assert_eq!(full, shown(&open(bytes.to_vec(), false, None)), "{what}: full walk and question about devices");
    assert_eq!(pipe, shown(&open_pipe(bytes.to_vec(), false).unwrap()), "{what}: pipe, question about devices");
    full
}

const STREAMS: &[&str] = &[
    "avr-uno-5.2",
    "avr-uno-11.1",
    "microvm-11.1",
    "sparc64-11.1",
    "novmdesc-10.0",
    "pc-i440fx-2.2-5.2",
    "pc-i440fx-2.3-5.2",
    "postcopy-7.2",
    "background-snapshot-11.1",
    "s390x-7.2",
];

fn document(image: &SaveImage) -> String {
    serde_json::to_string(&StateDocument::new(image, None)).unwrap()
}

#[test]
fn pairs_in_every_order() {
    let all: Vec<(&str, Vec<u8>)> = STREAMS.iter().map(|n| (*n, fixture(n))).collect();
    for (a, first) in &all {
        let alone = document(&open(first.clone(), true, None));
        // without a description only the next header or the end shows where a payload ends
        let sure = open(first.clone(), true, None).schema().is_some();
        for (b, second) in &all {
            let what = format!("{a} and {b}");
            let bytes = [&first[..], second].concat();
            ways(&bytes, &what);
            let glued = open(bytes, true, None);
            assert_eq!(alone, document(&glued), "{what}");
            if sure {
                assert!(glued.walk().stopped.is_none(), "{what}: {:?}", glued.walk().stopped);
                assert_eq!(
                    glued.walk().trailing.map(|t| (t.start.0, t.len())),
                    Some((first.len() as u64, second.len() as u64))
                );
            }
        }
    }
}

/// The rest of an older stream, from anywhere in it, with and without zeros at the end of the volume.
#[test]
fn a_volume_that_was_used_before() {
    for (new, old) in
        [("avr-uno-11.1", "avr-uno-5.2"), ("avr-uno-11.1", "microvm-11.1"), ("microvm-11.1", "microvm-11.1")]
    {
        let (first, old_bytes) = (fixture(new), fixture(old));
        let alone = document(&open(first.clone(), true, None));
        let n = old_bytes.len();
        for at in (0..60).map(|i| i * n / 60).chain(n.saturating_sub(40)..n) {
            for zeros in [0, 1, 4096] {
                let what = format!("{new} on {old} from {at:#x}, {zeros} zeros");
                let mut bytes = [&first[..], &old_bytes[at..]].concat();
                bytes.resize(bytes.len() + zeros, 0);
                let glued = open(bytes.clone(), false, None);
                assert_eq!(alone, document(&glued), "{what}");
                assert!(glued.walk().stopped.is_none(), "{what}: {:?}", glued.walk().stopped);
                if at % 7 == 0 {
                    ways(&bytes, &what);
                }
            }
        }
    }
}

/// Guest memory is skipped only if no evidence is against it.
#[test]
fn passing_over_memory() {
    for name in ["avr-uno-5.2", "avr-uno-11.1", "microvm-11.1", "pc-11.1", "s390x-7.2", "q35-11.1"] {
        let bytes = fixture(name);
        let passed = open(bytes.clone(), false, Some(0));
        assert!(passed.walk().gaps.iter().any(|g| g.intended), "{name} is not passed over");
        assert_eq!(document(&open(bytes.clone(), true, None)), document(&passed), "{name}");
        // zeros, or another stream's end
        for rest in [&[0][..], &bytes] {
            let longer = [&bytes[..], rest].concat();
            let walked = open(longer.clone(), false, Some(0));
            assert!(walked.walk().gaps.is_empty(), "{name} is passed over although more follows");
            assert_eq!(document(&passed), document(&walked), "{name}");
        }
    }
}

#[test]
fn the_case_that_showed_it() {
    let new = fixture("avr-uno-11.1");
    // the older state of the same machine was saved while paused
    let mut old = new.clone();
    let at = old.windows(9).position(|w| w == b"prelaunch").unwrap();
    old[at..at + 9].copy_from_slice(b"paused\0\0\0");
    let glued = [&new[..], &old].concat();
    let text = ways(&glued, "reused");
    assert!(text.contains("70 72 65 6c 61 75 6e 63 68") && !text.contains("70 61 75 73 65 64"));
}
