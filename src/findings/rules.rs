//! Kinds of differences: a stable word, and what it means in general.

/// A kind of difference.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The word, such as `field-value`; part of the interface.
    pub id: &'static str,
    /// One sentence for the lists of rules that SARIF wants, and for the documentation.
    pub what: &'static str,
}

/// Creates the rules of an engine, and `RULES`, the list of all of them.
macro_rules! rules {
    ($($name:ident = $id:literal: $what:literal;)+) => {
        $(#[doc = $what]
        pub static $name: $crate::findings::Rule = $crate::findings::Rule { id: $id, what: $what };)+

        /// Every rule, in the order of the documentation.
        pub static RULES: &[&$crate::findings::Rule] = &[$(&$name),+];

        #[cfg(test)]
        #[test]
        fn rules_have_names_of_their_own() {
            let ids: std::collections::HashSet<_> = RULES.iter().map(|r| r.id).collect();
            assert_eq!(ids.len(), RULES.len());
            assert!(RULES.iter().all(|r| r.what.ends_with('.')));
        }
    };
}
pub(crate) use rules;
