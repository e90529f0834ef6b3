//! A report in the Static Analysis Results Interchange Format, SARIF 2.1.0.

use std::collections::HashMap;

use serde::Serialize;

use super::{is_remark, sentence};
use crate::findings::{Aspect, Difference, Question, Report, Rule, Severity};
use crate::offset::Sure;
use crate::text::Name;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The document: one run.
#[derive(Serialize)]
pub struct Sarif {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
struct Run {
    tool: Tool,
    invocations: [Invocation; 1],
    results: Vec<Finding>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Message,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Message,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    rule_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    level: &'static str,
    message: Message,
    locations: [Location; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
    partial_fingerprints: Fingerprints,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressions: Option<[Suppression; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    physical_location: Physical,
    logical_locations: [Logical; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Region {
    Bytes { byte_offset: u64, byte_length: u64 },
    Line { start_line: u32 },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Logical {
    fully_qualified_name: String,
}

#[derive(Serialize)]
struct Fingerprints {
    #[serde(rename = "ruleAndPath/v1")]
    rule_and_path: String,
}

#[derive(Serialize)]
struct Suppression {
    kind: &'static str,
    status: &'static str,
    justification: String,
}

impl Sarif {
    /// Creates the document of a report.
    #[must_use]
    pub fn new(r: &Report) -> Self {
        let all = || r.differences.iter().map(|d| (d, None)).chain(r.accepted.iter().map(|(d, why)| (d, Some(why))));
        // those of the engine, and those of the file of accepted differences
        let mut rules: Vec<&'static Rule> = r.rules.to_vec();
        for (d, _) in all() {
            if !rules.iter().any(|known| known.id == d.rule.id) {
                rules.push(d.rule);
            }
        }
        let index: HashMap<&str, usize> = rules.iter().enumerate().map(|(i, rule)| (rule.id, i)).collect();
        let mut seen = HashMap::new();
        let results = all().map(|(d, why)| finding(r, d, why, &index, &mut seen)).collect();
        let descriptor = |rule: &&'static Rule| Descriptor { id: rule.id, short_description: rule.what.into() };
        let notification = |fault: &String| Notification { level: "error", message: fault.as_str().into() };
        let driver = Driver {
            name: "savevm-analyze",
            version: env!("CARGO_PKG_VERSION"),
            rules: rules.iter().map(descriptor).collect(),
        };
        let invocation = Invocation {
            execution_successful: r.faults.is_empty(),
            tool_execution_notifications: r.faults.iter().map(notification).collect(),
        };
        Self {
            schema: SCHEMA,
            version: "2.1.0",
            runs: [Run { tool: Tool { driver }, invocations: [invocation], results }],
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned() }
    }
}

fn finding(
    r: &Report,
    d: &Difference,
    accepted: Option<&String>,
    index: &HashMap<&str, usize>,
    seen: &mut HashMap<String, u32>,
) -> Finding {
    let path = d.subject.to_string();
    let mut key = format!("{}:{path}", d.rule.id);
    let n = seen.entry(key.clone()).or_insert(0);
    n.tally(1);
    if *n > 1 {
        key = format!("{key}#{n}");
    }
    let level = match d.severity {
        Severity::Breaks | Severity::Differs => "error",
        Severity::MayBreak => "warning",
        Severity::Harmless => "note",
    };
    let mut text = format!("{path}: {}", sentence(d));
    for line in &d.meaning {
        text = format!("{text}\n{line}");
    }
    // what was saved is at fault when it does not load, what is new when it differs
    let sides = [(0, "before", &d.before), (1, "after", &d.after)];
    let [saved, new] = sides;
    let (first, second) = if (r.question == Question::Diff && new.2.is_some()) || saved.2.is_none() {
        (new, saved)
    } else {
        (saved, new)
    };
    let location = |(i, _, side): (usize, &str, &Option<Aspect>)| location(r, i, side.as_ref(), &path);
    let related =
        second.2.as_ref().map(|_| Location { id: Some(1), message: Some(second.1.into()), ..location(second) });
    let suppression = |why: &String| [Suppression { kind: "external", status: "accepted", justification: why.clone() }];
    Finding {
        rule_id: d.rule.id,
        rule_index: index.get(d.rule.id).copied(),
        level,
        message: Message { text },
        locations: [entry(d).unwrap_or_else(|| location(first))],
        related_locations: related.into_iter().collect(),
        partial_fingerprints: Fingerprints { rule_and_path: key },
        suppressions: accepted.map(suppression),
    }
}

fn location(r: &Report, input: usize, side: Option<&Aspect>, path: &str) -> Location {
    let file = r.inputs.get(input).map_or("", Name::exact);
    let range = side.and_then(|s| s.range);
    let there = side.and_then(|s| s.path.as_deref()).unwrap_or(path);
    Location {
        id: None,
        physical_location: Physical {
            artifact_location: Artifact { uri: uri(file) },
            region: range.map(|r| Region::Bytes { byte_offset: r.start.0, byte_length: r.len() }),
        },
        logical_locations: [Logical { fully_qualified_name: there.to_owned() }],
        message: None,
    }
}

/// Returns the place of a remark on the file of accepted differences: the entry.
fn entry(d: &Difference) -> Option<Location> {
    let (file, line) = d.subject.field.rsplit_once(':').filter(|_| is_remark(d))?;
    let region = Some(Region::Line { start_line: line.parse().ok()? });
    Some(Location {
        id: None,
        physical_location: Physical { artifact_location: Artifact { uri: uri(file) }, region },
        logical_locations: [Logical { fully_qualified_name: d.subject.to_string() }],
        message: None,
    })
}

/// Returns a path as a URI: relative ones stay relative.
fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for b in path.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_references() {
        assert_eq!(uri("a/b-1.mig"), "a/b-1.mig");
        assert_eq!(uri("/var/tmp/a b%.mig"), "file:///var/tmp/a%20b%25.mig");
        assert_eq!(uri("c:ü"), "c%3A%C3%BC");
    }
}
