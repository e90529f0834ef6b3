//! Frames that are chained: each has the address of the next one.

use super::{End, Frame, Next, State, Unwinder, lost};
use crate::error::{Error, ErrorKind, Result};
use crate::os::linux::guest::Guest;
use crate::os::linux::kernel::Kernel;

fn frame(pc: u64, sp: u64, returns: bool, interrupted: bool) -> Frame {
    Frame { pc, sp, returns, interrupted }
}

/// AArch64: the frame pointer points to that of the caller and to the address to which the call returns
/// (`arch/arm64/kernel/stacktrace.c`).
pub(super) struct Arm64<'g> {
    kernel: &'g Kernel<'g>,
    /// Bits of an address that sign it.
    signature: u64,
    registers: Option<Saved>,
}

/// Where the registers of an interrupted frame are, from the record of the frame.
#[derive(Clone, Copy)]
struct Saved {
    pc: u64,
    sp: u64,
    fp: u64,
    state: u64,
}

impl<'g> Arm64<'g> {
    pub fn new<'a: 'g>(guest: &'g Guest<'a>) -> Self {
        let kernel = guest.kernel();
        let t = guest.types();
        let offset = |member: &str| {
            let frame = t.offset("pt_regs", "stackframe")?;
            Some(t.offset("pt_regs", member)?.wrapping_sub(frame))
        };
        let all = || {
            let fp = offset("regs")?.wrapping_add(29 * 8);
            Some(Saved { pc: offset("pc")?, sp: offset("sp")?, fp, state: offset("pstate")? })
        };
        let signature = kernel.number_of("KERNELPACMASK").unwrap_or(0);
        Self { kernel, signature, registers: all() }
    }
}

impl Unwinder for Arm64<'_> {
    fn next(&mut self, s: &State) -> Result<Next> {
        if s.fp == 0 {
            return Ok(Next::End(End::Complete));
        }
        // the first instructions of an exception run with the frame pointer of the process
        if s.fp >> 63 == 0 {
            return Ok(Next::End(End::User));
        }
        if s.fp & 7 != 0 {
            return Err(lost(format!("expected a frame pointer that is a multiple of 8, found {:#x}", s.fp)));
        }
        let word = |at: u64| self.kernel.number(at, 8);
        let (fp, pc) = (word(s.fp)?, word(s.fp.wrapping_add(8))?);
        if fp == 0 && pc == 0 {
            // since 6.13 a third word says what such a record is: the last one, or that of an exception
            return match (word(s.fp.wrapping_add(16)), self.registers) {
                (Ok(2), Some(r)) => {
                    let at = |o: u64| word(s.fp.wrapping_add(o));
                    // the lowest bits of the state are the exception level
                    if at(r.state)? & 0xf == 0 {
                        return Ok(Next::End(End::User));
                    }
                    let next = frame(at(r.pc)?, at(r.sp)?, false, true);
                    Ok(Next::Frame(State { frame: next, fp: at(r.fp)?, saved: None }))
                }
                _ => Ok(Next::End(End::Complete)),
            };
        }
        if pc == 0 {
            return Ok(Next::End(End::Complete));
        }
        if fp != 0 && fp == s.fp {
            return Err(lost(format!("the frame at {fp:#x} is its own caller")));
        }
        // where an address is signed, its upper bits are those of the kernel's half
        let pc = if self.signature != 0 { pc | self.signature } else { pc };
        Ok(Next::Frame(State { frame: frame(pc, s.fp.wrapping_add(16), true, false), fp, saved: None }))
    }
}

/// RISC-V: the frame pointer is the end of the frame, before which are that of the caller and the address to which the call returns
/// (`arch/riscv/kernel/stacktrace.c`).
pub(super) struct Riscv64<'g> {
    kernel: &'g Kernel<'g>,
}

impl<'g> Riscv64<'g> {
    pub fn new<'a: 'g>(guest: &'g Guest<'a>) -> Self {
        Self { kernel: guest.kernel() }
    }
}

