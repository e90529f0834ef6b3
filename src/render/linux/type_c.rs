//! Types in C, with the place and the size of each member in a comment: `linux type`.

use std::io::{self, Write};

use super::super::tree::{Paint, Role};
use crate::os::linux::btf::{Answer, Kind, Laid, Part, TypeId, Types};
use crate::text::Name;

/// Columns of the comments.
const COMMENT: usize = 24;
/// Typedefs that lead to one another.
const MAX_CHAIN: usize = 16;

/// How types are printed.
#[derive(Clone, Copy)]
pub struct TypeOptions<'p> {
    /// Columns of the terminal.
    pub width: usize,
    /// The colours.
    pub paint: Paint<'p>,
}

/// Prints an answer.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, types: &Types, answer: &Answer, o: &TypeOptions<'_>) -> io::Result<()> {
    match answer {
        Answer::Types(ids) => {
            for (n, id) in ids.iter().enumerate() {
                if n > 0 {
                    writeln!(out)?;
                }
                whole(out, types, *id, o)?;
            }
            Ok(())
        }
        Answer::Member { of, path, id, bit, width } => {
            let place = place(*bit, *width, types.size(*id));
            let title = format!("{}.{path}", Name::from(types.in_c(*of)));
            writeln!(out, "{}", (o.paint)(Role::Dim, &format!("/* {title}: {place} */")))?;
            match expanded(types, *id) {
                Some(inner) => whole(out, types, inner, o),
                None => writeln!(out, "{};", Name::from(types.declaration(*id, path.last_of('.').exact()))),
            }
        }
        Answer::At { of, offset, found } => {
            let title = format!("{}+{offset:#x}", Name::from(types.in_c(*of)));
            for f in found {
                let into = offset.saturating_sub(f.offset);
                let size = f.bytes.map_or_else(|| "?".to_owned(), |n| n.to_string());
                let what = match (f.id, f.bits) {
                    (None, _) => format!("a hole of {} from {:#x} on", bytes(f.bytes), f.offset),
                    (Some(id), Some((bit, width))) => {
                        let declared = Name::from(types.declaration(id, f.path.exact()));
                        format!(
                            "{declared}:{width}, bits {} to {} of byte {:#x}",
                            bit & 7,
                            (bit & 7) + u64::from(width) - 1,
                            bit >> 3
                        )
                    }
                    (Some(id), None) => {
                        format!("{}, byte {into} of {size}", Name::from(types.declaration(id, f.path.exact())))
                    }
                };
                writeln!(out, "{}: {what}", (o.paint)(Role::Name, &title))?;
            }
            Ok(())
        }
    }
}

fn bytes(n: Option<u64>) -> String {
    match n {
        Some(1) => "1 byte".to_owned(),
        Some(n) => format!("{n} bytes"),
        None => "unknown size".to_owned(),
    }
}

/// Returns the structure or enumeration of a member that is worth printing whole: not what a pointer points to.
fn expanded(types: &Types, id: TypeId) -> Option<TypeId> {
    let mut id = id;
    for _ in 0..MAX_CHAIN {
        match types.kind(types.bare(id)) {
            Kind::Composite(_) | Kind::Enumeration { .. } => return Some(types.bare(id)),
            Kind::Array { element, .. } => id = element,
            _ => return None,
        }
    }
    None
}

/// Prints a type, and those that its typedefs lead to.
fn whole(out: &mut dyn Write, types: &Types, id: TypeId, o: &TypeOptions<'_>) -> io::Result<()> {
    let mut id = id;
    for _ in 0..MAX_CHAIN {
        match types.kind(id) {
            Kind::Composite(c) => {
                let keyword = if c.is_union { "union" } else { "struct" };
                let head = Name::from(format!("{keyword} {}", c.name).trim_end());
                return composite(out, types, id, (&format!("{head} {{"), "};"), o);
            }
            Kind::Enumeration { name, .. } => {
                let head = Name::from(format!("enum {name}").trim_end());
                return enumeration(out, types, id, (&format!("{head} {{"), "};"), o);
            }
            Kind::Typedef { name, target } => {
                let named = Name::from(name);
                match types.kind(target) {
                    Kind::Composite(c) if c.name.is_empty() => {
                        let keyword = if c.is_union { "union" } else { "struct" };
                        return composite(
                            out,
                            types,
                            target,
                            (&format!("typedef {keyword} {{"), &format!("}} {named};")),
                            o,
                        );
                    }
                    Kind::Enumeration { name: "", .. } => {
                        return enumeration(out, types, target, ("typedef enum {", &format!("}} {named};")), o);
                    }
                    _ => {}
                }
                let size = types.size(target).map_or_else(String::new, |n| format!("  /* size: {n} */"));
                writeln!(
                    out,
                    "typedef {};{}",
                    Name::from(types.declaration(target, name)),
                    (o.paint)(Role::Dim, &size)
                )?;
                id = target;
            }
            Kind::Function { name, prototype } => {
                return writeln!(out, "{};", Name::from(types.declaration(prototype, name)));
            }
            Kind::Variable { name, target } => {
                return writeln!(out, "{};", Name::from(types.declaration(target, name)));
            }
            Kind::Forward { .. } => {
                let text = Name::from(types.in_c(id));
                return writeln!(out, "{text};  {}", (o.paint)(Role::Dim, "/* the kernel has no definition of it */"));
            }
            _ => {
                // the end of a chain of typedefs was in the line before
                return Ok(());
            }
        }
    }
    Ok(())
}

