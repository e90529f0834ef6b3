//! Phrases that this project does not use. `CONTRIBUTING.md` has the word list with what to write instead.

use std::fs;
use std::path::{Path, PathBuf};

/// Phrases without a legitimate technical use, in lower case.
static BANNED: &[&str] = &[
    "came of it",
    "lend one",
    "was lent",
    "lent one",
    "has gone by",
    "never came",
    "of which nothing",
    "as people know them",
    "where there is no way",
    "what became of",
    "is told what",
    "stands behind",
    "lies behind",
    "speaks for another",
    "is no stream",
    "goes round it",
    "runs in a circle",
    "accepts nothing any more",
    "nothing where",
    "nothing for what",
    "the machine type is another",
    "stands at another place",
    "what stands",
    "stands beside",
    "stand beside",
    "one behind the other",
    "behind each other",
    "bytes behind the",
    "nothing speaks against",
    "is told from",
    "the limit is told",
    "never tells",
    "only a dump tells",
    "is no break",
    "no matter",
    "mended",
];

/// Files not corrected yet. Remove a file from this list when it is.
static NOT_YET: &[&str] = &[];

fn files(path: &Path, out: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|p| files(p, out));
    } else if path.extension().is_some_and(|e| e == "rs" || e == "md") {
        out.push(path.to_owned());
    }
}

/// Returns the banned phrases in a text, each with its line number; a phrase may be split over two lines of prose.
fn banned(text: &str) -> Vec<(usize, &'static str)> {
    let mut joined = String::new();
    let mut starts = Vec::new();
    for line in text.lines() {
        starts.push(joined.len());
        let prose = line.trim().trim_start_matches(['/', '!', ' ']).trim_end_matches('\\');
        joined.push_str(prose.trim_end());
        joined.push(' ');
    }
    let joined = joined.to_ascii_lowercase();
    let mut out = Vec::new();
    for phrase in BANNED {
        for (at, _) in joined.match_indices(phrase) {
            out.push((starts.partition_point(|s| *s <= at), *phrase));
        }
    }
    out.sort_unstable();
    out
}

#[test]
fn no_file_has_a_banned_phrase() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for part in ["src", "tests", "benches", "examples", "docs", "README.md"] {
        files(&root.join(part), &mut all);
    }
    assert!(all.len() > 100, "only {} files were found", all.len());
    let mut wrong = Vec::new();
    for file in &all {
        let path = file.strip_prefix(root).unwrap().display().to_string();
        if path == "tests/words.rs" {
            continue;
        }
        let found = banned(&fs::read_to_string(file).unwrap());
        if NOT_YET.contains(&path.as_str()) {
            assert!(!found.is_empty(), "{path} is correct now: remove it from NOT_YET");
            continue;
        }
        wrong.extend(found.iter().map(|(line, phrase)| format!("{path}:{line}: \"{phrase}\"")));
    }
    assert!(wrong.is_empty(), "see the word list in CONTRIBUTING.md:\n{}\n", wrong.join("\n"));
}

#[test]
fn a_phrase_is_found_with_its_line_even_across_lines() {
    assert_eq!(banned("a\n/// It never\n/// came.\n"), [(2, "never came")]);
    assert_eq!(banned("It Was Lent."), [(1, "was lent")]);
    assert!(banned("it arrived").is_empty());
}
