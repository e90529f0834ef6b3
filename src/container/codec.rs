//! Compressed inputs: one of the codecs that libvirt and `migrate "exec:gzip …"` use, unpacked in a second thread.
//!
//! The output is a pipe: read once, forwards. Consecutive members or frames are one input.

#[cfg(feature = "xz")]
use std::io::BufRead;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "xz")]
use liblzma::stream::{Action, CONCATENATED, Status, Stream};

use super::counted::PackedFile;
use super::lzop::LzopReader;
use crate::offset::Sure;

/// The largest window of zstd data: 128 MiB, which `zstd --long` and `-19 --ultra` write and the zstd tool reads by
/// default.
#[cfg(feature = "zstd")]
const MAX_ZSTD_LOG: u32 = 27;
/// The memory that xz data may ask for. `xz -9` needs 65 MiB.
#[cfg(feature = "xz")]
const MAX_XZ_BYTES: u64 = 100 << 20;

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// gzip, RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The xz container.
    Xz,
    /// The lzop container.
    Lzop,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Codec {
    /// Every codec, with the bytes it begins with.
    pub const ALL: [(Self, &'static [u8]); 5] = [
        (Self::Gzip, &[0x1f, 0x8b]),
        (Self::Bzip2, b"BZh"),
        (Self::Xz, &[0xfd, b'7', b'z', b'X', b'Z', 0]),
        (Self::Lzop, &[0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a]),
        (Self::Zstd, &[0x28, 0xb5, 0x2f, 0xfd]),
    ];

    /// Tells the codec by the first bytes. A zstd file may begin with a skippable frame, `50` to `5f` `2a 4d 18`.
    #[must_use]
    pub fn identify(head: &[u8]) -> Option<Self> {
        let skippable = matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
        let by_magic = Self::ALL.iter().find(|(_, magic)| head.starts_with(magic)).map(|(c, _)| *c);
        by_magic.or(skippable.then_some(Self::Zstd))
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Lzop => "lzop",
            Self::Zstd => "zstd",
        }
    }

    /// Returns how many bytes of output are believed after so many bytes of input.
    ///
    /// A state is never this compressible: QEMU sends a page of zeros as 9 bytes. A few KiB of each codec unpack to gigabytes, though, and
    /// would cost minutes of CPU time. The slow codecs are believed less.
    const fn believed(self, input: u64) -> u64 {
        let (base, ratio) = match self {
            Self::Gzip | Self::Lzop | Self::Zstd => (2 << 30, 100),
            Self::Bzip2 | Self::Xz => (1 << 30, 30),
        };
        input.saturating_mul(ratio).saturating_add(base)
    }

    fn decoder(self, input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
            #[cfg(feature = "bzip2")]
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(input)),
            #[cfg(feature = "xz")]
            Self::Xz => {
                let s = Stream::new_stream_decoder(MAX_XZ_BYTES, CONCATENATED).map_err(io::Error::other)?;
                Box::new(XzReader { input: io::BufReader::new(input), stream: s, failed: None })
            }
            Self::Lzop => Box::new(LzopReader::new(input)),
            #[cfg(feature = "zstd")]
            Self::Zstd => {
                let mut d = zstd::Decoder::new(input)?;
                // the window is held in memory; `zstd --long=31` needs 2 GiB
                d.window_log_max(MAX_ZSTD_LOG)?;
                Box::new(d)
            }
            #[cfg(not(all(feature = "bzip2", feature = "xz", feature = "zstd")))]
            other => {
                let what = format!("this build cannot unpack {0}: it lacks the feature `{0}`", other.name());
                return Err(io::Error::new(io::ErrorKind::Unsupported, what));
            }
        })
    }
}

#[cfg(feature = "xz")]
/// Unpacks xz. Data before damaged data, or before garbage after the end, is returned before the error.
struct XzReader {
    input: io::BufReader<Box<dyn Read + Send>>,
    stream: Stream,
    failed: Option<io::Error>,
}

#[cfg(feature = "xz")]
impl Read for XzReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(e) = self.failed.take() {
                return Err(e);
            }
            let input = self.input.fill_buf()?;
            let ended = input.is_empty();
            let (taken, given) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.process(input, buf, if ended { Action::Finish } else { Action::Run });
            let taken = self.stream.total_in().minus(taken);
            let given = usize::try_from(self.stream.total_out().minus(given)).unwrap_or(usize::MAX);
            self.input.consume(usize::try_from(taken).unwrap_or(usize::MAX));
            let done = matches!(status, Ok(Status::StreamEnd));
            if let Err(e) = status {
                self.failed = Some(e.into());
            } else if ended && given == 0 && !done {
                self.failed = Some(io::ErrorKind::UnexpectedEof.into());
            }
            if given > 0 || done || buf.is_empty() {
                return Ok(given);
            }
        }
    }
}

