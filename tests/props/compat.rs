//! Two sides, each a stream or the text of -dump-vmstate; two zeros and a line feed separate them.

use std::sync::Arc;

use savevm_analyze::compat::{Dump, Known, Side, StreamFacts, compare};
use savevm_analyze::container::Container;
use savevm_analyze::image::OpenOptions;
use savevm_analyze::limits::MAX_DIAGNOSTICS;
use savevm_analyze::render::report::text;
use savevm_analyze::wire::MemorySource;

/// The separator of the sides.
pub const BETWEEN: &[u8] = b"\0\0\n";

fn facts(bytes: &[u8]) -> Option<StreamFacts> {
    let source = Arc::new(MemorySource::new(bytes.to_vec()));
    let container = Container::raw(source);
    let image = OpenOptions::new().full(true).container(container).ok()?;
    StreamFacts::of(&image).ok()
}

fn side(bytes: &[u8]) -> Side {
    match Dump::read(bytes) {
        Ok(dump) => Side { dump: Some(dump), ..Side::default() },
        Err(_) => Side { stream: facts(bytes), ..Side::default() },
    }
}

pub fn run(data: &[u8]) {
    let cut = data.windows(3).position(|w| w == BETWEEN).unwrap_or(data.len());
    let (a, b) = (side(&data[..cut]), side(data.get(cut + 3..).unwrap_or_default()));
    for (saved, target) in [(&a, &b), (&b, &a), (&a, &a)] {
        let report = compare(saved, target, Known::default());
        let most = MAX_DIAGNOSTICS * (report.compared.len() + 1);
        assert!(report.differences.len() <= most, "{} findings", report.differences.len());
        text::print(&mut std::io::sink(), &report, 80, &|_, text| text.to_owned()).unwrap();
    }
}
