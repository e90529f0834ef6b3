//! How a saved state is opened.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::readers::{CountNothing, Readers, judge_guess};
use super::{SaveImage, with_file_offset};
use crate::budget::Budget;
use crate::container::{self, Container, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::PASS_OVER;
use crate::memory::{PageIndex, Spool};
use crate::ram::{Both, PageSink};
use crate::schema::Schema;
use crate::stream::{self, Depth, WalkOptions};

/// How a saved state is opened. Without any option: the devices are found, and guest memory is not read.
#[derive(Default)]
#[must_use]
pub struct OpenOptions<'a> {
    full: bool,
    pass_over: Option<u64>,
    external_schema: Option<Arc<Schema>>,
    settings: Settings,
    pages: Option<&'a mut dyn PageSink>,
    keep_memory: Option<u64>,
}

impl<'a> OpenOptions<'a> {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Walks every record, rather than to find the device sections and to pass over guest memory.
    pub fn full(self, full: bool) -> Self {
        Self { full, ..self }
    }

    /// Sets how many bytes of guest memory are read rather than passed over when the walk is not full
    /// ([`crate::limits::PASS_OVER`] by default).
    pub fn pass_over(self, bytes: u64) -> Self {
        Self { pass_over: Some(bytes), ..self }
    }

    /// Supplies a description, for a stream without one.
    pub fn external_schema(self, schema: Option<Arc<Schema>>) -> Self {
        Self { external_schema: schema, ..self }
    }

    /// Sets how the wrappers are opened, all at once.
    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Chooses a snapshot of a qcow2 image by name or id. Not needed when only one has a state.
    pub fn snapshot(mut self, name: impl Into<String>) -> Self {
        self.settings.snapshot = Some(name.into());
        self
    }

    /// Returns `true` if a snapshot was chosen.
    #[must_use]
    pub fn has_snapshot(&self) -> bool {
        self.settings.snapshot.is_some()
    }

    /// Sets where the stream begins in the file, as in QEMU's `migrate file:PATH,offset=N`.
    pub fn offset(mut self, bytes: u64) -> Self {
        self.settings.offset = bytes;
        self
    }

    /// Sets the directory for temporary files.
    pub fn tmpdir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.settings.tmpdir = Some(dir.into());
        self
    }

    /// Sets how much memory the input may use. States that are opened with clones of one budget share it.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.settings.budget = budget;
        self
    }

    /// Hands each page record to a sink. The walk is then full.
    pub fn pages<'b>(self, sink: &'b mut dyn PageSink) -> OpenOptions<'b> {
        let Self { full, pass_over, external_schema, settings, pages: _, keep_memory } = self;
        OpenOptions { full, pass_over, external_schema, settings, pages: Some(sink), keep_memory }
    }

    /// Keeps the pages of a pipe, up to so many bytes, so that [`SaveImage::memory`] can read them. The walk is then full. A file
    /// is read again, and needs no pages kept; with [`OpenOptions::full`], the places of its pages are noted in the same walk.
    pub fn keep_memory(self, bytes: u64) -> Self {
        Self { keep_memory: Some(bytes), ..self }
    }

    /// Opens a file.
    ///
    /// # Errors
    /// `Io`; `NotASaveImage` and `Unsupported`, with the name of what the file is instead. All other faults are in
    /// [`SaveImage::fault`] and [`SaveImage::walk`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<SaveImage> {
        let container = container::open(path.as_ref(), &self.settings)?;
        self.container(container)
    }

    /// Opens a reader that cannot seek, such as standard input.
    ///
    /// # Errors
    /// Same as [`OpenOptions::open`].
    pub fn from_reader(self, reader: impl Read + Send + 'static) -> Result<SaveImage> {
        let container = container::from_reader(Box::new(reader), &self.settings)?;
        self.container(container)
    }

    /// Opens bytes in memory, in any wrapper that does not need a file.
    ///
    /// # Errors
    /// Same as [`OpenOptions::open`].
    pub fn from_bytes(self, bytes: Vec<u8>) -> Result<SaveImage> {
        let container = container::from_bytes(bytes, &self.settings)?;
        self.container(container)
    }

    /// Opens a container.
    ///
    /// # Errors
    /// When not even the stream's header can be read.
    pub fn container(self, container: Container) -> Result<SaveImage> {
        let Self { full, external_schema, pages, pass_over, settings, keep_memory } = self;
        let pass_over = pass_over.unwrap_or(PASS_OVER);
        let budget = &container.budget;
        let mut kept = match keep_memory {
            Some(n) if container.source.is_transient() => {
                Some(PageIndex::spooling(budget, Spool::new(settings.tmpdir.as_deref(), n)))
            }
            Some(_) if full => Some(PageIndex::new(budget)),
            _ => None,
        };
        let depth = if full || pages.is_some() || kept.is_some() { Depth::Full } else { Depth::Devices { pass_over } };
        let how = WalkOptions { depth, external_schema: external_schema.as_deref(), budget: container.budget.clone() };
        let mut nothing = CountNothing;
        let pages = pages.unwrap_or(&mut nothing);
        let mut both;
        let sink: &mut dyn PageSink = match &mut kept {
            Some(kept) => {
                both = Both(pages, kept);
                &mut both
            }
            None => pages,
        };
        let mut readers = Readers::new(&container, sink);
        let mut walk = stream::walk(container.source.as_ref(), &how, &mut readers);
        let guessed = readers.guessed_page_size.take();
        let (live, ram) = readers.finish();
        let mut ram = ram;
        if let Some((page_size, header)) = guessed {
            judge_guess(&mut walk, ram.as_mut(), page_size, header);
        }
        if walk.header.is_none() {
            let e = walk.stopped.take();
            return Err(e.unwrap_or_else(|| Error::new(ErrorKind::NotASaveImage, "no stream header")));
        }
        if let Some(why) = container.source.trouble()
            && walk.stopped.as_ref().is_none_or(|e| e.kind() != ErrorKind::Io)
        {
            // a reader may have taken a failed read for the end, or done without what it wanted
            walk.stopped = Some(Error::new(ErrorKind::Io, why));
        }
        walk.stopped = walk.stopped.map(|e| with_file_offset(e, &container));
        let image = SaveImage { container, walk, external_schema, live, ram, memory: OnceLock::new() };
        if let Some(index) = kept.filter(|k| !k.is_truncated()) {
            match image.place_memory(index) {
                // a state without memory has no other fault
                Err(e) if e.kind() != ErrorKind::Missing => return Err(e),
                _ => {}
            }
        }
        Ok(image)
    }
}
