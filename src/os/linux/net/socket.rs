//! A socket (`include/net/sock.h`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::number;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;
use crate::os::linux::guest::Object;
use crate::text::Name;

/// Sockets of a guest.
const MAX_SOCKETS: usize = 1 << 20;

/// The families whose sockets are read in full: unix, IPv4, IPv6, netlink, packet.
const UNIX: u64 = 1;
const V4: u64 = 2;
const V6: u64 = 10;
const NETLINK: u64 = 16;
const PACKET: u64 = 17;

/// A socket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Socket {
    /// The address of its `struct sock`.
    pub address: u64,
    /// What it speaks: `tcp`, `tcp6`, `udp`, `raw`, `unix`, `netlink`, `packet` and others.
    pub protocol: String,
    /// `stream`, `dgram`, `raw`, `seqpacket` and others; empty for one that is only waiting for its end.
    pub kind: &'static str,
    /// The state, as `ss` names it.
    pub state: &'static str,
    /// The end on this side.
    pub local: End,
    /// The end on the other side.
    pub peer: End,
    /// Bytes that were received and not read, and bytes that were sent and not acknowledged; connections that wait, and how
    /// many may, for a socket that listens.
    pub queues: (u64, u64),
    /// Its inode; 0 if it has none.
    pub inode: u64,
    /// The user.
    pub uid: u64,
    /// The processes that have it open.
    pub owners: Vec<Owner>,
}

/// An end of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// None, or one that cannot be read.
    Nothing,
    /// An address and a port.
    Internet(SocketAddr),
    /// A path; one that begins with `@` is no file.
    Path(Name),
    /// The inode of another socket.
    Inode(u64),
    /// A number: the port of a netlink socket, the interface of a packet socket.
    Number(u64),
}

/// A process that has a socket open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// The process.
    pub pid: u64,
    /// The descriptor.
    pub fd: u64,
}

/// Sockets that were found, by their addresses.
#[derive(Debug, Default)]
pub(super) struct Found {
    sockets: BTreeMap<u64, (u64, Socket)>,
}

impl Found {
    /// Reads a socket, unless it is known; returns it.
    pub fn add(&mut self, sock: &Object<'_>) -> Result<&mut Socket> {
        let full = self.sockets.len() >= MAX_SOCKETS;
        let known = self.sockets.contains_key(&sock.address());
        if !known {
            if full {
                return Err(Error::new(ErrorKind::LimitExceeded, "more sockets than a guest may have"));
            }
            let net = number(sock, "__sk_common.skc_net.net").unwrap_or(0);
            self.sockets.insert(sock.address(), (net, read(sock)?));
        }
        let found = self.sockets.get_mut(&sock.address()).map(|(_, s)| s);
        found.ok_or_else(|| Error::new(ErrorKind::Missing, "no socket"))
    }

    /// Takes the sockets of a namespace.
    pub fn of(&self, net: u64) -> Vec<Socket> {
        let mut out: Vec<Socket> = self.sockets.values().filter(|(n, _)| *n == net).map(|(_, s)| s.clone()).collect();
        out.sort_by(|a, b| (&a.protocol, a.inode, a.address).cmp(&(&b.protocol, b.inode, b.address)));
        out
    }
}

/// The states of TCP, which all sockets use, by their numbers.
static STATES: [&str; 14] = [
    "unknown",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "unconnected",
    "close-wait",
    "last-ack",
    "listening",
    "closing",
    "new-syn-recv",
    "bound-inactive",
];

/// The kinds of sockets, by their numbers.
static KINDS: [&str; 11] = ["", "stream", "dgram", "raw", "rdm", "seqpacket", "dccp", "", "", "", "packet"];

/// Reads a socket.
fn read(sock: &Object<'_>) -> Result<Socket> {
    let family = number(sock, "__sk_common.skc_family")?;
    let state = number(sock, "__sk_common.skc_state")?;
    let mut out = Socket {
        address: sock.address(),
        protocol: String::new(),
        kind: "",
        state: usize::try_from(state).ok().and_then(|n| STATES.get(n)).copied().unwrap_or("unknown"),
        local: End::Nothing,
        peer: End::Nothing,
        queues: (0, 0),
        inode: 0,
        uid: 0,
        owners: Vec::new(),
    };
    if matches!(family, V4 | V6) {
        (out.local, out.peer) = internet(sock, family)?;
    }
    // sockets that wait for their end, and requests for a connection, are no whole sockets
    if matches!(state, 6 | 12) && matches!(family, V4 | V6) {
        out.protocol = if family == V4 { "tcp" } else { "tcp6" }.to_owned();
        return Ok(out);
    }
    let kind = number(sock, "sk_type")?;
    out.kind = usize::try_from(kind).ok().and_then(|n| KINDS.get(n)).copied().unwrap_or("");
    let protocol = number(sock, "sk_protocol")?;
    out.protocol = named(family, kind, protocol);
    out.uid = number(sock, "sk_uid")?;
    let socket = number(sock, "sk_socket")?;
    if socket != 0 {
        out.inode = inode(&sock.path("sk_socket")?.target()?)?;
    }
    out.queues = match (family, protocol, state) {
        (V4 | V6, 6, 10) => (number(sock, "sk_ack_backlog")?, number(sock, "sk_max_ack_backlog")?),
        (V4 | V6, 6, _) => tcp_queues(&sock.cast("struct tcp_sock")?)?,
        _ => (received(sock)?, number(sock, "sk_wmem_alloc").unwrap_or(1).saturating_sub(1)),
    };
    match family {
        UNIX => {
            let unix = sock.cast("struct unix_sock")?;
            out.local = unix_path(&unix)?;
            if number(&unix, "peer")? != 0 {
                let peer = unix.member("peer")?.target()?.cast("struct unix_sock")?;
                out.peer = match number(&peer, "sk.sk_socket")? {
                    0 => unix_path(&peer)?,
                    _ => End::Inode(inode(&peer.path("sk.sk_socket")?.target()?)?),
                };
            }
        }
        NETLINK => {
            let n = sock.cast("struct netlink_sock")?;
            out.local = End::Number(number(&n, "portid")?);
        }
        PACKET => {
            let p = sock.cast("struct packet_sock")?;
            let index = p.either(&["ifindex", "prot_hook.dev.ifindex"]).and_then(|i| i.number()).unwrap_or(0);
            out.local = End::Number(index);
        }
        _ => {}
    }
    Ok(out)
}

