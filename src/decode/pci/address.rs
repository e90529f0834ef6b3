//! The location of a PCI device, from the path at the beginning of its section's name.
//!
//! The path (`pcibus_get_dev_path` in `hw/pci/pci.c`) is the name of the root bus and then slot and function of every
//! bridge on the way and of the device itself: `0000:00:02.0`, below a bridge `0000:00:01.0:00.0`. The root bus is
//! called by domain and number (`0000:00`), by a bare `pci` where its host bridge gives no name, or by the host
//! bridge's own name (`pci@800000020000000` on pseries). Numbers of the buses behind bridges are not in it, they are
//! in the bridges.

use std::fmt;

/// A slot and function on a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Slot {
    /// The device number, 0 to 31.
    pub device: u8,
    /// The function, 0 to 7.
    pub function: u8,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}.{:x}", self.device, self.function)
    }
}

/// The root bus of a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Root {
    /// A domain and the number of the bus in it.
    Numbered {
        /// The domain.
        domain: u16,
        /// The bus.
        bus: u8,
    },
    /// A name that a host bridge gives its bus; the bus has the number 0 there.
    Named(String),
}

/// The place of a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Address {
    /// The root bus.
    pub root: Root,
    /// Slots from the root bus to the device, which is the last; never empty.
    pub path: Vec<Slot>,
    /// The number of the bus that the device is on; `None` if its bridge does not have a bus number yet.
    pub bus: Option<u8>,
}

impl Address {
    /// Reads the path in front of a section's name.
    #[must_use]
    pub fn of_section(idstr: &str) -> Option<Self> {
        let (path, _) = idstr.split_once('/')?;
        let mut parts: Vec<&str> = path.split(':').collect();
        let mut slots = Vec::new();
        while let Some(s) = parts.last().and_then(|p| slot(p)) {
            slots.push(s);
            parts.pop();
        }
        slots.reverse();
        if slots.is_empty() {
            return None;
        }
        let root = match parts.as_slice() {
            ["pci"] => Root::Numbered { domain: 0, bus: 0 },
            [domain, bus] if domain.len() == 4 && bus.len() == 2 => {
                Root::Numbered { domain: u16::from_str_radix(domain, 16).ok()?, bus: u8::from_str_radix(bus, 16).ok()? }
            }
            [] => return None,
            names if names.iter().all(|n| !n.is_empty()) => Root::Named(names.join(":")),
            _ => return None,
        };
        let bus = match (&root, slots.len()) {
            (Root::Numbered { bus, .. }, 1) => Some(*bus),
            (Root::Named(_), 1) => Some(0),
            _ => None,
        };
        Some(Self { root, path: slots, bus })
    }

    /// Returns slot and function of the device on its own bus.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.path.last().copied().unwrap_or(Slot { device: 0, function: 0 })
    }

    /// Returns the path of the bridge above the device; `None` on the root bus.
    #[must_use]
    pub fn bridge(&self) -> Option<(&Root, &[Slot])> {
        let (_, up) = self.path.split_last()?;
        (!up.is_empty()).then_some((&self.root, up))
    }

    /// Returns the address with its domain, always.
    #[must_use]
    pub fn full(&self) -> String {
        match &self.root {
            Root::Numbered { domain, .. } => format!("{domain:04x}:{}", self.within_domain()),
            Root::Named(_) => self.within_domain(),
        }
    }

    fn within_domain(&self) -> String {
        match (&self.root, self.bus) {
            (Root::Numbered { .. }, Some(bus)) => format!("{bus:02x}:{}", self.slot()),
            (Root::Named(n), Some(0)) if self.path.len() == 1 => format!("{n}:{}", self.slot()),
            (Root::Named(n), Some(bus)) => format!("{n}:{bus:02x}:{}", self.slot()),
            (root, None) => {
                let slots: Vec<String> = self.path.iter().map(ToString::to_string).collect();
                match root {
                    Root::Numbered { bus, .. } => format!("{bus:02x}:{}", slots.join(":")),
                    Root::Named(n) => format!("{n}:{}", slots.join(":")),
                }
            }
        }
    }
}

/// The address without a domain of 0, as lspci prints it; the path if the device is below a bridge without a bus
/// number.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Numbered { domain: 1.., .. } => f.write_str(&self.full()),
            _ => f.write_str(&self.within_domain()),
        }
    }
}

fn slot(text: &str) -> Option<Slot> {
    let (device, function) = text.split_once('.')?;
    if device.len() != 2 || function.len() != 1 {
        return None;
    }
    let device = u8::from_str_radix(device, 16).ok().filter(|d| *d < 32)?;
    let function = u8::from_str_radix(function, 16).ok().filter(|f| *f < 8)?;
    Some(Slot { device, function })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(idstr: &str) -> Option<String> {
        Address::of_section(idstr).map(|a| a.to_string())
    }

    #[test]
    fn paths_of_all_kinds() {
        assert_eq!(shown("0000:00:02.0/virtio-net").unwrap(), "00:02.0");
        assert_eq!(shown("0001:00:02.0/virtio-net").unwrap(), "0001:00:02.0");
        assert_eq!(shown("0000:00:01.0:1f.7/virtio-net").unwrap(), "00:01.0:1f.7");
        assert_eq!(shown("pci:0a.1/ide").unwrap(), "00:0a.1");
        assert_eq!(shown("pci@800000020000000:01.0/virtio-net").unwrap(), "pci@800000020000000:01.0");
        let behind = Address::of_section("0000:00:01.0:00.0/e1000").unwrap();
        assert_eq!(behind.bridge().unwrap().1, [Slot { device: 1, function: 0 }]);
        assert_eq!(Address { bus: Some(3), ..behind }.to_string(), "03:00.0");
        for none in ["timer", "virtio-mmio@0a003e00/virtio-rng", "/fe.0.0001/virtio-rng", "0000:00:20.0/x", "02.0/x"] {
            assert_eq!(shown(none), None, "{none}");
        }
    }
}
