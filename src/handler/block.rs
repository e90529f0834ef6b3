//! `block`: the disks themselves (`migrate -b`, `migrate -i`; QEMU up to 9.0).
//!
//! | bytes | meaning |
//! |---|---|
//! | be64 word | the low 9 bits are flags, the others a number |
//! | 0x01 DEVICE_BLOCK: u8 n, n bytes | the disk's name; the number is a sector of 512 bytes |
//! | 1 MiB | what it holds from that sector on; a whole MiB also at the end of the disk |
//! | 0x09 DEVICE_BLOCK, ZERO_BLOCK: u8 n, n bytes | the same for a MiB of zeros, which has no bytes |
//! | 0x04 PROGRESS | the number is per cent of the first pass |
//! | 0x02 EOS | the payload ends |
//!
//! A block may occur several times; the last one counts. Written by `block_save_setup`, `block_save_iterate`,
//! `block_save_complete` and `blk_send` in `migration/block.c`.

use super::by_name::ByName;
use super::{bytes, count};
use crate::diag::Diagnostics;
use crate::error::{Error, Result};
use crate::names::RecordType;
use crate::offset::Sure;
use crate::stream::{Fact, LiveSection};
use crate::wire::Cursor;

const DEVICE_BLOCK: u64 = 0x01;
const EOS: u64 = 0x02;
const PROGRESS: u64 = 0x04;
const ZERO_DEVICE_BLOCK: u64 = 0x08 | DEVICE_BLOCK;
/// The flags of a word: the bits below the sector size.
const FLAGS: u64 = 0x1ff;
const SECTOR_BITS: u32 = 9;
/// The size of a block in bytes and in sectors.
const BLOCK: u64 = 1 << 20;
const BLOCK_SECTORS: u64 = BLOCK >> SECTOR_BITS;

/// The reader of one `block` section.
#[derive(Default)]
pub(super) struct Block {
    payloads: u64,
    data_blocks: u64,
    zero_blocks: u64,
    /// Percentage of the first pass, as last received.
    progress: Option<u64>,
    disks: ByName<Disk>,
}

#[derive(Default)]
struct Disk {
    data: u64,
    zero: u64,
    /// One past the highest sector that a block begins or fills.
    end_sector: u64,
}

impl Block {
    /// Counts a block whose bytes are there.
    fn seen(&mut self, name: &str, sector: u64, zero: bool) {
        let total = if zero { &mut self.zero_blocks } else { &mut self.data_blocks };
        total.tally(1);
        if let Some(d) = self.disks.entry(name) {
            let n = if zero { &mut d.zero } else { &mut d.data };
            n.tally(1);
            d.end_sector = d.end_sector.max(sector.saturating_add(BLOCK_SECTORS));
        }
    }
}

impl LiveSection for Block {
    fn read(&mut self, c: &mut Cursor<'_>, _kind: RecordType, _found: &mut Diagnostics) -> Result<()> {
        loop {
            let at = c.offset();
            let word = c.be64()?;
            let number = word >> SECTOR_BITS;
            match word & FLAGS {
                DEVICE_BLOCK => {
                    let name = c.counted_str()?;
                    c.skip(BLOCK)?;
                    c.release_behind();
                    self.seen(name.exact(), number, false);
                }
                ZERO_DEVICE_BLOCK => {
                    let name = c.counted_str()?;
                    self.seen(name.exact(), number, true);
                }
                PROGRESS if number <= 100 => self.progress = Some(number),
                PROGRESS => {
                    return Err(Error::corrupt(at, format!("progress: expected at most 100%, found {number}")));
                }
                EOS => break,
                flags => {
                    return Err(Error::corrupt(
                        at,
                        format!("disk record: expected one of DEVICE_BLOCK, PROGRESS, EOS, found flags {flags:#x}"),
                    ));
                }
            }
        }
        self.payloads.tally(1);
        Ok(())
    }

    fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![
            count("payloads", self.payloads),
            count("data_blocks", self.data_blocks),
            count("zero_blocks", self.zero_blocks),
            bytes("data_bytes", self.data_blocks.times(BLOCK)),
        ];
        if let Some(p) = self.progress {
            facts.push(count("progress_percent", p));
        }
        facts.extend(self.disks.facts("disks", |d| {
            format!("{} blocks of 1 MiB, {} zero blocks, up to sector {}", d.data, d.zero, d.end_sector)
        }));
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bytes, every_cut_is_found, fault, list, number, read, read_before};
    use super::*;
    use crate::error::ErrorKind;

    fn zero(b: Bytes, sector: u64, name: &str) -> Bytes {
        b.be64((sector << 9) | ZERO_DEVICE_BLOCK).name(name)
    }

    fn data(b: Bytes, sector: u64, name: &str) -> Bytes {
        b.be64((sector << 9) | DEVICE_BLOCK).name(name).fill(1 << 20, 0x7e)
    }

    fn progress(b: Bytes, percent: u64) -> Bytes {
        b.be64((percent << 9) | PROGRESS)
    }

    #[test]
    fn blocks_are_counted_for_each_disk() {
        let mut s = Block::default();
        read(&mut s, RecordType::START, &zero(Bytes::default(), 0, "virtio0").be64(EOS).0);
        let part = data(data(zero(Bytes::default(), 2048, "virtio0"), 0, "sda"), 2048, "sda");
        read(&mut s, RecordType::PART, &progress(part, 42).be64(EOS).0);
        read(&mut s, RecordType::END, &progress(Bytes::default(), 100).be64(EOS).0);
        assert_eq!(number(&s, "payloads"), 3);
        assert_eq!(number(&s, "data_blocks"), 2);
        assert_eq!(number(&s, "zero_blocks"), 2);
        assert_eq!(number(&s, "data_bytes"), 2 << 20);
        assert_eq!(number(&s, "progress_percent"), 100);
        assert_eq!(
            list(&s, "disks"),
            [
                "sda: 2 blocks of 1 MiB, 0 zero blocks, up to sector 4096",
                "virtio0: 0 blocks of 1 MiB, 2 zero blocks, up to sector 4096"
            ]
        );
    }

    #[test]
    fn other_records_are_refused_where_they_start() {
        for word in [0, 0x08, 0x03, 0x05, 0x06, 0x0a, 0x10, 0x100, u64::MAX, (101 << 9) | PROGRESS] {
            let payload = zero(Bytes::default(), 0, "d").be64(word).0;
            assert_eq!(fault(&mut Block::default(), RecordType::PART, &payload), (ErrorKind::Corrupt, 10), "{word:#x}");
        }
    }

    #[test]
    fn a_cut_block_is_not_counted() {
        let mut s = Block::default();
        let payload = data(Bytes::default(), 0, "d").0;
        let e = read_before(&mut s, RecordType::PART, &payload[..payload.len() - 1], &[]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Truncated);
        assert_eq!(number(&s, "data_blocks"), 0);
    }

    #[test]
    fn every_cut_is_found_here() {
        let payload = progress(zero(zero(Bytes::default(), 1 << 40, "d0"), 0, ""), 7).be64(EOS).0;
        every_cut_is_found::<Block>(RecordType::PART, &payload);
        // a whole block cut anywhere is one case: at its name, in its data and after it
        let payload = data(Bytes::default(), 0, "d0").be64(EOS).0;
        for n in [0, 7, 8, 9, 10, 11, 12, 1 << 19, payload.len() - 9, payload.len() - 8, payload.len() - 1] {
            let e = read_before(&mut Block::default(), RecordType::PART, &payload[..n], &[]).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Truncated, "cut at {n}");
        }
    }
}
