//! qcow2: the state of an internal snapshot.
//!
//! The state is guest data after the end of the disk, mapped by the snapshot's own L1 table: byte p of the stream is
//! the guest offset `vm_base` + p, where `vm_base` is the disk's size at the time of the snapshot, rounded up to what
//! one L1 entry covers (`qcow2_vm_state_offset` in `block/qcow2.h`). All integers are big-endian; the layout is
//! `docs/interop/qcow2.txt`.

mod state;

use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};

use self::state::State;
use crate::error::{Error, ErrorKind, Remedy, Result, SnapshotChoice};
use crate::offset::{FileOffset, StreamOffset, Sure};
use crate::text::Name;
use crate::wire::{Cursor, FileSource, Source};

/// What QEMU itself allows: snapshots, the table's bytes, extra data of an entry (`block/qcow2.h`).
const MAX_SNAPSHOTS: u32 = 65_536;
const MAX_TABLE: u64 = 64 << 20;
const MAX_EXTRA: u64 = 1_024;
/// Bytes of a snapshot's id or name that are kept; QEMU makes none that is longer than 255.
const MAX_NAME: usize = 1_024;
/// Snapshots that a message lists.
const LISTED: usize = 20;

const MAGIC: &[u8] = b"QFI\xfb";

const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

/// An internal snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The id, a number as text.
    pub id: Name,
    /// The name.
    pub name: Name,
    /// Seconds since 1970 when it was made.
    pub date_sec: u32,
    /// How long the guest had run, in nanoseconds.
    pub vm_clock_nsec: u64,
    /// The length of the stream; 0 for a snapshot of the disk alone.
    pub vm_state_bytes: u64,
    disk_bytes: u64,
    l1_offset: u64,
    l1_entries: u32,
}

/// Information in a qcow2 image apart from the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Qcow2Image {
    /// The version of the format.
    pub version: u32,
    /// The cluster size in bytes.
    pub cluster_bytes: u64,
    /// The snapshots.
    pub snapshots: Vec<Snapshot>,
    /// Which of them was opened.
    pub chosen: usize,
    /// What is not as it should be, and did not hinder.
    pub remarks: Vec<String>,
}

