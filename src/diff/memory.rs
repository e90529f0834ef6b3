//! Guest memory, page by page.
//!
//! Each state is walked once, which yields a hash of each page ([`PageHashes`]); only the two lists of hashes are
//! held here at the same time.

use std::collections::HashMap;

use super::rules;
use super::stream::differs;
use crate::error::Result;
use crate::findings::{Aspect, Difference, Report, Rule, Subject};
use crate::memory::{BlockHashes, PageHash, PageHashes};
use crate::offset::Sure;

/// Ranges of one block that are listed; further ones are counted.
const MAX_RANGES: usize = 64;

/// The result for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Equal,
    Changed,
    Zeroed,
    OnlyBefore,
    OnlyAfter,
    /// Received, but it cannot be decoded.
    Unknown,
}

impl Fate {
    fn of(before: PageHash, after: PageHash) -> Self {
        match (before, after) {
            (PageHash::BAD, _) | (_, PageHash::BAD) => Self::Unknown,
            (a, b) if a == b => Self::Equal,
            (PageHash::UNSENT, _) => Self::OnlyAfter,
            (_, PageHash::UNSENT) => Self::OnlyBefore,
            (_, PageHash::ZERO) => Self::Zeroed,
            _ => Self::Changed,
        }
    }

    /// Returns the rule and what is said of pages.
    const fn words(self) -> Option<(&'static Rule, &'static str)> {
        match self {
            Self::Equal | Self::Unknown => None,
            Self::Changed => Some((&rules::RAM_CHANGED, "changed")),
            Self::Zeroed => Some((&rules::RAM_ZEROED, "zeroed")),
            Self::OnlyBefore => Some((&rules::RAM_ONLY_BEFORE, "in the first stream only")),
            Self::OnlyAfter => Some((&rules::RAM_ONLY_AFTER, "in the second stream only")),
        }
    }
}

/// Number of pages of a block by result.
#[derive(Default)]
struct Counts {
    changed: u64,
    zeroed: u64,
    before: u64,
    after: u64,
    unknown: u64,
}

impl Counts {
    fn add(&mut self, fate: Fate) {
        let n = match fate {
            Fate::Equal => return,
            Fate::Changed => &mut self.changed,
            Fate::Zeroed => &mut self.zeroed,
            Fate::OnlyBefore => &mut self.before,
            Fate::OnlyAfter => &mut self.after,
            Fate::Unknown => &mut self.unknown,
        };
        n.tally(1);
    }

    fn text(&self, pages: u64) -> String {
        let not_equal = [self.changed, self.zeroed, self.before, self.after, self.unknown];
        let equal = not_equal.iter().fold(pages, |n, k| n.minus(*k));
        let mut parts = vec![format!("{equal} of {pages} pages are equal")];
        let named = [
            (self.changed, "changed"),
            (self.zeroed, "zeroed"),
            (self.before, "in the first stream only"),
            (self.after, "in the second stream only"),
            (self.unknown, "not decoded"),
        ];
        parts.extend(named.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        parts.join(", ")
    }
}

/// A range of pages with one fate: first and last page.
type Range = (Fate, u64, u64);

/// Adds what differs in memory to a report.
///
/// # Errors
/// `Io`, where hashes are in a temporary file.
pub fn compare(a: &PageHashes, b: &PageHashes, report: &mut Report) -> Result<()> {
    let names = report.inputs.clone();
    for (s, name) in [a, b].into_iter().zip(names) {
        if let Some((n, why)) = s.bad() {
            report.faults.push(format!("{name}: {n} pages could not be decoded: {why}"));
        }
        if let Some(why) = s.ended() {
            report.faults.push(format!("{name}: not all of its pages could be read, so memory is not compared: {why}"));
        }
        if s.is_incomplete() {
            let why = "pages sent as XBZRLE deltas need a second walk, which is impossible on standard input";
            report.faults.push(format!("{name}: {why}; they are not compared"));
        }
    }
    if a.ended().is_some() || b.ended().is_some() {
        return Ok(());
    }
    let (x, y) = (a.target_page(), b.target_page());
    if x != y && !a.blocks().is_empty() && !b.blocks().is_empty() {
        let why = format!("the page size is {x} bytes in one state and {y} in the other; memory is not compared");
        report.faults.push(why);
        return Ok(());
    }
    let others: HashMap<&str, &BlockHashes> = b.blocks().iter().map(|o| (o.name.exact(), o)).collect();
    for block in a.blocks() {
        // added and removed blocks are in the comparison of the lists
        if let Some(other) = others.get(block.name.exact()) {
            one(block, other, x, report)?;
        }
    }
    Ok(())
}

fn one(a: &BlockHashes, b: &BlockHashes, page: u64, report: &mut Report) -> Result<()> {
    if a.absent || b.absent {
        return Ok(());
    }
    let mut chunks = a.chunks();
    chunks.extend(b.chunks());
    chunks.sort_unstable();
    chunks.dedup();
    let pages = a.len.max(b.len).checked_div(page).unwrap_or_default();
    // there is nothing to compare beyond the end of the shorter one
    let end = a.len.min(b.len).checked_div(page).unwrap_or_default();
    let mut counts = Counts::default();
    let mut ranges: Vec<Range> = Vec::new();
    let mut more = 0_u64;
    let mut open: Option<Range> = None;
    let mut close = |range: Option<Range>, more: &mut u64| match range {
        Some((Fate::Equal | Fate::Unknown, ..)) | None => {}
        Some(r) if ranges.len() < MAX_RANGES => ranges.push(r),
        Some(_) => more.tally(1),
    };
    for chunk in chunks {
        let first = chunk.times(BlockHashes::CHUNK);
        for n in first..first.plus(BlockHashes::CHUNK).min(end) {
            let fate = Fate::of(a.page(n)?, b.page(n)?);
            counts.add(fate);
            match &mut open {
                Some((f, _, last)) if *f == fate && last.checked_add(1) == Some(n) => *last = n,
                _ => {
                    close(open.take(), &mut more);
                    open = Some((fate, n, n));
                }
            }
        }
    }
    close(open, &mut more);
    let text = counts.text(pages);
    let found = listed(&a.name.to_string(), &ranges, more, page, &text);
    report.differences.extend(found);
    Ok(())
}

/// Creates the differences of a block; the first summarises the whole block.
fn listed(name: &str, ranges: &[Range], more: u64, page: u64, counts: &str) -> Vec<Difference> {
    let mut out = Vec::new();
    for (fate, first, last) in ranges {
        let Some((rule, word)) = fate.words() else { continue };
        let n = last.minus(*first).plus(1);
        let start = first.times(page);
        let end = last.plus(1).times(page).minus(1);
        let pages = if n == 1 { "1 page".to_owned() } else { format!("{n} pages") };
        let whole = if out.is_empty() { format!("; of {name}, {counts}") } else { String::new() };
        let subject = Subject::part("ram", format!("{name}[{start:#x}..{end:#x}]"));
        let side = |there: bool, text: &str| there.then(|| Aspect::new(text, None));
        let (before, after) = match fate {
            Fate::Zeroed => (side(true, "not zero"), side(true, "zero")),
            Fate::OnlyBefore => (side(true, &pages), None),
            Fate::OnlyAfter => (None, side(true, &pages)),
            _ => (None, None),
        };
        out.push(differs(rule, subject, format!("{pages} {word}{whole}"), before, after));
    }
    if more > 0 {
        let message = format!("{more} more ranges of pages not listed");
        out.push(differs(&rules::RAM_CHANGED, Subject::part("ram", name), message, None, None));
    }
    out
}
