//! Runs a reader over bytes, as a stream would bring them.

use crate::diag::Diagnostics;
use crate::error::{Error, ErrorKind};
use crate::names::RecordType;
use crate::offset::StreamOffset;
use crate::stream::{FactValue, LiveSection};
use crate::wire::{Cursor, MemorySource, PipeSource, Source};

/// Where the payload begins in the sources made here, so that offsets are seen to be the stream's.
pub(super) const BASE: u64 = 0x40;
/// What follows a payload in a stream with footers.
pub(super) const FOOTER: [u8; 5] = [0x7e, 0, 0, 0, 9];

/// Builds payloads.
#[derive(Clone, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn u8(mut self, v: u8) -> Self {
        self.0.push(v);
        self
    }
    pub(super) fn be16(mut self, v: u16) -> Self {
        self.0.extend(v.to_be_bytes());
        self
    }
    pub(super) fn be32(mut self, v: u32) -> Self {
        self.0.extend(v.to_be_bytes());
        self
    }
    pub(super) fn be64(mut self, v: u64) -> Self {
        self.0.extend(v.to_be_bytes());
        self
    }
    pub(super) fn name(mut self, s: &str) -> Self {
        self.0.push(u8::try_from(s.len()).unwrap());
        self.0.extend(s.as_bytes());
        self
    }
    pub(super) fn fill(mut self, n: usize, v: u8) -> Self {
        self.0.resize(self.0.len() + n, v);
        self
    }
    pub(super) fn raw(mut self, b: &[u8]) -> Self {
        self.0.extend(b);
        self
    }
}

/// Reads one payload followed by `after`; returns how many bytes were read and what was found.
pub(super) fn read_before(
    s: &mut dyn LiveSection,
    kind: RecordType,
    payload: &[u8],
    after: &[u8],
) -> Result<(u64, Diagnostics), Error> {
    let mut all = vec![0xaa; BASE as usize];
    all.extend(payload);
    all.extend(after);
    let source = MemorySource::new(all);
    on(s, kind, &source)
}

fn on(s: &mut dyn LiveSection, kind: RecordType, source: &dyn Source) -> Result<(u64, Diagnostics), Error> {
    let mut found = Diagnostics::default();
    let mut c = Cursor::new(source, StreamOffset(BASE));
    s.read(&mut c, kind, &mut found)?;
    Ok((c.offset().0 - BASE, found))
}

/// Reads one payload, which must end before a footer.
pub(super) fn read(s: &mut dyn LiveSection, kind: RecordType, payload: &[u8]) -> Diagnostics {
    let (n, found) = read_before(s, kind, payload, &FOOTER).unwrap();
    assert_eq!(n, payload.len() as u64, "the payload and nothing else");
    found
}

/// Reads one payload that is at fault; returns what sort of fault, and where in the payload.
pub(super) fn fault(s: &mut dyn LiveSection, kind: RecordType, payload: &[u8]) -> (ErrorKind, u64) {
    let e = read_before(s, kind, payload, &FOOTER).unwrap_err();
    (e.kind(), e.stream_offset().unwrap().0 - BASE)
}

/// Cuts a payload at every byte: each cut is found, in a file and in a pipe, at a place before it.
pub(super) fn every_cut_is_found<T: LiveSection + Default>(kind: RecordType, payload: &[u8]) {
    for n in 0..payload.len() {
        let e = read_before(&mut T::default(), kind, &payload[..n], &[]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Truncated, "cut at {n}: {e}");
        let at = e.stream_offset().unwrap().0;
        assert!(at >= BASE && at <= BASE + n as u64, "cut at {n}: {e}");

        let mut all = vec![0xaa; BASE as usize];
        all.extend(&payload[..n]);
        let pipe = PipeSource::new(Box::new(std::io::Cursor::new(all)));
        assert_eq!(on(&mut T::default(), kind, &pipe).unwrap_err().kind(), ErrorKind::Truncated, "pipe cut at {n}");
    }
    read(&mut T::default(), kind, payload);
}

/// Returns a fact that is a number.
pub(super) fn number(s: &dyn LiveSection, name: &str) -> u64 {
    match s.facts().into_iter().find(|f| f.name == name).map(|f| f.value) {
        Some(FactValue::Count(n) | FactValue::Bytes(n)) => n,
        other => panic!("{name}: {other:?}"),
    }
}

/// Returns a fact that is a list.
pub(super) fn list(s: &dyn LiveSection, name: &str) -> Vec<String> {
    match s.facts().into_iter().find(|f| f.name == name).map(|f| f.value) {
        Some(FactValue::List(l)) => l.iter().map(ToString::to_string).collect(),
        other => panic!("{name}: {other:?}"),
    }
}
