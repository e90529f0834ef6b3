//! A stream that is anything at all, as a core dump: ELF in every layout, and kdump.

use std::collections::BTreeMap;

use savevm_analyze::dump::kdump::{self, Codec, Flattened, KdumpOptions};
use savevm_analyze::dump::{self, ElfLayout, ElfOptions, Output};
use savevm_analyze::image::OpenOptions;
use savevm_analyze::inspect::DumpContent;
use savevm_analyze::{Error, ErrorKind, Result};

/// The most that is written for an input of some kilobytes, and 1 GiB of memory that the input may claim.
const MOST: u64 = 64 << 20;

/// Keeps the sizes of what is written, and the first bytes.
#[derive(Default)]
struct Written {
    pieces: BTreeMap<u64, u64>,
    head: Vec<u8>,
    bytes: u64,
}

impl Output for Written {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > MOST {
            return Err(Error::new(ErrorKind::Io, "no room"));
        }
        if at == 0 {
            self.head = bytes.to_vec();
        }
        self.pieces.insert(at, bytes.len() as u64);
        Ok(())
    }
}

impl Written {
    /// No two pieces overlap; returns the end.
    fn check(&self) -> u64 {
        let mut end = 0;
        for (at, len) in &self.pieces {
            assert!(*at >= end, "{at:#x} was written before {end:#x}");
            end = at + len;
        }
        end
    }
}

pub fn run(data: &[u8]) {
    let options = OpenOptions::new().full(true).keep_memory(1 << 30);
    let Ok(image) = options.from_bytes(data.to_vec()) else { return };
    let Ok(mut content) = DumpContent::of(&image, &[]) else { return };
    let Ok(memory) = image.memory() else { return };
    let total: u64 = content.guest.memory.iter().map(|r| r.bytes).sum();
    if total > 1 << 30 {
        return;
    }
    content.guest.vmcoreinfo = Some(data[..data.len() & 0xfc].to_vec());
    for layout in [ElfLayout::Standard, ElfLayout::Qemu, ElfLayout::Qemu52] {
        let options = ElfOptions { layout, mappings: None, room: 8192 };
        let Ok(plan) = dump::elf::plan(&content.guest, &options) else { continue };
        assert!(plan.head.starts_with(b"\x7fELF") && plan.head.len() as u64 <= plan.memory_at);
        assert!(plan.len >= plan.memory_at + total);
        let mut out = Written::default();
        let mut last = 0;
        let written = dump::write_elf(&plan, memory, &mut out, &mut |n| last = n);
        if let Ok(lost) = written {
            assert!(out.check() <= plan.len && last == total && lost.unsent <= total);
        }
    }
    for (block_size, codec) in [(4096, Codec::Zlib), (65536, Codec::Snappy)] {
        let how = KdumpOptions { codec, block_size, threads: 1, everything: codec == Codec::Zlib };
        let mut out = Written::default();
        if kdump::write(&content.guest, how, memory, &mut out, &mut |_| {}).is_ok() {
            out.check();
            assert!(out.head.starts_with(b"KDUMP   "));
        }
        let mut out = Written::default();
        let mut pieces = Flattened::begin(&mut out).unwrap();
        if kdump::write(&content.guest, how, memory, &mut pieces, &mut |_| {}).is_ok() {
            let len = pieces.finish().unwrap();
            assert_eq!(out.check(), len);
        }
    }
}
