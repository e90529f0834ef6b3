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
    /// libvirt marks the save image as partial.
    WrapperPartial,
    /// A wrapper is damaged, and a part of the stream is missing.
    WrapperFault(String),
    /// A wrapper is damaged, and the stream is there to its end: its last bytes are missing, or a checksum does not fit.
    /// libvirt does not restore a save image whose decompressor fails.
    WrapperFaultAfterEnd(String),
}

/// What a problem means for answers about the state, and for the verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Worth knowing.
    Note,
    /// Unusual; the answers are complete, and the state is sound.
    Unusual,
    /// The answers are complete, but the state is not sound: what saved it would not load it.
    Unsound,
    /// Something is missing from every answer about the whole state, which is not sound.
    Incomplete,
}

impl Grade {
    /// Returns the severity for an answer about the state.
    #[must_use]
    pub const fn in_answers(self) -> Level {
        match self {
            Self::Note => Level::Note,
            Self::Unusual | Self::Unsound => Level::Warning,
            Self::Incomplete => Level::Error,
        }
    }

    /// Returns the severity for a verdict: with `Error`, the state is not sound.
    #[must_use]
    pub const fn in_verdict(self) -> Level {
        match self {
            Self::Note => Level::Note,
            Self::Unusual => Level::Warning,
            Self::Unsound | Self::Incomplete => Level::Error,
        }
    }
}

impl Problem<'_> {
    /// Returns what it means.
    #[must_use]
    pub const fn grade(&self) -> Grade {
        match self {
            Self::Finding(d) => match d.level {
                Level::Note => Grade::Note,
                Level::Warning => Grade::Unusual,
                Level::Error => Grade::Incomplete,
            },
            Self::NoDescription { .. } | Self::WrapperRemark(_) => Grade::Unusual,
            Self::WrapperPartial | Self::WrapperFaultAfterEnd(_) => Grade::Unsound,
            Self::Stopped(_) | Self::WrapperFault(_) => Grade::Incomplete,
        }
    }

    /// Returns a problem of a wrapper as a finding of a verdict; `None` for any other problem.
    #[must_use]
    pub fn of_wrapper(&self) -> Option<Diagnostic> {
        let (code, what) = match self {
            Self::Finding(_) | Self::NoDescription { .. } | Self::Stopped(_) => return None,
            Self::WrapperRemark(what) => ("container", what.as_str()),
            Self::WrapperPartial => ("container-partial", PARTIAL),
            Self::WrapperFault(what) | Self::WrapperFaultAfterEnd(what) => ("container-damaged", what.as_str()),
        };
        Some(Diagnostic::new(self.grade().in_verdict(), code, what))
    }
}

/// What is said of a save image that libvirt did not finish.
const PARTIAL: &str = "the save image is unfinished: libvirt marked it as partial, and refuses to restore it";

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
    out.extend(container.libvirt().filter(|i| !i.complete).map(|_| Problem::WrapperPartial));
    let fault = if walk.is_cut() { Problem::WrapperFault } else { Problem::WrapperFaultAfterEnd };
    out.extend(container.faults().into_iter().map(fault));
    out
}
