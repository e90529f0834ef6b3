//! The typed tree for people.

use std::io::{self, Write};

use crate::offset::StreamRange;
use crate::value::{Layout, Node, Value};

/// What a piece of text is, for those who colour it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The name of a device or field.
    Name,
    /// The name of a section.
    Title,
    /// A value.
    Number,
    /// A type, a unit, an aside.
    Dim,
    /// What is wrong.
    Problem,
}

/// Colours text by its role.
pub type Paint<'p> = &'p dyn Fn(Role, &str) -> String;

/// How a tree is printed.
pub struct TreeOptions<'p> {
    /// Print the stream offset and the length of each line.
    pub offsets: bool,
    /// Print all elements of long arrays and all bytes of long buffers.
    pub all: bool,
    /// The colours.
    pub paint: Paint<'p>,
}

/// Elements that are printed of long arrays without `all`.
const SOME_ELEMENTS: usize = 16;

/// Columns that the values of an array may take beside its name; more are broken into lines below it.
const LINE: usize = 80;

/// Prints a node and all below it; `label` stands for its name.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, node: &Node, label: &str, depth: usize, o: &TreeOptions<'_>) -> io::Result<()> {
    let paint = o.paint;
    let indent = "  ".repeat(depth);
    let place = if o.offsets { paint(Role::Dim, &place(node.range)) } else { String::new() };
    let name = paint(if depth == 0 { Role::Title } else { Role::Name }, label);
    let problem = match &node.problem {
        Some(p) => format!("  {}", paint(Role::Problem, &format!("! {p}"))),
        None => String::new(),
    };
    match &node.value {
        Value::Struct(r) => {
            let mut about = Vec::new();
            if !r.vmsd.is_empty() && r.vmsd != *label {
                about.push(r.vmsd.to_string());
            }
            about.extend(r.version.map(|v| format!("v{v}")));
            let about = paint(Role::Dim, &about.join(" "));
            writeln!(out, "{place}{indent}{name}{}{about}{problem}", if about.is_empty() { "" } else { "  " })?;
            r.fields.iter().try_for_each(|n| print(out, n, &n.name.to_string(), depth + 1, o))?;
            r.subsections.iter().try_for_each(|n| print(out, n, &n.name.to_string(), depth + 1, o))
        }
        Value::Array(a) if a.iter().all(is_short) && !a.is_empty() => {
            let margin = if o.offsets { " ".repeat(PLACE) } else { String::new() };
            array_line(out, a, &format!("{place}{indent}{name}"), &format!("{margin}{indent}"), o)?;
            if problem.is_empty() { Ok(()) } else { writeln!(out, "{indent}{problem}") }
        }
        Value::Array(a) => {
            let list = matches!(node.ty.layout(), Some(Layout::List | Layout::Tree));
            let about = match (list, a.len()) {
                (true, 0) => "empty list".to_owned(),
                (true, n) => format!("list of {n}"),
                (false, n) => format!("array of {n}"),
            };
            writeln!(out, "{place}{indent}{name}  {}{problem}", paint(Role::Dim, &about))?;
            elements(out, a, depth + 1, o)
        }
        _ => {
            let ty = paint(Role::Dim, &node.ty.to_string());
            writeln!(out, "{place}{indent}{name} = {}  {ty}{problem}", paint(Role::Number, &node.text(o.all)))
        }
    }
}

/// Columns of [`place`].
const PLACE: usize = 20;

fn place(r: StreamRange) -> String {
    format!("{:#010x} {:>7}  ", r.start.0, r.len())
}

/// Tells whether a value fits into a line with others of its array.
fn is_short(n: &Node) -> bool {
    n.problem.is_none()
        && matches!(n.value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Null | Value::Present)
}

/// Prints elements that take a line or more each; equal neighbours once, as `[3 … 255]`, unless all is asked for.
fn elements(out: &mut dyn Write, a: &[Node], depth: usize, o: &TreeOptions<'_>) -> io::Result<()> {
    if o.all {
        return a.iter().enumerate().try_for_each(|(i, n)| print(out, n, &format!("[{i}]"), depth, o));
    }
    let mut first = 0;
    for _ in 0..SOME_ELEMENTS {
        let Some(n) = a.get(first) else { return Ok(()) };
        let equal = a[first..].iter().take_while(|m| same(n, m)).count();
        let label = if equal == 1 { format!("[{first}]") } else { format!("[{first} … {}]", first + equal - 1) };
        print(out, n, &label, depth, o)?;
        first += equal;
    }
    more(out, a.len() - first, &"  ".repeat(depth), o)
}

/// Tells whether two nodes print the same, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    let all = |a: &[Node], b: &[Node]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    let head = a.name == b.name && a.ty == b.ty && a.range.len() == b.range.len() && a.problem == b.problem;
    head && match (&a.value, &b.value) {
        (Value::Array(a), Value::Array(b)) => all(a, b),
        (Value::Struct(a), Value::Struct(b)) => {
            a.vmsd == b.vmsd
                && a.version == b.version
                && all(&a.fields, &b.fields)
                && all(&a.subsections, &b.subsections)
        }
        (a, b) => a == b,
    }
}

fn more(out: &mut dyn Write, n: usize, indent: &str, o: &TreeOptions<'_>) -> io::Result<()> {
    if n == 0 {
        return Ok(());
    }
    writeln!(out, "{indent}{}", (o.paint)(Role::Dim, &format!("… {n} more (--all shows them)")))
}

/// Prints an array of numbers as runs: `0x00 × 253, 0x01`.
fn array_line(out: &mut dyn Write, a: &[Node], head: &str, indent: &str, o: &TreeOptions<'_>) -> io::Result<()> {
    let ty = a.first().map_or_else(String::new, |n| n.ty.to_string());
    let mut runs: Vec<(String, usize)> = Vec::new();
    for n in a {
        let v = n.text(o.all);
        match runs.last_mut() {
            Some((last, count)) if *last == v => *count += 1,
            _ => runs.push((v, 1)),
        }
    }
    let texts: Vec<String> = runs.iter().map(|(v, n)| if *n > 1 { format!("{v} × {n}") } else { v.clone() }).collect();
    let shown = if o.all { texts.len() } else { texts.len().min(SOME_ELEMENTS) };
    let dim = (o.paint)(Role::Dim, &format!("{ty}[{}]", a.len()));
    let width: usize = texts[..shown].iter().map(|t| t.chars().count() + 2).sum();
    if width <= LINE {
        writeln!(out, "{head} = {}  {dim}", (o.paint)(Role::Number, &texts[..shown].join(", ")))?;
    } else {
        writeln!(out, "{head} =  {dim}")?;
        let widest = texts[..shown].iter().map(|t| t.chars().count() + 2).max().unwrap_or(1);
        for line in texts[..shown].chunks((LINE / widest).max(1)) {
            writeln!(out, "{indent}  {}", (o.paint)(Role::Number, &line.join(", ")))?;
        }
    }
    more(out, texts.len() - shown, &format!("{indent}  "), o)
}
