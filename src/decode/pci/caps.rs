//! Capabilities: the list from the byte at 0x34, and the extended ones from 0x100.

use super::super::section::Registers;
use crate::offset::Sure;

/// A capability and its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capability {
    /// Its offset in configuration space.
    pub offset: u16,
    /// Its number.
    pub id: u8,
    /// Its content.
    pub detail: Detail,
}

/// An extended capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtendedCapability {
    /// Its offset in configuration space.
    pub offset: u16,
    /// Its number.
    pub id: u16,
    /// Its version.
    pub version: u8,
}

/// The content of a capability.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// Power management.
    Power {
        /// The version.
        version: u8,
        /// 0 is D0, fully on; 3 is D3.
        state: u8,
        /// Whether the device may wake the machine.
        pme_enabled: bool,
    },
    /// Messages as interrupts.
    Msi {
        /// Whether it is on.
        enabled: bool,
        /// Number of distinct messages that the device supports.
        capable: u32,
        /// Messages that it was given.
        vectors: u32,
        /// Where the message is written to.
        address: u64,
        /// What is written.
        data: u16,
        /// Bits of masked messages, where they can be masked.
        mask: Option<u32>,
        /// Bits of messages that wait for their mask, where they can be masked.
        pending: Option<u32>,
    },
    /// Messages as interrupts, with a table.
    Msix {
        /// Whether it is on.
        enabled: bool,
        /// Whether all messages are masked at once.
        masked: bool,
        /// Entries of the table.
        vectors: u16,
        /// The BAR that the table is in.
        table_bar: u8,
        /// Where the table is in it.
        table_offset: u32,
        /// The BAR that the pending bits are in.
        pba_bar: u8,
        /// Where they are in it.
        pba_offset: u32,
    },
    /// PCI Express.
    Express {
        /// The version.
        version: u8,
        /// The kind of port.
        port: u8,
        /// Whether there is a slot, and its number.
        slot: Option<u16>,
        /// The best link: code of the speed and number of lanes.
        link: (u8, u8),
        /// The link as it is.
        link_now: (u8, u8),
    },
    /// Where a virtio device has one of its structures.
    Virtio {
        /// Which structure.
        kind: u8,
        /// The BAR.
        bar: u8,
        /// Where it begins there.
        offset: u32,
        /// Its length.
        length: u32,
        /// For notifications, how far those of two queues are apart.
        multiplier: Option<u32>,
    },
    /// Something of the vendor's own.
    Vendor {
        /// Its length.
        length: u8,
    },
    /// The subsystem of a bridge.
    Subsystem {
        /// Its vendor.
        vendor: u16,
        /// Its number.
        device: u16,
    },
    /// Not decoded.
    Other,
}

impl Detail {
    /// Returns the name of a virtio structure.
    #[must_use]
    pub const fn virtio_structure(kind: u8) -> &'static str {
        match kind {
            1 => "common",
            2 => "notify",
            3 => "isr",
            4 => "device",
            5 => "pci-access",
            8 => "shared-memory",
            9 => "vendor",
            _ => "unknown",
        }
    }
}

const STATUS_CAPABILITIES: u16 = 1 << 4;
const RED_HAT: u16 = 0x1af4;
/// The space after the header holds 48 capabilities of 4 bytes; a longer chain loops.
const MAX_CAPABILITIES: usize = 48;
/// As many extended ones of 4 bytes fit between 0x100 and 0x1000.
const MAX_EXTENDED: usize = 960;

/// Reads the list; the second value describes what is wrong with it, if anything.
pub(super) fn list(r: Registers<'_>) -> (Vec<Capability>, Option<String>) {
    let mut out: Vec<Capability> = Vec::new();
    if r.u16(0x06) & STATUS_CAPABILITIES == 0 {
        return (out, None);
    }
    let mut at = usize::from(r.u8(0x34) & 0xfc);
    for _ in 0..MAX_CAPABILITIES {
        if at == 0 {
            return (out, None);
        }
        if at < 0x40 || !r.has(at, 2) {
            return (out, Some(format!("a capability points into the header, to {at:#04x}")));
        }
        if out.iter().any(|c| usize::from(c.offset) == at) {
            return (out, Some(format!("the capability list loops back to {at:#04x}")));
        }
        let id = r.u8(at);
        let detail = detail(r, at, id);
        out.push(Capability { offset: u16::try_from(at).unwrap_or(0), id, detail });
        at = usize::from(r.u8(at.plus(1)) & 0xfc);
    }
    (out, Some("the capability list has no end".to_owned()))
}

