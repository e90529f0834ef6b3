//! ISF 6.2.0: the symbols and types of a kernel in JSON, as volatility3 reads them.
//!
//! volatility3 finds out itself how far KASLR moved the kernel, so addresses are those for which it was linked. Typedefs do not exist
//! in this form: each type is what its typedefs lead to, and a structure without a name has that of its typedef.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use super::super::btf::{Composite, Kind, TypeId, Types, integer};
use super::super::globals;
use super::super::guest::Guest;
use super::json::{Json, base64};
use super::{Code, Shift};
use crate::offset::Sure;

/// Pointers and arrays of one another in one type.
const MAX_DEPTH: usize = 32;
/// Bytes of the banner.
const MAX_BANNER: u64 = 4096;

/// The types by their names, and the names of those that have none of their own.
struct Names<'t> {
    types: &'t Types,
    /// Names that differ from those in BTF.
    given: HashMap<TypeId, String>,
    /// The first structure, enumeration and other type of each name.
    composites: HashMap<&'t str, TypeId>,
    enums: HashMap<&'t str, TypeId>,
    others: HashMap<&'t str, TypeId>,
    /// Per-CPU variables, of which BTF has the types.
    variables: HashMap<&'t str, TypeId>,
    /// Typedefs of structures that have another name, under which programs look for them too: `spinlock_t`.
    aliases: Vec<(&'t str, TypeId)>,
}

impl<'t> Names<'t> {
    fn new(types: &'t Types) -> Self {
        let mut out = Self {
            types,
            given: HashMap::new(),
            composites: HashMap::new(),
            enums: HashMap::new(),
            others: HashMap::new(),
            variables: HashMap::new(),
            aliases: Vec::new(),
        };
        let (mut nameless, mut typedefs, mut again) = (Vec::new(), Vec::new(), HashMap::new());
        for (id, kind) in types.iter() {
            let name = kind.name();
            let map = match kind {
                Kind::Composite(_) => &mut out.composites,
                Kind::Enumeration { .. } => &mut out.enums,
                Kind::Variable { target, .. } => {
                    out.variables.entry(name).or_insert(target);
                    continue;
                }
                Kind::Typedef { target, .. } => {
                    typedefs.push((target, name));
                    out.others.entry(name).or_insert(id);
                    continue;
                }
                Kind::Integer(_) | Kind::Float { .. } => {
                    out.others.entry(name).or_insert(id);
                    continue;
                }
                _ => continue,
            };
            if name.is_empty() {
                nameless.push(id);
            } else if map.contains_key(name) {
                // as bpftool names them
                let n = again.entry((matches!(kind, Kind::Composite(_)), name)).or_insert(1_u32);
                *n = n.saturating_add(1);
                out.given.insert(id, format!("{name}___{n}"));
            } else {
                map.insert(name, id);
            }
        }
        for (target, name) in typedefs {
            let target = types.bare(target);
            let (is_composite, nameless) = match types.kind(target) {
                Kind::Composite(c) => (true, c.name.is_empty()),
                Kind::Enumeration { name, .. } => (false, name.is_empty()),
                _ => continue,
            };
            let map = if is_composite { &mut out.composites } else { &mut out.enums };
            if nameless && !out.given.contains_key(&target) && !map.contains_key(name) {
                map.insert(name, target);
                out.given.insert(target, name.to_owned());
            } else if is_composite && !map.contains_key(name) {
                map.insert(name, target);
                out.aliases.push((name, target));
            }
        }
        for id in nameless {
            out.given.entry(id).or_insert_with(|| format!("unnamed_{}", id.0));
        }
        out
    }

    /// Returns the name of a structure, a union or an enumeration.
    fn name<'n>(&'n self, id: TypeId, own: &'n str) -> &'n str {
        self.given.get(&id).map_or(own, String::as_str)
    }

