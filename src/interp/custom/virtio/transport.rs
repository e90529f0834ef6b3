//! What the transport of a virtio device writes before the device (`save_config` of the bus).
//!
//! * PCI (`virtio_pci_save_config` in `hw/virtio/virtio-pci.c`): the `PCIDevice` vmsd (be32 version, 256 or 4096
//!   bytes of configuration space, 4 × be32 interrupt levels), the MSI-X table and pending bits, and with MSI-X be16
//!   config_vector. There are 4096 bytes if there is a PCI Express capability, whether and how large an MSI-X table
//!   its capability.
//! * MMIO (`virtio_mmio_save_config` in `hw/virtio/virtio-mmio.c`): three be32.
//! * CCW: see [`ccw`].

use crate::error::{Error, Result};
use crate::interp::builder::{Frame, structure};
use crate::interp::custom::{Builder, pci};
use crate::offset::Sure;
use crate::value::{FieldType, Value};

use super::ccw;

/// The bus that a virtio device is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Pci,
    Mmio,
    Ccw,
}

/// What the transport adds to each queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) align: bool,
    pub(super) vector: bool,
}

const CAP_PCI_EXPRESS: u8 = 0x10;
const CAP_MSIX: u8 = 0x11;
const CONFIG: usize = 256;
const CONFIG_EXPRESS: usize = 4096;

impl Transport {
    /// Returns the transports in the order in which to try them, by the section's name.
    pub(super) fn candidates(idstr: &str) -> [Self; 3] {
        let path = idstr.rsplit_once('/').map_or(idstr, |(path, _)| path);
        if path.contains("virtio-mmio@") {
            [Self::Mmio, Self::Pci, Self::Ccw]
        } else if path.starts_with("/fe.") || path.starts_with("fe.") {
            [Self::Ccw, Self::Pci, Self::Mmio]
        } else {
            [Self::Pci, Self::Ccw, Self::Mmio]
        }
    }

    pub(super) fn read(self, b: &mut Builder<'_>) -> Result<Queue> {
        match self {
            Self::Pci => pci_device(b),
            Self::Mmio => {
                b.group("proxy", |b| {
                    b.be32("host_features_sel")?;
                    b.be32("guest_features_sel")?;
                    b.be32("guest_page_shift").map(drop)
                })?;
                Ok(Queue { align: true, vector: false })
            }
            Self::Ccw => {
                ccw::read(b)?;
                Ok(Queue { align: false, vector: true })
            }
        }
    }
}

fn pci_device(b: &mut Builder<'_>) -> Result<Queue> {
    let mut vectors = 0;
    b.group("proxy", |b| {
        b.vmsd("pci_dev", "PCIDevice", 2, |b| {
            let at = b.offset();
            let version = b.int("version_id", 4)?;
            if !(1..=2).contains(&version) {
                return Err(Error::corrupt(at, format!("PCI device version: expected 2, found {version}")));
            }
            let config = b.peek(CONFIG)?;
            vectors = msix_vectors(config);
            let (name, n) = match capability(config, CAP_PCI_EXPRESS) {
                Some(_) => ("config[1]", CONFIG_EXPRESS),
                None => ("config[0]", CONFIG),
            };
            b.typed(&name.into(), &FieldType::new("pci config"), n, |_, blob| (Value::Bytes(blob), None))?;
            b.framed(Frame::new("irq_state").ty("pci irq state"), |b| b.uints("level", 4, 4), structure)
        })?;
        if vectors > 0 {
            b.framed(Frame::new("msix").ty("msix state"), |b| pci::table(b, vectors), structure)?;
            b.be16("config_vector")?;
        }
        Ok(())
    })?;
    Ok(Queue { align: false, vector: vectors > 0 })
}

/// Returns the vectors of the MSI-X table; 0 without one.
fn msix_vectors(config: &[u8]) -> usize {
    let Some(at) = capability(config, CAP_MSIX) else { return 0 };
    let control = |i: usize| config.get(at.plus(i)).copied().unwrap_or_default();
    let size = u16::from_le_bytes([control(2), control(3)]) & 0x7ff;
    usize::from(size).plus(1)
}

/// Returns the offset of a capability in configuration space.
fn capability(config: &[u8], id: u8) -> Option<usize> {
    const STATUS_CAP_LIST: u8 = 0x10;
    if config.get(0x06)? & STATUS_CAP_LIST == 0 {
        return None;
    }
    let mut at = usize::from(*config.get(0x34)? & 0xfc);
    // the space after the header holds 48 capabilities of 4 bytes; a longer chain loops
    for _ in 0..48 {
        if at < 0x40 {
            return None;
        }
        if *config.get(at)? == id {
            return Some(at);
        }
        at = usize::from(*config.get(at.plus(1))? & 0xfc);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_gives_the_transport() {
        let first = |s| Transport::candidates(s)[0];
        assert_eq!(first("0000:00:02.0/virtio-net"), Transport::Pci);
        assert_eq!(first("pci@800000020000000:01.0/virtio-net"), Transport::Pci);
        assert_eq!(first("virtio-mmio@000000000a003e00/virtio-net"), Transport::Mmio);
        assert_eq!(first("/fe.0.0001/virtio-net"), Transport::Ccw);
    }

    #[test]
    fn capabilities_are_found_and_circles_left() {
        let mut c = vec![0_u8; 256];
        c[0x34] = 0x40;
        assert_eq!(capability(&c, CAP_MSIX), None);
        c[0x06] = 0x10;
        c[0x40] = 0x09;
        c[0x41] = 0x84;
        c[0x84] = CAP_MSIX;
        c[0x86] = 2;
        assert_eq!(capability(&c, CAP_MSIX), Some(0x84));
        assert_eq!(msix_vectors(&c), 3);
        c[0x85] = 0x40;
        assert_eq!(capability(&c, CAP_PCI_EXPRESS), None);
    }
}
