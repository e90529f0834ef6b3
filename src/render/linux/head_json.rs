//! What every document about a Linux guest begins and ends with.

use serde::Serialize;

use super::super::state_json::{FindingJson, SCHEMA_VERSION};
use crate::error::Error;
use crate::image::SaveImage;
use crate::os::linux::guest::Guest;
use crate::text::Name;

/// What every document about a Linux guest has.
#[derive(Serialize)]
pub struct Head {
    schema_version: u32,
    machine: Option<Name>,
    release: Name,
    found: Vec<String>,
    complete: bool,
    diagnostics: Vec<FindingJson>,
}

impl Head {
    /// Describes the guest; `problems` are what could not be read.
    #[must_use]
    pub fn new(image: &SaveImage, guest: &Guest<'_>, problems: &[Error]) -> Self {
        let walk = image.walk();
        let mut diagnostics: Vec<FindingJson> = walk.found.list().iter().map(FindingJson::from).collect();
        diagnostics.extend(problems.iter().chain(&walk.stopped).map(FindingJson::from));
        Self {
            schema_version: SCHEMA_VERSION,
            machine: image.machine().cloned(),
            release: guest.release(),
            found: guest.steps().to_vec(),
            complete: problems.is_empty() && walk.stopped.is_none(),
            diagnostics,
        }
    }
}
