//! `CONTEXT`: the registers of a processor as Windows keeps them.

use super::header::Width;
use crate::decode::cpu::Fields;
use crate::dump::Order;
use crate::dump::bytes::Record;
use crate::dump::processor::Processor;
use crate::dump::x86::{CS, DS, ES, FS, GS, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP, SS};
use crate::offset::Sure;
use crate::value::Node;

/// Which parts are filled: control, integer, segment, floating point and debug registers of AMD64; all but floating point of x86.
const ALL_64: u64 = 0x0010_001f;
const ALL_32: u64 = 0x0001_0017;

/// The sizes of the structures.
const SIZE_64: usize = 1232;
const SIZE_32: usize = 716;

/// Where the structure of 64 bits has what FXSAVE stores.
const FXSAVE: usize = 0x100;

/// The bits of MXCSR that a processor of 64 bits has.
const MXCSR_MASK: u64 = 0xffff;

/// Debug registers 4 and 5 are names for 6 and 7.
const DEBUG: [usize; 6] = [0, 1, 2, 3, 6, 7];

/// Returns the registers of a processor as a `CONTEXT`.
#[must_use]
pub fn context(width: Width, cpu: &Processor<'_>) -> Vec<u8> {
    match width {
        Width::Bits64 => long(&cpu.fields),
        Width::Bits32 => short(&cpu.fields),
    }
}

fn element(f: &Fields<'_>, array: &str, n: usize) -> u64 {
    f.at(array, n).map_or(0, |v| v.low())
}

fn selector(f: &Fields<'_>, n: usize) -> u64 {
    f.element("env.segs", n).map_or(0, |s| Fields::new(&s).u64("selector"))
}

fn long(f: &Fields<'_>) -> Vec<u8> {
    let mut r = Record::new(Order::Little, SIZE_64);
    r.u32(0x30, ALL_64);
    r.u32(0x34, f.u64("env.mxcsr"));
    for (at, n) in (0x38..).step_by(2).zip([CS, DS, ES, FS, GS, SS]) {
        r.u16(at, selector(f, n));
    }
    r.u32(0x44, f.u64("env.eflags"));
    r.row64(0x48, DEBUG.map(|n| element(f, "env.dr", n)));
    // in the order of their numbers
    r.row64(0x78, (0..16).map(|n| element(f, "env.regs", n)));
    r.u64(0xf8, f.u64("env.eip"));
    floats(&mut r, f);
    r.bytes
}

fn short(f: &Fields<'_>) -> Vec<u8> {
    let mut r = Record::new(Order::Little, SIZE_32);
    r.u32(0, ALL_32);
    r.row32(4, DEBUG.map(|n| element(f, "env.dr", n)));
    r.row32(0x8c, [GS, FS, ES, DS].map(|n| selector(f, n)));
    r.row32(0x9c, [RDI, RSI, RBX, RDX, RCX, RAX, RBP].map(|n| element(f, "env.regs", n)));
    r.row32(
        0xb8,
        [f.u64("env.eip"), selector(f, CS), f.u64("env.eflags"), element(f, "env.regs", RSP), selector(f, SS)],
    );
    r.bytes
}

/// Fills what FXSAVE stores (Intel SDM volume 1, 10.5.1): registers of the x87 by their place on the stack, and the lower 128 bits of the vector
/// registers.
fn floats(r: &mut Record, f: &Fields<'_>) {
    let status = f.u64("env.fpus_vmstate");
    r.u16(FXSAVE, f.u64("env.fpuc"));
    r.u16(FXSAVE.plus(2), status);
    r.u16(FXSAVE.plus(4), f.u64("env.fptag_vmstate") & 0xff);
    if let Some(s) = f.sub("cpu/fpop_ip_dp") {
        r.u16(FXSAVE.plus(6), s.u64("env.fpop"));
        r.u64(FXSAVE.plus(8), s.u64("env.fpip"));
        r.u64(FXSAVE.plus(16), s.u64("env.fpdp"));
    }
    r.u32(FXSAVE.plus(0x18), f.u64("env.mxcsr"));
    r.u32(FXSAVE.plus(0x1c), MXCSR_MASK);
    let top = usize::try_from(status >> 11 & 7).unwrap_or(0);
    for (n, node) in f.elements("env.fpregs").take(8).enumerate() {
        let own = Fields::new(&node);
        let parts = own.sub("tmp").unwrap_or(own);
        let place = n.plus(8).minus(top) & 7;
        let at = FXSAVE.plus(0x20).plus(place.times(16));
        r.u64(at, parts.u64("tmp_mant"));
        r.u16(at.plus(8), parts.u64("tmp_exp"));
    }
    for (n, node) in f.elements("env.xmm_regs[0]").take(16).enumerate() {
        r.row64(FXSAVE.plus(0xa0).plus(n.times(16)), words(&node).into_iter().take(2));
    }
}

/// Returns the numbers of a structure.
fn words(node: &Node) -> Vec<u64> {
    let fields = node.record().map(|r| r.fields.as_slice()).unwrap_or_default();
    fields.iter().filter_map(Node::as_u64).collect()
}
