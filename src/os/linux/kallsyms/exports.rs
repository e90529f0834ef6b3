//! Symbols that the kernel exports to modules (`include/linux/export.h`): among them are variables that kernels without
//! `CONFIG_KALLSYMS_ALL` have in no other table.
//!
//! An entry has the places of the value, of the name and, since 5.4, of a namespace: on most architectures as numbers of 32 bits, each
//! relative to its own place (`CONFIG_HAVE_ARCH_PREL32_RELOCATIONS`), on others, such as IBM Z, as pointers. Entries are searched for by
//! the names of variables that kernels export, and proved by the addresses of functions that the table of symbols has too.

use std::ops::Range;

use super::super::kernel::Kernel;
use super::super::pages::Pages;
use super::super::pieces::pieces;
use super::Symbols;
use crate::error::Result;
use crate::offset::Sure;

/// Names that are searched for.
const WANTED: [&[u8]; 3] = [b"\0init_task\0", b"\0jiffies\0", b"\0init_uts_ns\0"];
/// The longest of them.
const LONGEST: usize = 13;
/// Bytes of the longest entry.
const MAX_ENTRY: usize = 24;
/// Places of the names: types have them too.
const MAX_HITS: usize = 64;
/// Exported symbols, and bytes of their names, in all tables that are read; a kernel has 10,000 to 40,000.
const MAX_EXPORTS: usize = 1 << 17;
const MAX_TEXT: usize = 8 << 20;
/// Places where one table ends and another begins.
const MAX_GAPS: usize = 4;
/// Bytes of a name.
const MAX_NAME: usize = 256;
/// Bytes from one name to another one.
const MAX_DISTANCE: u64 = 16 << 20;
/// Functions whose addresses must agree.
const MIN_AGREE: usize = 8;
/// Symbols of the same name that are compared.
const MAX_SAME: usize = 64;

/// An exported symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Export {
    pub name: String,
    pub address: u64,
    /// `T` for code, `D` for data.
    pub kind: char,
}

/// The form of entries.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// The bytes of a field.
    field: u64,
    relative: bool,
    /// The bytes of an entry.
    stride: u64,
}

impl Form {
    fn target(self, place: u64, value: u64) -> u64 {
        if !self.relative {
            return value;
        }
        let by = u32::try_from(value).unwrap_or(0).cast_signed();
        place.wrapping_add_signed(by.into())
    }
}

/// What may be the tables of exported symbols of a kernel; names and addresses.
#[derive(Debug, Default)]
pub(super) struct Exports(Vec<Vec<(String, u64)>>);

impl Exports {
    /// Searches the mapped image of a kernel.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn search(kernel: &Kernel<'_>, image: &[Range<u64>]) -> Result<Self> {
        let mut names = Vec::new();
        pieces(kernel, image, LONGEST, &mut |at, piece| {
            for name in WANTED {
                let hits = memchr::memmem::find_iter(piece, name).map(|n| at.wrapping_add(n as u64).wrapping_add(1));
                names.extend(hits.take(MAX_HITS.saturating_sub(names.len())));
            }
            names.len() < MAX_HITS
        })?;
        names.sort_unstable();
        names.dedup();
        let mut out = Self::default();
        if names.is_empty() {
            return Ok(out);
        }
        let mut pages = Pages::new(kernel);
        let word = kernel.word();
        let mut left = (MAX_EXPORTS, MAX_TEXT);
        for (place, value, relative) in entries(kernel, image, &names)? {
            let field = if relative { 4 } else { word };
            // an entry of a table that was read already
            let known = |t: &Vec<(String, u64)>| t.iter().any(|(_, at)| *at == value);
            if out.0.iter().any(known) {
                continue;
            }
            for fields in [3, 2] {
                let form = Form { field, relative, stride: field.times(fields) };
                let table = table(&mut pages, place, form, &mut left)?;
                if table.len() >= MIN_AGREE {
                    out.0.push(table);
                }
            }
        }
        Ok(out)
    }

    /// Returns how many functions have the addresses of the table of symbols, and all exports, of the table in which most do, and nearly
    /// all. Those that do not are left out.
    pub(super) fn agreeing(&self, symbols: &Symbols) -> Option<(usize, Vec<Export>)> {
        let agreeing = self.0.iter().filter_map(|table| {
            let (mut agree, mut differ) = (0_usize, 0_usize);
            let mut out = Vec::new();
            for (name, address) in table {
                let mut known = symbols.named(name).take(MAX_SAME).peekable();
                if known.peek().is_none() {
                    out.push((name, *address));
                } else if known.any(|s| s.address == *address) {
                    agree.tally(1);
                    out.push((name, *address));
                } else {
                    differ.tally(1);
                }
            }
            let proved = agree >= MIN_AGREE && differ.times(20) <= agree;
            proved.then_some((agree, out))
        });
        let (agree, most) = agreeing.max_by_key(|(agree, _)| *agree)?;
        Some((agree, most.into_iter().map(|(n, a)| export(n, a, symbols)).collect()))
    }
}

