//! Memory in hexadecimal and as text, in the form of `hexdump -C`.

use std::io::{self, Write};

use super::tree::{Paint, Role};

/// Bytes of a line.
const LINE: usize = 16;

/// Prints memory that comes in pieces; equal lines are printed once, followed by `*`.
pub struct HexDump<'a> {
    out: &'a mut dyn Write,
    paint: Paint<'a>,
    digits: usize,
    /// Bytes of a line that is not complete, and its address.
    line: Vec<u8>,
    at: u64,
    before: Option<[u8; LINE]>,
    starred: bool,
}

impl<'a> HexDump<'a> {
    /// Begins; addresses have as many digits as `last` needs, but at least 8.
    #[must_use]
    pub fn new(out: &'a mut dyn Write, paint: Paint<'a>, last: u64) -> Self {
        let digits = if last > u64::from(u32::MAX) { 16 } else { 8 };
        Self { out, paint, digits, line: Vec::new(), at: 0, before: None, starred: false }
    }

    /// Prints bytes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn bytes(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if self.line.is_empty() {
            self.at = at;
        }
        for b in bytes {
            self.line.push(*b);
            if self.line.len() == LINE {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Prints that bytes are missing.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn missing(&mut self, at: u64, bytes: u64, why: &str) -> io::Result<()> {
        self.flush()?;
        (self.before, self.starred) = (None, false);
        let address = format!("{at:0width$x}", width = self.digits);
        let text = format!("{bytes} bytes are missing: {why}");
        writeln!(self.out, "{}  {}", (self.paint)(Role::Dim, &address), (self.paint)(Role::Problem, &text))
    }

    /// Prints what is left, and the address after the end.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self, end: u64) -> io::Result<()> {
        self.flush()?;
        let address = format!("{end:0width$x}", width = self.digits);
        writeln!(self.out, "{}", (self.paint)(Role::Dim, &address))
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let whole: Option<[u8; LINE]> = line.as_slice().try_into().ok();
        let at = self.at;
        self.at = at.wrapping_add(line.len() as u64);
        if whole.is_some() && whole == self.before {
            if !std::mem::replace(&mut self.starred, true) {
                writeln!(self.out, "*")?;
            }
            return Ok(());
        }
        (self.before, self.starred) = (whole, false);
        let mut hex = String::new();
        for (i, b) in line.iter().enumerate() {
            hex += &format!("{b:02x}{}", if i == LINE / 2 - 1 { "  " } else { " " });
        }
        let text: String = line.iter().map(|b| if matches!(b, b' '..=b'~') { char::from(*b) } else { '.' }).collect();
        let address = format!("{at:0width$x}", width = self.digits);
        // nothing in a line is a command to a terminal, but two marks are one to a CI runner
        writeln!(self.out, "{}  {hex:<49} |{}|", (self.paint)(Role::Dim, &address), crate::text::line(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_hexdump() {
        let plain: Paint<'_> = &|_, t: &str| t.to_owned();
        let mut out = Vec::new();
        let mut h = HexDump::new(&mut out, plain, 0x200);
        h.bytes(0x100, b"hello, world\x00\x01\x02\xff").unwrap();
        // in two pieces, three equal lines
        h.bytes(0x110, &[0; 20]).unwrap();
        h.bytes(0x124, &[0; 28]).unwrap();
        h.bytes(0x140, b"abc").unwrap();
        h.missing(0x143, 5, "not sent").unwrap();
        h.bytes(0x148, b"z").unwrap();
        h.finish(0x149).unwrap();
        // the lines of memory are those of `hexdump -C`
        let expected = "\
00000100  68 65 6c 6c 6f 2c 20 77  6f 72 6c 64 00 01 02 ff  |hello, world....|
00000110  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
00000140  61 62 63                                          |abc|
00000143  5 bytes are missing: not sent
00000148  7a                                                |z|
00000149
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
