//! `linux bt`: stacks.

use std::io::Write;

use clap::Args as ClapArgs;

use super::super::exit::{Failure, Outcome};
use super::super::shared::InputArgs;
use super::super::style;
use super::{How, ask, outcome};
use crate::error::{Error, ErrorKind};
use crate::image::SaveImage;
use crate::inspect::{self, Cpus};
use crate::os::linux::stack::{self, Names, Stack};
use crate::os::linux::tasks::{self, Task};
use crate::render;
use crate::render::linux::bt::{self as table, Of, Trace};
use crate::render::linux::bt_json::BtDocument;
use crate::render::linux::head_json::Head;

/// Arguments of `linux bt`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze linux bt vm.mig
  savevm-analyze linux bt vm.mig --cpu 1
  savevm-analyze linux bt vm.mig --task 321
  savevm-analyze linux bt vm.mig --waiting
  savevm-analyze linux bt vm.mig --all | less

Without an option, the stacks of all CPUs are printed. Only the kernel's part of a stack is: functions of processes have no
symbols in guest memory.")]
pub struct BtArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// The stack of this CPU. May be given several times.
    #[arg(long, value_name = "N")]
    pub cpu: Vec<u32>,
    /// The stack of this thread, by its number in linux ps --threads. May be given several times.
    #[arg(long, value_name = "TID")]
    pub task: Vec<u64>,
    /// The stacks of all threads that wait and cannot be interrupted (state D): what hangs.
    #[arg(long, conflicts_with = "all")]
    pub waiting: bool,
    /// The stacks of all CPUs and all threads.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub how: How,
}

/// Runs `linux bt`.
pub fn run(a: &BtArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    ask(&a.input, &a.how, |image, guest| {
        let all = tasks::tasks(guest, true)?;
        let mut problems = all.problems;
        let names = Names::new(guest)?;
        let mut traces = Vec::new();
        let plain = a.cpu.is_empty() && a.task.is_empty() && !a.waiting;
        if plain || !a.cpu.is_empty() {
            cpus(image, &names, (&all.list, &a.cpu), &mut traces, &mut problems)?;
        }
        if let Some(none) = a.task.iter().find(|t| all.list.iter().all(|x| x.tid != **t)) {
            let e = Error::new(ErrorKind::Missing, format!("the guest has no thread {none}"));
            return Err(e.hint("linux ps --threads lists the threads").into());
        }
        // what has ended has no stack
        let ended = |t: &Task| matches!(t.state, 'Z' | 'X');
        let wanted = |t: &&Task| (a.all && !ended(t)) || a.task.contains(&t.tid) || (a.waiting && t.state == 'D');
        for t in all.list.iter().filter(wanted) {
            // what runs on a CPU has its registers there
            if t.on_cpu {
                if !a.all {
                    cpus(
                        image,
                        &names,
                        (std::slice::from_ref(t), &[u32::try_from(t.cpu).unwrap_or(0)]),
                        &mut traces,
                        &mut problems,
                    )?;
                }
                continue;
            }
            let stack = guest.object("struct task_struct", t.address).and_then(|o| stack::of_task(&names, &o));
            keep(&format!("stack of thread {}", t.tid), Of::Task(t), stack, &mut traces, &mut problems)?;
        }
        for t in &mut traces {
            t.name(&names)?;
        }
        if a.how.json {
            render::pretty(&mut *out, &BtDocument::new(Head::new(image, guest, &problems), &traces))?;
        } else {
            table::print(out, &traces, &style::paint)?;
        }
        outcome(out, image, &problems, traces.is_empty())
    })
}

/// Unwinds the stacks of processors.
fn cpus<'t>(
    image: &SaveImage,
    names: &Names<'_>,
    (tasks, wanted): (&'t [Task], &[u32]),
    traces: &mut Vec<Trace<'t>>,
    problems: &mut Vec<Error>,
) -> Result<(), Failure> {
    let cpus = Cpus::find(image)?;
    let mut found: Vec<_> = cpus.sections().filter_map(|d| cpus.decode(d)).collect();
    found.sort_by_key(|c| c.index);
    if let Some(none) = wanted.iter().find(|w| found.iter().all(|c| c.index != **w)) {
        let e = Error::new(ErrorKind::Missing, format!("the stream has no CPU {none}"));
        return Err(e.hint("savevm-analyze cpu lists the CPUs").into());
    }
    for cpu in found.iter().filter(|c| wanted.is_empty() || wanted.contains(&c.index)) {
        let running = tasks.iter().find(|t| t.on_cpu && t.cpu == u64::from(cpu.index));
        let lacking = || Error::new(ErrorKind::Missing, "the stream does not have the registers that are needed");
        let registers = inspect::stack_registers(cpu).ok_or_else(lacking);
        let stack = registers.and_then(|r| stack::of_registers(names, &r));
        let what = format!("stack of CPU {}", cpu.index);
        keep(&what, Of::Cpu { index: cpu.index, halted: cpu.halted, task: running }, stack, traces, problems)?;
    }
    Ok(())
}

/// Keeps a stack, or notes why there is none.
fn keep<'t>(
    what: &str,
    of: Of<'t>,
    stack: crate::error::Result<Stack>,
    traces: &mut Vec<Trace<'t>>,
    problems: &mut Vec<Error>,
) -> Result<(), Failure> {
    match stack {
        Ok(s) => traces.push(Trace::new(of, s)),
        Err(e) if e.kind() == ErrorKind::Io => return Err(e.into()),
        Err(e) => problems.push(e.within(what.to_owned())),
    }
    Ok(())
}
