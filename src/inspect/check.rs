//! Whether a state is sound: whether QEMU would load it, and every other question about it has a complete answer.

use super::{Devices, Problem, memory, problems};
use crate::decode::virtio::rings;
use crate::diag::{Diagnostic, Diagnostics, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Device, SaveImage};
use crate::memory::GuestMemory;
use crate::offset::{StreamRange, Sure};
use crate::ram::PageStats;
use crate::stream::EndFound;
use crate::text::Name;
use crate::value::{Node, Value, uncovered};

/// What a check found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Check {
    /// Whether the state is sound.
    pub sound: bool,
    /// Sections, live ones counted once.
    pub sections: usize,
    /// Device sections.
    pub device_sections: usize,
    /// Device sections with a description.
    pub described_sections: usize,
    /// Payload bytes of the device sections.
    pub device_bytes: u64,
    /// Those that are in a value.
    pub covered_device_bytes: u64,
    /// Values in all device sections.
    pub values: u64,
    /// Bytes of described sections that are in no value.
    pub undecoded: Vec<UndecodedBytes>,
    /// Sections whose description is wrong as QEMU wrote it.
    pub quirks: Vec<QuirkFound>,
    /// Everything that was found, in the order of the questions: the records, memory, the devices, the wrappers.
    pub findings: Diagnostics,
    /// The error of the system, or the limit, that ended the check, if one did: then there is no verdict.
    pub failed: Option<Error>,
}

/// Bytes of a described section that are in no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UndecodedBytes {
    /// The section's name.
    pub section: Name,
    /// Its instance id.
    pub instance_id: u32,
    /// The name of the innermost node around the bytes.
    pub within: String,
    /// The bytes.
    pub range: StreamRange,
    /// Why they are in no value.
    pub why: String,
}

/// A section whose description is wrong as QEMU wrote it; its bytes were followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuirkFound {
    /// The section's name.
    pub section: Name,
    /// Its instance id.
    pub instance_id: u32,
    /// Which of QEMU's mistakes.
    pub quirk: &'static str,
}

/// Checks a state that was walked in full with `stats` as its sink.
///
/// # Errors
/// `Io`, where a device section or guest memory cannot be read.
pub fn check(image: &SaveImage, stats: &PageStats) -> Result<Check> {
    let walk = image.walk();
    let mut c = Check {
        sound: false,
        sections: walk.sections.len(),
        device_sections: 0,
        described_sections: 0,
        device_bytes: 0,
        covered_device_bytes: 0,
        values: 0,
        undecoded: Vec::new(),
        quirks: Vec::new(),
        findings: walk.found.clone(),
        failed: None,
    };
    memory::judge(image, stats, &mut c.findings);
    let devices = Devices::find(image, &mut |d| {
        c.device(image, d);
        Ok(())
    })?;
    devices.errors.iter().for_each(|e| c.findings.survived(e.kind().name(), e));
    c.rings(&devices, image)?;
    problems(image).iter().filter_map(Problem::of_wrapper).for_each(|d| c.findings.push(d));
    let ends = walk.sections.iter().all(|s| s.end != EndFound::Nowhere);
    if walk.eof.is_none() && walk.stopped.is_none() {
        c.findings.push(Diagnostic::new(Level::Error, "no-end", "the stream has no end of records"));
    }
    if let Some(e) = &walk.stopped {
        if matches!(e.kind(), ErrorKind::Io | ErrorKind::LimitExceeded) {
            c.failed = Some(Error::new(e.kind(), e.to_string()));
        }
        c.findings.survived(e.kind().name(), e);
    }
    let limit = ErrorKind::LimitExceeded;
    if let Some(d) = c.findings.list().iter().find(|d| d.code == limit.name()).filter(|_| c.failed.is_none()) {
        c.failed = Some(Error::new(limit, d.message.clone()));
    }
    if let Some(why) = image.container().source.trouble().filter(|_| c.failed.is_none()) {
        c.failed = Some(Error::new(ErrorKind::Io, why));
    }
    c.sound = ends && walk.gaps.is_empty() && c.undecoded.is_empty() && !c.findings.has_errors();
    Ok(c)
}

impl Check {
    fn device(&mut self, image: &SaveImage, d: &Device<'_>) {
        let header = &d.section.header;
        self.device_sections.tally(1);
        self.device_bytes = self.device_bytes.plus(d.section.payload.len());
        let mut covered = d.section.payload.len();
        if d.section.device.is_some() {
            self.described_sections.tally(1);
            for u in uncovered(d.root()) {
                covered = covered.minus(u.range.len());
                self.undecoded.push(UndecodedBytes {
                    section: header.idstr.clone(),
                    instance_id: header.instance_id,
                    within: u.within,
                    range: u.range,
                    why: u.why,
                });
            }
        } else if image.walk().description.is_some() {
            let what = "the description of the stream does not mention this section";
            let found = Diagnostic::new(Level::Error, "undescribed", what);
            self.findings.push(found.at(header.range).within(header.label()));
        }
        // without a description the section is one value, its bytes: covered, though not understood
        self.covered_device_bytes = self.covered_device_bytes.plus(covered);
        self.values = self.values.plus(leaves(d.root()));
        self.quirks.extend(d.decoded.quirk.map(|quirk| QuirkFound {
            section: header.idstr.clone(),
            instance_id: header.instance_id,
            quirk,
        }));
    }

    /// Compares the indices of virtio queues with those in guest memory, as QEMU does when it loads a device
    /// (`virtio_load` in `hw/virtio/virtio.c`).
    fn rings(&mut self, devices: &Devices, image: &SaveImage) -> Result<()> {
        let queues = || devices.virtio.iter().flat_map(|d| d.queues.iter().map(move |q| (d, q)));
        if queues().all(|(_, q)| rings::wanted(q).is_empty()) {
            return Ok(());
        }
        let memory: &GuestMemory = match image.memory() {
            Ok(m) => m,
            Err(e) if e.kind() == ErrorKind::Missing => {
                let what = format!("virtio queues were not compared with guest memory: {}", e.message());
                self.findings.push(Diagnostic::new(Level::Note, "rings-not-checked", what));
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        for (d, q) in queues() {
            let Some(ring) = rings::inspect(d, q, memory) else { continue };
            let severity = match ring {
                // the rings lie where no memory is known, or in pages that were not sent
                rings::Ring::Unreadable(_) => Level::Warning,
                _ => Level::Error,
            };
            let path = format!("{} {} queue {}", d.place(), d.kind.name, q.index);
            for p in ring.problems() {
                self.findings.push(Diagnostic::new(severity, "virtio-ring", p.as_str()).within(&path));
            }
        }
        Ok(())
    }
}

/// Counts the values of a tree.
fn leaves(root: &Node) -> u64 {
    let mut n = 0_u64;
    root.walk(&mut |_, node| {
        n = n.plus(match &node.value {
            Value::Struct(_) | Value::Array(_) => 0,
            Value::Packed(p) => p.values(),
            _ => 1,
        });
        true
    });
    n
}
