//! `…/vfio`: the state of a VFIO device, which the device's kernel driver made.
//!
//! | be64 tag | then | written in |
//! |---|---|---|
//! | 0xffffffffef100001 END_OF_STATE | the payload ends | everywhere |
//! | …02 DEV_CONFIG_STATE | the PCI side, below, and END_OF_STATE | FULL, in 5.2 END |
//! | …03 DEV_SETUP_STATE | END_OF_STATE | START |
//! | …04 DEV_DATA_STATE | be64 n, n bytes of the driver's | PART, END |
//! | …05 DEV_INIT_DATA_SENT | the payload ends (8.1 and later) | PART |
//! | …06 DEV_CONFIG_LOAD_READY | the payload ends (10.1 and later, multifd) | FULL |
//!
//! START, PART and END come from the live hooks (`vfio_save_setup`, `vfio_save_iterate`, `vfio_save_complete_precopy`
//! in `hw/vfio/migration.c`), FULL from `vfio_save_state` under the same section id and name. With multifd device
//! state FULL, like END, may contain only END_OF_STATE.
//!
//! The PCI side is the description `VFIOPCIDevice` without its JSON (`vfio_pci_save_config` in `hw/vfio/pci.c`):
//!
//! | bytes | meaning |
//! |---|---|
//! | be32 | version of the PCI device, 2 |
//! | 256 or 4096 | configuration space |
//! | 16 | state of the four interrupt pins |
//! | 16 × n, ⌈n / 8⌉ | MSI-X table and pending bits, n from the capability, absent without it |
//! | 0x05, u8 25, "VFIOPCIDevice/VFIODisplay", be32 1, 28 | display with ramfb, if there is one (8.2 and later) |
//!
//! The stream does not give the size (a PCIe device behind a conventional bus hides the capability that would), so
//! the smaller one that leads to END_OF_STATE is right.
//!
//! QEMU 5.2 saved the PCI side in END (6.0 moved it to FULL), so that the driver's data follow its END_OF_STATE. A
//! tag begins with 0xff, which neither a footer nor a record does: after the END_OF_STATE of a DEV_CONFIG_STATE, 0xff
//! says that the payload goes on.
//!
//! No stream of a real VFIO device was at hand; the layout is from the source only.

use super::{bytes, count};
use crate::diag::Diagnostics;
use crate::error::{Error, ErrorKind, Result};
use crate::names::RecordType;
use crate::offset::Sure;
use crate::stream::{Fact, LiveSection};
use crate::wire::Cursor;

const END_OF_STATE: u64 = 0xffff_ffff_ef10_0001;
const DEV_CONFIG_STATE: u64 = 0xffff_ffff_ef10_0002;
const DEV_SETUP_STATE: u64 = 0xffff_ffff_ef10_0003;
const DEV_DATA_STATE: u64 = 0xffff_ffff_ef10_0004;
const DEV_INIT_DATA_SENT: u64 = 0xffff_ffff_ef10_0005;
const DEV_CONFIG_LOAD_READY: u64 = 0xffff_ffff_ef10_0006;
/// The common part of all tags; the other bits distinguish them.
const TAG: u64 = 0xffff_ffff_ef10_0000;
const TAG_KIND: u64 = 0xffff;

/// The sizes of a configuration space.
const CONFIG_SIZES: [usize; 2] = [256, 4096];
const VERSION_BYTES: usize = 4;
const IRQ_BYTES: usize = 16;
/// Header of the display subsection up to its version, and the size of what is in it.
const DISPLAY: &[u8] = b"\x05\x19VFIOPCIDevice/VFIODisplay";
const DISPLAY_BYTES: usize = 4 + 28;

/// The reader of one VFIO section.
#[derive(Default)]
pub(super) struct Vfio {
    payloads: u64,
    data_chunks: u64,
    data_bytes: u64,
    init_data_sent: bool,
    load_ready: bool,
    config: Option<Config>,
}

/// The PCI side.
#[derive(Clone, Copy)]
struct Config {
    /// The length of the whole.
    len: usize,
    space: usize,
    msix_vectors: usize,
}

