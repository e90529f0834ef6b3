//! Values as people read them, on one line.

use super::{Node, Value};
use crate::text::quoted;

/// Bytes that are printed of a buffer, unless all are asked for.
const SOME_BYTES: usize = 24;

impl Node {
    /// Returns the value in words, numbers as wide as their fields; nothing for structures and arrays.
    #[must_use]
    pub fn text(&self, all: bool) -> String {
        let width = usize::try_from(self.range.len().saturating_mul(2)).unwrap_or(16).min(16);
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
            Value::Struct(_) | Value::Array(_) => String::new(),
        }
    }
}

/// Returns bytes in hexadecimal, or as text where they are text, cut where they are many.
#[must_use]
pub fn bytes_text(b: &[u8], all: bool) -> String {
    if b.is_empty() {
        return "empty".to_owned();
    }
    if b.iter().all(|c| *c == 0) {
        return format!("{} × 00", b.len());
    }
    let text = b.iter().rposition(|c| *c != 0).and_then(|i| b.get(..=i)).unwrap_or(b);
    if text.len() > 3 && text.iter().all(|c| c.is_ascii_graphic() || *c == b' ') {
        return format!("{} ({} bytes)", quoted(&String::from_utf8_lossy(text)), b.len());
    }
    let shown = if all { b.len() } else { b.len().min(SOME_BYTES) };
    let hex: Vec<String> = b.iter().take(shown).map(|c| format!("{c:02x}")).collect();
    let rest = if shown < b.len() { format!(" … ({} bytes)", b.len()) } else { String::new() };
    hex.join(" ") + &rest
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
    }
}
