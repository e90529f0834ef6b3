//! The pages of `--dump state --memory`, as the script means to print them: one entry per page, in the order in which the
//! pages first came, with what came last.

use std::collections::HashMap;
use std::path::Path;

use super::exit::Failure;
use crate::container;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{OpenOptions, SaveImage};
use crate::offset::StreamOffset;
use crate::ram::{Page, PageAt, PageSink, RamBlock};
use crate::render::upstream::MemoryEntries;
use crate::wire::{Cursor, Source};

/// Where the last content of every page is.
pub struct Pages {
    source: std::sync::Arc<dyn Source>,
    index: Index,
}

#[derive(Default)]
struct Index {
    names: Vec<String>,
    target_page: u64,
    order: Vec<(usize, u64)>,
    last: HashMap<(usize, u64), Content>,
}

#[derive(Clone, Copy)]
enum Content {
    Fill(u8),
    At(StreamOffset),
}

impl Pages {
    /// Reads the place of every page.
    pub fn read(file: &Path, image: &SaveImage) -> std::result::Result<Self, Failure> {
        if image.container().kind == container::ContainerKind::Pipe {
            return Err(Failure::Usage("--memory looks at the stream twice: save it to a file first".to_owned()));
        }
        let mut index = Index::default();
        let counted = SaveImage::open(file, OpenOptions { full: true, lent: None, pages: Some(&mut index) })?;
        let source = counted.container().source.clone();
        drop(counted);
        Ok(Self { source, index })
    }
}

impl PageSink for Index {
    fn blocks(&mut self, blocks: &[RamBlock], target_page: u64) -> Result<()> {
        if blocks.iter().any(|b| b.mapped.is_some()) {
            return Err(Error::new(ErrorKind::Unsupported, "--memory does not read mapped-ram files yet"));
        }
        self.names = blocks.iter().map(|b| b.name.clone()).collect();
        self.target_page = target_page;
        Ok(())
    }

    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        let content = match page {
            Page::Fill(b) => Content::Fill(b),
            // the name's length is not known here; the page is what the record ends with, so the walk's next record tells
            Page::Normal(_) => Content::At(at.stream),
            Page::Xbzrle(_) | Page::Compressed(_) => {
                return Err(Error::new(ErrorKind::Unsupported, "--memory does not read XBZRLE or compressed pages yet")
                    .at(at.stream));
            }
        };
        if self.last.insert((at.block, at.offset.0), content).is_none() {
            self.order.push((at.block, at.offset.0));
        }
        Ok(())
    }

    fn mapped(&mut self, _: crate::ram::MappedRun, _: &dyn Source) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "--memory does not read mapped-ram files yet"))
    }

    fn wants_data(&self) -> bool {
        false
    }
}

impl MemoryEntries for Pages {
    fn entries(&self, add: &mut dyn FnMut(&str, &str) -> std::result::Result<(), String>) -> std::result::Result<(), String> {
        let page = usize::try_from(self.index.target_page).map_err(|e| e.to_string())?;
        for key @ (block, offset) in &self.index.order {
            let name = self.index.names.get(*block).map_or("", String::as_str);
            let label = format!("{name} ({offset:#018x})");
            match self.index.last.get(key) {
                Some(Content::Fill(b)) => add(&label, &format!("Filled with {b:#04x}"))?,
                Some(Content::At(at)) => {
                    let mut c = Cursor::new(self.source.as_ref(), *at);
                    let bytes = record_page(&mut c, page).map_err(|e| e.to_string())?;
                    add(&label, &crate::render::upstream::hex(&bytes))?;
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Reads the page of a PAGE record.
fn record_page(c: &mut Cursor<'_>, page: usize) -> Result<Vec<u8>> {
    let head = c.be64()?;
    if head & crate::names::ram_flag::CONTINUE == 0 {
        c.counted_str()?;
    }
    Ok(c.take(page)?.to_vec())
}
