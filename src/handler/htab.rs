//! `spapr/htab`: the hash page table of a pseries guest.
//!
//! | bytes | meaning |
//! |---|---|
//! | be32 head | 0xffffffff: no hash table (radix guest), the payload ends |
//! | | 18 to 46: log2 of the table's size in bytes, the payload ends (START) |
//! | | 0: chunks follow |
//! | be32 index, be16 v, be16 i | a chunk of v valid entries from `index`, then i invalid ones |
//! | v × 16 | the valid entries; the invalid ones have no bytes |
//! | be32 0, be16 0, be16 0 | the end of the chunks and of the payload |
//!
//! Written by `htab_save_setup`, `htab_save_iterate` and `htab_save_complete` in `hw/ppc/spapr.c`; with KVM the chunks come
//! from the kernel (`kvmppc_save_htab` in `target/ppc/kvm.c`) in the same form.

use super::{bytes, count};
use crate::diag::Diagnostics;
use crate::error::{Error, Result};
use crate::names::RecordType;
use crate::offset::Sure;
use crate::stream::{Fact, FactValue, LiveSection};
use crate::wire::Cursor;

/// The head of a payload of a guest without a hash table.
const NO_TABLE: u32 = u32::MAX;
/// The sizes that the architecture allows, as log2 of bytes.
const SHIFTS: std::ops::RangeInclusive<u32> = 18..=46;
/// The size of a table entry.
const HPTE: u64 = 16;

/// The reader of one `spapr/htab` section.
#[derive(Default)]
pub(super) struct Htab {
    /// log2 of the table's size, once it is known.
    shift: Option<u32>,
    without_table: u64,
    payloads: u64,
    chunks: u64,
    valid: u64,
    invalid: u64,
}

impl Htab {
    fn table_bytes(&self) -> Option<u64> {
        self.shift.and_then(|s| 1u64.checked_shl(s))
    }

    /// Reads one chunk; `false` after the end marker.
    fn chunk(&mut self, c: &mut Cursor<'_>) -> Result<bool> {
        let at = c.offset();
        let (index, valid, invalid) = (c.be32()?, c.be16()?, c.be16()?);
        if (index, valid, invalid) == (0, 0, 0) {
            return Ok(false);
        }
        let end = u64::from(index).plus(u64::from(valid)).plus(u64::from(invalid));
        if let Some(slots) = self.table_bytes().map(|b| b / HPTE)
            && end > slots
        {
            return Err(Error::corrupt(
                at,
                format!("hash table chunk: entries {index} to {end}, expected at most {slots}"),
            ));
        }
        c.skip(u64::from(valid).times(HPTE))?;
        c.release_behind();
        self.chunks.tally(1);
        self.valid = self.valid.plus(u64::from(valid));
        self.invalid = self.invalid.plus(u64::from(invalid));
        Ok(true)
    }
}

impl LiveSection for Htab {
    fn read(&mut self, c: &mut Cursor<'_>, _kind: RecordType, _found: &mut Diagnostics) -> Result<()> {
        let at = c.offset();
        let head = c.be32()?;
        match head {
            NO_TABLE => {
                self.shift = None;
                self.without_table.tally(1);
            }
            0 => while self.chunk(c)? {},
            shift if SHIFTS.contains(&shift) => self.shift = Some(shift),
            _ => {
                return Err(Error::corrupt(
                    at,
                    format!("hash table head: expected 0, 0xffffffff or a size of 2^18 to 2^46, found {head:#x}"),
                ));
            }
        }
        self.payloads.tally(1);
        Ok(())
    }

    fn facts(&self) -> Vec<Fact> {
        let table = match self.table_bytes() {
            Some(n) => bytes("table_bytes", n),
            None if self.without_table > 0 => Fact { name: "table", value: FactValue::Text("none".into()) },
            None => Fact { name: "table", value: FactValue::Text("unknown".into()) },
        };
        vec![
            table,
            count("payloads", self.payloads),
            count("chunks", self.chunks),
            count("valid_hptes", self.valid),
            count("invalid_hptes", self.invalid),
            bytes("hpte_bytes", self.valid.times(HPTE)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bytes, every_cut_is_found, fault, number, read};
    use super::*;
    use crate::error::ErrorKind;

    fn chunks() -> Vec<u8> {
        Bytes::default()
            .be32(0)
            .be32(0)
            .be16(2)
            .be16(3)
            .fill(32, 0x7e)
            .be32(16_380)
            .be16(0)
            .be16(4)
            .be32(7)
            .be16(1)
            .be16(0)
            .fill(16, 0)
            .be64(0)
            .0
    }

    #[test]
    fn size_then_chunks_are_counted() {
        let mut s = Htab::default();
        read(&mut s, RecordType::START, &[0, 0, 0, 18]);
        read(&mut s, RecordType::PART, &chunks());
        read(&mut s, RecordType::END, &Bytes::default().be32(0).be64(0).0);
        assert_eq!(number(&s, "table_bytes"), 1 << 18);
        assert_eq!(number(&s, "payloads"), 3);
        assert_eq!(number(&s, "chunks"), 3);
        assert_eq!(number(&s, "valid_hptes"), 3);
        assert_eq!(number(&s, "invalid_hptes"), 7);
        assert_eq!(number(&s, "hpte_bytes"), 48);
    }

    #[test]
    fn a_radix_guest_has_no_table() {
        let mut s = Htab::default();
        assert_eq!(s.facts()[0].value, FactValue::Text("unknown".into()));
        for kind in [RecordType::START, RecordType::PART, RecordType::END] {
            read(&mut s, kind, &[0xff; 4]);
        }
        assert_eq!(s.facts()[0].value, FactValue::Text("none".into()));
        assert_eq!(number(&s, "payloads"), 3);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        for head in [1, 17, 47, 0x7e00_0000, 0xffff_fffe_u32] {
            assert_eq!(
                fault(&mut Htab::default(), RecordType::START, &head.to_be_bytes()),
                (ErrorKind::Corrupt, 0),
                "{head:#x}"
            );
        }
        for head in [18, 46_u32] {
            read(&mut Htab::default(), RecordType::START, &head.to_be_bytes());
        }
    }

    #[test]
    fn a_chunk_past_the_table_is_refused_where_it_starts() {
        let past = Bytes::default().be32(0).be32(16_383).be16(1).be16(1).fill(16, 0).be64(0).0;
        let mut s = Htab::default();
        read(&mut s, RecordType::PART, &past); // the size is not known yet
        read(&mut s, RecordType::START, &[0, 0, 0, 18]);
        assert_eq!(fault(&mut s, RecordType::PART, &past), (ErrorKind::Corrupt, 4));
        assert_eq!(number(&s, "chunks"), 1, "what is refused is not counted");
    }

    #[test]
    fn every_cut_is_found_here() {
        every_cut_is_found::<Htab>(RecordType::PART, &chunks());
        every_cut_is_found::<Htab>(RecordType::START, &[0, 0, 0, 20]);
        every_cut_is_found::<Htab>(RecordType::START, &[0xff; 4]);
    }
}
