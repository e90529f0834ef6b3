//! The libvirt save image: a header, the domain's XML, the stream.
//!
//! `struct _virQEMUSaveHeader` in libvirt's `src/qemu/qemu_saveimage.h`, 92 bytes in the byte order of the host that wrote
//! it:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 16 | `LibvirtQemudSave`, or `LibvirtQemudPart` while it is being written |
//! | 16 | 4 | version, 1 or 2 |
//! | 20 | 4 | bytes of XML, cookie and padding |
//! | 24 | 4 | whether the guest was running |
//! | 28 | 4 | encoding of the stream (since version 2) |
//! | 32 | 4 | where in the XML area the cookie begins; 0 for none |
//! | 36 | 56 | zero |

use super::codec::Codec;
use super::xml;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::{StreamOffset, Sure};
use crate::text::Name;
use crate::wire::{Cursor, Source};

/// Bytes of the fixed header.
const HEADER: u64 = 92;
/// The XML that is kept. Real ones have some KiB; libvirt adds 64 KiB of room.
const MAX_XML: u64 = 16 << 20;

pub(super) const MAGIC_WHOLE: &[u8; 16] = b"LibvirtQemudSave";
pub(super) const MAGIC_PART: &[u8; 16] = b"LibvirtQemudPart";

/// Information in a libvirt save image apart from the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LibvirtImage {
    /// Whether the image was finished.
    pub complete: bool,
    /// Whether the host that wrote it was big-endian.
    pub big_endian: bool,
    /// The version of the header.
    pub version: u32,
    /// Whether the guest will run after it is restored.
    pub was_running: bool,
    /// The number of the encoding.
    pub format: u32,
    /// The domain's XML; may hold passwords.
    pub xml: Name,
    /// The XML of the cookie.
    pub cookie: Option<Name>,
    /// Where the stream, or the compressed form of it, begins.
    pub body: u64,
}

impl LibvirtImage {
    /// Returns the name of the encoding.
    #[must_use]
    pub fn format_name(&self) -> &'static str {
        match self.format {
            0 => "raw",
            1 => "gzip",
            2 => "bzip2",
            3 => "xz",
            4 => "lzop",
            5 => "zstd",
            6 => "sparse",
            _ => "unknown",
        }
    }

    /// Returns the codec that the header names; the body's first bytes have the last word.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        match self.format {
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Bzip2),
            3 => Some(Codec::Xz),
            4 => Some(Codec::Lzop),
            5 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// Returns the text of a direct child of `<domain>`, such as `name` or `uuid`.
    #[must_use]
    pub fn domain_text(&self, tag: &str) -> Option<Name> {
        xml::child_text(self.xml.exact(), tag).map(Name::from)
    }
}

/// Returns whether a file begins like a save image.
pub(super) fn is_libvirt(head: &[u8]) -> bool {
    head.starts_with(MAGIC_WHOLE) || head.starts_with(MAGIC_PART)
}