    /// Finds a type by the words of a table: a name or `struct NAME`.
    fn base(&self, words: &str) -> Option<TypeId> {
        let words = words.trim();
        match words.split_once(' ') {
            Some(("struct" | "union", name)) => self.composites.get(name).copied(),
            Some(("enum", name)) => self.enums.get(name).copied(),
            _ if words.starts_with('{') => self.types.by_words(words),
            _ => self.others.get(words).copied().or_else(|| self.others.get(integer(words)?.as_str()).copied()),
        }
    }
}

/// Writes a table of symbols and types.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, guest: &Guest<'_>) -> io::Result<()> {
    let types = guest.types();
    let names = Names::new(types);
    let mut w = Json::new(out);
    w.open()?;
    metadata(&mut w)?;
    base_types(&mut w, types)?;
    enums(&mut w, &names)?;
    user_types(&mut w, &names)?;
    symbols(&mut w, guest, &names)?;
    w.close()?;
    w.raw("\n")
}

fn metadata(w: &mut Json<'_>) -> io::Result<()> {
    // some plugins insist on tables by this producer; without a version, any will do
    w.key("metadata")?;
    w.raw("{\"linux\":{\"symbols\":[{\"kind\":\"symtab\",\"name\":\"guest memory\"}],")?;
    w.raw("\"types\":[{\"kind\":\"symtab\",\"name\":\"guest memory\"}]},")?;
    w.raw("\"producer\":{\"name\":\"dwarf2json\"},\"format\":\"6.2.0\"}")
}

/// The name of an integer for the values of enumerations that BTF may not have.
fn value_type(bytes: u32, signed: bool) -> String {
    format!("{}int{}", if signed { "" } else { "u" }, bytes.saturating_mul(8))
}

fn base_types(w: &mut Json<'_>, types: &Types) -> io::Result<()> {
    w.object("base_types")?;
    let endian = if types.is_big_endian() { "big" } else { "little" };
    let mut one = |name: &str, size: u64, signed: bool, kind: &str| -> io::Result<()> {
        w.object(name)?;
        w.value("size", size)?;
        w.value("signed", signed)?;
        w.pair("kind", kind)?;
        w.pair("endian", endian)?;
        w.close()
    };
    let mut seen: HashSet<String> = ["pointer", "void"].map(str::to_owned).into();
    one("pointer", types.word(), false, "int")?;
    one("void", 0, false, "void")?;
    for (_, kind) in types.iter() {
        let (name, size, signed, word) = match kind {
            Kind::Integer(i) => {
                let is_char = i.bytes == 1 && i.name.contains("char");
                let word = match (i.is_bool, is_char) {
                    (true, _) => "bool",
                    (_, true) => "char",
                    _ => "int",
                };
                (i.name, i.bytes, i.signed || i.is_bool, word)
            }
            Kind::Float { name, bytes } => (name, bytes, true, "float"),
            _ => continue,
        };
        if seen.insert(name.to_owned()) {
            one(name, size.into(), signed, word)?;
        }
    }
    for bytes in [1, 2, 4, 8] {
        for signed in [false, true] {
            let name = value_type(bytes, signed);
            if seen.insert(name.clone()) {
                one(&name, bytes.into(), signed, "int")?;
            }
        }
    }
    w.close()
}

fn enums(w: &mut Json<'_>, names: &Names<'_>) -> io::Result<()> {
    w.object("enums")?;
    for (id, kind) in names.types.iter() {
        let Kind::Enumeration { name, bytes, signed, values } = kind else { continue };
        let name = names.name(id, name);
        w.object(name)?;
        w.value("size", bytes)?;
        w.pair("base", &value_type(if matches!(bytes, 1 | 2 | 8) { bytes } else { 4 }, signed))?;
        w.object("constants")?;
        for v in &values {
            if signed { w.value(v.name, v.value)? } else { w.value(v.name, v.value.cast_unsigned())? }
        }
        w.close()?;
        w.close()?;
    }
    w.close()
}

