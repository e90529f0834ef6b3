//! The first 64 bytes of configuration space: identity, BARs, windows of bridges.

use super::super::section::Registers;
use crate::offset::Sure;

/// What an address register asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BarKind {
    /// Ports.
    Io,
    /// Memory below 4 GiB.
    Memory32,
    /// Memory anywhere; takes two registers.
    Memory64,
    /// An option ROM.
    Rom,
}

impl BarKind {
    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Memory32 => "mem32",
            Self::Memory64 => "mem64",
            Self::Rom => "rom",
        }
    }
}

/// A base address register that is not 0. How much it covers is not in a saved state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bar {
    /// Its number; 6 is the ROM.
    pub index: u8,
    /// What it asks for.
    pub kind: BarKind,
    /// Whether reading ahead does no harm.
    pub prefetchable: bool,
    /// The address; 0 where none was given.
    pub address: u64,
    /// Whether the device responds: an address is assigned and enabled by the command register (and by a ROM's own
    /// bit).
    pub enabled: bool,
}

/// A window of a bridge; closed where `limit` is below `base`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// The first address.
    pub base: u64,
    /// The last address.
    pub limit: u64,
    /// Whether the addresses are 32 bits wide for ports, 64 for prefetchable memory.
    pub wide: bool,
}

impl Window {
    /// Returns whether anything passes.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.base <= self.limit
    }
}

/// A bridge to another bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bridge {
    /// The bus that it is on, according to its register.
    pub primary: u8,
    /// The bus below it; 0 if none is assigned.
    pub secondary: u8,
    /// The last bus below it.
    pub subordinate: u8,
    /// Ports.
    pub io: Window,
    /// Memory.
    pub memory: Window,
    /// Prefetchable memory.
    pub prefetchable: Window,
    /// The bridge control register.
    pub control: u16,
}

const COMMAND_IO: u16 = 1;
const COMMAND_MEMORY: u16 = 2;

/// Reads the address registers of a device or, with two of them, of a bridge.
pub(super) fn bars(r: Registers<'_>, command: u16, bridge: bool) -> Vec<Bar> {
    let mut out = Vec::new();
    let count: u8 = if bridge { 2 } else { 6 };
    let mut skip = false;
    for index in 0..count {
        if std::mem::take(&mut skip) {
            continue;
        }
        let at = usize::from(index).times(4).plus(0x10);
        let low = r.u32(at);
        let bar = if low & 1 != 0 {
            let address = u64::from(low & !3);
            let enabled = command & COMMAND_IO != 0 && address != 0;
            Bar { index, kind: BarKind::Io, prefetchable: false, address, enabled }
        } else {
            let wide = low & 6 == 4 && index.plus(1) < count;
            skip = wide;
            let high = if wide { u64::from(r.u32(at.plus(4))) } else { 0 };
            let address = high.wrapping_shl(32) | u64::from(low & !0xf);
            let kind = if wide { BarKind::Memory64 } else { BarKind::Memory32 };
            let enabled = command & COMMAND_MEMORY != 0 && address != 0;
            Bar { index, kind, prefetchable: low & 8 != 0, address, enabled }
        };
        // a register of 0 is one that is not there, or 32 bits of memory without an address: the same to the guest
        if low != 0 || bar.address != 0 {
            out.push(bar);
        }
    }
    let rom = r.u32(if bridge { 0x38 } else { 0x30 });
    if rom != 0 {
        let address = u64::from(rom & 0xffff_f800);
        let enabled = command & COMMAND_MEMORY != 0 && rom & 1 != 0 && address != 0;
        out.push(Bar { index: 6, kind: BarKind::Rom, prefetchable: false, address, enabled });
    }
    out
}

pub(super) fn bridge(r: Registers<'_>) -> Bridge {
    let io_wide = r.u8(0x1c) & 0xf == 1;
    let io = |low: u8, high: u16| {
        let high = if io_wide { u64::from(high).wrapping_shl(16) } else { 0 };
        high | u64::from(low & 0xf0).wrapping_shl(8)
    };
    let memory = |v: u16| u64::from(v & 0xfff0).wrapping_shl(16);
    let wide = r.u16(0x24) & 0xf == 1;
    let high = |at| if wide { u64::from(r.u32(at)).wrapping_shl(32) } else { 0 };
    Bridge {
        primary: r.u8(0x18),
        secondary: r.u8(0x19),
        subordinate: r.u8(0x1a),
        io: Window { base: io(r.u8(0x1c), r.u16(0x30)), limit: io(r.u8(0x1d), r.u16(0x32)) | 0xfff, wide: io_wide },
        memory: Window { base: memory(r.u16(0x20)), limit: memory(r.u16(0x22)) | 0xf_ffff, wide: false },
        prefetchable: Window {
            base: high(0x28) | memory(r.u16(0x24)),
            limit: high(0x2c) | memory(r.u16(0x26)) | 0xf_ffff,
            wide,
        },
        control: r.u16(0x3e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(words: &[(usize, u32)]) -> Vec<u8> {
        let mut c = vec![0; 256];
        for (at, v) in words {
            c[*at..at + 4].copy_from_slice(&v.to_le_bytes());
        }
        c
    }

    #[test]
    fn registers_of_every_kind() {
        let c = config(&[(0x10, 0xc001), (0x14, 0xfebf_0000), (0x20, 0xc), (0x24, 0x20), (0x30, 0xfec0_0001)]);
        let got = bars(Registers::little(&c), COMMAND_MEMORY, false);
        let bar = |index, kind, prefetchable, address, enabled| Bar { index, kind, prefetchable, address, enabled };
        assert_eq!(
            got,
            [
                bar(0, BarKind::Io, false, 0xc000, false),
                bar(1, BarKind::Memory32, false, 0xfebf_0000, true),
                bar(4, BarKind::Memory64, true, 0x20_0000_0000, true),
                bar(6, BarKind::Rom, false, 0xfec0_0000, true),
            ]
        );
        // the last register cannot be the first half of a pair
        let c = config(&[(0x24, 0xc)]);
        assert_eq!(bars(Registers::little(&c), 0, false), [bar(5, BarKind::Memory32, true, 0, false)]);
    }

    #[test]
    fn windows_of_a_bridge() {
        let c = config(&[
            (0x18, 0x0003_0100),
            (0x1c, 0xd1c1),
            (0x20, 0xfe10_fe00),
            (0x24, 1 | 1 << 16),
            (0x28, 8),
            (0x2c, 8),
        ]);
        let b = bridge(Registers::little(&c));
        assert_eq!((b.primary, b.secondary, b.subordinate), (0, 1, 3));
        assert_eq!((b.io.base, b.io.limit), (0xc000, 0xdfff));
        assert_eq!((b.memory.base, b.memory.limit), (0xfe00_0000, 0xfe1f_ffff));
        assert_eq!((b.prefetchable.base, b.prefetchable.limit), (8 << 32, (8 << 32) + 0xf_ffff));
        let closed = bridge(Registers::little(&config(&[(0x1c, 0xf0)])));
        assert!(!closed.io.is_open());
    }
}
