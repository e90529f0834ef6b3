//! The register that a field is, for those who look at one field and not at the whole processor.

use super::fields::Fields;
use super::{ppc, riscv, sysregs, x86};
use crate::value::Node;

/// The name of a register, and those of its bits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Named {
    /// The name, as [`super::decode`] has it.
    pub name: String,
    /// Bits with names; empty where the register is a number.
    pub bits: &'static [(u32, &'static str)],
}

/// Returns the register that a field of a section `cpu` holds, given the field's path with the index; `None` if it
/// holds no register.
#[must_use]
pub fn register_of(cpu: &Node, path: &str) -> Option<Named> {
    let f = Fields::new(cpu);
    let (field, index) = split(path);
    let plain = |name: &str| Some(Named { name: name.to_owned(), bits: &[] });
    let numbered = |stem: &str| Some(Named { name: format!("{stem}{}", index?), bits: &[] });
    if f.node("env.eip").is_some() {
        let width = x86::Width::of(&f);
        return x86::register(path, field, index, width).map(|(name, bits)| Named { name: name.to_owned(), bits });
    }
    if f.node("env.xregs").is_some() {
        return match field {
            "env.xregs" if index == Some(31) => plain("SP"),
            "env.xregs" => numbered("X"),
            "env.regs" => numbered("R"),
            "env.pc" => plain("PC"),
            "env.sp_el" => numbered("SP_EL"),
            "env.elr_el" => numbered("ELR_EL"),
            "cpreg_vmstate_values" => {
                let code = f.at("cpreg_vmstate_indexes", index?)?.low();
                let known = code >> 56 == 0x60 && code >> 16 & 0xfff == 0x13;
                known.then(|| Named { name: sysregs::name(code & 0xffff), bits: &[] })
            }
            _ => None,
        };
    }
    if f.node("env.nip").is_some() {
        return match field {
            "env.gpr" => numbered("R"),
            "env.nip" => plain("NIP"),
            "env.msr" => Some(Named { name: "MSR".to_owned(), bits: ppc::MSR }),
            "env.spr" => ppc::spr_name(index?).and_then(plain),
            _ => None,
        };
    }
    if f.node("env.psw.mask").is_some() {
        return match field {
            "env.psw.mask" => plain("PSW mask"),
            "env.psw.addr" => plain("PSW address"),
            "env.regs" => numbered("R"),
            "env.cregs" => numbered("C"),
            "env.aregs" => numbered("A"),
            _ => None,
        };
    }
    if f.node("env.misa_ext").or_else(|| f.node("env.misa")).is_some() {
        return match field {
            "env.gpr" => riscv::X.get(index?).and_then(|n| plain(n)),
            "env.pc" => plain("pc"),
            _ => None,
        };
    }
    None
}

/// Splits the index off a path.
fn split(path: &str) -> (&str, Option<usize>) {
    let parts = path.strip_suffix(']').and_then(|p| p.rsplit_once('['));
    match parts.and_then(|(field, n)| Some((field, n.parse().ok()?))) {
        Some((field, n)) => (field, Some(n)),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offset::StreamRange;
    use crate::value::{FieldType, Record, Value};

    fn cpu(fields: &[&str]) -> Node {
        let field = |n: &&str| Node::new(*n, FieldType::new("uint64"), StreamRange::with_len(0, 8), Value::Uint(0));
        let r = Record { fields: fields.iter().map(field).collect(), ..Record::default() };
        Node::new("cpu", FieldType::new("struct"), StreamRange::default(), Value::Struct(Box::new(r)))
    }

    #[test]
    fn registers_have_the_names_of_their_targets() {
        let name = |mark: &str, path: &str| register_of(&cpu(&[mark]), path).map(|r| r.name);
        assert_eq!(name("env.eip", "env.regs[3]").as_deref(), Some("RBX"));
        assert_eq!(name("env.eip", "env.cr[0]").as_deref(), Some("CR0"));
        assert_eq!(name("env.eip", "env.cr[1]"), None);
        assert_eq!(name("env.eip", "cpu/xss.env.xss").as_deref(), Some("XSS"));
        assert_eq!(name("env.eip", "env.segs[4].base").as_deref(), Some("FS base"));
        assert_eq!(name("env.psw.mask", "env.regs[3]").as_deref(), Some("R3"));
        assert_eq!(name("env.xregs", "env.xregs[31]").as_deref(), Some("SP"));
        assert_eq!(name("env.misa_ext", "env.gpr[2]").as_deref(), Some("sp"));
        assert_eq!(name("env.nip", "env.spr[8]").as_deref(), Some("LR"));
        assert_eq!(name("avr", "env.regs[3]"), None);
        let bits = register_of(&cpu(&["env.eip"]), "env.cr[0]").map(|r| r.bits.len());
        assert!(bits > Some(5));
    }
}
