//! From RAMBlock names to file names that stay in the output folder.

use std::collections::HashSet;

/// The longest file name that is made; most file systems take 255 bytes, and a mark for unfinished files is added.
const MAX_NAME: usize = 200;

/// Files that `--extract` puts into the same folder.
const NOT_BLOCKS: &[&str] = &["desc.json", "state.json"];

/// Returns a file name for each block name: no separators, never empty, `.` or `..`, no control characters, no two alike
/// even where case does not count.
#[must_use]
pub fn file_names(blocks: &[&str]) -> Vec<String> {
    let mut taken: HashSet<String> = NOT_BLOCKS.iter().map(|n| (*n).to_owned()).collect();
    blocks
        .iter()
        .map(|name| {
            let clean = clean(name);
            let mut unique = clean.clone();
            let mut n = 2_u32;
            while !taken.insert(unique.to_lowercase()) {
                unique = format!("{clean}~{n}");
                n = n.saturating_add(1);
            }
            unique
        })
        .collect()
}

fn clean(name: &str) -> String {
    let mut out: String = name
        .trim_matches('/')
        .chars()
        .map(|c| match c {
            '/' | '\\' | '<' | '>' | '"' | '|' | '?' | '*' => '_',
            c if c.is_control() || c == char::REPLACEMENT_CHARACTER => '_',
            c => c,
        })
        .collect();
    while out.len() > MAX_NAME {
        out.pop();
    }
    // the mark of another block's unfinished file
    if out.to_lowercase().ends_with(".partial") {
        out.push('_');
    }
    // a name of dots means a folder, and one that begins with a dot is hidden
    if out.is_empty() || out.starts_with('.') {
        out.insert(0, '_');
    }
    out
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
        assert_eq!(names[4], "_..");
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
}