/// Counts the MSI-X vectors of a configuration space; 0 without the capability.
fn msix_vectors(space: &[u8]) -> usize {
    const HEADER: usize = 0x40;
    let byte = |at: usize| space.get(at).copied().unwrap_or_default();
    if byte(0x06) & 0x10 == 0 {
        return 0; // according to the status register there is no capability list
    }
    let mut at = usize::from(byte(0x34) & !3);
    // as many as fit after the header, so a looping list ends here
    for _ in 0..(256 - HEADER) / 4 {
        if at < HEADER {
            break;
        }
        if byte(at) == 0x11 {
            let control = u16::from_le_bytes([byte(at.plus(2)), byte(at.plus(3))]);
            return usize::from(control & 0x7ff).plus(1);
        }
        at = usize::from(byte(at.plus(1)) & !3);
    }
    0
}

fn is_tag(b: &[u8], tag: u64) -> bool {
    b == tag.to_be_bytes()
}

/// Measures the PCI side, provided that its configuration space has `space` bytes.
fn measure(c: &mut Cursor<'_>, space: usize) -> Result<Option<Config>> {
    let fixed = VERSION_BYTES.plus(space).plus(IRQ_BYTES);
    let vectors = msix_vectors(c.peek(fixed)?.get(VERSION_BYTES..).unwrap_or_default());
    let msix = vectors.times(16).plus(vectors.div_ceil(8));
    let mut len = fixed.plus(msix);
    for display in [0, DISPLAY.len().plus(DISPLAY_BYTES)] {
        if display > 0 && !c.peek(len.plus(8))?.get(len..).is_some_and(|b| DISPLAY.starts_with(b)) {
            break;
        }
        len = len.plus(display);
        let end = c.peek(len.plus(8))?.get(len..).unwrap_or_default();
        if is_tag(end, END_OF_STATE) {
            return Ok(Some(Config { len, space, msix_vectors: vectors }));
        }
    }
    Ok(None)
}

impl Vfio {
    /// Reads the PCI side and the END_OF_STATE after it.
    fn config(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        for space in CONFIG_SIZES {
            if let Some(config) = measure(c, space)? {
                c.take(config.len)?;
                self.config = Some(config);
                return end_of_state(c);
            }
        }
        let m = "PCI side of a VFIO device: expected END_OF_STATE, found other data";
        Err(Error::new(ErrorKind::Unsupported, m).at(c.offset()))
    }
}

fn end_of_state(c: &mut Cursor<'_>) -> Result<()> {
    let at = c.offset();
    match c.be64()? {
        END_OF_STATE => Ok(()),
        tag => Err(Error::corrupt(at, format!("VFIO tag: expected END_OF_STATE, found {tag:#x}"))),
    }
}

impl LiveSection for Vfio {
    fn read(&mut self, c: &mut Cursor<'_>, _kind: RecordType, _found: &mut Diagnostics) -> Result<()> {
        loop {
            let at = c.offset();
            match c.be64()? {
                END_OF_STATE => break,
                DEV_CONFIG_STATE => {
                    self.config(c)?;
                    if c.at_end()? || c.peek_u8()? != 0xff {
                        break;
                    }
                }
                DEV_SETUP_STATE => {
                    end_of_state(c)?;
                    break;
                }
                DEV_DATA_STATE => {
                    let n = c.be64()?;
                    c.skip(n)?;
                    c.release_behind();
                    self.data_chunks.tally(1);
                    self.data_bytes = self.data_bytes.plus(n);
                }
                DEV_INIT_DATA_SENT => {
                    self.init_data_sent = true;
                    break;
                }
                DEV_CONFIG_LOAD_READY => {
                    self.load_ready = true;
                    break;
                }
                tag if tag & !TAG_KIND == TAG => {
                    return Err(Error::new(ErrorKind::Unsupported, format!("unsupported VFIO tag {tag:#x}")).at(at));
                }
                tag => {
                    return Err(Error::corrupt(at, format!("VFIO tag: expected {TAG:#x} to …6, found {tag:#x}")));
                }
            }
        }
        self.payloads.tally(1);
        Ok(())
    }

    fn facts(&self) -> Vec<Fact> {
        let size = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let mut facts = vec![
            count("payloads", self.payloads),
            count("data_chunks", self.data_chunks),
            bytes("data_bytes", self.data_bytes),
        ];
        if let Some(config) = self.config {
            facts.push(bytes("config_space_bytes", size(config.space)));
            facts.push(count("msix_vectors", size(config.msix_vectors)));
        }
        if self.init_data_sent {
            facts.push(count("initial_data_sent", 1));
        }
        if self.load_ready {
            facts.push(count("config_by_multifd", 1));
        }
        facts
    }
}

#[cfg(test)]
#[path = "vfio_tests.rs"]
mod tests;
