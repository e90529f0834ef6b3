//! The register of configuration space that an offset is in.

use super::super::section::Registers;
use super::{caps, classes};
use crate::offset::Sure;

/// A register.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedRegister {
    /// Its name; those of a capability begin with the capability's.
    pub name: String,
    /// Where it begins.
    pub offset: usize,
    /// How many bytes it has.
    pub bytes: usize,
    /// Bits with names; empty where it is a number.
    pub bits: &'static [(u32, &'static str)],
}

type Row = (usize, usize, &'static str);

/// What every header begins with.
static COMMON: &[Row] = &[
    (0x00, 2, "vendor"),
    (0x02, 2, "device"),
    (0x04, 2, "command"),
    (0x06, 2, "status"),
    (0x08, 1, "revision"),
    (0x09, 3, "class"),
    (0x0c, 1, "cache line size"),
    (0x0d, 1, "latency timer"),
    (0x0e, 1, "header type"),
    (0x0f, 1, "self test"),
    (0x34, 1, "capabilities"),
    (0x3c, 1, "interrupt line"),
    (0x3d, 1, "interrupt pin"),
];

static DEVICE: &[Row] = &[
    (0x10, 4, "BAR 0"),
    (0x14, 4, "BAR 1"),
    (0x18, 4, "BAR 2"),
    (0x1c, 4, "BAR 3"),
    (0x20, 4, "BAR 4"),
    (0x24, 4, "BAR 5"),
    (0x28, 4, "CardBus CIS"),
    (0x2c, 2, "subsystem vendor"),
    (0x2e, 2, "subsystem device"),
    (0x30, 4, "ROM"),
    (0x3e, 1, "minimal grant"),
    (0x3f, 1, "maximal latency"),
];

static BRIDGE: &[Row] = &[
    (0x10, 4, "BAR 0"),
    (0x14, 4, "BAR 1"),
    (0x18, 1, "primary bus"),
    (0x19, 1, "secondary bus"),
    (0x1a, 1, "subordinate bus"),
    (0x1b, 1, "secondary latency timer"),
    (0x1c, 1, "I/O base"),
    (0x1d, 1, "I/O limit"),
    (0x1e, 2, "secondary status"),
    (0x20, 2, "memory base"),
    (0x22, 2, "memory limit"),
    (0x24, 2, "prefetchable base"),
    (0x26, 2, "prefetchable limit"),
    (0x28, 4, "prefetchable base, upper half"),
    (0x2c, 4, "prefetchable limit, upper half"),
    (0x30, 2, "I/O base, upper half"),
    (0x32, 2, "I/O limit, upper half"),
    (0x38, 4, "ROM"),
    (0x3e, 2, "bridge control"),
];

/// What every capability begins with.
static LINKS: &[Row] = &[(0, 1, "id"), (1, 1, "next capability")];
static POWER: &[Row] = &[(2, 2, "capabilities"), (4, 2, "control and status")];
static MSIX: &[Row] = &[(2, 2, "control"), (4, 4, "table"), (8, 4, "pending bits")];
static MSI_32: &[Row] = &[(2, 2, "control"), (4, 4, "address"), (8, 2, "data"), (12, 4, "mask"), (16, 4, "pending")];
static MSI_64: &[Row] = &[
    (2, 2, "control"),
    (4, 4, "address"),
    (8, 4, "address, upper half"),
    (12, 2, "data"),
    (16, 4, "mask"),
    (20, 4, "pending"),
];
static EXPRESS: &[Row] = &[
    (2, 2, "capabilities"),
    (4, 4, "device capabilities"),
    (8, 2, "device control"),
    (10, 2, "device status"),
    (12, 4, "link capabilities"),
    (16, 2, "link control"),
    (18, 2, "link status"),
    (20, 4, "slot capabilities"),
    (24, 2, "slot control"),
    (26, 2, "slot status"),
    (28, 2, "root control"),
    (30, 2, "root capabilities"),
    (32, 4, "root status"),
    (36, 4, "device capabilities 2"),
    (40, 2, "device control 2"),
    (42, 2, "device status 2"),
    (44, 4, "link capabilities 2"),
    (48, 2, "link control 2"),
    (50, 2, "link status 2"),
    (52, 4, "slot capabilities 2"),
    (56, 2, "slot control 2"),
    (58, 2, "slot status 2"),
];

static MSI_CONTROL: &[(u32, &str)] = &[(0, "enabled"), (7, "64-bit"), (8, "maskable")];
static MSIX_CONTROL: &[(u32, &str)] = &[(14, "masked"), (15, "enabled")];

/// Bytes of the longest capability in the first 256 bytes, PCI Express.
const LONGEST: usize = 0x3c;

/// Returns the register at an offset of configuration space; unnamed space is divided into words of four bytes.
#[must_use]
pub fn register(config: &[u8], offset: usize) -> NamedRegister {
    let r = Registers::little(config);
    let find = |rows: &[Row], base: usize, stem: &str, bits: &'static [(u32, &'static str)]| {
        let within = offset.checked_sub(base)?;
        let hit = rows.iter().find(|(at, n, _)| within.checked_sub(*at).is_some_and(|d| d < *n));
        hit.map(|(at, bytes, name)| NamedRegister {
            name: if stem.is_empty() { (*name).to_owned() } else { format!("{stem} {name}") },
            offset: base.plus(*at),
            bytes: *bytes,
            bits: if *name == "control" { bits } else { &[] },
        })
    };
    // unnamed space is divided into words of four bytes
    let bare = |stem: &str, base: usize| {
        let within = offset.minus(base) & !3;
        NamedRegister { name: format!("{stem} +{within:#04x}"), offset: base.plus(within), bytes: 4, bits: &[] }
    };
    let plain = || bare("configuration space", 0);
    if offset < 0x40 {
        let own = if r.u8(0x0e) & 0x7f == 1 { BRIDGE } else { DEVICE };
        let mut hit = find(COMMON, 0, "", &[]).or_else(|| find(own, 0, "", &[]));
        if let Some(h) = &mut hit {
            h.bits = match h.offset {
                0x04 => classes::COMMAND,
                0x06 => classes::STATUS,
                _ => &[],
            };
        }
        return hit.unwrap_or_else(plain);
    }
    if offset >= 0x100 {
        let (list, _) = caps::extended(r);
        let last = list.iter().filter(|c| usize::from(c.offset) <= offset).max_by_key(|c| c.offset);
        return match last {
            Some(c) => bare(classes::extended_capability(c.id), usize::from(c.offset)),
            None => plain(),
        };
    }
    let (list, _) = caps::list(r);
    let last = list.iter().filter(|c| usize::from(c.offset) <= offset).max_by_key(|c| c.offset);
    let Some(c) = last.filter(|c| offset.minus(usize::from(c.offset)) < LONGEST) else {
        return plain();
    };
    let base = usize::from(c.offset);
    let name = classes::capability(c.id);
    let hit = match c.id {
        0x01 => find(POWER, base, name, &[]),
        0x05 if r.u16(base.plus(2)) & 0x80 != 0 => find(MSI_64, base, name, MSI_CONTROL),
        0x05 => find(MSI_32, base, name, MSI_CONTROL),
        0x10 => find(EXPRESS, base, name, &[]),
        0x11 => find(MSIX, base, name, MSIX_CONTROL),
        _ => None,
    };
    hit.or_else(|| find(LINKS, base, name, &[])).unwrap_or_else(|| bare(name, base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_found_by_any_of_their_bytes() {
        let mut config = vec![0; 256];
        config[0x06] = 0x10;
        config[0x34] = 0x40;
        config[0x40..0x44].copy_from_slice(&[0x11, 0, 3, 0x80]);
        for at in [4, 5] {
            let r = register(&config, at);
            assert_eq!((r.name.as_str(), r.offset, r.bytes), ("command", 4, 2));
            assert!(!r.bits.is_empty());
        }
        assert_eq!(register(&config, 0x13).name, "BAR 0");
        let r = register(&config, 0x43);
        assert_eq!((r.name.as_str(), r.offset), ("MSI-X control", 0x42));
        assert_eq!(register(&config, 0x3e).name, "minimal grant");
        config[0x0e] = 1;
        assert_eq!(register(&config, 0x19).name, "secondary bus");
        let r = register(&config, 0xf3);
        assert_eq!((r.name.as_str(), r.offset, r.bytes), ("configuration space +0xf0", 0xf0, 4));
        assert_eq!(register(&[], 0x1f0).name, "configuration space +0x1f0");
    }
}
