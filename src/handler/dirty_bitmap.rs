//! `dirty-bitmap`: the dirty bitmaps of block nodes (capability `dirty-bitmaps`).
//!
//! | bytes | meaning |
//! |---|---|
//! | u8 flags | of one chunk; with 0x80 two bytes in all, with 0x80 in the second as well four. QEMU writes one |
//! | 0x08 DEVICE_NAME: u8 n, n bytes | the node's alias, from here on |
//! | 0x04 BITMAP_NAME: u8 n, n bytes | the bitmap's alias, from here on |
//! | 0x10 START: be32 granularity, u8 | bytes for each bit; 1 enabled, 2 persistent, 4 autoload of old versions |
//! | 0x20 COMPLETE | this bitmap is complete |
//! | 0x40 BITS: be64 sector, be32 n | bits of n sectors of 512 bytes |
//! | … be64 n, n bytes | these bits, a multiple of 32 bytes; with 0x02 ZEROES all are clear and this is absent |
//! | 0x01 EOS | the payload ends with this chunk |
//!
//! The names hold over the end of a payload. Written by `send_bitmap_header`, `send_bitmap_start`, `send_bitmap_complete`
//! and `send_bitmap_bits` in `migration/block-dirty-bitmap.c`, whose own comment calls the granularity 64 bits wide.

use super::by_name::ByName;
use super::{bytes, count};
use crate::diag::Diagnostics;
use crate::error::{Error, ErrorKind, Result};
use crate::names::RecordType;
use crate::offset::{StreamOffset, Sure};
use crate::stream::{Fact, LiveSection};
use crate::text::Name;
use crate::wire::Cursor;

const EOS: u32 = 0x01;
const ZEROES: u32 = 0x02;
const BITMAP_NAME: u32 = 0x04;
const DEVICE_NAME: u32 = 0x08;
const START: u32 = 0x10;
const COMPLETE: u32 = 0x20;
const BITS: u32 = 0x40;
/// The flags go on.
const EXTRA: u8 = 0x80;
/// What a chunk is about; at most one of them.
const KINDS: u32 = START | COMPLETE | BITS;
const KNOWN: u32 = EOS | ZEROES | BITMAP_NAME | DEVICE_NAME | KINDS;
/// Properties of a bitmap.
const PROPERTIES: [(u8, &str); 3] = [(1, "enabled"), (2, "persistent"), (4, "autoload")];
const SECTOR: u64 = 512;

/// The reader of one `dirty-bitmap` section.
#[derive(Default)]
pub(super) struct DirtyBitmap {
    node: Option<Name>,
    bitmap: Option<Name>,
    payloads: u64,
    chunks: u64,
    bits_bytes: u64,
    bitmaps: ByName<Bitmap>,
}

#[derive(Default)]
struct Bitmap {
    granularity: Option<u32>,
    properties: u8,
    data_chunks: u64,
    zero_chunks: u64,
    complete: bool,
}

impl Bitmap {
    fn describe(&self) -> String {
        let mut s = match self.granularity {
            Some(g) => format!("granularity {g} bytes"),
            None => "granularity unknown".to_owned(),
        };
        for (_, name) in PROPERTIES.iter().filter(|(bit, _)| self.properties & bit != 0) {
            s.push_str(", ");
            s.push_str(name);
        }
        s.push_str(&format!(", {} chunks of bits, {} of zeros", self.data_chunks, self.zero_chunks));
        s.push_str(if self.complete { ", complete" } else { ", not complete" });
        s
    }
}

/// Reads the flags, which have one, two or four bytes.
fn flags(c: &mut Cursor<'_>) -> Result<u32> {
    let at = c.offset();
    let first = c.u8()?;
    let mut flags = u32::from(first);
    if first & EXTRA != 0 {
        let second = c.u8()?;
        flags = u32::from(second & !EXTRA) | (u32::from(first & !EXTRA) << 8);
        if second & EXTRA != 0 {
            flags = (flags << 16) | u32::from(c.be16()?);
        }
    }
    check_flags(at, flags)?;
    Ok(flags)
}

