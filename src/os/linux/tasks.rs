//! Processes and threads (`include/linux/sched.h`).

use super::guest::Guest;
use super::guest::Object;
use super::user;
use crate::error::{Error, ErrorKind, Result};
use crate::text::Name;

/// Processes and threads of a guest that are looked at.
const MAX_TASKS: usize = 1 << 20;
/// Threads of one process.
const MAX_THREADS: usize = 1 << 18;
/// Problems after which the rest is not tried.
const MAX_PROBLEMS: usize = 100;
/// `PF_KTHREAD`: the task has no memory of its own.
const KERNEL_THREAD: u64 = 0x20_0000;
/// `TASK_UNINTERRUPTIBLE` and `TASK_NOLOAD`: it waits for nothing that counts as load.
const IDLE: u64 = 0x402;
/// What of the state is shown: running, sleeping, waiting, stopped, traced, dead, zombie, parked.
const SHOWN: u64 = 0x7f;
/// `TASK_RTLOCK_WAIT` and `TASK_FROZEN`, which are shown as waiting.
const AS_WAITING: u64 = 0x9000;

/// A process or a thread.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Task {
    /// The address of its `struct task_struct`.
    pub address: u64,
    /// The number of the thread.
    pub tid: u64,
    /// The number of the process.
    pub pid: u64,
    /// The process that started it.
    pub parent: u64,
    /// The user (`cred.uid`).
    pub uid: u64,
    /// The state as `ps` prints it: R runs, S sleeps, D waits, I is idle, Z is a zombie.
    pub state: char,
    /// The processor on which it runs or ran last.
    pub cpu: u64,
    /// Whether a processor runs it.
    pub on_cpu: bool,
    /// Whether it is a thread of the kernel.
    pub is_kernel: bool,
    /// The name, of at most 15 bytes.
    pub comm: Name,
    /// Nanoseconds since boot at which it started.
    pub started: u64,
    /// Nanoseconds that it ran in user mode, and in the kernel. Kernels with precise accounting have the exact time elsewhere.
    pub ran: (u64, u64),
    /// Pages that it has in memory, if it has memory of its own.
    pub resident: Option<u64>,
    /// The arguments; `None` if they are not in memory, or there are none.
    pub arguments: Option<Vec<Name>>,
}

/// The tasks of a guest.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Tasks {
    /// Processes, in the order in which they started; threads after their process.
    pub list: Vec<Task>,
    /// What could not be read.
    pub problems: Vec<Error>,
}

/// Lists the processes, and with `threads` all their threads.
///
/// # Errors
/// `Missing` and `Unsupported` if the list cannot be found; `Io`. A task that cannot be read is a problem of the result.
pub fn tasks(guest: &Guest<'_>, threads: bool) -> Result<Tasks> {
    let mut out = Tasks::default();
    let processes = guest.variable("init_task")?.member("tasks")?.list("task_struct", "tasks", MAX_TASKS);
    for process in processes {
        let process = match process {
            Ok(p) => p,
            Err(e) => {
                out.problem(e.within("list of processes"))?;
                break;
            }
        };
        if !out.add(&process)? {
            break;
        }
        if !threads {
            continue;
        }
        let others = process.path("signal.thread_head");
        let others = match others {
            Ok(head) => head.list("task_struct", "thread_node", MAX_THREADS),
            Err(e) => {
                out.problem(e.within("list of threads"))?;
                continue;
            }
        };
        for thread in others {
            match thread {
                Ok(t) if t.address() == process.address() => {}
                Ok(t) => {
                    if !out.add(&t)? {
                        return Ok(out);
                    }
                }
                Err(e) => {
                    out.problem(e.within("list of threads"))?;
                    break;
                }
            }
        }
    }
    Ok(out)
}

impl Tasks {
    /// Reads a task and adds it; returns whether there may be more.
    fn add(&mut self, task: &Object<'_>) -> Result<bool> {
        match read(task) {
            Ok(t) => {
                self.list.push(t);
                Ok(self.list.len() < MAX_TASKS)
            }
            Err(e) => {
                self.problem(e.within(format!("task at {:#x}", task.address())))?;
                Ok(self.problems.len() < MAX_PROBLEMS)
            }
        }
    }

    fn problem(&mut self, e: Error) -> Result<()> {
        if e.kind() == ErrorKind::Io {
            return Err(e);
        }
        self.problems.push(e);
        Ok(())
    }
}

/// Reads a task.
///
/// # Errors
/// `Missing` if its page is not in memory; `Io`.
pub fn read(task: &Object<'_>) -> Result<Task> {
    let number = |paths: &[&str]| task.either(paths)?.number();
    let is_kernel = number(&["flags"])? & KERNEL_THREAD != 0;
    let mm = number(&["mm"])?;
    let own_memory = !is_kernel && mm != 0;
    Ok(Task {
        address: task.address(),
        tid: number(&["pid"])?,
        pid: number(&["tgid"])?,
        // the first tasks are children of init_task, whose number is 0
        parent: task.path("real_parent.tgid").and_then(|p| p.number()).unwrap_or(0),
        uid: number(&["cred.uid", "real_cred.uid"]).unwrap_or(0),
        state: state(number(&["__state", "state"])?, number(&["exit_state"])?),
        cpu: number(&["thread_info.cpu", "cpu"]).unwrap_or(0),
        on_cpu: number(&["on_cpu"]).is_ok_and(|n| n != 0),
        is_kernel,
        comm: task.member("comm")?.text()?,
        started: number(&["start_boottime", "real_start_time", "start_time"]).unwrap_or(0),
        ran: (number(&["utime"]).unwrap_or(0), number(&["stime"]).unwrap_or(0)),
        resident: if own_memory { resident(task) } else { None },
        arguments: if own_memory { user::arguments(task) } else { None },
    })
}

/// Returns the letter of a state (`fs/proc/array.c`, `get_task_state`).
fn state(state: u64, exit: u64) -> char {
    if state & IDLE == IDLE {
        return 'I';
    }
    let waiting = if state & AS_WAITING != 0 { 2 } else { 0 };
    let shown = (state | exit | waiting) & SHOWN;
    let letter = 64_u32.saturating_sub(shown.leading_zeros());
    "RSDTtXZP".chars().nth(usize::try_from(letter).unwrap_or(0)).unwrap_or('?')
}

/// Returns the pages of a process that are in memory: files, anonymous pages and shared memory.
fn resident(task: &Object<'_>) -> Option<u64> {
    // an array of atomic numbers; since 6.2 one of counters, of which each processor has a part
    let stat = task.path("mm.rss_stat").ok()?;
    let counts = if stat.has("count") { stat.member("count").ok()? } else { stat };
    let part = |n: u64| {
        let c = counts.element(n).ok()?;
        if c.has("counters") { super::percpu::counter(&c) } else { c.signed().ok() }
    };
    let total = [0, 1, 3].into_iter().map(part).try_fold(0_i64, |sum, n| sum.checked_add(n?))?;
    Some(u64::try_from(total).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_letters() {
        let cases = [
            (0, 0, 'R'),
            (1, 0, 'S'),
            (2, 0, 'D'),
            (4, 0, 'T'),
            (8, 0, 't'),
            (0x80, 0x20, 'Z'),
            (0x80, 0x10, 'X'),
            (0x40, 0, 'P'),
            (0x402, 0, 'I'),
            (0x1000, 0, 'D'),
            (0x8000, 0, 'D'),
            (0x102, 0, 'D'),
        ];
        for (s, exit, letter) in cases {
            assert_eq!(state(s, exit), letter, "{s:#x} {exit:#x}");
        }
    }
}
