//! One file, or several: a heading each, or a line of JSON each, and the worst exit status.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde::Serialize;

use super::exit::{Failure, Outcome};
use super::shared::SourceArgs;
use super::style;
use crate::render;
use crate::render::tree::Role;
use crate::text::{Name, shown};

/// The inputs of a subcommand.
#[derive(Debug, ClapArgs)]
pub struct InputsArgs {
    /// Saved states: FILE, FILE@SNAPSHOT for a snapshot of a qcow2 image, or `-` for standard input.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Where the answer about one of the files goes.
pub struct Answer<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// The file, if there are several.
    pub of_several: Option<Name>,
}

impl Answer<'_> {
    /// Prints a JSON document: indented, or on one line that begins with the name of the file if there are several.
    pub fn document<T: Serialize>(&mut self, document: &T) -> Result<(), Failure> {
        let Some(name) = &self.of_several else { return Ok(render::pretty(&mut *self.out, document)?) };
        let mut line = Vec::new();
        render::compact(&mut line, document)?;
        write!(self.out, "{{\"file\":")?;
        render::compact(&mut *self.out, name)?;
        let rest = line.get(1..).unwrap_or_default();
        let comma: &[u8] = if rest == b"}" { b"" } else { b"," };
        self.out.write_all(comma)?;
        self.out.write_all(rest)?;
        Ok(writeln!(self.out)?)
    }
}

/// Answers for each file. A failure of one does not stop the others; the exit status is the worst one.
pub fn each(
    files: &[PathBuf],
    headings: bool,
    out: &mut dyn Write,
    one: &mut dyn FnMut(&Path, &mut Answer<'_>) -> Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    if files.iter().filter(|f| f.as_os_str() == "-").count() > 1 {
        return Err(Failure::Usage("standard input can be one of the files, not several".to_owned()));
    }
    if let [file] = files {
        return one(file, &mut Answer { out, of_several: None });
    }
    let mut worst = Outcome::Complete;
    for (i, file) in files.iter().enumerate() {
        if headings {
            let gap = if i == 0 { "" } else { "\n" };
            writeln!(out, "{gap}{}", style::paint(Role::Title, &format!("{}:", shown(file))))?;
        }
        let outcome = match one(file, &mut Answer { out: &mut *out, of_several: Some(shown(file)) }) {
            Ok(outcome) => outcome,
            Err(f) if f.is_output() => return Err(f),
            Err(f) => {
                out.flush()?;
                f.print();
                f.outcome()
            }
        };
        worst = worst.worse(outcome);
    }
    Ok(worst)
}
