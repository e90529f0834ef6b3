//! The small stream of the documentation's programs, `tests/data/first.mig`, is what `synth` builds.
#![cfg(feature = "synth")]

use savevm_analyze::synth::{Stream, description, field};

#[test]
fn the_stream_of_the_documentation() {
    let mut page = vec![0; 4096];
    page[..5].copy_from_slice(b"A\0\x01\0\xff");
    let mut s = Stream::new("pc-i440fx-10.0");
    s.ram(2, "pc.ram", &[page, vec![0; 4096]]).full(3, "dev", 0, &[0, 0, 0, 7]);
    s.described(&description(&[("dev", 0, &field("counter", "uint32", 4, ""))]));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/first.mig");
    if std::env::var_os("SAVEVM_ANALYZE_WRITE_FIRST").is_some() {
        std::fs::write(path, &s.bytes).unwrap();
    }
    assert!(std::fs::read(path).unwrap() == s.bytes, "{path} is another; SAVEVM_ANALYZE_WRITE_FIRST=1 writes it");
}
