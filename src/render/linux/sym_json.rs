//! Kernel symbols as JSON: `linux sym --json`. Schema: `schemas/output/sym.schema.json`.

use serde::Serialize;

use super::super::dmesg_json::FoundJson;
use super::super::state_json::{FindingJson, SCHEMA_VERSION};
use crate::os::linux::find::Located;
use crate::os::linux::kallsyms::{Form, Symbol};
use crate::text::Name;

/// The document of `linux sym --json`.
#[derive(Serialize)]
pub struct SymDocument<'a> {
    schema_version: u32,
    machine: Option<&'a Name>,
    release: Name,
    vmcoreinfo: Option<FoundJson>,
    found: Vec<String>,
    address_form: &'static str,
    /// The symbols.
    pub symbols: Vec<SymbolJson>,
    /// What was asked for and is not there.
    pub not_found: Vec<&'a str>,
    /// Whether nothing is missing.
    pub complete: bool,
    /// What was found on the way.
    pub diagnostics: Vec<FindingJson>,
}

impl<'a> SymDocument<'a> {
    /// Creates a document without symbols.
    #[must_use]
    pub fn new(machine: Option<&'a Name>, located: &Located<'_>) -> Self {
        let address_form = match located.symbols.form() {
            Form::AbsolutePerCpu => "absolute-percpu",
            Form::Relative => "relative",
            Form::PlaceRelative => "place-relative",
        };
        Self {
            schema_version: SCHEMA_VERSION,
            machine,
            release: located.release(),
            vmcoreinfo: located.found.as_ref().map(FoundJson::from),
            found: located.steps.clone(),
            address_form,
            symbols: Vec::new(),
            not_found: Vec::new(),
            complete: true,
            diagnostics: Vec::new(),
        }
    }
}

/// A symbol.
#[derive(Serialize)]
pub struct SymbolJson {
    address: String,
    #[serde(rename = "type")]
    kind: char,
    name: Name,
    /// Whether the table does not have it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    exported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<String>,
}

impl SymbolJson {
    /// Describes a symbol, and how far after its address the address is that was asked for.
    #[must_use]
    pub fn new(s: &Symbol<'_>, offset: u64) -> Self {
        Self {
            address: format!("{:#018x}", s.address),
            kind: s.kind,
            name: s.name(),
            exported: s.exported,
            offset: (offset > 0).then(|| format!("{offset:#x}")),
        }
    }
}
