//! Two sinks in one walk.

use super::{BlockList, Form, MappedRun, Page, PageAt, PageSink};
use crate::error::Result;
use crate::offset::RamOffset;
use crate::wire::Source;

/// Hands everything to two sinks, to each only the content that it wants.
pub struct Both<'a>(pub &'a mut dyn PageSink, pub &'a mut dyn PageSink);

/// Returns the form of a page, and the page without content.
fn bare(page: Page<'_>) -> (Option<Form>, Page<'static>) {
    match page {
        Page::Fill(b) => (None, Page::Fill(b)),
        Page::Normal(_) => (Some(Form::Normal), Page::Normal(&[])),
        Page::Xbzrle(_) => (Some(Form::Xbzrle), Page::Xbzrle(&[])),
        Page::Compressed(_) => (Some(Form::Compressed), Page::Compressed(&[])),
    }
}

impl PageSink for Both<'_> {
    fn blocks(&mut self, list: &BlockList<'_>) -> Result<()> {
        self.0.blocks(list)?;
        self.1.blocks(list)
    }

    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        let (form, without) = bare(page);
        for sink in [&mut *self.0, &mut *self.1] {
            let whole = form.is_none_or(|f| sink.wants(at, f));
            sink.page(at, if whole { page } else { without })?;
        }
        Ok(())
    }

    fn mapped(&mut self, run: MappedRun, source: &dyn Source) -> Result<()> {
        self.0.mapped(run, source)?;
        self.1.mapped(run, source)
    }

    fn discard(&mut self, block: usize, start: RamOffset, bytes: u64) -> Result<()> {
        self.0.discard(block, start, bytes)?;
        self.1.discard(block, start, bytes)
    }

    fn wants_pages(&self) -> bool {
        self.0.wants_pages() || self.1.wants_pages()
    }

    fn wants(&self, at: PageAt, form: Form) -> bool {
        self.0.wants(at, form) || self.1.wants(at, form)
    }
}
