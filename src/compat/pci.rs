//! What a PCI device cannot change: `get_pci_config_device` in `hw/pci/pci.c` refuses a configuration space that differs from
//! the target's in a bit that the target checks and that its guest cannot write. A stream does not have the masks; those of
//! the header and of the usual capabilities are the same for all devices, so that only these are compared.

use std::collections::HashMap;

use super::rules;
use super::side::StreamFacts;
use crate::decode::pci::{Capability, PciDevice, register};
use crate::findings::{Aspect, Difference, Severity, Subject};
use crate::offset::Sure;

/// Compares the PCI devices of a stream with those that the target wrote.
pub fn compare(saved: &StreamFacts, target: &StreamFacts, out: &mut Vec<Difference>) {
    let mut there: HashMap<(&str, u32), Vec<&PciDevice>> = HashMap::new();
    for d in &target.pci {
        there.entry((d.section.exact(), d.instance)).or_default().push(d);
    }
    let mut seen: HashMap<(&str, u32), usize> = HashMap::new();
    for d in &saved.pci {
        let key = (d.section.exact(), d.instance);
        let n = seen.entry(key).or_default();
        let t = there.get(&key).and_then(|all| all.get(*n));
        n.tally(1);
        // another size is a matter of layouts
        let Some(t) = t.filter(|t| t.config.len() == d.config.len()) else { continue };
        out.extend(device(saved, d, target, t));
    }
}

fn device(saved: &StreamFacts, d: &PciDevice, target: &StreamFacts, t: &PciDevice) -> Option<Difference> {
    let mask = fixed(t);
    let differs = d.config.iter().zip(&t.config).zip(&mask).map(|((a, b), m)| (a ^ b) & m != 0);
    let mut registers: Vec<_> = Vec::new();
    for (at, _) in differs.enumerate().filter(|(_, differs)| *differs) {
        let r = register(&t.config, at);
        if registers.last() != Some(&r) {
            registers.push(r);
        }
    }
    let first = registers.first()?;
    let value = |config: &[u8]| {
        let bytes = first.offset..first.offset.plus(first.bytes);
        let digits: Vec<String> =
            config.get(bytes).unwrap_or_default().iter().rev().map(|b| format!("{b:02x}")).collect();
        format!("0x{}", digits.concat())
    };
    let others = match registers.len().minus(1) {
        0 => String::new(),
        1 => " (and another register)".to_owned(),
        n => format!(" (and {n} other registers)"),
    };
    let side = |s: &StreamFacts, d: &PciDevice| {
        Some(Aspect::new(value(&d.config), s.find(&d.section, d.instance, 0).map(|f| f.range)))
    };
    let subject = Subject::section(&d.section, d.instance).field(format!("config[{:#04x}]", first.offset));
    let message = format!("{}: bits differ that the target's device has fixed{others}", first.name);
    Some(Difference::new(&rules::PCI_CONFIG, Severity::Breaks, subject, message, [side(saved, d), side(target, t)]))
}

/// Returns the bits that QEMU checks and that no guest can write, as far as they are known.
fn fixed(d: &PciDevice) -> Vec<u8> {
    let mut mask = Mask(vec![0; d.config.len()]);
    mask.all(0x00, 4);
    mask.set(0x06, 0x10);
    mask.all(0x08, 4);
    if matches!(d.class, [0x01, 0x01, _]) {
        // the mode of an IDE channel may be one that the guest sets
        mask.clear(0x09, 0x05);
    }
    mask.all(0x0e, 1);
    mask.all(0x34, 1);
    bars(d, &mut mask);
    if d.header == 1 {
        [0x1c, 0x1d, 0x24, 0x26].into_iter().for_each(|at| mask.set(at, 0x0f));
    }
    d.capabilities.iter().for_each(|c| capability(d, c, &mut mask));
    for c in &d.extended {
        mask.all(c.offset.into(), 4);
    }
    mask.0
}

/// The kind of a base address register; one that is 0 looks like none.
fn bars(d: &PciDevice, mask: &mut Mask) {
    let count = match d.header {
        0 => 6_usize,
        1 => 2,
        _ => 0,
    };
    let mut upper = false;
    for at in (0..count).map(|n| n.times(4).plus(0x10)) {
        let low = d.config.get(at).copied().unwrap_or(0);
        if upper {
            upper = false;
        } else if low & 1 != 0 {
            mask.set(at, 0x03);
        } else if low & 0x0f != 0 {
            mask.set(at, 0x0f);
            upper = low & 0x06 == 0x04;
        }
    }
}

