//! Section footers: whether a stream has them, and what follows when one is damaged.

use super::model::Section;
use super::resync;
use super::walk::Walker;
use crate::diag::{Diagnostic, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::names::RecordType;
use crate::offset::{StreamOffset, StreamRange};

/// The mark and the section id.
pub(super) const FOOTER_LEN: u64 = 5;

/// What was found where a footer is expected.
enum Found {
    Footer,
    /// The mark or the id is wrong, the other is right, and a record follows.
    Damaged(String),
    /// The stream has no footers.
    None,
    Else(String),
}

impl Walker<'_> {
    /// Returns whether a payload can end at `end`.
    pub(super) fn ends_here(&mut self, end: StreamOffset, id: u32) -> Result<bool> {
        let back = self.c.offset();
        if self.c.source().size().is_some_and(|s| end.0 > s) {
            return Ok(false);
        }
        self.c.seek(end);
        let found = self.look(id);
        self.c.seek(back);
        match found {
            Ok(Found::Footer | Found::Damaged(_)) => Ok(true),
            // without a footer, only the next record can confirm the end
            Ok(Found::None) => resync::record_at(self.c.source(), end, &self.known(), false),
            Ok(Found::Else(_)) => Ok(false),
            Err(e) if e.kind() == ErrorKind::Io => Err(e),
            Err(_) => Ok(false),
        }
    }

    /// Ends a section at `end`: reads the footer, or finds out that there are none.
    pub(super) fn close(&mut self, s: &mut Section, end: StreamOffset) -> Result<()> {
        self.c.seek(end);
        s.payload.end = end;
        s.footer = self.footer(s.header.section_id, s.header.idstr.exact())?;
        Ok(())
    }

    pub(super) fn footer(&mut self, id: u32, idstr: &str) -> Result<bool> {
        let at = self.c.offset();
        match self.look(id)? {
            Found::Footer => self.out.footers = Some(true),
            Found::Damaged(what) => {
                let range = StreamRange::with_len(at.0, FOOTER_LEN);
                self.out.found.push(Diagnostic::new(Level::Error, "footer", what).at(range).within(idstr));
            }
            Found::None => {
                self.out.footers = Some(false);
                return Ok(false);
            }
            Found::Else(what) => return Err(Error::corrupt(at, what)),
        }
        self.c.skip(FOOTER_LEN)?;
        Ok(true)
    }

    fn look(&mut self, id: u32) -> Result<Found> {
        if self.out.footers == Some(false) {
            return Ok(Found::None);
        }
        let mark = self.c.peek_u8()?;
        // 7e is no record type, so one look decides for the whole stream
        if mark != RecordType::FOOTER.0 && self.out.footers.is_none() {
            return Ok(match mark {
                0..=4 | 8 => Found::None,
                _ => Found::Else(format!("section footer: expected 0x7e, found {mark:#04x}")),
            });
        }
        let bytes = self.c.peek(5)?;
        let word = bytes.get(1..).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).unwrap_or_default();
        let what = match (mark == RecordType::FOOTER.0, word == id) {
            (true, true) => return Ok(Found::Footer),
            (true, false) => format!("section footer: expected id {id}, found {word}"),
            (false, true) => format!("section footer: expected 0x7e, found {mark:#04x}"),
            (false, false) => {
                return Ok(Found::Else(format!(
                    "section footer: expected 0x7e and id {id}, found {mark:#04x} and {word}"
                )));
            }
        };
        let next = self.c.offset().plus(FOOTER_LEN);
        let follows = self.out.footers == Some(true) && resync::record_at(self.c.source(), next, &self.known(), true)?;
        Ok(if follows { Found::Damaged(what) } else { Found::Else(what) })
    }
}
