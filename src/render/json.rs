//! The one writer of JSON: the text of names as it is, but nothing that a terminal would obey.
//!
//! A string that `serde_json` writes has C0 controls escaped and all else raw. Here every character that is not visible is
//! escaped, so that a parser gets the exact text and a terminal, a log or a CI runner shows it. Text without such characters is written
//! byte for byte as before.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::text::is_visible;

/// A form of JSON with invisible characters as `\u001b`.
struct Visible<F>(F);

macro_rules! forward {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => {
        $(fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $arg: $ty)*) -> io::Result<()> {
            self.0.$name(writer $(, $arg)*)
        })*
    };
}

impl<F: Formatter> Formatter for Visible<F> {
    forward! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|b| matches!(b, b' '..=b'~')) && !fragment.contains("##") {
            return writer.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        let mut before = ' ';
        for c in fragment.chars() {
            // a mark of a CI runner's command
            let obeyed = c == '#' && before == '#';
            before = c;
            if is_visible(c) && !obeyed {
                write!(writer, "{c}")?;
            } else {
                c.encode_utf16(&mut units).iter().try_for_each(|u| write!(writer, "\\u{u:04x}"))?;
            }
        }
        Ok(())
    }
}

/// Writes a value as JSON with four spaces of indentation, as analyze-migration.py does, and a line end.
///
/// # Errors
/// Those of the writer.
pub fn pretty<W: io::Write, T: Serialize + ?Sized>(mut out: W, value: &T) -> io::Result<()> {
    let formatter = Visible(PrettyFormatter::with_indent(b"    "));
    value.serialize(&mut Serializer::with_formatter(&mut out, formatter))?;
    out.write_all(b"\n")
}

/// Writes a value as JSON on one line, without its end.
///
/// # Errors
/// Those of the writer.
pub fn compact<W: io::Write, T: Serialize + ?Sized>(out: W, value: &T) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, Visible(CompactFormatter)))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Name;

    #[test]
    fn a_parser_gets_the_text_and_a_terminal_nothing() {
        let text = "##[a\u{1b}[2J\r\n\t\"\\\0\u{7f}\u{9b}\u{202e}\u{2028}\u{200b}\u{e0041}ä日\u{fffd}🦀";
        for write in [|o: &mut Vec<u8>, n: &Name| pretty(o, n), |o: &mut Vec<u8>, n: &Name| compact(o, n)] {
            let mut out = Vec::new();
            write(&mut out, &Name::from(text)).unwrap();
            let shown = String::from_utf8(out).unwrap();
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
            assert!(shown.trim_end_matches('\n').chars().all(is_visible), "{shown:?}");
            assert!(
                shown.contains("#\\u0023[a\\u001b[2J\\r\\n\\t") && shown.contains("\\udb40\\udc41ä日\u{fffd}🦀"),
                "{shown}"
            );
        }
    }

    #[test]
    fn what_is_visible_is_written_as_before() {
        let value = serde_json::json!({"a": [1, {"b": "ä \\ \""}, []], "c": {}, "d": null});
        let mut out = Vec::new();
        compact(&mut out, &value).unwrap();
        assert_eq!(out, serde_json::to_vec(&value).unwrap());
        let mut out = Vec::new();
        pretty(&mut out, &value).unwrap();
        let two = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().replace("    ", "  "), two + "\n");
    }
}
