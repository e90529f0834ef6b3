//! What the documents that list devices have in common: `pci --json` and `virtio --json`.

use crate::text::Name;
use serde::Serialize;

use super::state_json::{FindingJson, SCHEMA_VERSION};

/// A document that lists devices of a kind.
#[derive(Serialize)]
pub struct DevicesDocument<'a, D> {
    schema_version: u32,
    machine: Option<&'a Name>,
    devices: Vec<D>,
    complete: bool,
    diagnostics: Vec<FindingJson>,
}

impl<'a, D> DevicesDocument<'a, D> {
    pub(super) fn new(
        machine: Option<&'a Name>,
        devices: Vec<D>,
        diagnostics: Vec<FindingJson>,
        complete: bool,
    ) -> Self {
        Self { schema_version: SCHEMA_VERSION, machine, devices, complete, diagnostics }
    }
}
