//! A Windows dump header, page tables and debugger data that are anything at all.
//!
//! The first byte chooses the width and the bits of CR4, the next two have the page of the note; the rest is memory from 0 on. What is beyond its end is missing.

use std::ops::Range;

use savevm_analyze::dump::Processor;
use savevm_analyze::dump::windows::{self, Width};
use savevm_analyze::machine::Region;
use savevm_analyze::memory::PhysicalMemory;
use savevm_analyze::offset::StreamRange;
use savevm_analyze::value::{FieldType, Record};
use savevm_analyze::{Error, ErrorKind, Gpa, Node, RamOffset, Result, Value};

struct Bytes<'a>(&'a [u8]);

impl PhysicalMemory for Bytes<'_> {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        let from = usize::try_from(address.0).ok().and_then(|at| self.0.get(at..)).and_then(|b| b.get(..buf.len()));
        buf.copy_from_slice(from.ok_or_else(|| Error::new(ErrorKind::Missing, "no memory"))?);
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        std::iter::once(0..self.0.len() as u64).collect()
    }
}

pub fn run(data: &[u8]) {
    planned(data);
}

/// Returns how many processors' registers are in the plans.
pub fn planned(data: &[u8]) -> usize {
    let Some((choices, memory)) = data.split_first_chunk::<3>() else { return 0 };
    let mut written = 0;
    let width = if choices[0] & 1 == 0 { Width::Bits64 } else { Width::Bits32 };
    let note = Gpa(4096 * u64::from(u16::from_le_bytes([choices[1], choices[2]])));
    let mem = Bytes(memory);
    let mut registers = Record::default();
    let cr4 = u64::from(choices[0] & 0x30) | u64::from(choices[0] & 0x40) << 6;
    registers.fields.push(Node::new("env.cr[4]", FieldType::new("uint64"), StreamRange::new(0, 8), Value::Uint(cr4)));
    let root = Node::new("cpu", FieldType::new("struct"), StreamRange::new(0, 8), Value::Struct(Box::new(registers)));
    let cpus: Vec<Processor<'_>> = (0..4).map(|i| Processor::new(i, &root)).collect();
    let len = memory.len() as u64;
    // a hole in the middle of memory
    let regions = [(0, len / 2), (len / 2 + 4096, (len / 2).saturating_sub(4096))]
        .map(|(at, n)| Region::new(Gpa(at), n, 0, RamOffset(at)));
    let size = width.header_bytes() as u32 + 24;
    let registered = windows::find(&mem, Some((note, size)), cpus.first()).unwrap();
    let searched = windows::find(&mem, None, cpus.first()).unwrap();
    for header in [registered, searched].into_iter().flatten() {
        let width = header.width();
        let Ok(plan) = windows::plan(header, &cpus, &mem, &regions) else { continue };
        assert_eq!(plan.head.len(), width.header_bytes());
        let mut at = plan.head.len() as u64;
        for run in &plan.runs {
            let end = at + run.bytes();
            let pieces = plan.memory.iter().filter(|p| at <= p.at && p.at < end);
            for p in pieces {
                assert_eq!(p.at - at, p.region.gpa.0 - run.start());
                assert!(p.at + p.region.bytes <= end, "{p:x?} in {run:x?}");
            }
            at = end;
        }
        assert_eq!(at, plan.len);
        let known: u64 = plan.memory.iter().map(|p| p.region.bytes).sum();
        assert!(plan.len <= plan.head.len() as u64 + 2 * known);
        let mut end = Gpa(0);
        for (start, bytes) in &plan.patches {
            assert!(*start >= end && bytes.len() <= 1232);
            end = start.plus(bytes.len() as u64);
            assert!(plan.memory.iter().any(|p| p.region.gpa <= *start && end <= p.region.end()));
        }
        written += plan.patches.values().map(Vec::len).sum::<usize>() / 700;
        assert!(plan.problems.len() <= cpus.len() + 3 && plan.remarks.len() <= 8);
    }
    written
}
