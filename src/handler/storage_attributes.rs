//! `s390-storage_attributes`: the CMMA page states of an s390x guest.
//!
//! | bytes | meaning |
//! |---|---|
//! | be64 word | the low 12 bits are one flag, the others a guest address (MORE only) |
//! | 0x01 EOS | the payload ends |
//! | 0x02 MORE: be64 n, n bytes | attributes of n pages from the address, a byte each |
//! | 0x04 ERROR | the saving side could not read its attributes |
//! | 0x08 DONE | the last attributes have been sent (END) |
//!
//! Written by `cmma_save_setup` and `cmma_save` in `hw/s390x/s390-stattrib.c`.
//!
//! DONE without EOS: `cmma_save` writes EOS after DONE, and `cmma_load` wants it, in every version read; QEMU's
//! `analyze-migration.py` nevertheless knows payloads that end with DONE. After DONE (and only there) the next bytes
//! decide:
//! - first byte not 0: a footer (0x7e) or the type of the next record. As the top byte of a word it would be part of an
//!   address of 2^56 or more, and EOS and DONE have no address at all. The payload has ended.
//! - first byte 0: a word, or the end record of a stream without footers. A word has exactly one flag, and no address
//!   unless it is MORE. The end record does not look so: a description after it puts `{"` into the low bits (flags 0xb22),
//!   padding has no flag at all. What is no word is not ours.
//! - fewer than 8 bytes that begin with 0: a cut word; a stream that ends so is reported as truncated.

use super::{bytes, count};
use crate::diag::{Diagnostic, Diagnostics, Level};
use crate::error::{Error, Result};
use crate::names::RecordType;
use crate::offset::{StreamRange, Sure};
use crate::stream::{Fact, LiveSection};
use crate::wire::Cursor;

const EOS: u64 = 0x01;
const MORE: u64 = 0x02;
const ERROR: u64 = 0x04;
const DONE: u64 = 0x08;
/// The flags of a word: the bits below the page size.
const FLAGS: u64 = 0xfff;

/// The reader of one `s390-storage_attributes` section.
#[derive(Default)]
pub(super) struct StorageAttributes {
    payloads: u64,
    chunks: u64,
    attribute_bytes: u64,
    errors: u64,
    /// Pages that the highest attribute reaches to.
    highest_page: u64,
}

/// Splits a word that a payload can have into flag and address.
fn split(word: u64) -> Option<(u64, u64)> {
    let (flag, addr) = (word & FLAGS, word & !FLAGS);
    match flag {
        MORE => Some((flag, addr)),
        EOS | ERROR | DONE if addr == 0 => Some((flag, addr)),
        _ => None,
    }
}

/// Returns whether the payload continues after DONE; see the head of this file.
fn goes_on_after_done(c: &mut Cursor<'_>) -> Result<bool> {
    if c.peek_u8()? != 0 {
        return Ok(false);
    }
    let word = c.peek(8)?.iter().fold(0u64, |w, b| (w << 8) | u64::from(*b));
    Ok(split(word).is_some())
}

impl LiveSection for StorageAttributes {
    fn read(&mut self, c: &mut Cursor<'_>, _kind: RecordType, found: &mut Diagnostics) -> Result<()> {
        loop {
            let at = c.offset();
            let word = c.be64()?;
            let Some((flag, addr)) = split(word) else {
                return Err(Error::corrupt(
                    at,
                    format!("storage attributes: expected one of EOS, MORE, ERROR, DONE, found {word:#x}"),
                ));
            };
            match flag {
                MORE => {
                    let n = c.be64()?;
                    c.skip(n)?;
                    c.release_behind();
                    self.chunks.tally(1);
                    self.attribute_bytes = self.attribute_bytes.plus(n);
                    self.highest_page = self.highest_page.max((addr >> 12).plus(n));
                }
                ERROR => {
                    self.errors.tally(1);
                    let what = "the source could not read all storage attributes";
                    let record = StreamRange::with_len(at.0, 8);
                    found.push(Diagnostic::new(Level::Error, "storage-attributes-incomplete", what).at(record));
                }
                DONE => {
                    if !goes_on_after_done(c)? {
                        let what = "the payload ends with DONE, without EOS";
                        let record = StreamRange::with_len(at.0, 8);
                        found.push(Diagnostic::new(Level::Note, "storage-attributes-without-eos", what).at(record));
                        break;
                    }
                }
                _ => break,
            }
        }
        self.payloads.tally(1);
        Ok(())
    }

