//! The container of the `lzop` tool around LZO1X blocks. All integers are big-endian.
//!
//! | bytes | |
//! |---|---|
//! | 9 | `89 LZO 00 0d 0a 1a 0a` |
//! | 2, 2, \[2\] | version; library version; version needed, from version 0x0940 |
//! | 1, \[1\] | method (1, 2: LZO1X-1; 3: LZO1X-999); level, from 0x0940 |
//! | 4, \[4\] | flags; filter, with flag 0x800 |
//! | 4, 4, \[4\] | mode; time; its high half, from 0x0940 |
//! | 1 + n | name |
//! | 4 | checksum of the header after the magic: CRC-32 with flag 0x1000, Adler-32 without |
//! | \[4 + n + 4\] | an extra field and its checksum, with flag 0x40 |
//!
//! Then blocks: be32 length unpacked (0 ends the member), be32 length packed, the checksums selected by the flags,
//! data; data as long as unpacked is not packed.

use std::io::{self, Read};

use crate::offset::Sure;

const MAGIC: [u8; 9] = [0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a];
/// lzop itself writes blocks of 256 KiB and refuses more than this.
const MAX_BLOCK: usize = 64 << 20;

const ADLER32_UNPACKED: u32 = 0x1;
const ADLER32_PACKED: u32 = 0x2;
const EXTRA_FIELD: u32 = 0x40;
const CRC32_UNPACKED: u32 = 0x100;
const CRC32_PACKED: u32 = 0x200;
const FILTER: u32 = 0x800;

/// Unpacks the output of `lzop -c`. A member may end without its mark, as it does where the tool was cut off cleanly.
pub(super) struct LzopReader {
    input: Box<dyn Read + Send>,
    flags: Option<u32>,
    block: Vec<u8>,
    at: usize,
    ended: bool,
}

fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl LzopReader {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self { input, flags: None, block: Vec::new(), at: 0, ended: false }
    }

    fn be(&mut self, n: usize) -> io::Result<u32> {
        let mut b = [0; 4];
        let part = b.get_mut(4_usize.minus(n)..).unwrap_or_default();
        self.input.read_exact(part)?;
        Ok(u32::from_be_bytes(b))
    }

    fn skip(&mut self, n: u32) -> io::Result<()> {
        let copied = io::copy(&mut self.input.by_ref().take(n.into()), &mut io::sink())?;
        if copied < u64::from(n) { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Reads the header of a member; `false` at the end of the input.
    fn header(&mut self) -> io::Result<bool> {
        let mut magic = [0; 9];
        let mut n = 0;
        while let Some(rest) = magic.get_mut(n..).filter(|r| !r.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(k) => n = n.plus(k),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        // data after a member that is not another member is not part of the input
        if n < magic.len() || magic != MAGIC {
            return if self.flags.is_none() { Err(bad("expected an lzop header")) } else { Ok(false) };
        }
        let version = self.be(2)?;
        self.be(2)?;
        let newer = version >= 0x0940;
        if newer {
            self.be(2)?;
        }
        let method = self.be(1)?;
        if !(1..=3).contains(&method) {
            return Err(bad(format!("lzop method {method} is not supported, only LZO1X")));
        }
        if newer {
            self.be(1)?;
        }
        let flags = self.be(4)?;
        if flags & FILTER != 0 {
            return Err(bad("lzop filters are not supported"));
        }
        self.be(4)?;
        self.be(4)?;
        if newer {
            self.be(4)?;
        }
        let name = self.be(1)?;
        self.skip(name)?;
        self.be(4)?;
        if flags & EXTRA_FIELD != 0 {
            let n = self.be(4)?;
            self.skip(n)?;
            self.be(4)?;
        }
        self.flags = Some(flags);
        Ok(true)
    }

    /// Reads the length at the start of a block, or returns `None` if the input ends there.
    fn block_length(&mut self) -> io::Result<Option<usize>> {
        let mut first = [0];
        if let Err(e) = self.input.read_exact(&mut first) {
            self.ended = true;
            return if e.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(e) };
        }
        let [first] = first;
        Ok(Some((usize::from(first) << 24) | self.be(3)? as usize))
    }

    /// Reads one block; `false` at the end of the input.
    fn next_block(&mut self) -> io::Result<bool> {
        self.at = 0;
        self.block.clear();
        let mut in_member = self.flags.is_some();
        loop {
            if !in_member && !self.header()? {
                self.ended = true;
                return Ok(false);
            }
            let flags = self.flags.unwrap_or_default();
            let Some(unpacked) = self.block_length()? else { return Ok(false) };
            if unpacked == 0 {
                in_member = false;
                continue;
            }
            let packed = self.be(4)? as usize;
            if unpacked > MAX_BLOCK || packed > unpacked {
                return Err(bad(format!("lzop block of {packed} bytes for {unpacked}")));
            }
            let check = |on: u32, s: &mut Self| if flags & on != 0 { s.be(4).map(Some) } else { Ok(None) };
            let adler = check(ADLER32_UNPACKED, self)?;
            let crc = check(CRC32_UNPACKED, self)?;
            if packed < unpacked {
                check(ADLER32_PACKED, self)?;
                check(CRC32_PACKED, self)?;
            }
            // bytes are read as they arrive, so that a length alone allocates nothing
            let mut data = Vec::new();
            self.input.by_ref().take(packed as u64).read_to_end(&mut data)?;
            if data.len() < packed {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if packed < unpacked {
                self.block.resize(unpacked, 0);
                let n =
                    lzokay::decompress::decompress(&data, &mut self.block).map_err(|e| bad(format!("LZO: {e:?}")))?;
                if n != unpacked {
                    return Err(bad(format!("LZO: expected {unpacked} bytes, found {n}")));
                }
            } else {
                self.block = data;
            }
            if let Some(a) = adler.filter(|a| *a != adler2::adler32_slice(&self.block)) {
                return Err(bad(format!("lzop: block does not match its checksum {a:#010x}")));
            }
            if let Some(c) = crc.filter(|c| *c != crc32(&self.block)) {
                return Err(bad(format!("lzop: block does not match its CRC {c:#010x}")));
            }
            return Ok(true);
        }
    }
}

fn crc32(data: &[u8]) -> u32 {
    let mut c = flate2::Crc::new();
    c.update(data);
    c.sum()
}

impl Read for LzopReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.block.len() && (self.ended || !self.next_block()?) {
            return Ok(0);
        }
        let rest = self.block.get(self.at..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at = self.at.plus(n);
        Ok(n)
    }
}

/// Packs for tests, by the layout above.
#[cfg(all(test, feature = "bzip2", feature = "xz", feature = "zstd"))]
pub(super) fn pack(data: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend([0x10, 0x40, 0x20, 0xa0, 0x09, 0x40, 1, 5]);
    out.extend(ADLER32_UNPACKED.to_be_bytes());
    out.extend([0; 12]);
    out.extend(b"\x01x\0\0\0\0");
    for chunk in data.chunks(256 << 10) {
        let packed = lzokay::compress::compress(chunk).unwrap();
        let stored = packed.len() >= chunk.len();
        let body = if stored { chunk } else { &packed };
        out.extend((chunk.len() as u32).to_be_bytes());
        out.extend((body.len() as u32).to_be_bytes());
        out.extend(adler2::adler32_slice(chunk).to_be_bytes());
        out.extend(body);
    }
    out.extend([0; 4]);
    out
}
