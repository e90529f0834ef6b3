//! Compares the stream apart from its sections: configuration, commands, footers, description, the list of RAM
//! blocks.

use super::rules;
use super::{Input, Options};
use crate::diag::Level;
use crate::findings::sequence::{Step, align};
use crate::findings::{Aspect, Difference, Report, Rule, Severity, Subject};
use crate::image::SaveImage;
use crate::limits::MAX_DIFFERENCES;
use crate::names::{Command, RecordType};
use crate::offset::{StreamRange, Sure};
use crate::ram::RamBlock;
use crate::stream::CommandRecord;
use crate::value::bytes_text;

/// Creates a difference.
pub fn differs(
    rule: &'static Rule,
    subject: Subject,
    message: impl Into<String>,
    before: Option<Aspect>,
    after: Option<Aspect>,
) -> Difference {
    Difference::new(rule, Severity::Differs, subject, message, [before, after])
}

/// Adds what keeps an input from being compared whole.
pub fn faults(input: Input<'_>, report: &mut Report) {
    let walk = input.image.walk();
    for d in walk.found.list().iter().filter(|d| d.level == Level::Error) {
        let path = d.path.as_deref().map(|p| format!("{p}: ")).unwrap_or_default();
        report.faults.push(format!("{}: {path}{}", input.name, d.message));
    }
    if let Some(e) = &walk.stopped {
        report.faults.push(format!("{}: {e}", input.name));
    }
    if walk.is_cut() {
        report.faults.extend(input.image.container().faults().into_iter().map(|f| format!("{}: {f}", input.name)));
    }
}

/// Compares everything except the sections.
pub fn compare(a: &SaveImage, b: &SaveImage, options: &Options, report: &mut Report) {
    if options.wants("configuration", "", None) {
        configuration(a, b, report);
    }
    if options.wants("commands", "", None) {
        commands(a, b, report);
    }
    if options.wants("stream", "", None) {
        framing(a, b, report);
    }
    if options.wants("ram", "", None) {
        blocks(a.ram_blocks(), b.ram_blocks(), report);
    }
}

fn configuration(a: &SaveImage, b: &SaveImage, report: &mut Report) {
    let part = |field: &str| Subject::part("configuration", field);
    let (x, y) = match (&a.walk().configuration, &b.walk().configuration) {
        (Some(x), Some(y)) => (x, y),
        (None, None) => return,
        (x, y) => {
            let aspect = |there: bool| Some(Aspect::new(if there { "present" } else { "none" }, None));
            let message = "only one of the streams has a configuration section";
            let (before, after) = (aspect(x.is_some()), aspect(y.is_some()));
            report.differences.push(differs(&rules::CONFIGURATION, part(""), message, before, after));
            return;
        }
    };
    report.compared.push("configuration".to_owned());
    let out = &mut report.differences;
    let aspect = |text: Option<String>, range: StreamRange| {
        Some(Aspect::new(text.unwrap_or_else(|| "none".to_owned()), Some(range)))
    };
    let (rx, ry) = (x.node.range, y.node.range);
    if x.machine != y.machine {
        let (before, after) = (aspect(Some(x.machine.to_string()), rx), aspect(Some(y.machine.to_string()), ry));
        out.push(differs(&rules::MACHINE, part("machine"), "the machine type differs", before, after));
    }
    if x.target_page_bits != y.target_page_bits {
        let text = |bits: Option<u32>| bits.map(|b| format!("{b} bits"));
        let (before, after) = (aspect(text(x.target_page_bits), rx), aspect(text(y.target_page_bits), ry));
        let message = "the size of a target page differs";
        out.push(differs(&rules::TARGET_PAGE, part("target_page_bits"), message, before, after));
    }
    let (cx, cy) = (&x.capabilities, &y.capabilities);
    for n in cx.iter().filter(|n| !cy.contains(n)) {
        let before = aspect(Some(n.to_string()), rx);
        let subject = part(&format!("capabilities.{n}"));
        out.push(differs(&rules::CAPABILITY_REMOVED, subject, "the capability is not listed", before, None));
    }
    for n in cy.iter().filter(|n| !cx.contains(n)) {
        let after = aspect(Some(n.to_string()), ry);
        let subject = part(&format!("capabilities.{n}"));
        out.push(differs(&rules::CAPABILITY_ADDED, subject, "the capability is listed", None, after));
    }
    if x.uuid != y.uuid {
        let (before, after) = (aspect(x.uuid_text(), rx), aspect(y.uuid_text(), ry));
        out.push(differs(&rules::UUID, part("uuid"), "the machine's UUID is another", before, after));
    }
}

/// Returns the commands before the first live section. A walk for the devices sees the same ones: it skips memory,
/// and commands sent between or after the pages.
fn early(image: &SaveImage) -> Vec<&CommandRecord> {
    let walk = image.walk();
    let live = walk.sections.iter().filter(|s| s.header.kind == RecordType::START);
    let first = live.map(|s| s.header.range.start).min();
    walk.commands.iter().filter(|c| first.is_none_or(|f| c.range.start < f)).collect()
}

