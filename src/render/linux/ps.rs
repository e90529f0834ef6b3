//! Processes for people: `linux ps`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::super::human::size;
use super::super::table::Table;
use super::super::tree::Paint;
use crate::os::linux::tasks::Task;
use crate::os::linux::user;

/// Levels of a tree that are indented.
const MAX_INDENT: usize = 32;

/// How processes are printed.
#[derive(Clone, Copy)]
pub struct PsOptions<'p> {
    /// Whether threads have rows of their own.
    pub threads: bool,
    /// Whether processes are below those that started them.
    pub tree: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// The colours.
    pub paint: Paint<'p>,
}

/// Prints processes.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, tasks: &[Task], o: &PsOptions<'_>) -> io::Result<()> {
    let mut head = vec!["PID", "PPID", "UID", "S", "CPU", "START", "RSS", "COMMAND"];
    let mut right = vec![0, 1, 2, 4, 5, 6];
    if o.threads {
        head.insert(1, "TID");
        right = vec![0, 1, 2, 3, 5, 6, 7];
    }
    let mut table = Table::new(&head, &right, head.len() - 1);
    for (depth, t) in if o.tree { tree(tasks) } else { tasks.iter().map(|t| (0, t)).collect() } {
        let indent = match depth.min(MAX_INDENT) {
            0 => String::new(),
            n => format!("{}\\_ ", "  ".repeat(n - 1)),
        };
        let state = if t.on_cpu { format!("{}*", t.state) } else { t.state.to_string() };
        let mut row = vec![
            t.pid.to_string(),
            t.parent.to_string(),
            t.uid.to_string(),
            state,
            t.cpu.to_string(),
            format!("{}.{:02}", t.started / 1_000_000_000, t.started / 10_000_000 % 100),
            t.resident.map_or_else(|| "-".to_owned(), |n| size(n.saturating_mul(4096))),
            format!("{indent}{}", command(t)),
        ];
        if o.threads {
            row.insert(1, t.tid.to_string());
        }
        table.add(row);
    }
    table.print(out, o.width, o.paint)
}

/// Returns the arguments, or the name in brackets.
fn command(t: &Task) -> String {
    match &t.arguments {
        Some(a) if t.tid == t.pid => user::line(a),
        _ if t.tid != t.pid => format!("{{{}}}", t.comm),
        _ => format!("[{}]", t.comm),
    }
}

/// Puts each task after its parent, with its depth. Tasks without a parent in the list, and those in a circle, are at the top.
fn tree(tasks: &[Task]) -> Vec<(usize, &Task)> {
    let numbers: BTreeSet<u64> = tasks.iter().map(|t| t.pid).collect();
    let mut children: BTreeMap<u64, Vec<&Task>> = BTreeMap::new();
    let mut open: Vec<(usize, &Task)> = Vec::new();
    for t in tasks {
        // threads are below their process
        let above = if t.tid == t.pid { t.parent } else { t.pid };
        if t.tid == t.pid && (!numbers.contains(&above) || above == t.pid) {
            open.push((0, t));
        } else {
            children.entry(above).or_default().push(t);
        }
    }
    open.reverse();
    let mut out = Vec::new();
    loop {
        while let Some((depth, t)) = open.pop() {
            out.push((depth, t));
            let below = if t.tid == t.pid { children.remove(&t.pid) } else { None };
            open.extend(below.into_iter().flatten().rev().map(|c| (depth + 1, c)));
        }
        // what is left goes in circles
        let Some((_, left)) = children.pop_first() else { return out };
        open.extend(left.into_iter().rev().map(|t| (0, t)));
    }
}
