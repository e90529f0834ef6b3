//! Types by their names in C.

use super::{Kind, TypeId, Types};

impl Types {
    /// Finds a type by its words: `struct task_struct`, `pid_t`, `unsigned long`. A name without a keyword may be that of a structure
    /// too. Alternatives may be separated by `|`, and `{a,b}` is a structure without a name whose members these are. One star or one pair
    /// of brackets may follow, if the kernel has such a type anywhere.
    #[must_use]
    pub fn by_words(&self, words: &str) -> Option<TypeId> {
        let words = words.trim();
        if let Some(id) = self.known().words.get(words) {
            return *id;
        }
        let found = self.search(words);
        self.known().keep_words(words.to_owned(), found);
        found
    }

    fn search(&self, words: &str) -> Option<TypeId> {
        if words.contains('|') {
            return words.split('|').find_map(|w| self.by_words(w));
        }
        if let Some(names) = words.strip_prefix('{') {
            return self.nameless(names.trim_end_matches('}'));
        }
        if let Some(inner) = words.strip_suffix('*') {
            let target = if inner.trim() == "void" { TypeId::VOID } else { self.by_words(inner)? };
            return self.iter().find_map(|(id, k)| matches!(k, Kind::Pointer(t) if t == target).then_some(id));
        }
        if let Some((inner, count)) = words.strip_suffix(']').and_then(|w| w.split_once('[')) {
            let target = self.by_words(inner)?;
            let wanted: Option<u32> = if count.is_empty() { None } else { Some(count.parse().ok()?) };
            let is = |k: &Kind<'_>| matches!(k, Kind::Array { element, count } if *element == target && wanted.is_none_or(|w| w == *count));
            return self.iter().find_map(|(id, k)| is(&k).then_some(id));
        }
        let (keyword, name) = match words.split_once(' ') {
            Some((k @ ("struct" | "union" | "enum"), name)) => (Some(k), name.trim()),
            _ => (None, words),
        };
        let rank = |id: TypeId| match (self.kind(id), keyword) {
            (Kind::Composite(c), Some("struct")) => (!c.is_union).then_some(0),
            (Kind::Composite(c), Some("union")) => c.is_union.then_some(0),
            (Kind::Enumeration { .. }, Some("enum")) => Some(0),
            (Kind::Integer(_) | Kind::Float { .. } | Kind::Typedef { .. }, None) => Some(0),
            (Kind::Composite(_), None) => Some(1),
            (Kind::Enumeration { .. }, None) => Some(2),
            _ => None,
        };
        let best = |name: &str| self.named(name).filter_map(|id| Some((rank(id)?, id))).min().map(|(_, id)| id);
        best(name).or_else(|| best(&integer(name)?))
    }
}

impl Types {
    /// Finds a structure without a name by the names of all its members, with a comma between them.
    fn nameless(&self, members: &str) -> Option<TypeId> {
        let has = |k: &Kind<'_>| matches!(k, Kind::Composite(c) if c.name.is_empty() && c.members().map(|m| m.name).eq(members.split(',')));
        self.iter().find_map(|(id, k)| has(&k).then_some(id))
    }
}

/// Returns the name that compilers give an integer in BTF, which is not always that of the source: `long unsigned int`.
#[must_use]
pub fn integer(words: &str) -> Option<String> {
    if words.trim().is_empty() {
        return None;
    }
    let mut longs = 0_usize;
    let (mut unsigned, mut short, mut char, mut signed) = (false, false, false, false);
    for w in words.split_ascii_whitespace() {
        match w {
            "long" => longs = longs.saturating_add(1),
            "unsigned" => unsigned = true,
            "short" => short = true,
            "char" => char = true,
            "signed" => signed = true,
            "int" => {}
            _ => return None,
        }
    }
    Some(
        match (char, short, longs, unsigned) {
            (true, false, 0, true) => "unsigned char",
            (true, false, 0, false) => {
                if signed {
                    "signed char"
                } else {
                    "char"
                }
            }
            (false, true, 0, true) => "short unsigned int",
            (false, true, 0, false) => "short int",
            (false, false, 0, true) => "unsigned int",
            (false, false, 0, false) => "int",
            (false, false, 1, true) => "long unsigned int",
            (false, false, 1, false) => "long int",
            (false, false, 2, true) => "long long unsigned int",
            (false, false, 2, false) => "long long int",
            _ => return None,
        }
        .to_owned(),
    )
}

/// Returns a type's name in C, for messages.
#[must_use]
pub fn words_of(kind: &Kind<'_>) -> String {
    let name = match kind.name() {
        "" => "(without a name)",
        name => name,
    };
    match kind {
        Kind::Composite(c) if c.is_union => format!("union {name}"),
        Kind::Composite(_) => format!("struct {name}"),
        Kind::Enumeration { .. } => format!("enum {name}"),
        Kind::Void => "void".to_owned(),
        Kind::Pointer(_) => "a pointer".to_owned(),
        Kind::Array { .. } => "an array".to_owned(),
        Kind::Prototype { .. } => "a function".to_owned(),
        _ => name.to_owned(),
    }
}
