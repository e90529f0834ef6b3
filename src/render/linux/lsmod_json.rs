//! Modules as JSON: `linux lsmod --json`. Schema: `schemas/output/linux-lsmod.schema.json`.

use serde::Serialize;

use super::head_json::Head;
use crate::os::linux::modules::Module;
use crate::text::Name;

/// The document of `linux lsmod --json`.
#[derive(Serialize)]
pub struct LsmodDocument<'a> {
    #[serde(flatten)]
    head: Head,
    modules: Vec<ModuleJson<'a>>,
}

impl<'a> LsmodDocument<'a> {
    /// Describes modules.
    #[must_use]
    pub fn new(head: Head, modules: &'a [Module]) -> Self {
        Self { head, modules: modules.iter().map(ModuleJson::from).collect() }
    }
}

#[derive(Serialize)]
struct ModuleJson<'a> {
    address: String,
    name: &'a Name,
    bytes: u64,
    base: String,
    references: Option<u64>,
    users: &'a [Name],
    state: &'static str,
    taints: u64,
}

impl<'a> From<&'a Module> for ModuleJson<'a> {
    fn from(m: &'a Module) -> Self {
        Self {
            address: format!("{:#x}", m.address),
            name: &m.name,
            bytes: m.bytes,
            base: format!("{:#x}", m.base),
            references: m.references,
            users: &m.users,
            state: m.state,
            taints: m.taints,
        }
    }
}
