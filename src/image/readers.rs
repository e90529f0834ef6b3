//! The readers of payloads that no description covers.

use std::collections::HashMap;

use crate::container::Container;
use crate::diag::{Diagnostic, Diagnostics, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::handler;
use crate::names::{Command, RecordType};
use crate::offset::{FileOffset, StreamOffset, StreamRange};
use crate::ram::{Form, MappedRun, Page, PageAt, PageSink, RamContext, RamReader, guess_page_size};
use crate::stream::{Context, Fact, LiveSection, Payloads, SectionHeader, Walk};
use crate::wire::{Cursor, Source};

/// Compares the target page size that was guessed with the one that the description states.
pub(super) fn judge_guess(walk: &mut Walk, ram: Option<&mut RamReader>, guessed: u64, header: StreamRange) {
    let stated = walk.description.as_ref().and_then(|d| d.schema.page_size);
    if let (Some(p), Some(ram)) = (stated, ram)
        && ram.take_page_size(p)
    {
        return;
    }
    let (severity, code, what) = match stated {
        Some(p) if p == guessed => return,
        Some(p) => (
            Level::Warning,
            "page-size",
            format!("the description states a target page size of {p}, the first records fit {guessed}"),
        ),
        None => (
            Level::Note,
            "page-size-guessed",
            format!("target page size not recorded; guessed {guessed} from the first RAM records"),
        ),
    };
    walk.found.push(Diagnostic::new(severity, code, what).at(header).within("ram"));
}

/// The readers of payloads that no description covers.
pub(super) struct Readers<'s> {
    live: HashMap<u32, Box<dyn LiveSection>>,
    ram: Option<(u32, RamReader)>,
    /// The target page size, if it was guessed, and the header of the `ram` section.
    pub(super) guessed_page_size: Option<(u64, StreamRange)>,
    pages: &'s mut dyn PageSink,
    stream_start: FileOffset,
}

impl<'s> Readers<'s> {
    pub(super) fn new(container: &Container, pages: &'s mut dyn PageSink) -> Self {
        let stream_start = container.stream_start;
        Self { live: HashMap::new(), ram: None, guessed_page_size: None, pages, stream_start }
    }

    pub(super) fn finish(self) -> (HashMap<u32, Vec<Fact>>, Option<RamReader>) {
        (self.live.into_iter().map(|(id, l)| (id, l.facts())).collect(), self.ram.map(|(_, r)| r))
    }

    fn open_ram(&mut self, c: &mut Cursor<'_>, h: &SectionHeader, ctx: &Context, found: &mut Diagnostics) -> bool {
        if !matches!(h.version_id, 3 | 4) {
            let what = format!(
                "the ram section has version {}; versions 3 (QEMU 0.10) and 4 (0.14 and later) are read",
                h.version_id
            );
            found.push(Diagnostic::new(Level::Error, "ram-version", what).at(h.range).within("ram"));
            return false;
        }
        let config = ctx.configuration.as_ref();
        let has = |cap: &str| config.is_some_and(|c| c.has_capability(cap));
        let mut ram = RamContext {
            version: h.version_id,
            target_page: 4096,
            ignore_shared: has("x-ignore-shared"),
            mapped_ram: has("mapped-ram"),
            page_size_mask: ctx.advise.map(|(mask, _)| mask),
            stream_start: self.stream_start,
        };
        let bits = config.and_then(|c| c.target_page_bits).and_then(|b| 1_u64.checked_shl(b));
        let sound = |p: &u64| p.is_power_of_two() && (256..=1 << 20).contains(p);
        // the description comes after the memory, and one at the end of the file may be another stream's
        ram.target_page = match bits.or(ctx.advise.map(|(_, p)| p)).filter(sound) {
            Some(p) => p,
            None => {
                let p = guess_page_size(c.source(), h.range.end, h.section_id, &ram).unwrap_or(4096);
                self.guessed_page_size = Some((p, h.range));
                p
            }
        };
        let mut reader = RamReader::new(ram, config.map(|c| c.machine.clone()));
        // a second ram section brings a second list, as COLO does
        reader.count_lists(self.ram.as_ref().map_or(0, |(_, r)| r.lists()));
        self.ram = Some((h.section_id, reader));
        true
    }
}

impl Payloads for Readers<'_> {
    fn open(&mut self, c: &mut Cursor<'_>, h: &SectionHeader, ctx: &Context, found: &mut Diagnostics) -> bool {
        if h.idstr == "ram" && h.kind == RecordType::START {
            return self.open_ram(c, h, ctx, found);
        }
        let Some(kind) = handler::find(h.idstr.exact()) else { return false };
        if h.kind == RecordType::FULL && self.live.contains_key(&h.section_id) {
            return true;
        }
        if !kind.versions.contains(&h.version_id) {
            let what = format!("version {} of {} is not known; its payload is passed over", h.version_id, kind.what);
            found.push(Diagnostic::new(Level::Warning, "live-version", what).at(h.range).within(h.idstr.to_string()));
            return false;
        }
        self.live.insert(h.section_id, (kind.make)());
        true
    }

    fn read(&mut self, c: &mut Cursor<'_>, id: u32, kind: RecordType, found: &mut Diagnostics) -> Result<()> {
        if let Some((ram_id, ram)) = &mut self.ram
            && *ram_id == id
        {
            return ram.read(c, self.pages);
        }
        match self.live.get_mut(&id) {
            Some(l) => l.read(c, kind, found),
            None => Err(Error::new(ErrorKind::Unsupported, "no reader for this section").at(c.offset())),
        }
    }

    fn command(&mut self, command: Command, payload: &[u8], at: StreamOffset) -> Result<()> {
        match (command, &mut self.ram) {
            (Command::POSTCOPY_RAM_DISCARD, Some((_, ram))) => ram.discard(payload, at, self.pages),
            _ => Ok(()),
        }
    }
}

/// A sink for walks that are not about pages.
pub(super) struct CountNothing;

impl PageSink for CountNothing {
    fn page(&mut self, _: PageAt, _: Page<'_>) -> Result<()> {
        Ok(())
    }

    fn mapped(&mut self, _: MappedRun, _: &dyn Source) -> Result<()> {
        Ok(())
    }

    fn wants_pages(&self) -> bool {
        false
    }

    fn wants(&self, _: PageAt, _: Form) -> bool {
        false
    }
}
