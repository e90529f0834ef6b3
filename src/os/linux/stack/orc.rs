//! ORC: tables that say for every instruction of x86-64 where its function keeps the address of the caller
//! (`arch/x86/kernel/unwind_orc.c`, `arch/x86/include/asm/orc_types.h`).

use super::{End, Frame, Next, Saved, State, Unwinder, lost};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;
use crate::os::linux::btf::Field;
use crate::os::linux::guest::Guest;
use crate::os::linux::guest::Object;

/// Bytes of an entry.
const ENTRY: u64 = 6;
/// Entries of a table; a kernel has a million.
const MAX_ENTRIES: u64 = 1 << 24;

/// Where in `struct pt_regs` are: RBP, RBX and others, RIP, CS, RSP. The order is that of the system call's interface.
const R13: u64 = 16;
const RBP: u64 = 32;
const R10: u64 = 56;
const RAX: u64 = 80;
const RDX: u64 = 96;
const RDI: u64 = 112;
const RIP: u64 = 128;
const CS: u64 = 136;
const RSP: u64 = 152;

/// Where the fields of an entry are, which changed with 6.3 and 6.4.
struct Form {
    sp_offset: Field,
    bp_offset: Field,
    sp_reg: Field,
    bp_reg: Field,
    kind: Field,
    /// Up to 6.3: the last frame.
    end: Option<Field>,
    /// Since 6.3: an interrupted frame.
    signal: Option<Field>,
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    sp_offset: i64,
    bp_offset: i64,
    sp_reg: Base,
    bp_reg: Base,
    kind: Kind,
    signal: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unknown,
    End,
    Call,
    Registers,
    PartialRegisters,
}

/// A table of addresses, each relative to its own place, and one of entries.
#[derive(Clone, Copy)]
struct Table {
    addresses: u64,
    entries: u64,
    count: u64,
}

pub(super) struct Orc<'g> {
    guest: &'g Guest<'g>,
    names: &'g super::Names<'g>,
    form: Form,
    kernel: Table,
    /// Whether an indirect stack pointer is read before its offset is added (since 5.12).
    late_offset: bool,
    numbers: &'static [Base],
}

/// What the place of a frame is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Unknown,
    Rax,
    PreviousSp,
    Rdx,
    Rdi,
    Rbp,
    Rsp,
    R10,
    R13,
    AtRbp,
    AtRsp,
}

/// The numbers of registers, up to 7.1 and later.
static NUMBERS: [&[Base]; 2] = {
    use Base::{AtRbp, AtRsp, PreviousSp, R10, R13, Rax, Rbp, Rdi, Rdx, Rsp, Unknown};
    [
        &[Unknown, PreviousSp, Rdx, Rdi, Rbp, Rsp, R10, R13, AtRbp, AtRsp],
        &[Unknown, Rax, Rdx, Rsp, Rbp, Rdi, R10, R13, PreviousSp, AtRsp, AtRbp],
    ]
};
/// Entries by which the numbers are told apart: nearly all functions count from RSP.
const SAMPLES: u64 = 64;

impl<'g> Orc<'g> {
    pub fn new(names: &'g super::Names<'_>) -> Result<Self> {
        let guest = names.guest();
        let lacking = |what: &str| {
            let e = Error::new(ErrorKind::Unsupported, format!("the kernel has no {what}"));
            e.hint("stacks of x86-64 are unwound with ORC tables (CONFIG_UNWINDER_ORC)")
        };
        let t = guest.types();
        let field = |name: &str| t.field("orc_entry", name);
        let need = |name: &str| field(name).ok_or_else(|| lacking("struct orc_entry in its types"));
        let form = Form {
            sp_offset: need("sp_offset")?,
            bp_offset: need("bp_offset")?,
            sp_reg: need("sp_reg")?,
            bp_reg: need("bp_reg")?,
            kind: need("type")?,
            end: field("end"),
            signal: field("signal"),
        };
        let symbol = |name: &str| guest.symbol(name).map_err(|_| lacking(name));
        let addresses = symbol("__start_orc_unwind_ip")?;
        let bytes = symbol("__stop_orc_unwind_ip")?.wrapping_sub(addresses);
        let kernel = Table { addresses, entries: symbol("__start_orc_unwind")?, count: bytes >> 2 };
        // the release is what tells: the form of entries did not change
        let late_offset = guest.version() >= (5, 12);
        let mut orc = Self { guest, names, form, kernel, late_offset, numbers: &[] };
        let [old, new] = NUMBERS;
        orc.numbers = if orc.is_renumbered()? { new } else { old };
        Ok(orc)
    }