fn capability(d: &PciDevice, c: &Capability, mask: &mut Mask) {
    let at = usize::from(c.offset);
    let part = |n: usize| at.plus(n);
    let byte = |n: usize| d.config.get(part(n)).copied().unwrap_or(0);
    mask.all(at, 2);
    match c.id {
        // power management
        0x01 => mask.all(part(2), 2),
        // MSI: how many messages, how wide the address is, whether they can be masked
        0x05 => {
            mask.set(part(2), 0x8e);
            mask.set(part(3), 0x01);
        }
        // the vendor's: the structures of virtio but for the window, which the guest moves
        0x09 => {
            mask.all(part(2), 1);
            if (d.vendor, byte(3)) != (RED_HAT, WINDOW) && d.vendor == RED_HAT {
                mask.all(part(3), usize::from(byte(2)).saturating_sub(3).min(17));
            }
        }
        0x0d => mask.all(part(4), 4),
        // PCI Express: what port, device, link and slot can do
        0x10 => {
            mask.all(part(0x02), 6);
            mask.all(part(0x0c), 4);
            if byte(2) & 0x0f >= 2 {
                [0x14, 0x24, 0x2c].into_iter().for_each(|n| mask.all(part(n), 4));
            }
        }
        // MSI-X: the size of the table, and where it and the pending bits are
        0x11 => {
            mask.all(part(2), 1);
            mask.set(part(3), 0x07);
            mask.all(part(4), 8);
        }
        _ => {}
    }
}

/// The vendor of virtio devices, and the kind of their structure that is a window to the others.
const RED_HAT: u16 = 0x1af4;
const WINDOW: u8 = 5;

struct Mask(Vec<u8>);

impl Mask {
    fn all(&mut self, at: usize, bytes: usize) {
        (at..at.plus(bytes)).for_each(|at| self.set(at, 0xff));
    }

    fn set(&mut self, at: usize, bits: u8) {
        if let Some(m) = self.0.get_mut(at) {
            *m |= bits;
        }
    }

    fn clear(&mut self, at: usize, bits: u8) {
        if let Some(m) = self.0.get_mut(at) {
            *m &= !bits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{self, pci};
    use crate::offset::StreamRange;
    use crate::text::Name;
    use crate::value::{Blob, FieldType, Node, Record, Value};

    /// A virtio device with MSI-X at 0x40, the window of virtio at 0x50, MSI at 0x70, an I/O BAR, and a wide one.
    const CONFIG: &[(usize, &[u8])] = &[
        (0x00, &[0xf4, 0x1a, 0x41, 0x10, 0, 0, 0x10, 0, 1, 0, 0, 2]),
        (0x10, &[0x01, 0xc0, 0, 0, 0x0c, 0, 0, 0xfe]),
        (0x34, &[0x40]),
        (0x40, &[0x11, 0x50, 0x03, 0, 1, 0, 0, 0, 1, 8, 0, 0]),
        (0x50, &[0x09, 0x70, 20, WINDOW]),
        (0x70, &[0x05, 0, 0x80, 1]),
    ];

    fn facts(changes: &[(usize, u8)]) -> StreamFacts {
        let mut config = vec![0; 256];
        for (at, bytes) in CONFIG {
            config[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        changes.iter().for_each(|(at, b)| config[*at] = *b);
        let field = Node::new(
            "config",
            FieldType::new("pci config"),
            StreamRange::with_len(0, 256),
            Value::Bytes(Blob::new(config)),
        );
        let record = Record { fields: vec![field], ..Record::default() };
        let root = Node::new("d", FieldType::new("struct"), StreamRange::default(), Value::Struct(Box::new(record)));
        let mut devices = pci::PciDevices::default();
        let idstr = Name::from_bytes(b"0000:00:02.0/virtio-net");
        devices.add(&decode::Section { idstr: &idstr, instance: 0, vmsd: Name::empty(), root: &root });
        let mut out = StreamFacts::default();
        out.pci = devices.finish();
        out
    }

    fn found(changes: &[(usize, u8)]) -> Vec<String> {
        let mut out = Vec::new();
        compare(&facts(changes), &facts(&[]), &mut out);
        out.into_iter().map(|d| d.message).collect()
    }

    #[test]
    fn what_a_guest_writes_is_not_compared() {
        let driven = [
            (0x04, 7),    // the command
            (0x11, 0xd0), // where the BARs are
            (0x15, 0x40),
            (0x18, 1),
            (0x2c, 1), // QEMU does not check the subsystem
            (0x3c, 11),
            (0x43, 0x80), // MSI-X and MSI are switched on
            (0x54, 4),    // where the window is
            (0x58, 0x20),
            (0x72, 0x81),
            (0x74, 0x40),
        ];
        assert_eq!(found(&driven), Vec::<String>::new());
    }

    #[test]
    fn what_is_fixed_is_compared() {
        for (at, value, name) in [
            (0x02, 0x42, "device"),
            (0x08, 2, "revision"),
            (0x0b, 1, "class"),
            (0x0e, 0x80, "header type"),
            (0x10, 0xc0, "BAR 0"),
            (0x14, 0x04, "BAR 1"),
            (0x42, 4, "MSI-X control"),
            (0x44, 2, "MSI-X table"),
            (0x72, 0x86, "MSI control"),
        ] {
            let all = found(&[(at, value)]);
            assert_eq!(all.len(), 1, "{at:#x}");
            assert!(all[0].starts_with(&format!("{name}: bits differ")), "{at:#x}: {all:?}");
        }
        assert!(found(&[(0x02, 0x42), (0x08, 2), (0x42, 4)])[0].ends_with("(and 2 other registers)"));
    }
}
