//! Values of the kernel by expressions, as a debugger prints them.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let guest: &savevm_analyze::os::linux::guest::Guest<'_> = unimplemented!();
//! use savevm_analyze::os::linux::print::{evaluate, parse};
//!
//! let expression = parse("list(init_task.tasks, struct task_struct, tasks).comm")?;
//! for item in evaluate(guest, &expression)?.items {
//!     println!("{}", item.label);
//! }
//! # Ok(())
//! # }
//! ```

mod parse;
mod value;

pub use parse::{Action, Expression, Head, Misread, Place, Step, parse};
pub use value::{Limits, Shown};

use std::ops::Range;

use super::btf::{Kind, TypeId};
use super::guest::Guest;
use super::guest::Object;
use super::{globals, percpu};
use crate::error::{Error, ErrorKind, Result};
use crate::text::Name;

/// Values of one expression: elements of lists and ranges.
const MAX_ITEMS: usize = 1 << 16;

/// A value that an expression has.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value<'g> {
    /// What is in memory.
    Object(Object<'g>),
    /// The address of something in memory.
    Address(Object<'g>),
    /// An array whose type is not among those of the kernel.
    Elements {
        /// The first element.
        first: Object<'g>,
        /// The number of elements, if it is known.
        count: Option<u64>,
    },
}

/// One of the values of an expression.
#[derive(Debug)]
#[non_exhaustive]
pub struct Item<'g> {
    /// An expression that has this value alone.
    pub label: Name,
    /// The value; an error if one of many cannot be read.
    pub value: Result<Value<'g>>,
}

/// The values of an expression.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Items<'g> {
    /// The values.
    pub items: Vec<Item<'g>>,
    /// Why there are no more, if a list ends with an error.
    pub problem: Option<Error>,
}

/// Why an expression has no value.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fault {
    /// Which part of the text.
    pub at: Range<usize>,
    /// Why.
    pub error: Error,
    /// Which names there are instead.
    pub near: Near,
}

/// Names that may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Near {
    /// None.
    Nothing,
    /// The members of a structure are like this name.
    Member(TypeId, Name),
    /// A symbol is like this name.
    Symbol(Name),
    /// A type is like this name.
    Type(Name),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Fault {}

/// Why a part of an expression has no value, and the names that there are instead.
type Refusal = (Error, Near);

fn unsupported(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, what.into())
}

fn missing(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Missing, what.into())
}

impl Value<'_> {
    /// Returns the type in C.
    #[must_use]
    pub fn type_in_c(&self) -> Name {
        match self {
            Self::Object(o) => o.guest().types().in_c(o.type_id()),
            Self::Address(o) => o.guest().types().declaration(o.type_id(), "*"),
            Self::Elements { first, count } => {
                let count = count.map_or_else(String::new, |n| n.to_string());
                first.guest().types().declaration(first.type_id(), &format!("[{count}]"))
            }
        }
        .into()
    }

    /// Returns where it is in memory; `None` for an address, which is nowhere.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        match self {
            Self::Object(o) => Some(o.address()),
            Self::Address(_) => None,
            Self::Elements { first, .. } => Some(first.address()),
        }
    }

    /// Reads the value.
    #[must_use]
    pub fn show(&self, limits: Limits) -> Shown {
        value::show(self, limits)
    }
}

/// Evaluates an expression.
///
/// # Errors
/// See [`Fault`]. If one of many values cannot be read, that is in its [`Item`].
pub fn evaluate<'g>(guest: &'g Guest<'g>, e: &Expression) -> std::result::Result<Items<'g>, Fault> {
    let mut out = Items::default();
    let fault = |at: &Range<usize>, (error, near): Refusal| Fault { at: at.clone(), error, near };
    match &e.head {
        Head::Variable { name, cpu } => {
            let value = variable(guest, name, *cpu).map_err(|r| fault(&e.at, r))?;
            let cpu = cpu.map_or_else(String::new, |n| format!("@cpu{n}"));
            out.items.push(Item { label: format!("{name}{cpu}").into(), value: Ok(value) });
        }
        Head::Cast { words, place, cpu } => {
            let address = address(guest, place, *cpu).map_err(|r| fault(&e.at, r))?;
            let value = typed(guest, words, address).map_err(|r| fault(&e.at, r))?;
            out.items.push(Item { label: format!("{words}@{address:#x}").into(), value: Ok(value) });
        }
        Head::List { head, structure, member } => {
            elements(guest, head, (structure, member), &mut out, &e.at)?;
        }
    }
    for step in &e.steps {
        let many = out.items.len() > 1 || matches!(e.head, Head::List { .. });
        let mut next = Vec::new();
        for item in out.items {
            let value = match item.value {
                Ok(v) => v,
                Err(e) => {
                    next.push(Item { label: item.label, value: Err(e) });
                    continue;
                }
            };
            if let Action::Elements(range) = &step.what {
                let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
                if next.len().saturating_add(len) > MAX_ITEMS {
                    let what = format!("expected at most {MAX_ITEMS} values");
                    return Err(fault(&step.at, (Error::new(ErrorKind::LimitExceeded, what), Near::Nothing)));
                }
                for n in range.clone() {
                    let one = apply(&value, &Action::Element(n)).map_err(|r| fault(&step.at, r))?;
                    next.push(Item { label: label(&item.label, &Action::Element(n)), value: Ok(one) });
                }
                continue;
            }
            let label = label(&item.label, &step.what);
            match apply(&value, &step.what) {
                Ok(v) => next.push(Item { label, value: Ok(v) }),
                // a null pointer in one element says nothing about the others
                Err((e, Near::Nothing)) if many && e.kind() == ErrorKind::Missing => {
                    next.push(Item { label, value: Err(e) });
                }
                Err(r) => return Err(fault(&step.at, r)),
            }
        }
        out.items = next;
    }
    Ok(out)
}