fn user_types(w: &mut Json<'_>, names: &Names<'_>) -> io::Result<()> {
    w.object("user_types")?;
    let all = names.types.iter().filter_map(|(id, kind)| match kind {
        Kind::Composite(c) => Some((id, c, None)),
        _ => None,
    });
    let aliases = names.aliases.iter().filter_map(|(name, id)| match names.types.kind(*id) {
        Kind::Composite(c) => Some((*id, c, Some(*name))),
        _ => None,
    });
    for (id, c, alias) in all.chain(aliases) {
        w.object(alias.unwrap_or_else(|| names.name(id, c.name)))?;
        w.pair("kind", word(&c))?;
        w.value("size", c.bytes)?;
        w.object("fields")?;
        let mut nameless = 0_u32;
        for m in c.members() {
            let own;
            let name = if m.name.is_empty() {
                own = format!("unnamed_field_{nameless}");
                nameless = nameless.saturating_add(1);
                own.as_str()
            } else {
                m.name
            };
            w.object(name)?;
            w.key("type")?;
            let offset = if m.width > 0 {
                bit_field(w, names, m.id, m.bit, m.width)?
            } else {
                describe(w, names, m.id)?;
                m.bit >> 3
            };
            w.value("offset", offset)?;
            if m.name.is_empty() {
                w.value("anonymous", true)?;
            }
            w.close()?;
        }
        w.close()?;
        w.close()?;
    }
    w.close()
}

fn word(c: &Composite<'_>) -> &'static str {
    if c.is_union { "union" } else { "struct" }
}

/// Writes the type of a bit-field; returns the offset of the number in which it is.
fn bit_field(w: &mut Json<'_>, names: &Names<'_>, id: TypeId, bit: u64, width: u32) -> io::Result<u64> {
    let size = names.types.size(id).filter(|n| (1..=8).contains(n)).unwrap_or(8).saturating_mul(8);
    // the number of which it is a part, unless it goes on in the next one
    let aligned = bit.saturating_sub(bit.checked_rem(size).unwrap_or(0));
    let from = if bit.saturating_add(width.into()) <= aligned.saturating_add(size) { aligned } else { bit & !7 };
    let before = bit.saturating_sub(from);
    // big-endian machines count from the most significant bit
    let position =
        if names.types.is_big_endian() { size.saturating_sub(before).saturating_sub(width.into()) } else { before };
    w.open()?;
    w.pair("kind", "bitfield")?;
    w.value("bit_position", position)?;
    w.value("bit_length", width)?;
    w.key("type")?;
    describe(w, names, id)?;
    w.close()?;
    Ok(from >> 3)
}

/// Writes a type.
fn describe(w: &mut Json<'_>, names: &Names<'_>, id: TypeId) -> io::Result<()> {
    let types = names.types;
    let mut id = types.bare(id);
    let mut open = 0_usize;
    loop {
        w.open()?;
        open = open.plus(1);
        let base = |w: &mut Json<'_>, name: &str| {
            w.pair("kind", "base")?;
            w.pair("name", if name.is_empty() { "void" } else { name })
        };
        match types.kind(id) {
            Kind::Pointer(target) if open < MAX_DEPTH => {
                w.pair("kind", "pointer")?;
                w.key("subtype")?;
                id = types.bare(target);
                continue;
            }
            Kind::Array { element, count } if open < MAX_DEPTH => {
                w.pair("kind", "array")?;
                w.value("count", count)?;
                w.key("subtype")?;
                id = types.bare(element);
                continue;
            }
            Kind::Composite(c) => {
                w.pair("kind", word(&c))?;
                w.pair("name", names.name(id, c.name))?;
            }
            Kind::Enumeration { name, .. } => {
                w.pair("kind", "enum")?;
                w.pair("name", names.name(id, name))?;
            }
            // the definition may be that of another file
            Kind::Forward { name, .. } => match names.composites.get(name) {
                Some(other) => {
                    let Kind::Composite(c) = types.kind(*other) else { break };
                    w.pair("kind", word(&c))?;
                    w.pair("name", names.name(*other, c.name))?;
                }
                None => base(w, "void")?,
            },
            Kind::Prototype { .. } | Kind::Function { .. } => w.pair("kind", "function")?,
            Kind::Integer(i) => base(w, i.name)?,
            Kind::Float { name, .. } => base(w, name)?,
            _ => base(w, "void")?,
        }
        break;
    }
    (0..open).try_for_each(|_| w.close())
}

