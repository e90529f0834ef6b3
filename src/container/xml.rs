//! A minimal XML scan for a domain's name: one pass, no tree. The text comes from a file that may be hostile and of
//! any size.

use crate::offset::Sure;

/// Returns the text of the first direct child of the root with this tag, if it contains only text.
pub(super) fn child_text(xml: &str, tag: &str) -> Option<String> {
    let mut rest = xml;
    let mut depth = 0_u32;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at..)?;
        if let Some(skipped) = skip(rest, "<!--", "-->")
            .or_else(|| skip(rest, "<![CDATA[", "]]>"))
            .or_else(|| skip(rest, "<?", "?>"))
            .or_else(|| skip(rest, "<!", ">"))
        {
            rest = skipped?;
            continue;
        }
        let end = tag_end(rest)?;
        let inside = rest.get(1..end)?;
        rest = rest.get(end.plus(1)..)?;
        if inside.starts_with('/') {
            depth = depth.checked_sub(1)?;
            continue;
        }
        let empty = inside.ends_with('/');
        let name = inside.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        if depth == 1 && name == tag && !empty {
            let (text, behind) = rest.split_once('<')?;
            return behind.starts_with('/').then(|| unescape(text.trim()));
        }
        if !empty {
            depth = depth.checked_add(1)?;
        }
    }
    None
}

/// Returns the text after a piece delimited by `begin` and `end`: `None` if the text does not start with `begin`,
/// `Some(None)` if `end` is missing.
fn skip<'a>(text: &'a str, begin: &str, end: &str) -> Option<Option<&'a str>> {
    let inside = text.strip_prefix(begin)?;
    Some(inside.split_once(end).map(|(_, rest)| rest))
}

/// Finds the `>` of a tag; a `>` inside an attribute's value does not count.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (i, b) in text.bytes().enumerate() {
        match quote {
            Some(q) if b == q => quote = None,
            Some(_) => {}
            None if b == b'>' => return Some(i),
            None if b == b'"' || b == b'\'' => quote = Some(b),
            None => {}
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out += before;
        let known = behind.split_once(';').and_then(|(name, after)| Some((entity(name)?, after)));
        match known {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out + rest
}

fn entity(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_child_and_no_other() {
        let xml = "<?xml version='1.0'?><!-- <name>no</name> --><domain type='kvm' id=\"a>b\">\
                   <devices><name>deep</name><x/></devices><![CDATA[<name>no</name>]]><name>a &amp; b&#x21;</name></domain>";
        assert_eq!(child_text(xml, "name").as_deref(), Some("a & b!"));
        assert_eq!(child_text(xml, "uuid"), None);
        assert_eq!(child_text("<domain><name>cut", "name"), None);
        assert_eq!(child_text("<domain><name><b/></name></domain>", "name"), None);
        assert_eq!(child_text("</domain><name>x</name>", "name"), None);
        assert_eq!(child_text("<domain><!-- never ends", "name"), None);
        assert_eq!(child_text("<d><name> &nonsense; &amp </name></d>", "name").as_deref(), Some("&nonsense; &amp"));
    }
}
