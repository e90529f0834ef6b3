//! Interfaces and sockets as JSON: `linux net --json`. Schema: `schemas/output/linux-net.schema.json`.

use serde::Serialize;

use super::head_json::Head;
use super::net::{end, hardware};
use crate::os::linux::net::{End, Interface, Net, Socket};
use crate::text::Name;

/// The document of `linux net --json`.
#[derive(Serialize)]
pub struct NetDocument<'a> {
    #[serde(flatten)]
    head: Head,
    namespaces: Vec<NamespaceJson<'a>>,
}

impl<'a> NetDocument<'a> {
    /// Describes networks.
    #[must_use]
    pub fn new(head: Head, net: &'a Net) -> Self {
        let namespaces = net.namespaces.iter().map(|n| NamespaceJson {
            inode: n.inode,
            address: format!("{:#x}", n.address),
            interfaces: n.interfaces.iter().map(InterfaceJson::from).collect(),
            sockets: n.sockets.iter().map(SocketJson::from).collect(),
        });
        Self { head, namespaces: namespaces.collect() }
    }
}

#[derive(Serialize)]
struct NamespaceJson<'a> {
    inode: u64,
    address: String,
    interfaces: Vec<InterfaceJson<'a>>,
    sockets: Vec<SocketJson<'a>>,
}

#[derive(Serialize)]
struct InterfaceJson<'a> {
    index: u64,
    name: &'a Name,
    state: &'static str,
    flags: String,
    mtu: u64,
    hardware_address: String,
    addresses: Vec<AddressJson<'a>>,
}

#[derive(Serialize)]
struct AddressJson<'a> {
    address: String,
    prefix: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a Name>,
}

impl<'a> From<&'a Interface> for InterfaceJson<'a> {
    fn from(i: &'a Interface) -> Self {
        let addresses = i.addresses.iter().map(|a| AddressJson {
            address: a.address.to_string(),
            prefix: a.prefix,
            label: a.label.as_ref(),
        });
        Self {
            index: i.index,
            name: &i.name,
            state: i.state,
            flags: format!("{:#x}", i.flags),
            mtu: i.mtu,
            hardware_address: hardware(&i.hardware),
            addresses: addresses.collect(),
        }
    }
}

#[derive(Serialize)]
struct SocketJson<'a> {
    address: String,
    protocol: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    receive_queue: u64,
    send_queue: u64,
    inode: u64,
    uid: u64,
    owners: Vec<OwnerJson>,
}

#[derive(Serialize)]
struct OwnerJson {
    pid: u64,
    fd: u64,
}

impl<'a> From<&'a Socket> for SocketJson<'a> {
    fn from(s: &'a Socket) -> Self {
        let text = |e: &End| match e {
            End::Nothing => None,
            End::Internet(a) => Some(a.to_string()),
            e => Some(end(e)),
        };
        Self {
            address: format!("{:#x}", s.address),
            protocol: &s.protocol,
            kind: s.kind,
            state: s.state,
            local: text(&s.local),
            peer: text(&s.peer),
            receive_queue: s.queues.0,
            send_queue: s.queues.1,
            inode: s.inode,
            uid: s.uid,
            owners: s.owners.iter().map(|o| OwnerJson { pid: o.pid, fd: o.fd }).collect(),
        }
    }
}