fn commands(a: &SaveImage, b: &SaveImage, report: &mut Report) {
    let whole = |i: &SaveImage| !i.walk().gaps.iter().any(|g| g.intended);
    let (x, y) = if whole(a) && whole(b) {
        (a.walk().commands.iter().collect(), b.walk().commands.iter().collect())
    } else {
        (early(a), early(b))
    };
    report.compared.push("commands".to_owned());
    let keys = |c: &[&CommandRecord]| -> Vec<u16> { c.iter().map(|c| c.command.0).collect() };
    let mut nth: std::collections::HashMap<Command, u64> = std::collections::HashMap::new();
    for step in align(&keys(&x), &keys(&y)) {
        if report.differences.len() > MAX_DIFFERENCES {
            report.differences.push(too_many());
            return;
        }
        let (before, after) = match step {
            Step::Both(i, j) | Step::Moved(i, j) => (x.get(i), y.get(j)),
            Step::Before(i) => (x.get(i), None),
            Step::After(j) => (None, y.get(j)),
        };
        let Some(command) = before.or(after).map(|c| c.command) else { continue };
        let n = nth.entry(command).or_default();
        let field = if *n == 0 { command.to_string() } else { format!("{command}[{n}]") };
        n.tally(1);
        let subject = Subject::part("commands", field);
        // which package, and which pages: those follow from the memory
        let says = !matches!(command, Command::PACKAGED | Command::POSTCOPY_RAM_DISCARD);
        let aspect = |c: &&CommandRecord| Aspect::new(payload(c), Some(c.range));
        let (left, right) = (before.map(aspect), after.map(aspect));
        let (rule, message) = match step {
            Step::Before(_) => (&rules::COMMAND_REMOVED, "the command is missing"),
            Step::After(_) => (&rules::COMMAND_ADDED, "the command is new"),
            Step::Moved(..) => (&rules::COMMAND_MOVED, "the command is at a different position"),
            Step::Both(..) if says && before.map(|c| &c.payload) != after.map(|c| &c.payload) => {
                (&rules::COMMAND_PAYLOAD, "the command says something else")
            }
            Step::Both(..) => continue,
        };
        report.differences.push(differs(rule, subject, message, left, right));
    }
}

fn payload(c: &CommandRecord) -> String {
    if c.payload.is_empty() { c.command.to_string() } else { bytes_text(&c.payload, false) }
}

fn framing(a: &SaveImage, b: &SaveImage, report: &mut Report) {
    report.compared.push("stream".to_owned());
    let yes = |there: bool| Some(Aspect::new(if there { "present" } else { "none" }, None));
    let (x, y) = (a.walk().footers, b.walk().footers);
    if let (Some(x), Some(y)) = (x, y)
        && x != y
    {
        let message = "the sections of only one of the streams have footers";
        let subject = Subject::part("stream", "footers");
        report.differences.push(differs(&rules::FOOTERS, subject, message, yes(x), yes(y)));
    }
    let (x, y) = (a.walk().description.is_some(), b.walk().description.is_some());
    if x != y {
        let message = "only one of the streams has a description";
        let subject = Subject::part("stream", "description");
        report.differences.push(differs(&rules::DESCRIPTION, subject, message, yes(x), yes(y)));
    }
}

fn blocks(a: &[RamBlock], b: &[RamBlock], report: &mut Report) {
    if !(a.is_empty() && b.is_empty()) {
        report.compared.push("ram".to_owned());
    }
    fn names(l: &[RamBlock]) -> Vec<&str> {
        l.iter().map(|b| b.name.exact()).collect()
    }
    let (ka, kb) = (names(a), names(b));
    let steps = align(&ka, &kb);
    let aspect = |b: &RamBlock| Some(Aspect::new(format!("{:#x} bytes", b.len), Some(b.entry)));
    let subject = |b: &RamBlock| Subject::part("ram", b.name.to_string());
    let out = &mut report.differences;
    let single = |s: &Step| matches!(s, Step::Before(_) | Step::After(_));
    for run in steps.chunk_by(|x, y| single(x) && single(y)) {
        // a removed and an added block of the same size are one block with a new name
        if let [Step::Before(i), Step::After(j)] = run
            && let (Some(x), Some(y)) = (a.get(*i), b.get(*j))
            && x.len == y.len
        {
            let (mut before, mut after) = (aspect(x), aspect(y));
            for (to, block) in [(&mut before, x), (&mut after, y)] {
                to.iter_mut().for_each(|a| a.text = block.name.to_string());
            }
            out.push(differs(&rules::BLOCK_RENAMED, subject(x), "the RAM block has a different name", before, after));
            continue;
        }
        for step in run {
            match *step {
                Step::Before(i) => out.extend(
                    a.get(i)
                        .map(|x| differs(&rules::BLOCK_REMOVED, subject(x), "the RAM block is gone", aspect(x), None)),
                ),
                Step::After(j) => out.extend(
                    b.get(j).map(|y| differs(&rules::BLOCK_ADDED, subject(y), "the RAM block is new", None, aspect(y))),
                ),
                Step::Both(i, j) | Step::Moved(i, j) => {
                    let (Some(x), Some(y)) = (a.get(i), b.get(j)) else { continue };
                    if matches!(step, Step::Moved(..)) {
                        let place = |n: usize| Some(Aspect::new(format!("number {n} of the list"), None));
                        let message = "the RAM block is at a different position in the list";
                        out.push(differs(&rules::BLOCK_MOVED, subject(x), message, place(i), place(j)));
                    }
                    if x.len != y.len {
                        let message = "the RAM block has a different size";
                        out.push(differs(&rules::BLOCK_SIZE, subject(x), message, aspect(x), aspect(y)));
                    }
                }
            }
        }
    }
}

/// Returns the difference that covers all those not listed.
pub fn too_many() -> Difference {
    let message = format!("more than {MAX_DIFFERENCES} differences; what follows is not compared");
    differs(&rules::TOO_MANY, Subject::part("stream", ""), message, None, None)
}
