//! What a saved state is, in a few answers: machine, memory, processors, whether it ran, its time, whether it is whole.

use crate::decode::cpu;
use crate::error::Result;
use crate::image::SaveImage;
use crate::machine::{self, FIRMWARE};
use crate::offset::Sure;
use crate::ram::PageStats;
use crate::text::Name;
use crate::value::Node;

/// The answers that people ask for first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overview {
    /// The name of the virtual machine, which only libvirt saves.
    pub name: Option<Name>,
    /// The machine type.
    pub machine: Option<Name>,
    /// Bytes of main memory; `None` if the memory map of the machine is not known.
    pub ram: Option<u64>,
    /// Number of processors.
    pub cpus: usize,
    /// Their architecture, where it is known.
    pub architecture: Option<&'static str>,
    /// The run state that is restored, such as `running` or `paused`.
    pub run_state: Option<Name>,
    /// The time of the guest's real-time clock, in the guest's own time zone, as `YYYY-MM-DD HH:MM:SS`.
    pub guest_time: Option<String>,
    /// How much of the state there is.
    pub extent: Extent,
}

/// How much of a state there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// All of it, up to its end.
    #[default]
    Complete,
    /// It ends inside guest memory, of which so many per cent were received.
    CutInMemory(u64),
    /// All of memory was received once, and it ends after that.
    CutInDevices,
}

impl Overview {
    /// Finds the answers; `stats` counted the pages of a full walk.
    ///
    /// # Errors
    /// `Io`.
    pub fn of(image: &SaveImage, stats: &PageStats) -> Result<Self> {
        let mut out = Self {
            name: image.container().libvirt().and_then(|i| i.domain_text("name")),
            machine: image.machine().cloned(),
            ram: main_memory(image),
            extent: extent(image, stats),
            ..Self::default()
        };
        for section in image.device_sections() {
            let vmsd = image.device_schema(section).map_or(&section.header.idstr, |d| &d.vmsd.name);
            match vmsd.exact() {
                "cpu" => {
                    if out.cpus == 0 {
                        out.architecture = cpu::architecture(image.decode(section)?.root());
                    }
                    out.cpus.tally(1);
                }
                "globalstate" => {
                    let device = image.decode(section)?;
                    let text = device.root().child("runstate").and_then(Node::as_bytes);
                    let text = text.and_then(|b| b.split(|c| *c == 0).next()).filter(|t| !t.is_empty());
                    out.run_state = text.map(Name::from_bytes);
                }
                "mc146818rtc" => {
                    let device = image.decode(section)?;
                    out.guest_time = device.root().child("cmos_data").and_then(Node::as_bytes).and_then(cmos_time);
                }
                _ => {}
            }
        }
        Ok(out)
    }
}

/// Adds up main memory: what the map places and is no firmware.
fn main_memory(image: &SaveImage) -> Option<u64> {
    let map = machine::layout(image.machine(), image.ram_blocks(), &image.map_facts()).ok()?;
    let main = map.regions.iter().filter(|r| r.why != FIRMWARE);
    Some(main.map(|r| r.bytes).sum())
}

fn extent(image: &SaveImage, stats: &PageStats) -> Extent {
    if image.walk().eof.is_some() {
        return Extent::Complete;
    }
    let Some(ram) = image.ram() else { return Extent::CutInDevices };
    let page = ram.context().target_page;
    let (mut all, mut missing) = (0_u64, 0_u64);
    for (i, b) in ram.blocks().iter().enumerate().filter(|(_, b)| b.mapped.is_none()) {
        all = all.plus(b.len);
        missing = missing.plus(b.without(stats.distinct(i), page));
    }
    let received = all.minus(missing).saturating_mul(100).checked_div(all);
    match received {
        Some(percent) if missing > 0 => Extent::CutInMemory(percent),
        _ => Extent::CutInDevices,
    }
}

/// Reads the clock of a PC (`hw/rtc/mc146818rtc.c`; the century is in byte 0x32, as ACPI tables of QEMU say).
fn cmos_time(cmos: &[u8]) -> Option<String> {
    const BINARY: u8 = 1 << 2;
    const HOURS_24: u8 = 1 << 1;
    let mode = *cmos.get(0x0b)?;
    let number = |at: usize| {
        let b = *cmos.get(at)?;
        let (tens, ones) = (b >> 4, b & 0xf);
        match mode & BINARY != 0 {
            true => Some(u32::from(b)),
            false => (tens < 10 && ones < 10).then(|| u32::from(tens).times(10).plus(ones.into())),
        }
    };
    let afternoon = mode & HOURS_24 == 0 && cmos.get(4)? & 0x80 != 0;
    let hour = match mode & HOURS_24 != 0 {
        true => number(4)?,
        false => {
            let h = u32::from(cmos.get(4)? & 0x7f);
            let h = if mode & BINARY != 0 { h } else { (h >> 4).times(10).plus(h & 0xf) };
            (h % 12).plus(if afternoon { 12 } else { 0 })
        }
    };
    let (second, minute, day, month) = (number(0)?, number(2)?, number(7)?, number(8)?);
    let year = number(0x32)?.times(100).plus(number(9)?);
    let sound = second < 60 && minute < 60 && hour < 24 && (1..=31).contains(&day) && (1..=12).contains(&month);
    (sound && year >= 1970).then(|| format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cmos(mode: u8, bytes: &[(usize, u8)]) -> Vec<u8> {
        let mut out = vec![0; 128];
        out[0x0b] = mode;
        bytes.iter().for_each(|(at, b)| out[*at] = *b);
        out
    }

    #[test]
    fn the_clock_of_a_pc_is_read_in_all_its_modes() {
        let time = |mode: u8, bytes: &[(usize, u8)]| cmos_time(&cmos(mode, bytes));
        let bcd = [(0, 0x59), (2, 0x07), (4, 0x23), (7, 0x31), (8, 0x12), (9, 0x26), (0x32, 0x20)];
        assert_eq!(time(0x02, &bcd).as_deref(), Some("2026-12-31 23:07:59"));
        let binary = [(0, 59), (2, 7), (4, 23), (7, 31), (8, 12), (9, 26), (0x32, 20)];
        assert_eq!(time(0x06, &binary).as_deref(), Some("2026-12-31 23:07:59"));
        let twelve = [(4, 0x92), (7, 1), (8, 1), (9, 0), (0x32, 0x20)];
        assert_eq!(time(0, &twelve).as_deref(), Some("2000-01-01 12:00:00"));
        assert_eq!(time(0, &[(4, 0x12), (7, 1), (8, 1), (0x32, 0x20)]).as_deref(), Some("2000-01-01 00:00:00"));
        assert_eq!(time(0, &[(4, 0x91), (7, 1), (8, 1), (0x32, 0x20)]).as_deref(), Some("2000-01-01 23:00:00"));
        for wrong in [[(0, 0x60)], [(0, 0x0a)], [(7, 0)], [(8, 0x13)], [(0x32, 0)]] {
            let mut bytes = bcd.to_vec();
            bytes.extend(wrong);
            assert_eq!(time(0x02, &bytes), None, "{wrong:?}");
        }
        assert_eq!(cmos_time(&[0; 12]), None);
    }
}