impl Snapshot {
    fn choice(&self) -> SnapshotChoice {
        SnapshotChoice {
            id: self.id.clone(),
            name: self.name.clone(),
            state_bytes: self.vm_state_bytes,
            date_sec: self.date_sec,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Geometry {
    version: u32,
    cluster_bits: u32,
    extended_l2: bool,
    zstd: bool,
}

impl Geometry {
    fn cluster(self) -> u64 {
        1 << self.cluster_bits
    }

    fn l2_entry(self) -> u64 {
        if self.extended_l2 { 16 } else { 8 }
    }

    fn l2_bits(self) -> u32 {
        self.cluster_bits.minus(if self.extended_l2 { 4 } else { 3 })
    }

    /// Bytes that one L1 entry covers.
    fn l1_span(self) -> u64 {
        1 << self.cluster_bits.plus(self.l2_bits())
    }
}

/// Returns whether a file begins like an image of version 2 or later; the first version has no snapshots and is no kin.
pub(super) fn is_qcow2(head: &[u8]) -> bool {
    head.starts_with(MAGIC) && !head.starts_with(b"QFI\xfb\0\0\0\x01")
}

fn corrupt(at: u64, what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, what).at_file(FileOffset(at)).within("qcow2")
}

/// Opens the state of a snapshot; `wanted` is a name or an id, and may be absent where only one snapshot has a state.
///
/// # Errors
/// `NotASaveImage` for an image without a state, `Unsupported` for encryption, external data and unknown features,
/// `Corrupt`, `Truncated`, `Io`.
pub(super) fn open(file: FileSource, wanted: Option<&str>) -> Result<(Qcow2Image, Arc<dyn Source>)> {
    let mut head = [0; 112];
    let n = file.read_full(0, &mut head).map_err(|e| Error::io("cannot read the image", e))?;
    if n < 72 {
        return Err(Error::new(ErrorKind::Truncated, format!("qcow2 header: expected 72 bytes, found {n}")));
    }
    let be32 = |at: usize| head.get(at..).filter(|b| b.len() >= 4).map_or(0, BigEndian::read_u32);
    let be64 = |at: usize| head.get(at..).filter(|b| b.len() >= 8).map_or(0, BigEndian::read_u64);
    let version = be32(4);
    if !matches!(version, 2 | 3) {
        let old = if version == 1 { ", which has no snapshots" } else { "" };
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("qcow2 version: expected 2 or 3, found {version}{old}"),
        ));
    }
    let features = if version == 3 { be64(72) } else { 0 };
    let mut remarks = Vec::new();
    check_features(features, be32(32), &mut remarks)?;
    let geometry = Geometry {
        version,
        cluster_bits: be32(20),
        extended_l2: features & EXTENDED_L2 != 0,
        zstd: features & COMPRESSION_TYPE != 0 && be32(100) > 104 && head.get(104) == Some(&1),
    };
    let least = if geometry.extended_l2 { 14 } else { 9 };
    if !(least..=21).contains(&geometry.cluster_bits) {
        let found = geometry.cluster_bits;
        return Err(corrupt(20, format!("qcow2 cluster bits: expected {least} to 21, found {found}")));
    }
    let snapshots = snapshots(&file, be64(64), be32(60), be64(24))?;
    let chosen = choose(&snapshots, wanted)?;
    let Some(s) = snapshots.get(chosen) else { return Err(corrupt(60, "qcow2: no such snapshot")) };
    let state = State::open(file, geometry, s)?;
    let cluster_bytes = geometry.cluster();
    Ok((Qcow2Image { version, cluster_bytes, snapshots, chosen, remarks }, Arc::new(state)))
}

fn check_features(features: u64, crypt: u32, remarks: &mut Vec<String>) -> Result<()> {
    let unsupported = |what: String| Err(Error::new(ErrorKind::Unsupported, what));
    if crypt != 0 {
        return Err(Error::new(ErrorKind::Unsupported, "the qcow2 image is encrypted, including its snapshots")
            .hint("load the snapshot in QEMU (-loadvm NAME) and migrate it to a file"));
    }
    if features & EXTERNAL_DATA != 0 {
        return unsupported(
            "the qcow2 image keeps its data in an external file, so it cannot have internal snapshots".to_owned(),
        );
    }
    let unknown = features & !(DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2);
    if unknown != 0 {
        return unsupported(format!("unknown qcow2 feature bit {}", unknown.trailing_zeros()));
    }
    if features & DIRTY != 0 {
        remarks.push(
            "the image is marked dirty (QEMU did not close it); reference counts are not used here, so reading it is safe".to_owned(),
        );
    }
    if features & CORRUPT != 0 {
        remarks.push("the image is marked corrupt; the data read may be wrong".to_owned());
    }
    Ok(())
}

fn snapshots(file: &FileSource, at: u64, count: u32, disk: u64) -> Result<Vec<Snapshot>> {
    if count > MAX_SNAPSHOTS {
        return Err(corrupt(60, format!("qcow2 snapshots: expected at most {MAX_SNAPSHOTS}, found {count}")));
    }
    let mut out = Vec::new();
    let mut c = Cursor::new(file, StreamOffset(at));
    for _ in 0..count {
        // entries begin at multiples of 8; the file may end after the last one
        let used = c.offset().0.minus(at);
        c.seek(StreamOffset(at.plus(used.next_multiple_of(8))));
        let start = c.offset().0;
        if start.minus(at) > MAX_TABLE {
            return Err(corrupt(start, format!("qcow2 snapshot table: expected at most {MAX_TABLE} bytes")));
        }
        let entry = entry(&mut c, disk).map_err(|e| match e.stream_offset() {
            Some(o) => Error::new(e.kind(), format!("qcow2 snapshot table: {}", e.message())).at_file(FileOffset(o.0)),
            None => e,
        })?;
        out.push(entry);
    }
    Ok(out)
}

