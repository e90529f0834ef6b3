#![no_main]
#[path = "../../tests/props/linux.rs"]
mod body;

use std::sync::LazyLock;

use savevm_analyze::SaveImage;

static GUEST: LazyLock<body::Subject> = LazyLock::new(|| {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/linux/arm64-6.1.mig.zst");
    body::Subject::new(SaveImage::options().keep_memory(u64::MAX).open(file).unwrap())
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(&GUEST, data));
