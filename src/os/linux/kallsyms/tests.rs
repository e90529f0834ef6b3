//! Tables made by hand, and tables that lie.

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
        {
            let k = Kernel::new(&self.mem, &found);
            Symbols::read(&k, &k.image()?)
        }
    }
}

fn listed(s: &Symbols) -> Vec<(u64, char, &str)> {
    s.iter().filter(|s| !s.exported).map(|s| (s.address, s.kind, s.exact())).collect()
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
    assert_eq!((s.form(), s.proof()), (Form::AbsolutePerCpu, Proof::Vmcoreinfo { equal: 1, of: 1 }));
    assert_eq!(s.before(IMAGE + 0xf).unwrap().exact(), "_stext");
    // an address of a process is no per-CPU symbol
    assert_eq!((s.before(0x3f), s.before(0x42_b220), s.before(IMAGE + (1 << 30))), (None, None, None));
    assert_eq!(s.named("x").map(|s| s.address).collect::<Vec<_>>(), [IMAGE + 0x10]);
    let t = Table::new(&[(stext, 0x100), (b"tx", 0x4000_0000)], Some(IMAGE - 0x100));
    assert_eq!(listed(&t.read(IMAGE).unwrap()), [(IMAGE, 'T', "_stext"), (IMAGE + 0x3fff_ff00, 't', "x")]);
    // relative to the places of the offsets, which are at 0x5000 and 0x5004
    let t = Table::new(&[(stext, (-0x5000_i32).cast_unsigned()), (b"tx", 0)], None);
    let s = t.read(IMAGE).unwrap();
    assert_eq!((listed(&s), s.form()), (vec![(IMAGE, 'T', "_stext"), (IMAGE + 0x5004, 't', "x")], Form::PlaceRelative));
}

#[test]
fn tables_that_lie() {
    let good: &[(&[u8], u32)] = &[(b"T\x02ext", 0)];
    let e = Table::new(good, Some(IMAGE)).read(IMAGE + 8).unwrap_err();
    assert_eq!(
        (e.kind(), e.message()),
        (ErrorKind::Corrupt, "none of 1 symbols have the addresses that VMCOREINFO gives")
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
