//! Images of kernels made by hand, with a table of symbols in the order of each version.

use crate::memory::FewPages;
use crate::offset::Gpa;
use crate::os::linux::info::{Info, Machine};
use crate::os::linux::kernel::Kernel;
use crate::os::linux::vmcoreinfo::{Found, How};
use crate::paging::{AddressSpace, X86Mode};

/// The order of the parts of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::os::linux) enum Order {
    Until61,
    With62,
    Since64,
    Since70,
}

pub(in crate::os::linux) const ORDERS: [Order; 4] = [Order::Until61, Order::With62, Order::Since64, Order::Since70];

/// Where the image is, in a kernel of x86-64 and in one of IBM Z, and in memory.
const X86: u64 = 0xffff_ffff_8100_0000;
const IBM_Z: u64 = 0x10_0000;
const PHYS: u64 = 0x10_0000;
/// Where the table, the banner and the functions are in the image.
const TABLE: u64 = 0x1000;
pub(in crate::os::linux) const BANNER: u64 = 0x800;
const PAGES: u64 = 24;
const CR3: u64 = 0x80_0000;

/// A kernel with functions `f0`, `f1`, … every 16 bytes, and its banner.
pub(in crate::os::linux) struct Made {
    pub mem: FewPages,
    pub big: bool,
    pub virt: u64,
    /// The symbols as they are expected: address, type, name.
    pub symbols: Vec<(u64, char, String)>,
    /// Where the table is from, and its bytes.
    pub table: Vec<u8>,
    /// More lines of VMCOREINFO.
    pub keys: String,
}

impl Made {
    pub fn new(order: Order, big: bool, count: u64) -> Self {
        Self::with(order, big, count, true)
    }

    /// Makes an image, with or without a symbol for the banner.
    pub fn with(order: Order, big: bool, count: u64, banner: bool) -> Self {
        let virt = if big { IBM_Z } else { X86 };
        let mut symbols = vec![(virt, 'T', "_stext".to_owned())];
        symbols.extend((0..count).map(|n| (virt + 16 * n, 'T', format!("f{n}"))));
        if banner {
            symbols.push((virt + BANNER, 'R', "linux_banner".to_owned()));
        }
        symbols.sort_by_key(|s| s.0);
        let mut made = Self { mem: FewPages::default(), big, virt, symbols, table: Vec::new(), keys: String::new() };
        made.write(BANNER, b"Linux version 9.9.9-made (somebody) #1\n\0");
        made.table = made.laid(order);
        let table = made.table.clone();
        made.write(TABLE, &table);
        made.map();
        made
    }

