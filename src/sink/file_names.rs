//! From RAMBlock names to file names that stay in the output folder.

use std::collections::{HashMap, HashSet};

use crate::offset::Sure;

/// The longest file name that is made; most file systems take 255 bytes, and temporary names are longer.
const MAX_NAME: usize = 200;

/// Files that `--extract` puts into the same folder.
const NOT_BLOCKS: &[&str] = &["desc.json", "state.json"];

/// Names that are devices in Windows, regardless of what follows their first dot; `COM` and `LPT` are followed by a
/// digit.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"];

/// Returns a file name for each block name: ASCII without separators and control characters, never empty, hidden or the name
/// of a device, no two alike where case does not count.
#[must_use]
pub fn file_names(blocks: &[&str]) -> Vec<String> {
    let mut taken: HashSet<String> = NOT_BLOCKS.iter().map(|n| (*n).to_owned()).collect();
    // the next count to try for a name already used, so that thousands of equal names cost no more than others
    let mut next: HashMap<String, u32> = HashMap::new();
    blocks
        .iter()
        .map(|name| {
            let clean = clean(name);
            let lower = clean.to_ascii_lowercase();
            if taken.insert(lower.clone()) {
                return clean;
            }
            let n = next.entry(lower.clone()).or_insert(1);
            loop {
                n.tally(1);
                if taken.insert(format!("{lower}~{n}")) {
                    return format!("{clean}~{n}");
                }
            }
        })
        .collect()
}

fn clean(name: &str) -> String {
    let mut out: String = name.trim_matches('/').chars().map(character).take(MAX_NAME).collect();
    // Windows drops dots and spaces at the end
    let kept = out.trim_end_matches(['.', ' ']).len();
    if !out.is_empty() && kept < out.len() {
        out.pop();
        out.push('_');
    }
    // the mark of an unfinished file
    if out.to_ascii_lowercase().ends_with(".partial") {
        out.push('_');
    }
    // a name of dots means a folder, and one that begins with a dot is hidden
    if out.is_empty() || out.starts_with(['.', ' ']) || is_device(&out) {
        out.insert(0, '_');
    }
    out
}

/// Replaces what some file system or shell takes for something else. QEMU's own names are ASCII; other characters have
/// several spellings, which some file systems take for one.
fn character(c: char) -> char {
    match c {
        '/' | '\\' | '<' | '>' | '"' | '|' | '?' | '*' => '_',
        ':' if cfg!(windows) => '_',
        c if !c.is_ascii() || c.is_ascii_control() => '_',
        c => c,
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let numbered = numbered.is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()));
    numbered || DEVICES.contains(&stem.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_leave_the_folder() {
        let long = "x".repeat(255);
        let names = file_names(&[
            "pc.ram",
            "/rom@etc/acpi/tables",
            "0000:00:02.0/vga.vram",
            "../../etc/passwd",
            "..",
            "",
            "/",
            "a\0b",
            "rom@etc_acpi_tables",
            "PC.RAM",
            &long,
            &long,
            "pc.ram.partial",
            "State.json",
        ]);
        assert_eq!(names[0], "pc.ram");
        assert_eq!(names[1], "rom@etc_acpi_tables");
        assert_eq!(names[2], "0000:00:02.0_vga.vram");
        assert_eq!(names[3], "_.._.._etc_passwd");
        assert_eq!(names[4], "_._");
        assert_eq!(names[5], "_");
        assert_eq!(names[6], "_~2");
        assert_eq!(names[7], "a_b");
        assert_eq!(names[8], "rom@etc_acpi_tables~2");
        assert_eq!(names[9], "PC.RAM~2");
        assert_ne!(names[10], names[11]);
        assert_eq!(names[12], "pc.ram.partial_");
        assert_eq!(names[13], "State.json~2");
        for n in &names {
            assert!(!n.contains(['/', '\\', '\0']) && n.len() < 255 && n != "." && n != "..", "{n:?}");
        }
    }

    #[test]
    fn names_of_devices_are_not_used() {
        let bad = ["CON", "nul", "aux.c", "Com1", "LPT9.tar.gz", "COM0", "prn .x", "CONIN$", "con:x"];
        for (name, made) in bad.iter().zip(file_names(&bad)) {
            assert_eq!(made, format!("_{name}"));
        }
        let good = ["console", "nullify", "COM10", "COM", "xCON", "com1x", "a.nul"];
        assert_eq!(file_names(&good), good);
    }

    #[test]
    fn names_survive_file_systems_that_drop_and_fold() {
        let got = file_names(&["a", "a.", "a ", "a. .", "A", "a_", " a", "..."]);
        assert_eq!(got, ["a", "a_", "a_~2", "a. _", "A~2", "a_~3", "_ a", "_.._"]);
        // one letter, composed, decomposed, and as a ligature or in another case by Unicode's tables
        let got = file_names(&["\u{e9}", "e\u{301}", "\u{fb01}", "fi", "\u{212a}", "k", "\u{202e}x"]);
        assert_eq!(got, ["_", "e_", "_~2", "fi", "_~3", "k", "_x"]);
        assert!(got.iter().all(|n| n.is_ascii()));
    }

    #[test]
    fn tens_of_thousands_of_one_name_take_no_longer() {
        let blocks = vec!["x?"; 65_535];
        let begun = std::time::Instant::now();
        let names = file_names(&blocks);
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
        assert_eq!((names[0].as_str(), names[65_534].as_str()), ("x_", "x_~65535"));
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        // names that look as if they had been counted
        let counted: Vec<String> = (2..20_000).map(|i| format!("a~{i}")).chain(vec!["a".to_owned(); 20_000]).collect();
        let counted: Vec<&str> = counted.iter().map(String::as_str).collect();
        let names = file_names(&counted);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }
}
