//! Interfaces (`include/linux/netdevice.h`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::number;
use crate::error::Result;
use crate::os::linux::guest::Object;
use crate::text::Name;

/// Interfaces of a namespace, and addresses of an interface.
const MAX_INTERFACES: usize = 1 << 18;
/// Bytes of a hardware address (`MAX_ADDR_LEN`).
const MAX_HARDWARE: u64 = 32;

/// A network interface.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Interface {
    /// Its number.
    pub index: u64,
    /// Its name.
    pub name: Name,
    /// Its flags, as `ip` prints them (`IFF_UP` is 1).
    pub flags: u64,
    /// The state, such as `up` and `down`.
    pub state: &'static str,
    /// The largest packet.
    pub mtu: u64,
    /// The hardware address.
    pub hardware: Vec<u8>,
    /// Its addresses.
    pub addresses: Vec<Address>,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Bits of the network.
    pub prefix: u64,
    /// The label, which may differ from the interface's name.
    pub label: Option<Name>,
}

/// The states of an interface (RFC 2863), by their numbers.
static STATES: [&str; 7] = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

const DOWN: usize = 2;

/// Lists the interfaces of a namespace.
pub(super) fn list(net: &Object<'_>) -> Result<Vec<Interface>> {
    let mut out = Vec::new();
    for device in net.member("dev_base_head")?.list("net_device", "dev_list", MAX_INTERFACES) {
        out.push(read(&device?)?);
    }
    out.sort_by_key(|i| i.index);
    Ok(out)
}

fn read(d: &Object<'_>) -> Result<Interface> {
    // an interface that was never started keeps what it was made with
    let started = number(d, "state")? & 1 != 0;
    let state = if started { usize::try_from(number(d, "operstate")?).unwrap_or(0) } else { DOWN };
    let len = usize::try_from(number(d, "addr_len")?.min(MAX_HARDWARE)).unwrap_or(0);
    // it is an array or a pointer, which depends on the version
    let place = d.member("dev_addr")?;
    let at = place.number().unwrap_or_else(|_| place.address());
    let mut hardware = vec![0; len];
    d.guest().kernel().read(at, &mut hardware)?;
    let mut addresses = Vec::new();
    let v4 = d.path("ip_ptr.ifa_list").and_then(|a| v4(&a, &mut addresses));
    let v6 = d.path("ip6_ptr.addr_list").and_then(|a| v6(&a, &mut addresses));
    for r in [v4, v6] {
        match r {
            // an interface without addresses has a null pointer
            Err(e) if e.kind() != crate::error::ErrorKind::Missing => return Err(e),
            _ => {}
        }
    }
    Ok(Interface {
        index: number(d, "ifindex")?,
        name: d.member("name")?.text()?,
        flags: flags(d, STATES.get(state).copied().unwrap_or_default())?,
        state: STATES.get(state).copied().unwrap_or("unknown"),
        mtu: number(d, "mtu")?,
        hardware,
        addresses,
    })
}

/// What users asked for counts, not what the kernel did for a bridge or a capture; some flags are made from the state
/// (`dev_get_flags`).
fn flags(d: &Object<'_>, state: &str) -> Result<u64> {
    const BY_USERS: u64 = 0x100 | 0x200;
    const MADE: u64 = 0x40 | 0x1_0000 | 0x2_0000;
    let bits = number(d, "state")?;
    let mut out = number(d, "flags")? & !(BY_USERS | MADE) | number(d, "gflags")? & BY_USERS;
    if bits & 1 != 0 {
        // RUNNING, LOWER_UP, DORMANT
        out |= if matches!(state, "up" | "unknown") { 0x40 } else { 0 };
        out |= if bits & 4 == 0 { 0x1_0000 } else { 0 };
        out |= if bits & 0x10 != 0 { 0x2_0000 } else { 0 };
    }
    Ok(out)
}

fn v4(first: &Object<'_>, out: &mut Vec<Address>) -> Result<()> {
    let mut next = *first;
    for _ in 0..MAX_INTERFACES {
        if next.number()? == 0 {
            break;
        }
        let a = next.target()?;
        let bytes = a.member("ifa_local")?.bytes(4)?;
        let four: [u8; 4] = bytes.try_into().unwrap_or_default();
        let label = a.member("ifa_label")?.text()?;
        let address = IpAddr::V4(Ipv4Addr::from(four));
        out.push(Address { address, prefix: number(&a, "ifa_prefixlen")?, label: Some(label) });
        next = a.member("ifa_next")?;
    }
    Ok(())
}

fn v6(list: &Object<'_>, out: &mut Vec<Address>) -> Result<()> {
    for a in list.list("inet6_ifaddr", "if_list", MAX_INTERFACES) {
        let a = a?;
        let bytes = a.member("addr")?.bytes(16)?;
        let sixteen: [u8; 16] = bytes.try_into().unwrap_or_default();
        let address = IpAddr::V6(Ipv6Addr::from(sixteen));
        out.push(Address { address, prefix: number(&a, "prefix_len")?, label: None });
    }
    Ok(())
}