impl Unwinder for Riscv64<'_> {
    fn next(&mut self, s: &State) -> Result<Next> {
        if s.fp == 0 {
            return Ok(Next::End(End::Complete));
        }
        if s.fp & 7 != 0 || s.fp <= s.frame.sp {
            return Err(lost(format!("expected a frame pointer after {:#x}, found {:#x}", s.frame.sp, s.fp)));
        }
        let word = |back: u64| self.kernel.number(s.fp.wrapping_sub(back), 8);
        let (fp, pc) = (word(16)?, word(8)?);
        if pc == 0 {
            return Ok(Next::End(End::Complete));
        }
        Ok(Next::Frame(State { frame: frame(pc, s.fp, true, false), fp, saved: None }))
    }
}

/// The bit of the mask of a PSW that says that the processor is in user mode.
const S390X_PROBLEM_STATE: u64 = 1 << 48;

/// Where things are in the frames and in the saved registers of IBM Z, which depends on how the kernel was built.
#[derive(Clone, Copy)]
struct S390xPlaces {
    frame: u64,
    back: u64,
    r14: u64,
    mask: u64,
    address: u64,
    r15: u64,
}

/// IBM Z: each frame has the address of the caller's frame (`arch/s390/kernel/unwind_bc.c`).
pub(super) struct S390x<'g> {
    kernel: &'g Kernel<'g>,
    places: S390xPlaces,
}

impl<'g> S390x<'g> {
    pub fn new<'a: 'g>(guest: &'g Guest<'a>) -> Result<Self> {
        let t = guest.types();
        let all = || {
            Some(S390xPlaces {
                frame: t.size(t.structure("stack_frame")?)?,
                back: t.offset("stack_frame", "back_chain")?,
                // registers 6 to 15 are saved
                r14: t.offset("stack_frame", "gprs")?.wrapping_add(8 * 8),
                mask: t.offset("pt_regs", "psw.mask")?,
                address: t.offset("pt_regs", "psw.addr")?,
                r15: t.offset("pt_regs", "gprs")?.wrapping_add(15 * 8),
            })
        };
        let lacking = || Error::new(ErrorKind::Unsupported, "the kernel's types have no struct stack_frame");
        Ok(Self { kernel: guest.kernel(), places: all().ok_or_else(lacking)? })
    }

    fn word(&self, at: u64, offset: u64) -> Result<u64> {
        self.kernel.number(at.wrapping_add(offset), 8)
    }

    /// Returns the address to which the function returns whose frame is at `sp`.
    pub fn return_address(&self, sp: u64) -> Result<u64> {
        self.word(sp, self.places.r14)
    }
}

impl Unwinder for S390x<'_> {
    fn next(&mut self, s: &State) -> Result<Next> {
        let sp = s.frame.sp;
        let back = self.word(sp, self.places.back)?;
        if back != 0 {
            if back & 7 != 0 {
                return Err(lost(format!("expected a frame at a multiple of 8, found {back:#x}")));
            }
            let pc = self.return_address(back)?;
            return Ok(match pc {
                0 => Next::End(End::Complete),
                // a processor that waits has saved where it goes on
                pc if pc == s.frame.pc && !s.frame.returns => {
                    self.next(&State { frame: Frame { sp: back, returns: true, ..s.frame }, fp: 0, saved: None })?
                }
                pc => Next::Frame(State { frame: frame(pc, back, true, false), fp: 0, saved: None }),
            });
        }
        // the registers of what was interrupted follow the last frame
        let registers = sp.wrapping_add(self.places.frame);
        let (mask, pc) = (self.word(registers, self.places.mask)?, self.word(registers, self.places.address)?);
        if mask & S390X_PROBLEM_STATE != 0 {
            return Ok(Next::End(End::User));
        }
        if pc == 0 {
            return Ok(Next::End(End::Complete));
        }
        let sp = self.word(registers, self.places.r15)?;
        Ok(Next::Frame(State { frame: frame(pc, sp, false, true), fp: 0, saved: Some(super::Saved::At(registers)) }))
    }
}
