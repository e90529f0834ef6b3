//! How far the work is: a bar for people, JSON lines for machines.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::say;
use super::shared::ProgressHow;
use crate::container::{Container, PackedFile};
use crate::wire::Source;

/// Work that takes less time shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Shared {
    at: AtomicU64,
    size: AtomicU64,
    done: AtomicBool,
    /// Why the work failed.
    failed: OnceLock<String>,
}

/// Shows how much of a source has been read.
pub struct Progress {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show progress.
    pub fn start(how: ProgressHow) -> Self {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = match how {
            ProgressHow::None => None,
            ProgressHow::Auto if !say::stderr_is_terminal() => None,
            ProgressHow::Auto => start(move || bar(&seen)),
            ProgressHow::Json => start(move || lines(&seen)),
        };
        Self { shared, thread }
    }

    /// Watches a container.
    pub fn watch(&self, c: Container) -> Container {
        if self.thread.is_none() {
            return c;
        }
        let size = c.packed.as_ref().map_or_else(|| c.source.size().unwrap_or(0), PackedFile::size);
        self.shared.size.store(size, Ordering::Relaxed);
        let source = Arc::new(Watched { inner: c.source, packed: c.packed.clone(), shared: Arc::clone(&self.shared) });
        Container { source, ..c }
    }

    /// Begins a part of the work that has so many bytes.
    pub fn begin(&self, total: u64) {
        self.shared.at.store(0, Ordering::Relaxed);
        self.shared.size.store(total, Ordering::Relaxed);
    }

    /// Says how many bytes of the part are done.
    pub fn advance(&self, done: u64) {
        let most = self.shared.size.load(Ordering::Relaxed);
        self.shared.at.store(done.min(most), Ordering::Relaxed);
    }

    /// Stops after a failure.
    pub fn fail(self, why: String) {
        let _ = self.shared.failed.set(why);
        self.finish();
    }

    /// Stops, and waits for the last line.
    pub fn finish(self) {
        self.shared.done.store(true, Ordering::Relaxed);
        if let Some(t) = self.thread {
            t.thread().unpark();
            let _ = t.join();
        }
    }
}

/// Starts the thread that shows progress. If none can be started, no progress is shown.
fn start(show: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    std::thread::Builder::new().name("progress".to_owned()).spawn(show).ok()
}

fn bar(s: &Shared) {
    let begun = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    while !s.done.load(Ordering::Relaxed) {
        std::thread::park_timeout(Duration::from_millis(100));
        if begun.elapsed() < PATIENCE {
            continue;
        }
        let size = s.size.load(Ordering::Relaxed);
        let b = bar.get_or_insert_with(|| {
            let template = if size > 0 {
                "{bar:30} {bytes:>10} of {total_bytes}  {bytes_per_sec:>12}  {eta} left"
            } else {
                "{spinner} {bytes:>10}  {bytes_per_sec:>12}"
            };
            let b = if size > 0 { ProgressBar::new(size) } else { ProgressBar::new_spinner() };
            if let Ok(style) = ProgressStyle::with_template(template) {
                b.set_style(style);
            }
            b
        });
        b.set_position(s.at.load(Ordering::Relaxed));
    }
    if let Some(b) = bar {
        b.finish_and_clear();
    }
}

fn lines(s: &Shared) {
    let line = |done: bool| {
        let total = Some(s.size.load(Ordering::Relaxed)).filter(|n| *n > 0);
        let bytes = s.at.load(Ordering::Relaxed);
        let error = s.failed.get().filter(|_| done);
        let status = match (done, error) {
            (false, _) => "active",
            (true, None) => "completed",
            (true, Some(_)) => "failed",
        };
        let mut line = serde_json::json!({
            "status": status, "completed": bytes, "total": total, "bytes": bytes, "total_bytes": total, "done": done,
        });
        if let (Some(why), Some(object)) = (error, line.as_object_mut()) {
            object.insert("error".to_owned(), why.as_str().into());
        }
        say::line(&line.to_string());
    };
    while !s.done.load(Ordering::Relaxed) {
        std::thread::park_timeout(PATIENCE);
        line(s.done.load(Ordering::Relaxed));
    }
}

struct Watched {
    inner: Arc<dyn Source>,
    packed: Option<PackedFile>,
    shared: Arc<Shared>,
}

impl Source for Watched {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read_at(offset, buf)?;
        let at = self.packed.as_ref().map_or_else(|| offset.saturating_add(n as u64), PackedFile::bytes_read);
        self.shared.at.fetch_max(at, Ordering::Relaxed);
        Ok(n)
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn release(&self, offset: u64) {
        self.inner.release(offset);
    }

    fn is_transient(&self) -> bool {
        self.inner.is_transient()
    }

    fn first_kept(&self) -> u64 {
        self.inner.first_kept()
    }

    fn as_file(&self) -> Option<(&File, u64)> {
        self.inner.as_file()
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }

    fn exhaust(&self) -> io::Result<u64> {
        self.inner.exhaust()
    }

    fn drain(&self, from: u64) -> io::Result<u64> {
        self.inner.drain(from)
    }
}
