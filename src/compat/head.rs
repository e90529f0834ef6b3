//! What is not in device sections: machine, configuration, commands, footers, page size, RAM blocks.

use std::collections::HashMap;

use super::side::{Side, StreamFacts};
use super::{push, rules};
use crate::findings::{Aspect, Difference, Severity, Subject};
use crate::names::Command;
use crate::offset::StreamRange;

/// Blocks that QEMU resizes when the stream has another size: the ROM files of firmware tables, which are named after
/// their place in fw_cfg (`rom_add_blob` in `hw/core/loader.c` makes their memory resizable; others are fixed).
const RESIZABLE: &str = "/rom@";

fn says(text: impl ToString, range: Option<StreamRange>) -> Option<Aspect> {
    Some(Aspect::new(text.to_string(), range))
}

/// Compares all of it.
pub fn compare(saved: &Side, target: &Side, knows_switchover: Option<bool>, out: &mut Vec<Difference>) {
    machine(saved, target, out);
    let Some(s) = &saved.stream else { return };
    run_state(s, out);
    if s.is_devices_only() {
        return devices_only(target, out);
    }
    commands(s, target, knows_switchover, out);
    let Some(t) = &target.stream else { return };
    if t.is_devices_only() {
        let what =
            "the target's stream has the state of devices only, so the configuration and the memory are not compared";
        return push(out, rules::UNCHECKED.may_break(), Subject::part("stream", ""), what, [None, None]);
    }
    configuration(s, t, out);
    if let (Some(a), Some(b)) = (s.footers, t.footers)
        && a != b
    {
        let text = |has: bool| says(if has { "footers" } else { "no footers" }, None);
        let what = if b {
            "the target expects a footer behind each section, and the stream has none"
        } else {
            "the stream has footers, which the target takes for records of an unknown type"
        };
        push(out, rules::FOOTER.breaks(), Subject::part("stream", "footers"), what, [text(a), text(b)]);
    }
    if let (Some(a), Some(b)) = (s.page_size, t.page_size)
        && a != b
    {
        let what = format!("pages of {a} bytes in the stream, of {b} on the target");
        let sides = [says(a, None), says(b, None)];
        push(out, rules::PAGE_SIZE.breaks(), Subject::part("ram", "page_size"), what, sides);
    }
    if s.has_ram && t.has_ram {
        blocks(s, t, out);
    }
}

/// `qemu_loadvm_state` in `migration/savevm.c` refuses a stream without a configuration section; two states of devices only can
/// still be held against each other.
fn devices_only(target: &Side, out: &mut Vec<Difference>) {
    if target.stream.as_ref().is_some_and(StreamFacts::is_devices_only) {
        return;
    }
    let what = "a state of devices only, as xen-save-devices-state writes it, has no configuration and no memory; \
                -incoming refuses it, only xen-load-devices-state loads it";
    push(out, rules::DEVICES_ONLY.breaks(), Subject::part("stream", ""), what, [None, None]);
}

/// The target compares as many characters as the stream's name has (`configuration_post_load` in `migration/savevm.c`).
fn machine(saved: &Side, target: &Side, out: &mut Vec<Difference>) {
    let Some((a, b)) = saved.machine().zip(target.machine()) else { return };
    if b.starts_with(a.exact()) {
        return;
    }
    let what = format!("the stream is of the machine type {a}, the target of {b}");
    let sides = [says(a, None), says(b, None)];
    push(out, rules::MACHINE.breaks(), Subject::part("configuration", "machine"), what, sides);
}

/// The values of `RunState` in `qapi/run-state.json`, of QEMU 5.2 to 11.1.
static RUN_STATES: &[&str] = &[
    "colo",
    "debug",
    "finish-migrate",
    "guest-panicked",
    "inmigrate",
    "internal-error",
    "io-error",
    "paused",
    "postmigrate",
    "preconfig",
    "prelaunch",
    "restore-vm",
    "running",
    "save-vm",
    "shutdown",
    "suspended",
    "watchdog",
];

/// A target refuses a run state that it does not know (`global_state_post_load` in `migration/global_state.c`), the empty one
/// too.
fn run_state(s: &StreamFacts, out: &mut Vec<Difference>) {
    let Some((state, range)) = s.run_state.as_ref().filter(|(s, _)| !RUN_STATES.contains(&s.exact())) else { return };
    let what = if state.is_empty() { "the run state is empty" } else { "no QEMU up to 11.1 knows this run state" };
    let subject = Subject::section("globalstate", 0).field("runstate");
    push(out, rules::RUN_STATE.breaks(), subject, what, [says(state, Some(*range)), None]);
}