    /// Writes to the image.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        self.mem.write(PHYS + at, bytes);
    }

    /// Writes the whole table.
    pub fn write_table(&mut self, bytes: &[u8]) {
        self.write(TABLE, bytes);
    }

    /// Writes a copy of the table that the kernel does not have mapped.
    pub fn copy_table(&mut self, to: u64) {
        self.mem.write(to + BANNER, b"Linux version 9.9.9-made (somebody) #1\n\0");
        self.mem.write(to + TABLE, &self.table.clone());
    }

    fn u64(&self, n: u64) -> [u8; 8] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    fn u32(&self, n: u32) -> [u8; 4] {
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    fn u16(&self, n: usize) -> [u8; 2] {
        let n = u16::try_from(n).unwrap();
        if self.big { n.to_be_bytes() } else { n.to_le_bytes() }
    }

    /// The kernel's page tables on x86-64: each page of the image.
    fn map(&mut self) {
        for (table, index, to) in [(0, 511, 0x1000), (0x1000, 510, 0x2000), (0x2000, 8, 0x3000)] {
            self.mem.write(CR3 + table + 8 * index, &((CR3 + to) | 3_u64).to_le_bytes());
        }
        for page in 0..PAGES {
            self.mem.write(CR3 + 0x3000 + 8 * page, &((PHYS + 4096 * page) | 3).to_le_bytes());
        }
        self.write(4096 * PAGES - 1, &[0]);
    }

    /// Lays the parts of the table out.
    fn laid(&self, order: Order) -> Vec<u8> {
        let step = if order == Order::Since70 { 4 } else { 8 };
        let mut tokens = Vec::new();
        let mut index = Vec::new();
        for n in 0..256_usize {
            index.extend(self.u16(tokens.len()));
            match n {
                1 => tokens.extend(b"linux_"),
                // not used, and empty
                2 => {}
                n if (0x21..0x7f).contains(&n) => tokens.push(n as u8),
                n => tokens.extend(format!("<{n}>").bytes()),
            }
            tokens.push(0);
        }
        let mut names = Vec::new();
        let mut markers = Vec::new();
        for (n, (_, kind, name)) in self.symbols.iter().enumerate() {
            if n % 256 == 0 {
                markers.extend(self.u32(names.len() as u32));
            }
            let name = format!("{kind}{}", name.replace("linux_", "\u{1}"));
            names.push(name.len() as u8);
            names.extend(name.bytes());
        }
        let aligned = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(step), 0);
        let mut out = Vec::new();
        let numbers = |at: usize| -> Vec<u8> {
            let place = |n: usize| self.virt + TABLE + at as u64 + 4 * n as u64;
            let offset = |(n, (address, ..)): (usize, &(u64, char, String))| match order {
                Order::Since70 => address.wrapping_sub(place(n)) as u32,
                // x86: negative numbers count down from the base
                _ if !self.big => (self.virt.wrapping_sub(1)).wrapping_sub(*address) as u32,
                _ => (address - self.virt) as u32,
            };
            self.symbols.iter().enumerate().flat_map(|s| self.u32(offset(s))).collect()
        };
        if matches!(order, Order::Until61 | Order::With62) {
            out.extend(numbers(0));
            aligned(&mut out);
            out.extend(self.u64(self.virt));
        }
        out.extend(self.u32(self.symbols.len() as u32));
        aligned(&mut out);
        out.extend(&names);
        aligned(&mut out);
        out.extend(&markers);
        aligned(&mut out);
        if order == Order::With62 {
            out.extend((0..self.symbols.len() as u32).rev().flat_map(|n| n.to_be_bytes()[1..].to_vec()));
            aligned(&mut out);
        }
        out.extend(&tokens);
        aligned(&mut out);
        out.extend(&index);
        aligned(&mut out);
        if matches!(order, Order::Since64 | Order::Since70) {
            out.extend(numbers(out.len()));
            aligned(&mut out);
            if order == Order::Since64 {
                out.extend(self.u64(self.virt));
            }
        }
        assert!(TABLE as usize + out.len() < 4096 * PAGES as usize);
        out
    }

    /// What VMCOREINFO says of it.
    pub fn found(&self) -> Found {
        let own = if self.big {
            "SYMBOL(lowcore_ptr)=1\n".to_owned()
        } else {
            let tables = CR3 - PHYS + X86;
            format!(
                "NUMBER(phys_base)={}\nSYMBOL(swapper_pg_dir)={tables:x}\n",
                PHYS as i64 - (X86 & 0x3fff_ffff) as i64
            )
        };
        let text = format!("OSRELEASE=9.9.9-made\nPAGESIZE=4096\nSYMBOL(_stext)={:x}\n{own}{}", self.virt, self.keys);
        let info = Info::new(text.as_bytes()).unwrap();
        Found { note: Vec::new(), info, at: Gpa(0), how: How::Note, proved: true, big_endian: self.big }
    }

    /// The kernel as a processor maps it.
    pub fn mapped(&self) -> Kernel<'_> {
        let (machine, space) = match self.big {
            true => (Machine::S390x, AddressSpace::s390x_asce(0x20, false)),
            false => (Machine::X86_64, AddressSpace::x86(Some(X86Mode::Level4), CR3, 0)),
        };
        Kernel::of_processor(&self.mem, machine, space, self.virt + 0x20)
    }
}
