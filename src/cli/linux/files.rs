//! `linux files`: open files and mounts.

use std::io::Write;

use clap::Args as ClapArgs;

use super::super::exit::{Failure, Outcome};
use super::super::shared::InputArgs;
use super::super::{style, width};
use super::{How, ask, outcome};
use crate::error::{Error, ErrorKind};
use crate::os::linux::guest::Guest;
use crate::os::linux::tasks::{self, Task};
use crate::os::linux::{files, paths};
use crate::render;
use crate::render::linux::files::{self as table, Mounts, Process};
use crate::render::linux::files_json::{FilesDocument, MountsDocument};
use crate::render::linux::head_json::Head;

/// Problems of all processes that are listed.
const MAX_PROBLEMS: usize = 1000;

/// Arguments of `linux files`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze linux files vm.mig
  savevm-analyze linux files vm.mig --pid 1 --pid 321
  savevm-analyze linux files vm.mig --mounts
  savevm-analyze linux files vm.mig --json | jq -r '.processes[].files[].path' | grep deleted

FD is the file descriptor, or cwd, root or exe for the working directory, the root directory and the program. Paths are those
that a process in the same mount namespace sees from its real root.")]
pub struct FilesArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Only this process. May be given several times.
    #[arg(long, value_name = "PID")]
    pub pid: Vec<u64>,
    /// Print the mounts of each mount namespace instead.
    #[arg(long)]
    pub mounts: bool,
    #[command(flatten)]
    pub how: How,
}

/// Runs `linux files`.
pub fn run(a: &FilesArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    ask(&a.input, &a.how, |image, guest| {
        let mut found = tasks::tasks(guest, false)?;
        if !a.pid.is_empty() {
            if let Some(none) = a.pid.iter().find(|p| found.list.iter().all(|t| t.pid != **p)) {
                let e = Error::new(ErrorKind::Missing, format!("the guest has no process {none}"));
                return Err(e.hint("linux ps lists the processes").into());
            }
            found.list.retain(|t| a.pid.contains(&t.pid));
        }
        let mut problems = found.problems;
        let empty = found.list.is_empty();
        if a.mounts {
            let all = mounts(guest, &found.list, &mut problems)?;
            if a.how.json {
                render::pretty(&mut *out, &MountsDocument::new(Head::new(image, guest, &problems), &all))?;
            } else {
                table::mounts(out, &all, width::of_table(), &style::paint)?;
            }
            return outcome(out, image, &problems, empty);
        }
        let mut all = Vec::new();
        for t in &found.list {
            let mut f = files::files(&guest.object("struct task_struct", t.address)?)?;
            // each process has a bound of its own; many that lie would have many
            let room = MAX_PROBLEMS.saturating_sub(problems.len());
            problems.extend(f.problems.drain(..).take(room).map(|e| e.within(format!("process {}", t.pid))));
            all.push(Process { task: t, files: f });
        }
        if a.how.json {
            render::pretty(&mut *out, &FilesDocument::new(Head::new(image, guest, &problems), &all))?;
        } else {
            table::files(out, &all, width::of_table(), &style::paint)?;
        }
        outcome(out, image, &problems, empty)
    })
}

/// Reads the mounts of each namespace.
fn mounts<'t>(guest: &Guest<'_>, tasks: &'t [Task], problems: &mut Vec<Error>) -> Result<Vec<Mounts<'t>>, Failure> {
    let addresses: Vec<u64> = tasks.iter().map(|t| t.address).collect();
    let mut out = Vec::new();
    for (task, namespace) in paths::namespaces(guest, &addresses)? {
        let Some(task) = tasks.iter().find(|t| t.address == task) else { continue };
        match paths::mounts(&namespace) {
            Ok(list) => {
                let inode = namespace.path("ns.inum").and_then(|n| n.number()).unwrap_or(0);
                out.push(Mounts { task, inode, list });
            }
            Err(e) if e.kind() == ErrorKind::Io => return Err(e.into()),
            Err(e) => problems.push(e.within(format!("mount namespace of process {}", task.pid))),
        }
    }
    Ok(out)
}
