//! A payload and a description of it: JSON, a NUL, bytes.

use savevm_analyze::interp::decode_device;
use savevm_analyze::offset::StreamOffset;
use savevm_analyze::schema;
use savevm_analyze::value::{Blob, uncovered};

pub fn run(data: &[u8]) {
    let cut = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let payload = Blob::new(data.get(cut + 1..).unwrap_or_default().to_vec());
    let Some(schema) = schema::read(&data[..cut]).ok().or_else(|| schema::read_damaged(&data[..cut])) else {
        return;
    };
    for d in &schema.devices {
        let decoded = decode_device(d, &payload, StreamOffset(100));
        assert_eq!(decoded.root.range.len(), payload.as_slice().len() as u64);
        assert!(decoded.errors.iter().all(|e| e.stream_offset().is_some()));
        let _ = uncovered(&decoded.root);
    }
}
