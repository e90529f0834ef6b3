//! Whether QEMU would load the memory of a state, and whether all of it is there.

use crate::diag::{Diagnostic, Diagnostics, Level};
use crate::image::SaveImage;
use crate::names::RecordType;
use crate::ram::{PageStats, RamBlock};
use crate::stream::Section;
use crate::text::Name;

/// Pages and blocks that are listed one by one.
const MAX_LISTED: usize = 20;

/// Adds what is wrong with the memory of a state.
pub(super) fn judge(image: &SaveImage, stats: &PageStats, findings: &mut Diagnostics) {
    let mut error = |code, what: String| findings.push(Diagnostic::new(Level::Error, code, what).within("ram"));
    let Some(ram) = image.ram() else {
        // an error in the section is a finding already
        let is_memory = |s: &Section| s.header.idstr == "ram" && s.header.kind == RecordType::START;
        if !image.walk().sections.iter().any(is_memory) && image.walk().stopped.is_none() {
            let what = "the stream has no ram section: it holds device state only, as xen-save-devices-state writes it";
            error("no-ram", what.to_owned());
        }
        return;
    };
    blocks(ram.blocks(), ram.context().target_page, &mut error);
    if ram.lists() > 1 {
        error(
            "ram-second-list",
            format!("{} lists of RAM blocks (COLO): only the first state is extracted", ram.lists()),
        );
    }
    for b in stats.bad_pages().iter().take(MAX_LISTED) {
        let name = ram.blocks().get(b.block).map_or(Name::empty(), |b| &b.name);
        error("ram-page", format!("{name}: the page at {} is not sound: {}", b.offset, b.why));
    }
    if stats.bad_count() > MAX_LISTED as u64 {
        error("ram-page", format!("{} pages in all are not sound", stats.bad_count()));
    }
    let missing = || {
        let blocks = ram.blocks().iter().enumerate().filter(|(_, b)| b.mapped.is_none());
        blocks.map(|(i, b)| (b, b.without(stats.distinct(i), ram.context().target_page)))
    };
    let shared = ram.context().ignore_shared;
    if ram.counts().multifd_flushes > 0 && !shared {
        for (b, bytes) in missing().filter(|(_, n)| *n > 0).take(MAX_LISTED) {
            error("ram-multifd", format!("{}: {bytes} of {} bytes went through multifd channels", b.name, b.len));
        }
    }
    never_ends(image, missing().map(|(_, n)| n).sum(), shared, &mut error);
}

fn blocks(blocks: &[RamBlock], page: u64, error: &mut dyn FnMut(&'static str, String)) {
    let mut names: Vec<&Name> = blocks.iter().map(|b| &b.name).collect();
    names.sort_unstable();
    let twice = names.windows(2).filter_map(|w| match w {
        [a, b] if a == b => Some(*a),
        _ => None,
    });
    for name in twice.take(MAX_LISTED) {
        error("ram-block-twice", format!("two RAM blocks are called {name}, so their pages cannot be told apart"));
    }
    for b in blocks.iter().filter(|b| !b.len.is_multiple_of(page.max(1))).take(MAX_LISTED) {
        error(
            "ram-block-length",
            format!("{}: {} bytes are not a multiple of the target page size, {page}", b.name, b.len),
        );
    }
}

/// A live section ends with END. Only background snapshots have none, and they hold each page.
fn never_ends(image: &SaveImage, missing: u64, shared: bool, error: &mut dyn FnMut(&'static str, String)) {
    let walk = image.walk();
    // after postcopy has begun, the rest of the memory travels without END
    if walk.commands.iter().any(|c| c.package.is_some()) {
        return;
    }
    let open = walk.sections.iter().filter(|s| s.header.kind == RecordType::START && !s.ended);
    for s in open.take(MAX_LISTED) {
        if s.header.idstr != "ram" {
            error("live-never-ends", format!("{} has no END section", s.header.label()));
        } else if missing > 0 && !shared {
            let what = "the ram section has no END, and not every page was sent, as in a background snapshot";
            error("ram-never-ends", what.to_owned());
        }
    }
}
