//! `dmesg`: the kernel log of a Linux guest.

use std::io::Write;

use clap::Args as ClapArgs;

use super::exit::{Failure, Outcome, say};
use super::near::did_you_mean;
use super::shared::InputArgs;
use super::{open, style};
use crate::inspect;
use crate::os::linux::guest::Guest;
use crate::os::linux::kernel::Kernel;
use crate::os::linux::printk::{self, LEVELS, Log, Record};
use crate::os::linux::vmcoreinfo;
use crate::render;
use crate::render::dmesg::Style;
use crate::render::dmesg_json::{DmesgDocument, RecordJson};
use crate::render::state_json::FindingJson;
use crate::render::tree::Role;
use crate::text::quoted;

/// Arguments of `dmesg`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze dmesg vm.mig
  savevm-analyze dmesg vm.mig --level err,warn
  savevm-analyze dmesg vm.mig -x | tail
  savevm-analyze dmesg vm.mig --json | jq -r '.records[].text'

The log is found by the guest's VMCOREINFO, or else by its kernel's symbols and types. Standard error says how.")]
pub struct DmesgArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Only records of these levels: emerg, alert, crit, err, warn, notice, info, debug.
    ///
    /// As in dmesg, `warn+` means that level and all that are more severe.
    #[arg(short, long, value_name = "LIST", value_parser = levels)]
    pub level: Option<u8>,
    /// Print facility and level in words.
    #[arg(short = 'x', long, conflicts_with = "json")]
    pub decode: bool,
    /// Print facility and level as a number in angle brackets.
    #[arg(short, long, conflicts_with_all = ["json", "decode"])]
    pub raw: bool,
    /// Do not say how the log was found.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print JSON (savevm-analyze schema dmesg).
    #[arg(long)]
    pub json: bool,
}

/// Reads names of levels with commas between them; returns a bit for each.
fn levels(text: &str) -> Result<u8, String> {
    let mut out = 0_u8;
    for word in text.split(',') {
        let (name, before, after) = match (word.strip_suffix('+'), word.strip_prefix('+')) {
            (Some(name), _) => (name, true, false),
            (None, Some(name)) => (name, false, true),
            (None, None) => (word, false, false),
        };
        let Some(n) = LEVELS.iter().position(|l| *l == name) else {
            let near = did_you_mean(name, LEVELS.iter().copied());
            return Err(format!("no level is called {}; {near}the levels are: {}", quoted(name), LEVELS.join(", ")));
        };
        for (i, bit) in (0..8).map(|i| (i, 1_u8 << i)) {
            if i == n || (before && i < n) || (after && i > n) {
                out |= bit;
            }
        }
    }
    Ok(out)
}

/// Runs `dmesg`.
pub fn run(a: &DmesgArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let image = open::image(&a.input.file, open::options(&a.input.source)?.keep_memory(u64::MAX))?;
    let memory = image.memory()?;
    memory.map()?;
    let hints = inspect::linux_hints(&image)?;
    // VMCOREINFO alone is enough, which is quick; without it, the kernel's symbols and types say the same
    let found = vmcoreinfo::find(memory, hints.note)?;
    let guest = if found.is_none() { Some(Guest::find(memory, &hints)?) } else { None };
    let says = match (&found, &guest) {
        (Some(f), _) => f.says(),
        (_, Some(g)) => g.steps().join(" "),
        _ => String::new(),
    };
    if !a.json && !a.quiet {
        say(Role::Name, "note", says.trim_end_matches('.'));
    }
    let Log { records, problems, unfinished, .. } = match (&found, &guest) {
        (Some(f), _) => printk::read(&Kernel::new(memory, f), &f.info)?,
        (_, Some(g)) => printk::read(g.kernel(), g)?,
        _ => Log::default(),
    };
    let wanted = |r: &&Record| a.level.is_none_or(|l| l.checked_shr(r.level.into()).unwrap_or(0) & 1 == 1);
    if a.json {
        let mut doc = DmesgDocument::new(image.machine(), found.as_ref(), guest.as_ref().map(Guest::release));
        doc.records = records.iter().filter(wanted).map(RecordJson::from).collect();
        doc.unfinished = unfinished;
        let walk = image.walk();
        doc.complete = problems.is_empty() && walk.stopped.is_none();
        doc.diagnostics = walk.found.list().iter().map(FindingJson::from).collect();
        doc.diagnostics.extend(problems.iter().chain(&walk.stopped).map(FindingJson::from));
        render::pretty(&mut *out, &doc)?;
    } else {
        let how = match (a.decode, a.raw) {
            (true, _) => Style::Decoded,
            (_, true) => Style::Raw,
            _ => Style::Plain,
        };
        records.iter().filter(wanted).try_for_each(|r| render::dmesg::record(out, r, how, &style::paint))?;
    }
    out.flush()?;
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let outcome = open::verdict(&image, &problems);
    Ok(if records.is_empty() && !problems.is_empty() { Outcome::Unusable } else { outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_lists() {
        assert_eq!(levels("err"), Ok(0b1000));
        assert_eq!(levels("err,info"), Ok(0b100_1000));
        assert_eq!((levels("warn+"), levels("+notice")), (Ok(0b1_1111), Ok(0b1110_0000)));
        assert!(levels("error").unwrap_err().contains("did you mean err?"));
    }
}