/// The error of the unpacking, if any; shared with the thread that unpacks.
#[derive(Clone, Debug, Default)]
pub struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    /// Returns the error, if there was one.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }
}

/// Bytes that are handed over at a time, and how many such pieces may wait.
const PIECE: usize = 256 << 10;
const QUEUE: usize = 8;

/// Unpacks in a separate thread, or on demand if no thread can be started. Damaged data ends the output early, and
/// `fault` then has the reason; an input that cannot be read is also an error of the output.
pub(super) fn unpack(codec: Codec, input: Box<dyn Read + Send>, fault: &Fault) -> io::Result<Box<dyn Read + Send>> {
    let taken = PackedFile::new(0);
    let decoder = codec.decoder(Box::new(taken.counting(input)))?;
    let decoding = Decoding { codec, decoder, fault: fault.clone(), given: 0, taken, end: None };
    let (to, from) = sync_channel(QUEUE);
    // a thread that cannot be started must not take the decoder with it
    let shared = Arc::new(Mutex::new(Some(decoding)));
    let theirs = Arc::clone(&shared);
    let thread = std::thread::Builder::new().name("unpack".to_owned()).spawn(move || {
        if let Some(d) = take(&theirs) {
            pump(d, &to);
        }
    });
    match thread {
        Ok(_) => Ok(Box::new(Unpacked { from, piece: Vec::new(), at: 0 })),
        Err(e) => match take(&shared) {
            Some(d) => Ok(Box::new(d)),
            None => Err(e),
        },
    }
}

fn take(shared: &Mutex<Option<Decoding>>) -> Option<Decoding> {
    shared.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A decoder at work.
struct Decoding {
    codec: Codec,
    decoder: Box<dyn Read + Send>,
    fault: Fault,
    /// Number of bytes of output.
    given: u64,
    /// The input.
    taken: PackedFile,
    /// How it ended: well, or because the input could not be read.
    end: Option<io::Result<()>>,
}

impl Read for Decoding {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        while self.end.is_none()
            && let Some(rest) = buf.get_mut(n..).filter(|r| !r.is_empty())
        {
            match self.decoder.read(rest) {
                Ok(0) => self.end = Some(Ok(())),
                Ok(k) => n = n.plus(k),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // the system's own errors are not damage
                Err(e) if e.raw_os_error().is_some() => self.end = Some(Err(e)),
                Err(e) => {
                    let at = self.given.plus(n as u64);
                    let name = self.codec.name();
                    let mut what = format!("the {name} data is truncated or damaged after {at} bytes of output: {e}");
                    if self.codec == Codec::Zstd && what.contains("memory") {
                        what += "; unpack it with `zstd -dc --long=31` and read that";
                    }
                    self.fault.set(what);
                    self.end = Some(Ok(()));
                }
            }
        }
        self.given = self.given.plus(n as u64);
        let taken = self.taken.bytes_read();
        if self.end.is_none() && self.given > self.codec.believed(taken) {
            let name = self.codec.name();
            self.fault.set(format!(
                "{taken} bytes of {name} data unpack to more than {} bytes, which no saved state does; unpack it with `{name} -dc` and read that",
                self.given
            ));
            self.end = Some(Ok(()));
        }
        match &mut self.end {
            Some(end) if n == 0 => std::mem::replace(end, Ok(())).map(|()| 0),
            _ => Ok(n),
        }
    }
}

/// Sends pieces until the end, or until the receiver is gone.
fn pump(mut decoding: Decoding, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = decoding.read(&mut piece);
        if matches!(read, Ok(0)) {
            return;
        }
        let piece = read.map(|n| {
            piece.truncate(n);
            piece
        });
        let last = piece.is_err();
        if to.send(piece).is_err() || last {
            return;
        }
    }
}

struct Unpacked {
    from: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Unpacked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.piece.len() {
            match self.from.recv() {
                Ok(p) => {
                    self.piece = p?;
                    self.at = 0;
                }
                Err(_) => return Ok(0),
            }
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at = self.at.plus(n);
        Ok(n)
    }
}

#[cfg(all(test, not(feature = "zstd")))]
mod without_codecs {
    use crate::error::ErrorKind;

    #[test]
    fn a_codec_that_was_left_out_is_named() {
        let packed = b"\x28\xb5\x2f\xfd0123456789".to_vec();
        let e = crate::container::from_bytes(packed, &crate::container::Settings::default()).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert_eq!(e.message(), "this build cannot unpack zstd: it lacks the feature `zstd`");
    }
}