fn detail(r: Registers<'_>, at: usize, id: u8) -> Detail {
    let u8 = |o: usize| r.u8(at.plus(o));
    let u16 = |o: usize| r.u16(at.plus(o));
    let u32 = |o: usize| r.u32(at.plus(o));
    match id {
        0x01 => Detail::Power { version: u8(2) & 7, state: u8(4) & 3, pme_enabled: u16(4) & 0x100 != 0 },
        0x05 => {
            let control = u16(2);
            let wide = control & 0x80 != 0;
            let data: usize = if wide { 12 } else { 8 };
            let high = if wide { u64::from(u32(8)).wrapping_shl(32) } else { 0 };
            let maskable = control & 0x100 != 0;
            let count = |shift: u32| 1_u32.wrapping_shl(u32::from(control.wrapping_shr(shift) & 7));
            Detail::Msi {
                enabled: control & 1 != 0,
                capable: count(1),
                vectors: count(4),
                address: high | u64::from(u32(4)),
                data: u16(data),
                mask: maskable.then(|| u32(data.plus(4))),
                pending: maskable.then(|| u32(data.plus(8))),
            }
        }
        0x09 => vendor(r, at),
        0x0d => Detail::Subsystem { vendor: u16(4), device: u16(6) },
        0x10 => {
            let flags = u16(2);
            let link = |v: u32| {
                let [low, ..] = (v & 0xf).to_le_bytes();
                let [lanes, ..] = (v.wrapping_shr(4) & 0x3f).to_le_bytes();
                (low, lanes)
            };
            let [port, ..] = (flags.wrapping_shr(4) & 0xf).to_le_bytes();
            let number = u32(0x14).wrapping_shr(19);
            Detail::Express {
                version: u8(2) & 0xf,
                port,
                slot: (flags & 0x100 != 0).then(|| u16::try_from(number).unwrap_or(0)),
                link: link(u32(0x0c)),
                link_now: link(u32(0x12)),
            }
        }
        0x11 => {
            let control = u16(2);
            let bar = |v: u32| (v & 7).to_le_bytes().first().copied().unwrap_or(0);
            Detail::Msix {
                enabled: control & 0x8000 != 0,
                masked: control & 0x4000 != 0,
                vectors: (control & 0x7ff).plus(1),
                table_bar: bar(u32(4)),
                table_offset: u32(4) & !7,
                pba_bar: bar(u32(8)),
                pba_offset: u32(8) & !7,
            }
        }
        _ => Detail::Other,
    }
}

fn vendor(r: Registers<'_>, at: usize) -> Detail {
    let length = r.u8(at.plus(2));
    let kind = r.u8(at.plus(3));
    if r.u16(0) != RED_HAT || length < 16 {
        return Detail::Vendor { length };
    }
    Detail::Virtio {
        kind,
        bar: r.u8(at.plus(4)),
        offset: r.u32(at.plus(8)),
        length: r.u32(at.plus(12)),
        multiplier: (kind == 2 && length >= 20).then(|| r.u32(at.plus(16))),
    }
}

