//! All that an address space maps, in ascending order.

use std::ops::RangeInclusive;

use super::AddressSpace;
use super::model::{Entry, Tree, mask};
use crate::error::{ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};

/// Virtual memory that is contiguous in guest-physical memory too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapping {
    /// The first virtual address.
    pub virt: u64,
    /// The guest-physical address.
    pub phys: Gpa,
    /// The length.
    pub bytes: u64,
}

/// How far going through the mappings came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mapped {
    /// Tables that were read.
    pub tables: u64,
    /// Tables that are not in the stream or have no memory.
    pub unreadable: u64,
    /// Whether it stopped at the limit.
    pub stopped: bool,
}

/// What is known on the way.
struct Going<'a> {
    mem: &'a dyn PhysicalMemory,
    tree: &'a Tree,
    within: &'a RangeInclusive<u64>,
    limit: u64,
    done: Mapped,
    open: Option<Mapping>,
    each: &'a mut dyn FnMut(Mapping) -> Result<()>,
}

impl AddressSpace {
    /// Calls `each` for every mapping of addresses in `within`, in ascending order. Neighbours that continue each other in both
    /// memories are one mapping. Reads at most `limit` tables: tables that contain themselves map some terabytes in little memory.
    ///
    /// A space without page tables has no mappings. On IBM Z the addresses are real ones, to which the prefix was not applied.
    ///
    /// # Errors
    /// `Io`, and those of `each`. A table that is not in the stream is no error, but counted.
    pub fn mapped(
        &self,
        mem: &dyn PhysicalMemory,
        within: RangeInclusive<u64>,
        limit: u64,
        each: &mut dyn FnMut(Mapping) -> Result<()>,
    ) -> Result<Mapped> {
        let mut done = Mapped::default();
        let mut open = None;
        for tree in &self.trees {
            let mut going = Going { mem, tree, within: &within, limit, done, open, each: &mut *each };
            going.table(0, tree.low, (tree.root, tree.first, tree.last))?;
            (done, open) = (going.done, going.open);
        }
        open.map_or(Ok(()), each)?;
        Ok(done)
    }
}

impl Going<'_> {
    /// Goes through a table of level `depth` (at most 5 deep), whose first entry is for `base`.
    fn table(&mut self, depth: usize, base: u64, (table, first, last): (u64, u64, u64)) -> Result<()> {
        let Some(level) = self.tree.levels.get(depth).copied() else { return Ok(()) };
        if self.done.tables >= self.limit {
            self.done.stopped = true;
            return Ok(());
        }
        self.done.tables.tally(1);
        let size = self.tree.entry_bytes;
        // index of the first address, which is not 0 in the upper half
        let start = level.index(base);
        let count = mask(level.bits).minus(start).plus(1);
        let mut bytes = vec![0; usize::try_from(count.times(size)).unwrap_or(0)];
        let at = Gpa(table.wrapping_add(start.wrapping_mul(size)));
        match self.mem.read(at, &mut bytes) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(_) => {
                self.done.unreadable.tally(1);
                return Ok(());
            }
        }
        let each = mask(level.shift).plus(1);
        let chunk = usize::try_from(size).unwrap_or(8);
        for (n, raw) in (0_u64..).zip(bytes.chunks_exact(chunk)) {
            let virt = base.plus(n.times(each));
            let end = virt.plus(each.minus(1));
            let index = start.plus(n);
            if virt > *self.within.end() || virt > self.tree.high {
                break;
            }
            if end < *self.within.start() || index < first || index > last {
                continue;
            }
            match self.tree.entries.read(&level, number(raw, self.tree.big_endian)) {
                Entry::Absent(_) => {}
                Entry::Table { at, first, last } => self.table(depth.plus(1), virt, (at, first, last))?,
                Entry::Page { at, shift } => {
                    // a page that is larger than its entry says is in several entries
                    let bytes = each.min(mask(shift).plus(1));
                    self.page(virt, at | (virt & mask(shift)), bytes)?;
                }
            }
            if self.done.stopped {
                break;
            }
        }
        Ok(())
    }

    fn page(&mut self, virt: u64, phys: u64, bytes: u64) -> Result<()> {
        // a page may begin before the range, or end after it
        let skip = self.within.start().saturating_sub(virt);
        let last = virt.plus(bytes.minus(1)).min(*self.within.end());
        let virt = virt.plus(skip);
        let Some(after) = last.checked_sub(virt) else { return Ok(()) };
        let m = Mapping { virt, phys: Gpa(phys.wrapping_add(skip)), bytes: after.plus(1) };
        if let Some(open) = &mut self.open {
            let next = open.virt.checked_add(open.bytes) == Some(m.virt) && open.phys.plus(open.bytes) == m.phys;
            if let Some(bytes) = open.bytes.checked_add(m.bytes).filter(|_| next) {
                open.bytes = bytes;
                return Ok(());
            }
            (self.each)(*open)?;
        }
        self.open = Some(m);
        Ok(())
    }
}

fn number(raw: &[u8], big_endian: bool) -> u64 {
    let mut bytes = [0; 8];
    if big_endian {
        let at = 8_usize.minus(raw.len());
        if let Some(to) = bytes.get_mut(at..) {
            to.copy_from_slice(raw);
        }
        return u64::from_be_bytes(bytes);
    }
    if let Some(to) = bytes.get_mut(..raw.len()) {
        to.copy_from_slice(raw);
    }
    u64::from_le_bytes(bytes)
}