/// Returns the name of what a socket speaks.
fn named(family: u64, kind: u64, protocol: u64) -> String {
    let six = if family == V6 { "6" } else { "" };
    match (family, kind, protocol) {
        (UNIX, ..) => "unix".to_owned(),
        (NETLINK, ..) => "netlink".to_owned(),
        (PACKET, ..) => "packet".to_owned(),
        (V4 | V6, 3, _) => format!("raw{six}"),
        (V4 | V6, _, 6) => format!("tcp{six}"),
        (V4 | V6, _, 17) => format!("udp{six}"),
        (V4 | V6, _, 136) => format!("udplite{six}"),
        (V4 | V6, _, 1 | 58) => format!("icmp{six}"),
        (V4 | V6, _, 132) => format!("sctp{six}"),
        (V4 | V6, _, 262) => format!("mptcp{six}"),
        (40, ..) => "vsock".to_owned(),
        (38, ..) => "alg".to_owned(),
        (31, ..) => "bluetooth".to_owned(),
        (29, ..) => "can".to_owned(),
        (15, ..) => "key".to_owned(),
        (44, ..) => "xdp".to_owned(),
        _ => format!("family-{family}"),
    }
}

/// Reads addresses and ports.
fn internet(sock: &Object<'_>, family: u64) -> Result<(End, End)> {
    let c = sock.member("__sk_common")?;
    let ip = |v4: &str, v6: &str| -> Result<IpAddr> {
        Ok(if family == V4 {
            let bytes: [u8; 4] = c.member(v4)?.bytes(4)?.try_into().unwrap_or_default();
            IpAddr::V4(Ipv4Addr::from(bytes))
        } else {
            let bytes: [u8; 16] = c.member(v6)?.bytes(16)?.try_into().unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from(bytes))
        })
    };
    // the number of this side is in the byte order of the machine, that of the other side in that of the network
    let here = u16::try_from(number(&c, "skc_num")?).unwrap_or(0);
    let there: [u8; 2] = c.member("skc_dport")?.bytes(2)?.try_into().unwrap_or_default();
    let local = SocketAddr::new(ip("skc_rcv_saddr", "skc_v6_rcv_saddr")?, here);
    let peer = SocketAddr::new(ip("skc_daddr", "skc_v6_daddr")?, u16::from_be_bytes(there));
    Ok((End::Internet(local), End::Internet(peer)))
}

fn tcp_queues(tcp: &Object<'_>) -> Result<(u64, u64)> {
    let less = |a: &str, b: &str| -> Result<u64> {
        let (a, b) = (number(tcp, a)?, number(tcp, b)?);
        let n = a.wrapping_sub(b) & 0xffff_ffff;
        // a number that went backwards is no length
        Ok(if n >> 31 == 0 { n } else { 0 })
    };
    Ok((less("rcv_nxt", "copied_seq")?, less("write_seq", "snd_una")?))
}

/// Returns the bytes that were received and not read.
fn received(sock: &Object<'_>) -> Result<u64> {
    number(sock, "sk_backlog.rmem_alloc")
}

/// Returns the inode of a `struct socket`, which is in the same piece of memory.
fn inode(socket: &Object<'_>) -> Result<u64> {
    number(&socket.container("socket_alloc", "socket")?, "vfs_inode.i_ino")
}

/// Reads the address of a unix socket; one that begins with a NUL has no file.
fn unix_path(unix: &Object<'_>) -> Result<End> {
    if number(unix, "addr")? == 0 {
        return Ok(End::Nothing);
    }
    let a = unix.member("addr")?.target()?;
    let len = usize::try_from(number(&a, "len")?.min(110)).unwrap_or(0);
    let bytes = a.member("name")?.bytes(len)?;
    // the family comes first
    let path = bytes.get(2..).unwrap_or_default();
    Ok(match path.first() {
        None => End::Nothing,
        Some(0) => {
            let mut text = path.to_vec();
            for b in text.iter_mut().filter(|b| **b == 0) {
                *b = b'@';
            }
            End::Path(Name::from_bytes(&text))
        }
        Some(_) => {
            let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
            End::Path(Name::from_bytes(path.get(..end).unwrap_or_default()))
        }
    })
}

impl Socket {
    pub(super) fn owned_by(&mut self, pid: u64, fd: u64) {
        if self.owners.len().plus(1) < MAX_SOCKETS {
            self.owners.push(Owner { pid, fd });
        }
    }
}
