//! Names that were not typed right.

/// Returns the name that is most like a word, if one is: it begins with the word, or a letter or two are wrong.
pub fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = word.to_ascii_lowercase();
    let likeness = |name: &&str| {
        let name = name.to_ascii_lowercase();
        // the shortest of those that begin with the word is the nearest
        let rest = name.len().saturating_sub(word.len());
        let begins = word.len() >= 2 && name.starts_with(&lower);
        if begins { 2.0 - rest.min(100) as f64 / 100.0 } else { strsim::jaro_winkler(&lower, &name) }
    };
    let scored = names.into_iter().map(|n| (likeness(&n), n));
    scored.filter(|(l, _)| *l > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, n)| n)
}

/// Returns `, did you mean NAME?` for the nearest name, or nothing.
pub fn did_you_mean<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(word, names).map_or_else(String::new, |n| format!("did you mean {n}? "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_letter_is_forgiven() {
        let names = ["info", "state", "check", "extract"];
        for (word, expected) in [("inf", "info"), ("stat", "state"), ("chekc", "check"), ("EXTRACT", "extract")] {
            assert_eq!(nearest(word, names), Some(expected));
        }
        assert_eq!(nearest("com", ["compat_list", "comm", "command"]), Some("comm"));
        assert_eq!(nearest("vm", names), None);
        assert_eq!(nearest("q35", names), None);
    }
}
