//! Sockets in the tables of the kernel, those without a process too.

use super::socket::Found;
use super::{Net, number};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;
use crate::os::linux::guest::Guest;
use crate::os::linux::guest::Object;

/// Sockets in one chain.
const MAX_CHAIN: usize = 1 << 20;
/// Buckets of one table; a large guest has half a million.
const MAX_BUCKETS: u64 = 1 << 23;
/// Buckets that are read at a time.
const PIECE: u64 = 4096;
/// Protocols of netlink (`MAX_LINKS`).
const LINKS: u64 = 32;

/// Where the chains of a table are.
struct Chains {
    /// The first bucket, and the bytes from one to the next.
    first: u64,
    size: u64,
    count: u64,
    /// Where in a bucket the pointer to the first socket is.
    head: u64,
}

/// Where in a structure the link to the next one is.
#[derive(Clone, Copy)]
enum Link {
    /// `skc_node`, and `skc_nulls_node` in the same place.
    Node,
    /// In a `struct netlink_sock`.
    Netlink,
}

/// Reads the sockets of all tables.
pub(super) fn of_namespaces(guest: &Guest<'_>, spaces: &[Object<'_>], found: &mut Found, out: &mut Net) -> Result<()> {
    let mut seen = Vec::new();
    for net in spaces {
        // the tables are those of all namespaces, or of this one
        if let Ok(table) = net.path("ipv4.tcp_death_row.hashinfo").and_then(|h| h.target())
            && !seen.contains(&table.address())
        {
            seen.push(table.address());
            let r = tcp(&table).and_then(|all| chains(guest, &all, Link::Node, found));
            out.keep("TCP sockets", r)?;
        }
        let udp = net.path("ipv4.udp_table").and_then(|t| t.target());
        if let Ok(table) = udp.or_else(|_| guest.symbol("udp_table").and_then(|a| guest.object("struct udp_table", a)))
            && !seen.contains(&table.address())
        {
            seen.push(table.address());
            let r = slots(&table).and_then(|all| chains(guest, &[all], Link::Node, found));
            out.keep("UDP sockets", r)?;
        }
        if let Ok(head) = net.path("unx.table.buckets") {
            let all = head.number().map(|first| Chains { first, size: 8, count: 256, head: 0 });
            let r = all.and_then(|all| chains(guest, &[all], Link::Node, found));
            out.keep("unix sockets", r)?;
        }
        if let Ok(list) = net.path("packet.sklist") {
            let all = Chains { first: list.address(), size: 8, count: 1, head: 0 };
            let r = chains(guest, &[all], Link::Node, found);
            out.keep("packet sockets", r)?;
        }
    }
    if let Ok(first) = guest.symbol("unix_socket_table") {
        let r = chains(guest, &[Chains { first, size: 8, count: 512, head: 0 }], Link::Node, found);
        out.keep("unix sockets", r)?;
    }
    for name in ["raw_v4_hashinfo", "raw_v6_hashinfo"] {
        // IPv6 may be a module that is not loaded
        let Ok(at) = guest.symbol(name) else { continue };
        let table = guest.object("struct raw_hashinfo", at).and_then(|t| t.member("ht"));
        let r = table.and_then(|t| {
            let all = Chains { first: t.address(), size: 8, count: t.size().unwrap_or(0) >> 3, head: 0 };
            chains(guest, &[all], Link::Node, found)
        });
        out.keep("raw sockets", r)?;
    }
    if let Ok(at) = guest.symbol("nl_table") {
        let r = netlink(guest, at, found);
        out.keep("netlink sockets", r)?;
    }
    Ok(())
}

/// Returns the tables of TCP: established connections, and sockets that listen.
fn tcp(table: &Object<'_>) -> Result<Vec<Chains>> {
    let types = table.guest().types();
    let size = |s: &str| types.structure(s).and_then(|id| types.size(id));
    let lacking = || Error::new(ErrorKind::Unsupported, "the kernel has other tables of TCP sockets");
    let first = number(table, "ehash")?;
    let count = number(table, "ehash_mask")?.checked_add(1).unwrap_or(0);
    let mut out = vec![Chains { first, size: size("inet_ehash_bucket").ok_or_else(lacking)?, count, head: 0 }];
    let size = size("inet_listen_hashbucket").ok_or_else(lacking)?;
    let head = types.offset("inet_listen_hashbucket", "nulls_head").ok_or_else(lacking)?;
    match table.member("listening_hash") {
        Ok(all) => {
            let count = all.size().and_then(|n| n.checked_div(size)).unwrap_or(0);
            out.push(Chains { first: all.address(), size, count, head });
        }
        Err(_) => {
            let count = number(table, "lhash2_mask")?.checked_add(1).unwrap_or(0);
            out.push(Chains { first: number(table, "lhash2")?, size, count, head });
        }
    }
    Ok(out)
}

