//! The kernel's own symbol table (`kernel/kallsyms.c`, written by `scripts/kallsyms.c`).
//!
//! Names are sequences of tokens; a table has the text of each of the 256 tokens. Addresses are 32-bit offsets in one of three
//! forms. The form is not recorded: it is the one in which symbols have the addresses that VMCOREINFO gives.

use super::kernel::Kernel;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;
use crate::text::Name;

/// Symbols of a kernel; real ones have 60,000 to 250,000.
const MAX_SYMBOLS: u64 = 4 << 20;
/// Bytes of packed names of a symbol, and of all of them.
const MAX_NAME: usize = 1 << 10;
const MAX_NAMES: usize = 64 << 20;
/// Bytes of all names; C++-like Rust symbols have some 100 each.
const MAX_TEXT: usize = 256 << 20;
/// Bytes of what a symbol is the name of.
const MAX_SIZE: u64 = 64 << 20;
const TOKENS: usize = 256;
/// Bytes of the table of tokens that are read; real ones have about 1 KiB.
const MAX_TOKENS: u64 = 64 << 10;
/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;
/// Symbols whose addresses VMCOREINFO gives, by which the form of addresses is recognised.
const KNOWN: [&str; 5] = ["_stext", "init_uts_ns", "swapper_pg_dir", "prb", "node_online_map"];

/// How the offsets become addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Relative to a base, but per-CPU symbols as they are (x86 up to 6.14): a negative number counts down from the base.
    AbsolutePerCpu,
    /// Relative to a base.
    Relative,
    /// Relative to the place of the offset (7.0 and later).
    PlaceRelative,
}

/// A symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Symbol<'a> {
    /// Its address; a small number for a per-CPU symbol of x86.
    pub address: u64,
    /// Its type, as `nm` prints it: `T` for code, `D` for data.
    pub kind: char,
    name: &'a str,
}

impl<'a> Symbol<'a> {
    /// Returns the name; it is text of the guest.
    #[must_use]
    pub fn name(&self) -> Name {
        self.name.into()
    }

    /// Returns the exact name, to compare it.
    #[must_use]
    pub fn exact(&self) -> &'a str {
        self.name
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    /// Where the name is in the text, with the type before it.
    at: u32,
    len: u32,
}

/// The symbols of a kernel.
#[derive(Debug)]
pub struct Symbols {
    text: String,
    /// By address.
    entries: Vec<Entry>,
    form: Form,
    known: usize,
}

impl Symbols {
    /// Reads the table of a kernel whose VMCOREINFO has its place (6.0 and later).
    ///
    /// # Errors
    /// `Unsupported` if VMCOREINFO does not have it; `Corrupt` for a table that contradicts itself or VMCOREINFO; `Missing` when a page of
    /// it is not in the stream; `Io`.
    pub fn read(kernel: &Kernel<'_>) -> Result<Self> {
        read(kernel).map_err(|e| e.within("kallsyms"))
    }

    /// Returns the number of symbols.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the form of addresses, and how many of the kernel's known addresses it gives.
    #[must_use]
    pub fn form(&self) -> (Form, usize) {
        (self.form, self.known)
    }

    /// Returns all symbols by address.
    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.entries.iter().filter_map(|e| self.symbol(e))
    }

    /// Returns the symbols of a name: static functions of several files may share one.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Symbol<'a>> {
        self.iter().filter(move |s| s.name == name)
    }

    /// Returns the last symbol at or before an address, unless the address is too far away to be one of the kernel's, or per-CPU, which an
    /// address of a user's process may look like.
    #[must_use]
    pub fn before(&self, address: u64) -> Option<Symbol<'_>> {
        let next = self.entries.partition_point(|e| e.address <= address);
        let entry = self.entries.get(next.checked_sub(1)?)?;
        // of several names for one address, the table has the best one first
        let first = self.entries.partition_point(|e| e.address < entry.address);
        let entry = self.entries.get(first)?;
        let per_cpu = self.form == Form::AbsolutePerCpu && u32::try_from(entry.address).is_ok();
        self.symbol(entry).filter(|s| !per_cpu && address.minus(s.address) < MAX_SIZE)
    }

    fn symbol(&self, e: &Entry) -> Option<Symbol<'_>> {
        let at = usize::try_from(e.at).ok()?;
        let whole = self.text.get(at..at.checked_add(usize::try_from(e.len).ok()?)?)?;
        let kind = whole.chars().next()?;
        Some(Symbol { address: e.address, kind, name: whole.get(kind.len_utf8()..)? })
    }
}