/// Returns a label with one more step.
fn label(before: &Name, what: &Action) -> Name {
    let before = before.exact();
    let inner = if before.starts_with(['*', '&']) { format!("({before})") } else { before.to_owned() };
    match what {
        Action::Member(m) => format!("{inner}.{m}"),
        Action::Element(n) => format!("{inner}[{n}]"),
        Action::Elements(r) => format!("{inner}[{}..{}]", r.start, r.end),
        Action::Target => format!("*{before}"),
        Action::Address => format!("&{before}"),
    }
    .into()
}

/// Returns the address of a symbol, on a processor if one is given.
fn address(guest: &Guest<'_>, place: &Place, cpu: Option<u64>) -> std::result::Result<u64, Refusal> {
    let at = match place {
        Place::Address(at) => *at,
        Place::Symbol(name) => guest.symbol(name).map_err(|e| (e, Near::Symbol(name.as_str().into())))?,
    };
    let Some(cpu) = cpu else {
        return match place {
            Place::Symbol(name) if is_per_cpu(guest, at) => {
                let e = unsupported(format!("each processor has its own {name}"));
                Err((e.hint(format!("give one: {name}@cpu0")), Near::Nothing))
            }
            _ => Ok(at),
        };
    };
    let refused = |e: Error| (e, Near::Nothing);
    if let Ok(n) = percpu::processors(guest)
        && cpu >= n
    {
        return Err(refused(missing(format!("expected a processor below {n}, found {cpu}"))));
    }
    Ok(at.wrapping_add(percpu::offset(guest, cpu).map_err(refused)?))
}

/// Returns whether an address is in the section of per-CPU variables, of which each processor has a copy elsewhere.
fn is_per_cpu(guest: &Guest<'_>, at: u64) -> bool {
    guest.per_cpu_section().is_some_and(|r| r.contains(&at))
}

fn variable<'g>(guest: &'g Guest<'g>, name: &str, cpu: Option<u64>) -> std::result::Result<Value<'g>, Refusal> {
    let at = address(guest, &Place::Symbol(name.to_owned()), cpu)?;
    let types = guest.types();
    let in_btf = types.named(name).find_map(|id| match types.kind(id) {
        Kind::Variable { target, .. } => Some(target),
        _ => None,
    });
    // BTF has variables that are per-CPU; another file may have a static one of that name
    if let Some(id) = in_btf.filter(|_| cpu.is_some() || guest.per_cpu_section().is_none()) {
        return Ok(Value::Object(Object::new(guest, id, at)));
    }
    if let Some(words) = globals::type_of(name) {
        let known = words.split('|').find_map(|w| typed(guest, w, at).ok());
        return known.ok_or_else(|| {
            (unsupported(format!("{name} is {words}, and the kernel has no such type")), Near::Nothing)
        });
    }
    let is_code = guest.symbols().named(name).next().is_some_and(|s| matches!(s.kind, 't' | 'T' | 'w' | 'W'));
    let e = if is_code {
        unsupported(format!("{name} is a function")).hint("linux type prints its prototype")
    } else {
        let what = format!("the type of {name} is not known: the kernel has those of per-CPU variables alone");
        unsupported(what).hint(format!("give the type: TYPE@{name}"))
    };
    Err((e, Near::Nothing))
}

/// Returns what is at an address as a value of a type that is given by words.
fn typed<'g>(guest: &'g Guest<'g>, words: &str, at: u64) -> std::result::Result<Value<'g>, Refusal> {
    let types = guest.types();
    let find = |words: &str| {
        types.by_words(words).ok_or_else(|| {
            let near = Near::Type(words.trim_end_matches(['*', ' ']).into());
            (missing(format!("the kernel has no type {:?}", Name::from(words))), near)
        })
    };
    match words.strip_suffix(']').and_then(|w| w.split_once('[')) {
        Some((inner, n)) => {
            let first = Object::new(guest, find(inner.trim())?, at);
            let count = if n.is_empty() { None } else { n.parse().ok() };
            Ok(Value::Elements { first, count })
        }
        None => Ok(Value::Object(Object::new(guest, find(words)?, at))),
    }
}

