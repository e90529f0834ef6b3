//! How single pages are packed.

use crate::offset::Sure;

/// A way to pack pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// A zlib stream of level 1.
    Zlib,
    /// LZO1X.
    Lzo,
    /// Snappy without framing.
    Snappy,
    /// A Zstandard frame. QEMU does not write it; makedumpfile and crash 8 read it.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Codec {
    /// Returns the bit of page descriptors, and of the header (`DUMP_DH_COMPRESSED_*`).
    #[must_use]
    pub const fn flag(self) -> u32 {
        match self {
            Self::Zlib => 0x1,
            Self::Lzo => 0x2,
            Self::Snappy => 0x4,
            #[cfg(feature = "zstd")]
            Self::Zstd => 0x20,
        }
    }
}

/// Packs pages one after the other.
pub(super) enum Packer {
    Zlib(Box<flate2::Compress>),
    Lzo(Box<lzokay::compress::Dict>),
    Snappy(Box<snap::raw::Encoder>, Vec<u8>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::bulk::Compressor<'static>>),
    /// The library could not be prepared: pages stay as they are.
    Nothing,
}

impl Packer {
    pub(super) fn new(codec: Codec) -> Self {
        match codec {
            Codec::Zlib => Self::Zlib(Box::new(flate2::Compress::new(flate2::Compression::fast(), true))),
            Codec::Lzo => Self::Lzo(lzokay::compress::Dict::new()),
            Codec::Snappy => Self::Snappy(Box::new(snap::raw::Encoder::new()), Vec::new()),
            #[cfg(feature = "zstd")]
            Codec::Zstd => zstd::bulk::Compressor::new(1).map_or(Self::Nothing, |c| Self::Zstd(Box::new(c))),
        }
    }

    /// Appends a page to `out` in packed form, and returns its size; `None` if it does not become smaller, and then `out` is as it was.
    pub(super) fn pack(&mut self, page: &[u8], out: &mut Vec<u8>) -> Option<u32> {
        let before = out.len();
        let most = page.len().checked_sub(1)?;
        let done = match self {
            Self::Nothing => None,
            Self::Zlib(z) => {
                z.reset();
                out.resize(before.checked_add(most)?, 0);
                let place = out.get_mut(before..)?;
                let status = z.compress(page, place, flate2::FlushCompress::Finish).ok();
                let n = usize::try_from(z.total_out()).ok()?;
                (status == Some(flate2::Status::StreamEnd)).then_some(n)
            }
            Self::Lzo(dict) => {
                let packed = lzokay::compress::compress_with_dict(page, dict).ok();
                packed.filter(|p| p.len() <= most).map(|p| {
                    out.extend_from_slice(&p);
                    p.len()
                })
            }
            Self::Snappy(encoder, room) => {
                room.resize(snap::raw::max_compress_len(page.len()), 0);
                let n = encoder.compress(page, room).ok().filter(|n| *n <= most);
                out.extend_from_slice(room.get(..n.unwrap_or(0)).unwrap_or_default());
                n
            }
            #[cfg(feature = "zstd")]
            Self::Zstd(z) => {
                out.resize(before.checked_add(most)?, 0);
                z.compress_to_buffer(page, out.get_mut(before..)?).ok()
            }
        };
        let size = done.and_then(|n| u32::try_from(n).ok());
        out.truncate(before.plus(done.unwrap_or(0)));
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_and_noise_stays_as_it_is() {
        let text: Vec<u8> = (0..4096_u32).map(|i| b"kdump "[(i % 6) as usize]).collect();
        let mut seed = 1_u64;
        let mut byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        };
        let noise: Vec<u8> = (0..4096).map(|_| byte()).collect();
        let codecs = [
            Codec::Zlib,
            Codec::Lzo,
            Codec::Snappy,
            #[cfg(feature = "zstd")]
            Codec::Zstd,
        ];
        for codec in codecs {
            let mut packer = Packer::new(codec);
            let mut out = b"before".to_vec();
            assert_eq!(packer.pack(&noise, &mut out), None, "{codec:?}");
            assert_eq!(out, b"before", "{codec:?}");
            for _ in 0..3 {
                out.truncate(6);
                let n = packer.pack(&text, &mut out).unwrap();
                assert_eq!(out.len(), 6 + n as usize, "{codec:?}");
                let packed = &out[6..];
                let back = match codec {
                    Codec::Zlib => {
                        let mut v = Vec::new();
                        std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(packed), &mut v).unwrap();
                        v
                    }
                    Codec::Lzo => {
                        let mut v = vec![0; 4096];
                        let n = lzokay::decompress::decompress(packed, &mut v).unwrap();
                        v.truncate(n);
                        v
                    }
                    Codec::Snappy => snap::raw::Decoder::new().decompress_vec(packed).unwrap(),
                    #[cfg(feature = "zstd")]
                    Codec::Zstd => zstd::decode_all(packed).unwrap(),
                };
                assert!(back == text, "{codec:?}");
            }
        }
    }
}
