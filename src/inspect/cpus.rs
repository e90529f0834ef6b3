//! The processors of a state, with their interrupt controllers and clocks.

use crate::decode::cpu::{self, Cpu, Group, Sections};
use crate::dump::Processor;
use crate::error::{Error, Result};
use crate::image::{Device, SaveImage};
use crate::text::Name;

/// The sections of processors, interrupt controllers and clocks, each with the name of its vmsd.
pub struct Cpus<'a> {
    devices: Vec<(Name, Device<'a>)>,
}

impl<'a> Cpus<'a> {
    /// Decodes the sections of a state.
    ///
    /// # Errors
    /// `Io`.
    pub fn find(image: &'a SaveImage) -> Result<Self> {
        let mut devices = Vec::new();
        for section in image.device_sections() {
            // without a description only the processors are known, by the names of their sections
            let described = image.device_schema(section).map(|d| &d.vmsd.name);
            let vmsd = described.unwrap_or(&section.header.idstr);
            if matches!(vmsd.exact(), "cpu" | "cpu_common") || described.is_some_and(|d| cpu::is_part(d.exact())) {
                devices.push((vmsd.clone(), image.decode(section)?));
            }
        }
        Ok(Self { devices })
    }

    /// Returns the sections of the processors.
    pub fn sections(&self) -> impl Iterator<Item = &Device<'a>> {
        self.devices.iter().filter(|(n, _)| n == "cpu").map(|(_, d)| d)
    }

    /// Returns the processors as dumps take them, in the order of their numbers. One without a description has no fields, and is left
    /// out.
    #[must_use]
    pub fn processors(&self) -> Vec<Processor<'_>> {
        let described = self.sections().filter(|d| d.section.device.is_some());
        let mut out: Vec<Processor<'_>> = described.map(|d| Processor::new(d.instance_id(), d.root())).collect();
        out.sort_by_key(|p| p.index);
        out
    }

    /// Returns a processor; `None` if its architecture is not known.
    #[must_use]
    pub fn decode(&self, d: &Device<'_>) -> Option<Cpu> {
        let index = d.instance_id();
        let common = self.of("cpu_common", index).map(Device::root);
        let apic = self.of("apic", index).map(Device::root);
        cpu::decode(index, Sections { cpu: d.root(), common, apic })
    }

    /// Returns interrupt controllers and clocks, in the order of the stream.
    #[must_use]
    pub fn parts(&self) -> Vec<Group> {
        let groups = self.devices.iter().filter_map(|(vmsd, d)| {
            let group = cpu::decode_part(vmsd.exact(), d.instance_id(), d.root())?;
            (!group.registers.is_empty()).then_some(group)
        });
        groups.collect()
    }

    /// Returns what could not be decoded, in the order of the stream.
    pub fn errors(&self) -> impl Iterator<Item = &Error> {
        self.devices.iter().flat_map(|(_, d)| &d.decoded.errors)
    }

    fn of(&self, vmsd: &str, instance: u32) -> Option<&Device<'a>> {
        let mut with_name = self.devices.iter().filter(|(n, _)| *n == vmsd).map(|(_, d)| d);
        with_name.find(|d| d.instance_id() == instance)
    }
}
