//! Paths of files (`fs/d_path.c`): names are in directory entries, and a mount leads on to the entry that it covers.

use super::guest::Guest;
use super::guest::Object;
use crate::error::{Error, ErrorKind, Result};
use crate::text::Name;

/// Names of one path.
const MAX_NAMES: usize = 4096;
/// Bytes of one path.
const MAX_BYTES: usize = 64 << 10;
/// Bytes of one name.
const MAX_NAME: u64 = 255;

/// Returns the path of a `struct path`, as the kernel prints it in `/proc/PID/fd`.
///
/// # Errors
/// `Missing` when a directory entry or a mount is not in memory; `Corrupt` for a path without an end; `Io`.
pub fn of(path: &Object<'_>) -> Result<Name> {
    let (mnt, dentry) = (path.member("mnt")?, path.member("dentry")?);
    if mnt.number()? == 0 || dentry.number()? == 0 {
        return Ok(Name::default());
    }
    let (mnt, dentry) = (mnt.target()?, dentry.target()?);
    if let Some(name) = without_a_place(&dentry)? {
        return Ok(name);
    }
    let text = up(&mnt, &dentry)?;
    let mut out = text;
    if is_deleted(&dentry)? {
        out.extend_from_slice(b" (deleted)");
    }
    Ok(Name::from_bytes(&out))
}

/// Returns the path of a mount's root: where it is mounted.
///
/// # Errors
/// Same as [`of`].
pub fn of_mount(mnt: &Object<'_>) -> Result<Name> {
    let root = mnt.member("mnt_root")?.target()?;
    Ok(Name::from_bytes(&up(mnt, &root)?))
}

/// Returns the path of an entry within its file system.
///
/// # Errors
/// Same as [`of`].
pub fn within(dentry: &Object<'_>) -> Result<Name> {
    let mut names = Vec::new();
    let mut at = *dentry;
    loop {
        let parent = at.member("d_parent")?.target()?;
        if parent.address() == at.address() {
            let mut out = joined(&names);
            if is_deleted(dentry)? {
                out.extend_from_slice(b"//deleted");
            }
            return Ok(Name::from_bytes(&out));
        }
        push(&mut names, &at)?;
        at = parent;
    }
}

/// Goes up from an entry, over mounts, to the root of everything.
fn up(mnt: &Object<'_>, dentry: &Object<'_>) -> Result<Vec<u8>> {
    let mut names = Vec::new();
    let mut mount = mnt.container("mount", "mnt")?;
    let mut at = *dentry;
    for _ in 0..MAX_NAMES {
        let root = mount.path("mnt.mnt_root")?.number()?;
        let parent = at.member("d_parent")?.target()?;
        if at.address() == root || parent.address() == at.address() {
            let above = mount.member("mnt_parent")?.target()?;
            if at.address() != root || above.address() == mount.address() {
                // an entry that is its own parent, outside of every mount, has the name of a file without a directory
                if at.address() != root {
                    push(&mut names, &at)?;
                }
                return Ok(joined(&names));
            }
            at = mount.member("mnt_mountpoint")?.target()?;
            mount = above;
            continue;
        }
        push(&mut names, &at)?;
        at = parent;
    }
    Err(Error::new(
        ErrorKind::Corrupt,
        format!("the path from the directory entry at {:#x} has no end", dentry.address()),
    ))
}

fn push(names: &mut Vec<Vec<u8>>, dentry: &Object<'_>) -> Result<()> {
    let total: usize = names.iter().map(Vec::len).sum();
    if names.len() >= MAX_NAMES || total > MAX_BYTES {
        return Err(Error::new(ErrorKind::Corrupt, "the path has more names than a path may have"));
    }
    names.push(name(dentry)?);
    Ok(())
}

/// Returns the name of an entry.
fn name(dentry: &Object<'_>) -> Result<Vec<u8>> {
    let (at, len) = (dentry.path("d_name.name")?.number()?, dentry.path("d_name.len")?.number()?);
    let mut out = vec![0; usize::try_from(len.min(MAX_NAME)).unwrap_or(0)];
    dentry.guest().kernel().read(at, &mut out)?;
    Ok(out)
}

