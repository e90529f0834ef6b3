//! The head of a stream and of a section.

use crate::error::{Error, ErrorKind, Result};
use crate::names::RecordType;
use crate::offset::{StreamOffset, StreamRange};
use crate::text::Name;
use crate::wire::Cursor;

/// `QEVM`.
pub const MAGIC: [u8; 4] = *b"QEVM";
/// `QCPR`: the small separate stream of a CPR transfer.
const MAGIC_CPR: [u8; 4] = *b"QCPR";
/// A multifd channel.
const MAGIC_MULTIFD: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
/// The version of the file header; 2 was the last before QEMU 0.10.
pub const VERSION: u32 = 3;

/// Reads the magic and the version.
///
/// # Errors
/// `NotASaveImage` for another magic, `Unsupported` for another version or for a stream that is not the main one.
pub fn read_header(c: &mut Cursor<'_>) -> Result<StreamRange> {
    let start = c.offset();
    let mut magic = [0; 4];
    let head = c.peek(4).map_err(|e| match e.kind() {
        ErrorKind::Truncated => {
            Error::new(ErrorKind::NotASaveImage, "expected the magic QEVM, found fewer than 4 bytes")
        }
        _ => e,
    })?;
    magic.copy_from_slice(head);
    match magic {
        MAGIC => {}
        MAGIC_CPR => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a CPR state stream (magic QCPR): it lists file descriptors and holds no machine state",
            )
            .at(start)
            .hint("the machine's state is in the main migration stream of the same transfer"));
        }
        MAGIC_MULTIFD => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a multifd channel (magic 0x11223344): it holds only RAM pages",
            )
            .at(start)
            .hint("the machine's state is in the main channel, which begins with QEVM"));
        }
        other => {
            return Err(Error::new(
                ErrorKind::NotASaveImage,
                format!("expected the magic QEVM, found {:#010x}", u32::from_be_bytes(other)),
            )
            .at(start));
        }
    }
    c.skip(4)?;
    let at = c.offset();
    let version = c.be32()?;
    if version != VERSION {
        let why = if version == 2 { ", which was written before QEMU 0.10 and which QEMU no longer reads" } else { "" };
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("stream version: expected {VERSION}, found {version}{why}"),
        )
        .at(at));
    }
    Ok(StreamRange::new(start.0, c.offset().0))
}

/// The data before the payload of a START or FULL section.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SectionHeader {
    /// START or FULL.
    pub kind: RecordType,
    /// Identifies the handler within this stream only.
    pub section_id: u32,
    /// The name: the device's path, if it has one, and the vmsd's name.
    pub idstr: Name,
    /// Tells sections of one name apart.
    pub instance_id: u32,
    /// The version of the payload.
    pub version_id: u32,
    /// The header's bytes, record type included.
    pub range: StreamRange,
}

impl SectionHeader {
    /// Returns the name and the instance id, as errors and tables show them.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} ({})", self.idstr, self.instance_id)
    }
}

/// Reads a section header; the cursor is just after the record type, which began at `start`.
pub(super) fn read_section_header(c: &mut Cursor<'_>, kind: RecordType, start: StreamOffset) -> Result<SectionHeader> {
    let section_id = c.be32()?;
    let at = c.offset();
    let idstr = c.counted_str()?;
    if idstr.is_empty() {
        return Err(Error::corrupt(at, "section header: expected a name, found an empty one"));
    }
    let instance_id = c.be32()?;
    let version_id = c.be32()?;
    let range = StreamRange::new(start.0, c.offset().0);
    Ok(SectionHeader { kind, section_id, idstr, instance_id, version_id, range })
}