    fn facts(&self) -> Vec<Fact> {
        let mut facts = vec![
            count("payloads", self.payloads),
            count("chunks", self.chunks),
            bytes("attribute_bytes", self.attribute_bytes),
            count("pages_reached", self.highest_page),
        ];
        if self.errors > 0 {
            facts.push(count("errors", self.errors));
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bytes, every_cut_is_found, fault, number, read, read_before};
    use super::*;
    use crate::error::ErrorKind;

    fn more() -> Bytes {
        Bytes::default().be64(0x5000 | MORE).be64(20).fill(20, 0x7e).be64(MORE).be64(3).fill(3, 1)
    }

    #[test]
    fn attributes_are_counted() {
        let mut s = StorageAttributes::default();
        read(&mut s, RecordType::START, &Bytes::default().be64(EOS).0);
        read(&mut s, RecordType::PART, &more().be64(EOS).0);
        let found = read(&mut s, RecordType::END, &more().be64(DONE).be64(EOS).0);
        assert!(found.list().is_empty());
        assert_eq!(number(&s, "payloads"), 3);
        assert_eq!(number(&s, "chunks"), 4);
        assert_eq!(number(&s, "attribute_bytes"), 46);
        assert_eq!(number(&s, "pages_reached"), 25);
        assert!(s.facts().iter().all(|f| f.name != "errors"));
    }

    #[test]
    fn without_eos_the_payload_ends_after_done() {
        let payload = more().be64(DONE).0;
        let vmdesc = [0, 6, 0, 0, 0x20, 0, b'{', b'"', b'p'];
        // a footer, or in a stream without footers: further sections, a command, the end with and without description
        for after in [
            &[0x7e, 0, 0, 0, 4][..],
            &[0x7e],
            &[1, 0, 0, 0, 4, 3, b'r', b'a', b'm'],
            &[2, 0, 0, 0, 2, 0, 0, 0, 1],
            &[3, 0, 0, 0, 2, 0, 0, 0, 1],
            &[4, 0, 0, 0, 8, 1, b'x', 0, 0],
            &[8, 0, 11, 0, 0, 4, 0, 0, 0],
            &vmdesc,
            &[0; 8],
        ] {
            let mut s = StorageAttributes::default();
            let (n, found) = read_before(&mut s, RecordType::END, &payload, after).unwrap();
            assert_eq!(n, payload.len() as u64, "{after:x?}");
            assert_eq!(found.list()[0].code, "storage-attributes-without-eos");
            assert!(!found.has_errors());
            assert_eq!(number(&s, "payloads"), 1);
        }
    }

    #[test]
    fn a_word_after_done_belongs_to_the_payload() {
        let mut s = StorageAttributes::default();
        let found = read(&mut s, RecordType::END, &more().be64(DONE).raw(&more().0).be64(DONE).be64(EOS).0);
        assert!(found.list().is_empty());
        assert_eq!(number(&s, "chunks"), 4);
    }

    #[test]
    fn an_error_of_the_saving_side_is_reported() {
        let mut s = StorageAttributes::default();
        let found = read(&mut s, RecordType::PART, &Bytes::default().be64(ERROR).be64(EOS).0);
        assert!(found.has_errors());
        assert_eq!(number(&s, "errors"), 1);
    }

    #[test]
    fn other_words_are_refused_where_they_start() {
        for word in [0, 3, 0x10, 0x800, 0x1000, 0x1000 | EOS, 0x1000 | ERROR, 0x1000 | DONE, u64::MAX] {
            let payload = more().be64(word).be64(EOS).0;
            assert_eq!(
                fault(&mut StorageAttributes::default(), RecordType::PART, &payload),
                (ErrorKind::Corrupt, more().0.len() as u64),
                "{word:#x}"
            );
        }
    }

    #[test]
    fn a_count_that_the_stream_does_not_have_is_a_cut() {
        for n in [4, u64::MAX] {
            let payload = Bytes::default().be64(MORE).be64(n).0;
            let e = read_before(&mut StorageAttributes::default(), RecordType::PART, &payload, &[]).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Truncated);
        }
    }

    #[test]
    fn every_cut_is_found_here() {
        every_cut_is_found::<StorageAttributes>(RecordType::END, &more().be64(DONE).be64(EOS).0);
        every_cut_is_found::<StorageAttributes>(RecordType::END, &more().be64(EOS).0);
    }
}
