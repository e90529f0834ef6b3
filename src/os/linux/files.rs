//! Open files (`include/linux/fdtable.h`).

use super::guest::Object;
use super::paths;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;
use crate::text::Name;

/// Descriptors of one process that are looked at (`fs.nr_open` is a million).
const MAX_DESCRIPTORS: u64 = 1 << 20;
/// Files of one process that cannot be read, after which the rest is not tried, and bytes of all paths.
const MAX_PROBLEMS: usize = 100;
const MAX_TEXT: usize = 16 << 20;
/// Descriptors that are read at a time.
const PIECE: u64 = 512;

/// `O_CLOEXEC`.
const CLOSE_ON_EXEC: u64 = 0o2_000_000;

/// An open file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Open {
    /// The descriptor.
    pub fd: u64,
    /// The address of its `struct file`.
    pub file: u64,
    /// The path, or what it is.
    pub path: Name,
    /// The kind of its inode: `file`, `dir`, `chr`, `blk`, `fifo`, `sock`, `link`; `-` if it is none of these.
    pub kind: &'static str,
    /// The inode.
    pub inode: u64,
    /// The position.
    pub position: u64,
    /// The flags that it was opened with, and whether it is closed on exec, as `/proc/PID/fdinfo` has them.
    pub flags: u64,
    /// The number of its mount.
    pub mount: u64,
}

/// What a process has open.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Files {
    /// The working directory, the root directory and the program, as far as they are in memory.
    pub places: [Option<Name>; 3],
    /// The open files by descriptor.
    pub open: Vec<Open>,
    /// What could not be read.
    pub problems: Vec<Error>,
}

/// Lists the open files of a process.
///
/// # Errors
/// `Io`. What cannot be read is a problem of the result.
pub fn files(task: &Object<'_>) -> Result<Files> {
    let mut out = Files::default();
    let place = |p: &str| task.path(p).and_then(|o| paths::of(&o)).ok().filter(|n| !n.is_empty());
    out.places = [place("fs.pwd"), place("fs.root"), place("mm.exe_file.f_path")];
    // a zombie has no files
    if task.member("files").and_then(|f| f.number()).unwrap_or(0) == 0 {
        return Ok(out);
    }
    let closing = closing(task).unwrap_or_default();
    let mut text = 0_usize;
    let result = each(task, &mut |fd, file| {
        match read(fd, file) {
            Ok(mut f) => {
                let byte = closing.get(usize::try_from(fd >> 3).unwrap_or(usize::MAX)).copied().unwrap_or(0);
                if byte.checked_shr(u32::try_from(fd & 7).unwrap_or(0)).unwrap_or(0) & 1 == 1 {
                    f.flags |= CLOSE_ON_EXEC;
                }
                text.tally(f.path.exact().len());
                out.open.push(f);
            }
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(e) => out.problems.push(e.within(format!("file descriptor {fd}"))),
        }
        if out.problems.len() < MAX_PROBLEMS && text < MAX_TEXT {
            return Ok(());
        }
        let what = "more files than are looked at, or too many that cannot be read; the rest is left out";
        Err(Error::new(ErrorKind::LimitExceeded, what))
    });
    match result {
        Err(e) if e.kind() == ErrorKind::Io => return Err(e),
        Err(e) => out.problems.push(e.within("files")),
        Ok(()) => {}
    }
    Ok(out)
}

/// Returns a bit for each descriptor that is closed when the process starts another program, the lowest in the lowest bit of its byte.
fn closing(task: &Object<'_>) -> Result<Vec<u8>> {
    let table = task.path("files.fdt")?.target()?;
    let bits = table.member("max_fds")?.number()?.min(MAX_DESCRIPTORS);
    let kernel = task.guest().kernel();
    let mut bytes = vec![0; usize::try_from(bits.div_ceil(64).times(8)).unwrap_or(0)];
    kernel.read(table.member("close_on_exec")?.number()?, &mut bytes)?;
    if kernel.is_big_endian() {
        bytes.chunks_exact_mut(8).for_each(<[u8]>::reverse);
    }
    Ok(bytes)
}

/// Calls `each` for every descriptor of a process.
///
/// # Errors
/// `Missing` when the table is not in memory; `Io`; those of `each`.
pub(super) fn each<'g>(task: &Object<'g>, each: &mut dyn FnMut(u64, &Object<'g>) -> Result<()>) -> Result<()> {
    let table = task.path("files.fdt")?.target()?;
    let most = table.member("max_fds")?.number()?.min(MAX_DESCRIPTORS);
    let pointers = table.member("fd")?;
    let start = pointers.number()?;
    let kernel = task.guest().kernel();
    let mut fd = 0;
    while fd < most {
        let at = start.wrapping_add(fd.wrapping_mul(8));
        // to the end of a page, for the next one may not be in memory
        let n = (4096_u64.minus(at & 4095) >> 3).clamp(1, PIECE).min(most.minus(fd));
        let mut piece = vec![0; usize::try_from(n.times(8)).unwrap_or(0)];
        kernel.read(at, &mut piece)?;
        for i in 0..n {
            let file = kernel.number_in(&piece, usize::try_from(i.times(8)).unwrap_or(0), 8);
            if file != 0 {
                each(fd.plus(i), &task.guest().object("struct file", file)?)?;
            }
        }
        fd = fd.plus(n);
    }
    Ok(())
}

fn read(fd: u64, file: &Object<'_>) -> Result<Open> {
    let number = |p: &str| file.path(p)?.number();
    let mode = number("f_inode.i_mode")?;
    let kind = match mode >> 12 {
        1 => "fifo",
        2 => "chr",
        4 => "dir",
        6 => "blk",
        8 => "file",
        10 => "link",
        12 => "sock",
        _ => "-",
    };
    let mnt = file.path("f_path.mnt")?.target()?.container("mount", "mnt")?;
    Ok(Open {
        fd,
        file: file.address(),
        path: paths::of(&file.member("f_path")?)?,
        kind,
        inode: number("f_inode.i_ino")?,
        position: number("f_pos")?,
        flags: number("f_flags")?,
        mount: mnt.member("mnt_id")?.number()?,
    })
}
