//! Where the kernel's own image is in guest-physical memory.

use super::info::{Info, Machine};
use crate::offset::Gpa;

/// The start of the mapping of the kernel's image on x86-64.
const X86_KERNEL: u64 = 0xffff_ffff_8000_0000;

/// How an address in the kernel's image becomes a guest-physical one: the rule of the kernel's `__pa` of its architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    X86_64 { phys_base: u64 },
    I386,
    Arm64 { offset: u64 },
    S390x { image: Option<(u64, u64)>, identity: u64 },
    Riscv64 { link: u64, image: u64, linear: Option<(u64, u64)> },
    Ppc64,
    LoongArch64,
}

impl Rule {
    /// Returns the rule for a kernel; `None` if its VMCOREINFO has none.
    #[must_use]
    pub fn of(info: &Info) -> Option<Self> {
        Some(Self(match info.machine() {
            Machine::X86_64 => Kind::X86_64 { phys_base: info.number("phys_base")? },
            Machine::I386 => Kind::I386,
            Machine::Arm64 => Kind::Arm64 { offset: info.number("kimage_voffset")? },
            Machine::S390x => Kind::S390x {
                image: info.hex("KERNELOFFPHYS").map(|physical| (info.hex("KERNELOFFSET").unwrap_or(0), physical)),
                identity: info.hex("IDENTITYBASE").unwrap_or(0),
            },
            Machine::Riscv64 => Kind::Riscv64 {
                link: info.number("KERNEL_LINK_ADDR").unwrap_or(0xffff_ffff_0000_0000),
                image: info.number("va_kernel_pa_offset")?,
                linear: info.number("PAGE_OFFSET").zip(info.number("phys_ram_base")),
            },
            Machine::Ppc64 => Kind::Ppc64,
            Machine::LoongArch64 => Kind::LoongArch64,
            Machine::Unknown => return None,
        }))
    }

    /// Returns the guest-physical address of an address; `None` if that is not in the image. On other machines than x86, memory
    /// outside of the image looks like the image, and the result for it is wrong or that of the linear map.
    #[must_use]
    pub fn address(self, address: u64) -> Option<Gpa> {
        match self.0 {
            // its text and data are mapped apart from all other memory
            Kind::X86_64 { phys_base } => {
                let within = address.checked_sub(X86_KERNEL).filter(|w| *w < 1 << 30)?;
                Some(Gpa(within.wrapping_add(phys_base)))
            }
            // low memory is mapped from 3 GiB on
            Kind::I386 => address.checked_sub(0xc000_0000).filter(|_| address < 1 << 32).map(Gpa),
            Kind::Arm64 { offset } => Some(Gpa(address.wrapping_sub(offset))),
            // kernels before 6.10 are mapped one to one; since then the image and the other memory have offsets of their own
            Kind::S390x { image: Some((virt, phys)), .. } if address >= virt => {
                Some(Gpa(address.wrapping_sub(virt).wrapping_add(phys)))
            }
            Kind::S390x { image: Some(_), identity } => Some(Gpa(address.wrapping_sub(identity))),
            Kind::S390x { image: None, .. } => Some(Gpa(address)),
            Kind::Riscv64 { link, image, .. } if address >= link => Some(Gpa(address.wrapping_sub(image))),
            Kind::Riscv64 { linear, .. } => {
                let (virt, phys) = linear?;
                Some(Gpa(address.checked_sub(virt)?.wrapping_add(phys)))
            }
            Kind::Ppc64 => Some(Gpa(address & 0x0fff_ffff_ffff_ffff)),
            Kind::LoongArch64 => Some(Gpa(address & 0xffff_ffff_ffff)),
        }
    }
}

/// Returns the guest-physical address of an address in the kernel's image; `None` if it is not in the image, or VMCOREINFO has no rule.
#[must_use]
pub fn image_address(info: &Info, address: u64) -> Option<Gpa> {
    Rule::of(info)?.address(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(keys: &str, address: u64) -> Option<u64> {
        let text = format!("OSRELEASE=1\nA=1\nB=1\n{keys}");
        image_address(&Info::new(text.as_bytes()).unwrap(), address).map(|g| g.0)
    }

    #[test]
    fn each_architecture_has_its_rule() {
        // addresses and offsets of real guests
        assert_eq!(at("NUMBER(phys_base)=-176160768\n", 0xffff_ffff_92a0_0000), Some(0x820_0000));
        assert_eq!(at("NUMBER(phys_base)=0\n", 0xffff_8880_0000_0000), None);
        assert_eq!(at("NUMBER(kimage_voffset)=0xffffab2f2a400000\n", 0xffff_ab2f_6bfb_0600), Some(0x41bb_0600));
        assert_eq!(at("SYMBOL(lowcore_ptr)=1\nKERNELOFFSET=0\n", 0xef_4898), Some(0xef_4898));
        let new = "SAMODE31=1\nIDENTITYBASE=1000000\nKERNELOFFSET=3ff00000000\nKERNELOFFPHYS=200000\n";
        assert_eq!((at(new, 0x3ff_0000_1000), at(new, 0x100_5000)), (Some(0x20_1000), Some(0x5000)));
        let riscv = "NUMBER(va_kernel_pa_offset)=0xfffffffeffe00000\nNUMBER(PAGE_OFFSET)=0xff60000000000000\nNUMBER(phys_ram_base)=0x80000000\n";
        assert_eq!(at(riscv, 0xffff_ffff_8000_2000), Some(0x8020_2000));
        assert_eq!(at(riscv, 0xff60_0000_0000_1000), Some(0x8000_1000));
        assert_eq!(at("SYMBOL(_stext)=c000000000000000\n", 0xc000_0000_0123_0000), Some(0x123_0000));
        let i386 = "SIZE(list_head)=8\nSYMBOL(_stext)=cd000000\n";
        assert_eq!((at(i386, 0xcdd6_29c0), at(i386, 0x1000)), (Some(0xdd6_29c0), None));
        assert_eq!(at("C=1\n", 1), None);
    }
}
