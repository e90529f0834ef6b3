//! Types and members as C declares them.

use super::{Kind, TypeId, Types};
use crate::offset::Sure;

/// Types of one declaration; a prototype has at most some tens.
const MAX_STEPS: usize = 1 << 10;
/// Prototypes that are parameters of one another.
const MAX_DEPTH: usize = 16;
/// Bytes of a declaration, after which it is cut short.
const MAX_TEXT: usize = 1 << 14;

/// A declaration that is not complete: the type before the name, and the name with what surrounds it.
#[derive(Clone, Debug)]
pub(super) struct Declarator {
    /// `const` and others of the type itself, each with a space after it.
    pub qualifiers: String,
    /// The type before the name: no pointer, array or prototype.
    pub base: TypeId,
    /// The name with its stars, brackets and parameters.
    pub around: String,
}

impl Types {
    /// Returns a type in C, such as `struct task_struct *` or `int (*)(void)`; a type without a name is `struct {...}`.
    #[must_use]
    pub fn in_c(&self, id: TypeId) -> String {
        self.declaration(id, "")
    }

    /// Returns the declaration of something that has a type: `char comm[16]`.
    #[must_use]
    pub fn declaration(&self, id: TypeId, name: &str) -> String {
        let mut left = MAX_STEPS;
        self.declared(id, name, &mut left, 0)
    }

    fn declared(&self, id: TypeId, name: &str, left: &mut usize, depth: usize) -> String {
        let Declarator { qualifiers, base, around } = self.taken_apart(id, name, left, depth);
        let base = base_in_c(&self.kind(base));
        let gap = if around.is_empty() { "" } else { " " };
        format!("{qualifiers}{base}{gap}{around}")
    }

    /// Takes a type apart, from the name outwards.
    pub(super) fn declarator(&self, id: TypeId, name: &str) -> Declarator {
        let mut left = MAX_STEPS;
        self.taken_apart(id, name, &mut left, 0)
    }

    fn taken_apart(&self, id: TypeId, name: &str, left: &mut usize, depth: usize) -> Declarator {
        let (mut id, mut around) = (id, name.to_owned());
        let mut qualifiers = String::new();
        // whether a star is the last thing that was put before the name: it binds less than brackets do
        let mut star = false;
        loop {
            match left.checked_sub(1).filter(|_| around.len() < MAX_TEXT) {
                Some(n) => *left = n,
                None => return Declarator { qualifiers, base: TypeId::VOID, around: "...".to_owned() },
            }
            match self.kind(id) {
                Kind::Pointer(target) => {
                    around.insert(0, '*');
                    star = true;
                    id = target;
                }
                Kind::Qualified { word: "", target } => id = target,
                Kind::Qualified { word, target } => {
                    if self.is_pointer(target) {
                        let gap = if around.is_empty() { "" } else { " " };
                        around = format!("{word}{gap}{around}");
                    } else {
                        qualifiers += word;
                        qualifiers.push(' ');
                    }
                    id = target;
                }
                Kind::Array { element, count } => {
                    let inner = if star { format!("({around})") } else { around };
                    around = if count == 0 { format!("{inner}[]") } else { format!("{inner}[{count}]") };
                    star = false;
                    id = element;
                }
                Kind::Prototype { result, parameters } => {
                    let inner = if star { format!("({around})") } else { around };
                    let mut list = Vec::new();
                    let last = parameters.len().saturating_sub(1);
                    for (n, p) in parameters.iter().enumerate() {
                        if depth >= MAX_DEPTH || *left == 0 {
                            list.push("...".to_owned());
                            break;
                        }
                        let more = p.id == TypeId::VOID && p.name.is_empty() && n == last;
                        list.push(if more {
                            "...".to_owned()
                        } else {
                            self.declared(p.id, p.name, left, depth.plus(1))
                        });
                    }
                    let list = if list.is_empty() { "void".to_owned() } else { list.join(", ") };
                    around = format!("{inner}({list})");
                    star = false;
                    id = result;
                }
                _ => return Declarator { qualifiers, base: id, around },
            }
        }
    }

    /// Returns whether a type is a pointer, with or without qualifiers.
    fn is_pointer(&self, id: TypeId) -> bool {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            match self.kind(id) {
                Kind::Qualified { target, .. } => id = target,
                k => return matches!(k, Kind::Pointer(_)),
            }
        }
        false
    }
}

/// Returns the words of a type that has no parts.
fn base_in_c(kind: &Kind<'_>) -> String {
    let keyword = match kind {
        Kind::Composite(c) if c.is_union => "union ",
        Kind::Forward { is_union: true, .. } => "union ",
        Kind::Composite(_) | Kind::Forward { .. } => "struct ",
        Kind::Enumeration { .. } => "enum ",
        Kind::Void => return "void".to_owned(),
        _ => "",
    };
    match kind.name() {
        "" => format!("{keyword}{{...}}"),
        name => format!("{keyword}{name}"),
    }
}
