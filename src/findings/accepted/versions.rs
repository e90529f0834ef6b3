//! Versions of QEMU, and which of them an entry is for.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::offset::Sure;

/// A version of QEMU: `7.2`, `10.0.3`. What is not said is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version([u32; 3]);

/// Reads a version, and how many of its numbers are said.
fn numbers(text: &str) -> Result<(Version, usize), String> {
    let fault = || format!("expected a version such as 7.2, found {text:?}");
    let mut out = [0; 3];
    let mut given = 0_usize;
    for part in text.trim().split('.') {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        *out.get_mut(given).ok_or_else(fault)? = part.parse().ok().filter(|_| digits).ok_or_else(fault)?;
        given.tally(1);
    }
    Ok((Version(out), given))
}

impl Version {
    /// Creates a version.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self([major, minor, 0])
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (version, _) = numbers(text)?;
        // the first stream with a configuration is of 0.10, and a release a year adds one
        if version < Self::new(0, 10) || version >= Self::new(100, 0) {
            return Err(format!("expected a version of QEMU such as 10.0, found {text:?}"));
        }
        Ok(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, micro] = self.0;
        write!(f, "{major}.{minor}")?;
        if micro != 0 { write!(f, ".{micro}") } else { Ok(()) }
    }
}

/// Which versions: any of several, each with bounds that hold together. A bound compares as many numbers as it has, so that
/// `7.2` and `<=7.2` mean 7.2.9 too, and `>7` begins with 8.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    any: Vec<Vec<Bound>>,
    texts: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    allowed: &'static [Ordering],
    version: Version,
    given: usize,
}

impl Requirement {
    /// Reads alternatives such as `7.2` or `>=10.0, <11`.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn parse<S: AsRef<str>>(alternatives: &[S]) -> Result<Self, String> {
        if alternatives.is_empty() {
            return Err("expected at least one version, found an empty list".to_owned());
        }
        let all = |text: &S| text.as_ref().split(',').map(bound).collect();
        let texts = alternatives.iter().map(|text| text.as_ref().to_owned()).collect();
        Ok(Self { any: alternatives.iter().map(all).collect::<Result<_, _>>()?, texts })
    }

    /// Returns the alternatives as they were written.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Returns whether a version is among them.
    #[must_use]
    pub fn fits(&self, version: Version) -> bool {
        self.any.iter().any(|all| all.iter().all(|b| b.holds(version)))
    }
}

fn bound(text: &str) -> Result<Bound, String> {
    use Ordering::{Equal, Greater, Less};
    let text = text.trim();
    let operators: [(&str, &[Ordering]); 5] =
        [("<=", &[Less, Equal]), (">=", &[Greater, Equal]), ("<", &[Less]), (">", &[Greater]), ("=", &[Equal])];
    let found = operators.iter().find_map(|(sign, allowed)| text.strip_prefix(sign).map(|rest| (rest, *allowed)));
    let (rest, allowed) = found.unwrap_or((text, &[Equal]));
    let (version, given) = numbers(rest)?;
    Ok(Bound { allowed, version, given })
}

impl Bound {
    fn holds(&self, v: Version) -> bool {
        let order = v.0.iter().take(self.given).cmp(self.version.0.iter().take(self.given));
        self.allowed.contains(&order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(requirement: &[&str], version: &str) -> bool {
        Requirement::parse(requirement).unwrap().fits(version.parse().unwrap())
    }

    #[test]
    fn a_bound_compares_as_many_numbers_as_it_has() {
        for (requirement, yes, no) in [
            ("7.2", "7.2.9", "7.1"),
            ("=7.2.1", "7.2.1", "7.2.2"),
            ("7", "7.2", "8"),
            ("<9", "8.2.9", "9.0"),
            ("<=9.1", "9.1.3", "9.2"),
            (">9", "10", "9.2"),
            (">=10.0, <11", "10.2.1", "11.0"),
            (">=10.0,<11", "10", "9.2.4"),
        ] {
            assert!(fits(&[requirement], yes), "{requirement} {yes}");
            assert!(!fits(&[requirement], no), "{requirement} {no}");
        }
        assert!(fits(&["7.2", "<6"], "5.2") && fits(&["7.2", "<6"], "7.2") && !fits(&["7.2", "<6"], "6.0"));
    }

    #[test]
    fn what_is_no_version_is_told() {
        for bad in ["", "7.", "x", "1.2.3.4", "~8", "+7", "99999999999", "= =7", "7.2,"] {
            let e = Requirement::parse(&[bad]).unwrap_err();
            assert!(e.starts_with("expected a version such as 7.2, found"), "{bad}: {e}");
        }
        assert_eq!("10".parse::<Version>().unwrap().to_string(), "10.0");
        assert_eq!("7.2.1".parse::<Version>().unwrap().to_string(), "7.2.1");
    }
}