    /// Returns whether most entries count from the register that was renumbered.
    fn is_renumbered(&self) -> Result<bool> {
        let step = self.kernel.count.checked_div(SAMPLES).unwrap_or(0).max(1);
        let (mut old, mut new) = (0_u64, 0_u64);
        for n in (0..self.kernel.count).step_by(usize::try_from(step).unwrap_or(1)).take(64) {
            let at = self.kernel.entries.wrapping_add(n.wrapping_mul(ENTRY));
            match self.number(at, self.form.sp_reg)? {
                5 => old.tally(1),
                3 => new.tally(1),
                _ => {}
            }
        }
        Ok(new > old)
    }

    fn number(&self, entry: u64, f: Field) -> Result<u64> {
        let id = self.guest.types().structure("orc_entry").unwrap_or(crate::os::linux::btf::TypeId::VOID);
        Object::new(self.guest, id, entry).at(f).number()
    }

    /// Returns the entry of an instruction.
    fn find(&self, pc: u64) -> Result<Option<Entry>> {
        let table = match self.names.module(pc) {
            None => self.kernel,
            Some(m) => {
                let m = self.guest.object("struct module", m.address)?;
                let number = |path: &str| m.path(path)?.number();
                Table {
                    addresses: number("arch.orc_unwind_ip")?,
                    entries: number("arch.orc_unwind")?,
                    count: number("arch.num_orcs")?,
                }
            }
        };
        if table.count == 0 || table.count > MAX_ENTRIES {
            return Ok(None);
        }
        let kernel = self.guest.kernel();
        let address = |n: u64| -> Result<u64> {
            let at = table.addresses.wrapping_add(n.wrapping_mul(4));
            let by = u32::try_from(kernel.number(at, 4)?).unwrap_or(0).cast_signed();
            Ok(at.wrapping_add_signed(by.into()))
        };
        // the last entry at or before the instruction
        let (mut low, mut high) = (0, table.count);
        while low < high {
            let middle = low.plus(high.minus(low) >> 1);
            if address(middle)? <= pc {
                low = middle.plus(1);
            } else {
                high = middle;
            }
        }
        let Some(n) = low.checked_sub(1) else { return Ok(None) };
        self.entry(table.entries.wrapping_add(n.wrapping_mul(ENTRY))).map(Some)
    }

    fn entry(&self, at: u64) -> Result<Entry> {
        let number = |f: Field| self.number(at, f);
        let base = |f: Field| -> Result<Base> {
            let n = usize::try_from(number(f)?).unwrap_or(usize::MAX);
            self.numbers.get(n).copied().ok_or_else(|| lost(format!("an ORC entry names register {n}")))
        };
        let kind = number(self.form.kind)?;
        let kind = match self.form.end {
            Some(end) if number(end)? != 0 => Kind::End,
            Some(_) => match (kind, number(self.form.sp_reg)?) {
                (_, 0) => Kind::Unknown,
                (0, _) => Kind::Call,
                (1, _) => Kind::Registers,
                (2, _) => Kind::PartialRegisters,
                _ => Kind::Unknown,
            },
            None => match kind {
                1 => Kind::End,
                2 => Kind::Call,
                3 => Kind::Registers,
                4 => Kind::PartialRegisters,
                _ => Kind::Unknown,
            },
        };
        let signal = match self.form.signal {
            Some(f) => Some(number(f)? != 0),
            None => None,
        };
        Ok(Entry {
            sp_offset: number(self.form.sp_offset)?.cast_signed(),
            bp_offset: number(self.form.bp_offset)?.cast_signed(),
            sp_reg: base(self.form.sp_reg)?,
            bp_reg: base(self.form.bp_reg)?,
            kind,
            signal,
        })
    }