fn check_flags(at: StreamOffset, flags: u32) -> Result<()> {
    if flags & !KNOWN != 0 {
        let m = format!("dirty bitmap chunk: expected flags within {KNOWN:#x}, found {flags:#x}");
        return Err(Error::new(ErrorKind::Unsupported, m).at(at));
    }
    if (flags & KINDS).count_ones() > 1 || (flags & ZEROES != 0 && flags & BITS == 0) || flags & (KINDS | EOS) == 0 {
        return Err(Error::corrupt(
            at,
            format!("dirty bitmap chunk: expected one of START, COMPLETE, BITS, EOS, found flags {flags:#x}"),
        ));
    }
    Ok(())
}

impl DirtyBitmap {
    /// Returns the name of the bitmap that chunks are about. Names get lost with a payload that could not be read.
    fn current(&self) -> Option<String> {
        Some(format!("{}/{}", self.node.as_ref()?.exact(), self.bitmap.as_ref()?.exact()))
    }

    /// Changes what is known of the bitmap that chunks are about.
    fn update(&mut self, change: impl FnOnce(&mut Bitmap)) {
        if let Some(name) = self.current()
            && let Some(b) = self.bitmaps.entry(&name)
        {
            change(b);
        }
    }

    /// Reads one chunk; `false` after the one with EOS.
    fn chunk(&mut self, c: &mut Cursor<'_>) -> Result<bool> {
        let flags = flags(c)?;
        if flags & DEVICE_NAME != 0 {
            self.node = Some(c.counted_str()?);
        }
        if flags & BITMAP_NAME != 0 {
            self.bitmap = Some(c.counted_str()?);
        }
        match flags & KINDS {
            START => self.start(c)?,
            COMPLETE => self.update(|b| b.complete = true),
            BITS => self.bits(c, flags & ZEROES != 0)?,
            _ => {}
        }
        self.chunks.tally(1);
        Ok(flags & EOS == 0)
    }

    fn start(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        let at = c.offset();
        let granularity = c.be32()?;
        if !granularity.is_power_of_two() || u64::from(granularity) < SECTOR {
            let m = format!("granularity: expected a power of two from {SECTOR}, found {granularity}");
            return Err(Error::corrupt(at, m));
        }
        let at = c.offset();
        let properties = c.u8()?;
        if PROPERTIES.iter().fold(properties, |p, (bit, _)| p & !bit) != 0 {
            let m = format!("properties of a dirty bitmap: expected bits within 0x7, found {properties:#x}");
            return Err(Error::new(ErrorKind::Unsupported, m).at(at));
        }
        self.update(|b| *b = Bitmap { granularity: Some(granularity), properties, ..Bitmap::default() });
        Ok(())
    }

    fn bits(&mut self, c: &mut Cursor<'_>, zeroes: bool) -> Result<()> {
        let _first_sector = c.be64()?;
        let sectors = c.be32()?;
        if zeroes {
            self.update(|b| b.zero_chunks.tally(1));
            return Ok(());
        }
        let at = c.offset();
        let n = c.be64()?;
        let granularity = self.current().and_then(|name| self.bitmaps.get(&name)?.granularity);
        if let Some(g) = granularity {
            // whole words of the saving host, then whole multiples of four of them
            let bits = u64::from(sectors).times(SECTOR).div_ceil(u64::from(g.max(1)));
            let (least, most) = (bits.div_ceil(8), bits.div_ceil(8).next_multiple_of(32));
            if n < least || n > most {
                let m = format!("bits of {sectors} sectors: expected {least} to {most} bytes, found {n}");
                return Err(Error::corrupt(at, m));
            }
        }
        c.skip(n)?;
        c.release_behind();
        self.bits_bytes = self.bits_bytes.plus(n);
        self.update(|b| b.data_chunks.tally(1));
        Ok(())
    }
}

impl LiveSection for DirtyBitmap {
    fn read(&mut self, c: &mut Cursor<'_>, _kind: RecordType, _found: &mut Diagnostics) -> Result<()> {
        loop {
            match self.chunk(c) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => {
                    // later payloads may use names from the part that is lost
                    (self.node, self.bitmap) = (None, None);
                    return Err(e);
                }
            }
        }
        self.payloads.tally(1);
        Ok(())
    }

    fn facts(&self) -> Vec<Fact> {
        let mut facts =
            vec![count("payloads", self.payloads), count("chunks", self.chunks), bytes("bits_bytes", self.bits_bytes)];
        facts.extend(self.bitmaps.facts("bitmaps", Bitmap::describe));
        facts
    }
}

#[cfg(test)]
#[path = "dirty_bitmap_tests.rs"]
mod tests;