fn enumeration(
    out: &mut dyn Write,
    types: &Types,
    id: TypeId,
    (head, tail): (&str, &str),
    o: &TypeOptions<'_>,
) -> io::Result<()> {
    let Kind::Enumeration { bytes, signed, values, .. } = types.kind(id) else { return Ok(()) };
    writeln!(out, "{head}")?;
    for v in &values {
        let name = Name::from(v.name);
        if signed {
            writeln!(out, "    {name} = {},", v.value)?;
        } else {
            writeln!(out, "    {name} = {},", v.value.cast_unsigned())?;
        }
    }
    let what = format!("/* size: {bytes}, values: {} */", values.len());
    writeln!(out, "\n    {}\n{tail}", (o.paint)(Role::Dim, &what))
}

/// What is counted while a structure is printed.
#[derive(Default)]
struct Count {
    members: usize,
    holes: usize,
    hole_bits: u64,
}

fn composite(
    out: &mut dyn Write,
    types: &Types,
    id: TypeId,
    (head, tail): (&str, &str),
    o: &TypeOptions<'_>,
) -> io::Result<()> {
    let parts = types.parts(id);
    let mut lines = Vec::new();
    collect(&parts, 1, &mut lines);
    let widest = lines.iter().map(|l| l.text.chars().count()).max().unwrap_or(0);
    let column = widest.min(o.width.saturating_sub(COMMENT)).max(8);
    writeln!(out, "{head}")?;
    for l in &lines {
        let text = match l.is_hole {
            true => (o.paint)(Role::Dim, &l.text),
            false => l.text.clone(),
        };
        match &l.place {
            None => writeln!(out, "{text}")?,
            Some(place) => {
                let gap = column.saturating_sub(l.text.chars().count());
                writeln!(out, "{text}{:gap$}  {}", "", (o.paint)(Role::Dim, &format!("/* {place} */")))?;
            }
        }
    }
    let mut count = Count::default();
    tally(&parts, &mut count);
    let size = types.size(id).unwrap_or(0);
    let mut what = format!("size: {size} ({size:#x}), members: {}", count.members);
    if count.holes > 0 {
        what += &format!(", holes: {} ({})", count.holes, bits(count.hole_bits));
    }
    writeln!(out, "\n    {}\n{tail}", (o.paint)(Role::Dim, &format!("/* {what} */")))
}

/// Counts the members and the holes; those of a structure without a name belong to the outer one.
fn tally(parts: &[Part], count: &mut Count) {
    for p in parts {
        match p {
            Part::Hole { bits, .. } => {
                count.holes += 1;
                count.hole_bits = count.hole_bits.saturating_add(*bits);
            }
            Part::Member(m) if m.name.is_empty() => tally(&m.parts, count),
            Part::Member(_) => count.members += 1,
        }
    }
}

struct Line {
    text: String,
    place: Option<String>,
    is_hole: bool,
}

fn collect(parts: &[Part], depth: usize, lines: &mut Vec<Line>) {
    let indent = "    ".repeat(depth);
    for p in parts {
        match p {
            Part::Hole { bit, bits: n } => {
                let place = if n.is_multiple_of(8) && bit.is_multiple_of(8) {
                    place(*bit, 0, Some(n / 8))
                } else {
                    place(*bit, u32::try_from(*n).unwrap_or(u32::MAX), None)
                };
                let text = format!("{indent}/* hole of {} */", bits(*n));
                lines.push(Line { text, place: Some(place), is_hole: true });
            }
            Part::Member(m) if m.opening.is_empty() => {
                let text = format!("{indent}{};", m.declaration);
                lines.push(Line { text, place: Some(place(m.bit, m.width, m.bytes)), is_hole: false });
            }
            Part::Member(m) => {
                lines.push(Line { text: format!("{indent}{} {{", m.opening), place: None, is_hole: false });
                collect(&m.parts, depth + 1, lines);
                lines.push(Line { text: closing(&indent, m), place: Some(place(m.bit, 0, m.bytes)), is_hole: false });
            }
        }
    }
}

fn closing(indent: &str, m: &Laid) -> String {
    if m.declaration.is_empty() { format!("{indent}}};") } else { format!("{indent}}} {};", m.declaration) }
}

fn bits(n: u64) -> String {
    match n {
        1 => "1 bit".to_owned(),
        n if n.is_multiple_of(8) => bytes(Some(n / 8)),
        n => format!("{n} bits"),
    }
}

/// Returns an offset and a size: `0x18 4`, or `0x18:3 1` for the bits of a bit-field.
fn place(bit: u64, width: u32, bytes: Option<u64>) -> String {
    let at = format!("{:#x}", bit >> 3);
    if width > 0 {
        return format!("{:>6} {:>6}", format!("{at}:{}", bit & 7), format!("{width}b"));
    }
    let size = bytes.map_or_else(|| "?".to_owned(), |n| n.to_string());
    format!("{at:>6} {size:>6}")
}
