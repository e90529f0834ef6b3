//! Expressions: `init_task.comm`, `runqueues@cpu0.curr`, `list(init_task.tasks, struct task_struct, tasks).pid`.
//!
//! ```text
//! expression = { "*" | "&" } postfix
//! postfix    = primary { "." NAME | "->" NAME | "[" N "]" | "[" A ".." B "]" }
//! primary    = NAME [ "@cpu" N ]                                   a variable
//!            | TYPE "@" ( ADDRESS | NAME ) [ "@cpu" N ]            what is there, as a value of a type
//!            | "list" "(" expression "," TYPE "," NAME { "." NAME } ")"
//!            | "(" expression ")"
//! ```

use std::ops::Range;

use crate::offset::Sure;
use crate::text::Name;

/// Bytes of an expression.
const MAX_TEXT: usize = 4096;
/// Expressions inside of one another.
const MAX_DEPTH: usize = 32;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expression {
    /// What it begins with.
    pub head: Head,
    /// Where that is in the text.
    pub at: Range<usize>,
    /// What is done with it, the innermost first.
    pub steps: Vec<Step>,
}

/// What an expression begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Head {
    /// A variable.
    Variable {
        /// Its name.
        name: String,
        /// The processor, of a per-CPU variable.
        cpu: Option<u64>,
    },
    /// A value of a type that is given.
    Cast {
        /// The type.
        words: String,
        /// Where the value is.
        place: Place,
        /// The processor, of a per-CPU variable.
        cpu: Option<u64>,
    },
    /// The elements of a list.
    List {
        /// The head of the list.
        head: Box<Expression>,
        /// The structure of the elements.
        structure: String,
        /// The member through which the list goes.
        member: String,
    },
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// At an address.
    Address(u64),
    /// At the address of a symbol.
    Symbol(String),
}

/// What is done with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// What is done.
    pub what: Action,
    /// Where that is in the text.
    pub at: Range<usize>,
}

/// What is done with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// A member is taken; a pointer to a structure is followed.
    Member(String),
    /// An element is taken.
    Element(u64),
    /// Elements are taken, without the last one.
    Elements(Range<u64>),
    /// A pointer is followed.
    Target,
    /// The address is taken.
    Address,
}

/// Why an expression cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misread {
    /// Where, in bytes of the text.
    pub at: usize,
    /// What was expected.
    pub expected: &'static str,
    /// What was found; empty at the end.
    pub found: Name,
}

impl std::fmt::Display for Misread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "expected {}, found ", self.expected)?;
        if self.found.is_empty() {
            f.write_str("the end")?
        } else {
            write!(f, "{:?}", self.found)?
        }
        write!(f, " (character {})", self.at.plus(1))
    }
}

impl std::error::Error for Misread {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Number(u64),
    /// One of `. * & [ ] ( ) , @`.
    Sign(char),
    /// `->`.
    Arrow,
    /// `..`.
    Dots,
}

struct Reader<'t> {
    text: &'t str,
    tokens: Vec<(Token, Range<usize>)>,
    next: usize,
}

/// Reads an expression.
///
/// # Errors
/// Where it is not one.
pub fn parse(text: &str) -> Result<Expression, Misread> {
    if text.len() > MAX_TEXT {
        return Err(Misread { at: MAX_TEXT, expected: "an expression of at most 4096 bytes", found: "more".into() });
    }
    let mut r = Reader { text, tokens: tokens(text)?, next: 0 };
    let out = r.expression(0)?;
    if r.next < r.tokens.len() {
        return Err(r.misread("the end, `.`, `->`, `[` or `@`"));
    }
    Ok(out)
}

fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, Misread> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        let run = |f: fn(char) -> bool| rest.find(|c| !f(c)).unwrap_or(rest.len());
        let (token, len) = match first {
            c if c.is_ascii_whitespace() => {
                at = at.plus(c.len_utf8());
                continue;
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let len = run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'));
                (Some(Token::Word(rest.get(..len).unwrap_or_default().to_owned())), len)
            }
            c if c.is_ascii_digit() => {
                let len = run(|c| c.is_ascii_alphanumeric());
                let digits = rest.get(..len).unwrap_or_default();
                let n = match digits.strip_prefix("0x") {
                    Some(hex) => u64::from_str_radix(hex, 16).ok(),
                    None => digits.parse().ok(),
                };
                (n.map(Token::Number), len)
            }
            '-' if rest.starts_with("->") => (Some(Token::Arrow), 2),
            '.' if rest.starts_with("..") => (Some(Token::Dots), 2),
            '.' | '*' | '&' | '[' | ']' | '(' | ')' | ',' | '@' => (Some(Token::Sign(first)), 1),
            c => (None, c.len_utf8()),
        };
        let end = at.plus(len);
        let Some(token) = token else {
            let expected = if first.is_ascii_digit() { "a number of at most 64 bits" } else { "an expression" };
            return Err(Misread { at, expected, found: text.get(at..end).unwrap_or_default().into() });
        };
        out.push((token, at..end));
        at = end;
    }
    Ok(out)
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.next.saturating_add(ahead)).map(|(t, _)| t)
    }

    /// Returns where the next token begins.
    fn here(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(_, r)| r.start)
    }

    /// Returns where the last token ended.
    fn ended(&self) -> usize {
        self.next.checked_sub(1).and_then(|n| self.tokens.get(n)).map_or(0, |(_, r)| r.end)
    }

    fn misread(&self, expected: &'static str) -> Misread {
        let found = self.tokens.get(self.next).and_then(|(_, r)| self.text.get(r.clone())).unwrap_or_default();
        Misread { at: self.here(), expected, found: found.into() }
    }

    fn skip(&mut self) {
        self.next = self.next.saturating_add(1);
    }

    fn takes(&mut self, sign: char) -> bool {
        let is = self.peek(0) == Some(&Token::Sign(sign));
        if is {
            self.skip();
        }
        is
    }

    fn sign(&mut self, sign: char, expected: &'static str) -> Result<(), Misread> {
        if self.takes(sign) { Ok(()) } else { Err(self.misread(expected)) }
    }

    fn word(&mut self, expected: &'static str) -> Result<String, Misread> {
        match self.peek(0) {
            Some(Token::Word(w)) => {
                let w = w.clone();
                self.skip();
                Ok(w)
            }
            _ => Err(self.misread(expected)),
        }
    }

    fn number(&mut self, expected: &'static str) -> Result<u64, Misread> {
        match self.peek(0) {
            Some(Token::Number(n)) => {
                let n = *n;
                self.skip();
                Ok(n)
            }
            _ => Err(self.misread(expected)),
        }
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, Misread> {
        if depth > MAX_DEPTH {
            return Err(self.misread("at most 32 expressions inside of one another"));
        }
        let mut before = Vec::new();
        loop {
            let at = self.here();
            let what = if self.takes('*') {
                Action::Target
            } else if self.takes('&') {
                Action::Address
            } else {
                break;
            };
            before.push(Step { what, at: at..self.ended() });
        }
        let mut out = self.primary(depth)?;
        loop {
            let at = self.here();
            let what = if self.takes('.') {
                Action::Member(self.word("the name of a member")?)
            } else if self.peek(0) == Some(&Token::Arrow) {
                self.skip();
                Action::Member(self.word("the name of a member")?)
            } else if self.takes('[') {
                let n = self.number("the number of an element")?;
                let what = if self.peek(0) == Some(&Token::Dots) {
                    self.skip();
                    let end = self.number("a number")?;
                    if end <= n {
                        self.next = self.next.saturating_sub(1);
                        return Err(self.misread("a number above the first one"));
                    }
                    Action::Elements(n..end)
                } else {
                    Action::Element(n)
                };
                self.sign(']', "]")?;
                what
            } else {
                break;
            };
            out.steps.push(Step { what, at: at..self.ended() });
        }
        // the innermost is next to the value
        out.steps.extend(before.into_iter().rev());
        Ok(out)
    }

    fn primary(&mut self, depth: usize) -> Result<Expression, Misread> {
        let begun = self.here();
        if self.takes('(') {
            let out = self.expression(depth.plus(1))?;
            self.sign(')', ")")?;
            return Ok(out);
        }
        let is_list = matches!(self.peek(0), Some(Token::Word(w)) if w == "list");
        let head = if is_list && self.peek(1) == Some(&Token::Sign('(')) {
            self.next = self.next.saturating_add(2);
            let head = Box::new(self.expression(depth.plus(1))?);
            self.sign(',', "a comma and the structure of the elements")?;
            let first = self.word("the structure of the elements, such as struct task_struct")?;
            let structure = match self.peek(0) {
                Some(Token::Word(_)) if matches!(first.as_str(), "struct" | "union") => self.word("a name")?,
                _ => first,
            };
            self.sign(',', "a comma and the member through which the list goes")?;
            let mut member = self.word("the member through which the list goes")?;
            while self.takes('.') {
                member = format!("{member}.{}", self.word("the name of a member")?);
            }
            self.sign(')', ")")?;
            Head::List { head, structure, member }
        } else if let Some(words) = self.cast() {
            let place = match self.peek(0) {
                Some(Token::Number(n)) => Place::Address(*n),
                Some(Token::Word(w)) => Place::Symbol(w.clone()),
                _ => return Err(self.misread("an address or a symbol")),
            };
            self.skip();
            Head::Cast { words, place, cpu: self.cpu()? }
        } else {
            let name = self.word("a variable, TYPE@ADDRESS or list(...)")?;
            Head::Variable { name, cpu: self.cpu()? }
        };
        Ok(Expression { head, at: begun..self.ended(), steps: Vec::new() })
    }

    /// Reads `@cpuN`, if it is there.
    fn cpu(&mut self) -> Result<Option<u64>, Misread> {
        if self.peek(0) != Some(&Token::Sign('@')) {
            return Ok(None);
        }
        match self.peek(1) {
            Some(Token::Word(w)) if processor(w).is_some() => {
                let n = processor(w);
                self.next = self.next.saturating_add(2);
                Ok(n)
            }
            _ => {
                self.skip();
                Err(self.misread("a processor, such as cpu0"))
            }
        }
    }

    /// Reads a type and the `@` after it, if that is what comes next.
    fn cast(&mut self) -> Option<String> {
        let mut ahead = 0_usize;
        let mut words = String::new();
        while let Some(Token::Word(w)) = self.peek(ahead) {
            if !words.is_empty() {
                words.push(' ');
            }
            words += w;
            ahead = ahead.saturating_add(1);
        }
        let plain = ahead;
        while self.peek(ahead) == Some(&Token::Sign('*')) {
            words += " *";
            ahead = ahead.saturating_add(1);
        }
        if self.peek(ahead) == Some(&Token::Sign('[')) {
            ahead = ahead.saturating_add(1);
            words.push('[');
            if let Some(Token::Number(n)) = self.peek(ahead) {
                words += &n.to_string();
                ahead = ahead.saturating_add(1);
            }
            if self.peek(ahead) != Some(&Token::Sign(']')) {
                return None;
            }
            words.push(']');
            ahead = ahead.saturating_add(1);
        }
        let is_processor = matches!(self.peek(ahead.saturating_add(1)), Some(Token::Word(w)) if processor(w).is_some());
        let is_variable = plain == 1 && ahead == 1 && is_processor;
        if plain == 0 || self.peek(ahead) != Some(&Token::Sign('@')) || is_variable {
            return None;
        }
        self.next = self.next.saturating_add(ahead).saturating_add(1);
        Some(words)
    }
}

