//! What a file is, by its content, and how its stream is reached.
//!
//! A raw stream is read in place. A libvirt save image is a header in front of one; a qcow2 snapshot maps one; a
//! codec around any of them turns it into a pipe, which is read once. File names are not considered.

mod codec;
mod counted;
mod libvirt;
mod lzop;
mod qcow2;
mod signature;
mod xml;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use codec::{Codec, Fault};
use counted::Credited;
pub use counted::PackedFile;
pub use libvirt::LibvirtImage;
pub use qcow2::{Qcow2Image, Snapshot};
pub use signature::{Answer, Signature, identify};

use crate::budget::Budget;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::{FileOffset, Sure};
use crate::text::shown;
use crate::wire::{FileSource, MemorySource, PipeSource, Source};

/// Wrappers around wrappers that are opened: a codec, a libvirt image with a codec, and one more.
const MAX_LAYERS: usize = 4;

/// An input whose stream can be read.
#[derive(Clone)]
#[non_exhaustive]
pub struct Container {
    /// What wraps the stream, outermost first.
    pub layers: Vec<Layer>,
    /// Where the stream begins in its file: mapped-ram headers count from the file's beginning.
    pub stream_start: FileOffset,
    /// Whether offsets in the stream are offsets in the file that was given, but for `stream_start`.
    pub in_place: bool,
    /// The stream's bytes.
    pub source: Arc<dyn Source>,
    /// The memory that the input may use.
    pub budget: Budget,
    /// How much of the file has been read, when the file is packed and the stream's length is not known.
    pub packed: Option<PackedFile>,
}

/// One wrapper.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Layer {
    /// A pipe.
    Pipe,
    /// Bytes before the stream that the user said to pass over.
    Offset(u64),
    /// A codec.
    Compressed(Codec, Fault),
    /// A libvirt save image.
    Libvirt(Box<LibvirtImage>),
    /// A snapshot in a qcow2 image.
    Qcow2(Box<Qcow2Image>),
}

impl Layer {
    /// Returns its name for output.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Pipe => "pipe".to_owned(),
            Self::Offset(n) => format!("stream at offset {n:#x}"),
            Self::Compressed(codec, _) => codec.name().to_owned(),
            Self::Libvirt(i) => {
                let unfinished = if i.complete { "" } else { "unfinished " };
                format!("{unfinished}libvirt save image ({})", i.format_name())
            }
            Self::Qcow2(_) => "qcow2 snapshot".to_owned(),
        }
    }
}

/// How an input is opened.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The snapshot of a qcow2 image: its name or id.
    pub snapshot: Option<String>,
    /// Where the stream begins in the file, for a file that QEMU wrote with `file:PATH,offset=N`.
    pub offset: u64,
    /// Where temporary files go.
    pub tmpdir: Option<PathBuf>,
    /// The memory that the input may use; inputs that are opened with clones of one share it.
    pub budget: Budget,
}

impl Container {
    /// Creates a container of a bare stream.
    #[must_use]
    pub fn raw(source: Arc<dyn Source>) -> Self {
        let budget = Budget::default();
        budget.credit(source.size().unwrap_or(0));
        Self { layers: Vec::new(), stream_start: FileOffset(0), in_place: true, source, budget, packed: None }
    }

