//! Sockets that processes have open.

use super::Net;
use super::socket::Found;
use crate::error::{ErrorKind, Result};
use crate::os::linux::files;
use crate::os::linux::guest::Guest;

/// Problems with sockets that are kept.
const MAX_PROBLEMS: usize = 1000;

/// Reads the sockets among the open files of processes.
pub(super) fn of_processes(guest: &Guest<'_>, tasks: &[(u64, u64)], found: &mut Found, out: &mut Net) -> Result<()> {
    for (address, pid) in tasks {
        let task = guest.object("struct task_struct", *address)?;
        if task.path("files").and_then(|f| f.number()).unwrap_or(0) == 0 {
            continue;
        }
        let each = files::each(&task, &mut |fd, file| {
            let mode = file.path("f_inode.i_mode")?.number()?;
            if mode >> 12 != 12 {
                return Ok(());
            }
            let socket = file.member("private_data")?.cast("struct socket *")?.target()?;
            // an entry of a file system that is a socket, opened with O_PATH
            if socket.member("file")?.number()? != file.address() || socket.member("sk")?.number()? == 0 {
                return Ok(());
            }
            match found.add(&socket.member("sk")?.target()?) {
                Ok(s) => s.owned_by(*pid, fd),
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(e) if out.problems.len() < MAX_PROBLEMS => {
                    out.problems.push(e.within(format!("socket {fd} of process {pid}")));
                }
                Err(_) => {}
            }
            Ok(())
        });
        out.keep(&format!("files of process {pid}"), each)?;
    }
    Ok(())
}
