//! What changed between two states.
//!
//! Sections are matched by name and instance, structures inside them by the descriptions, fields by name: the
//! comparison covers what a state means, not the position of its parts. See [`compare`] for the devices, [`memory`]
//! for the pages and [`learn`] for what changes by itself.

mod array;
mod found;
pub mod learn;
mod meaning;
pub mod memory;
pub mod rules;
mod sections;
mod stream;
mod tree;

use crate::error::Result;
use crate::findings::{Question, Report};
use crate::image::SaveImage;
use crate::text::Name;
use crate::value::names_device;

/// What is compared.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only sections that these patterns mean ([`names_device`]); empty for all that there is.
    pub devices: Vec<String>,
}

impl Options {
    /// Returns whether a section, or another part of the stream, is compared; `vmsd` may be empty.
    #[must_use]
    pub fn wants(&self, name: &str, vmsd: &str, instance: Option<u32>) -> bool {
        let short = name.rsplit('/').next().unwrap_or_default();
        self.devices.is_empty() || self.devices.iter().any(|g| names_device(g, &[name, short, vmsd], instance))
    }
}

/// An input with the name that the user gave it.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The name.
    pub name: &'a Name,
    /// The state.
    pub image: &'a SaveImage,
}

/// Compares two states: configuration, commands, list of RAM blocks, sections and the trees of the device sections.
///
/// # Errors
/// `Io`. What cannot be decoded is compared as bytes, and is among the report's faults.
pub fn compare(a: Input<'_>, b: Input<'_>, options: &Options) -> Result<Report> {
    let mut report = Report {
        question: Question::Diff,
        inputs: [a.name.clone(), b.name.clone()],
        rules: rules::RULES,
        ..Report::default()
    };
    stream::faults(a, &mut report);
    stream::faults(b, &mut report);
    stream::compare(a.image, b.image, options, &mut report);
    sections::compare(a, b, options, &mut report)?;
    Ok(report)
}