/// Reads the header and the XML.
///
/// # Errors
/// `Corrupt` for a version or a length that cannot be, `Truncated`, `Io`.
pub(super) fn read(source: &dyn Source) -> Result<LibvirtImage> {
    let mut c = Cursor::new(source, StreamOffset(0));
    let within = |e: Error| e.within("libvirt header");
    let head = c.take_vec(HEADER, HEADER, "header").map_err(within)?;
    let word = |at: usize, big: bool| {
        let b: [u8; 4] = head.get(at..).and_then(|b| b.get(..4)).and_then(|b| b.try_into().ok()).unwrap_or_default();
        if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
    };
    let big_endian = match (word(16, false), word(16, true)) {
        (1 | 2, _) => false,
        (_, 1 | 2) => true,
        (v, _) => {
            let e = Error::new(ErrorKind::Unsupported, format!("version: expected 1 or 2, found {v}"));
            return Err(within(e.at(StreamOffset(16))));
        }
    };
    let word = |at| word(at, big_endian);
    let version = word(16);
    let data_len = u64::from(word(20));
    let (format, cookie_at) = if version == 1 { (0, 0) } else { (word(28), u64::from(word(32))) };
    let body = HEADER.plus(data_len);
    if data_len == 0 {
        return Err(within(Error::corrupt(StreamOffset(20), "expected XML, found a length of 0")));
    }
    let too_long =
        || Error::truncated(StreamOffset(20), format!("XML of {data_len} bytes extends past the end of the file"));
    if source.size().is_some_and(|s| body > s) {
        return Err(within(too_long()));
    }
    // a pipe's end is not known before it is reached
    let within = |e: Error| within(if e.kind() == ErrorKind::Truncated { too_long() } else { e });
    let area = c.take_vec(data_len.min(MAX_XML), MAX_XML, "XML").map_err(within)?;
    // a hostile length must not make a pipe keep it all
    while c.offset().0 < body {
        c.skip(body.minus(c.offset().0).min(1 << 20)).map_err(within)?;
        c.release_behind();
    }
    let text = |from: u64| {
        let bytes = area.get(usize::try_from(from).unwrap_or(usize::MAX)..)?;
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Some(Name::from_bytes(bytes.get(..end)?))
    };
    Ok(LibvirtImage {
        complete: head.starts_with(MAGIC_WHOLE),
        big_endian,
        version,
        was_running: word(24) != 0,
        format,
        xml: text(0).unwrap_or_default(),
        cookie: if cookie_at == 0 { None } else { text(cookie_at).filter(|t| !t.is_empty()) },
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MemorySource;

    fn image(big: bool, version: u32, format: u32, xml: &str, cookie: &str) -> Vec<u8> {
        let mut area = [xml.as_bytes(), b"\0"].concat();
        let cookie_at = if cookie.is_empty() { 0 } else { area.len() as u32 };
        area.extend(cookie.as_bytes());
        area.extend([0; 100]);
        let mut b = MAGIC_WHOLE.to_vec();
        for n in [version, area.len() as u32, 1, format, cookie_at] {
            b.extend(if big { n.to_be_bytes() } else { n.to_le_bytes() });
        }
        b.extend([0; 56]);
        b.extend(area);
        b.extend(b"QEVM");
        b
    }

    #[test]
    fn both_byte_orders() {
        for big in [false, true] {
            let b = image(big, 2, 5, "<domain><name>vm1</name><uuid>u</uuid></domain>", "<cookie/>");
            let i = read(&MemorySource::new(b.clone())).unwrap();
            assert_eq!((i.big_endian, i.version, i.was_running, i.format_name()), (big, 2, true, "zstd"));
            assert_eq!(i.domain_text("name"), Some("vm1".into()));
            assert_eq!(i.cookie, Some("<cookie/>".into()));
            assert_eq!(&b[i.body as usize..], b"QEVM");
        }
    }

    #[test]
    fn version_1_has_no_encoding_and_no_cookie() {
        let i = read(&MemorySource::new(image(false, 1, 3, "<domain/>", "x"))).unwrap();
        assert_eq!((i.format_name(), i.codec()), ("raw", None));
        assert_eq!(i.cookie, None);
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let mut b = image(false, 2, 0, "<domain/>", "");
        b[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&MemorySource::new(b.clone())).unwrap_err().kind(), ErrorKind::Truncated);
        b[16] = 9;
        assert_eq!(read(&MemorySource::new(b)).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(read(&MemorySource::new(MAGIC_PART.to_vec())).unwrap_err().kind(), ErrorKind::Truncated);
    }

    #[test]
    fn a_length_beyond_the_end_is_the_same_error_from_a_pipe() {
        let mut b = image(false, 2, 0, "<domain/>", "");
        for len in [200, 1 << 18, u32::MAX] {
            b[20..24].copy_from_slice(&len.to_le_bytes());
            let pipe = crate::wire::PipeSource::new(Box::new(std::io::Cursor::new(b.clone())));
            let (a, b) = (read(&MemorySource::new(b.clone())).unwrap_err(), read(&pipe).unwrap_err());
            assert_eq!((a.to_string(), a.kind()), (b.to_string(), b.kind()));
        }
    }

    #[test]
    fn xml_that_is_none_gives_no_name() {
        let i = read(&MemorySource::new(image(false, 2, 0, "<domain><name>", ""))).unwrap();
        assert_eq!(i.domain_text("name"), None);
    }
}
