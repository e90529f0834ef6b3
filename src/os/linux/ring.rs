//! The log of kernels since 5.10 (`kernel/printk/printk_ringbuffer.h`): a ring of descriptors, one of their details, and one of text.

use super::kernel::Kernel;
use super::layout::Layout;
use super::record::{Caller, Log, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;
use crate::text::Name;

/// Descriptors of a ring, as a shift: there is one for 32 bytes of text, so that this suits `log_buf_len=32M`.
const MAX_COUNT_BITS: u64 = 20;
const MAX_SIZE_BITS: u64 = 31;

/// Bytes of one record's details that are read; the kernel has 88, and 120 with the name of the writer.
const MAX_INFO: u64 = 4096;

/// Where the parts of the rings are.
struct Ring<'a> {
    kernel: &'a Kernel<'a>,
    word: usize,
    count_bits: u64,
    size_bits: u64,
    descs: u64,
    infos: u64,
    data: u64,
    head: u64,
    tail: u64,
    desc: Desc,
    info: Details,
}

/// Offsets in `prb_desc`.
struct Desc {
    size: u64,
    state: u64,
    begin: u64,
    next: u64,
}

/// Offsets in `printk_info`.
struct Details {
    size: usize,
    seq: usize,
    nsec: usize,
    len: usize,
    caller: usize,
}

/// Reads the log; `None` if the kernel has another form of it.
///
/// # Errors
/// When the ring itself cannot be read. A record that cannot be read is a problem of the log.
pub(super) fn read(kernel: &Kernel<'_>, info: &dyn Layout) -> Result<Option<Log>> {
    let Some(pointer) = info.symbol("prb") else { return Ok(None) };
    let ring = Ring::find(kernel, info, pointer).map_err(|e| e.within("printk ring"))?;
    let mut log = Log::default();
    let count = mask(ring.count_bits).plus(1);
    let ids = mask(u64::try_from(ring.word).unwrap_or(8).times(8).minus(2));
    let used = ring.head.wrapping_sub(ring.tail) & ids;
    if used >= count {
        let what = format!("printk ring: expected at most {count} records, found {used} between its tail and its head");
        return Err(Error::new(ErrorKind::Corrupt, what));
    }
    for n in 0..=used {
        let id = ring.tail.wrapping_add(n) & ids;
        match ring.record(id, &mut log) {
            Ok(Some(r)) => {
                if !log.add(r) {
                    break;
                }
            }
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(e) => {
                if !log.problem(e.within(format!("record {id} of the printk ring"))) {
                    break;
                }
            }
        }
    }
    Ok(Some(log))
}

fn mask(bits: u64) -> u64 {
    u32::try_from(bits).ok().and_then(|b| 1_u64.checked_shl(b)).map_or(u64::MAX, |b| b.wrapping_sub(1))
}

impl<'a> Ring<'a> {
    fn find(kernel: &'a Kernel<'a>, info: &dyn Layout, pointer: u64) -> Result<Self> {
        let lacking = |key: &str| Error::new(ErrorKind::Unsupported, format!("VMCOREINFO has no {key}"));
        let offset = |m: &str| info.offset(m).ok_or_else(|| lacking(&format!("OFFSET({m})")));
        let size = |m: &str| info.size(m).ok_or_else(|| lacking(&format!("SIZE({m})")));
        let word = usize::try_from(size("atomic_long_t")?).unwrap_or(0);
        if !matches!(word, 4 | 8) {
            return Err(Error::new(ErrorKind::Corrupt, format!("expected words of 4 or 8 bytes, found {word}")));
        }
        let counter = offset("atomic_long_t.counter")?;
        let ring = kernel.number(pointer, word)?;
        let at = |base: u64, by: &[u64]| by.iter().fold(base, |n, o| n.wrapping_add(*o));
        let descs = at(ring, &[offset("printk_ringbuffer.desc_ring")?]);
        let text = at(ring, &[offset("printk_ringbuffer.text_data_ring")?]);
        let word_at = |base: u64, member: &str| kernel.number(at(base, &[offset(member)?]), word);
        let shift = |base: u64, member: &str, most: u64| {
            let n = kernel.number(at(base, &[offset(member)?]), 4)?;
            if n > most {
                return Err(Error::new(ErrorKind::Corrupt, format!("{member}: expected at most {most}, found {n}")));
            }
            Ok(n)
        };
        let lpos = offset("prb_desc.text_blk_lpos")?;
        let small = |n: u64, what: &str| {
            let fault = || Error::new(ErrorKind::Corrupt, format!("{what}: expected at most {MAX_INFO}, found {n}"));
            usize::try_from(n).ok().filter(|_| n <= MAX_INFO).ok_or_else(fault)
        };
        let detail = |m: &str| small(offset(m)?, m);
        Ok(Self {
            kernel,
            word,
            count_bits: shift(descs, "prb_desc_ring.count_bits", MAX_COUNT_BITS)?,
            size_bits: shift(text, "prb_data_ring.size_bits", MAX_SIZE_BITS)?,
            descs: word_at(descs, "prb_desc_ring.descs")?,
            infos: word_at(descs, "prb_desc_ring.infos")?,
            data: word_at(text, "prb_data_ring.data")?,
            head: kernel.number(at(descs, &[offset("prb_desc_ring.head_id")?, counter]), word)?,
            tail: kernel.number(at(descs, &[offset("prb_desc_ring.tail_id")?, counter]), word)?,
            desc: Desc {
                size: size("prb_desc")?,
                state: offset("prb_desc.state_var")?.wrapping_add(counter),
                begin: lpos.wrapping_add(offset("prb_data_blk_lpos.begin")?),
                next: lpos.wrapping_add(offset("prb_data_blk_lpos.next")?),
            },
            info: Details {
                size: small(size("printk_info")?, "SIZE(printk_info)")?,
                seq: detail("printk_info.seq")?,
                nsec: detail("printk_info.ts_nsec")?,
                len: detail("printk_info.text_len")?,
                caller: detail("printk_info.caller_id")?,
            },
        })
    }

