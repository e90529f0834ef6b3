//! What a file is, by its content, and how its stream is reached.
//!
//! A raw stream is read in place. A libvirt save image is a header in front of one; a qcow2 snapshot maps one; a codec
//! around any of them turns it into a pipe, which is read once. Names of files say nothing.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod codec;
mod libvirt;
mod lzop;
mod qcow2;
mod signature;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use codec::{Codec, Fault};
pub use libvirt::LibvirtImage;
pub use qcow2::{Qcow2Image, Snapshot};
pub use signature::{Answer, Signature, identify};

use crate::error::{Error, ErrorKind, Result};
use crate::offset::FileOffset;
use crate::wire::{FileSource, PipeSource, Source};

/// Wrappers around wrappers that are opened: a codec, a libvirt image with a codec, and one more.
const MAX_LAYERS: usize = 4;

/// An input whose stream can be read.
#[derive(Clone)]
pub struct Container {
    /// What wraps the stream, outermost first.
    pub layers: Vec<Layer>,
    /// Where the stream begins in its file: mapped-ram headers count from the file's beginning.
    pub stream_start: FileOffset,
    /// Whether offsets in the stream are offsets in the file that was given, but for `stream_start`.
    pub in_place: bool,
    /// The stream's bytes.
    pub source: Arc<dyn Source>,
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
    /// Returns what output calls it.
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
}

impl Container {
    /// Returns what output calls the wrappers: `raw stream`, or their names.
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

