//! What the library says of an input, as text that can be compared.

use std::io::Cursor;
use std::path::Path;

use savevm_analyze::budget::Budget;
use savevm_analyze::container::{self, Container, Settings};
use savevm_analyze::error::{Error, Result};
use savevm_analyze::image::{OpenOptions, SaveImage};
use savevm_analyze::inspect;
use savevm_analyze::offset::RamOffset;
use savevm_analyze::ram::{BlockList, Form, MappedRun, Page, PageAt, PageSink, PageStats};
use savevm_analyze::render::upstream::StateDocument;
use savevm_analyze::wire::Source;

/// Where the bytes are.
pub enum Input<'a> {
    File(&'a Path),
    Pipe(Vec<u8>),
}

impl Input<'_> {
    fn open(&self) -> Result<Container> {
        match self {
            Input::File(f) => container::open(f, &Settings::default()),
            Input::Pipe(b) => container::from_reader(Box::new(Cursor::new(b.clone())), &Settings::default()),
        }
    }
}

/// Answers by their question, and whether the state is sound.
#[derive(Default)]
pub struct Look {
    pub answers: Vec<(&'static str, String)>,
    pub sound: bool,
    /// What is incomplete although it may be sound.
    pub incomplete: Vec<String>,
}

fn words(e: &Error) -> String {
    format!("{:?} {} {:?} {:?} {:?}", e.kind(), e.message(), e.stream_offset(), e.path(), e.hint_text())
}

/// Asks everything; `pages` for the content of memory too.
pub fn look(input: &Input<'_>, pages: bool) -> Look {
    let mut out = Look::default();
    let mut sink = Tee { stats: PageStats::new(&Budget::default()), pages, sum: 0, count: 0 };
    let full = input.open().and_then(|c| OpenOptions::new().pages(&mut sink).keep_memory(1 << 30).container(c));
    match full {
        Err(e) => out.answers.push(("open", words(&e))),
        Ok(image) => {
            state(&image, &mut out, ["sections", "document", "findings", "end", "remarks"]);
            if pages {
                out.answers.push(("pages", format!("{} {:#x}", sink.count, sink.sum)));
            }
            check(&image, &sink.stats, &mut out);
        }
    }
    match input.open().and_then(|c| OpenOptions::new().container(c)) {
        Err(e) => out.answers.push(("open for devices", words(&e))),
        Ok(image) => {
            let names =
                ["devices: sections", "devices: document", "devices: findings", "devices: end", "devices: remarks"];
            state(&image, &mut out, names);
        }
    }
    out
}

fn state(image: &SaveImage, out: &mut Look, names: [&'static str; 5]) {
    let walk = image.walk();
    let sections: Vec<_> = image.device_sections().map(|s| (&s.header, s.payload, s.device, s.end, s.footer)).collect();
    let document = StateDocument::new(image, None);
    let mut text = serde_json::to_string(&document).unwrap_or_else(|e| format!("no document: {e}"));
    // the text of the description is read once more
    text += &match image.description() {
        Ok(d) => serde_json::to_string(&d).unwrap_or_else(|e| format!("no description: {e}")),
        Err(e) => words(&e),
    };
    let found: Vec<String> = walk.found.list().iter().map(|d| format!("{d:?}")).collect();
    let faults = image.container().faults();
    // a fault counts where it took something away
    let cut = walk.is_cut();
    out.incomplete.extend(document.problems());
    out.incomplete.extend(walk.stopped.iter().map(words));
    if walk.found.has_errors() {
        out.incomplete.extend(walk.found.list().iter().map(|d| format!("{d:?}")));
    }
    if cut {
        out.incomplete.push("no end".to_owned());
    }
    let mut end = format!("{:?} {:?} {:?} {:?}", walk.stopped.as_ref().map(words), walk.eof, walk.trailing, walk.gaps);
    if image.container().source.size().is_some() {
        end += &format!(" size {}", image.size());
    }
    let answers =
        [format!("{sections:?}"), text, found.join("\n"), end, format!("{:?} {faults:?}", image.container().remarks())];
    out.answers.extend(names.into_iter().zip(answers));
}

fn check(image: &SaveImage, stats: &PageStats, out: &mut Look) {
    match inspect::check(image, stats) {
        Err(e) => out.answers.push(("check", words(&e))),
        Ok(c) => {
            out.sound = c.sound;
            let found: Vec<String> = c.findings.list().iter().map(|d| format!("{d:?}")).collect();
            let numbers = (c.sections, c.device_sections, c.described_sections, c.covered_device_bytes, c.values);
            out.answers.push(("check", format!("{} {numbers:?} {:?} {}", c.sound, c.undecoded, found.join("\n"))));
        }
    }
}

/// Counts pages and sums up what is in them.
struct Tee {
    stats: PageStats,
    pages: bool,
    sum: u64,
    count: u64,
}

impl Tee {
    fn add(&mut self, block: usize, offset: u64, kind: u8, bytes: &[u8]) {
        let mut h = self.sum ^ offset ^ (block as u64) << 48 ^ u64::from(kind) << 40;
        for c in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..c.len()].copy_from_slice(c);
            h = (h ^ u64::from_le_bytes(word)).wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(23);
        }
        (self.sum, self.count) = (h.wrapping_mul(0x9e37_79b9_7f4a_7c15), self.count + 1);
    }
}

impl PageSink for Tee {
    fn page(&mut self, at: PageAt, page: Page<'_>) -> Result<()> {
        match page {
            Page::Fill(b) => self.add(at.block, at.offset.0, b, &[]),
            Page::Normal(b) | Page::Xbzrle(b) | Page::Compressed(b) => self.add(at.block, at.offset.0, 1, b),
            _ => {}
        }
        self.stats.page(at, page)
    }

    fn blocks(&mut self, list: &BlockList<'_>) -> Result<()> {
        self.stats.blocks(list)
    }

    fn mapped(&mut self, run: MappedRun, source: &dyn Source) -> Result<()> {
        if self.pages {
            let mut bytes = vec![0; run.bytes.min(4 << 20) as usize];
            let n = source.read_full(run.at.0, &mut bytes).map_err(|e| Error::io("cannot read pages", e))?;
            self.add(run.block, run.offset.0, 2, &bytes[..n]);
        }
        self.stats.mapped(run, source)
    }

    fn discard(&mut self, block: usize, start: RamOffset, bytes: u64) -> Result<()> {
        self.stats.discard(block, start, bytes)
    }

    fn wants(&self, at: PageAt, form: Form) -> bool {
        self.pages || self.stats.wants(at, form)
    }
}