/// Reads `cpuN`.
fn processor(word: &str) -> Option<u64> {
    let digits = word.strip_prefix("cpu")?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(e) => written(&e),
            Err(e) => format!("! {e}"),
        }
    }

    fn written(e: &Expression) -> String {
        let cpu = |c: &Option<u64>| c.map_or_else(String::new, |n| format!(" on {n}"));
        let head = match &e.head {
            Head::Variable { name, cpu: c } => format!("{name}{}", cpu(c)),
            Head::Cast { words, place, cpu: c } => format!("{{{words} at {place:?}{}}}", cpu(c)),
            Head::List { head, structure, member } => format!("list({};{structure};{member})", written(head)),
        };
        e.steps.iter().fold(head, |t, s| match &s.what {
            Action::Member(m) => format!("{t} .{m}"),
            Action::Element(n) => format!("{t} [{n}]"),
            Action::Elements(r) => format!("{t} {r:?}"),
            Action::Target => format!("{t} *"),
            Action::Address => format!("{t} &"),
        })
    }

    #[test]
    fn expressions_are_read() {
        for (text, expected) in [
            ("jiffies", "jiffies"),
            ("init_task.mm->pgd", "init_task .mm .pgd"),
            ("*init_task.mm", "init_task .mm *"),
            ("(*init_task.mm).pgd", "init_task .mm * .pgd"),
            ("&init_task.tasks", "init_task .tasks &"),
            ("**a", "a * *"),
            ("&*a", "a * &"),
            ("a[3][0x10..0x12]", "a [3] 16..18"),
            ("a [ 1 .. 2 ]", "a 1..2"),
            ("struct task_struct@0xffff.comm", "{struct task_struct at Address(65535)} .comm"),
            ("unsigned long@jiffies", "{unsigned long at Symbol(\"jiffies\")}"),
            ("pid_t@0x10", "{pid_t at Address(16)}"),
            ("char[16]@x", "{char[16] at Symbol(\"x\")}"),
            ("char *[]@x[2]", "{char *[] at Symbol(\"x\")} [2]"),
            ("struct page *@mem_map", "{struct page * at Symbol(\"mem_map\")}"),
            ("runqueues@cpu12.curr.comm", "runqueues on 12 .curr .comm"),
            ("struct rq@runqueues@cpu1", "{struct rq at Symbol(\"runqueues\") on 1}"),
            ("int@cpu_number", "{int at Symbol(\"cpu_number\")}"),
            ("list(init_task.tasks, struct task_struct, tasks).comm", "list(init_task .tasks;task_struct;tasks) .comm"),
            ("list(&a, rq, x.y)[0..2]", "list(a &;rq;x.y) 0..2"),
            ("list.next", "list .next"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_have_places() {
        for (text, expected) in [
            ("", "! expected a variable, TYPE@ADDRESS or list(...), found the end (character 1)"),
            ("a.", "! expected the name of a member, found the end (character 3)"),
            ("a b", "! expected the end, `.`, `->`, `[` or `@`, found \"b\" (character 3)"),
            ("a[1", "! expected ], found the end (character 4)"),
            ("a[x]", "! expected the number of an element, found \"x\" (character 3)"),
            ("a[2..2]", "! expected a number above the first one, found \"2\" (character 6)"),
            ("a@", "! expected an address or a symbol, found the end (character 3)"),
            ("a@b@c", "! expected a processor, such as cpu0, found \"c\" (character 5)"),
            ("(a", "! expected ), found the end (character 3)"),
            ("a ? b", "! expected an expression, found \"?\" (character 3)"),
            (
                "a[99999999999999999999]",
                "! expected a number of at most 64 bits, found \"99999999999999999999\" (character 3)",
            ),
            ("list(a)", "! expected a comma and the structure of the elements, found \")\" (character 7)"),
            ("a.\u{1b}", "! expected an expression, found \"\\u{1b}\" (character 3)"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn deep_and_long_expressions_are_refused() {
        assert!(shown(&"(".repeat(4000)).contains("at most 32"));
        assert!(shown(&"list(".repeat(800)).contains("at most 32"));
        assert!(shown(&"a.".repeat(4000)).contains("4096"));
        assert_eq!(parse(&format!("a{}", ".b".repeat(2000))).unwrap().steps.len(), 2000);
        assert_eq!(parse(&format!("{}a", "*".repeat(4000))).unwrap().steps.len(), 4000);
    }
}
