//! Devices by the names that output gives them.

use super::matches_glob;

/// Returns `true` if a pattern means a device that has any of these names, in upper or lower case, with `*` and `?`. A pattern
/// that ends with an instance id, such as `cpu (1)`, means that instance only.
#[must_use]
pub fn names_device(pattern: &str, names: &[&str], instance: Option<u32>) -> bool {
    let hit = |pattern: &str| {
        let pattern = pattern.to_lowercase();
        names.iter().any(|n| !n.is_empty() && matches_glob(&pattern, &n.to_lowercase()))
    };
    if hit(pattern) {
        return true;
    }
    let one = pattern.strip_suffix(')').and_then(|p| p.rsplit_once(" ("));
    one.is_some_and(|(name, n)| instance.is_some() && n.parse().ok() == instance && hit(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_printed_are_understood() {
        let is = |pattern: &str, instance: u32| names_device(pattern, &["0000:00:02.0/Cpu", "cpu", ""], Some(instance));
        assert!(is("cpu", 0) && is("CPU", 3) && is("cpu (1)", 1) && is("0000:00:02.0/cpu", 0) && !is("c?u (*", 1));
        assert!(!is("cpu (1)", 0) && !is("cpu (x)", 0) && !is("cp", 0) && !is("", 0));
        assert!(names_device("a (1)", &["a (1)"], None));
    }
}