fn joined(names: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for n in names.iter().rev() {
        // the root of a file system without a directory has the name "/"
        if n != b"/" {
            out.push(b'/');
            out.extend_from_slice(n);
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// Returns whether a file was removed from its directory.
fn is_deleted(dentry: &Object<'_>) -> Result<bool> {
    let own_parent = dentry.member("d_parent")?.number()? == dentry.address();
    let hashed = dentry.path("d_hash.pprev")?.number()? != 0;
    Ok(!hashed && !own_parent)
}

/// Returns the name of what has no path: a pipe, a socket, a namespace and others (`d_dname`).
fn without_a_place(dentry: &Object<'_>) -> Result<Option<Name>> {
    if dentry.path("d_op").and_then(|o| o.number())? == 0 {
        return Ok(None);
    }
    let Ok(kind) = dentry.path("d_sb.s_type.name").and_then(|n| n.text()) else { return Ok(None) };
    let inode = || dentry.path("d_inode.i_ino").and_then(|i| i.number());
    let own = || name(dentry).map(|n| String::from_utf8_lossy(&n).into_owned());
    let text = match kind.to_string().as_str() {
        "pipefs" => format!("pipe:[{}]", inode()?),
        "sockfs" => format!("socket:[{}]", inode()?),
        "anon_inodefs" => format!("anon_inode:{}", own()?),
        "nsfs" => format!("{}:[{}]", namespace(dentry)?, inode()?),
        "pidfs" => "anon_inode:[pidfd]".to_owned(),
        // a file of shared memory has a name and no directory
        "tmpfs" | "hugetlbfs"
            if dentry.member("d_parent")?.number()? == dentry.address() && dentry.path("d_name.len")?.number()? > 1 =>
        {
            format!("/{} (deleted)", own()?)
        }
        _ => return Ok(None),
    };
    Ok(Some(text.into()))
}

/// Returns the kind of a namespace.
fn namespace(dentry: &Object<'_>) -> Result<Name> {
    dentry.member("d_fsdata")?.cast("struct proc_ns_operations *")?.member("name")?.text()
}

/// A mount.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mount {
    /// Its number.
    pub id: u64,
    /// The number of the mount that it is in.
    pub parent: u64,
    /// The device: major and minor number.
    pub device: (u64, u64),
    /// What of the file system is mounted.
    pub root: Name,
    /// Where it is mounted.
    pub target: Name,
    /// The kind of file system.
    pub kind: Name,
    /// What is mounted.
    pub source: Name,
    /// The options of the mount.
    pub options: Vec<&'static str>,
    /// Whether the file system itself cannot be written.
    pub read_only: bool,
}

/// Flags of a mount, with their options (`show_mnt_opts`).
static OPTIONS: &[(u64, &str)] = &[
    (1, "nosuid"),
    (2, "nodev"),
    (4, "noexec"),
    (8, "noatime"),
    (0x10, "nodiratime"),
    (0x20, "relatime"),
    (0x80, "nosymfollow"),
];
/// `MNT_READONLY`.
const READ_ONLY: u64 = 0x40;
/// Mounts of a namespace.
const MAX_MOUNTS: usize = 1 << 17;

/// Lists the mounts of a namespace (`struct mnt_namespace`).
///
/// # Errors
/// `Missing` and `Corrupt` when the list cannot be read; `Io`.
pub fn mounts(namespace: &Object<'_>) -> Result<Vec<Mount>> {
    let mut out = Vec::new();
    // a tree since 6.8
    if let Ok(tree) = namespace.path("mounts.rb_node") {
        for m in super::rbtree::nodes(&tree, "mount", "mnt_node", MAX_MOUNTS)? {
            out.push(mount(&m)?);
        }
    } else {
        for m in namespace.member("list")?.list("mount", "mnt_list", MAX_MOUNTS) {
            let m = m?;
            // a cursor of a process that reads the list
            if m.path("mnt.mnt_flags")?.number()? & 0x2000_0000 == 0 || m.path("mnt.mnt_sb")?.number()? != 0 {
                out.push(mount(&m)?);
            }
        }
    }
    Ok(out)
}

fn mount(m: &Object<'_>) -> Result<Mount> {
    let flags = m.path("mnt.mnt_flags")?.number()?;
    let sb = m.path("mnt.mnt_sb")?.target()?;
    let device = sb.member("s_dev")?.number()?;
    let mut options = vec![if flags & READ_ONLY == 0 { "rw" } else { "ro" }];
    options.extend(OPTIONS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name));
    let kind = sb.path("s_type.name")?.text()?;
    let subtype = sb.member("s_subtype").and_then(|s| s.text()).unwrap_or_default();
    let mnt = m.member("mnt")?;
    Ok(Mount {
        id: m.member("mnt_id")?.number()?,
        parent: m.path("mnt_parent.mnt_id")?.number()?,
        device: (device >> 20, device & 0xf_ffff),
        root: within(&mnt.member("mnt_root")?.target()?)?,
        target: of_mount(&mnt)?,
        kind: if subtype.is_empty() { kind } else { format!("{kind}.{subtype}").into() },
        source: m.member("mnt_devname")?.text()?,
        options,
        read_only: sb.member("s_flags")?.number()? & 1 != 0,
    })
}

/// Returns the namespaces of mounts that tasks are in, each with its first task, in the order of the tasks.
///
/// # Errors
/// `Io`.
pub fn namespaces<'g>(guest: &'g Guest<'_>, tasks: &[u64]) -> Result<Vec<(u64, Object<'g>)>> {
    let mut out: Vec<(u64, Object<'g>)> = Vec::new();
    for task in tasks {
        let ns = guest.object("struct task_struct", *task)?.path("nsproxy.mnt_ns").and_then(|n| n.target());
        match ns {
            Ok(ns) if out.iter().all(|(_, o)| o.address() != ns.address()) => out.push((*task, ns)),
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            // a zombie is in no namespace
            _ => {}
        }
    }
    Ok(out)
}
