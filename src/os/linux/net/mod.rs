//! Networks: namespaces, interfaces and sockets.

mod hashes;
mod interfaces;
mod socket;
mod sockets;

pub use interfaces::{Address, Interface};
pub use socket::{End, Owner, Socket};

use super::guest::Guest;
use super::guest::Object;
use crate::error::{Error, ErrorKind, Result};

/// Namespaces of a guest.
const MAX_NAMESPACES: usize = 1 << 16;

/// A network namespace.
#[derive(Debug)]
#[non_exhaustive]
pub struct Namespace {
    /// The address of its `struct net`.
    pub address: u64,
    /// Its number, as `/proc/PID/ns/net` has it.
    pub inode: u64,
    /// Its interfaces, by their number.
    pub interfaces: Vec<Interface>,
    /// Its sockets.
    pub sockets: Vec<Socket>,
}

/// The networks of a guest.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Net {
    /// The namespaces, that of the first process comes first.
    pub namespaces: Vec<Namespace>,
    /// What could not be read.
    pub problems: Vec<Error>,
}

impl Net {
    /// Keeps a result, or notes why there is none.
    fn keep<T>(&mut self, what: &str, r: Result<T>) -> Result<Option<T>> {
        match r {
            Ok(v) => Ok(Some(v)),
            Err(e) if e.kind() == ErrorKind::Io => Err(e),
            Err(e) => {
                self.problems.push(e.within(what.to_owned()));
                Ok(None)
            }
        }
    }
}

/// Reads the namespaces with their interfaces and sockets. `tasks` are the addresses of the processes with their numbers, for the owners
/// of sockets.
///
/// # Errors
/// `Missing` and `Unsupported` if no namespace is found; `Io`. What cannot be read is a problem of the result.
pub fn net(guest: &Guest<'_>, tasks: &[(u64, u64)]) -> Result<Net> {
    let mut out = Net::default();
    let first = guest.variable("init_net")?;
    let mut spaces = vec![first];
    let others = guest.variable("net_namespace_list").map(|l| l.list("net", "list", MAX_NAMESPACES));
    if let Some(list) = out.keep("list of network namespaces", others)? {
        for net in list {
            let Some(net) = out.keep("list of network namespaces", net)? else { break };
            if net.address() != first.address() {
                spaces.push(net);
            }
        }
    }
    let mut found = socket::Found::default();
    sockets::of_processes(guest, tasks, &mut found, &mut out)?;
    hashes::of_namespaces(guest, &spaces, &mut found, &mut out)?;
    for net in &spaces {
        let inode = net.path("ns.inum").and_then(|i| i.number()).unwrap_or(0);
        let interfaces = interfaces::list(net);
        let interfaces = out.keep("network interfaces", interfaces)?.unwrap_or_default();
        let sockets = found.of(net.address());
        out.namespaces.push(Namespace { address: net.address(), inode, interfaces, sockets });
    }
    Ok(out)
}

/// Reads a number that must be there.
fn number(o: &Object<'_>, path: &str) -> Result<u64> {
    o.path(path)?.number()
}