/// Reads the extended capabilities of a space of 4096 bytes.
pub(super) fn extended(r: Registers<'_>) -> (Vec<ExtendedCapability>, Option<String>) {
    let mut out: Vec<ExtendedCapability> = Vec::new();
    let mut at = 0x100_usize;
    for _ in 0..MAX_EXTENDED {
        if !r.has(at, 4) {
            return (
                out,
                (at != 0x100)
                    .then(|| format!("an extended capability points outside configuration space, to {at:#05x}")),
            );
        }
        let header = r.u32(at);
        let (id, version) = (header & 0xffff, header.wrapping_shr(16) & 0xf);
        if header == 0 || header == u32::MAX {
            return (out, None);
        }
        let offset = u16::try_from(at).unwrap_or(0);
        if out.iter().any(|c| c.offset == offset) {
            return (out, Some(format!("the list of extended capabilities loops back to {at:#05x}")));
        }
        // QEMU puts a capability 0 at the front where the list begins with others
        if id != 0 {
            let (id, version) = (u16::try_from(id).unwrap_or(0), u8::try_from(version).unwrap_or(0));
            out.push(ExtendedCapability { offset, id, version });
        }
        at = usize::try_from(header.wrapping_shr(20) & 0xffc).unwrap_or(0);
        if at == 0 {
            return (out, None);
        }
        if at < 0x100 {
            return (out, Some(format!("an extended capability points outside configuration space, to {at:#05x}")));
        }
    }
    (out, Some("the list of extended capabilities has no end".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(bytes: &[(usize, &[u8])]) -> Vec<u8> {
        let mut c = vec![0; 4096];
        c[6] = 0x10;
        for (at, b) in bytes {
            c[*at..at + b.len()].copy_from_slice(b);
        }
        c
    }

    #[test]
    fn capabilities_are_decoded() {
        let c = config(&[
            (0, &[0xf4, 0x1a]),
            (0x34, &[0x40]),
            (0x40, &[0x11, 0x50, 0x03, 0x80, 1, 0, 0, 0, 1, 8, 0, 0]),
            (0x50, &[0x09, 0x70, 20, 2, 4, 0, 0, 0, 0, 0x30, 0, 0, 0, 0x10, 0, 0, 4, 0, 0, 0]),
            (0x70, &[0x05, 0, 0x80, 1, 0, 0, 0xe0, 0xfe, 1, 0, 0, 0, 0x41, 0, 0, 0, 2, 0, 0, 0, 4]),
        ]);
        let (got, wrong) = list(Registers::little(&c));
        assert_eq!(wrong, None);
        assert_eq!(
            got.iter().map(|c| &c.detail).collect::<Vec<_>>(),
            [
                &Detail::Msix {
                    enabled: true,
                    masked: false,
                    vectors: 4,
                    table_bar: 1,
                    table_offset: 0,
                    pba_bar: 1,
                    pba_offset: 0x800
                },
                &Detail::Virtio { kind: 2, bar: 4, offset: 0x3000, length: 0x1000, multiplier: Some(4) },
                &Detail::Msi {
                    enabled: false,
                    capable: 1,
                    vectors: 1,
                    address: 0x1_fee0_0000,
                    data: 0x41,
                    mask: Some(2),
                    pending: Some(4)
                },
            ]
        );
    }

    #[test]
    fn circles_and_strays_end() {
        let c = config(&[(0x34, &[0x40]), (0x40, &[9, 0x44]), (0x44, &[9, 0x40])]);
        let (got, wrong) = list(Registers::little(&c));
        assert_eq!((got.len(), wrong.unwrap().contains("loops")), (2, true));
        let c = config(&[(0x34, &[0x10])]);
        assert!(list(Registers::little(&c)).1.unwrap().contains("0x10"));
        let c = config(&[(0x34, &[0xfc]), (0xfc, &[1, 0])]);
        assert_eq!(list(Registers::little(&c[..256])).0.len(), 1, "decoded with what there is");
    }

    #[test]
    fn extended_capabilities() {
        let c = config(&[(0x100, &[1, 0, 2, 0x15]), (0x150, &[3, 0, 1, 0x10])]);
        let (got, wrong) = extended(Registers::little(&c));
        assert_eq!(got[1], ExtendedCapability { offset: 0x150, id: 3, version: 1 });
        assert!(wrong.unwrap().contains("loops"));
        assert_eq!(extended(Registers::little(&c[..256])), (vec![], None));
        let c = config(&[(0x100, &[1, 0, 2, 0xff])]);
        assert!(extended(Registers::little(&c)).1.is_none());
    }
}