    /// Returns the names of the wrappers for output, or `raw stream`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.layers.is_empty() {
            return "raw stream".to_owned();
        }
        self.layers.iter().map(Layer::name).collect::<Vec<_>>().join(", ")
    }

    /// Returns the libvirt header, if there is one.
    #[must_use]
    pub fn libvirt(&self) -> Option<&LibvirtImage> {
        self.layers.iter().find_map(|l| if let Layer::Libvirt(i) = l { Some(&**i) } else { None })
    }

    /// Returns the qcow2 image, if there is one.
    #[must_use]
    pub fn qcow2(&self) -> Option<&Qcow2Image> {
        self.layers.iter().find_map(|l| if let Layer::Qcow2(i) = l { Some(&**i) } else { None })
    }

    /// Returns what is missing from the stream because its wrapper is damaged. Complete only after the stream has
    /// been read to its end.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut out = Vec::new();
        for l in &self.layers {
            if let Layer::Compressed(_, f) = l {
                out.extend(f.get());
            }
        }
        out
    }

    /// Returns warnings about the wrapper. That libvirt did not finish an image is not among them, but in
    /// [`LibvirtImage::complete`].
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (i, l) in self.layers.iter().enumerate() {
            match l {
                Layer::Qcow2(q) => out.extend(q.remarks.iter().cloned()),
                Layer::Libvirt(image) => {
                    let found = self.layers.get(i.plus(1)).and_then(|l| match l {
                        Layer::Compressed(c, _) => Some(*c),
                        _ => None,
                    });
                    if image.codec() != found || image.format_name() == "unknown" {
                        let found = found.map_or("raw", Codec::name);
                        let says = match image.format_name() {
                            "unknown" => format!("unknown ({})", image.format),
                            name => name.to_owned(),
                        };
                        out.push(format!("the libvirt header gives the format {says}, but the body is {found}"));
                    }
                }
                _ => {}
            }
        }
        out
    }
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Container({}, stream at {})", self.name(), self.stream_start)
    }
}

/// Opens a file.
///
/// # Errors
/// `Io`; `NotASaveImage` and `Unsupported`, naming the file's actual type.
pub fn open(path: &Path, settings: &Settings) -> Result<Container> {
    let shown = shown(path);
    let file = File::open(path).map_err(|e| Error::io(format!("cannot open {shown}"), e))?;
    let meta = file.metadata().map_err(|e| Error::io(format!("cannot stat {shown}"), e))?;
    if meta.is_dir() {
        return Err(Error::new(ErrorKind::NotASaveImage, format!("{shown}: expected a file, found a directory")));
    }
    if !is_seekable(&meta) {
        return from_reader(Box::new(file), settings);
    }
    settings.budget.credit(meta.len());
    let way = Way { settings, offset: settings.offset, layers: Vec::new(), packed: None };
    way.seekable(file, 0, true)
}

/// Opens a reader that cannot seek.
///
/// # Errors
/// Same as [`open`].
pub fn from_reader(reader: Box<dyn Read + Send>, settings: &Settings) -> Result<Container> {
    let reader = Box::new(Credited { inner: reader, budget: settings.budget.clone() });
    let way = Way { settings, offset: settings.offset, layers: vec![Layer::Pipe], packed: None };
    way.pipe(reader, 0)
}

/// Opens a file, or any reader, for what it holds once it is unpacked: for inputs that are no streams.
///
/// # Errors
/// `Io`, and `LimitExceeded` when more codecs are around each other than are opened.
pub fn unpacked(mut reader: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let failed = |e| Error::io("cannot read the input", e);
    for _ in 0..MAX_LAYERS {
        let mut head = vec![0; signature::HEAD];
        let mut n = 0;
        while let Some(rest) = head.get_mut(n..).filter(|r| !r.is_empty()) {
            match reader.read(rest) {
                Ok(0) => break,
                Ok(k) => n = n.plus(k),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(e)),
            }
        }
        head.truncate(n);
        let codec = Codec::identify(&head);
        reader = Box::new(io::Cursor::new(head).chain(reader));
        let Some(codec) = codec else { return Ok(reader) };
        reader = codec::unpack(codec, reader, &Fault::default()).map_err(failed)?;
    }
    Err(Error::new(ErrorKind::LimitExceeded, format!("more than {MAX_LAYERS} wrappers around each other")))
}