fn read(kernel: &Kernel<'_>) -> Result<Symbols> {
    let info = kernel.info();
    let place = |name: &str| {
        let lacking = || Error::new(ErrorKind::Unsupported, format!("VMCOREINFO has no SYMBOL({name})"));
        info.symbol(name).ok_or_else(|| lacking().hint("kernels since 6.0 have it"))
    };
    let count = kernel.number(place("kallsyms_num_syms")?, 4)?;
    if count == 0 || count > MAX_SYMBOLS {
        let what = format!("expected 1 to {MAX_SYMBOLS} symbols, found {count}");
        return Err(Error::new(ErrorKind::Corrupt, what));
    }
    let tokens = tokens(kernel, place("kallsyms_token_table")?, place("kallsyms_token_index")?)?;
    let (text, names) = names(kernel, place("kallsyms_names")?, count, &tokens)?;
    let offsets_at = place("kallsyms_offsets")?;
    let mut offsets = vec![0; usize::try_from(count.times(4)).unwrap_or(0)];
    kernel.read(offsets_at, &mut offsets)?;
    let offset = |n: usize| {
        let v = kernel.number_in(&offsets, n.times(4), 4);
        u32::try_from(v).unwrap_or(0)
    };
    let base = match info.symbol("kallsyms_relative_base") {
        Some(at) => Some(kernel.number(at, 8)?),
        None => None,
    };
    let forms: &[Form] =
        if base.is_some() { &[Form::AbsolutePerCpu, Form::Relative] } else { &[Form::PlaceRelative, Form::Relative] };
    let address = |form: Form, n: usize| {
        let v = offset(n);
        let signed = i64::from(v.cast_signed()).cast_unsigned();
        let base = base.unwrap_or(0);
        match form {
            Form::AbsolutePerCpu if v.cast_signed() >= 0 => u64::from(v),
            Form::AbsolutePerCpu => base.wrapping_sub(1).wrapping_sub(signed),
            Form::Relative => base.wrapping_add(u64::from(v)),
            Form::PlaceRelative => offsets_at.wrapping_add((n as u64).times(4)).wrapping_add(signed),
        }
    };
    let exact = |(at, len): (u32, u32)| {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        text.get(from..).and_then(|t| t.get(1..usize::try_from(len).unwrap_or(0))).unwrap_or_default()
    };
    let known: Vec<(usize, u64)> = KNOWN
        .iter()
        .filter_map(|name| {
            let told = info.symbol(name)?;
            Some((names.iter().position(|n| exact(*n) == *name)?, told))
        })
        .collect();
    let score = |form: &Form| known.iter().filter(|(n, told)| address(*form, *n) == *told).count();
    let best = forms.iter().copied().map(|f| (f, score(&f))).max_by_key(|(_, n)| *n);
    let (form, hits) = best.filter(|(_, n)| *n > 0).ok_or_else(|| {
        let what = format!("none of {} symbols has the address that VMCOREINFO gives", known.len());
        Error::new(ErrorKind::Corrupt, what)
    })?;
    let mut entries: Vec<Entry> = names
        .iter()
        .enumerate()
        .map(|(n, (at, len))| Entry { address: address(form, n), at: *at, len: *len })
        .collect();
    entries.sort_by_key(|e| e.address);
    Ok(Symbols { text, entries, form, known: hits })
}

/// Reads the text of the tokens.
fn tokens(kernel: &Kernel<'_>, table: u64, index: u64) -> Result<Vec<Vec<u8>>> {
    let mut places = [0; TOKENS * 2];
    kernel.read(index, &mut places)?;
    let starts: Vec<u64> = (0..TOKENS).map(|n| kernel.number_in(&places, n.times(2), 2)).collect();
    if starts.first() != Some(&0) || !starts.is_sorted() {
        return Err(Error::new(ErrorKind::Corrupt, "expected an index of tokens that ascends from 0"));
    }
    let last = starts.last().copied().unwrap_or(0);
    let mut bytes = Vec::new();
    // the last token ends with a NUL
    let mut end = last.plus(1);
    while bytes.get(usize::try_from(last).unwrap_or(0)..).is_none_or(|b: &[u8]| !b.contains(&0)) {
        if end > MAX_TOKENS {
            return Err(Error::new(ErrorKind::Corrupt, format!("expected tokens of at most {MAX_TOKENS} bytes")));
        }
        bytes.resize(usize::try_from(end).unwrap_or(0), 0);
        kernel.read(table, &mut bytes)?;
        end = end.plus(16);
    }
    let token = |from: u64| {
        let rest = usize::try_from(from).ok().and_then(|f| bytes.get(f..)).unwrap_or_default();
        rest.split(|b| *b == 0).next().unwrap_or_default().to_vec()
    };
    Ok(starts.into_iter().map(token).collect())
}

