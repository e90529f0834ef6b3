//! What is missing from a state or unusual about it, from all places that know: one list.

use crate::diag::{Diagnostic, Level};
use crate::error::Error;
use crate::image::SaveImage;

/// One thing that is missing or unusual.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Problem<'a> {
    /// A finding of the walk through the stream.
    Finding(&'a Diagnostic),
    /// The stream has no description, so the device sections are not decoded.
    NoDescription {
        /// The number of device sections.
        device_sections: usize,
    },
    /// The walk could not go on: the stream is truncated or damaged.
    Stopped(&'a Error),
    /// A warning about a wrapper.
    WrapperRemark(String),
    /// A wrapper is damaged, and a part of the stream is missing.
    WrapperFault(String),
}

impl Problem<'_> {
    /// Returns its severity: with `Error`, something is missing from every answer about the whole state.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::Finding(d) => d.level,
            Self::NoDescription { .. } | Self::WrapperRemark(_) => Level::Warning,
            Self::Stopped(_) | Self::WrapperFault(_) => Level::Error,
        }
    }
}

/// Returns what is missing from a state or unusual about it, in the order of the stream.
#[must_use]
pub fn problems(image: &SaveImage) -> Vec<Problem<'_>> {
    let walk = image.walk();
    let mut out: Vec<Problem<'_>> = walk.found.list().iter().map(Problem::Finding).collect();
    let device_sections = image.device_sections().count();
    if image.schema().is_none() && device_sections > 0 {
        out.push(Problem::NoDescription { device_sections });
    }
    out.extend(walk.stopped.as_ref().map(Problem::Stopped));
    let container = image.container();
    out.extend(container.remarks().into_iter().map(Problem::WrapperRemark));
    // damage of a wrapper behind the end of the stream took nothing away
    if walk.is_cut() {
        out.extend(container.faults().into_iter().map(Problem::WrapperFault));
    }
    out
}