/// Opens bytes in memory. They are copied to a temporary file if they are a qcow2 image.
///
/// # Errors
/// As [`open`].
pub fn from_bytes(bytes: Vec<u8>, settings: &Settings) -> Result<Container> {
    let head = bytes.get(..bytes.len().min(signature::HEAD)).unwrap_or_default();
    if settings.offset == 0 && signature::must_be_stream(head).is_ok() {
        settings.budget.credit(bytes.len() as u64);
        let budget = settings.budget.clone();
        return Ok(Container { budget, ..Container::raw(Arc::new(MemorySource::new(bytes))) });
    }
    from_reader(Box::new(io::Cursor::new(bytes)), settings)
}

fn head_of(source: &dyn Source) -> Result<Vec<u8>> {
    let mut head = vec![0; signature::HEAD];
    let n = source.read_full(0, &mut head).map_err(|e| Error::io("cannot read the input", e))?;
    head.truncate(n);
    Ok(head)
}

/// The way inwards, wrapper by wrapper.
struct Way<'a> {
    settings: &'a Settings,
    /// Bytes that the user asked to skip and that have not been skipped yet, counted after the codecs around them.
    offset: u64,
    layers: Vec<Layer>,
    packed: Option<PackedFile>,
}

impl Way<'_> {
    fn too_deep(&self) -> Result<()> {
        if self.layers.len() > MAX_LAYERS {
            let what = format!("more than {MAX_LAYERS} nested wrappers");
            return Err(Error::new(ErrorKind::LimitExceeded, what));
        }
        Ok(())
    }

    fn pipe_source(&self, reader: Box<dyn Read + Send>) -> PipeSource {
        PipeSource::new(reader).with_tmpdir(self.settings.tmpdir.clone())
    }

    /// Continues in a file; the bytes from `base` on are still to be opened.
    fn seekable(mut self, mut file: File, base: u64, in_place: bool) -> Result<Container> {
        self.too_deep()?;
        let failed = |e| Error::io("cannot read the input", e);
        let source = FileSource::new(file.try_clone().map_err(failed)?, base).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidInput => Error::new(ErrorKind::Truncated, format!("the file ends before {base:#x}")),
            _ => failed(e),
        })?;
        let head = head_of(&source)?;
        if let Some(codec) = Codec::identify(&head) {
            file.seek(io::SeekFrom::Start(base)).map_err(failed)?;
            let packed = self.packed.insert(PackedFile::new(source.size().unwrap_or(0)));
            let input = Box::new(packed.counting(file));
            return self.packed(codec, input);
        }
        if self.offset > 0 {
            let n = std::mem::take(&mut self.offset);
            self.layers.push(Layer::Offset(n));
            return self.seekable(file, base.plus(n), in_place);
        }
        if libvirt::is_libvirt(&head) {
            let image = libvirt::read(&source)?;
            let body = base.plus(image.body);
            self.layers.push(Layer::Libvirt(Box::new(image)));
            return self.seekable(file, body, in_place);
        }
        if qcow2::is_qcow2(&head) {
            let (image, source) = qcow2::open(source, self.settings.snapshot.as_deref())?;
            self.layers.push(Layer::Qcow2(Box::new(image)));
            self.must_be_stream(&head_of(source.as_ref())?, source.as_ref())?;
            return Ok(Container {
                layers: self.layers,
                stream_start: FileOffset(0),
                in_place: false,
                source,
                budget: self.settings.budget.clone(),
                packed: self.packed,
            });
        }
        self.must_be_stream(&head, &source)?;
        let (source, budget) = (Arc::new(source), self.settings.budget.clone());
        let (layers, packed) = (self.layers, self.packed);
        Ok(Container { layers, stream_start: FileOffset(base), in_place, source, budget, packed })
    }

    fn packed(mut self, codec: Codec, input: Box<dyn Read + Send>) -> Result<Container> {
        let fault = Fault::default();
        let unpacked = codec::unpack(codec, input, &fault).map_err(|e| match e.kind() {
            io::ErrorKind::Unsupported => Error::new(ErrorKind::Unsupported, e.to_string()),
            _ => Error::io("cannot unpack the input", e),
        })?;
        self.layers.push(Layer::Compressed(codec, fault));
        self.pipe(unpacked, 0)
    }

    /// Continues in a reader positioned `base` bytes after the start of its file.
    fn pipe(mut self, reader: Box<dyn Read + Send>, base: u64) -> Result<Container> {
        self.too_deep()?;
        let source = self.pipe_source(reader);
        let head = head_of(&source)?;
        if let Some(codec) = Codec::identify(&head) {
            return self.packed(codec, Box::new(Rest { source, at: 0 }));
        }
        if self.offset > 0 {
            let n = std::mem::take(&mut self.offset);
            self.layers.push(Layer::Offset(n));
            return self.pipe(Box::new(Rest { source, at: n }), base.plus(n));
        }
        if libvirt::is_libvirt(&head) {
            let image = libvirt::read(&source)?;
            let body = image.body;
            self.layers.push(Layer::Libvirt(Box::new(image)));
            return self.pipe(Box::new(Rest { source, at: body }), base.plus(body));
        }
        if qcow2::is_qcow2(&head) {
            return self.spool(source);
        }
        self.must_be_stream(&head, &source)?;
        let (source, budget) = (Arc::new(source), self.settings.budget.clone());
        let (layers, packed) = (self.layers, self.packed);
        Ok(Container { layers, stream_start: FileOffset(base), in_place: false, source, budget, packed })
    }

    /// A qcow2 image needs seeking, so it is copied to an unnamed temporary file, which disappears with the process.
    fn spool(mut self, source: PipeSource) -> Result<Container> {
        let failed = |e| Error::io("cannot copy the input to a temporary file", e);
        let mut file = match &self.settings.tmpdir {
            Some(d) => tempfile::tempfile_in(d),
            None => tempfile::tempfile(),
        }
        .map_err(failed)?;
        io::copy(&mut Rest { source, at: 0 }, &mut file).map_err(failed)?;
        self.packed = None;
        self.seekable(file, 0, false)
    }

    /// Fails when the data is not a stream, naming its type and possible causes.
    fn must_be_stream(&self, head: &[u8], source: &dyn Source) -> Result<()> {
        let Err(e) = signature::must_be_stream(head) else { return Ok(()) };
        let e = match self.layers.last() {
            Some(l @ (Layer::Libvirt(_) | Layer::Offset(_) | Layer::Compressed(..))) if head.is_empty() => {
                Error::new(ErrorKind::Truncated, format!("{}: expected a migration stream, found the end", l.name()))
            }
            _ if head.is_empty() || signature::identify(head).is_some() => e,
            _ => {
                // --offset counts after codecs
                let plain = |l: &Layer| matches!(l, Layer::Pipe | Layer::Compressed(..));
                signature::seek_stream(e, head, source, self.layers.iter().all(plain))
            }
        };
        // a codec's output may be empty because its data is damaged
        let faults = self.layers.iter().filter_map(|l| if let Layer::Compressed(_, f) = l { f.get() } else { None });
        Err(faults.fold(e, |e, f| {
            let told = Error::new(e.kind(), format!("{}: {f}", e.message()));
            match e.remedy() {
                Some(r) => told.hint(r.clone()),
                None => told,
            }
        }))
    }
}

/// Reads the rest of a pipe from a position, releasing the bytes already read.
struct Rest {
    source: PipeSource,
    at: u64,
}

impl Read for Rest {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read_at(self.at, buf)?;
        self.at = self.at.plus(n as u64);
        self.source.release(self.at);
        Ok(n)
    }
}

/// Returns whether a file can be read from any place, and again.
#[cfg(unix)]
pub fn is_seekable(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let t = meta.file_type();
    t.is_file() || t.is_block_device()
}

/// Returns whether a file can be read from any place, and again.
#[cfg(not(unix))]
pub fn is_seekable(meta: &std::fs::Metadata) -> bool {
    meta.is_file()
}
