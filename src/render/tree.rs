//! The typed tree for people.

use std::io::{self, Write};

use crate::offset::StreamRange;
use crate::value::{Elements, Node, Value, bytes_pieces};

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
    /// What is as it should be.
    Good,
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

/// Columns that the values of an array may take next to its name; more are broken into lines below it.
const LINE: usize = 80;

/// Prints a node and all below it; `label` replaces its name.
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
        Value::Array(_) | Value::Packed(_) if is_line(node) => {
            let margin = if o.offsets { " ".repeat(PLACE) } else { String::new() };
            array_line(out, node.elements(), &format!("{place}{indent}{name}"), &format!("{margin}{indent}"), o)?;
            if problem.is_empty() { Ok(()) } else { writeln!(out, "{indent}{problem}") }
        }
        Value::Array(_) | Value::Packed(_) => {
            let a = node.elements();
            let about = match (node.is_list(), a.len()) {
                (true, 0) => "empty list".to_owned(),
                (true, n) => format!("list of {n}"),
                (false, n) => format!("array of {n}"),
            };
            writeln!(out, "{place}{indent}{name}  {}{problem}", paint(Role::Dim, &about))?;
            elements(out, a, depth + 1, o)
        }
        Value::Bytes(b) | Value::Opaque(b) if b.len() > PIECE => {
            let ty = paint(Role::Dim, &node.ty.to_string());
            write!(out, "{place}{indent}{name} = ")?;
            bytes_pieces(b.as_slice(), o.all, &mut |text| write!(out, "{}", paint(Role::Number, text)))?;
            writeln!(out, "  {ty}{problem}")
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

/// Bytes of a buffer up to which its text is made at once.
const PIECE: usize = 64 << 10;

/// Returns whether the values of an array fit into lines.
fn is_line(node: &Node) -> bool {
    match &node.value {
        Value::Packed(p) => is_short(p.layout()) && !p.is_empty(),
        Value::Array(a) => a.iter().all(is_short) && !a.is_empty(),
        _ => false,
    }
}

/// Returns whether a value fits into a line with others of its array.
fn is_short(n: &Node) -> bool {
    n.problem.is_none()
        && matches!(n.value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Null | Value::Present)
}

/// Prints elements that take a line or more each; equal neighbours once, as `[3 … 255]`, unless all is asked for.
fn elements(out: &mut dyn Write, a: Elements<'_>, depth: usize, o: &TreeOptions<'_>) -> io::Result<()> {
    if o.all {
        return a.iter().enumerate().try_for_each(|(i, n)| print(out, &n, &format!("[{i}]"), depth, o));
    }
    let mut first = 0;
    for _ in 0..SOME_ELEMENTS {
        let Some(n) = a.get(first) else { return Ok(()) };
        let equal = (first..a.len()).take_while(|i| a.alike(first, a, *i)).count();
        let label = if equal == 1 { format!("[{first}]") } else { format!("[{first} … {}]", first + equal - 1) };
        print(out, &n, &label, depth, o)?;
        first += equal;
    }
    more(out, a.len() - first, &"  ".repeat(depth), o)
}

fn more(out: &mut dyn Write, n: usize, indent: &str, o: &TreeOptions<'_>) -> io::Result<()> {
    if n == 0 {
        return Ok(());
    }
    writeln!(out, "{indent}{}", (o.paint)(Role::Dim, &format!("… {n} more (--all shows them)")))
}

/// Values of an array that repeat: the text, and how often. Made one after the other, since there may be many.
struct Runs<'a> {
    elements: Elements<'a>,
    next: usize,
    all: bool,
}

impl Iterator for Runs<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let a = self.elements;
        let first = self.next;
        let text = a.get(first)?.text(self.all);
        self.next += 1;
        let repeats = |i: usize| match a {
            Elements::Packed(..) => a.alike(first, a, i),
            Elements::Nodes(_) => a.get(i).is_some_and(|n| n.text(self.all) == text),
        };
        while self.next < a.len() && repeats(self.next) {
            self.next += 1;
        }
        let n = self.next - first;
        Some(if n > 1 { format!("{text} × {n}") } else { text })
    }
}

/// Prints an array of numbers as runs: `0x00 × 253, 0x01`.
fn array_line(out: &mut dyn Write, a: Elements<'_>, head: &str, indent: &str, o: &TreeOptions<'_>) -> io::Result<()> {
    let first = a.first();
    let ty = first.as_ref().map_or_else(String::new, |n| n.ty.to_string());
    let runs = || Runs { elements: a, next: 0, all: o.all };
    let limit = if o.all { usize::MAX } else { SOME_ELEMENTS };
    let columns = |t: &str| t.chars().count() + 2;
    let (mut shown, mut width, mut widest) = (0, 0, 1);
    for t in runs().take(limit) {
        (shown, width, widest) = (shown + 1, width + columns(&t), widest.max(columns(&t)));
    }
    let dim = (o.paint)(Role::Dim, &format!("{ty}[{}]", a.len()));
    let number = |texts: &[String]| (o.paint)(Role::Number, &texts.join(", "));
    let mut texts = runs().take(shown);
    if width <= LINE {
        let all: Vec<String> = texts.collect();
        writeln!(out, "{head} = {}  {dim}", number(&all))?;
    } else {
        writeln!(out, "{head} =  {dim}")?;
        loop {
            let line: Vec<String> = texts.by_ref().take((LINE / widest).max(1)).collect();
            if line.is_empty() {
                break;
            }
            writeln!(out, "{indent}  {}", number(&line))?;
        }
    }
    let left = if o.all { 0 } else { runs_of(a) - shown };
    more(out, left, &format!("{indent}  "), o)
}

/// Returns how many runs of equal values an array has.
fn runs_of(a: Elements<'_>) -> usize {
    match a {
        Elements::Packed(..) => (0..a.len()).filter(|i| *i == 0 || !a.alike(i - 1, a, *i)).count(),
        Elements::Nodes(n) => n.chunk_by(|x, y| x.text(false) == y.text(false)).count(),
    }
}
