//! The payload of a `ram` section; the first byte chooses the context.

use savevm_analyze::budget::Budget;
use savevm_analyze::offset::{FileOffset, StreamOffset};
use savevm_analyze::ram::{PageStats, RamContext, RamReader, guess_page_size};
use savevm_analyze::wire::{Cursor, MemorySource};

pub fn run(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let context = RamContext {
        version: if first & 64 != 0 { 3 } else { 4 },
        target_page: 256 << (first & 7),
        ignore_shared: first & 8 != 0,
        mapped_ram: first & 16 != 0,
        page_size_mask: (first & 32 != 0).then_some(0x20_1000),
        stream_start: FileOffset(0),
    };
    let source = MemorySource::new(data.to_vec());
    let mut c = Cursor::new(&source, StreamOffset(0));
    let mut stats = PageStats::new(&Budget::default());
    let mut r = RamReader::new(context, None);
    while r.read(&mut c, &mut stats).is_ok() {}
    assert!(c.offset().0 <= data.len() as u64);
    let _ = guess_page_size(&source, StreamOffset(0), 1, &context);
}