    /// Returns the stack pointer of the caller.
    fn stack(&self, e: &Entry, s: &State) -> Result<u64> {
        let word = |at: u64| self.guest.kernel().number(at, 8);
        let saved = |n: usize| match s.saved {
            Some(Saved::At(at)) => word(at.wrapping_add([RDX, RDI, R10, R13, RAX].get(n).copied().unwrap_or(0))),
            Some(Saved::Live(values)) => Ok(values.get(n).copied().unwrap_or(0)),
            None => Err(lost(format!("the stack at {:#x} needs a register that is not known", s.frame.sp))),
        };
        let by = |n: u64| n.wrapping_add_signed(e.sp_offset);
        match e.sp_reg {
            Base::Rdx => saved(0).map(by),
            Base::Rdi => saved(1).map(by),
            Base::R10 => saved(2).map(by),
            Base::R13 => saved(3).map(by),
            Base::Rax => saved(4).map(by),
            Base::Rbp => Ok(by(s.fp)),
            Base::Rsp => Ok(by(s.frame.sp)),
            Base::AtRbp => word(by(s.fp)),
            Base::AtRsp if self.late_offset => word(s.frame.sp).map(by),
            Base::AtRsp => word(by(s.frame.sp)),
            Base::Unknown | Base::PreviousSp => {
                Err(lost(format!("the ORC entry of {:#x} does not say where its frame is", s.frame.pc)))
            }
        }
    }
}

impl Unwinder for Orc<'_> {
    fn next(&mut self, s: &State) -> Result<Next> {
        // a call that never returns is the last instruction of its function
        let at = if s.frame.returns { s.frame.pc.wrapping_sub(1) } else { s.frame.pc };
        // code without an entry is taken for a function that keeps a frame pointer, as the kernel does
        let by_frame_pointer = Entry {
            sp_offset: 16,
            bp_offset: -16,
            sp_reg: Base::Rbp,
            bp_reg: Base::PreviousSp,
            kind: Kind::Call,
            signal: None,
        };
        let e = self.find(at)?.unwrap_or(by_frame_pointer);
        let word = |at: u64| self.guest.kernel().number(at, 8);
        match e.kind {
            Kind::End => return Ok(Next::End(End::Complete)),
            Kind::Unknown => return Err(lost(format!("the ORC tables do not know the frame of {:#x}", s.frame.pc))),
            _ => {}
        }
        let sp = self.stack(&e, s)?;
        let mut saved = None;
        let (pc, next) = match e.kind {
            Kind::Call => (word(sp.wrapping_sub(8))?, sp),
            _ => {
                // the partial ones are those that the processor pushes itself, which are the last of all
                let registers = if e.kind == Kind::Registers { sp } else { sp.wrapping_sub(RIP) };
                if word(registers.wrapping_add(CS))? & 3 != 0 {
                    return Ok(Next::End(End::User));
                }
                saved = Some(registers);
                (word(registers.wrapping_add(RIP))?, word(registers.wrapping_add(RSP))?)
            }
        };
        let full = e.kind == Kind::Registers;
        let fp = match (e.bp_reg, saved) {
            (Base::Unknown, Some(registers)) if full => word(registers.wrapping_add(RBP))?,
            (Base::Unknown, _) => s.fp,
            (Base::PreviousSp, _) => word(sp.wrapping_add_signed(e.bp_offset))?,
            (Base::Rbp, _) => word(s.fp.wrapping_add_signed(e.bp_offset))?,
            _ => return Err(lost(format!("the ORC entry of {:#x} does not say where RBP is", s.frame.pc))),
        };
        if pc == 0 {
            return Ok(Next::End(End::Complete));
        }
        // a frame that was interrupted may be on another stack
        if saved.is_none()
            && next <= s.frame.sp
            && !matches!(e.sp_reg, Base::AtRbp | Base::AtRsp | Base::Rbp | Base::R10)
        {
            return Err(lost(format!("expected a frame after {:#x}, found {next:#x}", s.frame.sp)));
        }
        let returns = !e.signal.unwrap_or(saved.is_some());
        let frame = Frame { pc, sp: next, returns, interrupted: saved.is_some() };
        // partial registers do not have those that an entry may ask for
        Ok(Next::Frame(State { frame, fp, saved: saved.filter(|_| full).map(Saved::At) }))
    }
}
