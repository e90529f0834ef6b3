//! Types as JSON: `linux type --json`. Schema: `schemas/output/linux-type.schema.json`.

use serde::Serialize;

use super::head_json::Head;
use super::print_json::NumberJson;
use crate::os::linux::btf::{Answer, Kind, Part, TypeId, Types};
use crate::text::Name;

/// The document of `linux type --json`.
#[derive(Serialize)]
pub struct TypeDocument {
    #[serde(flatten)]
    head: Head,
    /// The types and members, in the order of the questions.
    pub types: Vec<AnswerJson>,
    /// The questions that have no answer.
    pub not_found: Vec<Name>,
}

impl TypeDocument {
    /// Creates a document without answers.
    #[must_use]
    pub fn new(head: Head) -> Self {
        Self { head, types: Vec::new(), not_found: Vec::new() }
    }

    /// Adds the answer to a question.
    pub fn add(&mut self, question: &str, types: &Types, answer: &Answer) {
        let question = Name::from(question);
        match answer {
            Answer::Types(ids) => {
                self.types.extend(ids.iter().map(|id| AnswerJson::of_type(question.clone(), types, *id)));
            }
            Answer::Member { of, path, id, bit, width } => {
                let mut a = AnswerJson::of_type(question, types, *id);
                a.member = Some(PlaceJson {
                    of: types.in_c(*of).into(),
                    path: Some(path.clone()),
                    r#type: Some(types.in_c(*id).into()),
                    offset: hex(bit >> 3),
                    size: types.size(*id),
                    bit: (*width > 0).then_some(bit & 7),
                    bits: (*width > 0).then_some(*width),
                });
                self.types.push(a);
            }
            Answer::At { of, found, .. } => {
                let mut a = AnswerJson::of_type(question, types, *of);
                // the structure itself was not asked for
                (a.members, a.holes) = (None, None);
                let one = |f: &crate::os::linux::btf::AtOffset| PlaceJson {
                    of: types.in_c(*of).into(),
                    path: f.id.map(|_| f.path.clone()),
                    r#type: f.id.map(|id| types.in_c(id).into()),
                    offset: hex(f.offset),
                    size: f.bytes,
                    bit: f.bits.map(|(bit, _)| bit & 7),
                    bits: f.bits.map(|(_, n)| n),
                };
                a.at = Some(found.iter().map(one).collect());
                self.types.push(a);
            }
        }
    }
}

/// An answer.
#[derive(Serialize)]
pub struct AnswerJson {
    question: Name,
    name: Name,
    kind: &'static str,
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<PlaceJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Vec<PlaceJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holes: Option<Vec<HoleJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<ValueJson>>,
}

#[derive(Serialize)]
struct PlaceJson {
    of: Name,
    path: Option<Name>,
    r#type: Option<Name>,
    offset: String,
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u32>,
}

#[derive(Serialize)]
struct MemberJson {
    name: Option<Name>,
    r#type: Name,
    offset: String,
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberJson>>,
}

#[derive(Serialize)]
struct HoleJson {
    offset: String,
    bit: u64,
    bits: u64,
}

#[derive(Serialize)]
struct ValueJson {
    name: Name,
    value: NumberJson,
}

impl AnswerJson {
    fn of_type(question: Name, types: &Types, id: TypeId) -> Self {
        let kind = types.kind(id);
        let mut out = Self {
            question,
            name: match kind {
                Kind::Function { name, .. } | Kind::Variable { name, .. } => name.into(),
                _ => types.in_c(id).into(),
            },
            kind: word(&kind),
            size: types.size(id),
            member: None,
            at: None,
            target: None,
            members: None,
            holes: None,
            values: None,
        };
        match &kind {
            Kind::Typedef { target, .. } | Kind::Variable { target, .. } => {
                out.target = Some(types.in_c(*target).into())
            }
            Kind::Function { prototype, .. } => out.target = Some(types.in_c(*prototype).into()),
            _ => {}
        }
        // what a typedef names is its content too
        let bare = types.bare(id);
        match types.kind(bare) {
            Kind::Composite(_) => {
                let parts = types.parts(bare);
                let mut holes = Vec::new();
                out.members = Some(members(types, &parts, &mut holes));
                out.holes = Some(holes);
            }
            Kind::Enumeration { signed, bytes, values, .. } => {
                let value = |v: i64| NumberJson::new(v.cast_unsigned(), signed, bytes.into());
                let all = values.iter().map(|v| ValueJson { name: v.name.into(), value: value(v.value) });
                out.values = Some(all.collect());
            }
            _ => {}
        }
        out
    }
}

fn members(types: &Types, parts: &[Part], holes: &mut Vec<HoleJson>) -> Vec<MemberJson> {
    let mut out = Vec::new();
    for p in parts {
        match p {
            Part::Hole { bit, bits } => holes.push(HoleJson { offset: hex(bit >> 3), bit: bit & 7, bits: *bits }),
            Part::Member(m) => {
                let is_field = m.width > 0;
                let inner = if m.parts.is_empty() { None } else { Some(members(types, &m.parts, holes)) };
                out.push(MemberJson {
                    name: (!m.name.is_empty()).then(|| m.name.clone()),
                    r#type: types.in_c(m.id).into(),
                    offset: hex(m.bit >> 3),
                    size: m.bytes,
                    bit: is_field.then_some(m.bit & 7),
                    bits: is_field.then_some(m.width),
                    members: inner,
                });
            }
        }
    }
    out
}

fn hex(offset: u64) -> String {
    format!("{offset:#x}")
}

/// Returns the word for a kind.
fn word(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::Void => "void",
        Kind::Integer(_) => "integer",
        Kind::Float { .. } => "float",
        Kind::Pointer(_) => "pointer",
        Kind::Array { .. } => "array",
        Kind::Composite(c) if c.is_union => "union",
        Kind::Composite(_) => "struct",
        Kind::Enumeration { .. } => "enum",
        Kind::Forward { .. } => "forward",
        Kind::Typedef { .. } => "typedef",
        Kind::Qualified { .. } => "qualified",
        Kind::Function { .. } | Kind::Prototype { .. } => "function",
        Kind::Variable { .. } => "variable",
        _ => "other",
    }
}
