//! The state of a snapshot as a source: L1 and L2 tables, clusters plain, packed and in parts.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use byteorder::{BigEndian, ByteOrder};

use super::{Geometry, Snapshot, corrupt};
use crate::error::{Error, Result};
use crate::offset::{FileOffset, StreamOffset, Sure};
use crate::wire::{Cursor, FileSource, Source};

/// What QEMU itself allows.
const MAX_L1_BYTES: u64 = 32 << 20;
/// L2 tables and unpacked clusters that are kept; each has up to 2 MiB.
const KEPT: usize = 16;
/// Bytes that may be read of any image, however small.
const ALWAYS_READ: u64 = 256 << 20;

const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const READS_ZERO: u64 = 1;

/// The state of one snapshot as a source.
pub(super) struct State {
    file: FileSource,
    geometry: Geometry,
    size: u64,
    /// The entries that cover the state.
    l1: Vec<u64>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// What has been read.
    used: u64,
    l2: HashMap<u64, Arc<Vec<u8>>>,
    unpacked: HashMap<u64, Arc<Vec<u8>>>,
}

/// Where the bytes of a guest offset are, and for how many bytes that holds.
enum Place {
    Zero,
    At(u64),
    Packed { entry: u64, skip: u64 },
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl State {
    pub(super) fn open(file: FileSource, geometry: Geometry, s: &Snapshot) -> Result<Self> {
        let bytes = u64::from(s.l1_entries).times(8);
        if bytes > MAX_L1_BYTES {
            return Err(corrupt(
                s.l1_offset,
                format!("L1 table: expected at most {MAX_L1_BYTES} bytes, found {bytes}"),
            ));
        }
        let span = geometry.l1_span();
        // QEMU counts the disk in sectors
        let disk = s.disk_bytes & !511;
        let before = disk.div_ceil(span);
        let after = s.vm_state_bytes.div_ceil(span);
        let room = u64::from(s.l1_entries).saturating_sub(before);
        if after > room {
            let covered = room.times(span);
            let what = format!("expected {} bytes of state, the L1 table covers {covered}", s.vm_state_bytes);
            return Err(corrupt(s.l1_offset, what));
        }
        // only the entries after the disk matter
        let at = s.l1_offset.saturating_add(before.saturating_mul(8));
        let table = Cursor::new(&file, StreamOffset(at))
            .take_vec(after.times(8), MAX_L1_BYTES, "L1 table")
            .map_err(|e| Error::new(e.kind(), format!("qcow2: {}", e.message())).at_file(FileOffset(at)))?;
        let l1: Vec<u64> = table.chunks_exact(8).map(BigEndian::read_u64).collect();
        Ok(Self { file, geometry, size: s.vm_state_bytes, l1, kept: Mutex::default() })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn l2(&self, at: u64) -> io::Result<Arc<Vec<u8>>> {
        if let Some(t) = self.kept().l2.get(&at) {
            return Ok(Arc::clone(t));
        }
        if at.checked_rem(self.geometry.cluster()) != Some(0) {
            return Err(invalid(format!("qcow2 L2 table at {at:#x} is not cluster-aligned")));
        }
        let mut table = vec![0; usize::try_from(self.geometry.cluster()).unwrap_or(0)];
        let n = self.file.read_full(at, &mut table)?;
        if n < table.len() {
            return Err(invalid(format!("qcow2 L2 table at {at:#x}: found {n} bytes before the end of the file")));
        }
        let table = Arc::new(table);
        let mut kept = self.kept();
        if kept.l2.len() >= KEPT {
            kept.l2.clear();
        }
        kept.l2.insert(at, Arc::clone(&table));
        Ok(table)
    }

    /// Finds a guest offset, and how many bytes from there on are in one piece.
    fn place(&self, guest: u64) -> io::Result<(Place, u64)> {
        let g = self.geometry;
        let in_cluster = guest & g.cluster().minus(1);
        let mut left = g.cluster().minus(in_cluster);
        let i = usize::try_from(guest >> g.cluster_bits.plus(g.l2_bits())).unwrap_or(usize::MAX);
        let table = self.l1.get(i).copied().unwrap_or(0) & OFFSET_MASK;
        if table == 0 {
            return Ok((Place::Zero, left));
        }
        let table = self.l2(table)?;
        let j = (guest >> g.cluster_bits) & (1_u64 << g.l2_bits()).minus(1);
        let at = usize::try_from(j.times(g.l2_entry())).unwrap_or(usize::MAX);
        let word = |at: usize| table.get(at..).and_then(|b| b.get(..8)).map_or(0, BigEndian::read_u64);
        let entry = word(at);
        if entry & COMPRESSED != 0 {
            return Ok((Place::Packed { entry, skip: in_cluster }, left));
        }
        let host = entry & OFFSET_MASK;
        if g.extended_l2 {
            // 32 subclusters: the low half of the bitmap says allocated, the high half zero
            let sub_bits = g.cluster_bits.minus(5);
            let sub = in_cluster >> sub_bits;
            let sub_bytes = 1_u64 << sub_bits;
            left = sub_bytes.minus(in_cluster & sub_bytes.minus(1));
            let bitmap = word(at.plus(8));
            let (allocated, zero) = (bitmap >> sub & 1 != 0, bitmap >> sub >> 32 & 1 != 0);
            return match (allocated, zero) {
                (true, true) => Err(invalid(format!("qcow2 subcluster at {guest:#x} is both allocated and zero"))),
                (true, false) => Ok((Place::At(self.aligned(host)?.plus(in_cluster)), left)),
                (false, _) => Ok((Place::Zero, left)),
            };
        }
        if entry & READS_ZERO != 0 {
            if g.version < 3 {
                return Err(invalid(format!("qcow2 L2 entry {entry:#x}: version 2 has no zero clusters")));
            }
            return Ok((Place::Zero, left));
        }
        if host == 0 {
            return Ok((Place::Zero, left));
        }
        Ok((Place::At(self.aligned(host)?.plus(in_cluster)), left))
    }

    /// Counts the bytes read. A cluster normally belongs to one place in the state; tables that refer to the same one
    /// repeatedly would make a small file endless. Allowed are a few reads of each byte, and a bounded amount of
    /// zeros and compressed clusters.
    fn count(&self, place: &Place, n: u64) -> io::Result<()> {
        let mut kept = self.kept();
        kept.used = kept.used.plus(match place {
            Place::At(_) => n,
            Place::Zero | Place::Packed { .. } => n >> 3,
        });
        let size = self.file.size().unwrap_or(u64::MAX);
        if kept.used > size.saturating_mul(16).saturating_add(ALWAYS_READ) {
            return Err(invalid(format!(
                "qcow2: the snapshot refers to the clusters of this {size}-byte file too many times"
            )));
        }
        Ok(())
    }

    fn aligned(&self, host: u64) -> io::Result<u64> {
        if host.checked_rem(self.geometry.cluster()) == Some(0) {
            Ok(host)
        } else {
            Err(invalid(format!("qcow2 data at {host:#x} is not cluster-aligned")))
        }
    }

    /// Unpacks a compressed cluster: raw deflate, or zstd frames.
    fn unpacked(&self, entry: u64) -> io::Result<Arc<Vec<u8>>> {
        if let Some(c) = self.kept().unpacked.get(&entry) {
            return Ok(Arc::clone(c));
        }
        let g = self.geometry;
        let x = 62_u32.minus(g.cluster_bits.minus(8));
        let at = entry & (1_u64 << x).minus(1);
        let sectors = (entry & !COMPRESSED & !(1 << 63)) >> x;
        let bytes = sectors.plus(1).times(512).minus(at & 511);
        let mut packed = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let n = self.file.read_full(at, &mut packed)?;
        packed.truncate(n);
        let mut out = Vec::new();
        let want = g.cluster();
        let result = if g.zstd {
            unpack_zstd(&packed, want, &mut out)
        } else {
            flate2::read::DeflateDecoder::new(packed.as_slice()).take(want).read_to_end(&mut out)
        };
        if out.len() as u64 != want {
            let why = result.map_or_else(|e| e.to_string(), |n| format!("unpacked to {n} bytes"));
            return Err(invalid(format!("qcow2 compressed cluster at {at:#x}: expected {want} bytes: {why}")));
        }
        let out = Arc::new(out);
        let mut kept = self.kept();
        if kept.unpacked.len() >= KEPT {
            kept.unpacked.clear();
        }
        kept.unpacked.insert(entry, Arc::clone(&out));
        Ok(out)
    }
}

impl Source for State {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let want = self.size.saturating_sub(offset).min(buf.len() as u64);
        if want == 0 {
            return Ok(0);
        }
        // the state begins at an L1 entry, so offsets within clusters and tables are those of the guest
        let guest = offset;
        let (place, mut n) = self.place(guest)?;
        // clusters that follow each other in the file are read at once
        while n < want {
            match (&place, self.place(guest.plus(n))?) {
                (Place::At(host), (Place::At(next), more)) if next == host.plus(n) => n = n.plus(more),
                (Place::Zero, (Place::Zero, more)) => n = n.plus(more),
                _ => break,
            }
        }
        let n = usize::try_from(n.min(want)).unwrap_or(buf.len());
        let to = buf.get_mut(..n).unwrap_or_default();
        self.count(&place, n as u64)?;
        match place {
            Place::Zero => to.fill(0),
            Place::At(host) => {
                let got = self.file.read_full(host, to)?;
                // data past the end of the file was never written
                to.get_mut(got..).unwrap_or_default().fill(0);
            }
            Place::Packed { entry, skip } => {
                let cluster = self.unpacked(entry)?;
                let from = usize::try_from(skip).unwrap_or(usize::MAX);
                let part = cluster.get(from..).and_then(|b| b.get(..n)).unwrap_or_default();
                to.get_mut(..part.len()).unwrap_or_default().copy_from_slice(part);
            }
        }
        Ok(n)
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    // a virtual machine may write to other parts of the image
    fn trouble(&self) -> Option<String> {
        self.file.failure().map(|e| format!("cannot read the stream: {e}"))
    }
}

#[cfg(feature = "zstd")]
fn unpack_zstd(packed: &[u8], want: u64, out: &mut Vec<u8>) -> io::Result<usize> {
    zstd::Decoder::new(packed).and_then(|d| d.take(want).read_to_end(out))
}

#[cfg(not(feature = "zstd"))]
fn unpack_zstd(_: &[u8], _: u64, _: &mut Vec<u8>) -> io::Result<usize> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this build cannot unpack zstd: it lacks the feature `zstd`"))
}