#[cfg(all(test, feature = "bzip2", feature = "xz", feature = "zstd"))]
mod tests {
    use super::*;
    use std::io::Write;

    fn plain() -> Vec<u8> {
        (0..900_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect()
    }

    fn packed(codec: Codec, data: &[u8]) -> Vec<u8> {
        match codec {
            Codec::Gzip => {
                let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                e.write_all(data).unwrap();
                e.finish().unwrap()
            }
            Codec::Bzip2 => {
                let mut e = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                e.write_all(data).unwrap();
                e.finish().unwrap()
            }
            Codec::Xz => {
                let mut e = liblzma::write::XzEncoder::new(Vec::new(), 0);
                e.write_all(data).unwrap();
                e.finish().unwrap()
            }
            Codec::Zstd => zstd::encode_all(data, 1).unwrap(),
            Codec::Lzop => super::super::lzop::pack(data),
        }
    }

    fn unpacked(bytes: Vec<u8>) -> (Vec<u8>, Option<String>) {
        let codec = Codec::identify(&bytes).unwrap();
        let fault = Fault::default();
        let mut out = Vec::new();
        unpack(codec, Box::new(io::Cursor::new(bytes)), &fault).unwrap().read_to_end(&mut out).unwrap();
        (out, fault.get())
    }

    /// The same bytes for ever.
    struct Again(Vec<u8>, usize);

    impl Read for Again {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let rest = &self.0[self.1..];
            let n = rest.len().min(buf.len());
            buf[..n].copy_from_slice(&rest[..n]);
            self.1 = (self.1 + n) % self.0.len();
            Ok(n)
        }
    }

    #[test]
    fn data_that_unpacks_to_far_more_than_a_state_does_ends_with_a_reason() {
        let frame = packed(Codec::Zstd, &vec![0; 64 << 20]);
        let fault = Fault::default();
        let mut bomb = unpack(Codec::Zstd, Box::new(Again(frame, 0)), &fault).unwrap();
        let given = io::copy(&mut bomb, &mut io::sink()).unwrap();
        assert!((2 << 30..(2 << 30) + (64 << 20)).contains(&given), "{given}");
        let why = fault.get().unwrap();
        assert!(why.contains("no saved state does; unpack it with `zstd -dc`"), "{why}");
        // what is compressed as well as memory is has no end
        assert_eq!(Codec::Xz.believed(1 << 40) >> 30, (30 << 10) + 1);
    }

    #[test]
    fn every_codec_in_one_and_in_two_members() {
        let data = plain();
        for (codec, _) in Codec::ALL {
            let one = packed(codec, &data);
            assert_eq!(unpacked(one.clone()), (data.clone(), None), "{}", codec.name());
            let (out, fault) = unpacked([one.clone(), one].concat());
            assert_eq!((out.len(), fault), (data.len() * 2, None), "{}", codec.name());
        }
    }

    #[test]
    fn truncated_data_gives_everything_before_the_truncation() {
        let data = plain();
        for (codec, _) in Codec::ALL {
            let mut cut = packed(codec, &data);
            cut.truncate(cut.len() * 2 / 3);
            let (out, fault) = unpacked(cut);
            assert!(fault.is_some_and(|f| f.contains(codec.name())), "{}", codec.name());
            assert!(out.len() < data.len() && data.starts_with(&out), "{}", codec.name());
        }
    }

    /// An input that can be read up to a place.
    struct Failing(io::Cursor<Vec<u8>>);

    impl Read for Failing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buf)? {
                0 => Err(io::Error::from_raw_os_error(5)),
                n => Ok(n),
            }
        }
    }

    #[test]
    fn an_input_that_cannot_be_read_is_an_error_and_not_damage() {
        let data = plain();
        for (codec, _) in Codec::ALL {
            let mut cut = packed(codec, &data);
            cut.truncate(cut.len() * 2 / 3);
            let fault = Fault::default();
            let mut reader = unpack(codec, Box::new(Failing(io::Cursor::new(cut))), &fault).unwrap();
            let mut out = Vec::new();
            let e = reader.read_to_end(&mut out).unwrap_err();
            assert_eq!((e.raw_os_error(), fault.get()), (Some(5), None), "{}", codec.name());
            assert!(data.starts_with(&out), "{}", codec.name());
        }
    }

    #[test]
    fn a_skippable_frame_is_zstd() {
        let mut b = vec![0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        b.extend(packed(Codec::Zstd, b"hello"));
        assert_eq!(unpacked(b), (b"hello".to_vec(), None));
    }
}
