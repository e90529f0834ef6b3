//! Stacks for people: `linux bt`.

use std::io::{self, Write};

use super::super::tree::{Paint, Role};
use crate::error::Result;
use crate::os::linux::stack::{End, Frame, Names, Place, Stack};
use crate::os::linux::tasks::Task;

/// Whose stack it is.
#[derive(Clone, Copy)]
pub enum Of<'t> {
    /// A processor's.
    Cpu {
        /// Its number.
        index: u32,
        /// Whether it waits for an interrupt.
        halted: bool,
        /// The task that it runs, if it is not the idle one.
        task: Option<&'t Task>,
    },
    /// A task's, that no processor runs.
    Task(&'t Task),
}

/// A stack and the names of its frames.
pub struct Trace<'t> {
    /// Whose it is.
    pub of: Of<'t>,
    /// The frames, with their names.
    pub frames: Vec<(Frame, Option<Place>)>,
    /// How it ends.
    pub end: End,
}

impl<'t> Trace<'t> {
    /// Creates a trace without names.
    #[must_use]
    pub fn new(of: Of<'t>, stack: Stack) -> Self {
        Self { of, frames: stack.frames.into_iter().map(|f| (f, None)).collect(), end: stack.end }
    }

    /// Looks the names up.
    ///
    /// # Errors
    /// `Io`.
    pub fn name(&mut self, names: &Names<'_>) -> Result<()> {
        for (f, place) in &mut self.frames {
            // the instruction after a call may be that of the next function
            let back = u64::from(f.returns);
            *place = names.of(f.pc.wrapping_sub(back))?.map(|mut p| {
                p.offset = p.offset.wrapping_add(back);
                p
            });
        }
        Ok(())
    }
}

/// Prints stacks.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, traces: &[Trace<'_>], paint: Paint<'_>) -> io::Result<()> {
    for (n, t) in traces.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", paint(Role::Title, &title(&t.of)))?;
        let digits = t.frames.len().saturating_sub(1).to_string().len();
        for (n, (f, place)) in t.frames.iter().enumerate() {
            let name = place.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
            let note = if f.interrupted { "  (interrupted here)" } else { "" };
            writeln!(out, "#{n:<digits$}  {:016x}  {name}{}", f.pc, paint(Role::Dim, note))?;
        }
        match &t.end {
            End::Complete => {}
            End::Gone => writeln!(out, "no stack any more")?,
            End::User if t.frames.is_empty() => writeln!(out, "in user mode")?,
            End::User => writeln!(out, "{:digits$}   from user mode", "")?,
            End::Lost(e) => {
                writeln!(out, "{}", paint(Role::Problem, &format!("the rest is not known: {}", e.message())))?
            }
        }
    }
    Ok(())
}

fn title(of: &Of<'_>) -> String {
    let named = |t: &Task| format!("thread {} ({})", t.tid, t.comm);
    match of {
        Of::Task(t) => {
            format!("Thread {} ({}), state {}, process {}, last on CPU {}", t.tid, t.comm, t.state, t.pid, t.cpu)
        }
        Of::Cpu { index, halted: true, task: None } => format!("CPU {index}, halted, idle"),
        Of::Cpu { index, task: None, .. } => format!("CPU {index}, idle"),
        Of::Cpu { index, task: Some(t), .. } => format!("CPU {index}, {}", named(t)),
    }
}