    /// Returns what is missing from the stream because its wrapper is damaged or unfinished. Whole only once the stream has
    /// been read to its end.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut out = Vec::new();
        for l in &self.layers {
            match l {
                Layer::Compressed(_, f) => out.extend(f.get()),
                Layer::Libvirt(i) if !i.complete => {
                    out.push("the save image was never finished: libvirt marks it as partial".to_owned());
                }
                _ => {}
            }
        }
        out
    }

    /// Returns what is odd about the wrapper, and hides nothing.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (i, l) in self.layers.iter().enumerate() {
            match l {
                Layer::Qcow2(q) => out.extend(q.remarks.iter().cloned()),
                Layer::Libvirt(image) => {
                    let found = self.layers.get(i.saturating_add(1)).and_then(|l| match l {
                        Layer::Compressed(c, _) => Some(*c),
                        _ => None,
                    });
                    if image.codec() != found {
                        let found = found.map_or("raw", Codec::name);
                        out.push(format!("the libvirt header says {}, the body is {found}", image.format_name()));
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

/// Opens a file, or standard input for the path `-`.
///
/// # Errors
/// `Io`; `NotASaveImage` and `Unsupported`, with the name of what the file is instead.
pub fn open(path: &Path, settings: &Settings) -> Result<Container> {
    if path.as_os_str() == "-" {
        return from_reader(Box::new(io::stdin()), settings);
    }
    let shown = path.display();
    let file = File::open(path).map_err(|e| Error::io(format!("cannot open {shown}"), e))?;
    let meta = file.metadata().map_err(|e| Error::io(format!("cannot look at {shown}"), e))?;
    if meta.is_dir() {
        return Err(Error::new(ErrorKind::NotASaveImage, format!("{shown}: expected a file, found a directory")));
    }
    if !is_seekable(&meta) {
        return from_reader(Box::new(file), settings);
    }
    let mut layers = Vec::new();
    if settings.offset > 0 {
        layers.push(Layer::Offset(settings.offset));
    }
    open_seekable(file, settings.offset, settings, layers, true)
}

/// Opens a reader that cannot seek.
///
/// # Errors
/// As [`open`].
pub fn from_reader(reader: Box<dyn Read + Send>, settings: &Settings) -> Result<Container> {
    open_pipe(reader, settings, vec![Layer::Pipe])
}

fn head_of(source: &dyn Source) -> Result<Vec<u8>> {
    let mut head = vec![0; signature::HEAD];
    let n = source.read_full(0, &mut head).map_err(|e| Error::io("cannot read the input", e))?;
    head.truncate(n);
    Ok(head)
}

fn too_deep(layers: &[Layer]) -> Result<()> {
    if layers.len() > MAX_LAYERS {
        return Err(Error::new(ErrorKind::LimitExceeded, format!("more than {MAX_LAYERS} wrappers around each other")));
    }
    Ok(())
}

fn open_seekable(file: File, base: u64, s: &Settings, mut layers: Vec<Layer>, in_place: bool) -> Result<Container> {
    too_deep(&layers)?;
    let again = |f: &File| f.try_clone().map_err(|e| Error::io("cannot read the input", e));
    let source = FileSource::new(again(&file)?, base).map_err(|e| match e.kind() {
        io::ErrorKind::InvalidInput => Error::new(ErrorKind::Truncated, format!("the file ends before {base:#x}")),
        _ => Error::io("cannot read the input", e),
    })?;
    let head = head_of(&source)?;
    if libvirt::is_libvirt(&head) {
        let image = libvirt::read(&source)?;
        let body = base.saturating_add(image.body);
        layers.push(Layer::Libvirt(Box::new(image)));
        return open_seekable(file, body, s, layers, in_place);
    }
    if let Some(codec) = Codec::identify(&head) {
        let mut file = file;
        file.seek(io::SeekFrom::Start(base)).map_err(|e| Error::io("cannot read the input", e))?;
        return open_packed(codec, Box::new(file), s, layers);
    }
    if head.starts_with(b"QFI\xfb") && base == 0 {
        let (image, source) = qcow2::open(file, s.snapshot.as_deref())?;
        layers.push(Layer::Qcow2(Box::new(image)));
        signature::must_be_stream(&head_of(source.as_ref())?)?;
        return Ok(Container { layers, stream_start: FileOffset(0), in_place: false, source });
    }
    signature::must_be_stream(&head)?;
    Ok(Container { layers, stream_start: FileOffset(base), in_place, source: Arc::new(source) })
}

fn open_packed(codec: Codec, input: Box<dyn Read + Send>, s: &Settings, mut layers: Vec<Layer>) -> Result<Container> {
    let fault = Fault::default();
    let unpacked = codec::unpack(codec, input, &fault).map_err(|e| Error::io("cannot unpack the input", e))?;
    layers.push(Layer::Compressed(codec, fault));
    open_pipe(unpacked, s, layers)
}

fn open_pipe(reader: Box<dyn Read + Send>, s: &Settings, mut layers: Vec<Layer>) -> Result<Container> {
    too_deep(&layers)?;
    let source = PipeSource::new(reader);
    let head = head_of(&source)?;
    let mut start = 0;
    if libvirt::is_libvirt(&head) {
        let image = libvirt::read(&source)?;
        start = image.body;
        layers.push(Layer::Libvirt(Box::new(image)));
    } else if !layers.iter().any(|l| matches!(l, Layer::Libvirt(_))) && s.offset > 0 {
        start = s.offset;
        layers.push(Layer::Offset(start));
    }
    if start > 0 || Codec::identify(&head).is_some() {
        // what follows may be packed in turn: go on with a reader from there
        let rest = Box::new(Rest { source, at: start });
        if start == 0
            && let Some(codec) = Codec::identify(&head)
        {
            return open_packed(codec, rest, s, layers);
        }
        let inner = PipeSource::new(rest);
        let head = head_of(&inner)?;
        if Codec::identify(&head).is_some() {
            return open_pipe(Box::new(Rest { source: inner, at: 0 }), s, layers);
        }
        signature::must_be_stream(&head).map_err(|e| explain(e, &layers))?;
        return Ok(Container { layers, stream_start: FileOffset(start), in_place: false, source: Arc::new(inner) });
    }
    if head.starts_with(b"QFI\xfb") {
        return spool(source, s, layers);
    }
    signature::must_be_stream(&head).map_err(|e| explain(e, &layers))?;
    Ok(Container { layers, stream_start: FileOffset(0), in_place: false, source: Arc::new(source) })
}

/// What came out of a codec may be nothing because the codec's data is damaged.
fn explain(e: Error, layers: &[Layer]) -> Error {
    let fault = layers.iter().find_map(|l| if let Layer::Compressed(_, f) = l { f.get() } else { None });
    match fault {
        Some(f) => Error::new(e.kind(), format!("{}: {f}", e.message())),
        None => e,
    }
}

/// A qcow2 image needs seeking: it is copied to a temporary file, which has no name and goes with the process.
fn spool(source: PipeSource, s: &Settings, layers: Vec<Layer>) -> Result<Container> {
    let failed = |e| Error::io("cannot copy the input to a temporary file", e);
    let mut file = match &s.tmpdir {
        Some(d) => tempfile::tempfile_in(d),
        None => tempfile::tempfile(),
    }
    .map_err(failed)?;
    io::copy(&mut Rest { source, at: 0 }, &mut file).map_err(failed)?;
    open_seekable(file, 0, s, layers, false)
}

/// Reads a pipe onwards from a position, letting go of what has been read.
struct Rest {
    source: PipeSource,
    at: u64,
}

impl Read for Rest {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read_at(self.at, buf)?;
        self.at = self.at.saturating_add(n as u64);
        self.source.release(self.at);
        Ok(n)
    }
}

#[cfg(unix)]
fn is_seekable(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let t = meta.file_type();
    t.is_file() || t.is_block_device()
}

#[cfg(not(unix))]
fn is_seekable(meta: &std::fs::Metadata) -> bool {
    meta.is_file()
}
