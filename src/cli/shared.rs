//! Arguments that several commands take.

use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Args as ClapArgs, ValueEnum};

use crate::budget::Budget;
use crate::container::Settings;

/// How an input is opened.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct SourceArgs {
    /// Description for a stream without one: a stream of the same machine, or its `--dump desc`.
    ///
    /// The other stream must come from the same machine type and QEMU version.
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Snapshot of a qcow2 image, as in FILE@NAME.
    ///
    /// Not needed when only one snapshot has machine state.
    #[arg(long, value_name = "NAME|ID")]
    pub snapshot: Option<String>,
    /// Offset of the stream in the file.
    ///
    /// As in QEMU's `migrate file:PATH,offset=N`.
    #[arg(long, value_name = "N", value_parser = number, hide_short_help = true)]
    pub offset: Option<u64>,
    /// Directory for temporary files (used only when needed).
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub tmpdir: Option<PathBuf>,
    /// Limit on the memory that the input may use, such as 512M or 4G. Default: 96 MiB plus the size of the input, at
    /// most half of the available memory.
    #[arg(long, value_name = "SIZE", value_parser = bytes, hide_short_help = true)]
    pub max_memory: Option<u64>,
    /// Shared by all inputs of the command.
    #[arg(skip)]
    budget: OnceLock<Budget>,
}

impl SourceArgs {
    /// Returns the settings for the library.
    pub fn settings(&self) -> Settings {
        let budget = self.budget.get_or_init(|| self.max_memory.map_or_else(Budget::default, Budget::of));
        Settings {
            snapshot: self.snapshot.clone(),
            offset: self.offset.unwrap_or(0),
            tmpdir: self.tmpdir.clone(),
            budget: budget.clone(),
        }
    }
}

/// The input of a subcommand.
#[derive(Debug, ClapArgs)]
pub struct InputArgs {
    /// Saved state: FILE, FILE@SNAPSHOT, or `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Whether warnings are printed.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub struct QuietArgs {
    /// Print no warnings and notes, only errors.
    #[arg(short, long)]
    pub quiet: bool,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressHow {
    /// A bar if standard error is a terminal.
    #[default]
    Auto,
    /// One line of JSON per second on standard error.
    Json,
    /// None.
    None,
}

/// Reads a number of bytes with an optional unit K, M, G or T.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        unit => return Err(format!("expected a unit K, M, G or T, found {unit:?}")),
    };
    let n: u64 = digits.parse().map_err(|e| format!("expected a number of bytes: {e}"))?;
    n.checked_mul(1 << shift).ok_or_else(|| "more bytes than 64 bits count".to_owned())
}

/// Reads `4096`, `0x1000`, `4K`, `16M`, `1G`.
pub fn number(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.trim_end_matches(['i', 'B']).char_indices().next_back() {
        Some((i, 'k' | 'K')) => (&text[..i], 10),
        Some((i, 'm' | 'M')) => (&text[..i], 20),
        Some((i, 'g' | 'G')) => (&text[..i], 30),
        Some((i, 't' | 'T')) => (&text[..i], 40),
        _ => (text, 0),
    };
    let n = match digits.strip_prefix("0x") {
        // in hexadecimal a `B` at the end is a digit
        Some(hex) if shift == 0 => u64::from_str_radix(hex, 16),
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let n = n.map_err(|_| format!("expected a number such as 4096, 0x1000 or 16M, found {text:?}"))?;
    n.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too large"))
}

/// Reads `BLOCK=ADDRESS`.
pub fn mapping(text: &str) -> Result<(String, u64), String> {
    let (block, address) = text.rsplit_once('=').ok_or_else(|| format!("expected BLOCK=ADDRESS, found {text:?}"))?;
    Ok((block.to_owned(), number(address)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(number("4096"), Ok(4096));
        assert_eq!(number("0x10B"), Ok(0x10b));
        assert_eq!(number("16M"), Ok(16 << 20));
        assert_eq!(number("1GiB"), Ok(1 << 30));
        assert_eq!(mapping("/objects/a=b=0x10"), Ok(("/objects/a=b".to_owned(), 16)));
        for bad in ["", "x", "-1", "99999999999G", "0x", "1.5G"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }
}
