//! What single rooms cost: walking records, decoding devices, finding zeros, applying differences.

use std::path::Path;
use std::sync::Arc;

use divan::counter::BytesCount;
use savevm_analyze::budget::Budget;
use savevm_analyze::container::Container;
use savevm_analyze::image::OpenOptions;
use savevm_analyze::ram::{PageStats, apply_xbzrle};
use savevm_analyze::wire::MemorySource;

fn main() {
    divan::main();
}

/// A stream of `mib` MiB of pages that are not zero, after the head of a real one.
fn stream(mib: usize) -> Vec<u8> {
    let mut s = b"QEVM\0\0\0\x03\x07\0\0\0\x02pc".to_vec();
    let bytes = (mib as u64) << 20;
    s.extend(b"\x01\0\0\0\x01\x03ram\0\0\0\0\0\0\0\x04");
    s.extend((bytes | 4).to_be_bytes());
    s.extend(b"\x06pc.ram");
    s.extend(bytes.to_be_bytes());
    s.extend(0x10_u64.to_be_bytes());
    s.extend(b"\x7e\0\0\0\x01\x02\0\0\0\x01");
    for i in 0..bytes / 4096 {
        s.extend(((i * 4096) | 8 | if i > 0 { 0x20 } else { 0 }).to_be_bytes());
        if i == 0 {
            s.extend(b"\x06pc.ram");
        }
        s.extend([i as u8 | 1; 4096]);
    }
    s.extend(0x10_u64.to_be_bytes());
    s.extend(b"\x7e\0\0\0\x01\0");
    s
}

fn container(bytes: Vec<u8>) -> Container {
    let source = Arc::new(MemorySource::new(bytes));
    Container::raw(source)
}

#[divan::bench]
fn walk_page_records(b: divan::Bencher<'_, '_>) {
    let c = container(stream(64));
    b.counter(BytesCount::new(64_u64 << 20)).bench(|| {
        let mut stats = PageStats::new(&Budget::default());
        OpenOptions::new().pages(&mut stats).container(c.clone()).map(|i| i.walk().accounted)
    });
}

#[divan::bench(args = ["q35-11.1.mig", "s390x-11.1.mig", "riscv64-virt-11.1.mig"])]
fn decode_devices(b: divan::Bencher<'_, '_>, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    let c = container(std::fs::read(path).unwrap_or_default());
    b.bench(|| {
        let image = OpenOptions::new().container(c.clone()).expect("a fixture");
        image.device_sections().filter_map(|s| image.decode(s).ok()).map(|d| d.decoded.errors.len()).sum::<usize>()
    });
}

/// One device with an array of 4 Mi numbers, decoded and written as JSON.
#[divan::bench]
fn wide_array(b: divan::Bencher<'_, '_>) {
    let count = 4_usize << 20;
    let mut s = b"QEVM\0\0\0\x03\x07\0\0\0\x02pc\x04\0\0\0\x01\x01d\0\0\0\0\0\0\0\x01".to_vec();
    s.extend((0..count).flat_map(|i| (i as u64).to_be_bytes()));
    s.extend(b"\x7e\0\0\0\x01\0\x06");
    let text = format!(
        r#"{{"page_size":4096,"devices":[{{"name":"d","instance_id":0,"vmsd_name":"d","version":1,"fields":[{{"name":"t","array_len":{count},"type":"uint64","size":8}}]}}]}}"#
    );
    s.extend((text.len() as u32).to_be_bytes());
    s.extend(text.as_bytes());
    let c = container(s);
    b.counter(BytesCount::new(count as u64 * 8)).bench(|| {
        let image = OpenOptions::new().container(c.clone()).expect("a stream");
        let document = savevm_analyze::render::upstream::StateDocument::new(&image, None);
        savevm_analyze::render::pretty(std::io::sink(), &document).is_ok()
    });
}

#[divan::bench]
fn xbzrle_page(b: divan::Bencher<'_, '_>) {
    // every 16th byte changes
    let difference: Vec<u8> = (0..256).flat_map(|i| [15, 1, i as u8]).collect();
    let mut page = vec![0; 4096];
    b.counter(BytesCount::new(4096_u64)).bench_local(|| apply_xbzrle(&difference, &mut page));
}
