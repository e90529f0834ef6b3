//! The pages of `--dump state --memory`, as the script means to print them: one entry per page, in the order in which the
//! pages first came, with what was received last.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use super::exit::Failure;
use super::shared::SourceArgs;
use crate::error::{Error, Result};
use crate::image::SaveImage;
use crate::offset::RamOffset;
use crate::ram::{BlockList, MappedRun, Page, PageAt, PageSink};
use crate::render::upstream::{MemoryEntries, hex};
use crate::sink::{ImageFile, PageImages, Plan};
use crate::text::Name;
use crate::wire::{Source, read_up_to_end};

/// The pages of a state, in a temporary file.
pub struct Pages {
    names: Vec<Name>,
    target_page: u64,
    /// The content of all blocks, where `plan` says.
    file: Option<File>,
    plan: Plan,
    order: Vec<(usize, u64)>,
    /// Pages whose last record was a fill byte.
    filled: HashMap<(usize, u64), u8>,
}

impl Pages {
    /// Walks a whole state, keeping its pages; returns the state too.
    pub fn read(file: &Path, source: &SourceArgs) -> std::result::Result<(Self, SaveImage), Failure> {
        let kept: RefCell<Option<(File, Plan)>> = RefCell::new(None);
        let keep = &kept;
        let planner = Box::new(move |list: &BlockList<'_>| {
            let failed = |e| Error::io("cannot create a temporary file", e);
            // one file for all blocks: a process may open fewer files than a stream may list blocks
            let plan = Plan::joined(list.blocks);
            let file = super::extract::temporary(source.tmpdir.as_deref()).map_err(failed)?;
            file.set_len(plan.outputs.first().copied().unwrap_or(0)).map_err(failed)?;
            let handle = file.try_clone().map_err(failed)?;
            *keep.borrow_mut() = Some((file, plan.clone()));
            Ok((plan, vec![ImageFile::from(handle)]))
        });
        let mut sink = Ordered {
            images: PageImages::new(planner, &source.settings().budget),
            names: Vec::new(),
            lens: Vec::new(),
            target_page: 4096,
            order: Vec::new(),
            seen: HashMap::new(),
            in_file: Vec::new(),
        };
        let options = super::open::options(source)?.pages(&mut sink);
        let image = super::open::image(file, options)?;
        sink.add_mapped();
        sink.images.finish()?;
        let (names, target_page, order, seen) = (sink.names, sink.target_page, sink.order, sink.seen);
        let filled = seen.into_iter().filter_map(|(k, v)| v.map(|b| (k, b))).collect();
        let (file, plan) = kept.take().unzip();
        Ok((Self { names, target_page, file, plan: plan.unwrap_or_default(), order, filled }, image))
    }
}

struct Ordered<'p> {
    images: PageImages<'p>,
    names: Vec<Name>,
    lens: Vec<u64>,
    target_page: u64,
    order: Vec<(usize, u64)>,
    seen: HashMap<(usize, u64), Option<u8>>,
    /// Blocks of a mapped-ram file, with the runs that are in it.
    in_file: Vec<(usize, Vec<(u64, u64)>)>,
}

impl Ordered<'_> {
    /// Lists the pages of mapped-ram blocks: all of them, those that are not in the file as filled with zero.
    fn add_mapped(&mut self) {
        for (block, runs) in std::mem::take(&mut self.in_file) {
            let mut runs = runs.into_iter().peekable();
            let mut offset = 0;
            while offset < self.lens.get(block).copied().unwrap_or(0) {
                while runs.next_if(|(_, end)| *end <= offset).is_some() {}
                let there = runs.peek().is_some_and(|(start, _)| *start <= offset);
                self.order.push((block, offset));
                self.seen.insert((block, offset), if there { None } else { Some(0) });
                offset += self.target_page;
            }
        }
    }
}

impl PageSink for Ordered<'_> {
    fn blocks(&mut self, list: &BlockList<'_>) -> Result<()> {
        self.names = list.blocks.iter().map(|b| b.name.clone()).collect();
        self.lens = list.blocks.iter().map(|b| b.len).collect();
        self.target_page = list.target_page;
        let mapped = list.blocks.iter().enumerate().filter(|(_, b)| b.mapped.is_some_and(|m| !m.is_absent()));
        self.in_file = mapped.map(|(i, _)| (i, Vec::new())).collect();
        self.images.blocks(list)
    }

    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        let key = (at.block, at.offset.0);
        let fill = if let Page::Fill(b) = page { Some(b) } else { None };
        if self.seen.insert(key, fill).is_none() {
            self.order.push(key);
        }
        self.images.page(at, page)
    }

    fn mapped(&mut self, run: MappedRun, source: &dyn Source) -> Result<()> {
        if let Some((_, runs)) = self.in_file.iter_mut().find(|(b, _)| *b == run.block) {
            runs.push((run.offset.0, run.offset.0 + run.bytes));
        }
        self.images.mapped(run, source)
    }

    fn discard(&mut self, block: usize, start: RamOffset, bytes: u64) -> Result<()> {
        self.images.discard(block, start, bytes)
    }
}

impl MemoryEntries for Pages {
    fn entries(
        &self,
        add: &mut dyn FnMut(&str, &str) -> std::result::Result<(), String>,
    ) -> std::result::Result<(), String> {
        let mut page = vec![0; usize::try_from(self.target_page).map_err(|e| e.to_string())?];
        for key @ (block, offset) in &self.order {
            let label = format!("{} ({offset:#018x})", self.names.get(*block).map_or("", Name::exact));
            if let Some(b) = self.filled.get(key) {
                add(&label, &format!("Filled with {b:#04x}"))?;
                continue;
            }
            let start = self.plan.blocks.get(*block).and_then(|pieces| pieces.first()).map(|p| p.output_start);
            let (Some(file), Some(start)) = (&self.file, start) else { continue };
            let at = start.checked_add(*offset).ok_or("the offset of a page overflows")?;
            let n = read_up_to_end(file, &mut page, at).map_err(|e| e.to_string())?;
            if n < page.len() {
                return Err(format!("the temporary file of {label} has lost its end"));
            }
            add(&label, &hex(&page))?;
        }
        Ok(())
    }
}
