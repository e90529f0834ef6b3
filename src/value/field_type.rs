//! The type names used in descriptions, and the layout of each.
//!
//! The names are those of `VMStateInfo.name` in `migration/vmstate-types.c` and of the devices' own infos. A name
//! does not imply a size; the description gives the size next to it.

use crate::text::{Name, escaped};
use std::fmt;

/// How the bytes of a field are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// One byte, 0 or not.
    Bool,
    /// A big-endian two's complement integer.
    Signed,
    /// A big-endian unsigned integer.
    Unsigned,
    /// Raw bytes, text or padding.
    Bytes,
    /// A 64-bit expiry time in nanoseconds, all ones when not armed.
    Timer,
    /// Words of 64 bits; bit i is bit i % 64 of word i / 64.
    Bitmap,
    /// One byte that says whether a pointer was NULL.
    PointerMarker,
    /// A structure described under `struct`, or in the field itself.
    Struct,
    /// Elements, each preceded by a byte 1; a byte 0 ends the list.
    List,
    /// Same as [`Layout::List`], preceded by a 32-bit count, with a key before each value.
    Tree,
    /// A length byte and that many characters.
    CountedText,
    /// A device-specific layout with a reader of its own.
    Custom,
}

struct Known {
    name: &'static str,
    layout: Layout,
}

const fn k(name: &'static str, layout: Layout) -> Known {
    Known { name, layout }
}

/// Every known type name, sorted.
static KNOWN: &[Known] = &[
    k("CPU_Double_U", Layout::Unsigned),
    k("GByteArray", Layout::Custom),
    k("avr", Layout::Custom),
    k("bitmap", Layout::Bitmap),
    k("blob", Layout::Custom),
    k("bool", Layout::Bool),
    k("buffer", Layout::Bytes),
    k("capability", Layout::CountedText),
    k("cpsr", Layout::Unsigned),
    k("cpu/altivec/vscr", Layout::Unsigned),
    k("eind", Layout::Unsigned),
    k("fd", Layout::Bytes),
    k("float64", Layout::Unsigned),
    k("fpcr", Layout::Unsigned),
    k("fpr", Layout::Custom),
    k("fpscr", Layout::Unsigned),
    k("fpsr", Layout::Unsigned),
    k("fsr", Layout::Unsigned),
    k("gtree", Layout::Tree),
    k("int16", Layout::Signed),
    k("int32", Layout::Signed),
    k("int32 equal", Layout::Signed),
    k("int32 le", Layout::Signed),
    k("int32_as_uint16", Layout::Unsigned),
    k("int64", Layout::Signed),
    k("int64 equal", Layout::Unsigned),
    k("int8", Layout::Signed),
    k("irqs", Layout::Custom),
    k("msix state", Layout::Custom),
    k("msr", Layout::Unsigned),
    k("nullptr", Layout::PointerMarker),
    k("pci config", Layout::Bytes),
    k("pci irq state", Layout::Custom),
    k("powered_off", Layout::Bool),
    k("psr", Layout::Unsigned),
    k("psw", Layout::Unsigned),
    k("ptr-marker", Layout::PointerMarker),
    k("qlist", Layout::List),
    k("qtailq", Layout::List),
    k("rampD", Layout::Unsigned),
    k("rampX", Layout::Unsigned),
    k("rampY", Layout::Unsigned),
    k("rampZ", Layout::Unsigned),
    k("scsi-requests", Layout::Custom),
    k("shpc", Layout::Bytes),
    k("slbe", Layout::Custom),
    k("sr", Layout::Unsigned),
    k("sreg", Layout::Unsigned),
    k("struct", Layout::Struct),
    k("timer", Layout::Timer),
    k("tlb entry", Layout::Custom),
    k("tlb_entry", Layout::Custom),
    k("tmp", Layout::Struct),
    k("uint16", Layout::Unsigned),
    k("uint16 equal", Layout::Unsigned),
    k("uint16_from_uint8", Layout::Unsigned),
    k("uint32", Layout::Unsigned),
    k("uint32 equal", Layout::Unsigned),
    k("uint64", Layout::Unsigned),
    k("uint8", Layout::Unsigned),
    k("uint8 equal", Layout::Unsigned),
    k("unknown", Layout::Bytes),
    k("unused_buffer", Layout::Bytes),
    k("usb-redir-bufpq", Layout::Custom),
    k("usb-redir-packet-id-q", Layout::Custom),
    k("usb-redir-parser", Layout::Custom),
    k("virtio", Layout::Custom),
    k("virtio-fs back-end state", Layout::Custom),
    k("virtio-gpu", Layout::Custom),
    k("virtio-net vhost-user backend state", Layout::Custom),
    k("virtqueue_extra_state", Layout::Bytes),
    k("vsr", Layout::Unsigned),
    k("vstruct", Layout::Struct),
    k("xcc", Layout::Unsigned),
];

/// The type of a field: a known or an unknown name.
#[derive(Clone)]
pub struct FieldType(Repr);

#[derive(Clone)]
enum Repr {
    Known(&'static Known),
    Unknown(Name),
}

impl FieldType {
    /// Looks up a name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        match KNOWN.binary_search_by(|k| k.name.cmp(name)) {
            Ok(i) => match KNOWN.get(i) {
                Some(k) => Self(Repr::Known(k)),
                None => Self(Repr::Unknown(name.into())),
            },
            Err(_) => Self(Repr::Unknown(name.into())),
        }
    }

    /// Returns every known name, sorted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|k| k.name)
    }

    /// Returns the name itself, which must not be printed unescaped if it is unknown.
    #[must_use]
    pub fn exact(&self) -> &str {
        match &self.0 {
            Repr::Known(k) => k.name,
            Repr::Unknown(n) => n.exact(),
        }
    }

    /// Returns the layout, or `None` for an unknown name.
    #[must_use]
    pub fn layout(&self) -> Option<Layout> {
        match &self.0 {
            Repr::Known(k) => Some(k.layout),
            Repr::Unknown(_) => None,
        }
    }
}

impl PartialEq for FieldType {
    fn eq(&self, other: &Self) -> bool {
        self.exact() == other.exact()
    }
}

impl Eq for FieldType {}

impl fmt::Debug for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(self.exact()))
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(self.exact()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_without_duplicates() {
        assert!(KNOWN.windows(2).all(|w| w[0].name < w[1].name));
    }

    #[test]
    fn le_means_less_or_equal_and_int64_equal_is_unsigned() {
        assert_eq!(FieldType::new("int32 le").layout(), Some(Layout::Signed));
        assert_eq!(FieldType::new("int64 equal").layout(), Some(Layout::Unsigned));
        assert_eq!(FieldType::new("no such type").layout(), None);
        assert_eq!(FieldType::new("no such type").exact(), "no such type");
    }
}
