//! Readers of types whose layout is not in the description. One file per family, one row per type.

use super::builder::Builder;
use crate::error::Result;
use crate::schema::Field;

mod chunks;
mod cpu;
mod gpu;
mod pci;
mod scsi;
mod usb_redir;
mod virtio;

/// What a reader may know about the field apart from its bytes.
pub struct FieldContext<'a> {
    /// The field's description.
    pub field: &'a Field,
    /// Its size in bytes; the builder holds exactly these.
    pub size: usize,
}

/// A reader: consumes all bytes of the builder. Any left over become opaque, with a note.
pub type Read = fn(&mut Builder<'_>, &FieldContext<'_>) -> Result<()>;

/// A row of [`CUSTOM`].
pub struct CustomType {
    /// The type name in the description.
    pub name: &'static str,
    /// Its reader.
    pub read: Read,
}

/// Every type with a reader of its own.
pub static CUSTOM: &[CustomType] = &[
    CustomType { name: "avr", read: cpu::avr },
    CustomType { name: "fpr", read: cpu::fpr },
    CustomType { name: "slbe", read: cpu::slbe },
    CustomType { name: "tlb entry", read: cpu::hppa_tlb },
    CustomType { name: "tlb_entry", read: cpu::mips_tlb },
    CustomType { name: "pci irq state", read: pci::irq_state },
    CustomType { name: "msix state", read: pci::msix },
    CustomType { name: "virtio", read: virtio::read },
    CustomType { name: "virtio-gpu", read: gpu::resources },
    CustomType { name: "blob", read: gpu::blobs },
    CustomType { name: "scsi-requests", read: scsi::requests },
    CustomType { name: "usb-redir-parser", read: usb_redir::parser },
    CustomType { name: "usb-redir-bufpq", read: usb_redir::packets },
    CustomType { name: "usb-redir-packet-id-q", read: usb_redir::ids },
    CustomType { name: "irqs", read: chunks::s390_irqs },
    CustomType { name: "virtio-net vhost-user backend state", read: chunks::backend_state },
    CustomType { name: "virtio-fs back-end state", read: chunks::backend_state },
    CustomType { name: "GByteArray", read: chunks::byte_array },
];

/// Finds the reader of a type.
pub(super) fn find(name: &str) -> Option<Read> {
    CUSTOM.iter().find(|c| c.name == name).map(|c| c.read)
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{FieldType, Layout};

    #[test]
    fn every_reader_belongs_to_a_type_that_asks_for_one() {
        for (i, c) in CUSTOM.iter().enumerate() {
            assert_eq!(FieldType::new(c.name).layout(), Some(Layout::Custom), "{}", c.name);
            assert!(CUSTOM[..i].iter().all(|d| d.name != c.name), "{} twice", c.name);
        }
    }

    #[test]
    fn every_type_that_asks_for_a_reader_has_one() {
        for name in FieldType::names() {
            if FieldType::new(name).layout() == Some(Layout::Custom) {
                assert!(find(name).is_some(), "{name}");
            }
        }
    }
}