/// Where a name is in the text, with its length.
type Place = (u32, u32);

/// The packed names, read page by page.
struct Packed<'k> {
    kernel: &'k Kernel<'k>,
    at: u64,
    bytes: Vec<u8>,
    next: usize,
    total: usize,
}

impl Packed<'_> {
    /// Returns at least so many bytes, if there are that many.
    fn ahead(&mut self, wanted: usize) -> Result<&[u8]> {
        while self.bytes.len().minus(self.next) < wanted && self.total < MAX_NAMES {
            if self.next > PIECE {
                self.bytes.drain(..self.next);
                self.next = 0;
            }
            let page = 4096_u64.minus(self.at & 4095);
            let mut piece = vec![0; usize::try_from(page).unwrap_or(0)];
            match self.kernel.read(self.at, &mut piece) {
                Ok(()) => {}
                // the table may end with the last page
                Err(e) if e.kind() == ErrorKind::Missing && self.bytes.len() > self.next => break,
                Err(e) => return Err(e),
            }
            self.at = self
                .at
                .checked_add(page)
                .ok_or_else(|| Error::new(ErrorKind::Corrupt, "names at the end of memory"))?;
            self.total.tally(piece.len());
            self.bytes.append(&mut piece);
        }
        Ok(self.bytes.get(self.next..).unwrap_or_default())
    }
}