fn configuration(s: &StreamFacts, t: &StreamFacts, out: &mut Vec<Difference>) {
    let subject = |field: &str| Subject::part("configuration", field);
    let (a, b) = match (&s.configuration, &t.configuration) {
        (Some(a), Some(b)) => (a, b),
        (None, None) => return,
        (a, b) => {
            let text = |has: bool| says(if has { "a configuration section" } else { "none" }, None);
            let what =
                "one side sends a configuration section and the other does not expect one, or the other way round";
            let sides = [text(a.is_some()), text(b.is_some())];
            return push(out, rules::CONFIGURATION.breaks(), subject(""), what, sides);
        }
    };
    if a.target_page_bits != b.target_page_bits && a.target_page_bits.is_some() && b.target_page_bits.is_some() {
        let text = |bits: Option<u32>| says(bits.unwrap_or_default(), None);
        let sides = [text(a.target_page_bits), text(b.target_page_bits)];
        let what = "the sides have different target pages".to_owned();
        push(out, rules::CONFIGURATION.breaks(), subject("target_page_bits"), what, sides);
    }
    for (cap, has) in a.capabilities.iter().map(|c| (c, true)).chain(b.capabilities.iter().map(|c| (c, false))) {
        if a.has_capability(cap.exact()) != b.has_capability(cap.exact()) {
            let text = |on: bool| says(if on { "on" } else { "off" }, None);
            let what = format!("the target must be started with {cap} {}", if has { "on" } else { "off" });
            let field = format!("capabilities.{cap}");
            push(out, rules::CONFIGURATION.may_break(), subject(&field), what, [text(has), text(!has)]);
        }
    }
    if let (Some(x), Some(y)) = (a.uuid_text(), b.uuid_text())
        && x != y
    {
        let what = "the target refuses another UUID where validate-uuid is on".to_owned();
        let sides = [says(x, None), says(y, None)];
        push(out, rules::CONFIGURATION.may_break(), subject("uuid"), what, sides);
    }
}

/// `loadvm_process_command` in `migration/savevm.c` fails for every command it does not know. SWITCHOVER_START came with
/// QEMU 10.0, which sends it for machine types newer than 9.2.
fn commands(s: &StreamFacts, target: &Side, knows_switchover: Option<bool>, out: &mut Vec<Difference>) {
    for (command, range) in &s.commands {
        let known = match *command {
            Command::SWITCHOVER_START => match (&target.stream, knows_switchover) {
                // the same machine type sends it wherever it is known
                (Some(t), _) if t.commands.iter().any(|(c, _)| *c == Command::SWITCHOVER_START) => continue,
                (_, Some(true)) => continue,
                (_, Some(false)) => false,
                // the key came with 8.0, the command with 10.0
                _ if target.dump.as_ref().is_some_and(|d| !d.has_counts && !d.cut) => false,
                (Some(t), None) if t.configuration.is_some() && s.machine() == t.machine() => false,
                _ => true,
            },
            c if c.name().is_some() => continue,
            _ => true,
        };
        let (severity, what) = if command.name().is_none() {
            (Severity::MayBreak, "no QEMU up to 11.1 knows this command; one that does not know it refuses the stream")
        } else if known {
            (
                Severity::MayBreak,
                "QEMU before 10.0 does not know this command, and the inputs do not give the target's version",
            )
        } else {
            (Severity::Breaks, "the target does not know this command")
        };
        let subject = Subject::part("commands", command.to_string());
        push(out, rules::COMMAND.with(severity), subject, what, [says(command, Some(*range)), None]);
    }
}

/// `parse_ramblocks` and `parse_ramblock` in `migration/ram.c`.
fn blocks(s: &StreamFacts, t: &StreamFacts, out: &mut Vec<Difference>) {
    let there: HashMap<&str, u64> = t.blocks.iter().map(|b| (b.name.exact(), b.len)).collect();
    let here: HashMap<&str, u64> = s.blocks.iter().map(|b| (b.name.exact(), b.len)).collect();
    let bytes = |n: u64| format!("{n} bytes");
    for b in &s.blocks {
        let subject = Subject::part("ram", b.name.to_string());
        let before = says(bytes(b.len), Some(b.entry));
        match there.get(b.name.exact()) {
            None => {
                let what = "the target has no RAM block of this name".to_owned();
                push(out, rules::RAM_MISSING.breaks(), subject, what, [before, None]);
            }
            Some(len) if *len != b.len => {
                let resizable = b.name.starts_with(RESIZABLE);
                let (severity, what) = if resizable {
                    (Severity::Harmless, "the target resizes this block, up to a limit that only it knows")
                } else {
                    (Severity::Breaks, "the block has another size on the target, which does not resize it")
                };
                push(out, rules::RAM_SIZE.with(severity), subject, what, [before, says(bytes(*len), None)]);
            }
            Some(_) => {}
        }
    }
    for b in t.blocks.iter().filter(|b| !here.contains_key(b.name.exact())) {
        let what = "the target has this block and the stream does not fill it".to_owned();
        let subject = Subject::part("ram", b.name.to_string());
        push(out, rules::RAM_EXTRA.harmless(), subject, what, [None, says(bytes(b.len), None)]);
    }
}
