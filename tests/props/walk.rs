//! A whole stream, in both depths and through a pipe.

use std::sync::Arc;

use savevm_analyze::container::{self, Container, Settings};
use savevm_analyze::image::{OpenOptions, SaveImage};
use savevm_analyze::wire::MemorySource;

pub fn run(data: &[u8]) {
    for full in [true, false] {
        let options = || OpenOptions::new().full(full);
        let source = Arc::new(MemorySource::new(data.to_vec()));
        let container = Container::raw(source);
        if let Ok(image) = options().container(container) {
            holds(&image, data.len() as u64);
        }
        if let Ok(pipe) = container::from_reader(Box::new(std::io::Cursor::new(data.to_vec())), &Settings::default())
            && let Ok(image) = options().container(pipe)
        {
            holds(&image, data.len() as u64);
        }
    }
}

fn holds(image: &SaveImage, len: u64) {
    let w = image.walk();
    let gaps: u64 = w.gaps.iter().map(|g| g.range.len()).sum();
    assert_eq!(w.accounted + gaps + w.trailing.map_or(0, |t| t.len()), len, "{:?}", w.stopped);
    assert!(w.stopped.iter().all(|e| e.stream_offset().is_some_and(|o| o.0 <= len)), "{:?}", w.stopped);
    for s in image.device_sections() {
        let d = image.decode(s).unwrap();
        assert_eq!(d.root().range, s.payload);
        assert!(d.decoded.errors.iter().all(|e| e.stream_offset().is_some_and(|o| o.0 <= len)));
        let _ = savevm_analyze::value::uncovered(d.root());
    }
}
