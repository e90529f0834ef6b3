//! Colours: the only place that knows them, and that decides whether there are any.

use std::sync::OnceLock;

use clap::ValueEnum;
use colored::{Color, Colorize};

use crate::render::tree::Role;
use crate::text::line;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal that is not dumb, unless NO_COLOR is set; with CLICOLOR_FORCE everywhere.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

static ENABLED: OnceLock<(bool, bool)> = OnceLock::new();

/// Decides about colours once; `terminals` says whether standard output and standard error are some.
pub fn init(when: ColorWhen, terminals: (bool, bool)) {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0");
    let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    let decide = |terminal: bool| match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if no_color => false,
        ColorWhen::Auto => forced || (terminal && !dumb),
    };
    let both = (decide(terminals.0), decide(terminals.1));
    let _ = ENABLED.set(both);
    colored::control::set_override(true);
}

fn paint_if(enabled: bool, role: Role, text: &str) -> String {
    let text = line(text);
    if !enabled {
        return text.into_owned();
    }
    let text = &*text;
    match role {
        Role::Title => text.bold().to_string(),
        Role::Name => text.color(Color::Cyan).to_string(),
        Role::Number => text.to_owned(),
        Role::Dim => text.dimmed().to_string(),
        Role::Problem => text.red().bold().to_string(),
        Role::Good => text.green().to_string(),
    }
}

/// Colours text for standard output.
pub fn paint(role: Role, text: &str) -> String {
    paint_if(ENABLED.get().is_some_and(|e| e.0), role, text)
}

/// Colours text for standard error.
pub fn paint_stderr(role: Role, text: &str) -> String {
    paint_if(ENABLED.get().is_some_and(|e| e.1), role, text)
}
