//! The tree of buses.

use super::{Address, PciDevice, Root};

/// A device and the devices below it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Branch<'a> {
    /// The device.
    pub device: &'a PciDevice,
    /// The devices on the bus below it.
    pub behind: Vec<Branch<'a>>,
}

/// Returns the devices of every root bus as trees; a device whose bridge is not in the state is placed on the root
/// bus.
#[must_use]
pub fn tree(devices: &[PciDevice]) -> Vec<(Root, Vec<Branch<'_>>)> {
    let mut roots: Vec<(Root, Vec<Branch<'_>>)> = Vec::new();
    let placed = || devices.iter().filter_map(|d| d.address.as_ref().map(|a| (a, d)));
    for (a, d) in placed() {
        let bridge_is_here = a.bridge().is_some_and(|(r, p)| placed().any(|(b, _)| b.root == *r && b.path == p));
        if bridge_is_here {
            continue;
        }
        let branch = Branch { device: d, behind: behind(a, devices) };
        match roots.iter_mut().find(|(r, _)| *r == a.root) {
            Some((_, list)) => list.push(branch),
            None => roots.push((a.root.clone(), vec![branch])),
        }
    }
    roots
}

/// A path grows by a slot with each level, so the recursion ends.
fn behind<'a>(bridge: &Address, devices: &'a [PciDevice]) -> Vec<Branch<'a>> {
    let on_its_bus = |d: &&PciDevice| {
        d.address.as_ref().and_then(Address::bridge).is_some_and(|(r, p)| *r == bridge.root && p == bridge.path)
    };
    let branch = |d: &'a PciDevice| {
        let behind = d.address.as_ref().map(|a| behind(a, devices)).unwrap_or_default();
        Branch { device: d, behind }
    };
    devices.iter().filter(on_its_bus).map(branch).collect()
}