/// Finds the elements of a list.
fn elements<'g>(
    guest: &'g Guest<'g>,
    head: &Expression,
    (structure, member): (&str, &str),
    out: &mut Items<'g>,
    at: &Range<usize>,
) -> std::result::Result<(), Fault> {
    let types = guest.types();
    let fault = |error: Error, near: Near| Fault { at: at.clone(), error, near };
    let Some(id) = types.structure(structure) else {
        let name = Name::from(structure);
        return Err(fault(missing(format!("the kernel has no struct {name}")), Near::Type(name)));
    };
    if types.offset(structure, member).is_none() {
        let what = format!("struct {structure} has no member {member}");
        return Err(fault(missing(what), Near::Member(id, member.into())));
    }
    let heads = evaluate(guest, head)?;
    out.problem = heads.problem;
    for h in heads.items {
        let value = h.value.map_err(|e| fault(e, Near::Nothing))?;
        let head = match value {
            Value::Address(o) => o,
            Value::Object(o) if is_pointer(&o) => o.target().map_err(|e| fault(e, Near::Nothing))?,
            Value::Object(o) => o,
            Value::Elements { .. } => {
                return Err(fault(unsupported("expected the head of a list, found an array"), Near::Nothing));
            }
        };
        if !head.has("next") && !head.has("first") {
            let found = Name::from(types.in_c(head.type_id()));
            let what = format!("expected the head of a list (struct list_head or hlist_head), found {found}");
            return Err(fault(unsupported(what), Near::Nothing));
        }
        for o in head.list(structure, member, MAX_ITEMS.saturating_sub(out.items.len())) {
            match o {
                Ok(o) => {
                    let label = format!("struct {structure}@{:#x}", o.address()).into();
                    out.items.push(Item { label, value: Ok(Value::Object(o)) });
                }
                Err(e) => {
                    out.problem = Some(e);
                    break;
                }
            }
        }
    }
    Ok(())
}

fn is_pointer(o: &Object<'_>) -> bool {
    let types = o.guest().types();
    matches!(types.kind(types.bare(o.type_id())), Kind::Pointer(_))
}

/// Returns an element of an array that begins with an object.
fn at_index<'g>(first: &Object<'g>, n: u64) -> Result<Object<'g>> {
    let size = first.size().ok_or_else(|| unsupported("the size of an element is not known"))?;
    let at = first.address().wrapping_add(n.wrapping_mul(size));
    Ok(Object::new(first.guest(), first.type_id(), at))
}

fn apply<'g>(value: &Value<'g>, what: &Action) -> std::result::Result<Value<'g>, Refusal> {
    let refused = |e: Error| (e, Near::Nothing);
    match what {
        Action::Member(name) => member(value, name),
        Action::Element(n) => match value {
            Value::Object(o) => o.element(*n).map(Value::Object).map_err(refused),
            Value::Elements { first, count } => match count {
                Some(c) if n >= c => Err(refused(missing(format!("expected an element below {c}, found {n}")))),
                _ => at_index(first, *n).map(Value::Object).map_err(refused),
            },
            Value::Address(o) => at_index(o, *n).map(Value::Object).map_err(refused),
        },
        Action::Target => match value {
            Value::Object(o) if is_pointer(o) => o.target().map(Value::Object).map_err(refused),
            Value::Address(o) => Ok(Value::Object(*o)),
            _ => Err(refused(unsupported(format!("expected a pointer, found {}", value.type_in_c())))),
        },
        Action::Address => match value {
            Value::Object(o) if o.bits().is_none() => Ok(Value::Address(*o)),
            Value::Object(_) => Err(refused(unsupported("a bit-field has no address"))),
            Value::Elements { first, .. } => Ok(Value::Address(*first)),
            Value::Address(_) => Err(refused(unsupported("an address has no address"))),
        },
        Action::Elements(_) => Err(refused(unsupported("a range is not one element"))),
    }
}

fn member<'g>(value: &Value<'g>, name: &str) -> std::result::Result<Value<'g>, Refusal> {
    let of = match value {
        Value::Object(o) | Value::Address(o) => *o,
        Value::Elements { .. } => {
            let what = format!("expected a structure, found {}", value.type_in_c());
            return Err((unsupported(what).hint("take an element first: [0]"), Near::Nothing));
        }
    };
    let of = if is_pointer(&of) { of.target().map_err(|e| (e, Near::Nothing))? } else { of };
    let types = of.guest().types();
    if types.member(of.type_id(), name).is_none() {
        let bare = types.bare(of.type_id());
        let words = Name::from(types.in_c(bare));
        return Err(match types.kind(bare) {
            Kind::Composite(_) => {
                let near = Near::Member(bare, name.into());
                (missing(format!("{words} has no member {}", Name::from(name))), near)
            }
            Kind::Array { .. } => {
                let e = unsupported(format!("expected a structure, found {words}"));
                (e.hint("take an element first: [0]"), Near::Nothing)
            }
            _ => (unsupported(format!("expected a structure, found {words}")), Near::Nothing),
        });
    }
    of.member(name).map(Value::Object).map_err(|e| (e, Near::Nothing))
}