    /// Reads a record; `None` if there is none with this id, or it is not finished.
    fn record(&self, id: u64, log: &mut Log) -> Result<Option<Record>> {
        let index = id & mask(self.count_bits);
        let desc = self.descs.wrapping_add(index.wrapping_mul(self.desc.size));
        let state = self.kernel.number(desc.wrapping_add(self.desc.state), self.word)?;
        let bits = u32::try_from(self.word).unwrap_or(8).times(8).minus(2);
        if state & mask(bits.into()) != id {
            return Ok(None);
        }
        // 0 is reserved, 1 committed, 2 finalized, 3 may be used again
        match state.checked_shr(bits).unwrap_or(0) {
            1 | 2 => {}
            0 => {
                log.unfinished.tally(1);
                return Ok(None);
            }
            _ => return Ok(None),
        }
        let at = self.infos.wrapping_add(index.wrapping_mul(self.info.size as u64));
        let mut info = vec![0; self.info.size];
        self.kernel.read(at, &mut info)?;
        let number = |at: usize, len: usize| self.kernel.number_in(&info, at, len);
        let byte = |after: usize| info.get(self.info.len.plus(after)).copied().unwrap_or(0);
        let flags = byte(3);
        let len = number(self.info.len, 2);
        let begin = self.kernel.number(desc.wrapping_add(self.desc.begin), self.word)?;
        let next = self.kernel.number(desc.wrapping_add(self.desc.next), self.word)?;
        Ok(Some(Record {
            seq: Some(number(self.info.seq, 8)),
            nsec: number(self.info.nsec, 8),
            // five bits of flags, then three of level, from the end where the byte order begins
            level: if self.kernel.is_big_endian() { flags & 7 } else { flags >> 5 },
            facility: byte(2),
            caller: Some(Caller::new(u32::try_from(number(self.info.caller, 4)).unwrap_or(0))),
            text: Name::from_bytes(&self.text(begin, next, len)?),
        }))
    }

    /// Reads the text of a block between two logical positions: the block begins with its id.
    fn text(&self, begin: u64, next: u64, len: u64) -> Result<Vec<u8>> {
        // a position with bit 0 set means that there is no text
        if begin & 1 == 1 || len == 0 {
            return Ok(Vec::new());
        }
        let wrap = |n: u64| n.checked_shr(u32::try_from(self.size_bits).unwrap_or(0)).unwrap_or(0);
        let (first, last) = (begin & mask(self.size_bits), next & mask(self.size_bits));
        let room = mask(self.size_bits).plus(1);
        // a block that does not fit before the end lies at the start; one that ends with the ring does fit
        let (at, bytes) = match wrap(next).wrapping_sub(wrap(begin)) {
            // one that goes backwards has no bytes
            0 => (first, last.saturating_sub(first)),
            1 if last == 0 => (first, room.minus(first)),
            1 => (0, last),
            _ => (0, 0),
        };
        let head = self.word as u64;
        if bytes <= head {
            let what = format!("expected a block of text, found the positions {begin:#x} and {next:#x}");
            return Err(Error::new(ErrorKind::Corrupt, what));
        }
        let len = len.min(bytes.minus(head));
        let mut text = vec![0; usize::try_from(len).unwrap_or(0)];
        self.kernel.read(self.data.wrapping_add(at).wrapping_add(head), &mut text)?;
        Ok(text)
    }
}
