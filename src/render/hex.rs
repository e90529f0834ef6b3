//! Bytes as hexadecimal digits, written in pieces: a device of 1 GiB has no string of 3 GiB.

use std::fmt;

use serde::ser::{Serialize, Serializer};

/// Bytes that are written at once.
const PIECE: usize = 4096;

/// The digits of every byte, and a space after them.
static DIGITS: [[u8; 3]; 256] = digits();

const fn digits() -> [[u8; 3]; 256] {
    const NIBBLE: &[u8; 16] = b"0123456789abcdef";
    let mut out = [[b' '; 3]; 256];
    let mut i = 0;
    while i < 256 {
        out[i][0] = NIBBLE[i >> 4];
        out[i][1] = NIBBLE[i & 15];
        i += 1;
    }
    out
}

/// Bytes that are shown as hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Hex<'a> {
    bytes: &'a [u8],
    spaces: bool,
}

impl<'a> Hex<'a> {
    /// Shows bytes without gaps.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, spaces: false }
    }

    /// Shows bytes with a space between two.
    #[must_use]
    pub fn spaced(bytes: &'a [u8]) -> Self {
        Self { bytes, spaces: true }
    }
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; PIECE * 3];
        let each = if self.spaces { 3 } else { 2 };
        let mut left = self.bytes.len();
        for piece in self.bytes.chunks(PIECE) {
            for (to, b) in buffer.chunks_exact_mut(each).zip(piece) {
                to.copy_from_slice(&DIGITS[usize::from(*b)][..each]);
            }
            left -= piece.len();
            // no space after the last one
            let end = piece.len() * each - usize::from(self.spaces && left == 0);
            f.write_str(std::str::from_utf8(&buffer[..end]).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_number() {
        assert_eq!(Hex::new(&[0, 0xab, 0x10]).to_string(), "00ab10");
        assert_eq!(Hex::spaced(&[0, 0xab, 0x10]).to_string(), "00 ab 10");
        assert_eq!(Hex::spaced(&[]).to_string(), "");
        for n in [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let bytes: Vec<u8> = (0..n).map(|i| (i * 7) as u8).collect();
            let each: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(Hex::new(&bytes).to_string(), each.concat());
            assert_eq!(Hex::spaced(&bytes).to_string(), each.join(" "));
            assert_eq!(serde_json::to_string(&Hex::spaced(&bytes)).unwrap(), format!("\"{}\"", each.join(" ")));
        }
    }
}
