//! Values in readable form, on one line.

use super::{Node, Value};
use crate::offset::Sure;
use crate::text::quoted;

/// Number of bytes of a buffer that are printed, unless all are requested.
const SOME_BYTES: usize = 24;

/// Size up to which a buffer of printable characters is shown as text.
const MAX_TEXT: usize = 64 << 10;

impl Node {
    /// Returns the value as text, with numbers as wide as their fields; empty for structures and arrays.
    #[must_use]
    pub fn text(&self, all: bool) -> String {
        let width = usize::try_from(self.range.len().times(2)).unwrap_or(16).min(16);
        match &self.value {
            Value::Bool(b) => b.to_string(),
            Value::Int(v) if *v < 0 => format!("{v}"),
            Value::Int(v) if (10..).contains(v) => format!("0x{v:0width$x} ({v})"),
            Value::Int(v) => format!("{v}"),
            Value::Uint(v) => format!("0x{v:0width$x}"),
            Value::Timer(None) => "not armed".to_owned(),
            Value::Timer(Some(ns)) => format!("{ns} ns"),
            Value::Text(t) => format!("{t:?}"),
            Value::Null => "NULL".to_owned(),
            Value::Present => "present".to_owned(),
            Value::Bytes(b) | Value::Opaque(b) => bytes_text(b.as_slice(), all),
            Value::Struct(_) | Value::Array(_) | Value::Packed(_) => String::new(),
        }
    }
}

/// Returns bytes in hexadecimal, or as text if they are printable; long buffers are cut.
#[must_use]
pub fn bytes_text(b: &[u8], all: bool) -> String {
    let mut out = String::new();
    let written: Result<(), std::convert::Infallible> = bytes_pieces(b, all, &mut |text| {
        out.push_str(text);
        Ok(())
    });
    written.map_or_else(|e| match e {}, |()| out)
}

/// Calls `f` with the pieces of that text, so that a large buffer never becomes one string.
///
/// # Errors
/// The errors of `f`.
pub fn bytes_pieces<E>(b: &[u8], all: bool, f: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    const PIECE: usize = 16 << 10;
    if b.is_empty() {
        return f("empty");
    }
    if b.iter().all(|c| *c == 0) {
        return f(&format!("{} × 00", b.len()));
    }
    let text = b.iter().rposition(|c| *c != 0).and_then(|i| b.get(..=i)).unwrap_or(b);
    if (4..=MAX_TEXT).contains(&text.len()) && text.iter().all(|c| c.is_ascii_graphic() || *c == b' ') {
        return f(&format!("{} ({} bytes)", quoted(&String::from_utf8_lossy(text)), b.len()));
    }
    let shown = if all { b } else { b.get(..SOME_BYTES).unwrap_or(b) };
    for (i, piece) in shown.chunks(PIECE).enumerate() {
        if i > 0 {
            f(" ")?;
        }
        f(&spaced(piece))?;
    }
    if shown.len() < b.len() { f(&format!(" … ({} bytes)", b.len())) } else { Ok(()) }
}

/// Returns hexadecimal digits with a space between bytes.
fn spaced(b: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS.get(usize::from(n & 15)).copied().unwrap_or_default());
    let mut out = String::with_capacity(b.len().times(3));
    for (i, c) in b.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        out.push(digit(c.wrapping_shr(4)));
        out.push(digit(*c));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::StreamRange;
    use crate::value::FieldType;

    #[test]
    fn numbers_are_as_wide_as_their_fields() {
        let n = |len, v| Node::new("x", FieldType::new("uint16"), StreamRange::with_len(0, len), v).text(false);
        assert_eq!(n(2, Value::Uint(5)), "0x0005");
        assert_eq!(n(4, Value::Int(10)), "0x0000000a (10)");
        assert_eq!(n(4, Value::Int(-1)), "-1");
        assert_eq!(bytes_text(&[0; 7], false), "7 × 00");
        assert_eq!(bytes_text(b"\x01\x02", false), "01 02");
        assert_eq!(bytes_text(b"say \"\\\"\0", false), r#""say \"\\"" (8 bytes)"#);
        assert!(bytes_text(&[1; 25], false).ends_with("01 01 … (25 bytes)"));
        assert!(bytes_text(&[b'a'; (64 << 10) + 1], false).starts_with("61 61 "));
        for n in [(16 << 10) - 1, 16 << 10, (16 << 10) + 1] {
            assert_eq!(bytes_text(&vec![0xa5; n], true), vec!["a5"; n].join(" "));
            assert_eq!(bytes_text(&vec![b'a'; n], true), format!("\"{}\" ({n} bytes)", "a".repeat(n)));
        }
    }
}
