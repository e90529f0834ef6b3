//! The pieces of JSON of which a large document is made while it is written.

use std::io::{self, Write};

/// Bytes of a document; that of a kernel has 12 to 40 MiB.
const MAX_BYTES: u64 = 1 << 29;

/// A writer of JSON. Text of the guest is written in ASCII alone, so that nothing in it acts on a terminal.
pub(super) struct Json<'w> {
    out: Bounded<'w>,
    /// Whether something was written since the last opening.
    more: bool,
}

/// A writer that takes so many bytes and no more.
struct Bounded<'w> {
    out: &'w mut dyn Write,
    left: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left =
            left.ok_or_else(|| io::Error::other(format!("expected at most {MAX_BYTES} bytes of types and symbols")))?;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<'w> Json<'w> {
    pub(super) fn new(out: &'w mut dyn Write) -> Self {
        Self { out: Bounded { out, left: MAX_BYTES }, more: false }
    }

    /// Begins an object.
    pub(super) fn open(&mut self) -> io::Result<()> {
        self.more = false;
        self.out.write_all(b"{")
    }

    /// Ends an object.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.more = true;
        self.out.write_all(b"}")
    }

    /// Writes a key.
    pub(super) fn key(&mut self, name: &str) -> io::Result<()> {
        if self.more {
            self.out.write_all(b",")?;
        }
        self.text(name)?;
        self.more = true;
        self.out.write_all(b":")
    }

    /// Writes a key and begins its object.
    pub(super) fn object(&mut self, name: &str) -> io::Result<()> {
        self.key(name)?;
        self.open()
    }

    /// Writes text.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        let plain = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\');
        self.out.write_all(b"\"")?;
        if text.as_bytes().iter().all(plain) {
            self.out.write_all(text.as_bytes())?;
        } else {
            for c in text.chars() {
                match c {
                    '"' | '\\' => write!(self.out, "\\{c}")?,
                    ' '..='~' => write!(self.out, "{c}")?,
                    c => {
                        for unit in c.encode_utf16(&mut [0; 2]) {
                            write!(self.out, "\\u{unit:04x}")?;
                        }
                    }
                }
            }
        }
        self.out.write_all(b"\"")
    }

    /// Writes a key and text.
    pub(super) fn pair(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.key(name)?;
        self.text(text)
    }

    /// Writes a key and a number, `true` or `false`.
    pub(super) fn value(&mut self, name: &str, v: impl std::fmt::Display) -> io::Result<()> {
        self.key(name)?;
        write!(self.out, "{v}")
    }

    /// Writes JSON as it is.
    pub(super) fn raw(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }
}

/// Returns bytes in base 64.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let n = (0..3).fold(0_u32, |n, i| n << 8 | u32::from(three.get(i).copied().unwrap_or(0)));
        for (i, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from(n >> shift & 63).unwrap_or(0);
            let used = i <= three.len();
            out.push(if used { char::from(DIGITS.get(digit).copied().unwrap_or(b'A')) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_ascii_and_reads_back() {
        let text = "a\"b\\\n\u{1b}[31mä\u{1f600}";
        let mut out = Vec::new();
        Json::new(&mut out).text(text).unwrap();
        assert!(out.is_ascii() && !out.contains(&0x1b));
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn base_64_has_padding() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
