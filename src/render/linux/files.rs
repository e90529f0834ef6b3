//! Open files and mounts for people: `linux files`.

use std::io::{self, Write};

use super::super::table::Table;
use super::super::tree::{Paint, Role};
use crate::os::linux::files::Files;
use crate::os::linux::paths::Mount;
use crate::os::linux::tasks::Task;

/// A process and its files.
pub struct Process<'t> {
    /// The process.
    pub task: &'t Task,
    /// Its files.
    pub files: Files,
}

/// A namespace of mounts.
pub struct Mounts<'t> {
    /// The first task that is in it.
    pub task: &'t Task,
    /// The number of the namespace, as `/proc/PID/ns/mnt` has it.
    pub inode: u64,
    /// The mounts.
    pub list: Vec<Mount>,
}

/// The names of the places of a process.
pub const PLACES: [&str; 3] = ["cwd", "root", "exe"];

/// Prints files.
///
/// # Errors
/// Those of the writer.
pub fn files(out: &mut dyn Write, all: &[Process<'_>], width: usize, paint: Paint<'_>) -> io::Result<()> {
    let head = ["PID", "COMMAND", "FD", "MODE", "TYPE", "OFFSET", "INODE", "PATH"];
    let mut table = Table::new(&head, &[0, 5, 6], 7);
    for p in all {
        // threads of the kernel have nothing of their own
        if p.task.is_kernel {
            continue;
        }
        let (pid, comm) = (p.task.pid.to_string(), p.task.comm.to_string());
        for (name, path) in PLACES.iter().zip(&p.files.places) {
            if let Some(path) = path {
                let none = String::new;
                table.add([
                    pid.clone(),
                    comm.clone(),
                    (*name).to_owned(),
                    none(),
                    none(),
                    none(),
                    none(),
                    path.to_string(),
                ]);
            }
        }
        for f in &p.files.open {
            table.add([
                pid.clone(),
                comm.clone(),
                f.fd.to_string(),
                mode(f.flags).to_owned(),
                f.kind.to_owned(),
                f.position.to_string(),
                f.inode.to_string(),
                f.path.to_string(),
            ]);
        }
    }
    table.print(out, width, paint)
}

/// Returns how a file may be used.
fn mode(flags: u64) -> &'static str {
    match flags & 3 {
        0 => "r",
        1 => "w",
        _ => "rw",
    }
}

/// Prints mounts.
///
/// # Errors
/// Those of the writer.
pub fn mounts(out: &mut dyn Write, all: &[Mounts<'_>], width: usize, paint: Paint<'_>) -> io::Result<()> {
    for (n, m) in all.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        let title = format!("Mount namespace {} (process {}, {})", m.inode, m.task.pid, m.task.comm);
        writeln!(out, "{}", paint(Role::Title, &title))?;
        let mut table = Table::new(&["ID", "IN", "DEVICE", "TYPE", "SOURCE", "ROOT", "OPTIONS", "TARGET"], &[0, 1], 7);
        for x in &m.list {
            let mut options = x.options.join(",");
            if x.read_only && !options.starts_with("ro") {
                options.push_str(" (file system ro)");
            }
            table.add([
                x.id.to_string(),
                x.parent.to_string(),
                format!("{}:{}", x.device.0, x.device.1),
                x.kind.to_string(),
                x.source.to_string(),
                x.root.to_string(),
                options,
                x.target.to_string(),
            ]);
        }
        table.print(out, width, paint)?;
    }
    Ok(())
}
