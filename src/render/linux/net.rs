//! Interfaces and sockets for people: `linux net`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::super::table::Table;
use super::super::tree::{Paint, Role};
use crate::os::linux::net::{End, Interface, Net, Socket};
use crate::os::linux::tasks::Task;

/// Flags of interfaces that are shown.
static FLAGS: &[(u64, &str)] =
    &[(1, "UP"), (2, "BROADCAST"), (8, "LOOPBACK"), (0x10, "POINTOPOINT"), (0x100, "PROMISC"), (0x1000, "MULTICAST")];

/// How networks are printed.
#[derive(Clone, Copy)]
pub struct NetOptions<'p> {
    /// Whether with interfaces.
    pub interfaces: bool,
    /// Whether with sockets.
    pub sockets: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// The colours.
    pub paint: Paint<'p>,
}

/// Prints networks; `tasks` gives the names of processes.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, net: &Net, tasks: &[Task], o: &NetOptions<'_>) -> io::Result<()> {
    let names: BTreeMap<u64, String> = tasks.iter().map(|t| (t.pid, t.comm.to_string())).collect();
    for (n, space) in net.namespaces.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        if net.namespaces.len() > 1 {
            writeln!(out, "{}", (o.paint)(Role::Title, &format!("Network namespace {}", space.inode)))?;
        }
        if o.interfaces {
            interfaces(out, &space.interfaces, o)?;
        }
        if o.interfaces && o.sockets {
            writeln!(out)?;
        }
        if o.sockets {
            sockets(out, &space.sockets, &names, o)?;
        }
    }
    Ok(())
}

fn interfaces(out: &mut dyn Write, all: &[Interface], o: &NetOptions<'_>) -> io::Result<()> {
    let mut table =
        Table::new(&["INDEX", "INTERFACE", "STATE", "MTU", "HARDWARE ADDRESS", "FLAGS", "ADDRESSES"], &[0, 3], 1);
    for i in all {
        let flags: Vec<&str> = FLAGS.iter().filter(|(bit, _)| i.flags & bit != 0).map(|(_, n)| *n).collect();
        let addresses: Vec<String> = i.addresses.iter().map(|a| format!("{}/{}", a.address, a.prefix)).collect();
        table.add([
            i.index.to_string(),
            i.name.to_string(),
            i.state.to_owned(),
            i.mtu.to_string(),
            hardware(&i.hardware),
            flags.join(","),
            addresses.join(" "),
        ]);
    }
    table.print(out, o.width, o.paint)
}

/// Returns a hardware address as it is written.
#[must_use]
pub fn hardware(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    parts.join(":")
}

fn sockets(out: &mut dyn Write, all: &[Socket], names: &BTreeMap<u64, String>, o: &NetOptions<'_>) -> io::Result<()> {
    let head = ["PROTOCOL", "STATE", "RECV", "SEND", "LOCAL", "PEER", "UID", "INODE", "PROCESSES"];
    let mut table = Table::new(&head, &[2, 3, 6, 7], 4);
    for s in all {
        let owners: Vec<String> = s
            .owners
            .iter()
            .map(|w| format!("{}/{}:{}", w.pid, names.get(&w.pid).map_or("", String::as_str), w.fd))
            .collect();
        let protocol = if s.protocol == "unix" { format!("unix {}", s.kind) } else { s.protocol.clone() };
        table.add([
            protocol,
            s.state.to_owned(),
            s.queues.0.to_string(),
            s.queues.1.to_string(),
            end(&s.local),
            end(&s.peer),
            s.uid.to_string(),
            s.inode.to_string(),
            owners.join(" "),
        ]);
    }
    table.print(out, o.width, o.paint)
}

/// Returns an end of a socket in words.
#[must_use]
pub fn end(e: &End) -> String {
    match e {
        End::Nothing => "-".to_owned(),
        End::Internet(a) if a.port() == 0 && a.ip().is_unspecified() => "*".to_owned(),
        End::Internet(a) => a.to_string(),
        End::Path(p) => p.to_string(),
        End::Inode(n) => format!("inode {n}"),
        End::Number(n) => n.to_string(),
    }
}