/// Returns the table of UDP.
fn slots(table: &Object<'_>) -> Result<Chains> {
    let types = table.guest().types();
    let size = types.structure("udp_hslot").and_then(|id| types.size(id));
    let head = types.offset("udp_hslot", "head");
    let (Some(size), Some(head)) = (size, head) else {
        return Err(Error::new(ErrorKind::Unsupported, "the kernel has another table of UDP sockets"));
    };
    let count = number(table, "mask")?.checked_add(1).unwrap_or(0);
    Ok(Chains { first: number(table, "hash")?, size, count, head })
}

/// Reads the sockets in all chains of tables.
fn chains(guest: &Guest<'_>, all: &[Chains], link: Link, found: &mut Found) -> Result<()> {
    let kernel = guest.kernel();
    for c in all {
        if c.count > MAX_BUCKETS || c.size == 0 || c.size > 4096 {
            let what = format!("expected a table of at most {MAX_BUCKETS} chains, found {}", c.count);
            return Err(Error::new(ErrorKind::Corrupt, what));
        }
        let mut done = 0;
        while done < c.count {
            let n = PIECE.min(c.count.minus(done));
            let mut bytes = vec![0; usize::try_from(n.times(c.size)).unwrap_or(0)];
            kernel.read(c.first.wrapping_add(done.wrapping_mul(c.size)), &mut bytes)?;
            for i in 0..n {
                let at = usize::try_from(i.times(c.size).plus(c.head)).unwrap_or(0);
                chain(guest, kernel.number_in(&bytes, at, 8), link, found)?;
            }
            done = done.plus(n);
        }
    }
    Ok(())
}

/// Reads the sockets in one chain, which ends with 0 or with an odd number.
fn chain(guest: &Guest<'_>, first: u64, link: Link, found: &mut Found) -> Result<()> {
    let types = guest.types();
    let offset = match link {
        Link::Node => types.offset("sock", "__sk_common.skc_node"),
        Link::Netlink => types.offset("netlink_sock", "node"),
    };
    let offset =
        offset.ok_or_else(|| Error::new(ErrorKind::Unsupported, "the kernel has other links between sockets"))?;
    let mut at = first;
    // a chain that goes in circles comes back to a place that is kept for a while
    let mut kept = 0;
    for n in 0..MAX_CHAIN {
        if at == 0 || at & 1 == 1 {
            return Ok(());
        }
        if at == kept {
            break;
        }
        if n.is_power_of_two() {
            kept = at;
        }
        let sock = guest.object("struct sock", at.wrapping_sub(offset))?;
        found.add(&sock)?;
        at = guest.kernel().number(at, 8)?;
    }
    Err(Error::new(ErrorKind::Corrupt, format!("the chain of sockets from {first:#x} has no end")))
}

/// Reads the sockets of netlink: a table for each protocol.
fn netlink(guest: &Guest<'_>, pointer: u64, found: &mut Found) -> Result<()> {
    let tables = guest.kernel().number(pointer, 8)?;
    let first = guest.object("struct netlink_table", tables)?;
    let size = first.size().unwrap_or(0);
    let Some(array) = guest.types().offset("bucket_table", "buckets") else { return Ok(()) };
    for n in 0..LINKS {
        let table = guest.object("struct netlink_table", tables.wrapping_add(n.wrapping_mul(size)))?;
        let buckets = table.path("hash.tbl")?;
        if buckets.number()? == 0 {
            continue;
        }
        let buckets = buckets.target()?;
        // a table that was made in an emergency has tables in its table
        if number(&buckets, "nest")? != 0 {
            return Err(Error::new(ErrorKind::Unsupported, "a nested table of netlink sockets"));
        }
        let count = number(&buckets, "size")?;
        if count > MAX_BUCKETS {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("expected at most {MAX_BUCKETS} chains, found {count}"),
            ));
        }
        for i in 0..count {
            let at = buckets.address().wrapping_add(array).wrapping_add(i.wrapping_mul(8));
            // the lowest bit is a lock, and that of an empty bucket is set
            let head = guest.kernel().number(at, 8)? & !1;
            if head != at {
                chain(guest, head, Link::Netlink, found)?;
            }
        }
    }
    Ok(())
}
