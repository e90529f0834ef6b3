//! A report as JSON. Schema: `schemas/output/report.schema.json`.

use serde::Serialize;

use super::verdict;
use crate::findings::{Aspect, Difference, Report};
use crate::offset::StreamRange;
use crate::render::state_json::{RangeJson, SCHEMA_VERSION};
use crate::text::Name;

/// The document of `diff --json` and `compat --json`.
#[derive(Serialize)]
pub struct ReportDocument<'a> {
    schema_version: u32,
    command: &'a str,
    inputs: &'a [Name],
    verdict: &'static str,
    complete: bool,
    findings: Vec<Finding<'a>>,
    accepted: Vec<Accepted<'a>>,
    ignored: u64,
    compared: usize,
    faults: &'a [String],
}

#[derive(Serialize)]
struct Finding<'a> {
    rule: &'static str,
    verdict: &'static str,
    path: String,
    section: &'a Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<u32>,
    #[serde(skip_serializing_if = "str::is_empty")]
    field: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Side<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Side<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    meaning: &'a [String],
}

#[derive(Serialize)]
struct Accepted<'a> {
    reason: &'a str,
    #[serde(flatten)]
    finding: Finding<'a>,
}

#[derive(Serialize)]
struct Side<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    text: &'a str,
    #[serde(flatten, serialize_with = "place")]
    range: Option<StreamRange>,
}

fn place<S: serde::Serializer>(range: &Option<StreamRange>, s: S) -> Result<S::Ok, S::Error> {
    range.map(RangeJson::from).serialize(s)
}

impl<'a> ReportDocument<'a> {
    /// Creates the document of a report.
    #[must_use]
    pub fn new(r: &'a Report) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            command: r.question.name(),
            inputs: &r.inputs,
            verdict: verdict(r),
            complete: r.faults.is_empty(),
            findings: r.differences.iter().map(Finding::from).collect(),
            accepted: r.accepted.iter().map(|(d, reason)| Accepted { reason, finding: d.into() }).collect(),
            ignored: r.ignored,
            compared: r.compared.len(),
            faults: &r.faults,
        }
    }
}

impl<'a> From<&'a Difference> for Finding<'a> {
    fn from(d: &'a Difference) -> Self {
        Self {
            rule: d.rule.id,
            verdict: d.severity.name(),
            path: d.subject.to_string(),
            section: &d.subject.section,
            instance: d.subject.instance,
            field: &d.subject.field,
            message: &d.message,
            before: d.before.as_ref().map(Side::from),
            after: d.after.as_ref().map(Side::from),
            meaning: &d.meaning,
        }
    }
}

impl<'a> From<&'a Aspect> for Side<'a> {
    fn from(a: &'a Aspect) -> Self {
        Self { path: a.path.as_deref(), text: &a.text, range: a.range }
    }
}
