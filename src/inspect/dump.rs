//! What a core dump of a state contains.

use super::{Cpus, Devices};
use crate::dump::{Guest, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::image::SaveImage;
use crate::machine::{self, MapFacts, MemoryMap, Windows};
use crate::offset;
use crate::text::Name;

/// The memory that a core dump may have: 64 TiB. A stream may claim any number.
const MAX_MEMORY: u64 = 1 << 46;

/// The content of a dump besides memory, and what is missing from it.
#[derive(Debug)]
#[non_exhaustive]
pub struct DumpContent {
    /// The content.
    pub guest: Guest,
    /// What could not be decoded; a processor or a device that says where memory is may be among it.
    pub errors: Vec<Error>,
    /// What the user should know of how the map of memory was found.
    pub remarks: Vec<String>,
}

impl DumpContent {
    /// Collects the content of a dump; `given` are addresses of blocks that the user supplies.
    ///
    /// # Errors
    /// `Unsupported` when there is no processor that a dump can have, or the machine's map is not known; `Io`.
    pub fn of(image: &SaveImage, given: &[(String, u64)]) -> Result<Self> {
        let cpus = Cpus::find(image)?;
        let processors = cpus.processors();
        let facts = MapFacts { given: given.to_vec(), ..image.map_facts() };
        let map = machine::layout(image.machine(), image.ram_blocks(), &facts)?;
        let devices = Devices::find(image, &mut |_| Ok(()))?;
        let windows = windows(image, &devices);
        let memory = machine::dumped(image.machine(), image.ram_blocks(), &map, &windows);
        let total = offset::total(memory.iter().map(|r| r.bytes));
        if let Some(r) = memory.iter().find(|r| r.gpa.0.checked_add(r.bytes).is_none()) {
            let what = format!("{:#x} bytes of memory at {} end beyond the last address", r.bytes, r.gpa);
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        if total > MAX_MEMORY {
            let what = format!("expected at most {MAX_MEMORY:#x} bytes of memory for a core dump, found {total:#x}");
            return Err(Error::new(ErrorKind::LimitExceeded, what));
        }
        let end = memory.iter().map(|r| r.end().0).max().unwrap_or(0);
        let page = image.ram().map_or(4096, |r| r.context().target_page);
        let target = Target::of(&processors, image.machine().map_or("", Name::exact), page, end)?;
        let MemoryMap { remarks, .. } = map;
        Ok(Self { guest: Guest::new(target, &processors, memory), errors: devices.errors, remarks })
    }
}

/// Configuration registers of the host bridges of PCs that choose between RAM and ROM: vendor, device, offset of PAM0
/// (`hw/pci-host/i440fx.c`, `hw/pci-host/q35.c`).
static HOST_BRIDGES: &[(u16, u16, usize)] = &[(0x8086, 0x1237, 0x59), (0x8086, 0x29c0, 0x90)];

fn windows(image: &SaveImage, devices: &Devices) -> Windows {
    let mut out = Windows::default();
    for d in &devices.pci {
        if let Some((.., at)) = HOST_BRIDGES.iter().find(|(v, n, _)| (*v, *n) == (d.vendor, d.device)) {
            out.pam = d.config.get(*at..).and_then(|c| c.first_chunk::<7>()).copied();
        }
        out.vga |= d.class[..2] == [3, 0];
        let Some((path, _)) = d.section.exact().split_once('/') else { continue };
        for (i, b) in image.ram_blocks().iter().enumerate() {
            let number = match b.name.exact().strip_prefix(path) {
                Some("/vga.vram") => 0,
                Some(rest) if rest.ends_with(".rom") => 6,
                _ => continue,
            };
            let bar = d.bars.iter().find(|bar| bar.index == number && bar.enabled);
            out.bars.extend(bar.map(|bar| (i, bar.address)));
        }
    }
    // an ISA card has a section without an address
    out.vga |= image.device_sections().any(|s| s.header.idstr == "vga");
    out
}
