//! Processors for people: `cpu`.

use std::io::{self, Write};

use super::tree::{Paint, Role};
use crate::decode::cpu::{Cpu, Form, Group, Number, Register};

/// Columns of a line.
const LINE: usize = 80;

/// Words of 64 bits in a line.
const WORDS: usize = 4;

/// How processors are printed.
pub struct CpuOptions<'p> {
    /// Print the groups of vector registers and the like too.
    pub all: bool,
    /// The colours.
    pub paint: Paint<'p>,
}

/// Prints a processor.
///
/// # Errors
/// Those of the writer.
pub fn print(out: &mut dyn Write, cpu: &Cpu, o: &CpuOptions<'_>) -> io::Result<()> {
    let halted = if cpu.halted { ", halted" } else { "" };
    let title = (o.paint)(Role::Title, &format!("CPU {}", cpu.index));
    writeln!(out, "{title}  {}{halted}", cpu.architecture)?;
    cpu.groups.iter().try_for_each(|g| group(out, g, o))
}

/// Registers that say where a processor is, by their names in QEMU's monitor; the first that there is counts.
static PLACES: &[(&str, &[&str])] = &[
    ("PC", &["RIP", "EIP", "PC", "pc", "NIP", "PSWA"]),
    ("SP", &["RSP", "ESP", "SP", "X31", "x2/sp", "sp", "GPR01", "R13"]),
];

/// Registers whose flags say most.
static STATUS: &[&str] =
    &["RFLAGS", "EFLAGS", "RFL", "EFL", "PSTATE", "PSR", "XPSR", "CPSR", "MSR", "PSWM", "mstatus", "CP0_Status"];

/// Prints a processor on one line: its number, architecture, program counter, stack pointer, status, and whether it is halted.
///
/// # Errors
/// Those of the writer.
pub fn brief(out: &mut dyn Write, cpu: &Cpu, o: &CpuOptions<'_>) -> io::Result<()> {
    let find = |names: &[&str]| {
        let all = || cpu.groups.iter().flat_map(|g| &g.registers);
        names.iter().find_map(|n| all().find(|r| r.name == *n))
    };
    let mut line = format!("{}  {}", (o.paint)(Role::Title, &format!("CPU {}", cpu.index)), cpu.architecture);
    for (name, registers) in PLACES {
        // on s390x and M-profile processors the stack pointer is one of the general registers
        let registers: &[&str] = if *name == "SP" && cpu.architecture == "s390x" { &["R15"] } else { registers };
        if let Some(text) = find(registers).and_then(Register::text) {
            line += &format!("  {}={text}", (o.paint)(Role::Name, name));
        }
    }
    if let Some(r) = find(STATUS) {
        let says = if r.says.is_empty() { r.text().unwrap_or_default() } else { r.says.clone() };
        line += &format!("  {says}");
    }
    line += if cpu.halted { "  halted" } else { "  running" };
    writeln!(out, "{}", line.trim_end())
}

