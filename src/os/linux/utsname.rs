//! What `uname` prints in the guest.

use super::address::image_address;
use super::info::Info;
use crate::memory::PhysicalMemory;

/// The length of a field with its NUL (`__NEW_UTS_LEN` + 1).
const FIELD: usize = 65;
/// What may be before the names: a reference count.
const MAX_BEFORE: usize = 64;
/// Bytes of a namespace in which the names are.
pub(super) const MAX_UTS: usize = MAX_BEFORE + FIELD * 6;

/// The names of a running kernel: system, node, release, version, machine, domain.
pub type Names = [Vec<u8>; 6];

/// Reads the names of the first UTS namespace (`init_uts_ns`); `None` if the kernel does not give its address, or it is not in
/// memory.
#[must_use]
pub fn uname(mem: &dyn PhysicalMemory, info: &Info) -> Option<Names> {
    let at = info.symbol("init_uts_ns").and_then(|a| image_address(info, a))?;
    let mut bytes = vec![0; MAX_UTS];
    mem.read(at, &mut bytes).ok()?;
    names(&bytes)
}

/// Returns the names in a UTS namespace.
pub(super) fn names(bytes: &[u8]) -> Option<Names> {
    let before = bytes.get(..MAX_BEFORE)?.windows(6).position(|w| w == b"Linux\0")?;
    let mut fields = bytes.get(before..)?.chunks_exact(FIELD);
    let mut names = Names::default();
    for name in &mut names {
        let field = fields.next()?;
        let end = field.iter().position(|b| *b == 0)?;
        *name = field.get(..end)?.to_vec();
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FewPages;

    #[test]
    fn names_come_after_a_count() {
        let info = b"OSRELEASE=6.1.0\nA=1\nB=1\nSYMBOL(init_uts_ns)=ffffffff80001004\nNUMBER(phys_base)=0\n";
        let info = Info::new(info).unwrap();
        for before in [0, 4] {
            let mut m = FewPages::default();
            m.write(0x1004, &[2; 4][..before]);
            for (i, name) in ["Linux", "guest", "6.1.0", "#1 SMP", "x86_64", "(none)"].iter().enumerate() {
                m.write(0x1004 + before as u64 + 65 * i as u64, name.as_bytes());
            }
            let names = uname(&m, &info).unwrap();
            assert_eq!(
                names.map(|n| String::from_utf8(n).unwrap()),
                ["Linux", "guest", "6.1.0", "#1 SMP", "x86_64", "(none)"]
            );
        }
        assert_eq!(uname(&FewPages::default(), &info), None);
    }
}