fn entry(c: &mut Cursor<'_>, disk: u64) -> Result<Snapshot> {
    let l1_offset = c.be64()?;
    let l1_entries = c.be32()?;
    let (id_len, name_len) = (c.be16()?, c.be16()?);
    let date_sec = c.be32()?;
    c.skip(4)?;
    let vm_clock_nsec = c.be64()?;
    let small = u64::from(c.be32()?);
    let extra_len = u64::from(c.be32()?);
    let extra = c.take_vec(extra_len, MAX_EXTRA, "extra data")?;
    let word = |at: usize| extra.get(at..).and_then(|b| b.get(..8)).map(BigEndian::read_u64);
    let text = |b: Vec<u8>| Name::from_bytes(b.get(..b.len().min(MAX_NAME)).unwrap_or_default());
    let id = text(c.take_vec(id_len.into(), u16::MAX.into(), "id")?);
    let name = text(c.take_vec(name_len.into(), u16::MAX.into(), "name")?);
    let vm_state_bytes = word(0).unwrap_or(small);
    let disk_bytes = word(8).unwrap_or(disk);
    Ok(Snapshot { id, name, date_sec, vm_clock_nsec, vm_state_bytes, disk_bytes, l1_offset, l1_entries })
}

/// Finds the snapshot that is wanted: by name, then by id; without a wish, the only one that has a state.
fn choose(all: &[Snapshot], wanted: Option<&str>) -> Result<usize> {
    let show = |s: &Snapshot| format!("{} ({:?}, {} bytes of state)", s.id, s.name, s.vm_state_bytes);
    let list = || {
        let mut out = all.iter().take(LISTED).map(show).collect::<Vec<_>>().join(", ");
        if all.len() > LISTED {
            out += &format!(" and {} more", all.len().minus(LISTED));
        }
        out
    };
    let none = |what: &str| Error::new(ErrorKind::NotASaveImage, what);
    if all.is_empty() {
        return Err(none("a qcow2 disk image without internal snapshots: it holds no machine state").hint(
            "read the disk with qemu-img or qemu-nbd; `savevm NAME` in QEMU's monitor makes a snapshot with state, and `qemu-img convert` drops all snapshots",
        ));
    }
    let Some(w) = wanted else {
        let with: Vec<usize> = (0..all.len()).filter(|i| all.get(*i).is_some_and(|s| s.vm_state_bytes > 0)).collect();
        return match with.as_slice() {
            [one] => Ok(*one),
            [] => Err(none("the snapshots of this qcow2 image hold no machine state, only the disk")
                .hint("if the machine has several disks, only one holds the state: try its other qcow2 images")),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!("the qcow2 image has {} snapshots with state", with.len()),
            )
            .hint(Remedy::ChooseSnapshot(all.iter().map(Snapshot::choice).collect()))),
        };
    };
    let named: Vec<usize> = (0..all.len()).filter(|i| all.get(*i).is_some_and(|s| s.name == w)).collect();
    let found = match named.as_slice() {
        [one] => Some(*one),
        [] => all.iter().position(|s| s.id == w),
        _ => {
            return Err(Error::new(ErrorKind::Unsupported, format!("{} snapshots are named {w:?}", named.len()))
                .hint(format!("choose one by its id: {}", list())));
        }
    };
    let i = found
        .ok_or_else(|| none(&format!("the qcow2 image has no snapshot {w:?}")).hint(format!("it has {}", list())))?;
    if all.get(i).is_some_and(|s| s.vm_state_bytes == 0) {
        return Err(none(&format!("the snapshot {w:?} holds no machine state, only the disk"))
            .hint("if the machine has several disks, only one holds the state: try its other qcow2 images"));
    }
    Ok(i)
}