/// Prints what an interrupt controller or a clock says.
///
/// # Errors
/// Those of the writer.
pub fn group(out: &mut dyn Write, g: &Group, o: &CpuOptions<'_>) -> io::Result<()> {
    if g.detail && !o.all {
        return Ok(());
    }
    let instance = g.instance.filter(|i| *i != 0).map_or_else(String::new, |i| format!(" ({i})"));
    writeln!(out, "\n{}", (o.paint)(Role::Title, &format!("{}{instance}", g.title)))?;
    match g.form {
        Form::Grid => grid(out, g, o),
        Form::Rows => rows(out, g, o),
        Form::Table => table(out, g, o),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn names(g: &Group) -> usize {
    g.registers.iter().map(|r| width(&r.name)).max().unwrap_or(0)
}

/// Returns `NAME=` with the colour of a name, filled up to a width.
fn label(r: &Register, fill: usize, o: &CpuOptions<'_>) -> String {
    format!("{}=", (o.paint)(Role::Name, &format!("{:<fill$}", r.name)))
}

/// Returns a number with its colour; 0 is dimmed.
fn colour(v: &Number, text: &str, o: &CpuOptions<'_>) -> String {
    let role = if v.words.iter().all(|w| *w == 0) { Role::Dim } else { Role::Number };
    (o.paint)(role, text)
}

/// Prints columns where all values are of one width, and otherwise one after another.
fn grid(out: &mut dyn Write, g: &Group, o: &CpuOptions<'_>) -> io::Result<()> {
    let values: Vec<(&Register, &Number)> = g.registers.iter().filter_map(|r| Some((r, r.value.as_ref()?))).collect();
    let widest = values.iter().map(|(_, v)| width(&v.to_string())).max().unwrap_or(0);
    let same = values.iter().all(|(_, v)| width(&v.to_string()) == widest);
    let fill = if same { names(g) } else { 0 };
    let mut at = 0;
    for (r, v) in values {
        let text = v.to_string();
        let cell = fill.max(width(&r.name)) + 1 + width(&text);
        let gap = if at == 0 { 0 } else { 2 };
        if at != 0 && at + gap + cell > LINE {
            writeln!(out)?;
            at = 0;
        }
        let gap = if at == 0 { 0 } else { 2 };
        write!(out, "{}{}{}", " ".repeat(gap), label(r, fill, o), colour(v, &text, o))?;
        at += gap + cell;
    }
    writeln!(out)
}

/// Returns the lines of a value: wide ones take several.
fn lines(r: &Register) -> Vec<String> {
    let Some(v) = r.value.as_ref().filter(|v| v.words.len() > WORDS) else {
        return r.text().into_iter().collect();
    };
    let words: Vec<String> = v.words.iter().rev().map(|w| format!("{w:016x}")).collect();
    words.chunks(WORDS).map(|c| c.join(" ")).collect()
}

fn rows(out: &mut dyn Write, g: &Group, o: &CpuOptions<'_>) -> io::Result<()> {
    let fill = names(g);
    let values: Vec<usize> = g.registers.iter().filter_map(|r| Some(width(lines(r).first()?))).collect();
    let column = values.into_iter().max().unwrap_or(0);
    for r in &g.registers {
        let Some(v) = &r.value else { continue };
        for (i, line) in lines(r).iter().enumerate() {
            let head = if i == 0 { label(r, fill, o) } else { " ".repeat(fill + 1) };
            write!(out, "{head}{}", colour(v, line, o))?;
            if i == 0 && !r.says.is_empty() {
                let gap = column - width(line) + 2;
                let indent = fill + 1 + column + 2;
                write!(out, "{}{}", " ".repeat(gap), wrapped(&r.says, indent))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Breaks words into lines after an indentation.
fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut at = indent;
    for word in text.split(' ') {
        if at != indent && at + 1 + width(word) > LINE {
            out += "\n";
            out += &" ".repeat(indent);
            at = indent;
        }
        if at != indent {
            out += " ";
            at += 1;
        }
        out += word;
        at += width(word);
    }
    out
}

fn table(out: &mut dyn Write, g: &Group, o: &CpuOptions<'_>) -> io::Result<()> {
    let mut columns: Vec<(&str, usize)> = Vec::new();
    for (name, v) in g.registers.iter().flat_map(|r| &r.parts) {
        let wide = width(&v.to_string()).max(width(name));
        match columns.iter_mut().find(|(n, _)| n == name) {
            Some((_, w)) => *w = wide.max(*w),
            None => columns.push((name, wide)),
        }
    }
    let fill = names(g);
    let head: Vec<String> = columns.iter().map(|(n, w)| format!("{n:<w$}")).collect();
    writeln!(out, "{}{}", " ".repeat(fill + 1), (o.paint)(Role::Dim, head.join(" ").trim_end()))?;
    for r in &g.registers {
        let mut line = label(r, fill, o);
        let last = r.parts.last().map(|(n, _)| *n);
        for (name, w) in &columns {
            let part = r.parts.iter().find(|(n, _)| n == name);
            let text = part.map_or_else(String::new, |(_, v)| v.to_string());
            line += &part.map_or_else(String::new, |(_, v)| colour(v, &text, o));
            if last != Some(*name) || !r.says.is_empty() {
                line += &" ".repeat(w - width(&text) + 1);
            }
            if last == Some(*name) {
                break;
            }
        }
        writeln!(out, "{line}{}", r.says)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(g: &Group) -> String {
        let mut out = Vec::new();
        group(&mut out, g, &CpuOptions { all: true, paint: &|_, t| t.to_owned() }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn grids_break_at_eighty_columns() {
        let mut g = Group::new("g", "Title", Form::Grid);
        for i in 8..12 {
            g.add(format!("R{i}"), Some(Number::new(i, 64)));
        }
        assert_eq!(
            shown(&g),
            "\nTitle\nR8 =0000000000000008  R9 =0000000000000009  R10=000000000000000a\nR11=000000000000000b\n"
        );
    }

    #[test]
    fn wide_values_and_long_words_take_several_lines() {
        let mut g = Group::new("g", "Title", Form::Rows);
        g.add("Z", Some(Number::wide(512, (1..9).collect())));
        let text = shown(&g);
        assert_eq!(text.lines().count(), 4);
        assert!(text.lines().all(|l| l.len() <= LINE));
        assert!(text.lines().nth(2).unwrap().starts_with("Z=0000000000000008 "));
        let mut g = Group::new("g", "Title", Form::Rows);
        g.put("CR4", Some(Number::new(1, 64)), "WORD ".repeat(20).trim().to_owned());
        assert!(shown(&g).lines().all(|l| l.len() <= LINE));
    }
}
