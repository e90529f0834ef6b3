//! Values of the kernel for people: `linux print`.

use std::io::{self, Write};

use super::super::tree::{Paint, Role};
use crate::os::linux::print::{Item, Limits, Shown};
use crate::text::Name;

/// Prints a value of an expression.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, item: &Item<'_>, limits: Limits, width: usize, paint: Paint<'_>) -> io::Result<()> {
    let label = item.label.to_string();
    match &item.value {
        Err(e) => writeln!(out, "{} = {}", paint(Role::Title, &label), paint(Role::Problem, &unread(e))),
        Ok(v) => {
            let shown = v.show(limits);
            let kind = match &shown {
                Shown::Members(_) | Shown::Deeper => format!("{} ", paint(Role::Dim, &v.type_in_c().to_string())),
                _ => String::new(),
            };
            write!(out, "{} = {kind}", paint(Role::Title, &label))?;
            let p = Printer { width, paint };
            p.value(out, &shown, label.chars().count() + 3, 0)?;
            writeln!(out)
        }
    }
}

fn unread(e: &crate::error::Error) -> String {
    format!("<{e}>")
}

struct Printer<'p> {
    width: usize,
    paint: Paint<'p>,
}

impl Printer<'_> {
    /// Prints a value after so many columns of a line.
    fn value(&self, out: &mut dyn Write, v: &Shown, columns: usize, depth: usize) -> io::Result<()> {
        let inner = "    ".repeat(depth + 1);
        let outer = "    ".repeat(depth);
        match v {
            Shown::Members(list) if list.is_empty() => write!(out, "{{}}"),
            Shown::Members(list) => {
                writeln!(out, "{{")?;
                for (name, v) in list {
                    let name = name.to_string();
                    write!(out, "{inner}{} = ", (self.paint)(Role::Name, &name))?;
                    self.value(out, v, inner.len() + name.chars().count() + 3, depth + 1)?;
                    writeln!(out)?;
                }
                write!(out, "{outer}}}")
            }
            Shown::Elements { list, count } => self.elements(out, list, *count, columns, depth),
            Shown::Unread(e) => write!(out, "{}", (self.paint)(Role::Problem, &unread(e))),
            v => write!(out, "{}", scalar(v)),
        }
    }

    fn elements(
        &self,
        out: &mut dyn Write,
        list: &[Shown],
        count: Option<u64>,
        columns: usize,
        depth: usize,
    ) -> io::Result<()> {
        let inner = "    ".repeat(depth + 1);
        let shown = list.len() as u64;
        let rest = match count {
            Some(n) if n > shown => format!("... {shown} of {n}"),
            Some(_) => String::new(),
            None => "... of unknown length; give a range: [0..8]".to_owned(),
        };
        let is_flat = |v: &Shown| !matches!(v, Shown::Members(_) | Shown::Elements { .. } | Shown::Unread(_));
        if list.iter().all(is_flat) {
            let mut cells: Vec<String> = list.iter().map(scalar).collect();
            if !rest.is_empty() {
                cells.push(rest);
            }
            let line = format!("[{}]", cells.join(", "));
            if columns + line.chars().count() <= self.width || cells.len() < 2 {
                return write!(out, "{line}");
            }
            writeln!(out, "[")?;
            let mut line = inner.clone();
            for c in &cells {
                if line.len() > inner.len() && line.chars().count() + c.chars().count() + 1 > self.width {
                    writeln!(out, "{}", line.trim_end())?;
                    line.clone_from(&inner);
                }
                line += &format!("{c}, ");
            }
            return write!(out, "{}\n{}]", line.trim_end_matches([' ', ',']), "    ".repeat(depth));
        }
        writeln!(out, "[")?;
        for (n, v) in list.iter().enumerate() {
            let name = format!("[{n}]");
            write!(out, "{inner}{} = ", (self.paint)(Role::Name, &name))?;
            self.value(out, v, inner.len() + name.len() + 3, depth + 1)?;
            writeln!(out)?;
        }
        if !rest.is_empty() {
            writeln!(out, "{inner}{}", (self.paint)(Role::Dim, &rest))?;
        }
        write!(out, "{}]", "    ".repeat(depth))
    }
}

/// Returns a value that has no parts.
fn scalar(v: &Shown) -> String {
    match v {
        Shown::Integer { value, signed: true, .. } => value.cast_signed().to_string(),
        Shown::Integer { value, .. } => value.to_string(),
        Shown::Bool(b) => b.to_string(),
        Shown::Enumerator { name: Some(name), value, .. } => format!("{name} ({value})"),
        Shown::Enumerator { value, .. } => value.to_string(),
        Shown::Text(text) => format!("{text:?}"),
        Shown::Pointer { address: 0, .. } => "NULL".to_owned(),
        Shown::Pointer { address, symbol, text } => {
            let symbol = symbol.as_ref().map_or_else(String::new, |s| format!(" {}", place(s)));
            let text = text.as_ref().map_or_else(String::new, |t| format!(" {t:?}"));
            format!("{address:#x}{symbol}{text}")
        }
        Shown::Deeper => "{...}".to_owned(),
        _ => String::new(),
    }
}

fn place((name, offset): &(Name, u64)) -> String {
    match offset {
        0 => format!("<{name}>"),
        n => format!("<{name}+{n:#x}>"),
    }
}