fn symbols(w: &mut Json<'_>, guest: &Guest<'_>, names: &Names<'_>) -> io::Result<()> {
    let shift = Shift::of(guest.kernel(), guest.symbols());
    w.object("symbols")?;
    let (per_cpu, code) = (guest.per_cpu_section(), Code::of(guest));
    // of symbols that share a name the global one is taken, or else the first
    let mut global: HashSet<&str> = HashSet::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for s in guest.symbols().iter() {
        if s.kind.is_ascii_uppercase() {
            global.insert(s.exact());
        }
    }
    for s in guest.symbols().iter() {
        let name = s.exact();
        if (global.contains(name) && !s.kind.is_ascii_uppercase()) || !seen.insert(name) {
            continue;
        }
        w.object(name)?;
        w.key("type")?;
        if code.has(&s) {
            w.raw("{\"kind\":\"function\"}")?;
        } else if let Some(id) =
            names.variables.get(name).filter(|_| per_cpu.as_ref().is_none_or(|r| r.contains(&s.address)))
        {
            describe(w, names, *id)?;
        } else {
            spelled(w, names, globals::type_of(name).unwrap_or_default())?;
        }
        w.value("address", shift.linked(s.address))?;
        if name == "linux_banner"
            && let Ok(text) = guest.text_at(s.address, MAX_BANNER)
        {
            let bytes = [text.exact().as_bytes(), b"\0"].concat();
            w.pair("constant_data", &base64(&bytes))?;
        }
        w.close()?;
    }
    w.close()
}

/// Writes a type that is given by words: a base, stars, and the number of elements in brackets.
fn spelled(w: &mut Json<'_>, names: &Names<'_>, words: &str) -> io::Result<()> {
    let known = words.split('|').find_map(|words| {
        let (inner, count) = match words.strip_suffix(']').and_then(|i| i.split_once('[')) {
            Some((inner, n)) => (inner.trim(), Some(n.parse::<u32>().unwrap_or(0))),
            None => (words.trim(), None),
        };
        let (inner, is_pointer) = inner.strip_suffix('*').map_or((inner, false), |i| (i.trim(), true));
        let base = if inner == "void" { Some(TypeId::VOID) } else { names.base(inner) };
        base.map(|id| (id, count, is_pointer))
    });
    let Some((id, count, is_pointer)) = known else { return describe(w, names, TypeId::VOID) };
    if let Some(n) = count {
        w.open()?;
        w.pair("kind", "array")?;
        w.value("count", n)?;
        w.key("subtype")?;
    }
    if is_pointer {
        w.open()?;
        w.pair("kind", "pointer")?;
        w.key("subtype")?;
    }
    describe(w, names, id)?;
    if is_pointer {
        w.close()?;
    }
    if count.is_some() { w.close() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::super::btf::made::Made;
    use super::*;

    #[test]
    fn bit_fields_are_counted_from_the_least_significant_bit() {
        for (big, expected) in [(false, [(0, 0), (0, 3), (4, 0), (5, 4)]), (true, [(0, 29), (0, 24), (4, 24), (5, 4)])]
        {
            let mut m = Made::new(big);
            let int = m.int("unsigned int", 4, false);
            // the last one goes on in the next number
            m.structure("s", 12, &[("a", int, 0, 3), ("b", int, 3, 5), ("c", int, 32, 8), ("d", int, 44, 8 + 16)]);
            let types = Types::new(m.finish(), big, 8).unwrap();
            let names = Names::new(&types);
            let Kind::Composite(c) = types.kind(TypeId(2)) else { panic!() };
            for (m, (offset, position)) in c.members().zip(expected) {
                let mut out = Vec::new();
                let found = bit_field(&mut Json::new(&mut out), &names, m.id, m.bit, m.width).unwrap();
                let text: serde_json::Value = serde_json::from_slice(&out).unwrap();
                assert_eq!((found, &text["bit_position"]), (offset, &position.into()), "{} {big}", m.name);
            }
        }
    }
}
