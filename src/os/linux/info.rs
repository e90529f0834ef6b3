//! The text of VMCOREINFO: lines `KEY=VALUE`.

use crate::text::Name;

/// The start of every VMCOREINFO.
const FIRST: &[u8] = b"OSRELEASE=";

/// The text of VMCOREINFO.
#[derive(Clone, PartialEq, Eq)]
pub struct Info {
    text: String,
}

/// The architecture of a kernel, as far as its VMCOREINFO shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// 32-bit x86. 32-bit Arm looks the same here.
    I386,
    /// 64-bit Arm.
    Arm64,
    /// IBM Z.
    S390x,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit POWER.
    Ppc64,
    /// 64-bit LoongArch.
    LoongArch64,
    /// Any other.
    Unknown,
}

impl Info {
    /// Reads the text, which ends at the first zero byte; `None` if it is not a VMCOREINFO. The format string in the kernel's
    /// own code (`OSRELEASE=%s`) is none.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        let text = bytes.get(..end)?;
        let release = text.strip_prefix(FIRST)?.split(|b| *b == b'\n').next()?;
        let plain = |b: &u8| matches!(b, b'\n' | b' '..=b'~');
        if release.is_empty() || release.contains(&b'%') || !text.iter().all(plain) {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let is_pair = |l: &str| l.is_empty() || l.contains('=');
        // one line is not enough: the command line of a tool may contain one
        (text.lines().count() > 3 && text.lines().all(is_pair)).then(|| Self { text: text.to_owned() })
    }

    /// Returns the text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the value of a key, such as `SYMBOL(_stext)`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='))
    }

    /// Returns the release, such as `6.1.0-50-cloud-amd64`.
    #[must_use]
    pub fn release(&self) -> Name {
        self.get("OSRELEASE").unwrap_or_default().into()
    }

    /// Returns the address of a symbol.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.get(&format!("SYMBOL({name})"))?, 16).ok()
    }

    /// Returns the names and the addresses of all symbols.
    pub fn symbols(&self) -> impl Iterator<Item = (&str, u64)> {
        self.text.lines().filter_map(|l| {
            let (name, address) = l.strip_prefix("SYMBOL(")?.split_once(")=")?;
            Some((name, u64::from_str_radix(address, 16).ok()?))
        })
    }

    /// Returns a number, which the kernel prints in hexadecimal with `0x`, or in decimal with a sign.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        let text = self.get(&format!("NUMBER({name})"))?;
        match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse::<i64>().map(i64::cast_unsigned).ok().or_else(|| text.parse().ok()),
        }
    }

    /// Returns a value in hexadecimal without `0x`, such as `KERNELOFFSET`.
    #[must_use]
    pub fn hex(&self, key: &str) -> Option<u64> {
        u64::from_str_radix(self.get(key)?, 16).ok()
    }

    /// Returns the offset of a member, such as `printk_info.seq`.
    #[must_use]
    pub fn offset(&self, member: &str) -> Option<u64> {
        self.get(&format!("OFFSET({member})"))?.parse().ok()
    }

    /// Returns the size of a structure.
    #[must_use]
    pub fn size(&self, structure: &str) -> Option<u64> {
        self.get(&format!("SIZE({structure})"))?.parse().ok()
    }

    /// Returns the number of elements of an array.
    #[must_use]
    pub fn length(&self, array: &str) -> Option<u64> {
        self.get(&format!("LENGTH({array})"))?.parse().ok()
    }

    /// Returns the architecture, by keys that only one has.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let has = |key: &str| self.get(key).is_some();
        if has("NUMBER(kimage_voffset)") {
            Machine::Arm64
        } else if has("SYMBOL(lowcore_ptr)") || has("SAMODE31") {
            Machine::S390x
        } else if has("NUMBER(va_kernel_pa_offset)") || has("NUMBER(phys_ram_base)") {
            Machine::Riscv64
        } else if has("NUMBER(phys_base)") {
            Machine::X86_64
        } else {
            let text = self.symbol("_stext");
            // nothing of its own but pointers of 4 bytes
            if self.size("list_head") == Some(8) && text.is_some_and(|a| (0xc000_0000..1 << 32).contains(&a)) {
                return Machine::I386;
            }
            match text.map(|a| a >> 60) {
                Some(0xc) => Machine::Ppc64,
                Some(0x9) => Machine::LoongArch64,
                _ => Machine::Unknown,
            }
        }
    }
}

impl std::fmt::Debug for Info {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Info({})", self.release())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_forms() {
        let text = b"OSRELEASE=6.1.0\nSYMBOL(_stext)=ffffffff90e00000\nNUMBER(phys_base)=-176160768\nNUMBER(kimage_voffset)=0xffffab2f2a400000\n\
            NUMBER(pgtable_l5_enabled)=1\nOFFSET(a.b)=16\nKERNELOFFSET=fe00000\n\0\0";
        let i = Info::new(text).unwrap();
        assert_eq!(i.release(), *"6.1.0");
        assert_eq!(i.symbol("_stext"), Some(0xffff_ffff_90e0_0000));
        assert_eq!(i.number("phys_base"), Some(0_u64.wrapping_sub(176_160_768)));
        assert_eq!(i.number("kimage_voffset"), Some(0xffff_ab2f_2a40_0000));
        assert_eq!(
            (i.number("pgtable_l5_enabled"), i.offset("a.b"), i.hex("KERNELOFFSET")),
            (Some(1), Some(16), Some(0xfe0_0000))
        );
        assert_eq!((i.get("SYMBOL"), i.symbol("no"), i.machine()), (None, None, Machine::Arm64));
    }

    #[test]
    fn what_is_not_vmcoreinfo() {
        for text in [
            "OSRELEASE=%s\nA=1\nB=1\nC=1\n",
            "OSRELEASE=\nA=1\nB=1\nC=1\n",
            "OSRELEASE=1\nA=1\n",
            "OSRELEASE=1\nA=1\nB\nC=1\n",
            "",
            "OSRELEASE=1\nA=\u{1b}\nB=1\nC=1\n",
        ] {
            assert_eq!(Info::new(text.as_bytes()), None, "{text:?}");
        }
    }
}