/// Returns the symbols that VMCOREINFO gives and that are in the image. Not all are: `mem_section` is an array elsewhere, which the
/// variable of this name points to.
pub(super) fn told(kernel: &Kernel<'_>, image: &[Range<u64>]) -> Vec<Export> {
    let all = kernel.info().into_iter().flat_map(|i| i.symbols());
    let own = all.filter(|(name, at)| *name != "mem_section" && image.iter().any(|r| r.contains(at)));
    own.map(|(name, address)| Export { name: name.to_owned(), address, kind: 'D' }).take(MAX_HITS).collect()
}

fn export(name: &str, address: u64, symbols: &Symbols) -> Export {
    // code begins at the start of a symbol, which variables of such kernels are not
    let code = symbols.before(address).is_some_and(|s| s.address == address && matches!(s.kind, 't' | 'T' | 'w' | 'W'));
    Export { name: name.to_owned(), address, kind: if code { 'T' } else { 'D' } }
}

/// Returns the places and the values of entries that have one of these names, and whether they are relative.
fn entries(kernel: &Kernel<'_>, image: &[Range<u64>], names: &[u64]) -> Result<Vec<(u64, u64, bool)>> {
    let (low, high) = (names.first().copied().unwrap_or(0), names.last().copied().unwrap_or(0));
    let span = high.wrapping_sub(low);
    let (big, word) = (kernel.is_big_endian(), kernel.word());
    let mut out = Vec::new();
    pieces(kernel, image, MAX_ENTRY, &mut |at, piece| {
        let first = usize::try_from(at.wrapping_neg() & 3).unwrap_or(0);
        let words = piece.get(first..).unwrap_or_default().as_chunks::<4>().0;
        let mut here = at.wrapping_add(first as u64);
        // the words before this one, the last first
        let (mut last, mut third, mut fourth) = (0, 0, 0);
        for bytes in words {
            let value = if big { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) };
            let target = here.wrapping_add_signed(value.cast_signed().into());
            let pointer = |one: u32, two: u32| match (word, big) {
                (4, _) => u64::from(two),
                (_, true) => u64::from(one) << 32 | u64::from(two),
                (_, false) => u64::from(two) << 32 | u64::from(one),
            };
            let absolute = pointer(last, value);
            let room = out.len() < MAX_HITS;
            let is_name = |n: u64| room && n.wrapping_sub(low) <= span && names.binary_search(&n).is_ok();
            if value != 0 && is_name(target) {
                let entry = here.wrapping_sub(4);
                out.push((entry, entry.wrapping_add_signed(last.cast_signed().into()), true));
            }
            if is_name(absolute) {
                let entry = here.wrapping_add(4).wrapping_sub(word.times(2));
                let before = if word == 4 { u64::from(last) } else { pointer(fourth, third) };
                out.push((entry, before, false));
            }
            (fourth, third, last) = (third, last, value);
            here = here.wrapping_add(4);
        }
        out.len() < MAX_HITS
    })?;
    Ok(out)
}

/// Reads the entries around one.
fn table(
    pages: &mut Pages<'_>,
    entry: u64,
    form: Form,
    (entries, text): &mut (usize, usize),
) -> Result<Vec<(String, u64)>> {
    let mut out = Vec::new();
    let Some((first, name_at)) = read(pages, entry, form)? else { return Ok(out) };
    out.push(first);
    for forward in [true, false] {
        let mut at = entry;
        let mut gaps = MAX_GAPS;
        while *entries > 0 && *text > 0 {
            // two tables follow each other, with some padding between them
            let mut next = None;
            for gap in [0, 4, 8].into_iter().take(if gaps > 0 { 3 } else { 1 }) {
                let by = form.stride.plus(gap);
                let here = if forward { at.wrapping_add(by) } else { at.wrapping_sub(by) };
                if here.is_multiple_of(form.field)
                    && let Some((e, n)) = read(pages, here, form)?
                    && n.abs_diff(name_at) < MAX_DISTANCE
                {
                    next = Some((here, e));
                    gaps = gaps.saturating_sub(usize::from(gap > 0));
                    break;
                }
            }
            let Some((here, e)) = next else { break };
            at = here;
            *entries = entries.saturating_sub(1);
            *text = text.saturating_sub(e.0.len());
            out.push(e);
        }
    }
    Ok(out)
}

