//! Values of the kernel as JSON: `linux print --json`. Schema: `schemas/output/linux-print.schema.json`.

use serde::Serialize;

use super::head_json::Head;
use crate::os::linux::print::{Item, Limits, Shown};
use crate::text::Name;

/// The document of `linux print --json`.
#[derive(Serialize)]
pub struct PrintDocument {
    #[serde(flatten)]
    head: Head,
    expressions: Vec<ExpressionJson>,
}

/// An expression and its values.
#[derive(Serialize)]
pub struct ExpressionJson {
    expression: Name,
    values: Vec<ItemJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Name>,
}

#[derive(Serialize)]
struct ItemJson {
    label: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(flatten)]
    value: ValueJson,
}

/// A number as JSON: up to 32 bits a number, above that text.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum NumberJson {
    Small(i64),
    Wide(String),
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum ValueJson {
    Integer {
        value: NumberJson,
    },
    Bool {
        value: bool,
    },
    Enum {
        value: NumberJson,
        enumerator: Option<Name>,
    },
    Text {
        value: Name,
    },
    Pointer {
        value: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        symbol: Option<Name>,
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Name>,
    },
    Members {
        members: Vec<MemberJson>,
    },
    Array {
        count: Option<u64>,
        elements: Vec<Self>,
    },
    /// Deeper than was asked for.
    Deeper,
    Unread {
        error: Name,
    },
}

#[derive(Serialize)]
struct MemberJson {
    name: Name,
    #[serde(flatten)]
    value: ValueJson,
}

impl PrintDocument {
    /// Creates a document.
    #[must_use]
    pub fn new(head: Head, expressions: Vec<ExpressionJson>) -> Self {
        Self { head, expressions }
    }
}

impl ExpressionJson {
    /// Describes the values of an expression, and why there are none or no more.
    #[must_use]
    pub fn new(expression: &str, items: &[Item<'_>], limits: Limits, error: Option<String>) -> Self {
        let one = |i: &Item<'_>| match &i.value {
            Ok(v) => ItemJson {
                label: i.label.clone(),
                r#type: Some(v.type_in_c()),
                address: v.address().map(|a| format!("{a:#018x}")),
                value: ValueJson::from(&v.show(limits)),
            },
            Err(e) => ItemJson {
                label: i.label.clone(),
                r#type: None,
                address: None,
                value: ValueJson::Unread { error: e.to_string().into() },
            },
        };
        Self { expression: expression.into(), values: items.iter().map(one).collect(), error: error.map(Name::from) }
    }
}

impl NumberJson {
    /// Creates a number of a type that has so many bytes; a negative one has all upper bits set.
    pub(super) fn new(value: u64, signed: bool, bytes: u64) -> Self {
        match bytes {
            0..=4 if signed => Self::Small(value.cast_signed()),
            0..=4 => Self::Small(i64::from(u32::try_from(value & 0xffff_ffff).unwrap_or(0))),
            _ => Self::Wide(format!("{value:#018x}")),
        }
    }
}

impl From<&Shown> for ValueJson {
    fn from(v: &Shown) -> Self {
        match v {
            Shown::Integer { value, signed, bytes } => {
                Self::Integer { value: NumberJson::new(*value, *signed, *bytes) }
            }
            Shown::Bool(value) => Self::Bool { value: *value },
            Shown::Enumerator { name, value, bytes } => {
                Self::Enum { value: NumberJson::new(value.cast_unsigned(), true, *bytes), enumerator: name.clone() }
            }
            Shown::Text(text) => Self::Text { value: text.clone() },
            Shown::Pointer { address, symbol, text } => Self::Pointer {
                value: format!("{address:#018x}"),
                symbol: symbol.as_ref().map(|(name, _)| name.clone()),
                offset: symbol.as_ref().filter(|(_, n)| *n > 0).map(|(_, n)| format!("{n:#x}")),
                text: text.clone(),
            },
            Shown::Members(list) => Self::Members {
                members: list.iter().map(|(name, v)| MemberJson { name: name.clone(), value: v.into() }).collect(),
            },
            Shown::Elements { list, count } => {
                Self::Array { count: *count, elements: list.iter().map(Self::from).collect() }
            }
            Shown::Deeper => Self::Deeper,
            Shown::Unread(e) => Self::Unread { error: e.to_string().into() },
        }
    }
}