/// Reads and unpacks all names; each begins with the symbol's type.
fn names(kernel: &Kernel<'_>, at: u64, count: u64, tokens: &[Vec<u8>]) -> Result<(String, Vec<Place>)> {
    let corrupt = |what: String| Error::new(ErrorKind::Corrupt, what);
    let mut packed = Packed { kernel, at, bytes: Vec::new(), next: 0, total: 0 };
    let mut text = String::new();
    let mut out = Vec::new();
    for n in 0..count {
        let rest = packed.ahead(MAX_NAME)?;
        let (len, head) = match rest {
            [low @ 0x80..=0xff, high, ..] => (usize::from(*low & 0x7f) | usize::from(*high) << 7, 2),
            [len, ..] => (usize::from(*len), 1),
            [] => return Err(corrupt(format!("expected {count} names, found the end after {n}"))),
        };
        let name = rest.get(head..).and_then(|r| r.get(..len)).filter(|_| len > 0 && len < MAX_NAME.minus(2));
        let name = name.ok_or_else(|| corrupt(format!("name {n}: expected 1 to {MAX_NAME} tokens, found {len}")))?;
        let begun = text.len();
        for token in name.iter().filter_map(|t| tokens.get(usize::from(*t))) {
            text.push_str(&String::from_utf8_lossy(token));
        }
        if text.len() > MAX_TEXT || text.len() == begun {
            return Err(corrupt(format!("name {n}: expected 1 to {MAX_TEXT} bytes of names")));
        }
        let fit = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
        out.push((fit(begun), fit(text.len().minus(begun))));
        packed.next.tally(head.plus(len));
    }
    Ok((text, out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FewPages;
    use crate::offset::Gpa;
    use crate::os::linux::info::Info;
    use crate::os::linux::vmcoreinfo::{Found, How};

    const IMAGE: u64 = 0xffff_ffff_8100_0000;

    /// A kernel with a table of symbols; each token is a letter, but 1 is "re", and 2 is "_st".
    struct Table {
        mem: FewPages,
        info: String,
    }

    impl Table {
        /// Lays symbols out in memory; `offsets` are as the table has them.
        fn new(symbols: &[(&[u8], u32)], base: Option<u64>) -> Self {
            let mut mem = FewPages::default();
            let (mut text, mut index) = (Vec::new(), Vec::new());
            for n in 0..256_u32 {
                index.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
                match n {
                    1 => text.extend(b"re"),
                    2 => text.extend(b"_st"),
                    n => text.push(if (0x20..0x7f).contains(&n) { n as u8 } else { b'?' }),
                }
                text.push(0);
            }
            let names: Vec<u8> = symbols.iter().flat_map(|(n, _)| [&[n.len() as u8], *n].concat()).collect();
            let offsets: Vec<u8> = symbols.iter().flat_map(|(_, o)| o.to_le_bytes()).collect();
            let mut info = String::from("OSRELEASE=6.1\nNUMBER(phys_base)=0\nA=1\n");
            let mut put = |name: &str, at: u64, bytes: &[u8]| {
                mem.write(0x100_0000 + at, bytes);
                info += &format!("SYMBOL({name})={:x}\n", IMAGE + at);
            };
            put("kallsyms_num_syms", 0x100, &u32::try_from(symbols.len()).unwrap().to_le_bytes());
            put("kallsyms_token_table", 0x1000, &text);
            put("kallsyms_token_index", 0x2000, &index);
            put("kallsyms_names", 0x3ff0, &names);
            put("kallsyms_offsets", 0x5000, &offsets);
            if let Some(base) = base {
                put("kallsyms_relative_base", 0x200, &base.to_le_bytes());
            }
            Self { mem, info }
        }

        fn read(&self, told: u64) -> Result<Symbols> {
            let text = format!("{}SYMBOL(_stext)={told:x}\n", self.info);
            let info = Info::new(text.as_bytes()).unwrap();
            let found = Found { note: Vec::new(), info, at: Gpa(0), how: How::Note, proved: true, big_endian: false };
            Symbols::read(&Kernel::new(&self.mem, &found))
        }
    }

    fn listed(s: &Symbols) -> Vec<(u64, char, &str)> {
        s.iter().map(|s| (s.address, s.kind, s.exact())).collect()
    }

    #[test]
    fn the_form_is_the_one_that_gives_the_known_address() {
        let stext = b"T\x02ext";
        // a per-CPU symbol at 0x40, one that counts down from the base
        let t = Table::new(
            &[(b"Afi\x01d", 0x40), (stext, (-1_i32).cast_unsigned()), (b"tx", (-0x11_i32).cast_unsigned())],
            Some(IMAGE),
        );
        let s = t.read(IMAGE).unwrap();
        assert_eq!(listed(&s), [(0x40, 'A', "fired"), (IMAGE, 'T', "_stext"), (IMAGE + 0x10, 't', "x")]);
        assert_eq!((s.form(), s.len()), ((Form::AbsolutePerCpu, 1), 3));
        assert_eq!(s.before(IMAGE + 0xf).unwrap().exact(), "_stext");
        // an address of a process is no per-CPU symbol
        assert_eq!((s.before(0x3f), s.before(0x42_b220), s.before(IMAGE + (1 << 30))), (None, None, None));
        assert_eq!(s.named("x").map(|s| s.address).collect::<Vec<_>>(), [IMAGE + 0x10]);
        let t = Table::new(&[(stext, 0x100), (b"tx", 0x4000_0000)], Some(IMAGE - 0x100));
        assert_eq!(listed(&t.read(IMAGE).unwrap()), [(IMAGE, 'T', "_stext"), (IMAGE + 0x3fff_ff00, 't', "x")]);
        // relative to the places of the offsets, which are at 0x5000 and 0x5004
        let t = Table::new(&[(stext, (-0x5000_i32).cast_unsigned()), (b"tx", 0)], None);
        let s = t.read(IMAGE).unwrap();
        assert_eq!(
            (listed(&s), s.form().0),
            (vec![(IMAGE, 'T', "_stext"), (IMAGE + 0x5004, 't', "x")], Form::PlaceRelative)
        );
    }

    #[test]
    fn tables_that_lie() {
        let good: &[(&[u8], u32)] = &[(b"T\x02ext", 0)];
        let e = Table::new(good, Some(IMAGE)).read(IMAGE + 8).unwrap_err();
        assert_eq!(
            (e.kind(), e.message()),
            (ErrorKind::Corrupt, "none of 1 symbols has the address that VMCOREINFO gives")
        );
        for count in [0, 5_000_000, u32::MAX] {
            let mut t = Table::new(good, Some(IMAGE));
            t.mem.write(0x100_0100, &count.to_le_bytes());
            assert_eq!(t.read(IMAGE).unwrap_err().kind(), ErrorKind::Corrupt, "{count}");
        }
        // more names than there are, a name without tokens, tokens without an end, an index that goes back, no memory
        let mut t = Table::new(good, Some(IMAGE));
        t.mem.write(0x100_0100, &1000_u32.to_le_bytes());
        assert_eq!(t.read(IMAGE).unwrap_err().kind(), ErrorKind::Corrupt);
        let t = Table::new(&[(b"", 0)], Some(IMAGE));
        assert_eq!(t.read(IMAGE).unwrap_err().kind(), ErrorKind::Corrupt);
        let mut t = Table::new(good, Some(IMAGE));
        t.mem.write(0x100_2000 + 510, &[0xff, 0xff]);
        assert!(t.read(IMAGE).is_err());
        let mut t = Table::new(good, Some(IMAGE));
        t.mem.write(0x100_2000 + 2, &[0xff, 0xff]);
        assert_eq!(t.read(IMAGE).unwrap_err().kind(), ErrorKind::Corrupt);
        let mut t = Table::new(good, Some(IMAGE));
        t.mem.pages.remove(&0x100_5000);
        assert_eq!(t.read(IMAGE).unwrap_err().kind(), ErrorKind::Missing);
    }
}
