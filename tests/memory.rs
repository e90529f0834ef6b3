//! Guest memory that is read on demand is that of the images, which tests/live and the laboratory compare with QEMU's.

mod common;

use std::fs;
use std::path::Path;

use common::{fixtures, scratch, testdata};
use savevm_analyze::error::ErrorKind;
use savevm_analyze::image::{OpenOptions, SaveImage};
use savevm_analyze::memory::GuestMemory;
use savevm_analyze::offset::{Gpa, RamOffset};

/// Reads a block page by page, backwards, so that nothing depends on the order; what was not sent is zero.
fn content(memory: &GuestMemory, block: usize) -> Vec<u8> {
    let len = memory.blocks()[block].len;
    let page = memory.target_page();
    let mut out = vec![0; usize::try_from(len).unwrap()];
    for at in (0..len.div_ceil(page)).rev().map(|n| n * page) {
        let place = at as usize..(at + page).min(len) as usize;
        match memory.read_block(block, RamOffset(at), &mut out[place.clone()]) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Missing => assert!(out[place].iter().all(|b| *b == 0)),
            Err(e) => panic!("{}: {e}", memory.blocks()[block].name),
        }
    }
    out
}

fn compare(name: &str, path: &Path, dir: &Path) -> usize {
    let Ok(image) = SaveImage::open(path) else { return 0 };
    if image.ram_blocks().is_empty() {
        return 0;
    }
    let pipe = fs::File::open(path).unwrap();
    // a FIFO is a pipe, a file is one for the library when it is only read
    let piped = OpenOptions::new().keep_memory(1 << 30).from_reader(std::io::BufReader::new(pipe)).unwrap();
    let mut compared = 0;
    for (i, b) in image.ram_blocks().iter().enumerate() {
        if b.mapped.is_some_and(|m| m.is_absent()) {
            continue;
        }
        let file = dir.join(format!("{name}-{i}"));
        if let Err(e) = image.extract(b.name.exact(), &file) {
            assert_ne!(e.kind(), ErrorKind::Missing, "{name}: {e}");
            continue;
        }
        let expected = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let memory = image.memory().unwrap();
        assert!(content(memory, i) == expected, "{name}: {} from the file", b.name);
        let memory = piped.memory().unwrap();
        assert!(content(memory, i) == expected, "{name}: {} from a pipe", b.name);
        compared += 1;
    }
    compared
}

#[test]
fn memory_is_that_of_the_images() {
    let dir = scratch("images");
    let mut blocks = 0;
    for f in fixtures(&dir) {
        blocks += compare(&f.name, &f.stream, &dir);
    }
    assert!(blocks > 100, "only {blocks} blocks were compared");
}

#[test]
fn physical_addresses_are_those_of_the_map() {
    let dir = scratch("physical");
    let path = common::fixture("resent-11.1");
    let image = SaveImage::open(&path).unwrap();
    let memory = image.memory().unwrap();
    let map = memory.map().unwrap();
    let main = map.regions[0];
    image.extract("pc.ram", dir.join("ram")).unwrap();
    let ram = fs::read(dir.join("ram")).unwrap();
    // over the edges of pages, and over the end of the block
    for (at, len) in [(0, 16), (0xff8, 16), (0x1_0ffd, 9000), (main.bytes - 5, 5)] {
        let mut buf = vec![0xaa; len];
        memory.read(Gpa(at), &mut buf).unwrap();
        assert_eq!(buf, ram[at as usize..at as usize + len], "{at:#x}");
    }
    let e = memory.read(Gpa(main.bytes - 5), &mut [0; 6]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Missing);
    assert!(e.message().contains(&format!("{:#x}", main.bytes)), "{e}");
    assert_eq!(memory.read(Gpa(u64::MAX), &mut [0; 2]).unwrap_err().kind(), ErrorKind::Missing);
    let e = memory.read_block(0, RamOffset(u64::MAX), &mut [0; 2]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Missing);
}

#[test]
fn the_pages_of_a_pipe_are_there_only_if_they_were_kept() {
    let bytes = || std::io::Cursor::new(fs::read(common::fixture("resent-11.1")).unwrap());
    let image = SaveImage::from_reader(bytes()).unwrap();
    assert_eq!(image.memory().unwrap_err().kind(), ErrorKind::Missing);
    let few = OpenOptions::new().keep_memory(64 << 10).from_reader(bytes()).unwrap();
    assert_eq!(few.memory().unwrap_err().kind(), ErrorKind::Missing);
    let all = OpenOptions::new().keep_memory(1 << 30).from_reader(bytes()).unwrap();
    assert!(all.memory().is_ok());
    let held = SaveImage::from_bytes(bytes().into_inner()).unwrap();
    assert!(held.memory().is_ok());
    assert!(testdata().is_dir());
}

#[test]
fn one_line_gets_a_device_a_field_or_a_reason() {
    let image = SaveImage::open(common::fixture("resent-11.1")).unwrap();
    let cpu = image.device("cpu", 0).unwrap();
    assert!(cpu.field("env.eip").unwrap().as_u64().is_some());
    let e = cpu.field("env.rip").unwrap_err();
    assert_eq!((e.kind(), e.message()), (ErrorKind::Missing, "cpu (0) has no field \"env.rip\""));
    assert!(e.hint_text().is_some_and(|h| h.contains("env.eip") || h.contains("env")), "{e:?}");
    assert!(cpu.field("env.*").unwrap_err().message().contains("fields that match"));
    let e = image.device("cpus", 0).err().unwrap();
    assert_eq!(e.message(), "the stream has no device \"cpus\" with instance id 0");
    assert!(e.hint_text().unwrap().contains("cpu"), "{e:?}");
    assert_eq!(image.devices().filter(|d| d.is_ok()).count(), image.device_sections().count());
    assert!(image.fault().is_none());
    let dir = scratch("extract");
    fs::write(dir.join("there"), "x").unwrap();
    assert_eq!(image.extract("pc.ram", dir.join("there")).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(image.extract("pc.rams", dir.join("new")).unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn a_page_that_cannot_be_decoded_has_one_reason() {
    let mut reasons = 0;
    for name in ["chk-xbzrle-garbage", "chk-zlib-garbage"] {
        let path = testdata().join(format!("cases/{name}.mig"));
        let file = SaveImage::open(&path).unwrap();
        let pipe = OpenOptions::new().keep_memory(1 << 30).from_reader(fs::File::open(&path).unwrap()).unwrap();
        for (i, b) in file.ram_blocks().iter().enumerate() {
            for at in (0..b.len / 4096).map(|n| RamOffset(n * 4096)) {
                let read =
                    |s: &SaveImage| s.memory().unwrap().read_block(i, at, &mut [0; 8]).map_err(|e| e.to_string());
                assert_eq!(read(&file), read(&pipe), "{name}: {} {at}", b.name);
                reasons += usize::from(read(&file).is_err_and(|e| e.contains("XBZRLE") || e.contains("zlib")));
            }
        }
    }
    assert!(reasons >= 2, "{reasons}");
}