/// Reads an entry: the name and the address, and where the name is; `None` if it is not one.
fn read(pages: &mut Pages<'_>, at: u64, form: Form) -> Result<Option<((String, u64), u64)>> {
    let second = at.wrapping_add(form.field);
    let Some(value) = pages.number(at, form.field)? else { return Ok(None) };
    let Some(name) = pages.number(second, form.field)? else { return Ok(None) };
    let (address, name_at) = (form.target(at, value), form.target(second, name));
    let text = pages.text(name_at, MAX_NAME)?.filter(|t| t.len() > 1);
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$');
    let name = text.filter(|t| t.iter().all(plain)).and_then(|t| String::from_utf8(t).ok());
    Ok(name.map(|n| ((n, address), name_at)))
}

#[cfg(test)]
mod tests {
    use crate::error::{ErrorKind, Result};
    use crate::os::linux::kallsyms::made::{Made, ORDERS};
    use crate::os::linux::kallsyms::{Added, Proof, Symbols};
    use crate::os::linux::kernel::Kernel;

    const ENTRIES: u64 = 0x14000;
    const NAMES: u64 = 0x16000;

    /// Adds a table of exports to a made image, in which functions are `by` bytes from where they are.
    fn export(made: &mut Made, relative: bool, fields: u64, by: u64) {
        let mut all: Vec<(String, u64)> = (0..20).map(|n| (format!("f{}", 3 * n), made.virt + 48 * n + by)).collect();
        all.insert(7, ("init_task".to_owned(), made.virt + 0x13004));
        all.push(("jiffies".to_owned(), made.virt + 0x13008));
        let field: u64 = if relative { 4 } else { 8 };
        // names begin after a NUL, as in the kernel
        let mut name_at = NAMES + 1;
        for (n, (name, address)) in (0..).zip(&all) {
            let at = ENTRIES + field * fields * n;
            made.write(name_at, format!("{name}\0").as_bytes());
            for (place, target) in [(at, *address), (at + field, made.virt + name_at)] {
                let v = if relative { target.wrapping_sub(made.virt + place) } else { target };
                let bytes = if made.big { v.to_be_bytes() } else { v.to_le_bytes() };
                let part = if relative && made.big { &bytes[4..] } else { &bytes[..field as usize] };
                made.write(place, part);
            }
            name_at += name.len() as u64 + 1;
        }
    }

    fn read(kernel: &Kernel<'_>) -> Result<Symbols> {
        Symbols::read(kernel, &kernel.image()?)
    }

    #[test]
    fn variables_come_from_exports_in_all_forms() {
        for (relative, fields, big) in
            [(true, 3, false), (true, 2, false), (true, 3, true), (false, 3, true), (false, 2, false)]
        {
            for order in ORDERS {
                let mut made = Made::with(order, big, 100, false);
                export(&mut made, relative, fields, 0);
                let s = read(&made.mapped()).unwrap_or_else(|e| panic!("{relative} {fields} {big} {order:?}: {e:?}"));
                assert_eq!(s.proof(), Proof::Exports(20));
                assert_eq!(s.added(), Some(Added { exported: 2, told: 0 }));
                let task = s.named("init_task").next().unwrap();
                assert_eq!((task.address, task.kind, task.exported), (made.virt + 0x13004, 'D', true));
                assert!(!s.named("f3").next().unwrap().exported);
                // with VMCOREINFO, which has symbols of its own; one of them is not in the image
                made.keys = format!("SYMBOL(prb)={:x}\nSYMBOL(mem_section)={:x}\n", made.virt + 8, made.virt + 16);
                let found = made.found();
                let s = read(&Kernel::new(&made.mem, &found)).unwrap();
                assert_eq!(s.proof(), Proof::Vmcoreinfo { equal: 1, of: 1 });
                let prb = s.named("prb").next().unwrap();
                assert_eq!((prb.address, prb.exported), (made.virt + 8, true));
                assert_eq!((s.named("mem_section").count(), s.named("f3").count()), (0, 1));
            }
        }
    }

    #[test]
    fn exports_of_another_kernel_prove_nothing() {
        for order in ORDERS {
            let mut made = Made::with(order, false, 100, false);
            export(&mut made, true, 3, 24);
            assert_eq!(read(&made.mapped()).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
