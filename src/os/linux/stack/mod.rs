//! Stacks of the kernel: which function called which.
//!
//! On x86-64 the kernel's own ORC tables say where each function keeps the address of its caller; on AArch64 and RISC-V frame
//! pointers do, on IBM Z the back chain.

mod chain;
mod names;
mod orc;

pub use names::{Names, Place};

use super::guest::Object;
use super::info::Machine;
use crate::error::{Error, ErrorKind, Result};

/// Frames of one stack; a stack of 16 KiB has room for some hundreds.
const MAX_FRAMES: usize = 512;

/// The registers with which unwinding begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers make it from the registers of a processor")]
pub struct Registers {
    /// The instruction.
    pub pc: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The frame pointer: RBP, X29, s0; not used on IBM Z.
    pub fp: u64,
    /// Whether the processor is in user mode.
    pub user: bool,
    /// Where the function that runs returns to, unless it has called others since: X30 of AArch64; 0 elsewhere.
    pub link: u64,
    /// RDX, RDI, R10, R13 and RAX of x86-64, in which a function may keep where its stack began.
    pub others: [u64; 5],
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The instruction: the next one to run, or the one to which a call returns.
    pub pc: u64,
    /// The stack pointer in this frame.
    pub sp: u64,
    /// Whether this is where a call returns to.
    pub returns: bool,
    /// Whether this frame was interrupted: all its registers are saved below it.
    pub interrupted: bool,
}

/// How a stack ends.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// With the first function of the task.
    Complete,
    /// Where the kernel was entered from user mode.
    User,
    /// There is none any more: the task has ended.
    Gone,
    /// Where the next frame could not be found.
    Lost(Error),
}

/// A stack.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stack {
    /// The frames, the innermost first.
    pub frames: Vec<Frame>,
    /// How it ends.
    pub end: End,
}

/// Where unwinding is.
struct State {
    frame: Frame,
    fp: u64,
    /// Where all registers of the frame are, if they are known.
    saved: Option<Saved>,
}

/// Registers that are not followed from frame to frame.
#[derive(Clone, Copy)]
enum Saved {
    /// In a `struct pt_regs` at this address.
    At(u64),
    /// Those of the processor: RDX, RDI, R10, R13, RAX.
    Live([u64; 5]),
}

/// What follows a frame.
enum Next {
    Frame(State),
    End(End),
}

/// What finds the caller of a frame.
trait Unwinder {
    fn next(&mut self, state: &State) -> Result<Next>;
}

/// Unwinds the stack of a task that no processor runs. `names` are those of the task's guest; they are made once for all stacks.
///
/// # Errors
/// `Unsupported` for an architecture whose stacks cannot be read; `Missing` when the saved registers are not in memory; `Io`.
pub fn of_task(names: &Names<'_>, task: &Object<'_>) -> Result<Stack> {
    let guest = names.guest();
    let number = |path: &str| task.path(path)?.number();
    let kernel = guest.kernel();
    // a thread that has ended gives its stack back, and another one may have it now
    if number("stack").is_ok_and(|at| at == 0) {
        return Ok(Stack { frames: Vec::new(), end: End::Gone });
    }
    let start = |pc: u64, sp: u64, fp: u64| State {
        frame: Frame { pc, sp, returns: true, interrupted: false },
        fp,
        saved: None,
    };
    let state = match kernel.machine() {
        Machine::X86_64 => {
            let sp = number("thread.sp")?;
            let frame = guest.object("struct inactive_task_frame", sp)?;
            let at = frame.member("ret_addr")?;
            start(at.number()?, at.address().wrapping_add(8), frame.member("bp")?.number()?)
        }
        Machine::Arm64 => {
            start(number("thread.cpu_context.pc")?, number("thread.cpu_context.sp")?, number("thread.cpu_context.fp")?)
        }
        Machine::Riscv64 => {
            start(number("thread.ra")?, number("thread.sp")?, task.path("thread.s")?.element(0)?.number()?)
        }
        Machine::S390x => {
            let sp = number("thread.ksp")?;
            start(chain::S390x::new(guest)?.return_address(sp)?, sp, 0)
        }
        _ => return Err(unsupported()),
    };
    unwind(names, state)
}

/// Unwinds the stack of a processor from its registers.
///
/// # Errors
/// `Unsupported` for an architecture whose stacks cannot be read; `Io`.
pub fn of_registers(names: &Names<'_>, r: &Registers) -> Result<Stack> {
    if r.user {
        return Ok(Stack { frames: Vec::new(), end: End::User });
    }
    let frame = Frame { pc: r.pc, sp: r.sp, returns: false, interrupted: false };
    if let Some(caller) = without_a_frame(names, r)? {
        let mut stack = unwind(names, State { frame: caller, fp: r.fp, saved: None })?;
        stack.frames.insert(0, frame);
        return Ok(stack);
    }
    unwind(names, State { frame, fp: r.fp, saved: Some(Saved::Live(r.others)) })
}

/// Returns the frame of the caller, where the function that runs has none of its own yet: its return address is in a register then,
/// and in no frame. After a call, that register points into the function itself.
fn without_a_frame(names: &Names<'_>, r: &Registers) -> Result<Option<Frame>> {
    let guest = names.guest();
    if r.link == 0 || r.fp >> 63 == 0 {
        return Ok(None);
    }
    let saved = match guest.kernel().number(r.fp.wrapping_add(8), 8) {
        Ok(n) => n,
        Err(e) if e.kind() == ErrorKind::Io => return Err(e),
        Err(_) => return Ok(None),
    };
    let signature = guest.kernel().number_of("KERNELPACMASK").unwrap_or(0);
    let link = r.link | signature;
    let (here, caller) = (names.of(r.pc)?, names.of(link.wrapping_sub(1))?);
    let start = |p: &Place, at: u64| at.wrapping_sub(p.offset);
    let other = here.zip(caller).is_some_and(|(h, c)| start(&h, r.pc) != start(&c, link.wrapping_sub(1)));
    let frame = Frame { pc: link, sp: r.sp, returns: true, interrupted: false };
    Ok((other && link != saved | signature).then_some(frame))
}

fn unwind(names: &Names<'_>, start: State) -> Result<Stack> {
    let guest = names.guest();
    let mut unwinder: Box<dyn Unwinder + '_> = match guest.kernel().machine() {
        Machine::X86_64 => Box::new(orc::Orc::new(names)?),
        Machine::Arm64 => Box::new(chain::Arm64::new(guest)),
        Machine::Riscv64 => Box::new(chain::Riscv64::new(guest)),
        Machine::S390x => Box::new(chain::S390x::new(guest)?),
        _ => return Err(unsupported()),
    };
    let mut frames = Vec::new();
    let mut state = start;
    loop {
        frames.push(state.frame);
        if frames.len() >= MAX_FRAMES {
            let what = format!("the stack has more than {MAX_FRAMES} frames; the rest was not looked at");
            return Ok(Stack { frames, end: End::Lost(Error::new(ErrorKind::LimitExceeded, what)) });
        }
        match unwinder.next(&state) {
            Ok(Next::Frame(next)) => state = next,
            Ok(Next::End(end)) => return Ok(Stack { frames, end }),
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(e) => return Ok(Stack { frames, end: End::Lost(e) }),
        }
    }
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "the stacks of this architecture cannot be read")
}

/// Returns an error about a stack that contradicts itself.
fn lost(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, what.into())
}
