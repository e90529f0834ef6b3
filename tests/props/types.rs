//! Types that are anything at all, expressions over them, and the tables that are made of them.
//!
//! The bytes are: flags, the length of the types (2 bytes), an expression up to a line feed, the types, the names. They replace the
//! BTF of a made kernel, with as many names of no use as make it a kernel's.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::OnceLock;

use savevm_analyze::memory::PhysicalMemory;
use savevm_analyze::os::linux::btf::{TypeId, Types};
use savevm_analyze::os::linux::export::{self, Addresses};
use savevm_analyze::os::linux::print::{self, Limits};
use savevm_analyze::os::linux::{find::Hints, guest::Guest, vmcoreinfo};
use savevm_analyze::{Error, ErrorKind, Gpa, Result, SaveImage};

#[path = "../../src/os/linux/btf/made.rs"]
#[allow(dead_code, reason = "not every kind of type is in the kernel")]
pub mod btf;
#[path = "../common/symbols.rs"]
#[allow(dead_code, reason = "the plain stream is for other tests")]
mod made;
#[path = "../common/types.rs"]
#[allow(dead_code, reason = "the list of symbols is for other tests")]
mod typed;

/// Where the kernel has its BTF, and where memory ends.
const BTF: u64 = 0x110_0000;
const END: u64 = 0x120_0000;
/// Bytes of names of no use, and of all that may be there.
const FILLER: usize = 1 << 18;
const MOST: usize = 1 << 19;

/// The kernel's memory with other types.
struct Patched {
    memory: &'static [u8],
    btf: Vec<u8>,
}

impl PhysicalMemory for Patched {
    fn read(&self, address: Gpa, buf: &mut [u8]) -> Result<()> {
        let missing = || Error::new(ErrorKind::Missing, "no memory");
        let at = usize::try_from(address.0).map_err(|_| missing())?;
        let end = at.checked_add(buf.len()).ok_or_else(missing)?;
        buf.copy_from_slice(self.memory.get(at..end).ok_or_else(missing)?);
        for (n, b) in buf.iter_mut().enumerate() {
            if let Some(new) = (at + n).checked_sub(BTF as usize).and_then(|i| self.btf.get(i)) {
                *b = *new;
            }
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        std::iter::once(0..END).collect()
    }
}

/// Counts what is written.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn memory() -> &'static [u8] {
    static MEMORY: OnceLock<Vec<u8>> = OnceLock::new();
    MEMORY.get_or_init(|| {
        let image = SaveImage::options().keep_memory(u64::MAX).from_bytes(typed::stream()).unwrap();
        let mut out = vec![0; END as usize];
        for at in (0..END).step_by(4096) {
            let page = &mut out[at as usize..][..4096];
            // pages that were not sent are zeros here
            let _ = image.memory().unwrap().read(Gpa(at), page);
        }
        out
    })
}

/// Returns the types and names of the made kernel, as [`run`] wants them.
#[allow(dead_code, reason = "the fuzz target makes its own expressions")]
pub fn sound(expression: &str) -> Vec<u8> {
    let btf = typed::types();
    let len = |at: usize| u32::from_le_bytes(btf[at..at + 4].try_into().unwrap()) as usize;
    let (types, names) = (len(12), len(20) - FILLER - 1);
    let mut out = vec![0];
    out.extend(u16::try_from(types).unwrap().to_le_bytes());
    out.extend(expression.as_bytes());
    out.push(b'\n');
    out.extend(&btf[24..24 + types + names]);
    out
}

pub fn run(data: &[u8]) {
    let Some(([flags, low, high], rest)) = data.split_first_chunk::<3>() else { return };
    let at = rest.iter().position(|b| *b == b'\n').unwrap_or(0);
    let (text, rest) = rest.split_at(at);
    let text = String::from_utf8_lossy(text);
    let rest = rest.get(1..).unwrap_or_default();
    let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let names = rest.len() - len + FILLER;
    let big = flags & 1 == 1;
    let word = |v: usize| if big { (v as u32).to_be_bytes() } else { (v as u32).to_le_bytes() };
    let magic = if big { [0xeb, 0x9f, 1, 0] } else { [0x9f, 0xeb, 1, 0] };
    let mut btf = [&magic[..], &word(24), &word(0), &word(len), &word(len), &word(names), rest].concat();
    btf.resize(24 + len + names, b'x');
    if btf.len() > MOST {
        return;
    }

    if let Ok(types) = Types::new(btf.clone(), big, if flags & 2 == 0 { 8 } else { 4 }) {
        for n in 0..types.len().min(300) as u32 + 2 {
            let id = TypeId(n);
            assert!(types.in_c(id).len() < 1 << 20);
            let _ = (types.parts(id), types.size(id), types.member_names(id));
            assert!(types.at_offset(id, u64::from(n)).len() <= 64);
        }
        let _ = types.ask(&text);
    }
    let expression = print::parse(&text);
    let memory = Patched { memory: memory(), btf };
    let found = vmcoreinfo::find(&memory, Some((Gpa(0x20_0000), 4096))).unwrap().unwrap();
    let Ok(guest) = Guest::find(&memory, &Hints { note: Some((found.at, 1 << 16)), ..Hints::default() }) else {
        return;
    };
    if let Ok(items) = expression.as_ref().map_err(drop).and_then(|e| print::evaluate(&guest, e).map_err(drop)) {
        for item in items.items.iter().take(20) {
            if let Ok(v) = &item.value {
                let _ = (v.type_in_c(), format!("{:?}", v.show(Limits::new(32, 100))));
            }
        }
    }
    let mut isf = Counted(0);
    let _ = export::write_isf(&mut isf, &guest);
    assert!(isf.0 < 1 << 30);
    export::write_elf(&mut Counted(0), &guest, Addresses::Running).unwrap();
    export::write_system_map(&mut Counted(0), (guest.kernel(), guest.symbols()), Addresses::Linked).unwrap();
}
